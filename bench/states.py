"""The states that the rows save, made afresh from a seed, so that every round and peer has the same.

``scale`` multiplies the number of bytes, arrays or values: 1 is what the row's name says.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

MIB = 1 << 20
State = dict[str, Any]


def arrays(scale: float, mib: int = 1024, count: int = 64) -> State:
    """``mib`` MiB of float32 in ``count`` equal matrices."""
    rng = np.random.default_rng(1)
    rows = max(1, round(mib * MIB * scale / count / 4096))
    return {f"block.{i}.weight": torch.from_numpy(rng.random((rows, 1024), np.float32)) for i in range(count)}


def numpy_arrays(scale: float) -> State:
    return numpy_of(arrays(scale))


def arrays_384(scale: float) -> State:
    return numpy_of(arrays(scale, mib=384, count=24))


def many(scale: float, count: int = 10_000) -> State:
    """Matrices of 4 KiB, each with memory of its own."""
    rng = np.random.default_rng(2)
    return {
        f"layer.{i}.weight": torch.from_numpy(rng.random((32, 32), np.float32)) for i in range(round(count * scale))
    }


def many_numpy(scale: float) -> State:
    return numpy_of(many(scale))


def numpy_of(state: State) -> State:
    return {name: tensor.numpy() for name, tensor in state.items()}


def values(scale: float, count: int = 1_000_000) -> State:
    """What an optimiser's dictionaries, vocabularies and index lists are made of, ``count`` leaves in all.

    A fifth each: a vocabulary (word to number), records of a few named scalars, short index lists, strings, and
    mixed scalars.
    """
    part = max(4, round(count * scale / 5))
    scalars: list[Callable[[int], Any]] = [lambda i: i, lambda i: i / 3, lambda i: i % 2 == 0, lambda i: None]
    return {
        "vocabulary": {f"token{i}": i for i in range(part)},
        "records": [{"step": i, "lr": 1e-3 / (i + 1), "name": f"p{i}", "on": True} for i in range(part // 4)],
        "indices": [[i, i + 1, i + 2, i + 5] for i in range(part // 4)],
        "names": [f"decoder.layer.{i}" for i in range(part)],
        "scalars": [scalars[i % 4](i) for i in range(part)],
    }


def ints(scale: float) -> State:
    """Large and small, of both signs."""
    return {"values": np.random.default_rng(3).integers(-(1 << 40), 1 << 40, round(1_000_000 * scale)).tolist()}


def floats(scale: float) -> State:
    return {"values": np.random.default_rng(4).random(round(1_000_000 * scale)).tolist()}


def gpt2(scale: float) -> State:
    """A model of GPT-2 small's shape, from torch.nn's layers, with the state that Adam has after one step.

    12 layers of width 768, 12 heads, 1,024 places, a vocabulary of 50,257, the head tied to the embedding:
    124 million weights (Radford et al. 2019), 1.4 GiB with Adam's two moments.
    """
    torch.manual_seed(5)
    width, layers, words = (
        max(24, round(64 * scale**0.5) * 12),
        max(1, round(12 * scale)),
        max(97, round(50257 * scale)),
    )
    blocks = [
        nn.TransformerEncoderLayer(width, 12, 4 * width, activation="gelu", batch_first=True, norm_first=True)
        for _ in range(layers)
    ]
    model = nn.ModuleDict(
        {
            "tokens": nn.Embedding(words, width),
            "places": nn.Embedding(max(8, round(1024 * scale)), width),
            "blocks": nn.ModuleList(blocks),
            "norm": nn.LayerNorm(width),
            "head": nn.Linear(width, words, bias=False),
        }
    )
    model["head"].weight = model["tokens"].weight
    opt = torch.optim.Adam(model.parameters(), lr=3e-4)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.01)
    opt.step()
    opt.zero_grad(set_to_none=True)
    return {"model": model, "opt": opt}


def state_dicts(state: State) -> State:
    """The weights and the optimiser's state of ``gpt2``, as dictionaries."""
    return {name: part.state_dict() for name, part in state.items()}


def equal(a: Any, b: Any) -> bool:
    """The same types, dtypes, shapes and bytes."""
    if isinstance(b, torch.Tensor):
        return isinstance(a, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(b, dict):
        return isinstance(a, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and bool(a == b)


def touch(state: Any) -> Any:
    """Read every byte of every array of a dictionary, so that what is mapped is really there."""
    for value in state.values():
        array = value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        flat = array.reshape(-1, order="A").view(np.uint8)
        whole = flat.size // 8 * 8
        np.add.reduce(flat[:whole].view(np.uint64))
    return state
