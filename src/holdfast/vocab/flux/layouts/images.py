"""Convolution, pooling, and what makes images larger. Source: Flux.jl, src/layers/conv.jl and upsample.jl, 0.5 to 0.16."""

from typing import Any, Final

from holdfast import flux
from holdfast.julia.values import Symbol
from holdfast.vocab.flux.layouts.rows import Layout, row

KERNEL: Final = {
    "activation": "function",
    "weight": "image",
    "bias": "bias",
    "stride": "sizes",
    "pad": "sizes",
    "dilation": "sizes",
}
GROUPED: Final = {**KERNEL, "groups": "number"}
AXES: Final = {"N": lambda layer: len(layer.stride), "M": lambda layer: len(layer.pad)}

FIVE: Final = "activation weight bias stride pad"
SIX: Final = f"{FIVE} dilation"
TYPES: Final = "N M activation weight bias"
"""The types since 0.8.3, when ``pad`` could have two numbers for each axis; before, M was not there."""
OLD: Final = TYPES.replace("M ", "")

CONVOLUTIONS: Final = (
    Layout(
        "Flux.Conv",
        flux.Conv,
        (
            row(FIVE, OLD, until="0.5.2"),
            row(SIX, OLD, "0.5.3", "0.8.2"),
            row(SIX, TYPES, "0.8.3", "0.12.5"),
            row(f"{SIX} groups", TYPES, "0.12.6"),
        ),
        GROUPED,
        parts=AXES,
    ),
    Layout(
        "Flux.ConvTranspose",
        flux.ConvTranspose,
        (
            row(SIX, OLD, "0.8.0", "0.8.2"),
            row(SIX, TYPES, "0.8.3", "0.12.7"),
            row(f"{SIX} groups", TYPES, "0.12.8", "0.14.16"),
            row(f"{FIVE} outpad dilation groups", TYPES, "0.14.17"),
        ),
        {**GROUPED, "outpad": "sizes"},
        parts=AXES,
    ),
    Layout("Flux.CrossCor", flux.CrossCor, (row(SIX, TYPES, "0.9.0"),), KERNEL, parts=AXES, inner=("groups",)),
    Layout(
        "Flux.DepthwiseConv",
        flux.DepthwiseConv,
        (row(FIVE, OLD, "0.7.0", "0.8.2"), row(SIX, TYPES, "0.8.3", "0.12.10")),
        KERNEL,
        parts=AXES,
        inner=("groups",),
    ),
)

WINDOW: Final = {"k": "sizes", "pad": "sizes", "stride": "sizes"}
WINDOW_AXES: Final = {"N": lambda layer: len(layer.k), "M": lambda layer: len(layer.pad)}
WINDOWS: Final = (
    row("k pad stride", "N", "0.6.7", "0.8.2"),
    row("k pad stride", "N M", "0.8.3", "0.11.1", clamped=True),
    row("k pad stride", "N M", "0.11.2", clamped=False),
)
OUT_AXES: Final = {"S": lambda layer: len(layer.out) + 2, "O": lambda layer: len(layer.out)}
"""S is the number of axes of an image with its channels and the batch."""


def _pool(name: str, layer: type[Any]) -> Layout:
    return Layout(f"Flux.{name}", layer, WINDOWS, WINDOW, parts=WINDOW_AXES, python=("clamped",))


def _adaptive(name: str, layer: type[Any]) -> Layout:
    return Layout(f"Flux.{name}", layer, (row("out", "S O", "0.11.0"),), {"out": "sizes"}, parts=OUT_AXES)


POOLS: Final = (
    _pool("MaxPool", flux.MaxPool),
    _pool("MeanPool", flux.MeanPool),
    _adaptive("AdaptiveMaxPool", flux.AdaptiveMaxPool),
    _adaptive("AdaptiveMeanPool", flux.AdaptiveMeanPool),
    Layout("Flux.GlobalMaxPool", flux.GlobalMaxPool, (row("", "", "0.10.4"),)),
    Layout("Flux.GlobalMeanPool", flux.GlobalMeanPool, (row("", "", "0.10.4"),)),
)

LARGER: Final = (
    Layout(
        "Flux.Upsample",
        flux.Upsample,
        (row("scale size", "mode scale size", "0.12.0"),),
        {"scale": "plain", "size": "plain"},
        parts={"mode": lambda layer: Symbol(layer.mode)},
        given={"mode": -3},
        inner=("mode",),
    ),
    Layout("Flux.PixelShuffle", flux.PixelShuffle, (row("r", "", "0.12.0"),), {"r": "number"}),
)
