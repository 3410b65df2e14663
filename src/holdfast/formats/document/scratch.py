"""Memory on the disk for arrays that must be made anew while a file is converted.

Strategy: a file without a name beside the target, mapped in pieces. What stands there is in nobody's way: the system
writes it out and takes the memory back when it needs it, and the file is gone when the last array is. Small arrays
share a piece, so that many of them do not use up the maps that a process may have.
"""

import mmap
import os
import tempfile
from types import TracebackType
from typing import Final, Self

import numpy as np

from holdfast.formats.document.arrays import NdArray
from holdfast.formats.file import Path
from holdfast.wire.plan import ALIGNMENT

PIECE: Final = 64 << 20
"""Bytes of one map; a multiple of what systems map at."""


class Scratch:
    """Room for arrays beside the file at ``path``; they outlive the ``with`` block in which they are made.

    >>> import tempfile, os
    >>> with Scratch(os.path.join(tempfile.mkdtemp(), "m.bson")) as room:
    ...     array = room.keep(np.arange(3))
    >>> array
    array([0, 1, 2])
    """

    def __init__(self, path: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path)))  # noqa: SIM115 - lives on
        self._size, self._piece, self._at = 0, memoryview(b""), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NdArray:
        """An array in C order to be filled."""
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        return np.ndarray(shape, dtype, self._room(nbytes) if nbytes else None)

    def keep(self, array: NdArray) -> NdArray:
        """The same array on the disk, in the order in which it lies."""
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            return self.keep(array.T).T
        kept = self.empty(array.shape, array.dtype)
        kept[...] = array
        return kept

    def _room(self, nbytes: int) -> memoryview:
        if self._at + nbytes > len(self._piece):
            size = max(PIECE, -(-nbytes // PIECE) * PIECE)
            os.ftruncate(self._file.fileno(), self._size + size)
            self._piece = memoryview(mmap.mmap(self._file.fileno(), size, offset=self._size))
            self._size, self._at = self._size + size, 0
        start, self._at = self._at, -(-(self._at + nbytes) // ALIGNMENT) * ALIGNMENT
        return self._piece[start : start + nbytes]
