"""What we write opens in Flux itself and computes the same there. Skipped where there is no Julia; see tests/julia."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import flux, load, save
from holdfast.flux import (
    LSTM,
    BatchNorm,
    Chain,
    Conv,
    ConvTranspose,
    Dense,
    LayerNorm,
    MaxPool,
    Parallel,
    Recur,
    Scale,
    SkipConnection,
    add,
    relu,
    reset,
    softmax,
    tanh,
    vcat,
)
from holdfast.flux.recurrent import GRUCell, LSTMCell
from holdfast.vocab.flux.today import for_flux
from julia_runner import julia_or_skip, run_models
from reference import JULIA, array, described, needs_julia_files
from vocab.flux_files import FLUX

KEPT = (
    "doc_model chain_softmax dense_hardsigma dense_transposed_weight float64 conv_asym conv_1d conv_nobias crosscor "
    "convtranspose_stride_pad depthwiseconv_basic maxpool_stride_pad adaptivemeanpool batchnorm_chain_testmode "
    "groupnorm_testmode layernorm_2d diagonal rnn_chain gru_state lstm maxout parallel skipconnection bilinear nested_chain "
    "tied_weights upsample mha chain_named embedding"
).split()
"""Files whose models are loaded, saved again, and run by the Flux that wrote them."""


def named_files(version: str) -> list[Path]:
    paths = (JULIA / f"flux-{version}" / f"{name}.bson" for name in KEPT)
    return [path for path in paths if path.exists() and described(path).get("outputs")]


@needs_julia_files
@pytest.mark.parametrize("version", FLUX)
def test_loaded_and_saved_again(version: str, tmp_path: Path) -> None:
    julia_or_skip(flux=version)
    paths, jobs = named_files(version), []
    for path in paths:
        again = tmp_path / path.name
        save(again, model=load(path, "model"))
        inputs = [array(entry) for entry in described(path)["inputs"]]
        jobs.append((again, "model", inputs if len(inputs) > 1 else inputs[0]))
    for path, found in zip(paths, run_models(jobs, tmp_path, flux=version), strict=True):
        outputs = [array(entry) for entry in described(path)["outputs"]]
        for ours, wanted in zip(found if len(outputs) > 1 else [found], outputs, strict=True):
            ours = ours[0] if isinstance(ours, tuple) else ours
            np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5, err_msg=path.stem)


def fresh_models() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Models made in Python, and the shape of an input."""
    torch.manual_seed(5)
    norm = BatchNorm(3, relu)
    norm(torch.randn(8, 3, 4, 4))
    return {
        "mlp": (Chain(Dense(4, 5, relu), Dense(5, 3, bias=False), softmax), (2, 4)),
        "by name": (Chain(encoder=Dense(4, 3, tanh), decoder=Chain(Dense(3, 4), Scale(4))), (2, 4)),
        "images": (
            Chain(Conv((3, 2), (2, 3), pad=(1, 0, 1, 0), stride=2), norm, MaxPool((2, 2)), flux.flatten, Dense(12, 2)),
            (2, 2, 9, 8),
        ),
        "transposed": (ConvTranspose((3, 2), (2, 3), relu, stride=2, groups=1), (2, 2, 4, 3)),
        "branches": (Chain(SkipConnection(Dense(4, 4), add), Parallel(vcat, Dense(4, 2), Dense(4, 3))), (2, 4)),
        "norm": (LayerNorm(4, tanh, eps_rule="squared"), (2, 4)),
        "double": (Chain(Dense(4, 5, relu), Dense(5, 3)).double(), (2, 4)),
        "changed": (Chain(Dense(4, 5), flux.Fix2(flux.multiply, 2), flux.Compose(tanh, relu)), (2, 4)),
    }


def julia_s(x: torch.Tensor) -> np.ndarray:
    return x.numpy().T


def test_made_in_python(tmp_path: Path) -> None:
    """In today's Flux; a recurrent layer there runs over features × length × batch."""
    julia_or_skip(flux="0.16")
    models = {**fresh_models(), "lstm": (LSTM(4, 3), (2, 5, 4))}
    models["changed"] = (Chain(Dense(4, 5), flux.Fix2(flux.multiply, 2)), (2, 4))  # Julia 1.5 has no ComposedFunction
    compare(models, tmp_path, "0.16", as_written=lambda model: model)


def test_made_for_an_older_flux(tmp_path: Path) -> None:
    julia_or_skip(flux="0.12.1")
    models = fresh_models()
    models = {name: models[name] for name in ("mlp", "images", "transposed", "branches", "double")}
    models["recur"] = (Chain(Recur(LSTMCell(4, 3)), Recur(GRUCell(3, 2)), Dense(2, 2)), (2, 4))
    compare(models, tmp_path, "0.12.1", as_written=lambda model: for_flux(model, "0.12.1"))


def compare(models: dict[str, Any], folder: Path, version: str, *, as_written: Any) -> None:
    jobs, wanted = [], []
    for name, (model, size) in models.items():
        dtype = next(model.parameters()).dtype
        x = torch.randn(size, dtype=dtype)
        with torch.no_grad():
            wanted.append(model.eval()(x))
        path = folder / f"{name}.bson"
        save(path, model=as_written(reset(model)))
        jobs.append((path, "model", julia_s(x)))
    for name, found, ours in zip(models, run_models(jobs, folder, flux=version), wanted, strict=True):
        np.testing.assert_allclose(found, julia_s(ours), rtol=1e-5, atol=1e-6, err_msg=name)
