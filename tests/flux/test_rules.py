"""The optimisers' rules against Julia: what Flux 0.12.1, Flux 0.14.25 and Optimisers.jl make of given gradients."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flux.julia_files import array, reference
from holdfast.flux import Chain, Dense, mse, optimisers, rules, tanh, train
from holdfast.flux.optimise import FluxOptimiser, Optimiser

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "optimise.json").read_text("utf-8"))
CASES = VECTORS["cases"]
TOLERANCE = {"Float32": 3e-7, "Float64": 1e-13}
DTYPES = {"Float32": torch.float32, "Float64": torch.float64}
CLASSIC = {**rules.RULES, "ADAMW": rules.ADAMW}
ERAS: dict[str, dict[str, Any]] = {
    "0.12.1": CLASSIC,
    "0.14.25": {**CLASSIC, "AdaBelief": lambda: rules.AdaBelief(corrected=True)},
    "Optimisers": dict(optimisers.RULES),
}
PYTHON = {"; centred = true": ", centred=True", "; couple = false": ", couple=False"}


def made(expression: str, era: str) -> FluxOptimiser:
    """The optimiser of a Julia expression, which but for keywords is Python's as well."""
    for julia, python in PYTHON.items():
        expression = expression.replace(julia, python)
    optimiser = eval(expression, ERAS[era])
    assert isinstance(optimiser, FluxOptimiser)
    return optimiser


def shaped(numbers: list[float], size: list[int], dtype: torch.dtype) -> Tensor:
    """Julia's array from its numbers, column-major."""
    return turned(torch.tensor(numbers, dtype=dtype).reshape(*reversed(size)))


def turned(x: Tensor) -> Tensor:
    """The axes reversed."""
    return x.permute(*reversed(range(x.dim())))


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance * 0.1)


def parameters(dtype: torch.dtype) -> list[Tensor]:
    pairs = zip(VECTORS["start"], VECTORS["sizes"], strict=True)
    return [shaped(numbers, size, dtype).requires_grad_() for numbers, size in pairs]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['era']}-{case['dtype']}-{case['expr']}")
def test_against_julia(case: dict[str, Any]) -> None:
    if (case["era"], case["dtype"], case["expr"]) == ("Optimisers", "Float64", "Descent()"):
        pytest.skip("its default there is Float32's 0.1, which is another number in Float64; here it is 0.1")
    dtype, tolerance = DTYPES[case["dtype"]], TOLERANCE[case["dtype"]]
    optimiser, held = made(case["expr"], case["era"]), parameters(dtype)
    optimiser.bind(held)
    stopping = {0: case["after"][0], 4: case["after"][-1]}
    for step, gradients in enumerate(VECTORS["gradients"][case["dtype"]]):
        for parameter, gradient, size in zip(held, gradients, VECTORS["sizes"], strict=True):
            parameter.grad = shaped(gradient, size, dtype)
        optimiser.step()
        if step in stopping:
            for parameter, numbers, size in zip(held, stopping[step], VECTORS["sizes"], strict=True):
                assert close(parameter.detach(), shaped(numbers, size, dtype), tolerance)
    if case["era"] != "Optimisers":
        check_state(optimiser, held, case["state"], tolerance)


def check_state(optimiser: FluxOptimiser, held: list[Tensor], expected: list[Any], tolerance: float) -> None:
    """Every part's state for every parameter, in the order of Flux's tuple."""
    parts = list(optimiser) if isinstance(optimiser, Optimiser) else [optimiser]
    for part, states in zip(parts, expected, strict=True):
        for parameter, state in zip(held, states, strict=True):
            kept = part.kept(parameter)
            if state is None or kept is None:
                assert state is kept is None
                continue
            values, theirs = (kept, state) if isinstance(kept, tuple) else ((kept,), [state])
            for value, other in zip(values, theirs, strict=True):
                flat = (
                    turned(value).flatten()
                    if isinstance(value, Tensor)
                    else torch.tensor(value, dtype=torch.float64).flatten()
                )
                assert close(flat.double(), torch.tensor(other, dtype=torch.float64).flatten(), tolerance)


TRAINED = {
    "ADAM": "ADAM()",
    "ADAMW_0.01": "ADAMW(0.001, (0.9, 0.999), 0.01)",
    "ADAMW": "ADAMW(0.001, (0.9, 0.999), 0.01)",
    "ADADelta": "ADADelta()",
    "ADAGrad": "ADAGrad()",
    "AMSGrad": "AMSGrad()",
    "AdaBelief": "AdaBelief()",
    "AdaMax": "AdaMax()",
    "ClipValue": "ClipValue(0.1)",
    "Descent": "Descent(0.1)",
    "Momentum": "Momentum()",
    "NADAM": "NADAM()",
    "Nesterov": "Nesterov()",
    "OADAM": "OADAM()",
    "Optimiser_ClipNorm": "Optimiser(ClipNorm(1.0), ADAM())",
    "Optimiser_ExpDecay": "Optimiser(ExpDecay(0.001, 0.1, 2, 1e-4), ADAM())",
    "Optimiser_InvDecay": "Optimiser(InvDecay(0.001), Momentum())",
    "Optimiser_WeightDecay": "Optimiser(WeightDecay(0.01), Descent(0.1))",
    "WeightDecay": "Optimiser(WeightDecay(0.01), Descent(0.1))",
    "RADAM": "RADAM()",
    "RMSProp": "RMSProp()",
}
OTHER_IN_08 = {
    "ADADelta": "Flux 0.8.3 never moves",
    "ADAGrad": "trained in Float64, from other numbers",
    "NADAM": "Flux 0.8.3 always divides by the first powers",
    "Optimiser_ExpDecay": "Flux 0.8.3 multiplies by decay",
}


@pytest.mark.parametrize("version", ["0.8.3", "0.12.1"])
@pytest.mark.parametrize("name", TRAINED)
def test_julias_training(version: str, name: str) -> None:
    """Three steps of ``train`` from Julia's first weights give Julia's weights and the state that Julia saved."""
    case = reference(version, f"opt_{name}")
    if version == "0.8.3" and name in OTHER_IN_08:
        pytest.skip(OTHER_IN_08[name])
    first = VECTORS["trained"]
    w1, w2 = shaped(first["W1"], [3, 4], torch.float32), shaped(first["W2"], [2, 3], torch.float32)
    model = Chain(Dense.of(w1, True, tanh), Dense.of(w2))
    x, y = (torch.tensor(first[key]).reshape(5, -1) for key in "xy")
    assert torch.equal(x, case["inputs"][0])
    optimiser = made(TRAINED[name], "0.12.1")
    train(lambda x, y: mse(model(x), y), model, [(x, y)] * 3, optimiser)
    for ours, theirs in zip(model.parameters(), case["params"], strict=True):
        assert torch.allclose(turned(ours.detach()), theirs, rtol=1e-5, atol=2e-6)
    for states in case["opt_state_by_param"].values():
        for parameter, state in zip(model.parameters(), states, strict=True):
            compare_saved(optimiser.kept(parameter), state)


def compare_saved(kept: Any, saved: dict[str, Any]) -> None:
    values = kept if isinstance(kept, tuple) else (kept,)
    for value, theirs in zip(values, saved.get("tuple", [saved]), strict=True):
        if isinstance(value, Tensor):
            assert torch.allclose(turned(value).double(), array(theirs["array"]).double(), rtol=1e-4, atol=1e-7)
        elif "array" in theirs:
            assert list(value) == pytest.approx(theirs["array"]["data"], rel=1e-15)
        elif "tuple" in theirs:
            assert list(value) == pytest.approx([part["value"] for part in theirs["tuple"]], rel=1e-15)


def test_every_rule_is_tried() -> None:
    tried = {name for case in CASES for name in ERAS[case["era"]] if name + "(" in case["expr"]}
    assert tried >= {*rules.RULES, *optimisers.RULES} - {"RAdam", "OAdam", "NAdam", "AdaGrad", "AdaDelta"}


@pytest.mark.parametrize("table", [rules.RULES, optimisers.RULES], ids=["rules", "optimisers"])
def test_names_fields_and_repr(table: dict[str, type[FluxOptimiser]]) -> None:
    for kind in table.values():
        if not issubclass(kind, Optimiser):
            assert eval(repr(kind()), {kind.__name__: kind}).fields() == kind().fields()
            assert kind.of(kind().fields()).fields() == kind().fields()
            assert len(kind.FIELDS) >= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64], ids=str)
@pytest.mark.parametrize("kind", sorted({*rules.RULES.values(), *optimisers.RULES.values()}, key=repr))
def test_every_dtype_moves_and_stays(kind: type[FluxOptimiser], dtype: torch.dtype) -> None:
    if issubclass(kind, Optimiser):
        pytest.skip("is made of the others")
    if dtype.is_complex and kind.__name__ in (
        "AdaMax",
        "AMSGrad",
        "ClipValue",
        "ClipGrad",
        "Lion",
        "Rprop",
        "SignDecay",
    ):
        pytest.skip("compares, or takes signs, as Flux's does, and complex numbers have neither")
    parameter = torch.ones(3, dtype=dtype, requires_grad=True)
    optimiser = kind([parameter])
    for _ in range(3):
        parameter.grad = torch.full_like(parameter, 0.5)
        optimiser.step()
    assert parameter.dtype == dtype
    assert torch.view_as_real(parameter.detach()).isfinite().all() if dtype.is_complex else parameter.isfinite().all()
    assert torch.equal(parameter.grad, torch.full_like(parameter, 0.5))


def test_clipnorm_of_today_refuses_what_is_not_finite() -> None:
    parameter = torch.ones(2, requires_grad=True)
    parameter.grad = torch.tensor([torch.inf, 1])
    with pytest.raises(Exception, match=r"ClipNorm: the gradient of a parameter of shape \(2,\) is inf"):
        optimisers.ClipNorm([parameter]).step()
    parameter.grad = torch.zeros(2)
    optimisers.ClipNorm([parameter]).step()
    assert parameter.tolist() == [1, 1]
