"""PyTorch models reach Flux: converted by ``from_torch``, saved, and run in a real Julia. Skipped where there is none."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from flux.torch_modules import CASES, RECURRENT, filled, numbers
from holdfast import save
from holdfast.flux import LayerNorm, from_torch
from holdfast.vocab.flux.today import for_flux
from julia_runner import julia_or_skip, tried_models

FLUX = "0.16.9"
TOLERANCE = 1e-5

NAMES = [
    *("mlp", "vgg", "generator", "encoder", "encoder_silu"),
    *("conv2d", "conv_transpose2d", "adaptive_avg2d", "instance_norm2d", "upsample_bilinear"),
    *("lstm_deep", "gru_bias"),
]
"""Whole models, and layers that torch and Flux write in different ways. GELU is not there: its name is of a newer NNlib."""


def prepared(name: str) -> tuple[nn.Module, torch.Tensor]:
    if name in RECURRENT:
        return filled(RECURRENT[name]()).eval(), numbers((4, 6, 3))
    make, shape = CASES[name]
    return filled(make()).eval(), numbers(shape)


def test_flux_computes_what_torch_did(tmp_path: Path) -> None:
    julia_or_skip(flux=FLUX)
    jobs, expected = [], {}
    for name in NAMES:
        module, x = prepared(name)
        with torch.no_grad():
            y = module(x)
        expected[name] = (y[0] if name in RECURRENT else y).numpy().T
        model = from_torch(module, x)
        if isinstance(model, nn.Module):
            for layer in model.modules():
                if isinstance(layer, LayerNorm):
                    layer.eps_rule, layer.eps = "squared", layer.eps**0.5  # the same, as 0.16.10 and before have it
            for_flux(model, FLUX)
        save(tmp_path / f"{name}.bson", model=model)
        jobs.append((tmp_path / f"{name}.bson", "model", x.numpy().T))
    wrong = {}
    for (name, y), found in zip(expected.items(), tried_models(jobs, tmp_path, flux=FLUX), strict=True):
        if isinstance(found, str):
            wrong[name] = found
        elif found.shape != y.shape or np.abs(found - y).max() > TOLERANCE * np.abs(y).max():
            wrong[name] = "another output"
    assert wrong == {}
