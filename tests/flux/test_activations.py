"""Activation functions against NNlib's own numbers, version by version, and against Julia's models."""

import builtins
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from flux.julia_files import VERSIONS, error, model, outputs, reference
from holdfast import flux
from holdfast.flux.activations import ACTIVATIONS, EQUIVALENT, VARIANTS, hardsigmoid_slope, julia_name

NUMBERS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "activations.json").read_text("utf-8"))
CASES = [(version, name) for version, table in NUMBERS["versions"].items() for name in table]
RANDOM = {"rrelu"}
NOT_ELEMENTWISE = {"softmax", "logsoftmax"}


def older(one: str, other: str) -> bool:
    return [int(part) for part in one.split(".")] <= [int(part) for part in other.split(".")]


def of_version(name: str, version: str) -> Any:
    """The function that this version of NNlib had under the name, by VARIANTS."""
    for variant in VARIANTS.get(name, ()):
        if older(variant.since or "0", version) and older(version, variant.until or "999"):
            return variant.function
    return ACTIVATIONS[name]


@pytest.mark.parametrize(("version", "name"), CASES)
def test_against_nnlib(version: str, name: str) -> None:
    for dtype, relative, absolute in ((torch.float32, 2e-6, 2e-7), (torch.float64, 1e-12, 2e-15)):
        x = torch.tensor(NUMBERS["x"], dtype=dtype)
        theirs = NUMBERS["versions"][version][name]["Float32" if dtype == torch.float32 else "Float64"]
        expected = torch.tensor([float(number) for number in theirs], dtype=dtype)
        ours = of_version(name, version)(x)
        assert torch.allclose(ours, expected, relative, absolute), (ours - expected).tolist()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [*sorted({
    "abs", "abs2", "celu", "elu", "exp", "gelu", "hardsigma", "hardswish", "hardtanh", "identity", "leakyrelu",
    "lisht", "logcosh", "logsigma", "mish", "relu", "relu6", "selu", "sigma", "sigmoid_fast", "sin", "softplus",
    "softshrink", "softsign", "swish", "tanh", "tanh_fast", "tanhshrink", "trelu",
})])  # fmt: skip
def test_in_julias_models(version: str, name: str) -> None:
    case = reference(version, f"dense_{name}")
    layer = model(version, f"dense_{name}")
    assert error(outputs(layer, case["inputs"])[0], case["outputs"][0]) < 1e-6


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - NOT_ELEMENTWISE))
def test_shape_dtype_and_gradient(name: str) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.tensor([[0.2, 0.7, 1.3], [0.1, 2.0, 0.4]], dtype=dtype, requires_grad=True)
        y = ACTIVATIONS[name](x)
        assert (y.shape, y.dtype) == (x.shape, dtype)
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - NOT_ELEMENTWISE - RANDOM))
def test_gradient_is_the_slope(name: str) -> None:
    x = torch.tensor([0.3, 0.75, 1.6, 2.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ACTIVATIONS[name], x)


@pytest.mark.parametrize("name", ["σ", "softplus", "logσ", "logcosh", "swish", "elu", "celu", "selu", "mish", "gelu"])
def test_gradient_far_out_is_finite(name: str) -> None:
    x = torch.tensor([-1e4, -200.0, 0.0, 200.0, 1e4], requires_grad=True)
    ACTIVATIONS[name](x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_names() -> None:
    """A layer prints the name by which ACTIVATIONS, and the package, know the function."""
    for name, function in ACTIVATIONS.items():
        assert ACTIVATIONS[function.__name__] is function
        assert julia_name(function) == function.__name__
        if name not in ("abs", "σ_stable"):
            assert getattr(flux, name) is function
    assert ACTIVATIONS["abs"] is builtins.abs
    assert all(julia_name(theirs) == ours.__name__ for theirs, ours in EQUIVALENT.items())
    assert julia_name(lambda x: x) is None
    assert julia_name([]) is None
    assert {variant.function.__name__ for table in VARIANTS.values() for variant in table} <= {
        *ACTIVATIONS,
        "hardsigmoid_slope",
    }


def test_equivalents_give_the_same_numbers() -> None:
    x = torch.linspace(-3, 3, 13).abs() + 0.1
    for theirs, ours in EQUIVALENT.items():
        keywords = {"dim": -1} if ours.__name__ in NOT_ELEMENTWISE else {}
        assert torch.allclose(theirs(x, **keywords), ours(x), atol=1e-6), ours.__name__


def test_old_hardsigmoid() -> None:
    x = torch.tensor([-3.0, -2.5, 0.0, 1.0, 2.5])
    assert hardsigmoid_slope(x).tolist() == pytest.approx([0, 0, 0.5, 0.7, 1.0])


def test_rrelu_draws_its_slopes() -> None:
    x = -torch.ones(1000)
    y = flux.rrelu(x)
    assert (y >= -1 / 3).all()
    assert (y <= -1 / 8).all()
    assert len(set(y.tolist())) > 500
    assert flux.rrelu(torch.ones(3)).tolist() == [1, 1, 1]


def test_softmax_goes_along_the_features() -> None:
    x = torch.randn(4, 3)
    assert torch.allclose(flux.softmax(x).sum(-1), torch.ones(4))
    assert torch.allclose(flux.logsoftmax(x, dim=0).exp().sum(0), torch.ones(3))


def test_parameters() -> None:
    x = torch.tensor([-2.0, 0.7])
    assert flux.leakyrelu(x, 0.5).tolist() == pytest.approx([-1.0, 0.7])
    assert flux.elu(x, 2.0)[0].item() == pytest.approx(2 * (math.exp(-2) - 1))
    assert flux.celu(x, 2.0)[0].item() == pytest.approx(2 * (math.exp(-1) - 1))
    assert flux.trelu(x, 0.5).tolist() == pytest.approx([0, 0.7])
    assert flux.softshrink(x, 0.6).tolist() == pytest.approx([-1.4, 0.1])
    assert torch.equal(flux.gelu_erf(x), F.gelu(x))


def test_nan_stays_nan() -> None:
    nan = torch.tensor([math.nan])
    for name in sorted(set(ACTIVATIONS) - NOT_ELEMENTWISE - {"sign", "softshrink"}):
        assert ACTIVATIONS[name](nan).isnan().all(), name


def test_abs2_of_a_complex_number_is_real() -> None:
    assert flux.abs2(torch.tensor([3 + 4j])).tolist() == [25.0]
