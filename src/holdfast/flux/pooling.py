"""Flux's pooling layers, for one, two or three spatial axes, on ``(batch, channels, …, height, width)``.

Sizes are width first. Padding never wins a maximum and counts as zeros in a mean, as in torch. One exception is kept
because models of that time computed with it: NNlib 0.6.0 to 0.7.5 (Flux 0.8.3 to 0.11.1, on the CPU) replaced the
running value ``m`` by ``max(m, 0)`` at each padded place, in means too. ``clamped=True`` does that.
Source: Flux.jl src/layers/conv.jl; NNlib.jl src/impl/pooling_direct.jl.
"""

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.fields import Sizes, expect, per_axis, spelled_call, spelled_sizes
from holdfast.flux.padding import Pad, chosen_pad, sides, spelled_pad, symmetric

__all__ = ["AdaptiveMaxPool", "AdaptiveMeanPool", "GlobalMaxPool", "GlobalMeanPool", "MaxPool", "MeanPool"]

Pool = Callable[[Tensor, Sequence[int], Sequence[int], Sequence[int]], Tensor]
MAXIMUM: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def max_pool(x: Tensor, window: Sequence[int], margins: Sequence[int], stride: Sequence[int]) -> Tensor:
    """The largest value in each window; a window that lies wholly in the padding gives the lowest finite number."""
    even = symmetric(margins)
    if even is None or any(2 * pad > size for pad, size in zip(even, window, strict=True)):
        x, even = F.pad(x, list(margins), value=torch.finfo(x.dtype).min), (0,) * len(window)
    return MAXIMUM[len(window)](x, window[::-1], stride[::-1], even[::-1])


def mean_pool(x: Tensor, window: Sequence[int], margins: Sequence[int], stride: Sequence[int]) -> Tensor:
    """The mean over each window, padding counted as zeros."""
    return MEAN[len(window)](F.pad(x, list(margins)) if any(margins) else x, window[::-1], stride[::-1])


def clamped_max_pool(x: Tensor, window: Sequence[int], margins: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Max pooling in which the padding is zeros."""
    return max_pool(F.pad(x, list(margins)), window, (0,) * len(margins), stride)


def clamped_mean_pool(x: Tensor, window: Sequence[int], margins: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Mean pooling in which a sum that is negative starts again from 0 at each padded place, in Julia's order."""
    inside = F.pad(torch.ones_like(x[:1, :1], dtype=torch.bool), list(margins))
    x = F.pad(x, list(margins))
    axes = [(size, step, (length - size) // step * step + 1)
            for size, step, length in zip(window[::-1], stride[::-1], x.shape[2:], strict=True)]  # fmt: skip
    total = x.new_zeros(())
    for start in product(*(range(size) for size, _, _ in axes)):
        spans = (slice(at, at + span, step) for at, (_, step, span) in zip(start, axes, strict=True))
        tap = (slice(None), slice(None), *spans)
        total = torch.where(inside[tap], total + x[tap], total.clamp(min=0))
    return total / prod(window)


class Windowed(nn.Module):
    """The fields of MaxPool and MeanPool, in the order of Flux's structs."""

    pools: tuple[Pool, Pool]

    def __init__(self, window: Sequence[int], *, pad: Pad = 0, stride: Sizes | None = None, clamped: bool = False):
        super().__init__()
        axes = len(window)
        self._hold(window, chosen_pad(pad, window, (1,) * axes), window if stride is None else stride, clamped)

    @classmethod
    def of(cls, k: Sequence[int], pad: Sizes, stride: Sizes, clamped: bool = False) -> Self:
        """The layer with these fields, in the order of Flux's struct; ``clamped`` for files of NNlib 0.6.0 to 0.7.5."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(k, pad, stride, clamped)
        return layer

    def _hold(self, k: Sequence[int], pad: Sizes, stride: Sizes, clamped: bool) -> None:
        if len(k) not in MAXIMUM:
            raise MismatchError(f"a window of {tuple(k)}: Flux pools along 1, 2 or 3 axes")
        self.k = tuple(k)
        self.pad = per_axis(len(k), pad)
        self.stride = per_axis(len(k), stride)
        self.clamped = clamped

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, …, height, width)`` to the same with fewer pixels. Raises MismatchError."""
        expect(self, x, len(self.k) + 2)
        return self.pools[self.clamped](x, self.k, sides(self.pad, len(self.k)), self.stride)

    def __repr__(self) -> str:
        return spelled_call(
            type(self).__name__,
            repr(self.k),
            pad=(spelled_pad(self.pad), "0"),
            stride=(spelled_sizes(self.stride), spelled_sizes(self.k)),
            clamped=(self.clamped, False),
        )


class MaxPool(Windowed):
    """Flux's ``MaxPool(window; pad, stride = window)``.

    >>> import torch
    >>> MaxPool((2, 3))(torch.zeros(1, 4, 9, 8)).shape
    torch.Size([1, 4, 3, 4])
    >>> MaxPool((5,), pad=2, stride=3)
    MaxPool((5,), pad=2, stride=3)
    """

    pools = (max_pool, clamped_max_pool)


class MeanPool(Windowed):
    """Flux's ``MeanPool(window; pad, stride = window)``; padding counts as zeros.

    >>> import torch
    >>> MeanPool((2, 2))(torch.arange(4.0).view(1, 1, 2, 2)).item()
    1.5
    """

    pools = (mean_pool, clamped_mean_pool)


class Adaptive(nn.Module):
    """The field of AdaptiveMaxPool and AdaptiveMeanPool: the size that comes out, width first."""

    pool: Pool

    def __init__(self, out: Sequence[int]) -> None:
        super().__init__()
        if len(out) not in MAXIMUM:
            raise MismatchError(f"out={tuple(out)}: Flux pools along 1, 2 or 3 axes")
        self.out = tuple(out)

    @classmethod
    def of(cls, out: Sequence[int]) -> Self:
        """The layer with this field."""
        return cls(out)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, …, height, width)`` to ``(batch, channels, …, *out)``. Raises MismatchError."""
        expect(self, x, len(self.out) + 2)
        size = tuple(reversed(x.shape[2:]))
        if any(have < want for have, want in zip(size, self.out, strict=True)):
            raise MismatchError(f"{self!r} cannot make {self.out} from {size}: pooling only shrinks")
        stride = [have // want for have, want in zip(size, self.out, strict=True)]
        window = [have - (want - 1) * step for have, want, step in zip(size, self.out, stride, strict=True)]
        return type(self).pool(x, window, [0] * 2 * len(size), stride)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.out})"


class AdaptiveMaxPool(Adaptive):
    """Flux's ``AdaptiveMaxPool(out)``: one window size and one stride that give ``out`` (torch's windows vary).

    >>> import torch
    >>> AdaptiveMaxPool((25, 20))(torch.zeros(1, 3, 100, 100)).shape
    torch.Size([1, 3, 20, 25])
    """

    pool = staticmethod(max_pool)


class AdaptiveMeanPool(Adaptive):
    """Flux's ``AdaptiveMeanPool(out)``: as AdaptiveMaxPool, with means.

    >>> AdaptiveMeanPool((3, 2))
    AdaptiveMeanPool((3, 2))
    """

    pool = staticmethod(mean_pool)


class Global(nn.Module):
    """Pooling over all of the spatial axes, which stay with length 1."""

    pool: Pool

    @classmethod
    def of(cls) -> Self:
        """The layer; Flux's struct has no fields."""
        return cls()

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, …, height, width)`` to ``(batch, channels, …, 1, 1)``. Raises MismatchError."""
        if x.dim() - 2 not in MAXIMUM:
            raise MismatchError(f"{self!r} needs (batch, channels, …, height, width); got shape {tuple(x.shape)}")
        window = tuple(reversed(x.shape[2:]))
        return type(self).pool(x, window, [0] * 2 * len(window), window)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class GlobalMaxPool(Global):
    """Flux's ``GlobalMaxPool()``.

    >>> import torch
    >>> GlobalMaxPool()(torch.zeros(50, 7, 96, 100)).shape
    torch.Size([50, 7, 1, 1])
    """

    pool = staticmethod(max_pool)


class GlobalMeanPool(Global):
    """Flux's ``GlobalMeanPool()``.

    >>> import torch
    >>> GlobalMeanPool()(torch.zeros(50, 7, 100)).shape
    torch.Size([50, 7, 1])
    """

    pool = staticmethod(mean_pool)
