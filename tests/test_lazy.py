"""load(verify="lazy"): opening compares no array; each is compared when its name is first taken."""

import mmap
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import ChecksumError, load, save
from holdfast.formats import bson
from holdfast.storage import system

WEIGHTS = {name: np.full(1000, value, "f4") for name, value in (("good", 1.0), ("bad", 2.0))}


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file of which the array ``bad`` has one wrong bit."""
    path = tmp_path / "m.bson"
    save(path, **WEIGHTS, text="text", again={"the": WEIGHTS["bad"]})
    data = bytearray(path.read_bytes())
    data[data.index(WEIGHTS["bad"].tobytes()) + 77] ^= 4
    path.write_bytes(data)
    return path


def test_only_what_is_taken_is_compared(damaged: Path) -> None:
    with pytest.raises(ChecksumError):
        load(damaged)
    values = load(damaged, verify="lazy")
    assert list(values) == ["good", "bad", "text", "again"]
    assert len(values) == 4
    assert (values["good"] == 1).all()
    assert values["text"] == "text"
    for name in ("bad", "again", "bad"):
        with pytest.raises(ChecksumError, match="damaged values"):
            values[name]
    assert "bad" in repr(values)
    with pytest.raises(KeyError):
        values["none"]
    with pytest.raises(ChecksumError):
        dict(values)


def test_each_array_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, compared = tmp_path / "m.bson", []
    save(path, **WEIGHTS, again=WEIGHTS["bad"])
    verify = bson.File.verify_blobs
    monkeypatch.setattr(bson.File, "verify_blobs", lambda file, blobs: (compared.extend(blobs), verify(file, blobs)))
    values = load(path, verify="lazy")
    assert compared == []
    assert values["bad"] is values["again"]
    assert values["bad"] is values["bad"]
    assert [name for name, _ in compared] == ["bad"]
    assert sorted(dict(values)) == ["again", "bad", "good"]
    assert len(compared) == 2


def test_what_is_named_is_compared_at_once(damaged: Path) -> None:
    assert (load(damaged, "good", verify="lazy") == 1).all()
    with pytest.raises(ChecksumError):
        load(damaged, "bad", verify="lazy")
    with pytest.raises(ChecksumError):
        load(damaged, "good", "bad", verify="lazy")


def test_a_damaged_frame_is_found_on_opening(damaged: Path) -> None:
    data = damaged.read_bytes()
    damaged.write_bytes(data.replace(b"text\0", b"test\0"))
    with pytest.raises(ChecksumError):
        load(damaged, verify="lazy")


def test_another_word(tmp_path: Path) -> None:
    save(tmp_path / "m.bson", x=1)
    with pytest.raises(ValueError, match='True, False or "lazy"'):
        load(tmp_path / "m.bson", verify="lasy")


NAMES, SIZE = ["first", "second", "third", "last"], 24 << 20


def cached(path: Path) -> np.ndarray:
    """Which pages of a file are in the page cache."""
    with open(path, "rb") as file:
        mapped = system.private_map(file.fileno(), path.stat().st_size)
        return np.array(system.cached(mapped, range(0, len(mapped), mmap.PAGESIZE)))


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in its page cache")
@pytest.mark.parametrize("verify", [True, "lazy", False])
@pytest.mark.parametrize("wanted", ["first", "last"])
def test_one_name_costs_that_name_alone(tmp_path: Path, wanted: str, verify: Any) -> None:
    """Of a file that is only on the disk, no other array is read, but for the start of the next one: the system reads
    ahead."""
    path = tmp_path / "m.bson"
    arrays = {name: np.full(SIZE // 8, number, np.int64) for number, name in enumerate(NAMES)}
    save(path, **arrays)
    starts = {name: (blob.offset or 0) for name, blob in zip(arrays, bson.open_file(path).blobs, strict=True)}
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if cached(path).mean() > 0.01:
        pytest.skip("this file system keeps its files in memory")
    assert (load(path, wanted, verify=verify) == arrays[wanted][0]).all()
    pages = cached(path)
    shares = {name: pages[start // mmap.PAGESIZE :][: SIZE // mmap.PAGESIZE].mean() for name, start in starts.items()}
    far = [name for name in NAMES if abs(NAMES.index(name) - NAMES.index(wanted)) > 1]
    assert shares[wanted] == 1
    assert max(shares[name] for name in far) < 0.01, shares
