"""Convolution, pooling, and what makes images larger.

Flux's Conv turns its kernel round, torch's does not: the kernel is turned once on the way, so the numbers that meet are
the same ones. Sizes are height first in torch, width first in Flux.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn

from holdfast.flux.activations import identity
from holdfast.flux.conv import Conv, ConvTranspose, CrossCor, DepthwiseConv
from holdfast.flux.convert.dense import bare
from holdfast.flux.convert.way import Converter, Way, flipped, same
from holdfast.flux.fields import Sizes
from holdfast.flux.padding import sides, symmetric
from holdfast.flux.upsample import PixelShuffle, Upsample

__all__ = ["CONVOLUTIONS", "FROM", "PADS", "TO", "both_sides", "reversed_sizes"]

CONVOLUTIONS: Final[dict[type[Any], int]] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
TRANSPOSED: Final[dict[type[Any], int]] = {nn.ConvTranspose1d: 1, nn.ConvTranspose2d: 2, nn.ConvTranspose3d: 3}
PADS: Final[dict[type[Any], int]] = {nn.ZeroPad1d: 1, nn.ZeroPad2d: 2, nn.ZeroPad3d: 3}


def of_axes(table: dict[type[Any], int], axes: int) -> type[Any]:
    """torch's class for so many spatial axes."""
    return next(kind for kind, count in table.items() if count == axes)


def reversed_sizes(sizes: Sizes, axes: int) -> tuple[int, ...]:
    """A size for each axis, in the other order."""
    return (sizes,) * axes if isinstance(sizes, int) else tuple(reversed(tuple(sizes)))


def both_sides(sizes: Sequence[int]) -> tuple[int, ...]:
    """Two numbers for each axis, as Flux's constructors store a padding."""
    return tuple(size for size in sizes for _ in range(2))


# -- convolution ------------------------------------------------------------------------------------------------------


def _padding(module: Any, axes: int) -> tuple[int, ...]:
    """Two numbers for each axis, width first; ``"same"`` puts an odd one at the end, as torch does."""
    if module.padding == "same":
        spare = [(size - 1) * step for size, step in zip(module.kernel_size[::-1], module.dilation[::-1], strict=True)]
        return tuple(side for total in spare for side in (total // 2, total - total // 2))
    return both_sides((0,) * axes if module.padding == "valid" else reversed_sizes(module.padding, axes))


def from_conv(module: Any, way: Way) -> Conv:
    way.need(module.padding_mode == "zeros", f"Flux's Conv pads with zeros, not padding_mode={module.padding_mode!r}")
    axes = len(module.kernel_size)
    way.gives(axes + 2)
    return Conv.of(
        identity,
        way.array(flipped, module.weight),
        way.bias(module.bias),
        reversed_sizes(module.stride, axes),
        _padding(module, axes),
        reversed_sizes(module.dilation, axes),
        module.groups,
    )


def to_conv(layer: Any, way: Way) -> Any:
    """One module; with a padding that differs from side to side, a ZeroPad before it."""
    axes = len(layer.stride)
    kernels = {Conv: flipped, CrossCor: same, DepthwiseConv: flipped_depthwise}
    weight = way.array(kernels[type(layer)], layer.weight)
    margins = sides(layer.pad, axes)
    even = symmetric(margins)
    conv = bare(
        of_axes(CONVOLUTIONS, axes),
        *layer.channels,
        tuple(weight.shape[2:]),
        stride=layer.stride[::-1],
        padding=0 if even is None else even[::-1],
        dilation=layer.dilation[::-1],
        groups=layer.groups,
    )
    conv.weight, conv.bias = weight, way.offset(layer.bias)
    way.gives(axes + 2)
    return conv if even is not None else [("padding", of_axes(PADS, axes)(tuple(margins))), ("layer", conv)]


def flipped_depthwise(weight: torch.Tensor) -> torch.Tensor:
    return flipped(weight.flatten(0, 1).unsqueeze(1))


def from_conv_transpose(module: Any, way: Way) -> ConvTranspose:
    axes = len(module.kernel_size)
    way.gives(axes + 2)
    return ConvTranspose.of(
        identity,
        way.array(flipped, module.weight),
        way.bias(module.bias),
        reversed_sizes(module.stride, axes),
        both_sides(reversed_sizes(module.padding, axes)),
        reversed_sizes(module.output_padding, axes),
        reversed_sizes(module.dilation, axes),
        module.groups,
    )


def to_conv_transpose(layer: ConvTranspose, way: Way) -> Any:
    axes = len(layer.stride)
    even = symmetric(sides(layer.pad, axes))
    if even is None:
        way.refuse(f"torch's ConvTranspose pads both sides alike, not by {layer.pad}")
    limits = [max(sizes) for sizes in zip(layer.stride, layer.dilation, strict=True)]
    fits = all(size < limit for size, limit in zip(layer.outpad, limits, strict=True))
    way.need(fits, f"torch's output_padding is smaller than the stride or the dilation, {layer.outpad} is not")
    conv = bare(
        of_axes(TRANSPOSED, axes),
        *layer.channels,
        tuple(layer.weight.shape[2:]),
        stride=layer.stride[::-1],
        padding=even[::-1],
        output_padding=layer.outpad[::-1],
        groups=layer.groups,
        dilation=layer.dilation[::-1],
    )
    conv.weight, conv.bias = way.array(flipped, layer.weight), way.offset(layer.bias)
    way.gives(axes + 2)
    return conv


# -- larger images ----------------------------------------------------------------------------------------------------

MODES: Final = {
    "nearest": "nearest",
    "linear": "bilinear",  # NNlib's bilinear is linear along one axis
    "bilinear": "bilinear",
    "trilinear": "trilinear",
}


def from_upsample(module: nn.Upsample, way: Way) -> Upsample:
    way.need(module.mode in MODES, f"Flux's Upsample has no mode {module.mode!r}, only {', '.join(MODES)}")
    aligned = module.mode == "nearest" or bool(module.align_corners)
    way.need(aligned, "Flux's linear modes lay the corners on each other: only align_corners=True is the same")
    axes = 1 if module.mode == "linear" else None
    if module.size is not None:
        way.need(
            axes is not None or not isinstance(module.size, int), "say the size of every axis: size=(height, width)"
        )
        return Upsample(MODES[module.mode], size=reversed_sizes(module.size, axes or 0))
    scale = _factors(module.scale_factor, whole=module.mode == "nearest", way=way)
    if axes is not None and not isinstance(scale, tuple):
        scale = (scale,)
    return Upsample(MODES[module.mode], scale=scale)


def _factors(given: Any, *, whole: bool, way: Way) -> Any:
    """torch's factors are floats; Flux's are whole numbers where they can be, for "nearest" always."""
    if isinstance(given, tuple):
        return tuple(_factors(factor, whole=whole, way=way) for factor in reversed(given))
    way.need(not whole or given == int(given), f"Flux repeats pixels a whole number of times, not {given}")
    return int(given) if given == int(given) else given


def to_upsample(layer: Upsample, way: Way) -> nn.Upsample:
    given: Any = layer.scale if layer.size is None else layer.size
    axes = len(given) if isinstance(given, tuple) else (way.rank(layer) or 4) - 2
    mode = "nearest" if layer.mode == "nearest" else {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
    options: dict[str, Any] = {"mode": mode, "align_corners": None if mode == "nearest" else True}
    if layer.size is not None:
        return nn.Upsample(size=layer.size[::-1], **options)
    factors = tuple(map(float, given[::-1])) if isinstance(given, tuple) else float(given)
    return nn.Upsample(scale_factor=factors, **options)


FROM: Final[dict[type[Any], Converter]] = {
    **dict.fromkeys(CONVOLUTIONS, from_conv),
    **dict.fromkeys(TRANSPOSED, from_conv_transpose),
    nn.Upsample: from_upsample,
    nn.PixelShuffle: lambda module, way: PixelShuffle(module.upscale_factor),
}

TO: Final[dict[type[Any], Converter]] = {
    **dict.fromkeys((Conv, CrossCor, DepthwiseConv), to_conv),
    ConvTranspose: to_conv_transpose,
    Upsample: to_upsample,
    PixelShuffle: lambda layer, way: nn.PixelShuffle(layer.r),
}
