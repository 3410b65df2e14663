"""Optimisers, schedulers and scalers: training goes on after ``load`` exactly as it would have gone on."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.swa_utils import SWALR

from holdfast.codec.lower import lower
from holdfast.errors import FormatError, UnsupportedError, UntrustedError
from holdfast.vocab import vocabulary
from holdfast.vocab.torch import optimisers, schedulers
from holdfast.wire.read import read_document
from through_memory import again, lifted, loaded, saved

OPTIMISERS: dict[str, dict[str, Any]] = {
    "Adafactor": {"lr": 0.01},
    "Adadelta": {"lr": 0.5, "rho": 0.8},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.01},
    "Adam": {"lr": 0.01, "amsgrad": True},
    "AdamW": {"lr": torch.tensor(0.01), "betas": (0.8, 0.99)},
    "Adamax": {"lr": 0.01, "weight_decay": 0.1},
    "ASGD": {"lr": 0.01, "t0": 2},
    "LBFGS": {"lr": 0.5, "max_iter": 3, "history_size": 3},
    "Muon": {"lr": 0.01},
    "NAdam": {"lr": 0.01},
    "RAdam": {"lr": 0.01, "decoupled_weight_decay": True},
    "RMSprop": {"lr": 0.01, "momentum": 0.9, "centered": True},
    "Rprop": {"lr": 0.01},
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "SparseAdam": {"lr": 0.01},
}

MOMENTUM = {"SGD", "RMSprop", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Muon", "SparseAdam"}

SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "none": lambda opt: None,
    "ChainedScheduler": lambda opt: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(opt, 0.5, 2), lr_scheduler.ExponentialLR(opt, 0.9)]
    ),
    "ConstantLR": lambda opt: lr_scheduler.ConstantLR(opt, 0.5, 4),
    "CosineAnnealingLR": lambda opt: lr_scheduler.CosineAnnealingLR(opt, 5),
    "CosineAnnealingWarmRestarts": lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 2, 2),
    "CyclicLR": lambda opt: lr_scheduler.CyclicLR(
        opt, 0.001, 0.1, 2, mode="exp_range", gamma=0.9, cycle_momentum=False
    ),
    "ExponentialLR": lambda opt: lr_scheduler.ExponentialLR(opt, 0.9),
    "LinearLR": lambda opt: lr_scheduler.LinearLR(opt, 0.1, total_iters=6),
    "LambdaLR": lambda opt: lr_scheduler.LambdaLR(opt, Halving(2)),
    "MultiStepLR": lambda opt: lr_scheduler.MultiStepLR(opt, [2, 5]),
    "MultiplicativeLR": lambda opt: lr_scheduler.MultiplicativeLR(opt, Halving(3)),
    "OneCycleLR": lambda opt: lr_scheduler.OneCycleLR(opt, 0.1, total_steps=20, cycle_momentum=False),
    "PolynomialLR": lambda opt: lr_scheduler.PolynomialLR(opt, 9, 2.0),
    "ReduceLROnPlateau": lambda opt: lr_scheduler.ReduceLROnPlateau(opt, patience=0, threshold=10.0),
    "SequentialLR": lambda opt: lr_scheduler.SequentialLR(
        opt, [lr_scheduler.ConstantLR(opt, 0.1, 2), lr_scheduler.ExponentialLR(opt, 0.9)], milestones=[2]
    ),
    "StepLR": lambda opt: lr_scheduler.StepLR(opt, 2, 0.3),
    "SWALR": lambda opt: SWALR(opt, 0.05, anneal_epochs=4, anneal_strategy="linear"),
}


class Halving:
    """A callable object: its class can be allowed, as a lambda cannot."""

    def __init__(self, every: int) -> None:
        self.every = every

    def __call__(self, epoch: int) -> float:
        return float(0.5 ** (epoch // self.every))


class Lookahead(Optimizer):
    """A user's optimiser around another one: groups in common, attributes of its own, no ``differentiable``."""

    made = 0

    def __init__(self, inner: Optimizer, every: int) -> None:
        super().__init__(inner.param_groups, {"every": every})
        Lookahead.made += 1
        self.inner, self.every, self.count = inner, every, 0
        self.param_groups = inner.param_groups
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["slow"] = parameter.detach().clone()

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        loss = self.inner.step(closure)
        self.count += 1
        if self.count % self.every == 0:
            for group in self.param_groups:
                for parameter in group["params"]:
                    self.state[parameter]["slow"].lerp_(parameter.detach(), 0.5)
                    parameter.data.copy_(self.state[parameter]["slow"])
        return loss


class Warmup(lr_scheduler.LRScheduler):
    def __init__(self, optimizer: Optimizer, steps: int) -> None:
        self.steps = steps
        super().__init__(optimizer)

    def get_lr(self) -> Any:
        return [rate * min(1, (self.last_epoch + 1) / self.steps) for rate in self.base_lrs]


ALLOWED = [Halving, Lookahead, Warmup]


def net(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "SparseAdam":
        return nn.Embedding(6, 3, sparse=True)
    bias = name != "Muon"
    return nn.Sequential(nn.Linear(3, 4, bias=bias), nn.Tanh(), nn.Linear(4, 3, bias=bias))


def groups(model: nn.Module, name: str) -> Any:
    parameters = list(model.parameters())
    if name in ("LBFGS", "SparseAdam", "Muon"):
        return parameters
    return [{"params": parameters[:2], "lr": 0.02}, {"params": parameters[2:], "weight_decay": 0.01}]


def train(model: nn.Module, opt: Any, schedule: Any, steps: range) -> None:
    for number in steps:
        generator = torch.Generator().manual_seed(number)
        x = torch.rand(5, 3, generator=generator)
        if isinstance(model, nn.Embedding):
            x = torch.randint(6, (5,), generator=generator)

        def closure(x: Any = x) -> Any:
            opt.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            return loss

        loss = opt.step(closure)
        if isinstance(schedule, lr_scheduler.ReduceLROnPlateau):
            schedule.step(loss.item())
        elif schedule is not None:
            schedule.step()


def assert_same(a: Any, b: Any) -> None:
    """Two states of training: the same structure, numbers and bits."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
        assert a.dtype == b.dtype
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    elif isinstance(a, lr_scheduler.LRScheduler):
        assert_same(a.state_dict(), b.state_dict())
    elif not callable(a):
        assert a == b


CASES = [(name, "StepLR") for name in OPTIMISERS] + [("SGD", name) for name in SCHEDULERS]
CASES += [("Adam", name) for name in SCHEDULERS]


@pytest.mark.parametrize(("name", "schedule_name"), CASES)
def test_training_goes_on(name: str, schedule_name: str) -> None:
    if not hasattr(torch.optim, name):
        pytest.skip(f"this torch has no {name}")
    model = net(name)
    opt = getattr(torch.optim, name)(groups(model, name), **copy.deepcopy(OPTIMISERS[name]))
    with warnings.catch_warnings():
        # SequentialLR and ChainedScheduler step their schedulers as they are made; torch warns of itself.
        warnings.simplefilter("ignore")
        schedule = SCHEDULERS[schedule_name](opt)
        train(model, opt, schedule, range(3))
        data = saved({"model": model, "opt": opt, "schedule": schedule})
        found = loaded(data, ALLOWED)
        others = found["model"], found["opt"], found["schedule"]
        assert_same(others[1].state_dict(), opt.state_dict())
        train(model, opt, schedule, range(3, 8))
        train(*others, range(3, 8))
    assert_same(dict(others[0].state_dict()), dict(model.state_dict()))
    assert_same(others[1].state_dict(), opt.state_dict())
    if schedule is not None:
        assert others[2].optimizer is others[1]
        assert_same(others[2].state_dict(), schedule.state_dict())
    assert saved({"model": others[0], "opt": others[1]}) == saved({"model": model, "opt": opt})


def test_the_tables_are_complete() -> None:
    assert {name.removeprefix("torch.optim.") for name in optimisers.CLASSES} <= set(OPTIMISERS)
    names = {name.rpartition(".")[2] for name in schedulers.CLASSES}
    assert names - {"LRScheduler"} == set(SCHEDULERS) - {"none"}


def test_an_optimiser_drives_the_loaded_model() -> None:
    model = net("Adam")
    opt = torch.optim.Adam(model.named_parameters())
    train(model, opt, None, range(2))
    found = again({"opt": opt, "model": model})
    other, opt = found["model"], found["opt"]
    assert opt.param_groups[0]["params"][0] is other[0].weight
    assert list(opt.state) == list(other.parameters())
    assert opt.param_groups[0]["param_names"] == [name for name, _ in other.named_parameters()]
    opt.add_param_group({"params": [("more", nn.Parameter(torch.zeros(2)))], "lr": 1.0})
    opt.register_step_post_hook(lambda *_: None)
    opt.load_state_dict(opt.state_dict())
    opt.zero_grad()
    assert "Adam" in repr(opt)
    assert opt._zero_grad_profile_name == "Optimizer.zero_grad#Adam.zero_grad"


def test_a_group_is_shared_with_what_it_was_shared_with() -> None:
    opt = torch.optim.SGD(net("SGD").parameters(), lr=0.1)
    opt, of = again([opt, opt.param_groups])
    assert opt.param_groups is of


def test_a_users_optimiser_and_scheduler() -> None:
    model = net("SGD")
    opt = Lookahead(torch.optim.SGD(model.parameters(), lr=0.1), 2)
    schedule = Warmup(opt, 4)
    train(model, opt, schedule, range(3))
    data, made = saved([model, opt, schedule]), Lookahead.made
    with pytest.raises(UntrustedError) as caught:
        loaded(data)
    assert {name.rpartition(".")[2] for name in caught.value.names} == {"Lookahead", "Warmup"}
    others = loaded(data, ALLOWED)
    assert Lookahead.made == made, "no __init__ runs"
    assert others[1].param_groups is others[1].inner.param_groups
    assert others[1].defaults == opt.defaults
    train(model, opt, schedule, range(3, 8))
    train(*others, range(3, 8))
    assert_same(dict(others[0].state_dict()), dict(model.state_dict()))
    assert_same(others[1].state_dict(), opt.state_dict())


def test_the_order_of_calls_is_watched_again() -> None:
    opt = torch.optim.SGD(net("SGD").parameters(), lr=0.1)
    opt, schedule = again([opt, lr_scheduler.StepLR(opt, 2)])
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()
    opt, schedule = again([opt, lr_scheduler.StepLR(opt, 2)])
    opt.step()
    schedule.step()


# -- GradScaler -------------------------------------------------------------------------------------------------------


def test_a_scaler_goes_on() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    model = net("SGD")
    opt = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(scaler: Any) -> None:
        scaler.scale(model(torch.ones(2, 3)).sum()).backward()
        scaler.step(opt)
        scaler.update()

    for _ in range(3):
        step(scaler)
    other = again(scaler)
    assert other.state_dict() == scaler.state_dict()
    assert (other.get_scale(), other._growth_tracker) == (16.0, None)
    step(scaler)
    step(other)
    assert other.state_dict() == scaler.state_dict()
    assert other.get_scale() == 32.0


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("make", optimisers.SCALERS.values(), ids=str)
def test_every_kind_of_scaler(make: Any) -> None:
    scaler = make()
    assert type(again(scaler)) is make
    assert again(scaler).state_dict() == scaler.state_dict()


def test_scalers_that_are_off_or_half_way() -> None:
    assert not again(torch.amp.GradScaler("cpu", enabled=False)).is_enabled()
    scaler = torch.amp.GradScaler("cpu")
    model = net("SGD")
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler.scale(model(torch.ones(2, 3)).sum()).backward()
    scaler.unscale_(opt)
    with pytest.raises(UnsupportedError, match=r"after scaler\.update"):
        saved(scaler)


@pytest.mark.parametrize("changes", [{"scale": "x"}, {"device": 3}, {"enabled": 1}, {"growth_factor": None}])
def test_a_scaler_that_is_none(changes: dict[str, Any]) -> None:
    document = read_document(saved(torch.amp.GradScaler("cpu"))).document
    document["x"]["state"].update(changes)
    with pytest.raises(FormatError):
        lifted(document)


# -- what is refused --------------------------------------------------------------------------------------------------


def with_hook(register: str) -> Any:
    opt = torch.optim.SGD(net("SGD").parameters(), lr=0.1)
    getattr(opt, register)(lambda *_: None)
    return opt


def with_step() -> Any:
    opt = torch.optim.SGD(net("SGD").parameters(), lr=0.1)
    opt.step = lambda closure=None: None  # type: ignore[method-assign,assignment]
    return opt


def with_lambda() -> Any:
    return lr_scheduler.LambdaLR(torch.optim.SGD(net("SGD").parameters(), lr=0.1), lambda epoch: 1.0)


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    **{
        name: (lambda name=name: with_hook(name), "register it again", "")  # type: ignore[misc]
        for name in (
            *("register_step_pre_hook", "register_step_post_hook", "register_state_dict_pre_hook"),
            *("register_state_dict_post_hook", "register_load_state_dict_pre_hook"),
            "register_load_state_dict_post_hook",
        )
    },
    "replaced step": (with_step, "was replaced", ""),
    "lambda": (with_lambda, "a lambda has no name", ".lr_lambdas[0]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_path(name: str) -> None:
    make, words, path = REFUSED[name]
    with pytest.raises(UnsupportedError) as caught:
        lower({"it": make()}, vocabulary())
    assert words in str(caught.value)
    assert caught.value.path == f"$.it{path}"


def test_where_a_value_of_a_state_stands() -> None:
    opt = torch.optim.SGD(net("SGD").parameters(), lr=0.1)
    opt.param_groups[0]["note"] = lambda: None
    with pytest.raises(UnsupportedError) as caught:
        lower({"opt": opt}, vocabulary())
    assert caught.value.path == "$.opt.param_groups[0]['note']"
    del opt.param_groups[0]["note"]
    opt.state[opt.param_groups[0]["params"][0]]["note"] = lambda: None
    with pytest.raises(UnsupportedError) as caught:
        lower({"opt": opt}, vocabulary())
    assert caught.value.path == "$.opt.state[0]['note']"


# -- files that lie ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("defaults", []),
        ("param_groups", {}),
        ("param_groups", [1]),
        ("param_groups", [{"params": 1}]),
        ("param_groups", [{"params": [1]}]),
        ("param_groups", [{"params": []}, {}]),
        ("state", {}),
        ("state", [[1]]),
        ("state", [[[], {}]]),
        ("attributes", {"step": None}),
        ("attributes", {"param_groups": None}),
        ("attributes", {"_optimizer_step_pre_hooks": {}}),
        ("attributes", {"zero_grad": 1}),
        ("attributes", {"__class__": 1}),
        ("attributes", []),
    ],
)
@pytest.mark.parametrize("name", ["SGD", "Adam", "LBFGS"])
def test_an_optimiser_that_lies(name: str, section: str, value: Any) -> None:
    document = read_document(saved(getattr(torch.optim, name)(net(name).parameters(), lr=0.1))).document
    document["x"]["state"][section] = value
    with pytest.raises(FormatError):
        lifted(document)


@pytest.mark.parametrize(
    "attributes",
    [
        {"optimizer": None},
        {"optimizer": [1]},
        {"get_lr": 1},
        {"step": None},
        {"state_dict": 1},
        {"__dict__": {}},
        {"_scale_fn_ref": 1},
        {"mode": 3, "_scale_fn_custom": 3, "gamma": "x", "_scale_fn_ref": 2},
    ],
)
def test_a_scheduler_that_lies(attributes: dict[str, Any]) -> None:
    opt = torch.optim.SGD(net("SGD").parameters(), lr=0.1, momentum=0.9)
    document = read_document(saved(lr_scheduler.CyclicLR(opt, 0.1, 0.2))).document
    document["x"]["state"]["attributes"].update(attributes)
    with pytest.raises(FormatError):
        lifted(document)
