"""A good file of ours, damaged in every way that one can count: each bit flipped, cut at each byte, hit by bursts.

    python -m fuzz.flips                       1 MiB: 8.4 million flips, a million cuts, 100,000 bursts
    python -m fuzz.flips --size 65536          a smaller file
    python -m fuzz.flips --every 997           each 997th flip and cut only

Strategy: the file is opened by the functions that ``load`` uses (``is_sealed``, the reader, ``verify_frame``,
``verify_blobs``), in memory and in place. A change in an array's data cannot change what the reader sees, since the reader
looks at no blob: there the file is opened once, and each flip is compared by ``verify_blobs``, array by array, which is what
``load`` compares. A change anywhere else is opened anew. Right is an error of FormatError or ChecksumError; a file that
opens with the very values that it had is right, too. All else is a miss, and printed.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from holdfast.codec.lower import lower
from holdfast.errors import ChecksumError, FormatError
from holdfast.formats import bson
from holdfast.storage.system import fresh_memory
from holdfast.vocab import vocabulary
from holdfast.wire.checksum import seal
from holdfast.wire.plan import plan_document
from holdfast.wire.values import same_value

MIB: Final = 1 << 20
LONGEST: Final = 4096
"""Bytes of one burst at most."""


def sample(size: int) -> bytes:
    """A file of just under ``size`` bytes with values of all kinds: a model, an optimiser, arrays of many sizes, texts."""
    torch.manual_seed(1)
    choose = np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.LSTM(16, 4))
    model[0](torch.ones(2, 8)).sum().backward()
    optimiser = torch.optim.Adam(model[0].parameters())
    optimiser.step()
    values: dict[str, Any] = {
        "model": model,
        "optimiser": optimiser,
        "small": [np.arange(n).astype(kind) for n in range(12) for kind in ("int8", "float32", "bool")],
        "half": torch.ones(50, dtype=torch.bfloat16),
        "plain": {"text": "é" * 50, "n": 2**70, "d": {1: (2, None)}, "raw": b"bytes" * 20, "x": 1.5},
        "generator": np.random.default_rng(2),
    }
    room = size - len(written(values)) - 8192
    parts = [room // 2, room // 4, room // 8, room // 16]
    values["arrays"] = [choose.integers(0, 255, part, np.uint8) for part in parts if part > 0]
    return written(values)


def written(values: dict[str, Any]) -> bytes:
    plan = plan_document(lower(values, vocabulary()))
    seal(plan)
    return b"".join(plan.buffers())


class Subject:
    """The good file, and the question whether a damaged one is told from it."""

    def __init__(self, good: bytes) -> None:
        self.good = good
        self.data = fresh_memory(len(good))
        self.data[:] = good
        self.document = bson.file_of("m.bson", self.good).document
        self.arrays = [(blob.offset or 0, blob.nbytes) for blob in bson.file_of("m.bson", self.good).blobs]

    def is_seen(self, data: Any) -> bool:
        """Whether ``load`` would refuse ``data``, or give the values of the good file."""
        try:
            file = bson.file_of("m.bson", data)
            file.verify_frame()
            file.verify_blobs([("value", blob) for blob in file.blobs])
        except (FormatError, ChecksumError):
            return True
        return file.sealed and same_value(file.document, self.document)


# -- every bit --------------------------------------------------------------------------------------------------------


def flips(subject: Subject, every: int = 1) -> Iterator[tuple[int, str]]:
    """Flip each bit. Gives (how many, misses) array by array, and for the frame in parts."""
    data = subject.data
    for offset, size in subject.arrays:
        yield flips_of_array(data, offset, size, every)
    inside = np.zeros(len(data), bool)
    for offset, size in subject.arrays:
        inside[offset : offset + size] = True
    for places in np.array_split(np.flatnonzero(~inside), max(1, int((~inside).sum()) // 1000)):
        yield flips_of_frame(subject, places.tolist(), every)


def flips_of_array(data: Any, offset: int, size: int, every: int) -> tuple[int, str]:
    """The bits of one array, against the checksum that the file has for it."""
    file = bson.file_of("m.bson", data)
    blob = next(blob for blob in file.blobs if blob.offset == offset)
    compared = [("value", blob)]
    count, missed = 0, []
    for bit in range(0, 8 * size, every):
        place, mask = offset + (bit >> 3), 1 << (bit & 7)
        data[place] ^= mask
        try:
            file.verify_blobs(compared)
            missed.append(f"bit {bit & 7} of byte {place}")
        except ChecksumError:
            pass
        data[place] ^= mask
        count += 1
    file.verify_blobs(compared)  # all is as it was
    return count, ", ".join(missed)


def flips_of_frame(subject: Subject, places: list[int], every: int) -> tuple[int, str]:
    """The bits of some bytes that are in no array: the file is opened anew for each."""
    count, missed = 0, []
    for place in places:
        for bit in range(8):
            if (8 * place + bit) % every:
                continue
            subject.data[place] ^= 1 << bit
            if not subject.is_seen(subject.data):
                missed.append(f"bit {bit} of byte {place}")
            subject.data[place] ^= 1 << bit
            count += 1
    return count, ", ".join(missed)


# -- cuts and bursts --------------------------------------------------------------------------------------------------


def cuts(subject: Subject, every: int = 1) -> Iterator[tuple[int, str]]:
    """Cut the file at each byte."""
    whole = memoryview(subject.good)
    for start in range(0, len(whole), 10_000):
        ends = range(start, min(start + 10_000, len(whole)), every)
        missed = [f"cut at {end}" for end in ends if not subject.is_seen(bytes(whole[:end]))]
        yield len(ends), ", ".join(missed)


def bursts(subject: Subject, count: int, seed: int = 1) -> Iterator[tuple[int, str]]:
    """Overwrite a run of bytes anywhere, with noise, NULs, ones or other bytes of the file."""
    choose = random.Random(seed)
    data, good = subject.data, subject.good
    for number in range(count):
        start, length = choose.randrange(len(data)), choose.choice((1, 2, 4, 8, 64, 512, LONGEST))
        length = min(length, len(data) - start)
        elsewhere = choose.randrange(len(data) - length + 1)
        noise = choose.choice(
            (choose.randbytes(length), bytes(length), b"\xff" * length, good[elsewhere : elsewhere + length])
        )
        data[start : start + length] = noise
        seen = subject.is_seen(data) if noise != good[start : start + length] else True
        data[start : start + length] = good[start : start + length]
        yield 1, "" if seen else f"burst {number} of seed {seed}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.flips", description="Damage a good file in every way.")
    parser.add_argument("--size", type=int, default=MIB)
    parser.add_argument("--every", type=int, default=1, help="each so many-th flip and cut")
    parser.add_argument("--bursts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    subject = Subject(sample(given.size))
    bad = False
    print(f"a file of {len(subject.good):,} bytes with {len(subject.arrays)} arrays", flush=True)
    for name, tries in {
        "flips": flips(subject, given.every),
        "cuts": cuts(subject, given.every),
        "bursts": bursts(subject, given.bursts, given.seed),
    }.items():
        started, count, missed = time.monotonic(), 0, []
        for number, misses in tries:
            count += number
            missed += [misses] if misses else []
        print(
            f"{name}: {count:,} in {time.monotonic() - started:,.0f} s, missed {len(missed)}",
            *missed[:10],
            sep="\n  ",
            flush=True,
        )
        bad = bad or bool(missed) or subject.data[:] != subject.good
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
