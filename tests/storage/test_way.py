"""way: every byte is written once, and no page is written both ways. write_file: the file is the buffers."""

import errno
import fcntl
import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from holdfast.storage import system, write
from holdfast.storage import way as ways
from holdfast.storage.local import Watched, publish
from holdfast.storage.way import GRAIN, Views, way

OLD = b"old" * 1000
BUSY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is not what is tested."""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers of a page or two are long, so that small files take every turn that large ones take."""
    shorten(monkeypatch)


def shorten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ways, "LONG", GRAIN)
    patch.setattr(ways, "MUCH", GRAIN)
    patch.setattr(write, "PIECE", 2 * GRAIN)


class Watcher:
    """What one buffer was seen to hold, and on which threads."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.threads: set[int] = set()

    def __call__(self, piece: memoryview) -> None:
        self.data += piece
        self.threads.add(threading.get_ident())


def memory(size: int, at: int = 0, seed: int = 0) -> memoryview:
    """Random bytes that begin ``at`` bytes into a page of the memory."""
    view = memoryview(mmap.mmap(-1, size + at + 1))[at : at + size]
    view[:] = np.random.default_rng(seed).bytes(size)
    return view


LENGTHS = st.one_of(
    st.integers(0, 200),
    st.builds(lambda pages, more: max(0, pages * GRAIN + more), st.integers(1, 9), st.integers(-3, 3)),
    st.integers(0, 9 * GRAIN),
)
BUFFERS = st.lists(st.tuples(LENGTHS, st.sampled_from([0, 1, 16, 64, 512, GRAIN - 1]), st.booleans()), max_size=12)


def given_buffers(layout: list[tuple[int, int, bool]]) -> list[memoryview | Watched]:
    views = [memory(size, at, seed) for seed, (size, at, _) in enumerate(layout)]
    return [Watched(view, Watcher()) if seen else view for view, (_, _, seen) in zip(views, layout, strict=True)]


# The decision


def planned(layout: list[tuple[int, int, bool]]) -> Views:
    return ways.flat(given_buffers(layout))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("direct", [True, False])
@BUSY
@given(layout=BUFFERS)
def test_every_byte_goes_once(direct: bool, layout: list[tuple[int, int, bool]]) -> None:
    views = planned(layout)
    found = way(views, direct=direct)
    ours = np.zeros(found.size, "u1")
    apart, pages = np.zeros(found.size, "u1"), set()
    for stretch in found.stretches:
        apart[stretch.offset + stretch.own.start : stretch.offset + stretch.own.stop] += 1
        parts = list(stretch.pieces(1000))
        assert [i for part in parts for i in part] == list(range(stretch.view.nbytes))
        assert all(len({i in stretch.own for i in part}) == 1 for part in parts)
    for run in found.runs:
        assert all(view.nbytes for view in run.views)
        size = sum(view.nbytes for view in run.views)
        ours[run.offset : run.offset + size] += 1
        pages |= set(range(run.offset // GRAIN, (run.offset + size - 1) // GRAIN + 1))
    assert (ours + apart == 1).all()
    assert sum(stretch.seen is not None for stretch in found.stretches) == sum(seen is not None for _, seen in views)
    if found.direct:
        for stretch in found.stretches:
            start, stop = stretch.offset + stretch.own.start, stretch.offset + stretch.own.stop
            assert not stretch.own or start % GRAIN == stop % GRAIN == 0
            assert not pages & set(range(start // GRAIN, stop // GRAIN))


@pytest.mark.usefixtures("short")
def test_memory_on_a_page_is_not_copied() -> None:
    def is_staged(offset: int, at: int) -> bool:
        views: Views = [(memory(offset), None), (memory(9 * GRAIN, at), None)]
        return way(views, direct=True).stretches[-1].staged

    assert not is_staged(0, 0)
    assert not is_staged(GRAIN, 0)
    assert is_staged(0, 64)
    assert is_staged(100, 0)
    assert not is_staged(100, 100)


def test_little_goes_through_the_cache() -> None:
    assert not way([(memoryview(bytes(ways.MUCH - 1)), None)], direct=True).direct
    assert not way([(memoryview(bytes(ways.LONG - 1)), None)] * 100, direct=True).stretches
    found = way([(memoryview(bytes(ways.LONG)), None)] * 64, direct=True)
    assert found.direct
    assert len(found.stretches) == 64
    assert found.runs == []


# The file


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk, and one on a file system that keeps files in memory."""
    if request.param == "disk":
        yield tmp_path
        return
    import tempfile

    if not os.path.isdir("/dev/shm"):
        pytest.skip("needs /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@BUSY
@given(layout=BUFFERS, durable=st.booleans(), threads=st.integers(1, 4), often=st.sampled_from([1, GRAIN]))
def test_file_holds_the_buffers(
    tmp_path_factory: pytest.TempPathFactory,
    layout: list[tuple[int, int, bool]],
    durable: bool,
    threads: int,
    often: int,
) -> None:
    """What nobody watches may be changed when all has been watched, be it short or long."""
    path = tmp_path_factory.getbasetemp() / "m"
    buffers, head = given_buffers(layout), bytearray(b"not yet" * often)
    watchers = [(one.seen, one.data) for one in buffers if isinstance(one, Watched)]

    def complete() -> None:
        assert all(watcher.data == data for watcher, data in watchers)
        head[:] = b"is done" * often

    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        patch.setattr(write, "THREADS", threads)
        publish(path, [head, *buffers], durable=durable, complete=complete)
    datas = [one.data if isinstance(one, Watched) else one for one in buffers]
    assert path.read_bytes() == b"is done" * often + b"".join(datas)  # type: ignore[arg-type]


@pytest.mark.usefixtures("short")
def test_any_file_system(folder: Path) -> None:
    buffers = [memory(50 * GRAIN + 7, 64, seed) for seed in range(6)]
    publish(folder / "m", buffers)
    assert (folder / "m").read_bytes() == b"".join(buffers)


@pytest.mark.usefixtures("short")
def test_checksums_in_a_long_frame(tmp_path: Path) -> None:
    """What stands before an array ends with its checksum, which is known when the array is written, and not before."""
    path, long = tmp_path / "m.bson", 1 << 20
    holdfast.save(path, notes=["note"] * 20_000, a=np.arange(long), more=["note"] * 20_000, b=np.arange(long))
    holdfast.verify(path)
    assert (holdfast.load(path, "b") == np.arange(long)).all()


def test_real_sizes(tmp_path: Path) -> None:
    buffers = [memory(size, at, at) for size, at in [(40 << 20, 64), (5, 0), ((30 << 20) + 12345, 0), (4 << 20, 16)]]
    watchers = [Watcher() for _ in buffers]
    publish(tmp_path / "m", [Watched(view, watcher) for view, watcher in zip(buffers, watchers, strict=True)])
    assert (tmp_path / "m").read_bytes() == b"".join(buffers)
    assert [watcher.data for watcher in watchers] == buffers
    assert all(len(watcher.threads) == 1 for watcher in watchers)


# Whatever may fail


def layout_of_many() -> list[memoryview]:
    """Long buffers, on and off pages of the file and of the memory, with short ones between."""
    return [memory(size, at, at) for size in (5, 20 * GRAIN, 100, 11 * GRAIN + 9) for at in (0, 16, 64)]


class Fault:
    """One call of os or fcntl that fails the n-th time and, with ``again``, every time after that."""

    def __init__(self, module: Any, name: str, at: int, fault: BaseException, *, again: bool = False) -> None:
        self.module, self.name, self.at, self.fault, self.again = module, name, at, fault, again
        self.count = 0

    def __call__(self, *arguments: Any) -> Any:
        self.count += 1
        if self.count == self.at or (self.again and self.count > self.at):
            raise self.fault
        return self.call(*arguments)

    def set(self, patch: pytest.MonkeyPatch) -> None:
        self.call: Callable[..., Any] = getattr(self.module, self.name)
        patch.setattr(self.module, self.name, self)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", ["pwrite", "dup", "lseek", "writev"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("durable", [True, False], ids=["direct", "buffered"])
def test_one_call_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, durable: bool) -> None:
    path, buffers = tmp_path / "m", layout_of_many()
    watched = [Watched(view, Watcher()) for view in buffers]
    path.write_bytes(OLD)
    for at in (1, 2, 3, 10, 30):
        before, threads = descriptors(), threading.active_count()
        with monkeypatch.context() as patch:
            fault = Fault(os, name, at, OSError(number, os.strerror(number)))
            fault.set(patch)
            if fault_is_met(fault, path, watched, durable):
                assert path.read_bytes() == OLD
        assert os.listdir(tmp_path) == ["m"]
        assert (descriptors(), threading.active_count()) == (before, threads)
    publish(path, buffers)
    assert path.read_bytes() == b"".join(buffers)


def fault_is_met(fault: Fault, path: Path, buffers: list[Watched], durable: bool) -> bool:
    """Save; True when the call was made often enough to fail, and the error says so."""
    old, caught = path.read_bytes(), None
    try:
        publish(path, buffers, durable=durable)
    except OSError as error:
        caught = error
    if caught is None:
        assert fault.count < fault.at
        path.write_bytes(old)
        return False
    assert isinstance(fault.fault, OSError)
    assert (caught.errno, caught.filename) == (fault.fault.errno, str(path))
    assert "what was there before is unchanged" in str(caught)
    return True


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("fault", [KeyboardInterrupt(), MemoryError()], ids=["Ctrl-C", "no memory"])
def test_an_error_on_any_thread_stops_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    (tmp_path / "m").write_bytes(OLD)
    Fault(os, "pwrite", 4, fault).set(monkeypatch)
    with pytest.raises(type(fault)):
        publish(tmp_path / "m", layout_of_many() * 20)
    assert (tmp_path / "m").read_bytes() == OLD
    assert os.listdir(tmp_path) == ["m"]
    assert [one for one in threading.enumerate() if one.name == "holdfast-file"] == []


@pytest.mark.usefixtures("short")
def test_a_watcher_that_fails(tmp_path: Path) -> None:
    def fails(piece: memoryview) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        publish(tmp_path / "m", [*layout_of_many(), Watched(memory(9 * GRAIN), fails)])
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("number", sorted(system.UNKNOWN))
def test_file_system_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Said when asked."""

    def refuses(fd: int, command: int, *arguments: Any) -> Any:
        if command == fcntl.F_SETFL and arguments[0] & os.O_DIRECT:
            raise OSError(number, os.strerror(number))
        return real(fd, command, *arguments)

    real = fcntl.fcntl
    monkeypatch.setattr(fcntl, "fcntl", refuses)
    publish(tmp_path / "m", layout_of_many())
    assert (tmp_path / "m").read_bytes() == b"".join(layout_of_many())


def is_direct(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)


@pytest.mark.usefixtures("short")
def test_file_system_that_refuses_direct_writes_only_when_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def refuses(fd: int, view: memoryview, offset: int) -> int:
        if is_direct(fd):
            refused.append(offset)
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, view, offset)

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", refuses)
    buffers, watchers = layout_of_many(), [Watcher() for _ in layout_of_many()]
    publish(tmp_path / "m", [Watched(view, seen) for view, seen in zip(buffers, watchers, strict=True)])
    assert (tmp_path / "m").read_bytes() == b"".join(buffers)
    assert [watcher.data for watcher in watchers] == buffers
    assert 1 <= len(refused) <= write.THREADS


@pytest.mark.usefixtures("short")
def test_direct_writes_are_direct_and_runs_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def noting(fd: int, *arguments: Any) -> int:
        direct.append(is_direct(fd))
        return pwrite(fd, *arguments)

    def noting_run(fd: int, *arguments: Any) -> int:
        runs.append(is_direct(fd))
        return writev(fd, *arguments)

    direct, runs, pwrite, writev = [], [], os.pwrite, os.writev
    monkeypatch.setattr(os, "pwrite", noting)
    monkeypatch.setattr(os, "writev", noting_run)
    publish(tmp_path / "m", layout_of_many())
    if not any(direct):
        pytest.skip("no direct writes here")
    assert all(direct)
    assert runs
    assert not any(runs)
    direct.clear()
    publish(tmp_path / "m", layout_of_many(), durable=False)
    assert not any(direct)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("most", [513, 1024, 4096, 5000])
@pytest.mark.parametrize("durable", [True, False])
def test_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, durable: bool) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, view, offset: min(most, real(fd, view, offset)))
    publish(tmp_path / "m", [Watched(view, Watcher()) for view in layout_of_many()], durable=durable)
    assert (tmp_path / "m").read_bytes() == b"".join(layout_of_many())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("taken", [0, 511])
def test_disk_that_takes_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr(os, "pwrite", lambda fd, view, offset: taken)
    with pytest.raises(OSError, match="took no more bytes"):
        publish(tmp_path / "m", layout_of_many())
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("short")
def test_no_thread_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is when the interpreter is ending."""

    def cannot(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = descriptors()
    monkeypatch.setattr(threading.Thread, "start", cannot)
    publish(tmp_path / "m", layout_of_many())
    assert (tmp_path / "m").read_bytes() == b"".join(layout_of_many())
    assert descriptors() == before


def test_alarm_in_the_middle_of_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    path = tmp_path / "m"
    path.write_bytes(bytes(1 << 22))

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for turn in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 * (turn + 1))
                publish(path, [bytes([turn + 1]) * (1 << 20)] * 4)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            data = path.read_bytes()
            assert data == data[:1] * (1 << 22)
            assert os.listdir(tmp_path) == ["m"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 5


MEMORY = """
import os, resource, sys
import numpy as np
from holdfast.storage.local import Watched, publish
publish(sys.argv[1], [b"warm"])
array = np.ones(200 << 20, "u1")[64:]
parts = [memoryview(array[start : start + (20 << 20)]) for start in range(0, len(array), 20 << 20)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
publish(sys.argv[1], [Watched(part, lambda piece: None) for part in parts], durable=sys.argv[2] == "True")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("durable", [True, False])
def test_memory_beyond_the_model(tmp_path: Path, python: Callable[..., Any], durable: bool) -> None:
    """At most 64 MiB, whatever is saved."""
    done = python(MEMORY, tmp_path / "m", durable)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64 << 10
    assert write.THREADS * write.PIECE <= 64 << 20
