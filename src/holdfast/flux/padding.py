"""Padding as Flux writes it: one number, one per axis, two per axis (before, after), or ``SamePad()``.

All are width first. With two per axis the tuple is in the order in which ``torch.nn.functional.pad`` takes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.errors import MismatchError
from holdfast.flux.fields import Sizes, per_axis, spelled_sizes

__all__ = ["Pad", "SamePad", "chosen_pad", "sides", "spelled_pad", "symmetric"]


@dataclass(frozen=True, slots=True)
class SamePad:
    """Padding such that the output is as large as the input (divided by the stride).

    >>> from holdfast.flux.conv import Conv
    >>> Conv((2, 5), (3, 7), pad=SamePad())
    Conv((2, 5), (3, 7), pad=(1, 0, 2, 2))
    """


Pad = Sizes | SamePad


def chosen_pad(pad: Pad, window: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """``pad`` as numbers: one number is spread over both sides of all axes, SamePad is worked out.

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning.

    >>> chosen_pad(1, (3, 3), (1, 1))
    (1, 1, 1, 1)
    >>> chosen_pad(SamePad(), (2, 3), (1, 2))
    (1, 0, 2, 2)
    """
    if not isinstance(pad, SamePad):
        return per_axis(2 * len(window), pad)
    spare = [(size - 1) * step for size, step in zip(window, dilation, strict=True)]
    return tuple(side for total in spare for side in (total - total // 2, total // 2))


def sides(pad: Sequence[int], axes: int) -> list[int]:
    """``(before, after)`` for each of the axes, flat and width first.

    >>> sides((1, 2), 2)
    [1, 1, 2, 2]
    """
    if len(pad) == 2 * axes:
        return list(pad)
    if len(pad) == axes:
        return [size for size in pad for _ in range(2)]
    raise MismatchError(f"pad={tuple(pad)} has {len(pad)} numbers; {axes} axes need {axes} or {2 * axes}")


def symmetric(margins: Sequence[int]) -> tuple[int, ...] | None:
    """One number per axis where both sides are alike, else None.

    >>> symmetric([1, 1, 2, 2]), symmetric([1, 0, 2, 2])
    ((1, 2), None)
    """
    before, after = tuple(margins[::2]), tuple(margins[1::2])
    return before if before == after else None


def spelled_pad(pad: Sequence[int]) -> str:
    """``pad`` in the shortest form that means the same."""
    return spelled_sizes(pad)
