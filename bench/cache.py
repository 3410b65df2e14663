"""A quiet start for every measurement: memory given back, files on the disk, page cache dropped where a row says cold."""

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

from holdfast.storage import system

DROP = Path("/proc/sys/vm/drop_caches")
BLOCK = 1 << 20


def settle(*written: str) -> None:
    """Free what is garbage, give it back to the system, and let the disk finish with ``written`` (files or folders).

    Without malloc_trim the second load of a library that reads into memory would find the pages of its first one
    already there, which no program that loads a model once ever does. Only what we wrote is synced: the rest of the
    machine has work of its own.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
    for path in written:
        sync(path)


def sync(path: str) -> None:
    """Put a file on the disk, or a folder with all that is in it."""
    for each in [*files(path), Path(path)] if os.path.isdir(path) else [Path(path)]:
        descriptor = os.open(each, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def sync_name(path: str) -> None:
    """Put the name of a file or folder on the disk: the folder that it is in."""
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def chill(path: str) -> str:
    """Drop ``path`` (a file or a folder of files) from the page cache; how it was done, or "" if it could not be.

    Its pages must be clean: call ``sync`` before.
    """
    try:
        DROP.write_text("1")
        way = "drop_caches"
    except OSError:
        for file in files(path):
            forget(file)
        way = "fadvise"
    return way if resident(path) < 0.1 else ""


def forget(file: Path) -> None:
    """Drop one file from the page cache, if the system can and nobody has it mapped."""
    if not hasattr(os, "posix_fadvise"):
        return
    with file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm(path: str) -> None:
    """See that ``path`` is in the page cache: a file that is not, or not all of it, is read in from beginning to end.

    What was written around the page cache would otherwise stay out of it for as long as only parts are loaded.
    """
    for file in files(path):
        if resident(str(file)) < 1:
            forget(file)
            with file.open("rb", buffering=0) as opened:
                while opened.read(BLOCK):
                    pass


def resident(path: str) -> float:
    """The share of the file's MiB that begin in the page cache, asked without reading any."""
    found: list[bool] = []
    for file in files(path):
        if size := file.stat().st_size:
            with file.open("rb") as opened:
                mapped = system.private_map(opened.fileno(), size)
            found += system.cached(mapped, range(0, size, BLOCK))
    return sum(found) / len(found) if found else 0.0


def files(path: str) -> Iterator[Path]:
    place = Path(path)
    return (each for each in place.rglob("*") if each.is_file()) if place.is_dir() else iter([place])
