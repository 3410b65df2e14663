"""The way of a file, carried out: long buffers by several threads, the rest in as few calls as the system allows.

Strategy: threads take one buffer after the other. Bytes that go around the page cache are written from where they are
when the disk can read them there, and through a staging buffer of the thread's own when not; whoever watches sees them
on the way, while they are in the processor's cache. File systems that know no direct writes are found out by asking
once, or by the first write that is refused.
"""

import errno
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from holdfast.collector import held
from holdfast.storage import system
from holdfast.storage.share import Shared
from holdfast.storage.way import Stretch, Views, shown, way

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
    with held():
        found = way(views, direct=direct)
    if found.direct and not system.direct(fd, on=True):
        found = way(views, direct=False)
    cache = _Cache(direct=found.direct)
    _write_apart(fd, [stretch for stretch in found.stretches if stretch.seen is not None], cache)
    complete()
    _write_apart(fd, [stretch for stretch in found.stretches if stretch.seen is None], cache)
    if found.direct:
        system.direct(fd, on=False)
    for run in found.runs:
        system.seek(fd, run.offset)
        write_all(fd, run.views)


def _write_apart(fd: int, stretches: Sequence[Stretch], cache: "_Cache") -> None:
    """Write the stretches, longest first, so that no thread is left with a long one at the end."""
    if not stretches:
        return
    longest_first = sorted(stretches, key=lambda stretch: -stretch.view.nbytes)
    Shared(fd, longest_first, lambda fd, stop: _Writer(fd, stop, cache)).run(THREADS)


def write_all(fd: int, views: Sequence[memoryview]) -> None:
    """Write every byte of ``views`` (flat, none empty), in batches, going on where a short write stopped."""
    most, starts, done = system.buffers_per_write(), list(accumulate(map(len, views), initial=0)), 0
    while done < starts[-1]:
        try:
            written = system.write(fd, _batch(views, starts, done, most))
        except InterruptedError:
            continue
        if written <= 0:
            raise OSError(errno.EIO, "the disk took no more bytes")
        done += written


def _batch(views: Sequence[memoryview], starts: Sequence[int], done: int, most: int) -> list[memoryview]:
    """What to write when ``done`` bytes are written: at most ``BATCH`` bytes in at most ``most`` pieces."""
    first = bisect_right(starts, done) - 1
    batch = list(views[first : min(first + most, bisect_left(starts, done + BATCH))])
    last = first + len(batch) - 1
    batch[-1] = batch[-1][: done + BATCH - starts[last]]
    batch[0] = batch[0][done - starts[first] :]
    return batch


@dataclass(slots=True)
class _Cache:
    """What all writers of a file know of its page cache: whether they go around it still."""

    direct: bool


class _Writer:
    """One thread's way to write stretches, with a staging buffer of its own."""

    def __init__(self, fd: int, stop: threading.Event, cache: _Cache) -> None:
        self._fd, self._stop, self._cache = fd, stop, cache
        self._staging = _Staging()

    def __call__(self, stretch: Stretch) -> None:
        for part in stretch.pieces(PIECE):
            if self._stop.is_set():
                return
            own = part.start in stretch.own
            piece = stretch.view[part.start : part.stop]
            if own and stretch.staged and self._cache.direct:
                piece = self._staging.hold(piece)
            if stretch.seen is not None:
                stretch.seen(piece)
            if own:
                self._write(piece, stretch.offset + part.start)

    def _write(self, piece: memoryview, offset: int) -> None:
        try:
            write_at(self._fd, piece, offset)
        except OSError as error:
            # A file system that took the flag and not the write: from here on all goes through the page cache. The
            # flag is the file's, so what another thread is writing at this moment ends well, or comes here too.
            if error.errno not in system.UNKNOWN or not system.direct(self._fd, on=False):
                raise
            self._cache.direct = False
            write_at(self._fd, piece, offset)


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
