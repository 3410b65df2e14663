"""Faults: every system call of a save fails once, in every way that matters, and the file stays the old one or the new.

Strategy: a good save is counted first. Then the same save runs once for each call and each fault, with that one call
failing. Afterwards the target is whole, the error tells the truth about it, and the next save leaves nothing behind.
"""

import contextlib
import errno
import fcntl
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import DurabilityError
from holdfast.storage import system
from holdfast.storage.local import publish

OLD = b"old" * 1000
NEW = [b"new" * 500, bytes(3000), b"end"]
WHOLE = b"".join(NEW)

CALLS = [
    (os, name)
    for name in (
        *("lstat", "readlink", "stat", "open", "listdir", "fpathconf", "fstat", "posix_fallocate", "writev"),
        *("fchown", "fchmod", "fsync", "replace", "link", "unlink", "close"),
    )
] + [(fcntl, "flock")]

CLOSE = os.close

# A save may go on without these: they look around, tidy up, or guard what is only a convenience.
SPARED = {"lstat", "listdir", "fpathconf", "unlink", "close", "flock"}


class Faults:
    """Calls made while it is active, in order; the one with number ``at`` raises ``fault``, done or not done."""

    def __init__(self, at: int = -1, fault: BaseException | None = None, *, done: bool = False) -> None:
        self.at, self.fault, self.done = at, fault, done
        self.calls: list[str] = []

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) - 1 != self.at or self.fault is None:
                return call(*arguments, **options)
            if self.done or name == "close":  # a close that reports an error has closed
                with contextlib.suppress(OSError):
                    result = call(*arguments, **options)
                    if name == "open":
                        CLOSE(result)
            raise self.fault

        return wrapped

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for module, name in CALLS:
                patch.setattr(module, name, self.wrap(name, getattr(module, name)))
            yield


def new_file(folder: Path) -> Path:
    return folder / "m"


def old_file(folder: Path) -> Path:
    (folder / "m").write_bytes(OLD)
    return folder / "m"


def old_file_through_a_link(folder: Path) -> Path:
    (folder / "link").symlink_to(old_file(folder).name)
    return folder / "link"


def old_file_and_litter(folder: Path) -> Path:
    (folder / f".m.holdfast-{system.boot()}-0123456789abcdef.tmp").write_bytes(b"litter")
    return old_file(folder)


SCENES = {
    "new": (new_file, {}),
    "new, exclusive": (new_file, {"exclusive": True}),
    "old": (old_file, {}),
    "old, not durable": (old_file, {"durable": False}),
    "link": (old_file_through_a_link, {}),
    "litter": (old_file_and_litter, {}),
}

ERRNOS = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ESTALE]
FAULTS: dict[str, Callable[[], BaseException]] = {
    **{errno.errorcode[number]: lambda number=number: OSError(number, os.strerror(number)) for number in ERRNOS},
    "Ctrl-C": KeyboardInterrupt,
    "no memory": MemoryError,
}


def drafts(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if "holdfast" in name]


def outcome(path: Path, faults: Faults, options: dict[str, bool]) -> tuple[BaseException | None, bytes | None]:
    """The error that a save ended with, and the content afterwards."""
    error: BaseException | None = None
    with faults.active():
        try:
            publish(path, NEW, **options)
        except BaseException as caught:
            error = caught
    return error, path.read_bytes() if path.exists() else None


@pytest.mark.parametrize(("scene", "options"), SCENES.values(), ids=SCENES)
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_call_fails_once(
    tmp_path: Path,
    scene: Callable[[Path], Path],
    options: dict[str, bool],
    fault: Callable[[], BaseException],
    done: bool,
) -> None:
    system.boot()
    clean = Faults()
    (tmp_path / "clean").mkdir()
    assert outcome(scene(tmp_path / "clean"), clean, options) == (None, WHOLE)
    assert len(clean.calls) > 15
    for at, call in enumerate(clean.calls):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = scene(folder)
        before = path.read_bytes() if path.exists() else None
        error, after = outcome(path, Faults(at, fault(), done=done), options)
        where = f"{call}, call {at} of {clean.calls}"
        if error is None:
            assert after == WHOLE, where
            assert call in SPARED or scene is old_file_and_litter or (done and call in ("replace", "link")), where
        elif isinstance(error, DurabilityError):
            assert after == WHOLE, where
            assert call == "fsync", where
            assert error.filename == str(folder / "m")
        elif isinstance(error, OSError):
            assert after == before, where
            assert error.filename == str(path), where
            assert isinstance(fault(), OSError), where
        else:
            assert after in (before, WHOLE), where
        if call != "unlink":
            leftover = [name for name in drafts(folder) if "0123456789abcdef" not in name]
            assert leftover == [], where
        del error
        publish(path, [b"next"])
        assert drafts(folder) == [], where
        assert path.read_bytes() == b"next"


@pytest.mark.parametrize("name", ["fsync", "posix_fallocate"])
@pytest.mark.parametrize("number", sorted(system.UNKNOWN))
def test_calls_that_a_file_system_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """Without fallocate, or without fsync of folders, a save works. Without fsync of files it does not."""
    path = old_file(tmp_path)
    call = getattr(os, name)

    def unknown(fd: int, *arguments: int) -> None:
        if name == "fsync" and os.path.isfile(f"/proc/self/fd/{fd}"):
            call(fd)
            return
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, unknown)
    publish(path, NEW)
    assert path.read_bytes() == WHOLE


def test_file_that_cannot_be_synced_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second fsync of the same file would return in peace with the data lost, so there is none."""
    path, calls, fsync = old_file(tmp_path), [], os.fsync

    def once(fd: int) -> None:
        calls.append(os.readlink(f"/proc/self/fd/{fd}"))
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", once)
    with pytest.raises(OSError, match="4,503 bytes were not saved, and what was there before is unchanged") as caught:
        publish(path, NEW)
    assert caught.value.errno == errno.EIO
    assert len(calls) == 1
    assert "holdfast" in calls[0]
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["m"]


def test_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fsync, calls = old_file(tmp_path), os.fsync, []

    def second_fails(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(DurabilityError, match=r"in place and whole.*power cut may bring back") as caught:
        publish(path, NEW)
    assert isinstance(caught.value, OSError)
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))
    assert len(calls) == 2
    assert path.read_bytes() == WHOLE


def test_link_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for the file itself: what is wrong is the disk, and that is said."""
    link = old_file_through_a_link(tmp_path)
    readlink = os.readlink

    def broken(path: str, **options: Any) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "readlink", broken)
    with pytest.raises(OSError, match="what was there before is unchanged") as caught:
        publish(link, NEW)
    assert caught.value.errno == errno.EIO
    monkeypatch.setattr(os, "readlink", readlink)
    assert link.is_symlink()
    assert link.read_bytes() == OLD


# Writes that fall short


@pytest.mark.parametrize("most", [1, 7, 1000, 1499, 1500, 1501, 4499])
def test_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    writev = os.writev

    def short(fd: int, batch: list[memoryview]) -> int:
        return writev(fd, [b"".join(batch)[:most]])

    monkeypatch.setattr(os, "writev", short)
    publish(tmp_path / "m", NEW, durable=False)
    assert (tmp_path / "m").read_bytes() == WHOLE


def test_interrupted_and_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writev, calls = os.writev, 0

    def troubled(fd: int, batch: list[memoryview]) -> int:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise InterruptedError(errno.EINTR, "Interrupted system call")
        return writev(fd, [batch[0][:100]])

    monkeypatch.setattr(os, "writev", troubled)
    publish(tmp_path / "m", NEW)
    assert (tmp_path / "m").read_bytes() == WHOLE
    assert calls == 2 * (15 + 30 + 1)


def test_disk_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(tmp_path)
    monkeypatch.setattr(os, "writev", lambda fd, batch: 0)
    with pytest.raises(OSError, match="took no more bytes"):
        publish(path, NEW)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["m"]


# Disks that are really full


@pytest.mark.parametrize("reserved", [True, False], ids=["reserved first", "without fallocate"])
def test_limit_on_the_size_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserved: bool) -> None:
    path = old_file(tmp_path)
    if not reserved:
        monkeypatch.delattr(os, "posix_fallocate")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(OSError, match="no file may grow that large here") as caught:
            publish(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["m"]


FULL = """
import os, subprocess, sys
from holdfast.storage.local import publish
folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
path = os.path.join(folder, "m")
publish(path, [b"old"])
if sys.argv[2] == "False":
    del os.posix_fallocate
for size in range(512, 2560, 64):
    try:
        publish(path, [bytes(size << 10)])
    except OSError as error:
        assert error.errno == 28, error
        assert os.listdir(folder) == ["m"]
        print(size, os.path.getsize(path))
"""


@pytest.mark.parametrize("reserved", [True, False], ids=["reserved first", "without fallocate"])
def test_full_disk(tmp_path: Path, mounting, reserved: bool) -> None:
    done = mounting(FULL, tmp_path, reserved)
    assert done.returncode == 0, done.stderr
    rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(rows) > 20  # the new file stands beside the old one, so little more than half of the disk can be used
    assert all(kept < size << 10 for size, kept in rows)


# Ctrl-C at any moment


def test_alarm_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes(1 << 20))

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for turn in range(150):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 * (turn + 1))
                publish(path, [bytes([turn + 1]) * (1 << 19)] * 2, durable=False)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            data = path.read_bytes()
            assert data == data[:1] * (1 << 20)
            assert os.listdir(tmp_path) == ["m"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 5
