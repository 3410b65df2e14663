"""Checksums in every order and by every way: one number for the same bytes."""

import random
from pathlib import Path

import numpy as np
import pytest

from holdfast import load, save
from holdfast.errors import ChecksumError
from holdfast.storage import read, system
from holdfast.wire.checksum import LEAD, PIECE, WORTH_A_THREAD, checksum, checksums, checksums_ahead
from holdfast.wire.values import Blob

LENGTHS = [0, 1, WORTH_A_THREAD - 1, WORTH_A_THREAD, PIECE + 1, 3 * PIECE, 3 * PIECE + 17, (LEAD + 2) * PIECE]


@pytest.mark.parametrize("count", [0, 1, 2, len(LENGTHS), 40])
def test_every_way_gives_the_same(count: int) -> None:
    draw = random.Random(count)
    data = memoryview(draw.randbytes(max(LENGTHS) + 40))
    lengths = draw.sample(LENGTHS, count) if count <= len(LENGTHS) else draw.choices(LENGTHS[:-1], k=count)
    blobs = [Blob(data[start : start + length], offset=start) for start, length in enumerate(lengths)]
    draw.shuffle(blobs)  # a name that was asked for first may stand last in the file
    expected = [checksum(blob.data) for blob in blobs]
    assert checksums(blobs) == expected
    assert checksums_ahead(blobs) == expected


def test_damage_in_a_file_that_is_not_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "cached", lambda memory, offsets: [False] * len(offsets))
    monkeypatch.setattr(read, "MUCH", PIECE)
    path = tmp_path / "m.bson"
    arrays = {f"a{number}": np.full(PIECE // 4, number, np.float32) for number in range(5)}
    save(path, **arrays)
    assert read.open_bytes(path).cold is not None
    assert all(np.array_equal(value, arrays[name]) for name, value in load(path).items())
    data = bytearray(path.read_bytes())
    data[data.index(arrays["a3"].tobytes()) + PIECE // 2] ^= 1
    path.write_bytes(data)
    assert np.array_equal(load(path, "a2"), arrays["a2"])
    with pytest.raises(ChecksumError, match=r"a3 \(array at byte"):
        load(path)
