"""The golden files: one for each version of the format and each vocabulary, and the values that are in them.

    python tests/vectors/golden/make.py

makes the files that are not there yet and notes their SHA-256 in ``sums.json``; it never changes one that is. Each name
begins with the version of the format that it has. A file stays for ever, and so does its entry here: what has once been
written is read by every later version. For a new version of the format, or a new kind of value, add an entry.
"""

import hashlib
import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import ml_dtypes
import numpy as np
import torch
from torch import nn

from holdfast import save
from holdfast.julia import DataType, Struct, Symbol

HERE = Path(__file__).parent
SUMS = HERE / "sums.json"


def python() -> dict[str, Any]:
    shared: list[Any] = [1, "two"]
    loop: list[Any] = []
    loop.append(loop)
    return {
        "plain": [None, True, 7, -(2**62), 2.5, "text", "\u00fc\u4e2d", b"bytes", float("inf")],
        "wide": [2**200, -(2**100), complex(1, -2), Fraction(1, 3), Decimal("1.10")],
        "containers": {"tuple": (1, (2,)), "set": {1, 2}, "frozen": frozenset({"a"}), "nested": {"tag": {"a": 1}}},
        "keys": {1: "int", "s": "str", (1, 2): "tuple", None: "none"},
        "ordered": OrderedDict(b=1, a=2),
        "others": [deque([1, 2], 5), Counter("aab"), defaultdict(list, a=[1]), range(1, 10, 2), slice(1, None)],
        "times": [
            date(2026, 11, 24),
            datetime(2026, 11, 24, 22, 54),
            datetime(2026, 1, 1, tzinfo=UTC),
            timedelta(1, 2),
        ],
        "names": [UUID(int=5), PurePosixPath("/a/b"), bytearray(b"xy")],
        "shared": [shared, shared],
        "loop": loop,
    }


def numpy() -> dict[str, Any]:
    base = np.arange(6)
    natives = ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
    return {
        "natives": {name: (base % 2).astype(name).reshape(2, 3) for name in natives},
        "others": [base.astype(d) for d in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, "M8[s]", "m8[D]", "S3", "U2")],
        "orders": [
            np.asfortranarray(base.reshape(2, 3)),
            base.astype(">i4"),
            base[::2],
            np.zeros((0, 3)),
            np.array(1.5),
        ],
        "fields": np.array([(1, 2.5)], [("count", "i4"), ("value", "f8")]),
        "scalars": [np.float32(1.5), np.int8(-1), np.bool_(True), np.complex64(1j)],
    }


def swapped() -> dict[str, Any]:
    inner = [("x", ">u2"), ("y", "u2")]
    return {
        "fields": np.array([(1, 2, [3, 4])], [("count", ">i4"), ("value", "<f8"), ("pair", ">i8", 2)]),
        "nested": np.array([([(1, 2), (3, 4)], "ab")], [("points", inner, 2), ("text", ">U2")]),
    }


def numbers() -> dict[str, Any]:
    return {"ints": [*range(64)], "floats": [number / 4 for number in range(100)], "short": [*range(63)]}


def randoms() -> dict[str, Any]:
    return {"generator": np.random.Generator(np.random.PCG64(5)), "old": np.random.RandomState(7)}


def ramp(*shape: int) -> torch.Tensor:
    return torch.arange(float(np.prod(shape))).reshape(shape) / 8


def filled(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for number, value in enumerate(module.parameters()):
            value.copy_(ramp(*value.shape) - number)
    return module


def tensors() -> dict[str, Any]:
    weight = ramp(4, 6)
    dtypes = (torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float8_e5m2)
    return {
        "dtypes": {str(dtype): (ramp(2, 3) * 4).to(dtype) for dtype in dtypes},
        "strides": [ramp(2, 3, 4, 5).to(memory_format=torch.channels_last), ramp(3, 4).t(), ramp(8)[::2], ramp(0, 3)],
        "weight": weight,
        "same": weight,
        "rows": weight[1:3],
        "parameter": nn.Parameter(ramp(3)),
        "frozen": nn.Parameter(ramp(3), requires_grad=False),
        "kinds": [torch.float32, torch.device("cpu"), torch.Size([1, 2])],
    }


def modules() -> dict[str, Any]:
    model = filled(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 2)))
    tied = nn.Sequential(OrderedDict(a=nn.Linear(2, 2, bias=False), b=nn.Linear(2, 2, bias=False)))
    tied.b.weight = tied.a.weight
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(opt, 3)
    model(ramp(5, 3)).sum().backward()
    opt.step()
    schedule.step()
    with torch.no_grad():  # the rounding of a step is the machine's
        for number, value in enumerate(model.parameters()):
            value.copy_(ramp(*value.shape) + number)
            opt.state[value] = {"step": torch.tensor(1.0), "exp_avg": value.clone(), "exp_avg_sq": value.abs()}
        model[1].running_mean.copy_(ramp(4))
        model[1].running_var.copy_(ramp(4))
    return {"model": model, "tied": filled(tied), "opt": opt, "schedule": schedule, "state": model.state_dict()}


def flux() -> dict[str, Any]:
    from holdfast.flux import ADAM, BatchNorm, Chain, Conv, Dense, params, relu, softmax

    model = filled(Chain(Dense(3, 4, relu), Dense(4, 2), softmax))
    return {
        "model": model,
        "opt": ADAM(params(model)),
        "images": filled(Chain(Conv((3, 3), (1, 2), relu), BatchNorm(2))),
    }


@dataclass
class Point:
    """A class of a user's; a file names it by its module."""

    x: int
    label: str = "here"


Point.__module__ = "golden"
CLASSES = {"golden.Point": Point}


def classes() -> dict[str, Any]:
    point = Point(1)
    return {"points": [point, Point(2, "there"), point]}


def kept() -> dict[str, Any]:
    """What a run keeps beside its model: schedules, generators, small values of torch's."""
    from random import Random

    weight = nn.Parameter(ramp(2, 2))
    opt = torch.optim.SGD([{"params": [weight], "lr": 0.5}, {"params": [nn.Parameter(ramp(3))]}], lr=0.1, momentum=0.9)
    opt.state[weight] = {"momentum_buffer": ramp(2, 2)}
    first, second = (torch.optim.lr_scheduler.LinearLR(opt), torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10))
    average = torch.optim.swa_utils.AveragedModel(filled(nn.Linear(2, 2)))
    return {
        "opt": opt,
        "schedules": torch.optim.lr_scheduler.SequentialLR(opt, [first, second], [5]),
        "plateau": torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=3),
        "average": average,
        "generator": torch.Generator().manual_seed(3),
        "random": Random(4),
        "kinds": [torch.channels_last, torch.strided, torch.device("cuda:1"), torch.bfloat16],
        "recurrent": filled(nn.LSTM(2, 3, num_layers=2, bidirectional=True)),
        "attention": filled(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)),
    }


def layers() -> dict[str, Any]:
    """Layers of Flux's of every family, and a tree of ``Flux.setup`` without its model."""
    from holdfast import flux, tree_from

    model = filled(flux.Chain(flux.Dense(2, 3, flux.tanh), flux.Dense(3, 1)))
    opt = flux.optimisers.Adam(flux.params(model), 0.01)
    return {
        "recurrent": filled(flux.Chain(flux.LSTM(2, 3), flux.GRU(3, 2), flux.RNN(2, 2))),
        "images": filled(flux.Chain(flux.ConvTranspose((2, 2), (1, 2)), flux.GroupNorm(2, 2), flux.MaxPool((2, 2)))),
        "made": filled(flux.SkipConnection(flux.Dense(2, 2), flux.Chain(flux.LayerNorm(2)))),
        "rest": filled(flux.Chain(flux.Embedding(4, 2), flux.Dropout(0.25), flux.Scale(2))),
        "tree": tree_from(opt, model),
    }


def jax_arrays() -> dict[str, Any]:
    import jax
    import jax.numpy as jnp

    base = np.arange(6).reshape(2, 3)
    dtypes = ("bool", "int4", "uint8", "int32", "float16", "float32", "bfloat16", "complex64")
    shared = jnp.asarray(base, "float32")
    return {
        "dtypes": {name: jnp.asarray(base % 2 if name in ("bool", "int4") else base, name) for name in dtypes},
        "small": [jnp.asarray(base, name) for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz")],
        "weak": jnp.asarray(1.5),
        "empty": jnp.zeros((0, 3)),
        "tree": {"layers": [(shared, None), {"again": shared}]},
        "keys": [jax.random.key(5), jax.random.split(jax.random.key(5, impl="rbg"), 2), jax.random.PRNGKey(7)],
        "described": [jax.ShapeDtypeStruct((2, 3), jnp.bfloat16), jax.sharding.PartitionSpec("x", None)],
        "function": jax.nn.gelu,
    }


def jax_libraries() -> dict[str, Any]:
    import equinox
    import jax
    import jax.numpy as jnp
    import optax
    from flax import linen, nnx
    from flax.core import freeze
    from flax.training.train_state import TrainState

    def level(tree: Any) -> Any:
        """``tree`` with numbers that no version of a generator decides."""

        def values(leaf: Any) -> Any:
            is_float = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
            return jnp.asarray(ramp(*leaf.shape).numpy(), leaf.dtype) if is_float else leaf

        return jax.tree_util.tree_map(values, tree)

    params = {"dense": {"kernel": jnp.asarray(ramp(3, 2).numpy()), "bias": jnp.zeros(2)}}
    states = {"adam": optax.adam(1e-3), "chain": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9))}
    return {
        "optax": {name: optimiser.init(params) for name, optimiser in states.items()},
        "frozen": freeze(params),
        "train": TrainState(3, None, params, None, optax.adam(1e-3).init(params)),
        "linen": linen.Dense(2, use_bias=False),
        "equinox": level(equinox.nn.MLP(2, 1, 3, 1, key=jax.random.key(0))),
        "nnx": level(nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.BatchNorm(3, rngs=nnx.Rngs(0)))),
        "rngs": nnx.Rngs(0, dropout=1),
        "state": level(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))),
        "metric": nnx.metrics.Average("loss"),
    }


def julia() -> dict[str, Any]:
    kind = DataType(["Main", "Shop", "Item"], [])
    item = Struct(kind, [Symbol("price"), 3, np.ones(2, np.float32)])
    return {"symbol": Symbol("x"), "type": kind, "struct": item, "both": [item, item]}


def weights() -> dict[str, Any]:
    weight = ramp(4, 6)
    return {
        "layer.weight": weight,
        "head.weight": weight,
        "rows": weight[1:3],
        "half": ramp(3).bfloat16(),
        "parameter": nn.Parameter(ramp(2)),
        "array": np.arange(6.0).reshape(2, 3),
        "nested": {"a": {"b": ramp(1)}},
    }


def array() -> dict[str, Any]:
    return {"value": np.arange(6.0).reshape(2, 3)}


FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "1-python.bson": python,
    "1-numpy.bson": numpy,
    "1-swapped.bson": swapped,
    "1-numbers.bson": numbers,
    "1-randoms.bson": randoms,
    "1-tensors.bson": tensors,
    "1-modules.bson": modules,
    "1-flux.bson": flux,
    "1-classes.bson": classes,
    "1-julia.bson": julia,
    "1-kept.bson": kept,
    "1-layers.bson": layers,
    "1-jax.bson": jax_arrays,
    "1-jax-libraries.bson": jax_libraries,
    "1-weights.safetensors": weights,
    "1-weights.npz": weights,
    "1-array.npy": array,
}
"""Name of a file -> the values in it."""


def main() -> None:
    sums = json.loads(SUMS.read_text()) if SUMS.exists() else {}
    for name, values in FILES.items():
        if not (HERE / name).exists():
            save(HERE / name, values())
            sums[name] = hashlib.sha256((HERE / name).read_bytes()).hexdigest()
            print(name, (HERE / name).stat().st_size, file=sys.stderr)
    SUMS.write_text(json.dumps(sums, indent=2) + "\n")


if __name__ == "__main__":
    main()
