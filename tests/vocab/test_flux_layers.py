"""Layers made in Python: saved as Flux's structs and back, the same in every bit; types and fields as today's Flux has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import UnsupportedError, flux, load, params, save
from holdfast.flux import (
    LSTM,
    BatchNorm,
    Bilinear,
    Chain,
    Conv,
    ConvTranspose,
    CrossCor,
    Dense,
    DepthwiseConv,
    Diagonal,
    Dropout,
    Embedding,
    EmbeddingBag,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Maxout,
    MultiHeadAttention,
    PairwiseFusion,
    Parallel,
    Recur,
    RNNCell,
    Scale,
    SkipConnection,
    Upsample,
    WeightNorm,
    add,
    relu,
    softmax,
    tanh,
    testmode,
    vcat,
)
from holdfast.flux.recurrent import GRUCell, GRUv3Cell, LSTMCell
from holdfast.formats import bson
from holdfast.vocab.flux.layouts import BY_LAYER

IMAGE = (2, 4, 6, 5)

LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "dense": (lambda: Dense(4, 3, relu), (2, 4)),
    "dense without bias": (lambda: Dense(4, 3, bias=False), (2, 4)),
    "scale": (lambda: Scale(4, tanh), (2, 4)),
    "scale of two axes": (lambda: Scale(4, 3), (2, 3, 4)),
    "diagonal": (lambda: Diagonal(4), (2, 4)),
    "bilinear": (lambda: Bilinear(4, 4, 3), (2, 4)),
    "maxout": (lambda: Maxout(Dense(4, 3), Dense(4, 3)), (2, 4)),
    "skip": (lambda: SkipConnection(Dense(4, 4), add), (2, 4)),
    "parallel": (lambda: Parallel(vcat, Dense(4, 3), Dense(4, 2)), (2, 4)),
    "parallel by name": (lambda: Parallel(vcat, a=Dense(4, 3), b=Dense(4, 2)), (2, 4)),
    "fusion": (lambda: PairwiseFusion(add, Dense(4, 4), Dense(4, 4)), (2, 4)),
    "chain by name": (lambda: Chain(encoder=Dense(4, 3, relu), decoder=Chain(Dense(3, 4), softmax)), (2, 4)),
    "conv": (lambda: Conv((3, 2), (4, 6), relu, pad=(1, 0, 2, 1), stride=2, groups=2), IMAGE),
    "conv of one axis": (lambda: Conv((3,), (4, 6), bias=False), (2, 4, 9)),
    "conv transpose": (lambda: ConvTranspose((3, 2), (4, 6), stride=2, outpad=1), IMAGE),
    "cross correlation": (lambda: CrossCor((3, 2), (4, 6)), IMAGE),
    "depthwise": (lambda: DepthwiseConv((3, 2), (4, 8)), IMAGE),
    "max pool": (lambda: flux.MaxPool((2, 3), pad=1), IMAGE),
    "mean pool": (lambda: flux.MeanPool((2, 3), stride=1), IMAGE),
    "clamped pool": (lambda: flux.MeanPool.of((2, 2), 1, 1, clamped=True), IMAGE),
    "adaptive": (lambda: flux.AdaptiveMaxPool((3, 2)), IMAGE),
    "adaptive mean": (lambda: flux.AdaptiveMeanPool((3, 2)), IMAGE),
    "global": (lambda: Chain(flux.GlobalMaxPool(), flux.GlobalMeanPool(), flux.flatten), IMAGE),
    "upsample": (lambda: Upsample("bilinear", scale=(2, 3)), IMAGE),
    "upsample to a size": (lambda: Upsample("nearest", size=(10, 12)), IMAGE),
    "pixels": (lambda: flux.PixelShuffle(2), IMAGE),
    "batch norm": (lambda: BatchNorm(4, relu), IMAGE),
    "batch norm without": (lambda: BatchNorm(4, affine=False, track_stats=False), IMAGE),
    "instance norm": (lambda: InstanceNorm(4, affine=True, track_stats=True), IMAGE),
    "group norm": (lambda: GroupNorm(4, 2), IMAGE),
    "tracked group norm": (lambda: GroupNorm(4, 2, track_stats=True), IMAGE),
    "layer norm": (lambda: LayerNorm(4, tanh), (2, 4)),
    "layer norm, squared": (lambda: LayerNorm(4, 3, eps=0.1, eps_rule="squared"), (2, 3, 4)),
    "layer norm, not affine": (lambda: LayerNorm(4, tanh, affine=False), (2, 4)),
    "dropout": (lambda: testmode(Dropout(0.5, dims=2)), (2, 4)),
    "alpha dropout": (lambda: flux.AlphaDropout(0.5, active=False), (2, 4)),
    "rnn": (lambda: flux.RNN(4, 3, relu), (2, 5, 4)),
    "lstm": (lambda: LSTM(4, 3), (2, 5, 4)),
    "gru": (lambda: flux.GRU(4, 3, bias=False), (2, 5, 4)),
    "gru v3": (lambda: flux.GRUv3(4, 3), (2, 5, 4)),
    "recurrence": (lambda: flux.Recurrence(LSTMCell(4, 3)), (2, 5, 4)),
    "recur": (lambda: Recur(RNNCell(4, 3)), (2, 4)),
    "recur of a state": (lambda: Recur(LSTMCell(4, 3, state0=True)), (2, 4)),
    "recur of a gru": (lambda: Chain(Recur(GRUCell(4, 3)), Recur(GRUv3Cell(3, 2, state0=True))), (2, 4)),
    "weight norm": (lambda: WeightNorm(Dense(4, 3)), (2, 4)),
    "weight norm of a conv": (lambda: WeightNorm(Conv((2, 2), (4, 3))), IMAGE),
    "attention": (lambda: MultiHeadAttention(4, nheads=2, bias=True), (2, 5, 4)),
}


def both(model: Any, folder: Path) -> Any:
    save(folder / "model.bson", model=model)
    return load(folder / "model.bson", "model")


def output(model: nn.Module, size: tuple[int, ...]) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        y = model(torch.randn(size))
    while isinstance(y, tuple):
        y = y[-1]
    return y


@pytest.mark.parametrize(("make", "size"), LAYERS.values(), ids=LAYERS)
def test_every_layer_comes_back(make: Any, size: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = make().eval()
    again = both(model, tmp_path)
    assert repr(again) == repr(model)
    assert [type(m) for m in again.modules()] == [type(m) for m in model.modules()]
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(params(again), params(model), strict=True))
    assert [p.stride() for p in params(again)] == [p.stride() for p in params(model)]
    assert torch.equal(output(again, size), output(model, size))
    assert torch.equal(output(both(again, tmp_path), size), output(again, size))  # with the state that a Recur is in


def test_every_class_is_tried() -> None:
    tried = {type(module) for make, _ in LAYERS.values() for module in make().modules()}
    assert set(BY_LAYER) - tried == {Embedding, EmbeddingBag}


@pytest.mark.parametrize("layer", [Embedding(5, 3), Embedding(5, 3, padding_idx=2), EmbeddingBag(5, 3)], ids=repr)
def test_embeddings(layer: nn.Module, tmp_path: Path) -> None:
    words = torch.tensor([[0, 2, 4], [1, 2, 3]])
    again = both(layer, tmp_path)
    assert repr(again) == repr(layer)
    assert torch.equal(again(words), layer(words))
    if getattr(layer, "padding_idx", None) is not None:
        assert not again(words)[:, 1].any()
        assert bson.open_file(tmp_path / "model.bson").document["model"]["data"][1] == 3  # Julia counts from 1


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_comes_back(mode: bool, tmp_path: Path) -> None:
    model = Chain(Dense(3, 3), Dropout(0.5), BatchNorm(3)).train(mode)
    model[2].eval()
    again = both(model, tmp_path)
    assert [module.training for module in again.modules()] == [module.training for module in model.modules()]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16], ids=str)
def test_every_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    model = Chain(Dense(3, 2), Conv((2, 2), (1, 2))).to(dtype)
    again = both(model, tmp_path)
    assert [(p.dtype, p.shape) for p in params(again)] == [(p.dtype, p.shape) for p in params(model)]
    assert all(torch.equal(a, b) for a, b in zip(params(again), params(model), strict=True))


def types(path: Path) -> str:
    """The type of the model as Julia would print it."""
    document = bson.open_file(path).document
    backrefs = document.get("_backrefs", [])

    def text(node: Any) -> str:
        while isinstance(node, dict) and node.get("tag") == "backref":
            node = backrefs[node["ref"] - 1]
        if not isinstance(node, dict):
            return str(node)
        if node["tag"] != "datatype":
            return f"({', '.join(map(text, node['data']))})" if node["tag"] == "tuple" else f":{node.get('name')}"
        name = node["name"][-1]
        name = f"typeof({name[1:]})" if name.startswith("#") else name
        return name + (f"{{{','.join(map(text, node['params']))}}}" if node["params"] else "")

    return text(document["model"]["type"])


TYPES = {
    "Chain{Tuple{Dense{typeof(relu),Array{Float32,2},Array{Float32,1}},typeof(softmax)}}": Chain(
        Dense(4, 3, relu), softmax
    ),
    "Chain{NamedTuple{(:a, :b),Tuple{Dense{typeof(identity),Array{Float32,2},Bool},Chain{Tuple}}}}": Chain(
        a=Dense(2, 2, bias=False), b=Chain()
    ),
    "Conv{2,4,typeof(identity),Array{Float32,4},Array{Float32,1}}": Conv((3, 3), (1, 2)),
    "ConvTranspose{1,2,typeof(tanh),Array{Float64,3},Bool}": ConvTranspose((3,), (1, 2), tanh, bias=False).double(),
    "MaxPool{2,4}": flux.MaxPool((2, 2)),
    "BatchNorm{typeof(identity),Array{Float32,1},Float32,Array{Float32,1}}": BatchNorm(3),
    "GroupNorm{typeof(identity),Array{Float32,1},Float32}": GroupNorm(4, 2),
    "LayerNorm{typeof(tanh),Scale{typeof(tanh),Array{Float32,1},Array{Float32,1}},Float32,1}": LayerNorm(3, tanh),
    "LayerNorm{typeof(tanh),Fix1{typeof(broadcast),typeof(tanh)},Float32,1}": LayerNorm(3, tanh, affine=False),
    "Dropout{Float64,Colon,TaskLocalRNG}": Dropout(0.5),
    "RNN{False,RNNCell{typeof(tanh),Array{Float32,2},Array{Float32,2},Array{Float32,1}}}": flux.RNN(3, 2),
    "Recur{GRUCell{Array{Float32,2},Array{Float32,2},Array{Float32,1},Array{Float32,2}},Array{Float32,2}}": Recur(
        GRUCell(3, 2)
    ),
    "Upsample{:nearest,Int64,Nothing}": Upsample("nearest", scale=2),
    "Upsample{:bilinear,Nothing,Tuple{Int64,Int64}}": Upsample("bilinear", size=(2, 3)),
    "Parallel{typeof(vcat),Tuple{Dense{typeof(identity),Array{Float32,2},Array{Float32,1}}}}": Parallel(
        vcat, Dense(2, 1)
    ),
    "Embedding{Array{Float32,2},Nothing}": Embedding(3, 2),
    "AdaptiveMaxPool{4,2}": flux.AdaptiveMaxPool((2, 2)),
}


@pytest.mark.parametrize(("wanted", "model"), TYPES.items(), ids=[type(m).__name__ for m in TYPES.values()])
def test_types_are_those_of_today_s_flux(wanted: str, model: nn.Module, tmp_path: Path) -> None:
    save(tmp_path / "model.bson", model=model)
    assert types(tmp_path / "model.bson") == wanted


def test_weights_are_plain_julia_arrays(tmp_path: Path) -> None:
    model = Chain(Dense(3, 2), Conv((5, 4), (3, 2)))
    save(tmp_path / "model.bson", model=model)
    dense, conv = bson.open_file(tmp_path / "model.bson").document["model"]["data"][0]["data"]
    weight, kernel = dense["data"][0], conv["data"][1]
    assert (weight["tag"], weight["size"]) == ("array", [2, 3])
    assert (kernel["tag"], kernel["size"]) == ("array", [5, 4, 3, 2])
    stored = np.frombuffer(kernel["data"].data, np.float32).reshape(5, 4, 3, 2, order="F")
    assert np.array_equal(stored.T, model[1].weight.detach().numpy())


def test_one_layer_in_two_places(tmp_path: Path) -> None:
    layer = Dense(3, 3)
    again = both(Chain(layer, relu, layer), tmp_path)
    assert again[0] is again[2]


def test_a_layer_of_pytorch_s_in_a_chain(tmp_path: Path) -> None:
    """Julia sees a dictionary of arrays there; Python has it back."""
    again = both(Chain(Dense(3, 4), nn.Linear(4, 2), nn.ReLU()), tmp_path)
    assert repr(again) == "Chain(Dense(3, 4), Linear(in_features=4, out_features=2, bias=True), ReLU())"
    assert types(tmp_path / "model.bson").endswith("Any,Any}}")


def test_a_user_s_attributes_come_along(tmp_path: Path) -> None:
    model = Chain(Dense(3, 2))
    model.note, model[0].history = "best so far", [0.5, 0.25]
    again = both(model, tmp_path)
    assert (again.note, again[0].history) == ("best so far", [0.5, 0.25])


def test_frozen_weights_stay_frozen(tmp_path: Path) -> None:
    model = Chain(Dense(3, 2), Dense(2, 1))
    model[0].weight.requires_grad_(False)
    assert [p.requires_grad for p in both(model, tmp_path).parameters()] == [False, True, True, True]


def add_a_parameter(layer: nn.Module) -> None:
    layer.extra = nn.Parameter(torch.zeros(2))


def add_a_module(layer: nn.Module) -> None:
    layer.extra = nn.Linear(2, 2)


def add_a_hook(layer: nn.Module) -> None:
    layer.register_forward_hook(print)


def add_a_lambda(layer: nn.Module) -> None:
    layer.activation = lambda x: x


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (add_a_parameter, r"a Dense has no field 'extra' in Flux.*\(at \$\.model\.layers\[1\]\.extra\)"),
        (add_a_module, r"a Dense has no field 'extra' in Flux.*\(at \$\.model\.layers\[1\]\.extra\)"),
        (add_a_hook, r"hook.*\(at \$\.model\.layers\[1\]\)"),
        (add_a_lambda, r"a lambda has no name.*\(at \$\.model\.layers\[1\]\.activation\)"),
    ],
)
def test_what_cannot_be_saved_is_named(spoil: Any, message: str, tmp_path: Path) -> None:
    model = Chain(Dense(3, 2), Dense(2, 1))
    spoil(model[1])
    with pytest.raises(UnsupportedError, match=message):
        save(tmp_path / "model.bson", model=model)
    assert not (tmp_path / "model.bson").exists()


def test_a_model_and_torch_s_optimiser(tmp_path: Path) -> None:
    model = Chain(Conv((3, 3), (1, 2)), flux.flatten, Dense(8, 2))
    opt = torch.optim.Adam(model.parameters())
    model(torch.randn(3, 1, 4, 4)).sum().backward()
    opt.step()
    save(tmp_path / "both.bson", model=model, opt=opt)
    again, driver = load(tmp_path / "both.bson", "model", "opt")
    assert [a is b for a, b in zip(driver.param_groups[0]["params"], again.parameters(), strict=True)] == [True] * 4
    for ours, theirs in zip(driver.state.values(), opt.state.values(), strict=True):
        assert torch.equal(ours["exp_avg"], theirs["exp_avg"])
