"""Activations: torch's modules and functions, and Flux's functions.

Strategy: three tables, read both ways. ``PLAIN`` pairs a class with a function; ``WITH_NUMBER`` has classes with one
number, which Flux writes ``Base.Fix2(leakyrelu, 0.2)``; the few with conditions have a converter each. A function that
stands by itself in a Chain is called on a whole array, which Julia allows for NNlib's functions only.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from torch import nn

from holdfast.flux import activations as flux
from holdfast.flux.activations import EQUIVALENT
from holdfast.flux.convert.way import Converter, Way
from holdfast.flux.functions import SAME, Fix2, first, flatten, vec

__all__ = ["ELEMENTWISE", "FROM", "called", "module_of", "standing"]

Function = Callable[..., Any]

PLAIN: Final[dict[type[nn.Module], Function]] = {
    nn.Identity: flux.identity,
    nn.ReLU: flux.relu,
    nn.ReLU6: flux.relu6,
    nn.SELU: flux.selu,
    nn.SiLU: flux.swish,
    nn.Mish: flux.mish,
    nn.Sigmoid: flux.σ,
    nn.LogSigmoid: flux.logσ,
    nn.Hardsigmoid: flux.hardσ,
    nn.Hardswish: flux.hardswish,
    nn.Tanh: flux.tanh,
    nn.Tanhshrink: flux.tanhshrink,
    nn.Softsign: flux.softsign,
}
"""torch's class <-> Flux's function."""


class WithNumber(NamedTuple):
    """An activation with one number: Flux's function, torch's name of the number, Flux's default."""

    function: Function
    name: str
    default: float


WITH_NUMBER: Final[dict[type[nn.Module], WithNumber]] = {
    nn.LeakyReLU: WithNumber(flux.leakyrelu, "negative_slope", 0.01),
    nn.ELU: WithNumber(flux.elu, "alpha", 1.0),
    nn.CELU: WithNumber(flux.celu, "alpha", 1.0),
    nn.Softshrink: WithNumber(flux.softshrink, "lambd", 0.5),
    nn.Threshold: WithNumber(flux.trelu, "threshold", 1.0),
}

STANDING: Final[dict[Function, Function]] = {flux.tanh: flux.tanh_fast}
"""Functions of Julia's Base, which on a whole matrix mean something else -> NNlib's for the same."""


# -- from torch -------------------------------------------------------------------------------------------------------


def _plain(function: Function) -> Converter:
    return lambda module, way: function


def _with_number(module: Any, way: Way) -> Function:
    function, name, default = next(row for kind, row in WITH_NUMBER.items() if isinstance(module, kind))
    number = getattr(module, name)
    return function if number == default else Fix2(function, number)


def _threshold(module: nn.Threshold, way: Way) -> Function:
    way.need(module.value == 0, f"Flux's trelu puts 0 below its threshold, this one {module.value}")
    return _with_number(module, way)


def _gelu(module: nn.GELU, way: Way) -> Function:
    return flux.gelu if module.approximate == "tanh" else flux.gelu_erf


def _softplus(module: nn.Softplus, way: Way) -> Function:
    # above its threshold torch's is linear: from 20 on that is the same to 2e-9
    way.need(module.beta == 1 and module.threshold >= 20, "Flux's softplus has no beta and no threshold")
    return flux.softplus


def _hardtanh(module: nn.Hardtanh, way: Way) -> Function:
    limits = (module.min_val, module.max_val)
    way.need(limits in ((-1, 1), (0, 6)), f"Flux's hardtanh goes from -1 to 1 and its relu6 from 0 to 6, not {limits}")
    return flux.hardtanh if limits == (-1, 1) else flux.relu6


def _along_features(function: Function) -> Converter:
    def convert(module: Any, way: Way) -> Function:
        rank = way.rank(module)
        way.need(
            module.dim == -1 or (rank is not None and module.dim == rank - 1),
            f"Flux's {function.__name__} goes along the features, the last axis here; dim={module.dim} may be another. "
            "Write dim=-1, or give an input: from_torch(module, x)",
        )
        return function

    return convert


def _flatten(module: nn.Flatten, way: Way) -> Function:
    rank = way.rank(module)
    start, end = (axis if axis < 0 or rank is None else axis - rank for axis in (module.start_dim, module.end_dim))
    if start in (0, -(rank or 0)) and end == -1:
        way.gives(1)
        return vec
    way.need(
        end == -1 and (start == 1 or (rank is not None and start == 1 - rank)),
        f"Flux's flatten joins all axes but the batch; this one joins {module.start_dim} to {module.end_dim}",
    )
    way.gives(2)
    return flatten


FROM: Final[dict[type[Any], Converter]] = {
    **{kind: _plain(function) for kind, function in PLAIN.items()},
    **dict.fromkeys(WITH_NUMBER, _with_number),
    nn.Threshold: _threshold,
    nn.GELU: _gelu,
    nn.Softplus: _softplus,
    nn.Hardtanh: _hardtanh,
    nn.Softmax: _along_features(flux.softmax),
    nn.LogSoftmax: _along_features(flux.logsoftmax),
    nn.Flatten: _flatten,
}
"""torch's class -> what makes a function of it."""

ELEMENTWISE: Final = frozenset(
    {*PLAIN, *WITH_NUMBER, nn.GELU, nn.Softplus, nn.Hardtanh} - {nn.Identity}  # a layer with ``identity`` has none
)
"""Classes that a layer can hold as its activation."""


def standing(function: Any) -> Any:
    """The function for a place of its own in a Chain."""
    return STANDING.get(function, function) if not isinstance(function, Fix2 | nn.Module) else function


def called(function: Any) -> Any:
    """Flux's function for one of torch's, such as ``torch.nn.functional.relu``; None where Flux has none."""
    try:
        known = EQUIVALENT.get(function)
    except TypeError:  # cannot be hashed
        return None
    return known or next((kept for kept in PLAIN.values() if kept is function), None)


# -- to torch ---------------------------------------------------------------------------------------------------------

MAKERS: Final[dict[Function, Callable[[], nn.Module]]] = {
    **{function: kind for kind, function in PLAIN.items()},
    **{row.function: kind for kind, row in WITH_NUMBER.items() if kind is not nn.Threshold},
    flux.trelu: lambda: nn.Threshold(1.0, 0.0),
    flux.tanh_fast: nn.Tanh,
    flux.sigmoid_fast: nn.Sigmoid,
    flux.gelu: lambda: nn.GELU("tanh"),
    flux.gelu_sigmoid: lambda: nn.GELU("tanh"),
    flux.gelu_erf: nn.GELU,
    flux.softplus: nn.Softplus,
    flux.hardtanh: nn.Hardtanh,
    flux.softmax: lambda: nn.Softmax(-1),
    flux.logsoftmax: lambda: nn.LogSoftmax(-1),
    flatten: nn.Flatten,
    vec: lambda: nn.Flatten(0),
}
"""Flux's function -> what makes torch's module of it."""

RANKS: Final[dict[Function, int]] = {flatten: 2, vec: 1}
KINDS: Final[dict[Function, type[Any]]] = {row.function: kind for kind, row in WITH_NUMBER.items()}


def module_of(function: Any, way: Way) -> nn.Module:
    """torch's module for one of Flux's functions, or for one of torch's own. Raises UnsupportedError."""
    if isinstance(function, Fix2) and function.f in KINDS:
        kind = KINDS[function.f]
        return kind(function.x, 0.0) if kind is nn.Threshold else kind(function.x)  # type: ignore[no-any-return]
    try:
        known = EQUIVALENT.get(function) or SAME.get(function) or function
        make = MAKERS.get(known)
    except TypeError:
        make = None
    if make is None:
        name = getattr(function, "__name__", repr(function))
        hint = "it comes after a MultiHeadAttention" if function is first else "write a module that calls it"
        way.refuse(f"torch.nn has no module for {name}: {hint}")
    if known in RANKS:
        way.gives(RANKS[known])
    return make()
