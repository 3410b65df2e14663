"""The way of a file, carried out: long buffers by several threads, the rest in as few calls as the system allows.

Strategy: threads take one buffer after the other. Bytes that go around the page cache are written from where they are
when the disk can read them there, and through a staging buffer of the thread's own when not; whoever watches sees them
on the way, while they are in the processor's cache. The first error stops all threads and is the one that is raised.
Files that know no direct writes are found out by asking once, or by the first write that is refused.
"""

import errno
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.storage import system
from holdfast.storage.way import Stretch, Views, Way, shown, way

BATCH: Final[int] = 64 << 20
"""Bytes of one buffered write. Far below the 2 GiB that any system takes, small enough that Ctrl-C is heard at once."""
PIECE: Final[int] = 2 << 20
"""Bytes that a thread stages, shows and writes at a time: they stay in the processor's cache."""
THREADS: Final[int] = 4
"""Writers at most. More gain nothing on any disk that was measured; their staging buffers take 8 MiB together."""
BLOCK: Final[int] = 512
"""Bytes. What a direct write that falls short can go on from."""


def write_file(fd: int, views: Views, complete: Callable[[], object], *, direct: bool) -> None:
    """Write ``views``, one after the other, to the new file ``fd``.

    complete: called when those who watch have seen everything, before any buffer that nobody watches is written, and
    may still change those. direct: whether long buffers may go around the page cache.
    """
    if not system.WRITES_ANYWHERE:
        views = shown(views)
    found = way(views, direct=direct)
    if found.direct and not system.direct(fd, on=True):
        found = way(views, direct=False)
    if found.stretches:
        _write_apart(fd, found)
    complete()
    for run in found.runs:
        system.seek(fd, run.offset)
        write_all(fd, run.views)


def _write_apart(fd: int, way: Way) -> None:
    writing = _Writing(fd, way)
    try:
        writing.run(min(THREADS, len(way.stretches)))
    finally:
        writing.stop()
    if way.direct:
        system.direct(fd, on=False)


def write_all(fd: int, views: Sequence[memoryview]) -> None:
    """Write every byte of ``views`` (flat, none empty), in batches, going on where a short write stopped."""
    most = system.buffers_per_write()
    first, skip = 0, 0  # the view to go on with, and how many of its bytes are written
    while first < len(views):
        try:
            written = system.write(fd, _batch(views, first, skip, most))
        except InterruptedError:
            continue
        if written <= 0:
            raise OSError(errno.EIO, "the disk took no more bytes")
        skip += written
        while first < len(views) and skip >= views[first].nbytes:
            skip -= views[first].nbytes
            first += 1


def _batch(views: Sequence[memoryview], first: int, skip: int, most: int) -> list[memoryview]:
    batch, room = [], BATCH
    for view in views[first : first + most]:
        piece = view[skip : skip + room]
        batch.append(piece)
        room -= piece.nbytes
        if room <= 0:
            break
        skip = 0
    return batch


class _Writing:
    """Stretches on their way, longest first, so that no thread is left with a long one at the end."""

    def __init__(self, fd: int, way: Way) -> None:
        self._fd = fd
        self._left = deque(sorted(way.stretches, key=lambda stretch: -stretch.view.nbytes))
        self._was_direct = self._direct = way.direct
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def run(self, threads: int) -> None:
        """Write everything, on this thread and ``threads`` - 1 others; raises the first error of any of them."""
        for _ in range(threads - 1):
            # Each has a descriptor of its own: should an impatient second Ctrl-C leave it behind, it cannot write into
            # whatever file gets our number next.
            fd = system.duplicate(self._fd)
            worker = threading.Thread(target=self._work, args=(fd,), name="holdfast-write")
            try:
                worker.start()
            except RuntimeError:  # no more threads, or the interpreter is ending: then with those that there are
                system.close(fd)
                break
            self._threads.append(worker)
        self._write_all(self._fd)
        for worker in self._threads:
            worker.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Let no thread begin another piece, and wait until none is at work."""
        self._stopped.set()
        for worker in self._threads:
            worker.join()

    def _work(self, fd: int) -> None:
        try:
            self._write_all(fd)
        except BaseException as error:
            self._error = self._error or error
            self._stopped.set()
        finally:
            system.close(fd)

    def _write_all(self, fd: int) -> None:
        staging = _Staging()
        while self._left and not self._stopped.is_set():
            try:
                stretch = self._left.popleft()
            except IndexError:  # another thread took the last one
                return
            for part in stretch.pieces(PIECE):
                if self._stopped.is_set():
                    return
                self._write(fd, stretch, part, staging)

    def _write(self, fd: int, stretch: Stretch, part: range, staging: "_Staging") -> None:
        piece, own = stretch.view[part.start : part.stop], part.start in stretch.own
        if own and stretch.staged and self._direct:
            piece = staging.hold(piece)
        if stretch.seen is not None:
            stretch.seen(piece)
        if not own:
            return
        try:
            write_at(fd, piece, stretch.offset + part.start)
        except OSError as error:
            if not self._was_direct or error.errno not in system.UNKNOWN:
                raise
            # A file system that took the flag and not the write. From here on all goes through the page cache.
            self._direct = False
            system.direct(fd, on=False)
            write_at(fd, piece, stretch.offset + part.start)


def write_at(fd: int, view: memoryview, offset: int) -> None:
    """Write every byte of ``view`` from ``offset`` of the file on, going on where a short write stopped."""
    done = 0
    while done < view.nbytes:
        written = system.write_at(fd, view[done:], offset + done)
        # Direct writes go on from whole blocks only. A short one precedes an error, or the disk is full.
        written = written if done + written == view.nbytes else written // BLOCK * BLOCK
        if written <= 0:
            raise OSError(errno.EIO, "the disk took no more bytes")
        done += written


class _Staging:
    """Memory of one thread, on a page boundary, used for one piece after the other."""

    def __init__(self) -> None:
        self._memory: memoryview | None = None

    def hold(self, piece: memoryview) -> memoryview:
        """A copy of ``piece``, good until the next one is made. The copying is done outside the interpreter's lock."""
        from numpy import copyto, frombuffer  # here, for `import holdfast` does without NumPy

        if self._memory is None:
            self._memory = memoryview(system.fresh_memory(PIECE))
        copy = self._memory[: piece.nbytes]
        copyto(frombuffer(copy, "u1"), frombuffer(piece, "u1"))
        return copy
