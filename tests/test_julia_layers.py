"""Layers made in Python open in a real Julia as Flux's own and give the same output there. Skipped where there is no Julia.

``KNOWN`` lists every model that a Flux here does not run, with the reason, and ``LACKING`` those of layers that it does not
have. All models of one Flux are run in one start.
"""

import functools
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
    Embedding,
    EmbeddingBag,
    LayerNorm,
    MultiHeadAttention,
    Recur,
    SkipConnection,
    log,
    log1p,
    logsoftmax,
    relu,
    reset,
    rrelu,
    softmax,
    sqrt,
)
from holdfast.flux.recurrent import GRUCell, LSTMCell, RNNCell
from holdfast.vocab.flux.layouts import BY_LAYER
from holdfast.vocab.flux.today import for_flux
from julia_runner import julia_or_skip, run_models, tried_models
from vocab.test_flux_layers import IMAGE, LAYERS

TOLERANCE = 1e-5
"""Of the largest number of an output; most differ by 1e-7, and a tangent near its pole by 2e-6."""

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
    "one layer twice": (lambda: (lambda d: Chain(d, softmax, d))(Dense(4, 4)), (2, 4)),
    "pipe of functions": (lambda: Chain(flux.Compose(softmax, Dense(4, 3)), flux.Fix2(flux.multiply, 2)), (2, 4)),
    "functions": (lambda: Chain(Conv((2, 2), (4, 3)), flux.vec, flux.Fix1(flux.multiply, 3)), IMAGE),
    "float64": (lambda: Chain(Dense(4, 3, relu), Dense(3, 2)).double(), (2, 4)),
    "recur in a chain": (lambda: Chain(Recur(LSTMCell(4, 3)), Recur(RNNCell(3, 3)), Dense(3, 2)), (2, 4)),
    "recur of a first state": (lambda: Chain(Recur(GRUCell(4, 3, state0=True)), Dense(3, 2)), (2, 4)),
}

POSITIVE = torch.rand(5, 4, generator=torch.Generator().manual_seed(3))
"""For functions that Julia has of positive numbers only; the weights are made positive, too."""

ACTIVE: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    f"activation {f.__name__}": (lambda f=f: Dense(4, 3, f), POSITIVE if f in (log, log1p, sqrt) else (5, 4))
    for f in dict.fromkeys(ACTIVATIONS.values())
    if f not in (softmax, logsoftmax, rrelu)  # no functions of one number; one that draws
}

MODELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {**LAYERS, **MORE, **ACTIVE}

GELU = "a name of NNlib 0.9.32; here is 0.9.28"
ERF = "NNlib has it where SpecialFunctions is loaded, too"
FAST = "a name of NNlib 0.8; here is 0.7"
NORM = "Flux 0.16.11 has its norms in NNlib 0.9.42; here is 0.9.28"
CLAMPED = "it pads as Flux 0.8.3 to 0.11.1 did, with zeros that can win; a newer Flux runs it with its own padding"
SQUARED = "Flux divides by its own version's rule, whatever a LayerNorm says"

OF_PACKAGES = {GELU, ERF, FAST, NORM}
"""Reasons that are none where newer packages stand beside that Flux."""

NAMES = {"activation gelu_sigmoid": GELU, "activation gelu_erf": ERF}
NORMS = {
    *("batch norm", "batch norm without", "instance norm", "group norm", "image net", "sequence net"),
    *("layer norm", "layer norm, squared", "layer norm, not affine"),
}

KNOWN: dict[str, dict[str, str]] = {
    "0.16.11": {"clamped pool": CLAMPED, **NAMES, **dict.fromkeys(NORMS, NORM)},
    "0.16.9": {"clamped pool": CLAMPED, **NAMES},
    "0.14.25": {"clamped pool": CLAMPED, "layer norm, squared": SQUARED, **NAMES},
    "0.12.1": {
        "clamped pool": CLAMPED,
        **NAMES,
        **{f"activation {name}": FAST for name in ("sigmoid_fast", "tanh_fast", "hardswish")},
    },
}
"""Flux -> models that it does not run, or runs to another end, with the reason."""

DIVISORS = {"0.16.11": "variance", "0.16.9": "squared", "0.14.25": "deviation", "0.12.1": "deviation"}
"""Flux -> how its LayerNorm divides, ``eps_rule``."""

TODAY = {
    "tracked group norm",  # until 0.13
    *("recur of a state", "recur of a gru", "recur of a first state"),  # until 0.14, and states have no place since
}

LACKING: dict[str, set[str]] = {
    "0.16.11": TODAY,
    "0.16.9": TODAY,
    "0.14.25": {
        "tracked group norm",
        *("rnn", "lstm", "gru", "gru v3", "recurrence", "sequence net", "weight norm", "weight norm of a conv"),
    },
    "0.12.1": {
        *("scale", "scale of two axes", "fusion", "layer norm", "layer norm, squared", "layer norm, not affine"),
        *("conv", "conv transpose", "conv transpose in groups", "chain by name", "embedding", "embedding bag"),
        *("rnn", "lstm", "gru", "gru v3", "recurrence", "recur of a gru", "sequence net"),
        *("weight norm", "weight norm of a conv", "attention", "attention without bias"),
    },
}
"""Flux -> models of layers that it does not have; ``for_flux`` refuses them."""


@dataclass
class Run:
    """One model in one Flux: what it gives here, and what it gives there (an error as a text)."""

    ours: list[np.ndarray]
    theirs: Any


def prepared(make: Callable[[], nn.Module], size: Any) -> nn.Module:
    """The model in test mode, with numbers everywhere, so that none is there for nothing."""
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(0, 0.7)
            if size is POSITIVE:
                tensor.abs_()
        for name, tensor in model.named_buffers():
            tensor.uniform_(0.5, 1.5) if name.endswith("var") else tensor.normal_()
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


def saved(models: dict[str, tuple[nn.Module, torch.Tensor]], folder: Path) -> list[tuple[Path, str, np.ndarray]]:
    """The jobs for Julia: each model in a file of its own, so that one which does not load is alone in that."""
    jobs = [(folder / f"{n}.bson", "model", in_julia(x)) for n, (_, x) in enumerate(models.values())]
    for (path, *_), (model, _) in zip(jobs, models.values(), strict=True):
        save(path, model=model)
    return jobs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Run]]:
    """All models that a Flux has the layers for, run in one start when first asked for."""

    @functools.cache
    def of(version: str) -> dict[str, Run]:
        models: dict[str, tuple[nn.Module, torch.Tensor]] = {}
        for name, (make, size) in MODELS.items():
            model = prepared(make, size)
            x = given(size, model)
            for module in model.modules():
                if isinstance(module, LayerNorm) and module.eps_rule == "variance":
                    module.eps_rule = DIVISORS[version]
            if name not in LACKING[version]:
                models[name] = for_flux(model, version), x
        folder = tmp_path_factory.mktemp(version)
        with torch.no_grad():
            ours = [flat(model(x)) for model, x in models.values()]
            for model, _ in models.values():
                reset(model)
        theirs = tried_models(saved(models, folder), folder, flux=version)
        return {name: Run(*pair) for name, *pair in zip(models, ours, theirs, strict=True)}

    return of


CASES = [(version, name) for version in KNOWN for name in MODELS if name not in LACKING[version]]


@pytest.mark.parametrize(("version", "name"), CASES, ids=[f"{version}-{name}" for version, name in CASES])
def test_the_same_output_in_flux(version: str, name: str, runs: Callable[[str], dict[str, Run]]) -> None:
    julia_or_skip(flux=version)
    run = runs(version)[name]
    reason = KNOWN[version].get(name)
    if reason in OF_PACKAGES and isinstance(run.theirs, str):
        assert "not defined" in run.theirs or "no method" in run.theirs
        return
    if reason is not None and reason not in OF_PACKAGES:
        assert isinstance(run.theirs, str) or difference(run) > TOLERANCE  # else it is no exception any more
        return
    assert not isinstance(run.theirs, str), run.theirs
    assert difference(run) <= TOLERANCE


def difference(run: Run) -> float:
    """The largest difference between two outputs of the same shapes and types, relative to their largest number."""
    theirs = flat(run.theirs)
    assert [(y.shape, y.dtype) for y in theirs] == [(y.shape, y.dtype) for y in run.ours]
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(run.ours, theirs, strict=True)]
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)


@pytest.mark.parametrize(
    ("version", "name"), [(version, name) for version, names in LACKING.items() for name in sorted(names)]
)
def test_a_layer_that_a_flux_lacks_is_refused(version: str, name: str) -> None:
    make, size = MODELS[name]
    with pytest.raises(UnsupportedError, match=f"Flux {version} has not all layers of this model"):
        for_flux(prepared(make, size), version)


def test_every_layer_is_tried_in_some_flux() -> None:
    tried = {type(m) for version, name in CASES if name not in KNOWN[version] for m in MODELS[name][0]().modules()}
    assert set(BY_LAYER) <= tried


@pytest.mark.parametrize("version", ["0.8.3", "0.12.1", "0.14.25", "0.16.9", "0.16.11"])
def test_the_page_s_model(version: str, tmp_path: Path) -> None:
    """As it is saved, with no word on which Flux is to open it."""
    julia_or_skip(flux=version)
    torch.manual_seed(2)
    model, x = Chain(Dense(10, 5, relu), Dense(5, 2), softmax), torch.randn(7, 10)
    save(tmp_path / "mymodel.bson", model=model)
    (y,) = run_models([(tmp_path / "mymodel.bson", "model", in_julia(x))], tmp_path, flux=version)
    np.testing.assert_allclose(y, model(x).detach().numpy().T, rtol=1e-6)
