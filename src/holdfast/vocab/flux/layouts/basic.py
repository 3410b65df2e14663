"""Layers of one array, and layers made of layers. Source: Flux.jl, src/layers/basic.jl, 0.5 to 0.16."""

from collections.abc import Mapping
from typing import Any, Final

from holdfast import flux
from holdfast.vocab.flux.layouts.rows import Layout, row

WEIGHTED: Final = {"weight": "matrix", "bias": "bias", "activation": "function"}
MEMBERS: Final = ("names", "named", "_functions")

BASIC: Final = (
    Layout("Flux.Dense", flux.Dense, (row("weight bias activation", "activation weight bias"),), WEIGHTED),
    Layout(
        "Flux.Bilinear", flux.Bilinear, (row("weight bias activation", "activation weight bias", "0.12.0"),), WEIGHTED
    ),
    Layout(
        "Flux.Diagonal",
        flux.Diagonal,
        (row("scale bias", "scale", until="0.12.10"),),
        {"scale": "image", "bias": "bias"},
        inner=("activation",),
    ),
    Layout(
        "Flux.Scale",
        flux.Scale,
        (row("scale bias activation", "activation scale bias", "0.13.0"),),
        {"scale": "image", "bias": "bias", "activation": "function"},
    ),
    Layout(
        "Flux.Embedding",
        flux.Embedding,
        (row("weight", "weight", "0.12.5", "0.16.10"), row("weight padding_idx", "weight padding_idx", "0.16.11")),
        {"weight": "matrix", "padding_idx": "index"},
    ),
    Layout(
        "Flux.EmbeddingBag",
        flux.EmbeddingBag,
        (row("weight reduction", "reduction weight", "0.13.16"),),
        {"weight": "matrix", "reduction": "function"},
    ),
)


def _unnamed(fields: Mapping[str, Any]) -> bool:
    """Layers in a tuple or a vector: as fields of a file they are a list, as those of a layer its own view of them."""
    layers = fields["layers"]
    return not (isinstance(layers, dict) or (hasattr(layers, "_owner") and layers._owner.named))


CONTAINERS: Final = (
    Layout(
        "Flux.Chain",
        flux.Chain,
        (
            row("layers", "", until="0.6.10", fits=_unnamed),
            row("layers", "layers", "0.7.0", "0.12.6", fits=_unnamed),
            row("layers", "layers", "0.12.7"),
        ),
        {"layers": "members"},
        inner=MEMBERS,
    ),
    Layout("Flux.Maxout", flux.Maxout, (row("layers", "layers", "0.8.0"),), {"layers": "members"}, inner=MEMBERS),
    Layout(
        "Flux.SkipConnection",
        flux.SkipConnection,
        (
            row("layers connection", "", "0.9.0", "0.11.6"),
            row("layers connection", "layers connection", "0.12.0"),
        ),
        {"layers": "function", "connection": "function"},
    ),
    Layout(
        "Flux.Parallel",
        flux.Parallel,
        (row("connection layers", "connection layers", "0.12.0"),),
        {"connection": "function", "layers": "members"},
        inner=MEMBERS,
    ),
    Layout(
        "Flux.PairwiseFusion",
        flux.PairwiseFusion,
        (row("connection layers", "connection layers", "0.13.4"),),
        {"connection": "function", "layers": "members"},
        inner=MEMBERS,
    ),
)
