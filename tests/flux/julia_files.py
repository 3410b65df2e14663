"""Models that Julia saved, with the inputs and outputs of Julia's own run, read without Holdfast's readers.

A small reader of its own (pymongo's BSON and a table of structs) builds layers with ``of``, so that these tests depend
on the layers alone. Arrays come out with Julia's axes reversed; ``julia`` turns a matrix to Julia's shape.
"""

import json
import struct
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.flux import attention, basic, containers, conv, dropout, layernorm, normalise, pooling, sequence, upsample
from holdfast.flux import recurrent as cells
from holdfast.flux.activations import ACTIVATIONS, identity
from holdfast.flux.fields import parameter
from holdfast.flux.functions import FUNCTIONS, flatten
from reference import JULIA

VERSIONS = ("0.8.3", "0.12.1", "0.16.9")
DTYPES = {
    "Float16": torch.float16,
    "Float32": torch.float32,
    "Float64": torch.float64,
    "Int64": torch.int64,
    "Int32": torch.int32,
    "Bool": torch.bool,
}
EPS_RULES = {"0.8.3": "none", "0.12.1": "deviation", "0.16.9": "squared"}


class Unbuilt(Exception):
    """A struct that stands for Julia code, or that no layer of ours is meant for."""


def need_files() -> None:
    if not JULIA.is_dir():
        pytest.skip("the collection of files written by Julia does not stand beside this checkout")
    pytest.importorskip("bson", reason="pymongo reads the files independently of Holdfast")


def reference(version: str, name: str) -> dict[str, Any]:
    """The JSON beside a file, with its arrays as tensors. Skips where there is none."""
    need_files()
    path = JULIA / f"flux-{version}" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"Flux {version} has no {name}")
    case = json.loads(path.read_text())
    for key in ("inputs", "outputs", "params"):
        case[key] = [array(entry) for entry in case.get(key, ())]
    return case


def array(entry: Any) -> Tensor:
    """An array of the JSON, Julia's axes reversed."""
    numbers = [float(number) for number in entry["data"]]
    return torch.tensor(numbers, dtype=DTYPES[entry["eltype"]]).reshape(*reversed(entry["size"]))


def described(entry: Any) -> Any:
    """A value of the JSON's ``state``: an array, or a tuple of them."""
    if "array" in entry:
        return array(entry["array"])
    return tuple(described(part) for part in entry.get("tuple", entry.get("elements", ())))


def julia(reversed_array: Any) -> Any:
    """Julia's shape in Julia's memory order; what is no array stays as it is."""
    if not isinstance(reversed_array, Tensor):
        return reversed_array
    turned = reversed_array.detach().permute(*reversed(range(reversed_array.dim())))
    return parameter(turned)


def model(version: str, name: str) -> nn.Module:
    """The model in a file, in test mode as far as the file does not say otherwise."""
    need_files()
    import bson

    path = JULIA / f"flux-{version}" / f"{name}.bson"
    built = Reader(bson.decode(path.read_bytes()), version).read_key("model")
    return built.eval() if isinstance(built, nn.Module) else built


class Reader:
    """One document; what was one object in Julia is read once."""

    def __init__(self, document: dict[str, Any], version: str) -> None:
        self.document, self.version = document, version
        self.seen: dict[int, Any] = {}

    def read_key(self, key: str) -> Any:
        return self.read(self.document[key])

    def read(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.read(part) for part in node]
        if not isinstance(node, dict):
            return node
        return getattr(self, f"read_{node['tag']}", self.refuse)(node)

    def refuse(self, node: dict[str, Any]) -> Any:
        raise Unbuilt(node["tag"])

    def read_backref(self, node: dict[str, Any]) -> Any:
        ref = node["ref"]
        if ref not in self.seen:
            self.seen[ref] = self.read(self.document["_backrefs"][ref - 1])
        return self.seen[ref]

    def read_tuple(self, node: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self.read(node["data"]))

    def read_symbol(self, node: dict[str, Any]) -> str:
        return node["name"]

    def read_datatype(self, node: dict[str, Any]) -> tuple[str, list[Any]]:
        return node["name"][-1], [self.read_type(part) for part in node["params"]]

    def read_type(self, node: Any) -> Any:
        return self.read(node) if not isinstance(node, dict) or node["tag"] != "jl_anonymous" else None

    def read_array(self, node: dict[str, Any]) -> Any:
        name = self.read(node["type"])[0]
        if not isinstance(node["data"], bytes):
            return self.read(node["data"])
        flat = torch.frombuffer(bytearray(node["data"]), dtype=DTYPES[name])
        return parameter(flat.reshape(*reversed(node["size"])))

    def read_struct(self, node: dict[str, Any]) -> Any:
        kind = node["type"]
        if self.is_anonymous(kind):
            return flatten  # in conv_net and conv_net_anon it is x -> reshape(x, :, size(x, 4))
        name, parameters = self.read(kind)
        if isinstance(node["data"], bytes):
            return struct.unpack({"Float32": "<f", "UInt32": "<I"}[name], node["data"])[0]
        if name.startswith("#"):
            return (ACTIVATIONS | FUNCTIONS)[name[1:]]
        if name == "TrackedArray":
            return self.tracked(node)
        if name not in STRUCTS:
            raise Unbuilt(name)
        if name in BEFORE_RNG:  # the last field is Julia's random generator
            node = {**node, "data": node["data"][: BEFORE_RNG[name]]}
        return STRUCTS[name](self.version, parameters, *self.read(node["data"]))

    def is_anonymous(self, kind: dict[str, Any]) -> bool:
        if kind["tag"] == "backref":
            kind = self.document["_backrefs"][kind["ref"] - 1]
        return kind["tag"] == "jl_anonymous"

    def tracked(self, node: dict[str, Any]) -> Any:
        return self.read(node["data"][1])


BEFORE_RNG = {"Dropout": 3, "AlphaDropout": 2}


def _conv(layer: Any) -> Any:
    return lambda version, parameters, *fields: layer.of(*fields)


def _transposed(version: str, parameters: Any, *fields: Any) -> Any:
    σ, weight, bias, stride, pad, *more = fields
    outpad = more.pop(0) if len(more) == 3 else 0
    return conv.ConvTranspose.of(σ, weight, bias, stride, pad, outpad, *more)


def _pool(layer: Any) -> Any:
    return lambda version, parameters, *fields: layer.of(*fields, clamped=version == "0.8.3")


def _norm(layer: Any) -> Any:
    def build(version: str, parameters: Any, *fields: Any) -> Any:
        groups = fields[:1] if layer is normalise.GroupNorm else ()
        λ, β, γ, μ, σ2, *rest = fields[len(groups) :]
        μ, σ2 = (None if stats is None else stats.detach() for stats in (μ, σ2))
        if len(rest) == 3:  # before 0.12: eps, momentum, active
            rest = [rest[0], rest[1], True, True, rest[2], len(β)]
        return layer.of(*groups, λ, β, γ, μ, σ2, *rest)

    return build


def _layernorm(version: str, parameters: Any, *fields: Any) -> Any:
    rule = EPS_RULES[version]
    if len(fields) == 1:
        return layernorm.LayerNorm.of(identity, fields[0], 1e-5, tuple(reversed(fields[0].scale.shape)), True, rule)
    λ, diag, eps, size, affine = fields
    return layernorm.LayerNorm.of(λ, diag, eps, size, affine, rule)


def _cell(layer: Any) -> Any:
    def build(version: str, parameters: Any, *fields: Any) -> Any:
        σ = fields[:1] if layer is cells.RNNCell else ()
        Wi, Wh, bias, *more = fields[len(σ) :]
        if layer is cells.GRUv3Cell:
            more[0] = julia(more[0])
        if layer is cells.LSTMCell and len(more) == 2:  # before 0.12: h and c are two fields
            more = [tuple(more)]
        return layer.of(*σ, julia(Wi), julia(Wh), bias, *more)

    return build


def _recur(version: str, parameters: Any, cell: Any, *more: Any) -> Any:
    state, first = more[-1], cell.initialstates()
    states, firsts = (
        (state if isinstance(state, tuple) else (state,)),
        (first if isinstance(first, tuple) else (first,)),
    )
    if all(one is other for one, other in zip(states, firsts, strict=True)):
        return sequence.Recur.of(cell)
    plain = tuple(part.detach() for part in states)
    return sequence.Recur.of(cell, plain if isinstance(state, tuple) else plain[0])


def _unrolled(layer: Any) -> Any:
    return lambda version, parameters, cell: layer.of(cell, parameters[0])


def _weighted(layer: Any) -> Any:
    return lambda version, parameters, weight, *rest: layer.of(julia(weight), *rest)


STRUCTS: dict[str, Any] = {
    "AdaptiveMaxPool": lambda version, parameters, out: pooling.AdaptiveMaxPool.of(out),
    "AdaptiveMeanPool": lambda version, parameters, out: pooling.AdaptiveMeanPool.of(out),
    "AlphaDropout": lambda version, parameters, p, active, *rng: dropout.AlphaDropout.of(p, active),
    "BatchNorm": _norm(normalise.BatchNorm),
    "Bilinear": _weighted(basic.Bilinear),
    "Chain": lambda version, parameters, layers: containers.Chain.of(layers),
    "Colon": lambda version, parameters: None,
    "Conv": _conv(conv.Conv),
    "ConvTranspose": _transposed,
    "CrossCor": _conv(conv.CrossCor),
    "Dense": _weighted(basic.Dense),
    "DepthwiseConv": _conv(conv.DepthwiseConv),
    "Diagonal": lambda version, parameters, α, β: basic.Diagonal.of(α, β),
    "Dropout": lambda version, parameters, p, *rest: dropout.Dropout.of(p, *(rest if len(rest) > 1 else (None, *rest))),
    "Embedding": _weighted(basic.Embedding),
    "GlobalMaxPool": lambda version, parameters: pooling.GlobalMaxPool.of(),
    "GlobalMeanPool": lambda version, parameters: pooling.GlobalMeanPool.of(),
    "GRU": _unrolled(sequence.GRU),
    "GRUCell": _cell(cells.GRUCell),
    "GRUv3": _unrolled(sequence.GRUv3),
    "GRUv3Cell": _cell(cells.GRUv3Cell),
    "GroupNorm": _norm(normalise.GroupNorm),
    "InstanceNorm": _norm(normalise.InstanceNorm),
    "LSTM": _unrolled(sequence.LSTM),
    "LSTMCell": _cell(cells.LSTMCell),
    "LayerNorm": _layernorm,
    "MaxPool": _pool(pooling.MaxPool),
    "Maxout": lambda version, parameters, layers: containers.Maxout.of(layers),
    "MeanPool": _pool(pooling.MeanPool),
    "MultiHeadAttention": lambda version, parameters, *fields: attention.MultiHeadAttention.of(*fields),
    "Parallel": lambda version, parameters, connection, layers: containers.Parallel.of(connection, layers),
    "PixelShuffle": lambda version, parameters, r: upsample.PixelShuffle.of(r),
    "RNN": _unrolled(sequence.RNN),
    "RNNCell": _cell(cells.RNNCell),
    "Recur": _recur,
    "Recurrence": _unrolled(sequence.Recurrence),
    "Scale": lambda version, parameters, scale, bias, σ: basic.Scale.of(scale, bias, σ),
    "SkipConnection": lambda version, parameters, *fields: containers.SkipConnection.of(*fields),
    "Upsample": lambda version, parameters, scale, size: upsample.Upsample.of(parameters[0], scale, size),
    "Zeros": lambda version, parameters: False,
}


def outputs(layer: Any, inputs: list[Tensor]) -> list[Tensor]:
    """What the model gives for each input, one call after another."""
    with torch.no_grad():
        results = [layer(x) for x in inputs]
    return [result[0] if isinstance(result, tuple) else result for result in results]


def error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference relative to the largest number."""
    assert ours.shape == theirs.shape, f"shape {tuple(ours.shape)}, Julia has {tuple(theirs.shape)}"
    if theirs.numel() == 0:
        return 0.0
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max().clamp(min=1e-12))
