"""Layers that make images larger: Upsample and PixelShuffle, on ``(batch, channels, …, height, width)``.

Flux's linear modes put the corner pixels of input and output on each other (torch's ``align_corners=True``).
Source: Flux.jl src/layers/upsample.jl, NNlib.jl src/upsample.jl.
"""

from collections.abc import Sequence
from math import floor
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.errors import MismatchError

__all__ = ["PixelShuffle", "Upsample"]

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
AXES = {"nearest": (1, 2, 3), "bilinear": (1, 2, 3), "trilinear": (3,)}  # NNlib's bilinear is linear on any of 1 to 3

Scale = float | Sequence[float] | None


class Upsample(nn.Module):
    """Flux's ``Upsample(mode; scale)``, ``Upsample(mode; size)`` or ``Upsample(scale, mode)``: sizes are width first.

    ``scale`` is one number for all axes or one per axis (whole ones for ``"nearest"``); ``size`` is what comes out.

    >>> import torch
    >>> layer = Upsample("bilinear", scale=(2, 3))
    >>> layer(torch.zeros(1, 1, 5, 4)).shape
    torch.Size([1, 1, 15, 8])
    >>> layer
    Upsample('bilinear', scale=(2, 3))
    >>> Upsample(2)
    Upsample('nearest', scale=2)
    """

    def __init__(
        self,
        mode: str | float | Sequence[float] = "nearest",
        by: str = "nearest",
        *,
        scale: Scale = None,
        size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(mode, str):  # Upsample(scale, mode)
            if scale is not None:
                raise MismatchError(f"Upsample has two scales, {mode!r} and {scale!r}")
            scale, mode = mode, by
        if mode not in AXES:
            raise MismatchError(f"Upsample({mode!r}): the modes are {', '.join(AXES)}")
        if (scale is None) == (size is None):
            raise MismatchError("Upsample needs a scale or a size, one of the two")
        self.mode = mode
        self.scale = scale if scale is None or isinstance(scale, int | float) else tuple(scale)
        self.size = None if size is None else tuple(size)

    @classmethod
    def of(cls, mode: str, scale: Scale, size: Sequence[int] | None) -> Self:
        """The layer with these fields; in Flux's struct the mode is a type parameter, then come scale and size."""
        return cls(mode, scale=scale, size=size)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, …, height, width)`` to the larger size. Raises MismatchError."""
        if x.dim() - 2 not in AXES[self.mode]:
            raise MismatchError(f"{self!r} cannot enlarge shape {tuple(x.shape)}")
        before = tuple(reversed(x.shape[2:]))
        after = self._enlarged(before)
        if after == before:
            return x
        if self.mode != "nearest":
            return F.interpolate(x, after[::-1], mode=LINEAR[len(after)], align_corners=True)
        if any(new % old for new, old in zip(after, before, strict=True)):
            raise MismatchError(f"{self!r} cannot make {after} of {before}: nearest needs whole multiples")
        return F.interpolate(x, after[::-1], mode="nearest")

    def _enlarged(self, before: Sequence[int]) -> tuple[int, ...]:
        if isinstance(self.scale, int | float):
            return tuple(floor(length * self.scale) for length in before)
        wanted = self.size if self.scale is None else self.scale
        # NNlib lets a nearest scale or size name the leading (Julia's) axes only; the others keep their length
        if wanted is None or len(wanted) > len(before) or (len(wanted) < len(before) and self.mode != "nearest"):
            raise MismatchError(f"{self!r} was called on {len(before)} spatial axes; give it one number for each")
        if self.scale is None:
            return (*map(int, wanted), *before[len(wanted) :])
        scaled = (floor(length * factor) for length, factor in zip(before, wanted, strict=False))
        return (*scaled, *before[len(wanted) :])

    def __repr__(self) -> str:
        given = f"scale={self.scale}" if self.size is None else f"size={self.size}"
        return f"Upsample({self.mode!r}, {given})"


class PixelShuffle(nn.Module):
    """Flux's ``PixelShuffle(r)``: channels become pixels, ``(batch, c·rᵈ, …)`` to ``(batch, c, …·r)`` for d axes.

    Source: Shi et al., 2016. For images this is torch's ``pixel_shuffle``.

    >>> import torch
    >>> PixelShuffle(2)(torch.zeros(1, 12, 5, 4)).shape
    torch.Size([1, 3, 10, 8])
    """

    def __init__(self, r: int) -> None:
        super().__init__()
        self.r = r

    @classmethod
    def of(cls, r: int) -> Self:
        """The layer with this field."""
        return cls(r)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels · rᵈ, …)`` to ``(batch, channels, … · r)``. Raises MismatchError."""
        axes = x.dim() - 2
        if axes < 1 or x.shape[1] % self.r**axes:
            raise MismatchError(
                f"{self!r} needs channels in multiples of r to the number of axes; got {tuple(x.shape)}"
            )
        split = x.reshape(x.shape[0], -1, *(self.r,) * axes, *x.shape[2:])
        pairs = [place for axis in range(axes) for place in (2 + axes + axis, 2 + axis)]
        return split.permute(0, 1, *pairs).reshape(x.shape[0], -1, *(length * self.r for length in x.shape[2:]))

    def __repr__(self) -> str:
        return f"PixelShuffle({self.r})"
