"""Memory for copies of a state, used again and again.

Strategy: fresh pages cost ten times the copy into them, so memory that was used once is kept for the next snapshot. It
is anonymous memory that processes share: when data loader workers are forked, writing to it afterwards copies no page.
"""

import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from mmap import mmap
from typing import Final

import numpy as np

GRAIN: Final = 2 << 20
"""Bytes that memory is taken in: a state that grows a little finds room."""
SMALL: Final = 64 << 10
"""Bytes below which NumPy takes longer to begin than to copy."""
PIECE: Final = 8 << 20
"""Bytes that one thread copies at a time."""
WORTH_A_THREAD: Final = 32 << 20
"""Bytes below which one thread copies alone."""
SPARE: Final = 2
"""Pieces of memory that are kept: for the snapshot that is being written, and for the one that waits."""

Pair = tuple[memoryview, memoryview]
"""Where bytes go, where they come from: of one length, both flat."""


class Staging:
    """Pieces of memory that snapshots borrow.

    >>> staging = Staging()
    >>> memory = staging.borrow(10)
    >>> staging.give_back(memory)
    >>> staging.borrow(20) is memory
    True
    """

    def __init__(self) -> None:
        # No lock: memory may come back in a finaliser, which can run inside any line of ours. A deque needs none.
        self._spare: deque[mmap] = deque()
        self._process = os.getpid()

    def borrow(self, size: int) -> mmap:
        """Memory of ``size`` bytes or more, on a page boundary; what it holds is anything."""
        found: list[mmap] = []
        while self._spare and self._process == os.getpid():
            try:
                found.append(self._spare.popleft())
            except IndexError:
                break
        fitting = sorted((memory for memory in found if len(memory) >= size), key=len)
        self._spare.extend(fitting[1:])
        return fitting[0] if fitting else mmap(-1, max(1, -(-size // GRAIN)) * GRAIN)

    def give_back(self, memory: mmap) -> None:
        """Keep ``memory`` for the next one; nobody may use it any more."""
        if len(self._spare) < SPARE and self._process == os.getpid():
            self._spare.append(memory)


def copy(pairs: Iterable[Pair]) -> None:
    """Copy bytes, outside the interpreter's lock, with a second thread where there are many."""
    pieces = deque(piece for pair in pairs for piece in pieces_of(pair))
    if sum(target.nbytes for target, _ in pieces) < WORTH_A_THREAD:
        _copy_all(pieces)
        return
    second = threading.Thread(target=_copy_all, args=(pieces,), name="holdfast-copy")
    try:
        second.start()
    except RuntimeError:
        _copy_all(pieces)
        return
    try:
        _copy_all(pieces)
    finally:
        second.join()


def pieces_of(pair: Pair) -> Sequence[Pair]:
    """A pair in parts of ``PIECE`` bytes at most."""
    target, source = pair
    if target.nbytes <= PIECE:
        return [pair]
    return [(target[start : start + PIECE], source[start : start + PIECE]) for start in range(0, target.nbytes, PIECE)]


def copy_one(target: memoryview, source: memoryview) -> None:
    """Copy the bytes of ``source``; outside the interpreter's lock when they are many."""
    if target.nbytes < SMALL:
        target[:] = source
        return
    np.copyto(np.frombuffer(target, np.uint8), np.frombuffer(source, np.uint8))


def _copy_all(pieces: deque[Pair]) -> None:
    while pieces:
        try:
            target, source = pieces.popleft()
        except IndexError:
            return
        copy_one(target, source)
