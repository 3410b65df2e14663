"""A save and a load leave nothing behind that only the collector could remove: what the user lets go of is gone at once, a
model's memory with it."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import holdfast
from holdfast.flux import Chain, Dense, LayerNorm, gelu, relu


@pytest.fixture(autouse=True)
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def trained() -> torch.optim.Optimizer:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LSTM(4, 5))
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3))[0].sum().backward()
    optimiser.step()
    return optimiser


def tied() -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    return model


MAKE: dict[str, Callable[[], Any]] = {
    "array": lambda: np.ones(3),
    "tensor": lambda: torch.ones(3),
    "view": lambda: torch.ones(3, 4)[:, 1:],
    "module": lambda: torch.nn.Linear(2, 2),
    "tied": tied,
    "optimiser": trained,
    "flux": lambda: Chain(Dense(2, 3, relu), Dense(3, 3, gelu), LayerNorm(3)),
    "set": lambda: {1, "a"},
}


@pytest.mark.parametrize("name", MAKE)
def test_nothing_of_a_save_or_a_load_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    MAKE[name]()  # what torch keeps of its first optimiser is not ours
    value = MAKE[name]()
    holdfast.save(path, value=value, again=[value, {"in": value}])
    dying = weakref.ref(value)
    del value
    assert dying() is None

    loaded = holdfast.load(path)
    dying = weakref.ref(loaded["value"])
    assert loaded["again"][0] is loaded["value"]
    del loaded
    assert dying() is None
