"""The double keeps the promises of the real thing: each case runs on both."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from holdfast.storage import local
from holdfast.storage.memory import MemoryStorage, Published


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    return MemoryStorage() if request.param == "memory" else SimpleNamespace(**vars(local))


def test_what_was_published_opens(storage: MemoryStorage) -> None:
    for buffers in ([], [b"a"], [b"ab", b"", bytearray(b"cd"), np.arange(3, dtype="u1")]):
        storage.publish("m", buffers)
        for mmap in (True, False):
            opened = storage.open_bytes("m", mmap=mmap)
            assert bytes(opened.data) == b"".join(bytes(buffer) for buffer in buffers)
            assert (opened.size, opened.path) == (len(opened.data), "m")


def test_what_was_opened_is_private(storage: MemoryStorage) -> None:
    storage.publish(Path("m"), [b"old"])
    array = np.frombuffer(storage.open_bytes("m").data, "u1")
    array[:] = 0
    assert array.ctypes.data % 64 == 0
    storage.publish("m", [b"new"])
    assert bytes(storage.open_bytes("m").data) == b"new"
    assert array.tobytes() == b"\0\0\0"


def test_missing_and_taken(storage: MemoryStorage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.open_bytes("m")
    storage.publish("m", [b"old"], exclusive=True)
    with pytest.raises(FileExistsError):
        storage.publish("m", [b"new"], exclusive=True)
    assert bytes(storage.open_bytes("m").data) == b"old"


def test_record() -> None:
    storage = MemoryStorage()
    storage.publish("a", [b"1", b"2"])
    storage.publish("b", [], durable=False, exclusive=True)
    assert storage.published == [Published("a", b"12", True, False), Published("b", b"", False, True)]
    assert storage.files == {"a": b"12", "b": b""}


@pytest.mark.parametrize(("fail_at", "fits"), [(0, -1), (1, 0), (4, 3), (100, 6), (None, 6)])
def test_failing_at_a_byte(fail_at: int | None, fits: int) -> None:
    for size in range(7):
        storage = MemoryStorage(fail_at=fail_at)
        storage.files["m"] = b"old"
        if size <= fits:
            storage.publish("m", [bytes(size)])
            assert storage.files["m"] == bytes(size)
        else:
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                storage.publish("m", [b"\0"] * size)
            assert storage.files["m"] == b"old"
            assert storage.published == []
