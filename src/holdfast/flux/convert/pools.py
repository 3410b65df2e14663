"""Pooling.

In both, padding never wins a maximum and counts as zeros in a mean. Adaptive pooling is the same only where the size
that comes out divides the size that goes in: torch's windows vary otherwise, Flux's do not.
"""

from typing import Any, Final

from torch import nn

from holdfast.flux.convert.images import both_sides, of_axes, reversed_sizes
from holdfast.flux.convert.way import Converter, Way
from holdfast.flux.padding import sides, symmetric
from holdfast.flux.pooling import (
    AdaptiveMaxPool,
    AdaptiveMeanPool,
    GlobalMaxPool,
    GlobalMeanPool,
    MaxPool,
    MeanPool,
)

__all__ = ["FROM", "TO"]

MAX: Final[dict[type[Any], int]] = {nn.MaxPool1d: 1, nn.MaxPool2d: 2, nn.MaxPool3d: 3}
MEAN: Final[dict[type[Any], int]] = {nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3}
ADAPTIVE_MAX: Final[dict[type[Any], int]] = {
    nn.AdaptiveMaxPool1d: 1,
    nn.AdaptiveMaxPool2d: 2,
    nn.AdaptiveMaxPool3d: 3,
}
ADAPTIVE_MEAN: Final[dict[type[Any], int]] = {
    nn.AdaptiveAvgPool1d: 1,
    nn.AdaptiveAvgPool2d: 2,
    nn.AdaptiveAvgPool3d: 3,
}


# -- windows ----------------------------------------------------------------------------------------------------------


Size = tuple[int, ...]


def _windowed(module: Any, axes: int, way: Way) -> tuple[Size, Size, Size]:
    """Window, padding and stride, width first."""
    window, stride, pad = (reversed_sizes(sizes, axes) for sizes in (module.kernel_size, module.stride, module.padding))
    if module.ceil_mode:
        _check_whole(module, axes, way, [window, stride, pad])
    way.gives(axes + 2)
    return window, both_sides(pad), stride


def _check_whole(module: Any, axes: int, way: Way, sizes: list[tuple[int, ...]]) -> None:
    """``ceil_mode`` changes nothing where the windows end with the image."""
    shapes = way.shapes(module)
    ends = {
        (length + 2 * pad - window) % stride
        for shape in shapes
        for length, window, stride, pad in zip(shape[:1:-1], *sizes, strict=True)
    }
    way.need(
        bool(shapes) and ends == {0},
        "Flux's pooling has no ceil_mode. It changes nothing where the windows fill the image: if they do, give an "
        "input of that size, from_torch(module, x)",
    )


def from_max(module: Any, way: Way) -> MaxPool:
    axes = next(axes for kind, axes in MAX.items() if isinstance(module, kind))
    way.need(set(reversed_sizes(module.dilation, axes)) == {1}, "Flux's MaxPool has no dilation")
    way.need(not module.return_indices, "Flux's MaxPool gives no indices")
    return MaxPool.of(*_windowed(module, axes, way))


def from_mean(module: Any, way: Way) -> MeanPool:
    axes = next(axes for kind, axes in MEAN.items() if isinstance(module, kind))
    window, pad, stride = _windowed(module, axes, way)
    way.need(module.count_include_pad or not any(pad), "Flux's MeanPool counts padding: only count_include_pad=True")
    way.need(getattr(module, "divisor_override", None) is None, "Flux's MeanPool has no divisor_override")
    return MeanPool.of(window, pad, stride)


def to_windowed(table: dict[type[Any], int]) -> Converter:
    def convert(layer: Any, way: Way) -> Any:
        axes, name = len(layer.k), type(layer).__name__
        way.need(not layer.clamped, f"torch has no {name} that clamps at its padding, as NNlib 0.6.0 to 0.7.5 did")
        even = symmetric(sides(layer.pad, axes))
        if even is None:
            way.refuse(f"torch's pooling pads both sides alike, not by {layer.pad}")
        fits = all(2 * pad <= size for pad, size in zip(even, layer.k, strict=True))
        way.need(fits, f"torch's pooling pads by half a window at most; {layer!r} by more")
        way.gives(axes + 2)
        return of_axes(table, axes)(layer.k[::-1], layer.stride[::-1], even[::-1])

    return convert


# -- all of an image --------------------------------------------------------------------------------------------------


def from_adaptive(table: dict[type[Any], int], whole: type[Any], parts: type[Any]) -> Converter:
    def convert(module: Any, way: Way) -> Any:
        axes = next(axes for kind, axes in table.items() if isinstance(module, kind))
        way.need(not getattr(module, "return_indices", False), "Flux's pooling gives no indices")
        way.gives(axes + 2)
        if module.output_size == 1:
            return whole()
        given = module.output_size
        out = (given,) * axes if isinstance(given, int) else tuple(given)
        way.need(None not in out, "Flux's adaptive pooling needs the size of every axis")
        _check_even(module, way, out)
        return parts(out[::-1])

    return convert


def _check_even(module: Any, way: Way, out: tuple[int, ...]) -> None:
    shapes = way.shapes(module)
    if set(out) == {1} or (shapes and all(_divides(out, shape) for shape in shapes)):
        return
    wanted = ", ".join(map(str, out))
    way.refuse(
        f"torch's windows vary, Flux's do not: they are the same only where {wanted} divides the size of the image. "
        + (f"It does not divide {sorted(shapes)[0][2:]}" if shapes else "Give an input: from_torch(module, x)")
    )


def _divides(out: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(length % size == 0 for length, size in zip(shape[-len(out) :], out, strict=True))


def to_adaptive(table: dict[type[Any], int]) -> Converter:
    def convert(layer: Any, way: Way) -> Any:
        _check_even(layer, way, layer.out[::-1])
        way.gives(len(layer.out) + 2)
        return of_axes(table, len(layer.out))(layer.out[::-1])

    return convert


def to_global(table: dict[type[Any], int]) -> Converter:
    def convert(layer: Any, way: Way) -> Any:
        rank = way.rank(layer)
        if rank not in (3, 4, 5):
            way.refuse(f"how many axes {layer!r} pools is not known here: give an input, to_torch(model, x)")
        return of_axes(table, rank - 2)(1)

    return convert


FROM: Final[dict[type[Any], Converter]] = {
    **dict.fromkeys(MAX, from_max),
    **dict.fromkeys(MEAN, from_mean),
    **dict.fromkeys(ADAPTIVE_MAX, from_adaptive(ADAPTIVE_MAX, GlobalMaxPool, AdaptiveMaxPool)),
    **dict.fromkeys(ADAPTIVE_MEAN, from_adaptive(ADAPTIVE_MEAN, GlobalMeanPool, AdaptiveMeanPool)),
}

TO: Final[dict[type[Any], Converter]] = {
    MaxPool: to_windowed(MAX),
    MeanPool: to_windowed(MEAN),
    AdaptiveMaxPool: to_adaptive(ADAPTIVE_MAX),
    AdaptiveMeanPool: to_adaptive(ADAPTIVE_MEAN),
    GlobalMaxPool: to_global(ADAPTIVE_MAX),
    GlobalMeanPool: to_global(ADAPTIVE_MEAN),
}
