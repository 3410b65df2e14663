"""What is told of a module that the other side does not have, and what to do about it."""

from typing import Any, Final

from torch import nn

from holdfast.flux.basic import Diagonal, Scale
from holdfast.flux.containers import Maxout, PairwiseFusion, Parallel, SkipConnection
from holdfast.flux.functions import Compose
from holdfast.flux.recurrent import GRUv3Cell
from holdfast.flux.sequence import GRUv3, Recur, Recurrence
from holdfast.flux.weightnorm import WeightNorm

__all__ = ["not_in_flux", "not_in_torch"]

ONE_BY_ONE: Final = "convert its parts and put them together with Chain, Parallel and SkipConnection"

FLUX: Final[dict[type[Any], str]] = {
    nn.ModuleList: f"a list does not say how its modules are called: {ONE_BY_ONE}",
    nn.ModuleDict: f"a dictionary does not say how its modules are called: {ONE_BY_ONE}",
    nn.PReLU: "Flux has no activation with a slope that is trained",
    nn.RReLU: "Flux draws the slopes outside training too: put LeakyReLU((lower + upper) / 2) in its place",
    nn.Softmax2d: "Flux's softmax goes along the features, the last axis here, not along channels",
    nn.SyncBatchNorm: "Flux has no BatchNorm over several machines: put a BatchNorm in its place",
    nn.RMSNorm: "Flux has no RMSNorm; its LayerNorm subtracts the mean",
    nn.FeatureAlphaDropout: "Flux's AlphaDropout drops single numbers only",
    nn.Transformer: "two inputs do not go through a Chain; the encoder by itself can be converted",
    nn.TransformerDecoder: "two inputs do not go through a Chain: convert its parts",
    nn.TransformerDecoderLayer: "two inputs do not go through a Chain: convert its parts",
    **dict.fromkeys((nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d), "Flux pads in a Conv: put it just before one"),
}
"""torch's class -> why Flux has none."""

BRANCHES: Final = "convert its layers, and join them in a module of your own"

TORCH: Final[dict[type[Any], str]] = {
    **dict.fromkeys((Parallel, PairwiseFusion, SkipConnection, Maxout), BRANCHES),
    **dict.fromkeys((Scale, Diagonal), "its numbers would have to be a parameter of a module of your own"),
    **dict.fromkeys((GRUv3, GRUv3Cell), "torch's GRU applies its reset gate after the product, this one before"),
    Recur: "torch's layers do not remember a state: give LSTM.of(layer.cell) in its place, for whole sequences",
    Recurrence: "torch runs RNN, LSTM and GRU only: put Flux's layer of that name around the cell",
    WeightNorm: "take it off first: remove_weight_norms(model)",
    Compose: "write Chain(inner, outer) in its place",
}
"""Flux's class -> why torch has none."""


def not_in_flux(kind: type[Any]) -> str:
    """Why a module of this class has no counterpart, and what to do."""
    name = kind.__qualname__
    known = next((text for base, text in FLUX.items() if issubclass(kind, base)), None)
    if known is not None:
        return f"{name} has no counterpart in Flux: {known}"
    if kind.__module__.startswith("torch."):
        return f"Flux has no {name}: leave it out, or call it from Python beside the converted model"
    return f"{name} is a class of your own, and what its forward does is Python code: {ONE_BY_ONE}"


def not_in_torch(kind: type[Any]) -> str:
    """Why a layer of this class has no counterpart, and what to do."""
    known = next((text for base, text in TORCH.items() if issubclass(kind, base)), None)
    if known is None:
        known = "convert the layers around it, and call it between them: it is a torch module as it is"
    return f"torch.nn has no {kind.__qualname__}: {known}"
