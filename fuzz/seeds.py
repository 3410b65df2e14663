"""Files to start from: small ones of ours with all kinds of values, and those that Julia wrote where they are at hand."""

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from fuzz.grammar import copied
from holdfast.codec.lower import lower
from holdfast.flux import ADAM, LSTM, BatchNorm, Chain, Conv, Dense, params, relu, softmax
from holdfast.vocab import vocabulary
from holdfast.wire.checksum import seal
from holdfast.wire.plan import plan_document
from holdfast.wire.read import read_document

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = (ROOT / "tests" / "vectors" / "julia", *sorted((ROOT.parent / "shared" / "julia").glob("*")))
LARGEST: Final = 40_000
"""Bytes of a seed: small ones are mutated and read faster."""
SMALL: Final = 512
"""Bytes of a small one."""

Document = dict[str, Any]


def values() -> Iterator[Any]:
    """Values of every vocabulary, each small."""
    yield from ([None, True, 1, -(2**40), 2**70, 1.5, "é", b"bytes"], {"a": {"b": [1]}}, {1: (2, None), (3, "k"): {4}})
    yield [complex(1, 2), Fraction(1, 3), Decimal("1.50"), date(2020, 2, 29), datetime(2020, 1, 1), timedelta(1, 2, 3)]
    yield [datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=1))), range(3), slice(1, None), Path("a/b"), Ellipsis]
    yield [
        Counter("ab"),
        OrderedDict(a=1),
        defaultdict(list, a=[1]),
        deque([1, 2], maxlen=3),
        frozenset("ab"),
        SimpleNamespace(a=1),
    ]
    yield [bytearray(b"abc"), len, relu, random.Random(1).getstate()[:1], int]
    for dtype in ("bool", "int8", "float16", "float32", "complex64", "datetime64[s]", "S3", "U2"):
        yield np.zeros((2, 3), dtype)
    yield [
        np.zeros(2, [("x", "f4"), ("n", "i8", (2,))]),
        np.arange(4, dtype=">i4"),
        np.float32(1),
        np.zeros(0),
        np.asfortranarray(np.ones((2, 2))),
    ]
    yield [np.random.default_rng(1), np.random.Generator(np.random.Philox(1)), np.random.SeedSequence(1)]
    base = torch.arange(12.0)
    yield [
        base,
        base[::2],
        base.view(3, 4).t(),
        torch.ones(2, dtype=torch.bfloat16),
        torch.zeros(3, dtype=torch.bool),
        torch.Size([1, 2]),
    ]
    yield [torch.float32, torch.device("cpu"), torch.Generator().manual_seed(1), nn.Parameter(torch.ones(2))]
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LSTM(3, 2), nn.Dropout(0.1))
    yield model
    opt = torch.optim.Adam(model.parameters())
    yield [opt, torch.optim.lr_scheduler.StepLR(opt, 3)]
    chain = Chain(Dense(2, 3, relu), Dense(3, 2), softmax)
    yield [chain, ADAM(params(chain))]
    yield Chain(Conv((2, 2), (1, 2)), BatchNorm(2))
    yield Chain(LSTM(2, 3), Dense(3, 1))
    loop: list[Any] = [1]
    loop.append(loop)
    shared = [1.0]
    yield [loop, shared, shared]


def apart() -> Iterator[Any]:
    """The same values, those of a list each by itself: small files, which are tried several times as often in an hour."""
    for value in values():
        together = type(value) is not list or isinstance(value[0], list)  # the last are about what is shared
        yield from [value] if together else value


def documents() -> list[Document]:
    """The documents of ``values``, together and apart, and of Julia's files."""
    ours = [lower({"x": value}, vocabulary()) for value in (*values(), *apart())]
    return ours + [read_document(data).document for data in julia()]


def julia() -> list[bytes]:
    """Small files that Julia wrote."""
    paths = [path for folder in FOLDERS for path in sorted(folder.glob("*.bson")) if path.stat().st_size <= LARGEST]
    return [path.read_bytes() for path in paths]


def files() -> list[bytes]:
    """Seeds as bytes."""
    return as_files(values()) + julia()


def small_files() -> list[bytes]:
    """Seeds as bytes, for who tries millions: only those of a few hundred bytes."""
    return [data for data in as_files(apart()) + julia() if len(data) <= SMALL]


def as_files(values_: Iterable[Any]) -> list[bytes]:
    """Each value as a file, with checksums and without."""
    found = []
    for document in (lower({"x": value}, vocabulary()) for value in values_):
        for trailer in (True, False):
            plan = plan_document(copied(document, seals=trailer), trailer=trailer)
            if trailer:
                seal(plan)
            found.append(b"".join(plan.buffers()))
    return found
