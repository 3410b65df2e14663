"""Flux's activation functions, as plain functions on tensors of any shape.

Strategy: torch's own function where it computes the same, a few lines of ours elsewhere. A function's ``__name__`` is
Flux's name, so that a layer's ``repr`` reads as in Flux. ACTIVATIONS maps every name that a Julia file may hold to its
function; VARIANTS holds the formulas that changed between versions of NNlib. Source: NNlib.jl, ``src/activations.jl``.
"""

import builtins
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "ACTIVATIONS",
    "EQUIVALENT",
    "VARIANTS",
    "Activation",
    "Variant",
    "abs2",
    "atan",
    "celu",
    "cos",
    "cosh",
    "elu",
    "exp",
    "expm1",
    "gelu",
    "gelu_erf",
    "gelu_sigmoid",
    "gelu_tanh",
    "hardsigmoid",
    "hardsigmoid_slope",
    "hardswish",
    "hardtanh",
    "hardσ",
    "identity",
    "inv",
    "julia_name",
    "leakyrelu",
    "lisht",
    "log",
    "log1p",
    "logcosh",
    "logsigmoid",
    "logsoftmax",
    "logσ",
    "mish",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "sigmoid_fast",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "sqrt",
    "swish",
    "tan",
    "tanh",
    "tanh_fast",
    "tanhshrink",
    "thresholdrelu",
    "trelu",
    "σ",
]

Activation = Callable[..., Tensor]

# Base's functions that torch has under the same name, and with the same meaning.
atan, cos, cosh, exp, expm1 = torch.atan, torch.cos, torch.cosh, torch.exp, torch.expm1
log, log1p, relu, sign, sin = torch.log, torch.log1p, torch.relu, torch.sign, torch.sin
sinh, sqrt, tan, tanh = torch.sinh, torch.sqrt, torch.tan, torch.tanh


def identity(x: Any) -> Any:
    """``x`` itself, whatever it is."""
    return x


def abs2(x: Tensor) -> Tensor:
    """``x²``; for complex numbers the square of the absolute value."""
    return x.real.square() + x.imag.square() if x.is_complex() else x * x


def inv(x: Tensor) -> Tensor:
    """``1 / x``."""
    return torch.reciprocal(x)


def σ(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``; ``sigmoid`` is the same function.

    >>> σ(torch.tensor([0.0, 2.0])), σ is sigmoid
    (tensor([0.5000, 0.8808]), True)
    """
    return torch.sigmoid(x)


def sigmoid_fast(x: Tensor) -> Tensor:
    """NNlib's quicker sigmoid: the same to rounding, with exact 1 above 40 and exact 0 below -80."""
    return torch.sigmoid(x)


def tanh_fast(x: Tensor) -> Tensor:
    """NNlib's quicker tanh. Here it is tanh: NNlib's approximation differs from it by a few units in the last place."""
    return torch.tanh(x)


def hardσ(x: Tensor) -> Tensor:
    """``clamp((x + 3) / 6, 0, 1)``; ``hardsigmoid`` is the same function. Before NNlib 0.7.10: see VARIANTS."""
    return F.hardsigmoid(x)


def hardsigmoid_slope(x: Tensor, a: float = 0.2) -> Tensor:
    """``clamp(a * x + 0.5, 0, 1)``: what ``hardσ`` was in NNlib 0.6.6 to 0.7.9 (Flux 0.10 and 0.11)."""
    return (a * x + 0.5).clamp(0, 1)


def logσ(x: Tensor) -> Tensor:
    """``log(σ(x))``, exact for large numbers of either sign; ``logsigmoid`` is the same function."""
    return F.logsigmoid(x)


def softplus(x: Tensor) -> Tensor:
    """``log(exp(x) + 1)``. Not torch's softplus, which is linear above 20 and so only good to 1e-9 in Float64."""
    return -F.logsigmoid(-x)


def leakyrelu(x: Tensor, a: float = 0.01) -> Tensor:
    """``x`` where positive, ``a * x`` elsewhere."""
    return F.leaky_relu(x, a)


def relu6(x: Tensor) -> Tensor:
    """``min(max(0, x), 6)``."""
    return F.relu6(x)


def rrelu(x: Tensor, lo: float = 1 / 8, hi: float = 1 / 3) -> Tensor:
    """leakyrelu with a slope drawn anew for each element, in training and outside it, as NNlib does."""
    return F.rrelu(x, lo, hi, training=True)


def elu(x: Tensor, α: float = 1.0) -> Tensor:
    """``x`` where positive, ``α * (exp(x) - 1)`` elsewhere."""
    return F.elu(x, α)


def celu(x: Tensor, α: float = 1.0) -> Tensor:
    """``x`` where positive, ``α * (exp(x / α) - 1)`` elsewhere."""
    return F.celu(x, α)


def selu(x: Tensor) -> Tensor:
    """``λ * elu(x, α)`` with the two constants of Klambauer and others, 2017."""
    return F.selu(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """``x / 2 * (1 + tanh(√(2/π) * (x + 0.044715x³)))``: in every version of NNlib what ``gelu`` is, unlike torch's own.

    >>> gelu(torch.tensor([-1.0, 1.0]))
    tensor([-0.1588,  0.8412])
    """
    return F.gelu(x, approximate="tanh")


def gelu_sigmoid(x: Tensor) -> Tensor:
    """``x * σ(√(8/π) * x * (1 + 0.044715x²))``: ``gelu`` written with a sigmoid, the same numbers to rounding."""
    return x * torch.sigmoid(math.sqrt(8 / math.pi) * x * (1 + 0.044715 * x * x))


def gelu_erf(x: Tensor) -> Tensor:
    """``x / 2 * (1 + erf(x / √2))``: the exact form, which is what torch calls gelu."""
    return F.gelu(x)


def swish(x: Tensor) -> Tensor:
    """``x * σ(x)``, torch's silu."""
    return F.silu(x)


def hardswish(x: Tensor) -> Tensor:
    """``x * hardσ(x)``."""
    return F.hardswish(x)


def hardtanh(x: Tensor) -> Tensor:
    """``clamp(x, -1, 1)``."""
    return F.hardtanh(x)


def lisht(x: Tensor) -> Tensor:
    """``x * tanh(x)``."""
    return x * torch.tanh(x)


def trelu(x: Tensor, theta: float = 1.0) -> Tensor:
    """``x`` where it is above ``theta``, 0 elsewhere; ``thresholdrelu`` is the same function."""
    return torch.where(x <= theta, torch.zeros_like(x), x)


def softsign(x: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return F.softsign(x)


def logcosh(x: Tensor) -> Tensor:
    """``log(cosh(x))``, exact for large numbers of either sign."""
    return x + softplus(-2.0 * x) - math.log(2.0)


def mish(x: Tensor) -> Tensor:
    """``x * tanh(softplus(x))``."""
    return F.mish(x)


def tanhshrink(x: Tensor) -> Tensor:
    """``x - tanh(x)``."""
    return F.tanhshrink(x)


def softshrink(x: Tensor, λ: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by ``λ``, and 0 where it is nearer than that."""
    return F.softshrink(x, λ)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """``exp(x)`` divided by its sum along ``dim``, by default the features (Julia's ``dims = 1``).

    >>> softmax(torch.tensor([1.0, 2.0, 3.0]))
    tensor([0.0900, 0.2447, 0.6652])
    """
    return torch.softmax(x, dim)


def logsoftmax(x: Tensor, dim: int = -1) -> Tensor:
    """``log(softmax(x))`` along ``dim``, exact where softmax itself is too small for a float."""
    return torch.log_softmax(x, dim)


sigmoid, hardsigmoid, logsigmoid, thresholdrelu, gelu = σ, hardσ, logσ, trelu, gelu_tanh

_FUNCTIONS: tuple[Activation, ...] = (
    σ, sigmoid_fast, tanh, tanh_fast, relu, leakyrelu, relu6, rrelu, elu, celu, selu, gelu_tanh, gelu_sigmoid, gelu_erf,
    swish, hardswish, hardσ, hardtanh, lisht, trelu, softplus, softsign, logσ, logcosh, mish, tanhshrink,
    softshrink, softmax, logsoftmax, identity, builtins.abs, abs2, exp, expm1, log, log1p, sqrt, sin, cos, tan, sinh,
    cosh, atan, sign, inv,
)  # fmt: skip

ACTIVATIONS: dict[str, Activation] = {function.__name__: function for function in _FUNCTIONS} | {
    "sigmoid": σ,
    "hardsigmoid": hardσ,
    "logsigmoid": logσ,
    "thresholdrelu": trelu,
    "gelu": gelu_tanh,
    "σ_stable": σ,
}

# What PyTorch's users pass where Flux has a name of its own.
EQUIVALENT: dict[Any, Activation] = {
    torch.sigmoid: σ,
    torch.softmax: softmax,
    torch.log_softmax: logsoftmax,
    torch.abs: builtins.abs,
    torch.reciprocal: inv,
    F.relu: relu,
    F.relu6: relu6,
    F.sigmoid: σ,
    F.tanh: tanh,
    F.logsigmoid: logσ,
    F.hardsigmoid: hardσ,
    F.hardswish: hardswish,
    F.hardtanh: hardtanh,
    F.leaky_relu: leakyrelu,
    F.elu: elu,
    F.celu: celu,
    F.selu: selu,
    F.gelu: gelu_erf,
    F.silu: swish,
    F.mish: mish,
    F.softplus: softplus,
    F.softsign: softsign,
    F.softshrink: softshrink,
    F.tanhshrink: tanhshrink,
    F.softmax: softmax,
    F.log_softmax: logsoftmax,
}


def julia_name(function: Any) -> str | None:
    """The name under which a Julia file holds this activation, or None where Flux has no such function.

    >>> julia_name(sigmoid), julia_name(torch.nn.functional.silu), julia_name(print)
    ('σ', 'swish', None)
    """
    try:
        known = EQUIVALENT.get(function, function)
    except TypeError:  # a callable object that cannot be hashed is none of ours
        return None
    name = getattr(known, "__name__", None)
    return name if name is not None and ACTIVATIONS.get(name) is known else None


class Variant(NamedTuple):
    """One formula that a name had: ``since`` and ``until`` are versions of NNlib, both included, empty for open."""

    since: str
    until: str
    function: Activation
    change: str


VARIANTS: dict[str, tuple[Variant, ...]] = {
    "hardσ": (
        Variant("0.6.6", "0.7.9", hardsigmoid_slope, "clamp(0.2x + 0.5, 0, 1); Flux 0.10 and 0.11"),
        Variant("0.7.10", "", hardσ, "clamp((x + 3) / 6, 0, 1); Flux 0.12 and later"),
    ),
    "gelu": (
        Variant("", "0.9.27", gelu, "the tanh form, from 0.7.32 on written with a sigmoid: equal to rounding"),
        Variant("0.9.28", "", gelu, "named gelu_tanh, gelu being another name for it"),
    ),
    "relu": (Variant("", "0.7.29", relu, "max(0, x)"), Variant("0.7.30", "", relu, "NaN stays NaN, as here")),
    "leakyrelu": (
        Variant("", "0.7.29", leakyrelu, "max(a * x, x): differs where a > 1"),
        Variant("0.7.30", "", leakyrelu, "chosen by the sign of x"),
    ),
    "trelu": (
        Variant("0.6.6", "0.7.29", trelu, "NaN gave 0"),
        Variant("0.7.30", "", trelu, "NaN stays NaN, as here"),
    ),
}
