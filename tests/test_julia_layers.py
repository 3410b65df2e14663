"""Layers made in Python open in a real Julia as Flux's own and give the same output there. Skipped where there is no Julia.

``UNKNOWN`` lists every model that a Flux here does not run, with the reason. All models of one Flux are run in one start.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import UnsupportedError, flux, save
from holdfast.flux import (
    ACTIVATIONS,
    LSTM,
    BatchNorm,
    Chain,
    Conv,
    ConvTranspose,
    CrossCor,
    Dense,
    DepthwiseConv,
    Embedding,
    EmbeddingBag,
    LayerNorm,
    MultiHeadAttention,
    Recur,
    SkipConnection,
    relu,
    reset,
    softmax,
)
from holdfast.flux.recurrent import GRUCell, LSTMCell, RNNCell
from holdfast.vocab.flux.layouts import BY_LAYER
from holdfast.vocab.flux.today import for_flux
from julia_runner import run_models, tried_models
from vocab.test_flux_layers import IMAGE, LAYERS

TOLERANCE = 2e-6
"""Of the largest number of an output; sums of Float32 in another order differ as much."""

WORDS = torch.tensor([[0, 2, 4, 1], [1, 2, 3, 3]])

MORE: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "the page's": (lambda: Chain(Dense(10, 5, relu), Dense(5, 2), softmax), (3, 10)),
    "embedding": (lambda: Embedding(5, 3), WORDS),
    "embedding bag": (lambda: EmbeddingBag(5, 3), WORDS),
    "conv of three axes": (lambda: Conv((2, 3, 2), (2, 3), relu), (2, 2, 4, 5, 6)),
    "same pad": (lambda: Conv((4, 3), (4, 2), pad=flux.SamePad(), dilation=(1, 2)), IMAGE),
    "conv transpose in groups": (lambda: ConvTranspose((3, 2), (4, 6), groups=2), IMAGE),
    "cross correlation, strided": (lambda: CrossCor((3, 2), (4, 6), stride=2, pad=1), IMAGE),
    "image net": (
        lambda: Chain(
            Conv((3, 3), (4, 6), relu, pad=1),
            BatchNorm(6),
            flux.MaxPool((2, 2)),
            SkipConnection(Conv((3, 3), (6, 6), pad=1), flux.add),
            flux.flatten,
            Dense(36, 3),
            flux.logsoftmax,
        ),
        IMAGE,
    ),
    "sequence net": (lambda: Chain(LSTM(4, 6), LayerNorm(6), flux.GRU(6, 3), Dense(3, 2)), (2, 5, 4)),
    "attention without bias": (lambda: MultiHeadAttention((4, 6, 2), nheads=3), (2, 5, 4)),
    "one layer twice": (lambda: (lambda d: Chain(d, relu, d))(Dense(4, 4)), (2, 4)),
    "pipe of functions": (lambda: Chain(flux.Compose(relu, Dense(4, 3)), flux.Fix2(flux.multiply, 2.0)), (2, 4)),
    "float64": (lambda: Chain(Dense(4, 3, relu), Dense(3, 2)).double(), (2, 4)),
    "recur in a chain": (lambda: Chain(Recur(LSTMCell(4, 3)), Recur(RNNCell(3, 3)), Dense(3, 2)), (2, 4)),
    "recur of a first state": (lambda: Chain(Recur(GRUCell(4, 3, state0=True)), Dense(3, 2)), (2, 4)),
}

MODELS = {**LAYERS, **MORE}

VERSIONS = ("0.16.9", "0.12.1")

REASONS = {
}


@dataclass
class Run:
    """One model in one Flux: what it gives here, and what it gives there (an error as a text)."""

    ours: list[np.ndarray]
    theirs: Any


def prepared(make: Callable[[], nn.Module]) -> nn.Module:
    """The model in test mode, with numbers everywhere, so that none is there for nothing."""
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(0, 0.7)
        for name, tensor in model.named_buffers():
            tensor.uniform_(0.5, 1.5) if name.endswith("var") else tensor.normal_()
    for module in model.modules():
        if isinstance(module, LayerNorm) and module.eps_rule == "variance":
            module.eps_rule = "squared"  # 0.16.10 and before
    return model


def given(size: Any, model: nn.Module) -> torch.Tensor:
    if isinstance(size, torch.Tensor):
        return size
    torch.manual_seed(1)
    first = next(model.parameters(), torch.zeros(1))
    return torch.randn(size, dtype=first.dtype)


def flat(y: Any) -> list[np.ndarray]:
    """The arrays of an output, one after another, Julia's axes."""
    if isinstance(y, torch.Tensor):
        return [y.detach().numpy().T]
    return [part for each in y for part in flat(each)] if isinstance(y, tuple | list) else [np.asarray(y)]


def in_julia(x: torch.Tensor) -> np.ndarray:
    return x.numpy().T if x.is_floating_point() else x.numpy().T + 1  # words are counted from 1 there


def all_run(models: dict[str, tuple[nn.Module, torch.Tensor]], folder: Path, version: str) -> dict[str, Run]:
    """Every model in that Flux, in one start."""
    jobs, ours = [], []
    for n, (model, x) in enumerate(models.values()):
        path = folder / f"{n}.bson"
        save(path, model=model)
        with torch.no_grad():
            ours.append(flat(model(x)))
        jobs.append((path, "model", in_julia(x)))
    theirs = tried_models(jobs, folder, flux=version)
    return {name: Run(*pair) for name, *pair in zip(models, ours, theirs, strict=True)}


@pytest.fixture(scope="module", params=VERSIONS)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Run]]:
    version = request.param
    models: dict[str, tuple[nn.Module, torch.Tensor]] = {}
    for name, (make, size) in MODELS.items():
        model = prepared(make)
        x = given(size, model)
        try:
            models[name] = (for_flux(model, version), x)
        except UnsupportedError:
            continue
    return version, all_run(models, tmp_path_factory.mktemp(version), version)
