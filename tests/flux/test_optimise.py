"""The frame of the optimisers: parameters, fields, state, and torch's own ways of using them."""

import copy
import inspect
import io
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from holdfast.errors import MismatchError
from holdfast.flux import (
    ADAM,
    ADAMW,
    Adam,
    AdamW,
    Chain,
    Dense,
    Descent,
    ExpDecay,
    Momentum,
    Optimiser,
    OptimiserChain,
    WeightDecay,
    params,
    relu,
)
from holdfast.flux.optimise import FluxOptimiser, wide
from holdfast.flux.rules import RADAM, RMSProp


def model() -> Chain:
    return Chain(Dense(3, 4, relu), Dense(4, 2))


def stepped(m: nn.Module, opt: torch.optim.Optimizer, times: int = 1) -> None:
    for _ in range(times):
        opt.zero_grad()
        m(torch.ones(2, 3)).square().sum().backward()
        opt.step()


def test_the_pages_forms() -> None:
    m = model()
    for opt in (ADAM(params(m)), ADAM(m), ADAM(m.parameters()), ADAM(list(m.parameters()))):
        assert opt.param_groups[0]["params"][0] is m[0].weight
        assert len(opt.param_groups[0]["params"]) == 4
        assert (opt.eta, opt.beta, opt.epsilon) == (0.001, (0.9, 0.999), 1e-8)
    opt = ADAM(params(m), 0.01, (0.8, 0.9))
    assert (opt.eta, opt.beta) == (0.01, (0.8, 0.9))
    assert ADAM(0.01).param_groups[0]["params"] == []
    assert ADAM(0.01, beta=(0.5, 0.5)).beta == (0.5, 0.5)
    assert isinstance(opt, torch.optim.Optimizer)


def test_signature_and_repr() -> None:
    assert str(inspect.signature(ADAM)) == "(params=None, /, eta=0.001, beta=(0.9, 0.999), epsilon=1e-08)"
    assert repr(ADAM(model())) == "ADAM(0.001, (0.9, 0.999))"
    assert repr(ADAM(0.01, epsilon=1e-7)) == "ADAM(0.01, (0.9, 0.999), epsilon=1e-07)"
    assert repr(ExpDecay()) == "ExpDecay(0.001, 0.1, 1000, 0.0001)"
    assert repr(ADAMW(0.001, (0.9, 0.999), 0.1)) == "Optimiser(ADAM(0.001, (0.9, 0.999)), WeightDecay(0.1))"
    assert repr(AdamW(0.01, (0.9, 0.999), 0.1)) == "AdamW(0.01, (0.9, 0.999), 0.1)"


def test_fields_are_torchs_groups() -> None:
    m = model()
    opt = ADAM([{"params": m[0].parameters(), "lr": 0.5}, {"params": m[1].parameters()}])
    assert [group["lr"] for group in opt.param_groups] == [0.5, 0.001]
    assert opt.eta == 0.5
    before = m[1].weight.detach().clone()
    stepped(m, opt)
    assert (m[1].weight - before).abs().max() <= 0.0011
    opt.eta = 0.25
    assert [group["lr"] for group in opt.param_groups] == [0.25, 0.25]


def test_schedulers_work() -> None:
    m = model()
    opt = Descent(m, 1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 1, gamma=0.5)
    stepped(m, opt)
    scheduler.step()
    assert opt.eta == 0.5


def test_binding() -> None:
    m, other = model(), Dense(2, 2)
    opt = Momentum(0.1)
    opt.bind(params(m))
    opt.bind(params(m, other))
    assert [id(p) for p in opt.param_groups[0]["params"]] == [id(p) for p in params(m, other)]
    with pytest.raises(MismatchError, match="can only hold parameters"):
        opt.bind([m[0].weight * 2])


def test_parameters_without_gradient_are_left_alone() -> None:
    m = model()
    opt = ADAM(m)
    m[1](torch.ones(4)).sum().backward()
    before = m[0].weight.detach().clone()
    opt.step()
    assert torch.equal(m[0].weight, before)
    assert opt.kept(m[0].weight) is None
    assert opt.kept(m[1].weight) is not None


def test_tied_parameters_are_one() -> None:
    layer = Dense(3, 3)
    assert len(ADAM(params(Chain(layer, layer))).param_groups[0]["params"]) == 2


def test_state_is_named_as_in_flux() -> None:
    m = model()
    opt = RADAM(m)
    stepped(m, opt, 2)
    state = opt.state[m[0].weight]
    assert list(state) == ["mt", "vt", "βp", "t"]
    assert state["βp"] == (0.9**3, pytest.approx(0.999**3))
    assert state["t"] == 3
    assert state["mt"].stride() == m[0].weight.stride() == (1, 4)
    assert opt.kept(m[0].weight) == tuple(state.values())


def test_of_goes_on_where_another_stopped() -> None:
    m = model()
    twin = copy.deepcopy(m)
    opt = ADAM(m, 0.1)
    stepped(m, opt, 3)
    state = {
        theirs: tuple(v.clone() if isinstance(v, torch.Tensor) else v for v in opt.kept(ours))
        for ours, theirs in zip(m.parameters(), twin.parameters(), strict=True)
    }
    twin.load_state_dict(m.state_dict())
    again = ADAM.of(opt.fields(), state, twin.parameters())
    assert again.fields() == (0.1, (0.9, 0.999), 1e-8)
    stepped(m, opt)
    stepped(twin, again)
    assert all(torch.equal(one, other) for one, other in zip(m.parameters(), twin.parameters(), strict=True))
    bare = RMSProp.of((0.1, 0.9), {m[0].weight: torch.ones(4, 3)})
    assert bare.kept(m[0].weight).tolist() == torch.ones(4, 3).tolist()
    assert len(bare.param_groups[0]["params"]) == 1


def test_of_takes_an_array_for_the_products() -> None:
    m = model()
    stepped(
        m,
        ADAM.of((0.1,), {p: (p.detach() * 0, p.detach() * 0, torch.tensor([0.9, 0.999]).double()) for p in params(m)}),
    )


MAKERS: list[Any] = [
    lambda m: ADAM(m, 0.1),
    lambda m: Momentum(m),
    lambda m: Optimiser(params(m), ExpDecay(0.1, 0.5, 2), WeightDecay(0.1), ADAM(0.5)),
    lambda m: OptimiserChain(params(m), Adam(0.5), Optimiser(WeightDecay(0.1), Descent())),
]


@pytest.mark.parametrize("make", MAKERS)
def test_state_dict_round_trip(make: Any) -> None:
    m = model()
    opt = make(m)
    stepped(m, opt, 3)
    file = io.BytesIO()
    torch.save({"model": m.state_dict(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    twin = model()
    again = make(twin)
    twin.load_state_dict(saved["model"])
    again.load_state_dict(saved["opt"])
    assert repr(again) == repr(opt)
    stepped(m, opt, 2)
    stepped(twin, again, 2)
    assert all(torch.equal(one, other) for one, other in zip(m.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_drives_the_copied_model(make: Any, copied: Any) -> None:
    m = Chain(Dense(3, 4), Dense(4, 2))
    opt = make(m)
    stepped(m, opt, 2)
    twin, again = copied((m, opt))
    assert again.param_groups[0]["params"][0] is twin[0].weight
    stepped(m, opt)
    stepped(twin, again)
    assert all(torch.equal(one, other) for one, other in zip(m.parameters(), twin.parameters(), strict=True))


def test_composition() -> None:
    m = model()
    decay, adam = WeightDecay(0.1), ADAM(0.5)
    opt = Optimiser(decay, adam)
    assert (len(opt), list(opt), opt[1], opt[-1]) == (2, [decay, adam], adam, adam)
    opt.bind(params(m))
    assert len(adam.param_groups[0]["params"]) == 4
    stepped(m, opt)
    assert list(adam.state[m[0].weight]) == ["mt", "vt", "βp"]
    opt.append(Descent(0.1))
    opt[0] = WeightDecay(0.2)
    assert len(opt[0].param_groups[0]["params"]) == len(opt[2].param_groups[0]["params"]) == 4
    stepped(m, opt)
    assert repr(opt) == "Optimiser(WeightDecay(0.2), ADAM(0.5, (0.9, 0.999)), Descent(0.1))"
    again = Optimiser.of([WeightDecay(0.1), ADAM.of((0.5,), {m[0].weight: adam.kept(m[0].weight)})])
    assert again.param_groups[0]["params"][0] is m[0].weight


def test_a_closure_is_evaluated() -> None:
    m = model()
    opt = Descent(m, 0.01)

    def closure() -> float:
        opt.zero_grad()
        loss = m(torch.ones(2, 3)).square().sum()
        loss.backward()
        return loss.item()

    before = m(torch.ones(2, 3)).square().sum().item()
    assert opt.step(closure) == pytest.approx(before)
    assert m(torch.ones(2, 3)).square().sum().item() < before or before == 0


def test_steps_do_not_touch_the_gradient() -> None:
    m = model()
    opt = Optimiser(params(m), WeightDecay(0.1), Descent(0.1))
    m(torch.ones(2, 3)).sum().backward()
    before = m[0].bias.grad.clone()
    opt.step()
    assert torch.equal(m[0].bias.grad, before)


def test_wide() -> None:
    assert wide(torch.ones(1)).dtype == torch.float64
    assert wide(torch.ones(1, dtype=torch.complex64)).dtype == torch.complex128


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ADAM(0.1, (0.9, 0.9), 1e-8, 5), "ADAM has the fields eta, beta, epsilon"),
        (lambda: ADAM(0.1, lr=3), r"got \['lr'\]"),
        (lambda: Optimiser(ADAM(), 3), "made of Flux's optimisers"),
        (lambda: ADAMW(0.1, (0.9, 0.9), 0.1, 0.1), "ADAMW takes eta, beta and decay"),
        (lambda: Optimiser(ADAM()).load_state_dict({"os": []}), "has 1 members; the saved one has 0"),
    ],
)
def test_refusals(make: Any, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()


def test_the_frame_alone_has_no_rule() -> None:
    parameter = torch.ones(1, requires_grad=True)
    parameter.grad = torch.ones(1)
    with pytest.raises(NotImplementedError):
        FluxOptimiser([parameter]).step()
