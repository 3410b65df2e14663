"""Linear, Bilinear and embeddings.

torch's weight ``(out, in)`` is Flux's, in Julia's order of memory. An embedding's ``(words, features)`` is
``(features, words)`` there, a column for a word; words count from 0 in both Python classes.
"""

from typing import Any, Final

import torch
from torch import nn

from holdfast.flux.basic import Bilinear, Dense, Embedding, EmbeddingBag
from holdfast.flux.convert.way import Converter, Way, columns, same
from holdfast.flux.functions import maximum, mean, total

__all__ = ["FROM", "TO", "bare"]


def bare(kind: type[nn.Module], *arguments: Any, **options: Any) -> Any:
    """A module of torch's whose arrays are still to come; no random number is drawn for them."""
    return kind(*arguments, **options, device="meta")


# -- Linear, Bilinear -------------------------------------------------------------------------------------------------


def from_linear(module: nn.Linear, way: Way) -> Dense:
    return Dense.of(way.array(columns, module.weight), way.bias(module.bias))


def to_linear(layer: Dense, way: Way) -> nn.Linear:
    outputs, inputs = layer.weight.shape
    linear: nn.Linear = bare(nn.Linear, inputs, outputs)
    linear.weight, linear.bias = way.array(same, layer.weight), way.offset(layer.bias)
    return linear


def from_bilinear(module: nn.Bilinear, way: Way) -> Bilinear:
    return Bilinear.of(way.array(columns, module.weight), way.bias(module.bias))


def to_bilinear(layer: Bilinear, way: Way) -> nn.Bilinear:
    outputs, first, second = layer.weight.shape
    bilinear: nn.Bilinear = bare(nn.Bilinear, first, second, outputs)
    bilinear.weight, bilinear.bias = way.array(same, layer.weight), way.offset(layer.bias)
    return bilinear


# -- embeddings -------------------------------------------------------------------------------------------------------


def turned_table(weight: torch.Tensor) -> torch.Tensor:
    return same(weight).T


def table(weight: torch.Tensor) -> torch.Tensor:
    return same(weight.T)


def _check_table(module: Any, way: Way) -> None:
    way.need(module.max_norm is None, "Flux's embeddings have no max_norm")
    way.need(not module.scale_grad_by_freq, "Flux's embeddings have no scale_grad_by_freq")


def from_embedding(module: nn.Embedding, way: Way) -> Embedding:
    _check_table(module, way)
    padding = module.padding_idx
    if padding is not None:
        blank = not bool(module.weight[padding].any())
        way.need(blank, f"word {padding} is padding, which is zeros in Flux, and here it is not: fill it with zeros")
    way.gives(None)
    return Embedding.of(way.array(turned_table, module.weight), padding)


def to_embedding(layer: Embedding, way: Way) -> nn.Embedding:
    features, words = layer.weight.shape
    embedding: nn.Embedding = bare(nn.Embedding, words, features, padding_idx=layer.padding_idx)
    embedding.weight = way.array(table, layer.weight)
    if layer.padding_idx is not None:
        with torch.no_grad():
            embedding.weight[layer.padding_idx] = 0
    way.gives(None)
    return embedding


REDUCTIONS: Final[dict[str, Any]] = {"mean": mean, "sum": total, "max": maximum}


def from_embedding_bag(module: nn.EmbeddingBag, way: Way) -> EmbeddingBag:
    _check_table(module, way)
    way.need(module.padding_idx is None, "Flux's EmbeddingBag has no padding_idx")
    way.need(not module.include_last_offset, "Flux's EmbeddingBag has no include_last_offset")
    way.gives(None)
    return EmbeddingBag.of(way.array(turned_table, module.weight), REDUCTIONS[module.mode])


def to_embedding_bag(layer: EmbeddingBag, way: Way) -> nn.EmbeddingBag:
    mode = next((name for name, reduction in REDUCTIONS.items() if reduction is layer.reduction), None)
    if mode is None:
        way.refuse("torch's EmbeddingBag reduces by mean, sum or max only")
    features, words = layer.weight.shape
    bag: nn.EmbeddingBag = bare(nn.EmbeddingBag, words, features, mode=mode)
    bag.weight = way.array(table, layer.weight)
    way.gives(None)
    return bag


FROM: Final[dict[type[Any], Converter]] = {
    nn.Linear: from_linear,
    nn.Bilinear: from_bilinear,
    nn.Embedding: from_embedding,
    nn.EmbeddingBag: from_embedding_bag,
}

TO: Final[dict[type[Any], Converter]] = {
    Dense: to_linear,
    Bilinear: to_bilinear,
    Embedding: to_embedding,
    EmbeddingBag: to_embedding_bag,
}
