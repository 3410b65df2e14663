"""A quiet start for every measurement: memory given back, disk idle, page cache dropped where a row says cold."""

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")
BLOCK = 1 << 20


def settle() -> None:
    """Free what is garbage, give it back to the system, and let the disk finish what the last save left.

    Without malloc_trim the second load of a library that reads into memory would find the pages of its first one
    already there, which no program that loads a model once ever does.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
    if hasattr(os, "sync"):
        os.sync()


def chill(path: str) -> str:
    """Drop ``path`` (a file or a folder of files) from the page cache; how it was done, or "" if it could not be.

    Its pages must be clean: call ``settle`` before.
    """
    try:
        DROP.write_text("1")
        way = "drop_caches"
    except OSError:
        if not hasattr(os, "posix_fadvise"):
            return ""
        for file in files(path):
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        way = "fadvise"
    return way if resident(path) < 0.1 else ""


def resident(path: str) -> float:
    """The share of the file's MiB that begin in the page cache, asked without reading any (RWF_NOWAIT)."""
    asked = found = 0
    for file in files(path):
        with file.open("rb", buffering=0) as opened:
            for offset in range(0, file.stat().st_size, BLOCK):
                asked += 1
                found += _cached(opened.fileno(), offset)
    return found / asked if asked else 0.0


def _cached(descriptor: int, offset: int) -> bool:
    try:
        return os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    except (OSError, AttributeError):  # a file system or a system that does not know the question
        return False


def files(path: str) -> Iterator[Path]:
    place = Path(path)
    return (each for each in place.rglob("*") if each.is_file()) if place.is_dir() else iter([place])
