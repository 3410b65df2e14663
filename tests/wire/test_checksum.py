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
    brought: list[tuple[int, int]] = []
    assert checksums_ahead(blobs, lambda start, stop: brought.append((start, stop))) == expected
    assert all(0 < stop - start <= PIECE for start, stop in brought)


def test_nothing_is_looked_at_before_it_is_brought() -> None:
    """Two short arrays in one piece are one read; what is between arrays is read only with what is around it."""
    data, places = bytearray(6 * PIECE), [(10, 100), (500, PIECE), (4 * PIECE + 7, PIECE // 2)]
    truth = random.Random(1).randbytes(len(data))
    brought: list[tuple[int, int]] = []

    def bring(start: int, stop: int) -> None:
        brought.append((start, stop))
        data[start:stop] = truth[start:stop]

    view = memoryview(data)
    blobs = [Blob(view[start : start + size], offset=start) for start, size in places]
    assert checksums_ahead(blobs, bring) == [checksum(memoryview(truth)[at : at + size]) for at, size in places]
    assert sorted(brought) == [(10, PIECE), (PIECE, PIECE + 500), (4 * PIECE + 7, 4 * PIECE + 7 + PIECE // 2)]


def test_disk_that_fails_while_it_is_read() -> None:
    def bring(start: int, stop: int) -> None:
        if start:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        checksums_ahead([Blob(memoryview(bytes(3 * PIECE)), offset=0)], bring)


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
