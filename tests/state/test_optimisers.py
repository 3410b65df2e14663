"""An optimiser's state goes to the parameter that it was for, by name where names are known."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from holdfast import flux  # noqa: E402
from holdfast.codec.rule import Options  # noqa: E402
from holdfast.errors import MismatchError  # noqa: E402
from holdfast.formats import bson  # noqa: E402
from holdfast.state.restore import carry_out, restore  # noqa: E402
from holdfast.state.torch_targets import Bonds, plan_torch  # noqa: E402
from holdfast.vocab import vocabulary  # noqa: E402
from reference import JULIA, needs_julia_files  # noqa: E402

X = torch.rand(8, 4)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.second = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.second(torch.tanh(self.first(x)))


class Turned(nn.Module):
    """The same names in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(3, 2)
        self.first = nn.Linear(4, 3)

    forward = Net.forward


def step(model: Any, opt: Any, times: int = 3) -> None:
    for _ in range(times):
        opt.zero_grad()
        model(X).square().sum().backward()
        opt.step(*([lambda: model(X).square().sum()] if isinstance(opt, torch.optim.LBFGS) else []))


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in sorted(model.state_dict().items())}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def lines(call: Any) -> list[str]:
    with pytest.raises(MismatchError) as found:
        call()
    return list(found.value.differences)


KINDS = [
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (torch.optim.Adam, {"lr": 0.1}),
    (torch.optim.AdamW, {"lr": 0.1, "amsgrad": True}),
    (torch.optim.RMSprop, {"lr": 0.1, "centered": True}),
    (torch.optim.Adagrad, {"lr": 0.1}),
    (torch.optim.Rprop, {}),
    (torch.optim.ASGD, {}),
    (torch.optim.Adafactor, {}),
    (torch.optim.LBFGS, {"lr": 0.1, "max_iter": 3}),
]


@pytest.mark.parametrize("form", [lambda o: o, lambda o: o.state_dict()], ids=["optimiser", "state_dict"])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
def test_training_goes_on_as_it_would_have(file, kind, options, form):
    model, live = Net(), Net()
    opt, live_opt = (
        kind(model.parameters(), **options),
        kind(live.parameters(), **({} if "lr" not in options else {"lr": 7.0})),
    )
    step(model, opt)
    restore(file(model=model, opt=form(opt)), {"opt": live_opt, "model": live})
    step(model, opt)
    step(live, live_opt)
    assert same(weights(live), weights(model))
    parameters = [p for group in live_opt.param_groups for p in group["params"]]
    assert all(a is b for a, b in zip(parameters, live.parameters(), strict=True))


@pytest.mark.parametrize("names", [False, True])
def test_state_is_the_live_optimisers_own(file, names):
    model = Net()
    opt = torch.optim.Adam(model.named_parameters() if names else model.parameters())
    step(model, opt)
    live = Net()
    live_opt = torch.optim.Adam(live.named_parameters() if names else live.parameters())
    restore(file(model=model, opt=opt), {"model": live, "opt": live_opt})
    assert live_opt.param_groups[0].get("param_names") == opt.param_groups[0].get("param_names")
    step(live, live_opt)
    assert not torch.equal(live_opt.state[live.first.weight]["exp_avg"], opt.state[model.first.weight]["exp_avg"])


# -- by name ----------------------------------------------------------------------------------------------------------


def test_another_order_of_parameters(file):
    model, live = Net(), Turned()
    opt, live_opt = torch.optim.Adam(model.parameters(), 0.1), torch.optim.Adam(live.parameters(), 0.1)
    step(model, opt)
    restore(file(model=model, opt=opt), {"model": live, "opt": live_opt})
    step(model, opt)
    step(live, live_opt)
    assert same(weights(live), weights(model))


def test_names_in_the_groups_of_a_state_dict(file):
    model, live = Net(), Turned()
    opt, live_opt = torch.optim.Adam(model.named_parameters(), 0.1), torch.optim.Adam(live.named_parameters(), 0.1)
    step(model, opt)
    restore(file(model=model, opt=opt.state_dict()), {"model": live, "opt": live_opt})
    step(model, opt)
    step(live, live_opt)
    assert same(weights(live), weights(model))


def test_groups_in_another_order(file):
    def groups(model: Any, rates: dict[str, float]) -> Any:
        return torch.optim.Adam(
            [{"params": getattr(model, name).parameters(), "lr": rate} for name, rate in rates.items()]
        )

    model, live = Net(), Net()
    opt, live_opt = groups(model, {"first": 0.1, "second": 0.2}), groups(live, {"second": 0.0, "first": 0.0})
    step(model, opt)
    restore(file(model=model, opt=opt), {"model": live, "opt": live_opt})
    assert [group["lr"] for group in live_opt.param_groups] == [0.2, 0.1]
    step(model, opt)
    step(live, live_opt)
    assert same(weights(live), weights(model))


def test_parameters_that_moved_between_groups(file):
    model, live = Net(), Net()
    opt = torch.optim.SGD([{"params": model.first.parameters()}, {"params": model.second.parameters()}], 0.1)
    live_opt = torch.optim.SGD(
        [{"params": [*live.first.parameters(), live.second.bias]}, {"params": [live.second.weight]}], 0.1
    )
    assert lines(lambda: restore(file(model=model, opt=opt), {"model": live, "opt": live_opt})) == [
        "opt.param_groups[0]: model.second.bias is not in this group of the file",
        "opt.param_groups[1]: model.second.bias is in this group of the file, not in the live object",
    ]


# -- what does not fit ------------------------------------------------------------------------------------------------


def test_another_kind_of_optimiser(file):
    model = Net()
    adam, sgd = torch.optim.Adam(model.parameters()), torch.optim.SGD(model.parameters(), 0.1)
    assert lines(lambda: restore(file(opt=adam), {"opt": sgd})) == ["opt: saved by Adam, restoring into SGD"]
    assert lines(lambda: restore(file(opt=adam.state_dict()), {"opt": sgd})) == [
        "opt: saved by an optimiser with amsgrad, betas, eps and without dampening, momentum, nesterov: not SGD"
    ]
    assert lines(lambda: restore(file(opt=model), {"opt": sgd}))[0].startswith("opt: ")


def test_groups_and_sizes_are_differences(file):
    model = Net()
    two = torch.optim.SGD([{"params": model.first.parameters()}, {"params": model.second.parameters()}], 0.1)
    one, short = torch.optim.SGD(model.parameters(), 0.1), torch.optim.SGD(model.first.parameters(), 0.1)
    for form in (two, two.state_dict()):
        assert lines(lambda form=form: restore(file(opt=form), {"opt": one})) == [
            "opt.param_groups: 2 in the file, 1 in the live object"
        ]
    for form in (short, short.state_dict()):
        assert lines(lambda form=form: restore(file(opt=form), {"opt": one})) == [
            "opt.param_groups[0]: 2 parameters in the file, 4 in the live object"
        ]


@pytest.mark.parametrize("form", ["optimiser", "state_dict"])
def test_shapes_are_compared_by_position(file, form):
    model, live = Net(), Turned()
    opt, live_opt = (
        torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
        torch.optim.SGD(live.parameters(), 0.1, momentum=0.9),
    )
    step(model, opt)
    found = lines(lambda: restore(file(opt=opt if form == "optimiser" else opt.state_dict()), {"opt": live_opt}))
    assert len(found) == 4
    assert found[0].startswith("opt.param_groups[0]: params[0]: ")
    assert "(3, 4)" in found[0]
    assert "(2, 3)" in found[0]
    assert not live_opt.state


def test_a_fault_in_another_target_leaves_the_optimiser_alone(file):
    model, live = Net(), Net()
    opt, live_opt = torch.optim.Adam(model.parameters(), 0.1), torch.optim.Adam(live.parameters(), 0.2)
    step(model, opt)

    class Failing:
        def state_dict(self) -> dict[str, int]:
            return {}

        def load_state_dict(self, state: Any) -> None:
            raise ValueError("no")

    step(live, live_opt)
    before, groups, state = weights(live), live_opt.param_groups, dict(live_opt.state)
    targets = {"model": live, "opt": live_opt, "z": Failing()}
    saved = file(model=model, opt=opt, z={})
    with pytest.raises(ValueError, match="no") as found:
        restore(saved, targets)
    assert "could not be put back" in found.value.__notes__[1]
    assert same(weights(live), before)
    assert live_opt.param_groups is groups
    assert dict(live_opt.state) == state


# -- Flux's -----------------------------------------------------------------------------------------------------------


def flux_pair(make: Any) -> tuple[Any, Any]:
    model = Net()
    return model, make(flux.params(model))


MAKERS = [
    lambda params: flux.ADAM(params, 0.1),
    lambda params: flux.Momentum(params, 0.1),
    lambda params: flux.Optimiser(params, flux.WeightDecay(0.1), flux.ADAM(0.1)),
]


@pytest.mark.parametrize("make", MAKERS, ids=["ADAM", "Momentum", "Optimiser"])
@pytest.mark.parametrize("form", [lambda o: o, lambda o: o.state_dict()], ids=["optimiser", "state_dict"])
def test_flux_optimisers(make, form):
    """What comes from a file of Flux's is an optimiser of ``holdfast.flux`` around the file's own parameters."""
    (model, opt), (live, live_opt) = flux_pair(make), flux_pair(make)
    step(model, opt)
    bonds = Bonds()
    for target, saved, name in ((live, model, "model"), (live_opt, form(opt), "opt")):
        plan = plan_torch(target, saved, name, bonds)
        assert plan is not None
        assert plan.differences == []
        carry_out(plan.steps)
    step(model, opt)
    step(live, live_opt)
    assert same(weights(live), weights(model))


def test_a_chain_of_another_length():
    (model, opt), (live, live_opt) = flux_pair(MAKERS[2]), flux_pair(MAKERS[2])
    live_opt.append(flux.Descent(0.1))
    bonds = Bonds()
    plan_torch(live, model, "model", bonds)
    plan = plan_torch(live_opt, opt, "opt", bonds)
    assert plan is not None
    assert plan.differences == ["opt: 2 optimisers in the file, 3 in the live object"]


def test_a_flux_optimiser_without_its_model():
    (model, opt), (_, live_opt) = flux_pair(MAKERS[0]), flux_pair(MAKERS[0])
    step(model, opt)
    plan = plan_torch(live_opt, opt, "opt", Bonds())
    assert plan is not None
    assert plan.differences == [
        "opt.param_groups[0]: ADAM does not say the order of its parameters; restore their model with it"
    ]


JULIA_MAKERS = {
    "ADAM": lambda params: flux.ADAM(params, 7.0),
    "Momentum": lambda params: flux.Momentum(params, 7.0),
    "Descent": lambda params: flux.Descent(params, 7.0),
    "Optimiser_WeightDecay": lambda params: flux.Optimiser(params, flux.WeightDecay(7.0), flux.Descent(7.0)),
}


@needs_julia_files
@pytest.mark.parametrize("name", JULIA_MAKERS)
def test_an_optimiser_that_julia_saved(name):
    """Restored into live objects it is the one that ``load`` builds."""
    file = bson.open_file(JULIA / "flux-0.12.1" / f"opt_{name}.bson")
    rules = vocabulary()
    loaded = file.lift(file.audit(file.names, rules), file.names, rules, Options())
    live = flux.Chain(flux.Dense(4, 3, torch.tanh), flux.Dense(3, 2))
    opt = JULIA_MAKERS[name](flux.params(live))
    restore(file, {"opt": opt, "model": live})
    assert repr(opt) == repr(loaded["opt"])
    for mine, theirs in zip(live.parameters(), loaded["model"].parameters(), strict=True):
        assert torch.equal(mine, theirs)
        kept, expected = opt.kept(mine), loaded["opt"].kept(theirs)
        assert (kept is None) == (expected is None)
        pairs = zip(kept or (), expected or (), strict=True) if isinstance(kept, tuple) else [(kept, expected)]
        for a, b in pairs:
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
