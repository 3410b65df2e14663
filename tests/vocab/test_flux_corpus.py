"""Public models of 2018 to 2026: each loads, or is refused for a reason; each runs, or says what is in the way."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from documents import difference
from holdfast import FormatError, UnsupportedError, load, loadparams, params, save
from holdfast.flux import BatchNorm, Chain, Conv, Dense, MaxPool, flatten, identity, relu, softmax
from holdfast.formats import bson
from holdfast.julia.arrays import as_array
from holdfast.julia.values import Struct
from holdfast.wire.values import Blob
from reference import CORPUS, corpus_files, needs_corpus

pytestmark = needs_corpus

ENTRIES = {Path(entry["file"]).stem: entry for entry in corpus_files()}

REFUSED = {
    "Deltadahl__Image-Longitudinal__weights": r"CuArray was saved as the address of memory on a GPU",
    "Deltadahl__Image-Longitudinal__model": r"CuArray was saved as the address of memory on a GPU",
    "tejank10__AlphaGo.jl__models__weights__agz_192_policy": r"CuArray was saved as the address of memory on a GPU",
}
"""Files whose values are not in them."""

DATA = {
    "JuliaIO__BSON.jl__test__test", "JuliaIO__BSON.jl__test__test_25_dataframe", "MatthewMcLeod__curiosity__policy",
    "JuliaIO__BSON.jl__test__test_41_from_32bit", "JuliaIO__BSON.jl__test__test_41_from_64bit",
    "JuliaIO__BSON.jl__test__test_MultiDimsArray_from_64bit", "FluxML__Flux.jl__docs__checkpoint",
    "FluxML__model-zoo__games__weights__ppo__Pendulum-v0__policy_sigma", "tetsugps__julia__mnist_conv",
    "tejank10__AlphaGo.jl__models__weights__agz_10_policy",
}  # fmt: skip
"""Files of weights and other values, without a layer."""

MODELS = sorted(ENTRIES.keys() - REFUSED.keys() - DATA)

INPUTS = {
    "FluxML__Flux.jl__modelcnn-0.964-0.001": (2, 1, 4, 4),
    "Julia-XAI__ExplainableAI.jl__v0.10.3__model": (2, 1, 28, 28),
    "tejank10__AlphaGo.jl__models__agz_10_policy": (2, 256, 6, 6),
    "tejank10__AlphaGo.jl__models__agz_10_value": (2, 256, 6, 6),
    "tejank10__AlphaGo.jl__test__mm": (2, 1),
    "sjrodahl__DNC.jl__model-checkpoint": (8,),
}
"""Shapes of inputs, where the first layer is no Dense."""

IN_THE_WAY = {
    "FluxML__model-zoo__games__weights__ppo__CartPole-v0__policy_cat": ("policies.jl:61", {2: softmax}),
    "FluxML__model-zoo__games__weights__ppo__Pendulum-v0__policy_mu": ("policies.jl:89", {2: torch.tanh, 3: identity}),
    "tejank10__AlphaGo.jl__models__agz_10_policy": ("neural_net.jl:25", {2: flatten, 4: softmax}),
    "tejank10__AlphaGo.jl__models__agz_10_value": ("neural_net.jl:2", {2: flatten}),
    "sjrodahl__DNC.jl__model-checkpoint": ("Julia's DNC.DNCCell is Julia code", {}),
}
"""What the error names, and the layers that a user puts in the place of Julia's."""


def at(name: str) -> Path:
    return CORPUS / "files" / f"{name}.bson"


def model_in(values: Any) -> Any:
    """The model of a file: the first layer, or the one in a dictionary."""
    if isinstance(values, nn.Module):
        return values
    return next(
        found for value in values.values() if (found := value if isinstance(value, nn.Module) else None) is not None
    )


def loaded(name: str) -> Any:
    values = load(at(name))
    (inner,) = [value for value in values.values() if isinstance(value, nn.Module | dict)]
    return model_in(inner)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name: str) -> None:
    with pytest.raises(FormatError, match=REFUSED[name]):
        load(at(name))


@pytest.mark.parametrize("name", sorted(ENTRIES.keys() - REFUSED.keys()))
def test_loads_and_saves_the_same(name: str, tmp_path: Path) -> None:
    values, first = load(at(name)), bson.open_file(at(name))
    save(tmp_path / "again.bson", {bson.ROOT: values} if first.whole else values)
    assert difference(bson.open_file(tmp_path / "again.bson").document, first.document) == ""


@pytest.mark.parametrize("name", MODELS)
def test_is_the_model_that_the_manifest_prints(name: str) -> None:
    printed = re.search(r"(Chain|Dense)\(.*\)", ENTRIES[name]["printed_from_file"])
    if printed is None or re.search(r"λ|Conv|DNC", printed[0]):
        assert name in INPUTS or name in IN_THE_WAY
        return
    spelled = printed[0].replace("=>", ", ").split("])")[0].split("; ")[0]
    assert repr(loaded(name)) == spelled


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_the_arrays_of_the_file(name: str) -> None:
    """Every weight is one of the file's arrays, byte for byte."""
    held = set(blobs(bson.open_file(at(name)).document))
    weights = params(loaded(name))
    assert weights
    assert {as_array(weight).tobytes(order="F") for weight in weights} <= held


def blobs(node: Any) -> list[bytes]:
    found, stack = [], [node]
    while stack:
        item = stack.pop()
        if isinstance(item, Blob):
            found.append(bytes(item.data))
        elif isinstance(item, dict | list):
            stack += item.values() if isinstance(item, dict) else item
    return found


@pytest.mark.parametrize("name", MODELS)
def test_runs_or_says_what_is_in_the_way(name: str) -> None:
    model = loaded(name)
    torch.manual_seed(0)
    size = INPUTS.get(name) or (2, (model if isinstance(model, Dense) else model[0]).weight.shape[1])
    x = torch.randn(size)
    if name in IN_THE_WAY:
        words, layers = IN_THE_WAY[name]
        with pytest.raises(UnsupportedError, match=words):
            model(x)
        if not layers:
            return
        for place, layer in layers.items():
            model.layers[place] = layer
    y = model(x)
    assert y.shape[0] == 2
    assert torch.isfinite(y).all()


def test_the_statistics_of_2018() -> None:
    """Flux 0.5 remembered deviations: in test mode the output is (x - μ) / σ."""
    model = loaded("tejank10__AlphaGo.jl__models__agz_10_value")
    norm = model[1]
    assert isinstance(norm, BatchNorm)
    assert norm.deviations is True
    assert norm.active is False or norm.active is True
    norm.active = False
    x = torch.randn(2, 1, 6, 6)
    wanted = relu(
        norm.gamma.view(-1, 1, 1) * (x - norm.mean.view(-1, 1, 1)) / norm.var.view(-1, 1, 1) + norm.beta.view(-1, 1, 1)
    )
    assert torch.allclose(norm(x), wanted, atol=1e-5)


def test_weights_alone_fill_the_model_that_they_were_of() -> None:
    """``loadparams!`` of a list; kernels have Julia's axes in the file."""
    acc, weights = load(at("tetsugps__julia__mnist_conv"), "acc", "params")
    assert acc == 0.9928
    pool = MaxPool((2, 2))
    kernels = [Conv((3, 3), sizes, relu, pad=1) for sizes in ((1, 16), (16, 32), (32, 32))]
    net = Chain(kernels[0], pool, kernels[1], pool, kernels[2], pool, flatten, Dense(288, 10), softmax)
    loadparams(net, weights)
    for ours, theirs in zip(params(net), weights, strict=True):
        assert np.array_equal(as_array(ours), theirs)  # among them one of 3×3×32×32, which fits both ways round
    assert net(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_a_user_s_cell_holds_working_layers() -> None:
    recur = load(at("sjrodahl__DNC.jl__model-checkpoint"), "model")
    cell = recur.cell.struct
    assert isinstance(cell, Struct)
    inner = cell[0]
    assert repr(inner) == "Recur(LSTMCell(8, 27, state0=True))"
    assert inner(torch.randn(2, 8)).shape == (2, 27)
    assert len(params(recur)) == 5
