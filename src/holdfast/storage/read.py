"""The bytes of a file, mapped or in memory.

Strategy: look before opening, because opening a pipe waits and opening a device can do anything; look again at what was
opened, because the path may have changed in between.
"""

import errno
import io
import math
import mmap
import os
import threading
import weakref
from dataclasses import dataclass
from typing import Final

from holdfast.errors import FormatError, LimitError
from holdfast.storage import system
from holdfast.storage.folder import kind_of
from holdfast.storage.share import Shared
from holdfast.storage.way import GRAIN, MUCH

PIECE: Final = 8 << 20
"""Bytes that a thread reads at a time."""
THREADS: Final = 4
"""Readers at most: enough to keep a disk busy, and to copy from the page cache as fast as the memory allows."""
GLANCE: Final = 2 * GRAIN
"""Bytes between two long arrays that are looked at in one go: what stands there is padding up to a page, mostly."""
LOOKS: Final = 16
"""Places at which a file is looked for in the page cache."""
GOLDEN: Final = (1 + math.sqrt(5)) / 2


@dataclass(frozen=True, slots=True)
class Mapped:
    """The bytes of a file, ready to read.

    ``data`` has ``find`` and the buffer protocol. It starts on a page boundary and can be written, which never
    changes the file. It is closed when nothing refers to it any more. ``size`` is in bytes. ``cold`` is there when
    the file is long and mapped, and much of it was not in the page cache when it was opened.
    """

    data: mmap.mmap | bytes
    size: int
    path: str
    cold: "Cold | None" = None


class Cold:
    """A mapped file that is on the disk and not in memory: kept open, so that places can be read before they are touched.

    Touching the map where nothing is cached makes the system read up to some mebibytes around: a waste for who skips from
    array to array. For who reads on, calls keep the disk busier, and a disk that fails is an error and not SIGBUS.
    """

    def __init__(self, fd: int, memory: mmap.mmap) -> None:
        self._fd, self._memory = system.duplicate(fd), memory
        self._scratch = threading.local()
        weakref.finalize(self, system.close, self._fd)

    def glance(self, offset: int) -> None:
        """Bring the next few bytes from ``offset`` on into memory, and no more than their pages."""
        self.bring(offset, offset + GLANCE)

    def expect(self, size: int) -> bool:
        """Say that ``size`` bytes are going to be brought, all in all. Whether it is worth while: whether most of the file
        is still on the disk (short arrays come in with the heads between them).

        When most of it is wanted, the few pages that are there are given back first, those glanced at among them: around
        them the system would keep what it reads in small parts, and every later load would take longer.
        """
        cold = _is_cold(self._memory)
        if cold and size > len(self._memory) // 2:
            system.page_out(self._memory)
        return cold

    def bring(self, start: int, stop: int) -> None:
        """Bring the bytes from ``start`` to ``stop`` into memory; threads may do so at a time."""
        room = vars(self._scratch).get("room", b"")
        if len(room) < stop - start:
            room = self._scratch.room = bytearray(stop - start)
        system.read_at(self._fd, memoryview(room)[: stop - start], start)


def open_bytes(path: str | os.PathLike[str], *, mmap: bool = True) -> Mapped:
    """Open a regular file for reading.

    With ``mmap`` the file is mapped, private and copy on write: nothing is read until it is used, and the file may be
    replaced or removed meanwhile. Only cutting it short in place is fatal to a process that reads on (SIGBUS), so
    ``mmap=False`` reads the whole file into memory, for folders where somebody may do that.

    Raises FileNotFoundError and other OSErrors as ``open`` does, and FormatError for what is not a regular file.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "m.bson")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(b"five bytes or so")
    ...     opened = open_bytes(path)
    >>> opened.size, opened.data[:4]
    (16, b'five')
    """
    path = os.fspath(path)
    _check(os.stat(path), path)
    with open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, system.READ)) as file:
        info = os.fstat(file.fileno())
        _check(info, path)
        size = info.st_size
        if not size:
            return Mapped(b"", 0, path)
        if not mmap:
            return Mapped(_read(file, size, path), size, path)
        memory = _map(file, size, path)
        return Mapped(memory, size, path, Cold(file.fileno(), memory) if size >= MUCH and _is_cold(memory) else None)


def _check(info: os.stat_result, path: str) -> None:
    if kind := kind_of(info):
        raise FormatError(f"{path!r} is {kind}, not a file with bytes to load; give the path of a regular file")


def _map(file: io.FileIO, size: int, path: str) -> mmap.mmap:
    try:
        return system.private_map(file.fileno(), size)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise LimitError(f"{path!r} has {size:,} bytes, more than this process can map") from None
        if error.errno != errno.ENODEV:
            raise
        return _read(file, size, path)  # a file system that cannot map
    except ValueError:
        raise _shrunk(path, size) from None


def _read(file: io.FileIO, size: int, path: str) -> mmap.mmap:
    """Read the file into fresh memory, long ones by several threads; what is not in the page cache, around it."""
    try:
        memory = system.fresh_memory(size)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise LimitError(
            f"{path!r} has {size:,} bytes, more than there is memory for; load it with mmap=True"
        ) from None
    with memoryview(memory) as view:
        fd = file.fileno()
        whole = size - size % GRAIN if size >= MUCH and _is_cold_file(fd, size) and system.direct(fd, on=True) else 0
        _read_pieces(fd, view[:whole], path)
        if whole:
            system.direct(fd, on=False)
        _read_pieces(fd, view[whole:], path, whole)
    return memory


def _read_pieces(fd: int, view: memoryview, path: str, first: int = 0) -> None:
    """Fill ``view`` with the bytes from ``first`` of the file on."""
    pieces = range(0, view.nbytes, PIECE)

    def read(fd: int, start: int) -> None:
        piece, done = view[start : start + PIECE], 0
        while done < piece.nbytes:
            count = _read_at(fd, piece[done:], first + start + done)
            if not count:
                raise _shrunk(path, first + view.nbytes)
            done += count

    if system.READS_ANYWHERE:
        Shared(fd, pieces, lambda fd, _: lambda start: read(fd, start)).run(THREADS)
    else:
        for start in pieces:
            read(fd, start)


def _read_at(fd: int, view: memoryview, offset: int) -> int:
    try:
        return system.read_at(fd, view, offset)
    except OSError as error:
        # Direct reads want whole blocks, which a file that became shorter does not have, and may not be known at all.
        if error.errno not in system.UNKNOWN or not system.direct(fd, on=False):
            raise
        return system.read_at(fd, view, offset)


def _is_cold_file(fd: int, size: int) -> bool:
    try:
        return _is_cold(system.private_map(fd, size))
    except (OSError, ValueError):
        return False  # a file system that cannot map keeps no pages either, or the file became shorter


def _is_cold(memory: mmap.mmap) -> bool:
    """Whether most of a mapped file is not in the page cache, as far as a few looks tell.

    They keep no regular distance (multiples of the golden ratio, without their whole part): arrays that are alike do, and
    a save leaves the heads before them in the cache, and nothing else.
    """
    looks = system.cached(memory, [int(len(memory) * (index * GOLDEN % 1)) for index in range(LOOKS)])
    return looks.count(False) > LOOKS // 2


def _shrunk(path: str, size: int) -> FormatError:
    return FormatError(
        f"{path!r} became shorter than its {size:,} bytes while it was opened; load it again when it is whole"
    )
