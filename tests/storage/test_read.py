"""open_bytes: what comes back can be used, and the file never changes."""

import errno
import fcntl
import mmap
import os
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from holdfast import save
from holdfast.errors import FormatError
from holdfast.storage import read, system
from holdfast.storage.local import Mapped, open_bytes

DATA = bytes(range(256)) * 100

BOTH = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "read"])


@BOTH
def test_bytes_are_there(tmp_path: Path, mapped: bool) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    for given in (path, str(path)):
        opened = open_bytes(given, mmap=mapped)
        assert (opened.size, opened.path, len(opened.data)) == (len(DATA), str(path), len(DATA))
        assert bytes(opened.data) == DATA
        assert opened.data.find(b"\x01\x02\x03", 10) == 257


@BOTH
def test_arrays_are_aligned_writable_and_private(tmp_path: Path, mapped: bool) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    opened = open_bytes(path, mmap=mapped)
    array = np.frombuffer(opened.data, "u1")
    assert array.ctypes.data % mmap.PAGESIZE == 0
    assert array.flags.writeable
    array[:] = 0
    assert path.read_bytes() == DATA
    assert bytes(open_bytes(path, mmap=mapped).data) == DATA


@BOTH
def test_file_may_go_away(tmp_path: Path, mapped: bool) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    opened = open_bytes(path, mmap=mapped)
    path.unlink()
    assert bytes(opened.data) == DATA


@BOTH
def test_empty_file(tmp_path: Path, mapped: bool) -> None:
    path = tmp_path / "m"
    path.touch()
    assert open_bytes(path, mmap=mapped) == Mapped(b"", 0, str(path))


@BOTH
def test_link_is_followed(tmp_path: Path, mapped: bool) -> None:
    (tmp_path / "m").write_bytes(DATA)
    (tmp_path / "link").symlink_to("m")
    assert bytes(open_bytes(tmp_path / "link", mmap=mapped).data) == DATA


@BOTH
def test_missing_file(tmp_path: Path, mapped: bool) -> None:
    path = str(tmp_path / "none")
    with pytest.raises(FileNotFoundError) as ours:
        open_bytes(path, mmap=mapped)
    with pytest.raises(FileNotFoundError) as theirs, open(path, "rb"):
        pass
    assert str(ours.value) == str(theirs.value)


@BOTH
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.symlink("pipe", "link")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        begin = time.monotonic()
        for path, kind in {
            "pipe": "a pipe",
            "link": "a pipe",
            ".": "a folder",
            "socket": "a socket",
            "/dev/zero": "a device",
        }.items():
            with pytest.raises(FormatError, match=f"'{path}' is {kind}"):
                open_bytes(path, mmap=mapped)
        assert time.monotonic() - begin < 1


@BOTH
def test_pipe_put_there_between_the_look_and_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool
) -> None:
    path, stat = tmp_path / "m", os.stat
    path.write_bytes(DATA)

    def swap(name: str) -> os.stat_result:
        info = stat(name)
        os.unlink(name)
        os.mkfifo(name)
        return info

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", swap)
        with pytest.raises(FormatError, match="a pipe"):
            open_bytes(path, mmap=mapped)


def test_file_larger_than_memory_can_be_mapped(tmp_path: Path) -> None:
    size = 3 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        try:
            file.truncate(size)
        except OSError:
            pytest.skip("no sparse files of that size here")
        file.seek(size - 3)
        file.write(b"end")
    if Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2":
        pytest.skip("this machine promises no more memory than it has")
    opened = open_bytes(path)
    assert opened.size == size
    assert opened.data[-3:] == b"end"


def test_file_cut_short_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fresh = tmp_path / "m", system.fresh_memory
    path.write_bytes(DATA)
    monkeypatch.setattr(system, "fresh_memory", lambda size: os.truncate(path, 100) or fresh(size))
    with pytest.raises(FormatError, match="became shorter than its 25,600 bytes"):
        open_bytes(path, mmap=False)


def test_file_cut_short_before_it_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, private = tmp_path / "m", system.private_map
    path.write_bytes(DATA)
    monkeypatch.setattr(system, "private_map", lambda fd, size: os.truncate(path, 100) or private(fd, size))
    with pytest.raises(FormatError, match="became shorter"):
        open_bytes(path)


def test_file_system_that_cannot_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(fd: int, size: int) -> mmap.mmap:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(system, "private_map", refused)
    (tmp_path / "m").write_bytes(DATA)
    assert bytes(open_bytes(tmp_path / "m").data) == DATA


CUT_SHORT = """
import os, sys
from holdfast.storage.local import open_bytes
opened = open_bytes(sys.argv[1], mmap=sys.argv[2] == "True")
os.truncate(sys.argv[1], 0)
print(sum(opened.data[:100]))
"""


def test_cutting_a_file_short_kills_who_mapped_it_only(tmp_path: Path, python) -> None:
    """The price of a map, as open_bytes says; mmap=False is the way out."""
    for mapped, code in ((True, -signal.SIGBUS), (False, 0)):
        (tmp_path / "m").write_bytes(DATA)
        assert python(CUT_SHORT, tmp_path / "m", mapped).returncode == code


FORKED = """
import os, sys
from holdfast.storage.local import open_bytes
opened = open_bytes(sys.argv[1], mmap=sys.argv[2] == "True")
if not (child := os.fork()):
    opened.data[:3] = b"new"
    os._exit(0)
os.waitpid(child, 0)
print(opened.data[:3])
"""


@BOTH
def test_forked_processes_do_not_share_what_they_write(tmp_path: Path, python, mapped: bool) -> None:
    (tmp_path / "m").write_bytes(b"old")
    assert python(FORKED, tmp_path / "m", mapped).stdout == "b'old'\n"


# Long files are read by several threads, and around the page cache when they are not in it


LONG = np.random.default_rng(0).bytes((1 << 20) + 123)


@pytest.fixture
def long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that takes the way of long ones, and is not in the page cache."""
    monkeypatch.setattr(read, "MUCH", 1)
    monkeypatch.setattr(read, "PIECE", 3 * read.GRAIN)
    path = tmp_path / "m"
    path.write_bytes(LONG)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


class Reads:
    """The calls of ``os.preadv``: whether they went around the page cache."""

    def __init__(self, patch: pytest.MonkeyPatch, most: int = 1 << 30, fault: OSError | None = None) -> None:
        self.direct: list[bool] = []
        self.most, self.fault, self.call = most, fault, os.preadv
        patch.setattr(os, "preadv", self)

    def __call__(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        self.direct.append(bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT))
        if self.fault and (self.direct[-1] or self.fault.errno != errno.EINVAL):
            raise self.fault
        return self.call(fd, [buffers[0][: self.most]], offset)


def is_in_memory(fd: int) -> bool:
    return system.cached(system.private_map(fd, len(LONG)), [1 << 19]) == [True]


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 12288, 12289, 1 << 20, len(LONG)])
@pytest.mark.parametrize("cold", [True, False])
def test_long_file(long_file: Path, monkeypatch: pytest.MonkeyPatch, size: int, cold: bool) -> None:
    os.truncate(long_file, size)
    monkeypatch.setattr(system, "cached", lambda memory, offsets: [not cold] * len(offsets))
    assert bytes(open_bytes(long_file, mmap=False).data) == LONG[:size]


def test_cold_file_is_read_around_the_cache_and_a_warm_one_from_it(
    long_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(monkeypatch)
    with open(long_file, "rb") as file:
        if is_in_memory(file.fileno()) or not system.direct(file.fileno(), on=True):
            pytest.skip("this file system keeps its files in memory, or has no direct reads")
    assert bytes(open_bytes(long_file, mmap=False).data) == LONG
    assert all(reads.direct[:-1])
    assert not reads.direct[-1]  # what is left of a page
    assert long_file.read_bytes() == LONG
    reads.direct.clear()
    assert bytes(open_bytes(long_file, mmap=False).data) == LONG
    assert not any(reads.direct)


def test_mapped_file_says_whether_it_is_cold(long_file: Path) -> None:
    with open(long_file, "rb") as file:
        if is_in_memory(file.fileno()):
            pytest.skip("this file system keeps its files in memory")
    assert open_bytes(long_file).cold
    assert not open_bytes(long_file, mmap=False).cold
    assert long_file.read_bytes() == LONG
    assert not open_bytes(long_file).cold


def test_what_was_just_saved_is_cold(tmp_path: Path) -> None:
    """A save leaves the pages between the arrays in memory: of arrays that are alike they stand where regular looks fall."""
    path = tmp_path / "m.bson"
    save(path, **{f"a{number}": np.full(1 << 17, number) for number in range(64)})
    with open(path, "rb") as file:
        mapped = system.private_map(file.fileno(), path.stat().st_size)
    there = system.cached(mapped, range(0, len(mapped), mmap.PAGESIZE))
    if there.count(True) > len(there) // 2:
        pytest.skip("this file system keeps its files in memory")
    assert open_bytes(path).cold
    assert there.count(True) >= 64


def test_cold_places_are_brought_into_memory(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(long_file, "rb") as file:
        if is_in_memory(file.fileno()):
            pytest.skip("this file system keeps its files in memory")
    opened = open_bytes(long_file)
    reads = Reads(monkeypatch)
    opened.cold.bring(1 << 16, 3 << 16)
    assert len(reads.direct) == 1
    assert not any(reads.direct)
    assert all(system.cached(opened.data, range(1 << 16, 3 << 16, mmap.PAGESIZE)))
    opened.cold.bring(len(LONG) - 5, len(LONG) + 5)
    assert bytes(opened.data) == LONG


def test_what_is_given_back_is_read_again_and_changes_stay(long_file: Path) -> None:
    with open(long_file, "rb") as file:
        if is_in_memory(file.fileno()):
            pytest.skip("this file system keeps its files in memory")
    opened = open_bytes(long_file)
    start = len(LONG) // 2 // mmap.PAGESIZE * mmap.PAGESIZE
    seen = [start, start + mmap.PAGESIZE]
    opened.cold.glance(start)
    opened.data[start + 5 : start + 7] = b"me"
    assert [opened.data[place] for place in seen] == [LONG[place] for place in seen]
    assert opened.cold.expect(len(LONG) // 2)
    assert all(system.cached(opened.data, seen))
    assert opened.cold.expect(len(LONG))
    if sys.platform == "linux":
        assert not system.cached(opened.data, seen)[1]
    assert bytes(opened.data) == LONG[: start + 5] + b"me" + LONG[start + 7 :]
    assert not opened.cold.expect(len(LONG))


def test_disk_that_cannot_be_read_under_a_map(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "cached", lambda memory, offsets: [False] * len(offsets))
    fault = OSError(errno.EIO, "Input/output error")
    Reads(monkeypatch, fault=fault)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Input/output error"):
        open_bytes(long_file).cold.glance(4096)
    fault.__traceback__ = None  # which holds the map
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("most", [1, 511, 512, 5000])
def test_short_reads(long_file: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    os.truncate(long_file, 100_000)
    Reads(monkeypatch, most)
    assert bytes(open_bytes(long_file, mmap=False).data) == LONG[:100_000]


def test_refused_direct_reads(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Reads(monkeypatch, fault=OSError(errno.EINVAL, "Invalid argument"))
    assert bytes(open_bytes(long_file, mmap=False).data) == LONG


def test_disk_that_cannot_be_read(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Reads(monkeypatch, fault=OSError(errno.EIO, "Input/output error"))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Input/output error"):
        open_bytes(long_file, mmap=False)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("cold", [True, False])
def test_long_file_that_becomes_shorter(long_file: Path, monkeypatch: pytest.MonkeyPatch, cold: bool) -> None:
    reads = Reads(monkeypatch)
    monkeypatch.setattr(system, "cached", lambda memory, offsets: [not cold] * len(offsets))
    fresh = system.fresh_memory

    def cut(size: int) -> mmap.mmap:
        os.truncate(long_file, 5000)
        return fresh(size)

    monkeypatch.setattr(system, "fresh_memory", cut)
    with pytest.raises(FormatError, match="became shorter than its"):
        open_bytes(long_file, mmap=False)
    assert reads.direct
