"""The system calls alone: the bytes of a state from and to a file by several threads, past the page cache (O_DIRECT).

No library can be faster than this. The bytes lie in one page-aligned buffer before the clock starts, so that not even a
copy is needed; a library has to collect them.
"""

import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

import numpy as np

from bench.cache import sync_name
from bench.contender import Contender
from bench.states import State

PIECE = 8 << 20
WRITERS = 4
READERS = 8
PAGE = mmap.PAGESIZE

Put = Callable[[int, memoryview, int], None]


def gathered(state: State) -> memoryview:
    """All bytes of a state's tensors in one buffer, filled up to whole pages."""
    parts = [tensor.numpy().reshape(-1).view(np.uint8) for tensor in state.values()]
    size = sum(part.nbytes for part in parts)
    buffer = mmap.mmap(-1, -(-size // PAGE) * PAGE)
    np.concatenate(parts, out=np.frombuffer(buffer, np.uint8)[:size])
    return memoryview(buffer)


def write(path: str, buffer: memoryview, put: Put | None = None) -> None:
    """Durable, as everyone in its row: the file and its folder are synced."""
    put = put or written
    descriptor = opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.posix_fallocate(descriptor, 0, len(buffer))
    in_threads(WRITERS, len(buffer), lambda start, end: put(descriptor, buffer[start:end], start))
    os.fsync(descriptor)
    os.close(descriptor)
    sync_name(path)


def write_staged(path: str, buffer: memoryview) -> None:
    """As ``write``, each piece copied first into its thread's aligned buffer: what unaligned memory needs."""
    mine = local()

    def put(descriptor: int, view: memoryview, offset: int) -> None:
        if not hasattr(mine, "stage"):
            mine.stage = memoryview(mmap.mmap(-1, PIECE))
        np.copyto(np.frombuffer(mine.stage, np.uint8)[: len(view)], np.frombuffer(view, np.uint8))
        written(descriptor, mine.stage[: len(view)], offset)

    write(path, buffer, put)


def read(path: str) -> dict[str, Any]:
    """Into fresh memory."""
    descriptor = opened(path, os.O_RDONLY)
    size = os.fstat(descriptor).st_size
    buffer = memoryview(mmap.mmap(-1, size))
    in_threads(READERS, size, lambda start, end: filled(descriptor, buffer[start:end], start))
    os.close(descriptor)
    return {"bytes": np.frombuffer(buffer, np.uint8)}


def opened(path: str, flags: int) -> int:
    """Past the page cache where the file system knows how."""
    try:
        return os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o666)
    except OSError:
        return os.open(path, flags, 0o666)


def in_threads(threads: int, size: int, work: Callable[[int, int], None]) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, start, end) for start, end in pieces(size)]:
            done.result()


def pieces(size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + PIECE, size)) for start in range(0, size, PIECE))


def written(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def filled(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.preadv(descriptor, [view], offset)
        if count == 0:
            raise EOFError(f"the file ends at byte {offset:,}")
        view, offset = view[count:], offset + count


def same(loaded: dict[str, Any], state: State) -> bool:
    return np.array_equal(np.frombuffer(gathered(state), np.uint8), loaded["bytes"])


raw = Contender("raw", write, read, prepare=gathered, same=same)
raw_staged = Contender("raw, staged", write_staged, read, prepare=gathered, same=same)
