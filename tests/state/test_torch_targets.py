"""Live modules, tensors, generators and schedulers are filled from whatever form of them a file holds."""

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from holdfast import flux  # noqa: E402
from holdfast.errors import MismatchError  # noqa: E402
from holdfast.formats import bson  # noqa: E402
from holdfast.state.restore import carry_out, restore  # noqa: E402
from holdfast.state.targets import plan_plain  # noqa: E402
from holdfast.state.torch_targets import Bonds, as_tensor, plan_module  # noqa: E402
from reference import JULIA, needs_julia_files  # noqa: E402


class Net(nn.Module):
    """Tied weights, buffers of both kinds, an attribute: a class that no file may build."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.BatchNorm1d(width))
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.rand(2))
        self.register_buffer("passing", torch.rand(2), persistent=False)
        self.limits = [1, 2]


def trained(net: nn.Module) -> nn.Module:
    """The same module with other numbers everywhere."""
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            tensor.copy_(torch.rand(tensor.shape) * 10)
    return net


def numbers(net: nn.Module) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def lines(call: Any) -> list[str]:
    with pytest.raises(MismatchError) as found:
        call()
    return list(found.value.differences)


def nested(net: nn.Module) -> dict[str, Any]:
    """A dictionary of state dictionaries, one for each part."""
    return {"scale": net.scale, **{name: part.state_dict() for name, part in net.named_children()}}


FORMS = {
    "the module": lambda net: net,
    "its state_dict": lambda net: net.state_dict(),
    "NumPy arrays": lambda net: {name: tensor.numpy() for name, tensor in net.state_dict().items()},
    "a prefix": lambda net: {f"module.{name}": tensor for name, tensor in net.state_dict().items()},
    "nested": nested,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_module_from_each_form(file, form):
    net, live = trained(Net()), Net()
    parameters, passing = list(live.parameters()), live.passing.clone()
    restore(file(model=FORMS[form](net)), {"model": live})
    assert same(numbers(live), numbers(net))
    assert all(a is b for a, b in zip(live.parameters(), parameters, strict=True))
    assert live.head.weight is live.embed.weight
    assert torch.equal(live.passing, passing)
    assert all(parameter.requires_grad for parameter in live.parameters())


def test_the_live_object_may_be_wrapped(file):
    net, live = trained(Net()), nn.Sequential()
    live.module = Net()
    restore(file(model=net), {"model": live})
    assert same(numbers(live.module), numbers(net))


def test_a_compiled_model(file):
    net, live = trained(nn.Linear(3, 2)), nn.Linear(3, 2)
    restore(file(model=net), {"model": torch.compile(live, backend="eager")})
    assert same(numbers(live), numbers(net))


def test_what_lies_elsewhere_in_memory_is_filled_too(file):
    net, live = trained(nn.Conv2d(3, 4, 3)), nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    restore(file(model=net), {"model": live})
    assert torch.equal(live.weight, net.weight)
    assert live.weight.is_contiguous(memory_format=torch.channels_last)


def test_two_modules_from_one_file(file):
    a, b, live_a, live_b = (trained(nn.Linear(2, 2)) for _ in range(4))
    restore(file(a=a, b=b), {"b": live_b, "a": live_a})
    assert same(numbers(live_a), numbers(a))
    assert same(numbers(live_b), numbers(b))


# -- what is in the way -----------------------------------------------------------------------------------------------


def test_every_difference_is_listed_and_nothing_changed(file):
    saved, live = trained(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))), nn.Sequential(nn.Linear(3, 4), nn.PReLU())
    before = numbers(live)
    found = lines(lambda: restore(file(model=saved), {"model": live}))
    assert found == [
        "model.0.weight: shape (2, 3) in the file, (4, 3) in the live object",
        "model.0.bias: shape (2,) in the file, (4,) in the live object",
        "model.1.weight: shape (2, 2) in the file, (1,) in the live object",
        "model.1.bias: in the file, not in the live object",
    ]
    assert same(numbers(live), before)


def test_dtypes_must_agree(file):
    assert lines(lambda: restore(file(m=nn.Linear(1, 1)), {"m": nn.Linear(1, 1).to(torch.bfloat16)})) == [
        "m.weight: dtype float32 in the file, bfloat16 in the live object",
        "m.bias: dtype float32 in the file, bfloat16 in the live object",
    ]


def test_what_fits_without_strict(file):
    saved, live = (
        trained(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))),
        nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5)),
    )
    before = live[1].weight.clone()
    with pytest.warns(UserWarning, match=r"model\.1\.weight: shape"):
        restore(file(model=saved), {"model": live}, strict=False)
    assert same(numbers(live[0]), numbers(saved[0]))
    assert torch.equal(live[1].weight, before)


def test_an_entry_that_is_no_array(file):
    saved = {**nn.Linear(1, 1).state_dict(), "epoch": 3}
    assert lines(lambda: restore(file(m=saved), {"m": nn.Linear(1, 1)})) == [
        "m.epoch: int in the file, which is no array"
    ]


def test_what_is_no_model_at_all(file):
    assert lines(lambda: restore(file(m="text"), {"m": nn.Linear(1, 1)})) == [
        "m: str without arrays in the file, a Linear in the live object"
    ]


def test_untied_weights_into_tied_ones(file):
    saved = {name: tensor.clone() for name, tensor in trained(Net()).state_dict().items()}
    live = Net()
    restore(file(model=saved), {"model": live})
    saved["head.weight"] = saved["head.weight"] + 1
    assert lines(lambda: restore(file(model=saved), {"model": live})) == [
        "model.embed.weight, model.head.weight: one tensor in the live object, two different ones in the file"
    ]


def test_a_tied_name_that_was_left_out(file):
    net, live = trained(Net()), Net()
    saved = {name: tensor for name, tensor in net.state_dict().items() if name != "head.weight"}
    restore(file(model=saved), {"model": live})
    assert same(numbers(live), numbers(net))


OBSTACLES = [
    (lambda: nn.Linear(2, 2, device="meta"), "no memory"),
    (lambda: nn.LazyLinear(2), "run one batch"),
    (lambda: nn.ParameterDict({"weight": nn.Parameter(torch.zeros(1).expand(2)), "bias": None}), "share memory"),
]


@pytest.mark.parametrize(("make", "reason"), OBSTACLES, ids=["meta", "lazy", "expanded"])
def test_what_cannot_be_copied_into(file, make, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        live = make()
    found = lines(lambda: restore(file(m=nn.Linear(2, 2).state_dict()), {"m": live}))
    assert reason in found[0]


def test_a_failure_half_way_is_taken_back(file, monkeypatch):
    saved, live = (
        trained(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))),
        nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)),
    )
    before, copies = numbers(live), []
    copy = torch.Tensor.copy_

    def failing(self: Any, other: Any) -> Any:
        copies.append(self)
        if len(copies) == 3:
            raise RuntimeError("out of memory")
        return copy(self, other)

    monkeypatch.setattr(torch.Tensor, "copy_", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        restore(file(model=saved), {"model": live})
    assert len(copies) > 3
    assert same(numbers(live), before)


# -- extra state ------------------------------------------------------------------------------------------------------


class Counting(nn.Linear):
    count = 0

    def get_extra_state(self) -> dict[str, int]:
        return {"count": self.count}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def test_extra_state(file):
    saved, live = nn.Sequential(Counting(2, 2)), nn.Sequential(Counting(2, 2))
    saved[0].count = 5
    restore(file(m=saved.state_dict()), {"m": live})
    assert live[0].count == 5
    assert lines(lambda: restore(file(m=saved.state_dict()), {"m": nn.Sequential(nn.Linear(2, 2))})) == [
        "m.0._extra_state: in the file, not in the live object"
    ]


# -- lists, Flux and Julia --------------------------------------------------------------------------------------------


def test_weights_in_order(file):
    net, live = (
        trained(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))),
        nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)),
    )
    weights = [parameter.detach().numpy() for parameter in net.parameters()]
    restore(file(w=weights), {"w": live})
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), live.parameters(), strict=True))
    assert lines(lambda: restore(file(w=weights[:-1]), {"w": live})) == ["w.1.bias: no weight left for it"]
    assert lines(lambda: restore(file(w=[*weights, weights[0], *weights]), {"w": live}))


def test_weights_in_order_of_a_model_that_is_partly_frozen(file):
    net, live = (
        trained(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))),
        nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)),
    )
    live[0].requires_grad_(False)
    whole = [parameter.detach() for parameter in net.parameters()]
    restore(file(w=whole[2:]), {"w": live})
    assert torch.equal(live[1].weight, net[1].weight)
    assert not torch.equal(live[0].weight, net[0].weight)
    restore(file(w=whole), {"w": live})
    assert same(numbers(live), numbers(net))


def chain() -> Any:
    return flux.Chain(flux.Dense(10, 5, flux.relu), flux.Dense(5, 2), flux.softmax)


def test_a_flux_model(file):
    saved, live = chain(), chain()
    restore(file(model=saved), {"model": live})
    assert same(numbers(live), numbers(saved))
    plain = nn.Sequential(nn.Linear(10, 5), nn.Linear(5, 2))
    restore(file(model=saved), {"model": plain})
    assert torch.equal(plain[1].weight, saved[1].weight)


@needs_julia_files
@pytest.mark.parametrize("version", ["0.8.3", "0.12.1", "0.16.9"])
def test_a_model_that_julia_saved(version):
    live, other = chain(), nn.Sequential(nn.Linear(10, 5), nn.Linear(5, 2))
    folder = JULIA / f"flux-{version}"
    restore(bson.open_file(folder / "doc_model.bson"), {"model": live})
    restore(bson.open_file(folder / "doc_model.bson"), {"model": other})
    x = torch.rand(3, 10)
    assert torch.allclose(live(x), torch.softmax(other[1](torch.relu(other[0](x))), -1), atol=1e-6)


@needs_julia_files
@pytest.mark.parametrize("version", ["0.8.3", "0.12.1", "0.16.9"])
def test_weights_that_julia_saved(version):
    file = bson.open_file(JULIA / f"flux-{version}" / "doc_weights.bson")
    live = chain()
    before = numbers(live)
    restore(file, {"weights": live})
    assert not same(numbers(live), before)


def test_a_tree_of_flux_state():
    """``Flux.state(Chain(Dense(3 => 2), BatchNorm(2)))`` as it comes from a file."""
    from holdfast.julia import NamedTuple

    f = np.float32
    dense = NamedTuple(["weight", "bias", "σ"], [np.ones((2, 3), f), np.ones(2, f), ()])
    names = ["λ", "β", "γ", "μ", "σ²", "ϵ", "active"]
    norm = NamedTuple(
        names, [(), np.full(2, 2, f), np.full(2, 3, f), np.full(2, 4, f), np.full(2, 5, f), f(1e-5), None]
    )
    tree = NamedTuple(["layers"], [(dense, norm)])
    live = flux.Chain(flux.Dense(3, 2), flux.BatchNorm(2))
    plan = plan_module(live, tree, "model", Bonds())
    assert plan.differences == []
    carry_out(plan.steps)
    assert live[0].weight.sum() == 6
    assert [live[1].beta[0], live[1].gamma[0], live[1].mean[0], live[1].var[0]] == [2, 3, 4, 5]


# -- tensors, generators, schedulers ----------------------------------------------------------------------------------


def test_a_tensor_is_filled_in_place(file):
    target = torch.zeros(2, 3, requires_grad=True)
    view = target.detach()[0]
    restore(file(t=torch.ones(2, 3)), {"t": target})
    assert view.tolist() == [1, 1, 1]
    restore(file(t=np.full((2, 3), 2, np.float32)), {"t": target})
    assert view.tolist() == [2, 2, 2]
    assert lines(lambda: restore(file(t=torch.ones(3)), {"t": target})) == [
        "t: shape (3,) in the file, (2, 3) in the live object"
    ]
    assert lines(lambda: restore(file(t=[1]), {"t": target})) == ["t: list in the file, a tensor in the live object"]


def test_an_array_from_a_tensor(file):
    target = np.zeros(2, np.float32)
    restore(file(t=torch.ones(2)), {"t": target})
    assert target.all()


def test_an_inference_tensor(file):
    with torch.inference_mode():
        target = torch.zeros(2)
    restore(file(t=torch.ones(2)), {"t": target})
    assert target.sum() == 2


ARRAYS = [
    np.arange(4, dtype=">i4"),
    np.arange(4.0)[::-1],
    np.broadcast_to(np.float32(3), (2,)),
    np.zeros((2, 0)),
    np.float64(3),
    np.arange(3, dtype=np.uint16),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_as_tensor(array):
    tensor = as_tensor(array)
    assert tensor.tolist() == np.asarray(array).tolist()


def test_as_tensor_of_small_floats():
    import ml_dtypes

    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        tensor = as_tensor(np.array([0.5, 2, -1]).astype(getattr(ml_dtypes, name)))
        assert tensor.dtype is getattr(torch, name)
        assert tensor.float().tolist() == [0.5, 2, -1]


@pytest.mark.parametrize("form", [lambda g: g, lambda g: g.get_state()], ids=["generator", "state"])
def test_a_generator(file, form):
    saved, live = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    torch.rand(3, generator=saved)
    restore(file(g=form(saved)), {"g": live})
    assert torch.equal(torch.rand(3, generator=live), torch.rand(3, generator=saved))
    assert lines(lambda: restore(file(g=3), {"g": live})) == [
        "g: int in the file, a generator on cpu in the live object"
    ]


def scheduled(kind: Any, *arguments: Any, steps: int = 0, **options: Any) -> tuple[Any, Any]:
    opt = torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.5)
    scheduler = kind(opt, *arguments, **options)
    for _ in range(steps):
        opt.step()
        scheduler.step(*([1.0] if kind is schedulers.ReduceLROnPlateau else []))
    return opt, scheduler


schedulers = torch.optim.lr_scheduler


def sequential(opt: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [schedulers.ConstantLR(opt, 0.5, 2), schedulers.ExponentialLR(opt, 0.9)]
        return schedulers.SequentialLR(opt, parts, [2])


SCHEDULERS = [
    (schedulers.StepLR, (2,)),
    (schedulers.CosineAnnealingLR, (10,)),
    (schedulers.OneCycleLR, (1.0, 20)),
    (schedulers.CyclicLR, (0.1, 1.0)),
    (schedulers.ReduceLROnPlateau, ()),
    (sequential, ()),
]


@pytest.mark.parametrize("form", [lambda s: s, lambda s: s.state_dict()], ids=["scheduler", "state_dict"])
@pytest.mark.parametrize(("kind", "arguments"), SCHEDULERS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler(file, kind, arguments, form):
    options = {"cycle_momentum": False} if kind in (schedulers.OneCycleLR, schedulers.CyclicLR) else {}
    opt, saved = scheduled(kind, *arguments, steps=5, **options)
    live_opt, live = scheduled(kind, *arguments, **options)
    restore(file(s=form(saved), o=opt), {"s": live, "o": live_opt})
    assert live.state_dict() == saved.state_dict()
    assert live.optimizer is live_opt
    for pair in ((opt, saved), (live_opt, live)):
        pair[0].step()
        pair[1].step(*([2.0] if kind is schedulers.ReduceLROnPlateau else []))
    assert live_opt.param_groups[0]["lr"] == opt.param_groups[0]["lr"]


def test_another_scheduler(file):
    _, saved = scheduled(schedulers.StepLR, 2)
    _, live = scheduled(schedulers.ExponentialLR, 0.9)
    before = dict(live.state_dict())
    assert lines(lambda: restore(file(s=saved), {"s": live})) == ["s: saved by StepLR, restoring into ExponentialLR"]
    found = lines(lambda: restore(file(s=saved.state_dict()), {"s": live}))
    assert found == ["s.step_size: in the file, not in the live object"]
    assert live.state_dict() == before


def test_a_grad_scaler(file):
    saved, live = torch.amp.GradScaler("cpu", init_scale=8.0), torch.amp.GradScaler("cpu")
    for form in (saved, saved.state_dict()):
        live = torch.amp.GradScaler("cpu")
        restore(file(s=form), {"s": live})
        assert live.state_dict() == saved.state_dict()


def test_plain_targets_know_no_torch():
    assert plan_plain(object(), 1, "x").differences == ["x: object cannot be filled in place; use load instead"]
