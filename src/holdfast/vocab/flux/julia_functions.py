"""Functions of Julia's Base that stand in models and that ``holdfast.flux`` has no name for.

Strategy: each takes its arguments as Julia has them (sizes and axes in Julia's order, counted from 1) and works on
tensors whose axes are reversed, which is the same memory.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from holdfast.flux.activations import identity
from holdfast.flux.functions import unsqueeze
from holdfast.julia.types import type_name
from holdfast.julia.values import Struct


def divide(x: Any, y: Any) -> Any:
    """``x / y``."""
    return x / y


def power(x: Any, y: Any) -> Any:
    """``x ^ y``."""
    return x**y


def largest(*xs: Any) -> Any:
    """The largest of all, element by element; Julia's ``max``."""
    return functools.reduce(torch.maximum, map(torch.as_tensor, xs))


def smallest(*xs: Any) -> Any:
    """The smallest of all, element by element; Julia's ``min``."""
    return functools.reduce(torch.minimum, map(torch.as_tensor, xs))


def reshape(x: Tensor, size: Any) -> Tensor:
    """Julia's ``reshape(x, size)``; ``:`` stands for what is left.

    >>> reshape(torch.zeros(8, 3, 28, 28), (784, 3, 8)).shape
    torch.Size([8, 3, 784])
    """
    sizes = size if isinstance(size, tuple) else (size,)
    return x.reshape([-1 if is_colon(length) else int(length) for length in reversed(sizes)])


def is_colon(value: Any) -> bool:
    """Whether ``value`` is Julia's ``:``."""
    return isinstance(value, Struct) and type_name(value.type) in ("Colon", "Base.Colon")


def permutedims(x: Tensor, order: Any) -> Tensor:
    """Julia's ``permutedims(x, order)``.

    >>> permutedims(torch.zeros(4, 3, 2), (3, 1, 2)).shape
    torch.Size([3, 2, 4])
    """
    axes = len(order)
    return x.permute([axes - int(axis) for axis in reversed(order)])


def transpose(x: Tensor) -> Tensor:
    """A matrix with its axes swapped; a vector becomes a row."""
    return x.T if x.dim() == 2 else x.unsqueeze(-1)


def last(x: Any) -> Any:
    """The last of a tuple, or the last number of an array."""
    return x.flatten()[-1] if isinstance(x, Tensor) else x[-1]


def broadcast(f: Callable[..., Any], *xs: Any) -> Any:
    """``f`` of each element, which is what the functions of this library do; ``map`` likewise."""
    return f(*xs)


JULIA_ONLY: Final[dict[str, Callable[..., Any]]] = {
    "/": divide,
    "^": power,
    "max": largest,
    "min": smallest,
    "reshape": reshape,
    "permutedims": permutedims,
    "transpose": transpose,
    "last": last,
    "broadcast": broadcast,
    "map": broadcast,
    "_unsqueeze": unsqueeze,
    "cpu": identity,
    "gpu": identity,
}
"""Julia's name -> function."""
