"""Flux's and Base's functions that stand in a model beside its layers: reshaping, joining, partial application.

Strategy: what a Julia file names becomes a plain function or a small object that prints as it is written. Axes are
Julia's reversed: its first (the features) is torch's last, its last (the batch) torch's first. FUNCTIONS maps Julia's
names to them; activations have a table of their own.
"""

import builtins
import functools
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from holdfast.flux.fields import spelled

__all__ = [
    "FUNCTIONS",
    "Compose",
    "Fix1",
    "Fix2",
    "add",
    "first",
    "flatten",
    "hcat",
    "maximum",
    "mean",
    "minimum",
    "multiply",
    "pack",
    "subtract",
    "total",
    "unsqueeze",
    "vcat",
    "vec",
]

mean = torch.mean


def flatten(x: Tensor) -> Tensor:
    """Everything but the batch as one axis of features, in the order in which Julia puts them.

    >>> flatten(torch.zeros(8, 3, 28, 28)).shape
    torch.Size([8, 2352])
    """
    return x.flatten(1) if x.dim() > 1 else x.unsqueeze(-1)


def vec(x: Tensor) -> Tensor:
    """All elements in one axis."""
    return x.flatten()


def unsqueeze(x: Tensor, dims: int) -> Tensor:
    """A new axis of size 1 where Julia's ``dims`` (counted from 1, features first) says.

    >>> unsqueeze(torch.zeros(8, 5), 1).shape
    torch.Size([8, 5, 1])
    """
    return x.unsqueeze(x.dim() + 1 - dims)


def vcat(*xs: Tensor) -> Tensor:
    """The features of all, one after the other: Julia's first axis, the last here."""
    return torch.cat(xs, dim=-1)


def hcat(*xs: Tensor) -> Tensor:
    """Along Julia's second axis; vectors become the rows of a batch."""
    return torch.stack(xs) if xs[0].dim() == 1 else torch.cat(xs, dim=-2)


def add(*xs: Any) -> Any:
    """The sum of all; Julia's ``+``."""
    return functools.reduce(operator.add, xs)


def subtract(x: Any, y: Any) -> Any:
    """``x - y``; Julia's ``-``."""
    return x - y


def multiply(*xs: Any) -> Any:
    """The product of all, element by element; Julia's ``.*``."""
    return functools.reduce(operator.mul, xs)


def pack(*xs: Any) -> tuple[Any, ...]:
    """All as they are, in a tuple; Julia's ``tuple``."""
    return xs


def first(x: Any) -> Any:
    """The first of a tuple, such as what a MultiHeadAttention gives; of an array the first number.

    >>> first((1, 2))
    1
    """
    return x.flatten()[0] if isinstance(x, Tensor) else x[0]


def total(x: Tensor, dim: int | None = None) -> Tensor:
    """The sum along ``dim``, or of all; Julia's ``sum``."""
    return x.sum(dim)


def maximum(x: Tensor, dim: int | None = None) -> Tensor:
    """The largest along ``dim``, or of all."""
    return x.amax() if dim is None else x.amax(dim)


def minimum(x: Tensor, dim: int | None = None) -> Tensor:
    """The smallest along ``dim``, or of all."""
    return x.amin() if dim is None else x.amin(dim)


class Fix1:
    """``f`` with its first argument given: ``Fix1(f, x)(y)`` is ``f(x, y)``, as Base's.

    >>> Fix1(subtract, 10)(3)
    7
    """

    def __init__(self, f: Callable[..., Any], x: Any) -> None:
        self.f, self.x = f, x

    def __call__(self, y: Any) -> Any:
        return self.f(self.x, y)

    def __repr__(self) -> str:
        return f"Fix1({spelled(self.f)}, {spelled(self.x)})"


class Fix2:
    """``f`` with its second argument given: ``Fix2(f, x)(y)`` is ``f(y, x)``, as Base's.

    >>> Fix2(subtract, 10)(3)
    -7
    """

    def __init__(self, f: Callable[..., Any], x: Any) -> None:
        self.f, self.x = f, x

    def __call__(self, y: Any) -> Any:
        return self.f(y, self.x)

    def __repr__(self) -> str:
        return f"Fix2({spelled(self.f)}, {spelled(self.x)})"


class Compose(torch.nn.Module):
    """``outer ∘ inner``: the inner function first. A module, so that layers inside keep their parameters.

    >>> from holdfast.flux.activations import abs2, relu
    >>> Compose(abs2, relu), Compose(abs2, relu)(torch.tensor([-2.0, 3.0]))
    (Compose(abs2, relu), tensor([0., 9.]))
    """

    def __init__(self, outer: Callable[..., Any], inner: Callable[..., Any]) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner

    def forward(self, *xs: Any) -> Any:
        return self.outer(self.inner(*xs))

    def __repr__(self) -> str:
        return f"Compose({spelled(self.outer)}, {spelled(self.inner)})"


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "first": first,
    "flatten": flatten,
    "hcat": hcat,
    "maximum": maximum,
    "mean": mean,
    "minimum": minimum,
    "sum": total,
    "tuple": pack,
    "unsqueeze": unsqueeze,
    "vcat": vcat,
    "vec": vec,
}

# What Python's users pass where Julia has a name of its own.
SAME: dict[Any, Callable[..., Any]] = {
    builtins.sum: total,
    builtins.max: maximum,
    builtins.min: minimum,
    operator.add: add,
    operator.mul: multiply,
    operator.sub: subtract,
    torch.add: add,
    torch.amax: maximum,
    torch.amin: minimum,
    torch.flatten: flatten,
    torch.mul: multiply,
    torch.sub: subtract,
    torch.sum: total,
}
