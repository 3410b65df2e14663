"""MultiheadAttention and the transformer's encoder.

torch keeps the three projections as one array where their sizes are alike; Flux has a Dense for each. An encoder's
layer is a Chain of SkipConnections in Flux, and a Chain of just that form is an encoder's layer in torch:

    Chain(SkipConnection(Chain(MultiHeadAttention, first, Dropout), +), LayerNorm,
          SkipConnection(Chain(Dense, Dropout, Dense, Dropout), +), LayerNorm)

or, with ``norm_first``, the LayerNorms first in the inner Chains. Masks are arguments of a call, not part of a model.
"""

from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.flux.activations import gelu_erf, identity, relu
from holdfast.flux.attention import MultiHeadAttention
from holdfast.flux.basic import Dense
from holdfast.flux.containers import Chain, SkipConnection
from holdfast.flux.convert.dense import bare, to_linear
from holdfast.flux.convert.functions import ELEMENTWISE, called, module_of
from holdfast.flux.convert.normalise import follows_mode, to_dropout, to_layer_norm
from holdfast.flux.convert.recurrent import ALONE
from holdfast.flux.convert.way import Converter, Way, columns, refuse_code, same
from holdfast.flux.dropout import Dropout
from holdfast.flux.functions import SAME, add, first
from holdfast.flux.layernorm import LayerNorm

__all__ = ["FROM", "TO", "encoder", "encoder_layer"]


# -- attention --------------------------------------------------------------------------------------------------------


def thirds(weight: Tensor) -> tuple[Tensor, ...]:
    """The projections of queries, keys and values, one below the other."""
    return tuple(columns(part) for part in weight.detach().chunk(3))


def joined(*parts: Tensor) -> Tensor:
    return torch.cat([part.detach() for part in parts]).contiguous()


def from_attention(module: nn.MultiheadAttention, way: Way) -> MultiHeadAttention:
    way.need(module.batch_first, "Flux's is batch first here, (batch, length, features): only batch_first=True")
    way.need(module.bias_k is None and not module.add_zero_attn, "Flux has no add_bias_kv and no add_zero_attn")
    weights = way.array(thirds, module.in_proj_weight)
    if weights is None:
        weights = [way.array(columns, getattr(module, f"{name}_proj_weight")) for name in "qkv"]
    biases = way.array(thirds, module.in_proj_bias) or (False,) * 3
    q, k, v = (Dense.of(weight, bias) for weight, bias in zip(weights, biases, strict=True))
    out = way.convert(module.out_proj, "out_proj")
    layer = MultiHeadAttention.of(module.num_heads, q, k, v, Dropout(module.dropout), out)
    return layer.train(module.training)


def to_attention(layer: MultiHeadAttention, way: Way) -> nn.MultiheadAttention:
    way.need(not way.path, ALONE.format("MultiheadAttention").replace("its state", "its scores"))
    return attention(layer, way)


def attention(layer: MultiHeadAttention, way: Way) -> nn.MultiheadAttention:
    """torch's module; Raises UnsupportedError for sizes that it cannot have."""
    projections = (layer.q_proj, layer.k_proj, layer.v_proj)
    parts = (*projections, layer.out_proj)
    plain = all(type(part) is Dense and part.activation is identity for part in parts)
    way.need(plain, "torch projects by a Linear each, without activations")
    width = layer.out_proj.weight.shape[0]
    inner = {layer.q_proj.weight.shape[1], *(part.weight.shape[0] for part in parts)}
    way.need(inner == {width}, "torch's has one width for queries, heads and outputs; the sizes of this one differ")
    way.need(len({part.bias is False for part in parts}) == 1, "torch has a bias in all projections or in none")
    follows_mode(layer.attn_drop, way)
    k_in, v_in = layer.k_proj.weight.shape[1], layer.v_proj.weight.shape[1]
    module: nn.MultiheadAttention = bare(
        nn.MultiheadAttention,
        width,
        layer.nheads,
        layer.attn_drop.p,
        layer.q_proj.bias is not False,
        kdim=k_in,
        vdim=v_in,
        batch_first=True,
    )
    weights = [part.weight for part in projections]
    if k_in == v_in == width:
        module.in_proj_weight = way.array(joined, *weights)
    else:
        for name, weight in zip("qkv", weights, strict=True):
            setattr(module, f"{name}_proj_weight", way.array(same, weight))
    if layer.q_proj.bias is not False:
        module.in_proj_bias = way.array(joined, *(part.bias for part in projections))
    module.out_proj.weight = way.array(same, layer.out_proj.weight)
    module.out_proj.bias = way.offset(layer.out_proj.bias)
    return module.train(layer.training)


# -- from a transformer -----------------------------------------------------------------------------------------------


def inner_activation(module: nn.TransformerEncoderLayer, way: Way) -> Any:
    """Flux's function between the two Linears."""
    given: Any = module.activation
    if isinstance(given, nn.Module):
        way.need(type(given) in ELEMENTWISE, f"a Dense of Flux's cannot hold {given!r}", ".activation")
        return way.convert(given, "activation")
    function = None if given in (F.softmax, F.log_softmax) else called(given)
    name = getattr(given, "__name__", repr(given))
    way.need(function is not None, f"a Dense of Flux's cannot hold {name}", ".activation")
    return function


def from_encoder_layer(module: nn.TransformerEncoderLayer, way: Way) -> Chain:
    def part(name: str) -> Any:
        return way.convert(getattr(module, name), name)

    def block(*steps: Any) -> SkipConnection:
        return SkipConnection(Chain.of(steps), add)

    linear = part("linear1")
    hidden = Dense.of(linear.weight, linear.bias, inner_activation(module, way)).train(linear.training)
    look = (part("self_attn"), first, part("dropout1"))
    think = (hidden, part("dropout"), part("linear2"), part("dropout2"))
    norms = (part("norm1"), part("norm2"))
    if module.norm_first:
        steps = [block(norms[0], *look), block(norms[1], *think)]
    else:
        steps = [block(*look), norms[0], block(*think), norms[1]]
    chain = Chain.of(steps)
    for step in (chain, *chain.children(), *(step.layers for step in steps if isinstance(step, SkipConnection))):
        if isinstance(step, Chain | SkipConnection):
            step.training = module.training
    return chain


def from_encoder(module: nn.TransformerEncoder, way: Way) -> Chain:
    layers = [way.convert(layer, f"layers.{number}") for number, layer in enumerate(module.layers)]
    chain = Chain.of(layers if module.norm is None else [*layers, way.convert(module.norm, "norm")])
    chain.training = module.training
    return chain


# -- to a transformer -------------------------------------------------------------------------------------------------


class Skip(NamedTuple):
    """The pattern of a SkipConnection that adds what a Chain makes."""

    steps: tuple[Any, ...]


LOOK: Final = (MultiHeadAttention, first, Dropout)
THINK: Final = (Dense, Dropout, Dense, Dropout)
PATTERNS: Final = {
    False: (Skip(LOOK), LayerNorm, Skip(THINK), LayerNorm),
    True: (Skip((LayerNorm, *LOOK)), Skip((LayerNorm, *THINK))),
}
"""norm_first -> the form of a Chain."""

NAMES: Final = {
    False: "self_attn first dropout1 norm1 linear1 dropout linear2 dropout2 norm2".split(),
    True: "norm1 self_attn first dropout1 norm2 linear1 dropout linear2 dropout2".split(),
}
"""norm_first -> torch's names for the layers of the pattern, in its order."""


def matched(value: Any, pattern: Any, step: str = "") -> list[tuple[Any, str]] | None:
    """The layers of ``value``, each with its path, if it has the form of ``pattern``; else None."""
    if isinstance(pattern, Skip):
        adds = type(value) is SkipConnection and SAME.get(value.connection, value.connection) is add
        return matched(value.layers, pattern.steps, f"{step}.layers") if adds else None
    if not isinstance(pattern, tuple):
        fits = type(value) is pattern if isinstance(pattern, type) else value is pattern
        return [(value, step)] if fits else None
    if type(value) is not Chain or value.named or len(value) != len(pattern):
        return None
    parts = [matched(*pair, f"{step}.layers[{i}]") for i, pair in enumerate(zip(value, pattern, strict=True))]
    return None if None in parts else [layer for part in parts for layer in part or ()]


def parts_of(chain: Any) -> tuple[bool, dict[str, tuple[Any, str]]] | None:
    """``norm_first`` and the layers of an encoder's layer by torch's names, each with its path; None for other Chains."""
    for norm_first, pattern in PATTERNS.items():
        layers = matched(chain, pattern)
        if layers is not None:
            parts = dict(zip(NAMES[norm_first], layers, strict=True))
            plain = all(parts[name][0].activation is identity for name in ("norm1", "norm2", "linear2"))
            return (norm_first, parts) if plain else None
    return None


MAKERS: Final[dict[str, Converter]] = {
    "self_attn": attention,
    **dict.fromkeys(("linear1", "linear2"), to_linear),
    **dict.fromkeys(("norm1", "norm2"), to_layer_norm),
    **dict.fromkeys(("dropout", "dropout1", "dropout2"), to_dropout),
}
FUNCTIONS: Final[dict[Any, Any]] = {relu: F.relu, gelu_erf: F.gelu}
"""Activations that torch's fast path knows by its own functions."""


def encoder_layer(chain: Chain, way: Way) -> nn.TransformerEncoderLayer | None:
    """torch's module for a Chain of that form; None for others."""
    found = parts_of(chain)
    if found is None:
        return None
    norm_first, parts = found
    (heads, _), (hidden, path) = parts["self_attn"], parts["linear1"]
    module: nn.TransformerEncoderLayer = bare(
        nn.TransformerEncoderLayer,
        heads.out_proj.weight.shape[0],
        heads.nheads,
        hidden.weight.shape[0],
        activation=FUNCTIONS.get(hidden.activation) or module_of(hidden.activation, way.at(way.path + path)),
        batch_first=True,
        norm_first=norm_first,
    )
    for name, make in MAKERS.items():
        layer, path = parts[name]
        here = way.at((way.path + path).lstrip("."))
        refuse_code(layer, here)
        setattr(module, name, make(layer, here).train(layer.training))
    if isinstance(module.activation, nn.Module):
        module.activation.train(hidden.training)
    return module


def encoder(chain: Chain, way: Way) -> nn.TransformerEncoder | None:
    """torch's module for a Chain of encoder's layers, and a LayerNorm after them or not; None for others."""
    members = list(chain)
    norm = members.pop() if members and type(members[-1]) is LayerNorm else None
    if chain.named or not members or not all(map(parts_of, members)):
        return None
    layers = [way.convert(layer, f"layers[{number}]") for number, layer in enumerate(members)]
    last = None if norm is None else way.convert(norm, f"layers[{len(members)}]")
    module = nn.TransformerEncoder(layers[0], 0, last, enable_nested_tensor=False)
    module.layers, module.num_layers = nn.ModuleList(layers), len(layers)
    module.layers.training = chain.training
    return module


FROM: Final[dict[type[Any], Converter]] = {
    nn.MultiheadAttention: from_attention,
    nn.TransformerEncoderLayer: from_encoder_layer,
    nn.TransformerEncoder: from_encoder,
}

TO: Final[dict[type[Any], Converter]] = {MultiHeadAttention: to_attention}
