"""What operating systems do differently, in one place.

Rule: everything above asks here and never looks at the platform. On Linux each function is the call that its name says;
where a call does not exist, the function does the next best thing or nothing, and says which.
"""

import contextlib
import errno
import functools
import importlib
import mmap
import os
import sys
from collections.abc import Sequence
from typing import Any, Final


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl: Any = _optional("fcntl")  # not on Windows

HAS_OPEN_FOLDERS: bool = hasattr(os, "O_DIRECTORY") and os.open in os.supports_dir_fd
RENAMES_OPEN_FILES: bool = sys.platform != "win32"
WRITES_ANYWHERE: bool = hasattr(os, "pwrite")
READS_ANYWHERE: bool = hasattr(os, "preadv")

_PAGE_OUT: Final = 21
"""Linux's MADV_PAGEOUT, for which Python has no name (uapi/asm-generic/mman-common.h)."""

READ: Final[int] = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
READ_NO_LINK: Final[int] = READ | getattr(os, "O_NOFOLLOW", 0)
FOLDER: Final[int] = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_DIRECTORY", 0)
CREATE: Final[int] = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

# "This file system does not know the call", as opposed to "the call failed".
UNKNOWN: Final[frozenset[int]] = frozenset(
    getattr(errno, name) for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP") if hasattr(errno, name)
)

# Linux refuses a private writable map larger than memory unless it is told to reserve nothing. Python names the flag
# from 3.13 on; the number is that of every Linux architecture that PyTorch runs on, bar POWER.
_LINUX: Final[bool] = sys.platform == "linux" and os.uname().machine in ("x86_64", "aarch64", "riscv64", "s390x")
_NO_RESERVE: Final[int] = getattr(mmap, "MAP_NORESERVE", 0x4000 if _LINUX else 0)

UNKNOWN_BOOT: Final[str] = "00000000"


def buffers_per_write() -> int:
    """How many buffers one ``writev`` takes (IOV_MAX)."""
    try:
        limit = os.sysconf("SC_IOV_MAX")
    except (AttributeError, ValueError, OSError):
        return 16  # the least that POSIX allows
    return limit if limit > 0 else 1024


def write(fd: int, batch: Sequence[memoryview]) -> int:
    """Write a batch in one call; the count may fall short. Without ``writev``: the first buffer alone."""
    return os.writev(fd, batch) if hasattr(os, "writev") else os.write(fd, batch[0])


def write_at(fd: int, view: memoryview, offset: int) -> int:
    """Write at ``offset``, wherever other threads are writing; the count may fall short. See ``WRITES_ANYWHERE``."""
    return os.pwrite(fd, view, offset)


def seek(fd: int, offset: int) -> None:
    """Let the next ``write`` begin at ``offset``."""
    os.lseek(fd, offset, os.SEEK_SET)


def read_at(fd: int, view: memoryview, offset: int) -> int:
    """Read from ``offset`` on, whatever other threads read; the count may fall short. See ``READS_ANYWHERE``."""
    if READS_ANYWHERE:
        return os.preadv(fd, [view], offset)
    os.lseek(fd, offset, os.SEEK_SET)
    data = os.read(fd, view.nbytes)
    view[: len(data)] = data
    return len(data)


def cached(memory: mmap.mmap, offsets: Sequence[int]) -> list[bool]:
    """Whether the byte of a mapped file at each offset is in the page cache; True where there is no telling.

    Asks ``mincore``, which reads nothing: a read that may not wait (RWF_NOWAIT) starts one, and the page that it brings
    breaks up what a later reader of the whole file gets in one part.
    """
    ask = _mincore()
    if ask is None:
        return [True] * len(offsets)
    from ctypes import addressof, c_char

    first, answer = c_char.from_buffer(memory), (c_char * 1)()
    start = addressof(first)

    def is_there(offset: int) -> bool:
        return bool(ask(start + offset - offset % mmap.PAGESIZE, 1, answer)) or answer.raw[0] & 1 == 1

    return [is_there(offset) for offset in offsets]


def page_out(memory: mmap.mmap) -> None:
    """Give back the pages of a mapped file that are in memory; what was changed in them stays. Where the system knows how."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # before 5.4, or a file of somebody else's
            memory.madvise(_PAGE_OUT)


@functools.cache
def _mincore() -> Any:
    try:
        from ctypes import CDLL, c_size_t, c_void_p

        ask = CDLL(None).mincore
    except (ImportError, OSError, TypeError, AttributeError):
        return None
    ask.argtypes = (c_void_p, c_size_t, c_void_p)
    return ask


def direct(fd: int, *, on: bool) -> bool:
    """Let reads and writes of ``fd`` and its duplicates go around the page cache from now on, or no longer.

    False where that cannot be had: on systems other than Linux, and on some network file systems.
    """
    flag = getattr(os, "O_DIRECT", 0)
    if fcntl is None or not flag:
        return False
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | flag if on else flags & ~flag)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
        return False
    return True


def duplicate(fd: int) -> int:
    """Another descriptor of the same open file, with its locks and flags."""
    return os.dup(fd)


def reserve(fd: int, size: int) -> None:
    """Reserve ``size`` bytes, so that a full disk is known before anything is written. Skipped where unknown."""
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise


def sync(fd: int) -> None:
    """Put a file on the disk itself. macOS has its own call for that: its ``fsync`` stops at the drive's cache."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
        return
    try:
        fcntl.fcntl(fd, full)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
        os.fsync(fd)


def close(fd: int) -> None:
    """Let go of a file. Errors are not news: what matters was synced before, and the number is free in any case."""
    with contextlib.suppress(OSError):
        os.close(fd)


def try_lock(fd: int, *, shared: bool) -> bool:
    """Take the lock of an open file without waiting: True when it is ours. Raises OSError where there are no locks."""
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "this system has no file locks")
    try:
        fcntl.flock(fd, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
    except BlockingIOError:
        return False
    return True


def private_map(fd: int, size: int) -> mmap.mmap:
    """Map a file copy-on-write: the pages can be written, the file never changes."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(fd, size, access=mmap.ACCESS_COPY)
    return mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE | _NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def fresh_memory(size: int) -> mmap.mmap:
    """``size`` zero bytes on a page boundary, writable, and not shared with processes forked later."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


@functools.cache
def boot() -> str:
    """Eight hex digits for this run of the kernel, the same in all its containers; zeros where there is no telling."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(8)
    except OSError:
        return UNKNOWN_BOOT
