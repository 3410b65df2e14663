"""HDF5's filters, undone: what JLD2 and HDF5 files compress their arrays with.

Strategy: the shape says how many bytes there must be before any is unpacked. Unpacking stops one byte after that, so a
file cannot ask for more memory than it declares, and what it may declare is bounded by what it holds.
"""

import bz2
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from holdfast.errors import ChecksumError, FormatError, LimitError, MissingError

MAX_GROWTH: Final = 100
"""How many times its size in the file an array may be; weights shrink to a half, masks of zeros to a hundredth."""
FREE_GROWTH: Final = 64 << 20
"""Bytes up to which any growth of one array is fine."""
FREE_TOGETHER: Final = 1 << 30
"""Bytes up to which any growth of all arrays of a file is fine, as in the archives of NumPy."""

Data = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Filter:
    """One step that the writer put the data through: HDF5's number of it, and its settings."""

    number: int
    values: tuple[int, ...] = ()


class Growth:
    """What the arrays of one file of ``size`` bytes may be unpacked to: each by itself, and all together."""

    def __init__(self, size: int) -> None:
        self.left = max(FREE_TOGETHER, MAX_GROWTH * size)

    def check(self, length: int, held: int) -> None:
        """Raises LimitError for an array of ``length`` bytes that is said to come out of ``held``, where that is too much
        for one, or with those before it."""
        if length > FREE_GROWTH and length > MAX_GROWTH * held:
            raise LimitError(
                f"an array of {length:,} bytes is said to be unpacked from {held:,}; more than {MAX_GROWTH} times is "
                "refused. If the file is honest, save it without compression"
            )
        self.left -= length
        if self.left < 0:
            raise LimitError(
                f"the arrays of the file are unpacked to more than {FREE_TOGETHER:,} bytes and {MAX_GROWTH} times the file. "
                "If it is honest, save it without compression"
            )


def unpacked(data: Data, filters: Sequence[Filter], length: int) -> Data:
    """``data`` with its filters undone, the last first: ``length`` bytes.

    Raises FormatError for data that does not unpack to that or is packed by an unknown filter, ChecksumError where a
    filter's checksum does not match, MissingError for a compression that needs a package.
    """
    for step in reversed(filters):
        undo = FILTERS.get(step.number)
        if undo is None:
            raise FormatError(
                f"an array is packed by HDF5's filter {step.number}; read are deflate, shuffle, Fletcher32, bzip2 and "
                "Zstandard"
            )
        data = undo(data, step, length + CHECKSUM)
    if len(data) != length:
        raise FormatError(f"an array of {length:,} bytes unpacks to {len(data):,}")
    return data


CHECKSUM: Final = 4
"""Bytes that Fletcher32 adds."""


def _damaged(error: Exception) -> FormatError:
    return FormatError(f"a compressed array is damaged: {error}")


def _deflate(data: Data, step: Filter, length: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, length + 1)
    except zlib.error as error:
        raise _damaged(error) from None
    return _ended(found, stream, length)


def _bzip2(data: Data, step: Filter, length: int) -> bytes:
    stream = bz2.BZ2Decompressor()
    try:
        found = stream.decompress(data, length + 1)
    except (OSError, ValueError) as error:
        raise _damaged(error) from None
    return _ended(found, stream, length)


def _ended(found: bytes, stream: Any, length: int) -> bytes:
    """What was unpacked, unless the end is missing: the stream's own checksum stands there."""
    if len(found) <= length and not stream.eof:
        raise FormatError("a compressed array is damaged: it was cut off")
    return found


def _zstd(data: Data, step: Filter, length: int) -> bytes:
    if find_spec("zstandard") is None:
        raise MissingError("an array that was compressed by Zstandard", "zstandard")
    zstandard: Any = import_module("zstandard")
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            found: bytes = reader.read(length + 1)
    except zstandard.ZstdError as error:
        raise _damaged(error) from None
    return found


def _shuffle(data: Data, step: Filter, length: int) -> bytes:
    """Bytes that stood sorted by their place in the element, back in the elements; what is left over stands last."""
    width = step.values[0] if step.values else 0
    if not 0 < width <= max(len(data), 1):
        raise FormatError(f"an array of {len(data):,} bytes is shuffled by {width}")
    whole = len(data) // width * width
    return np.frombuffer(data, np.uint8, whole).reshape(width, -1).T.tobytes() + bytes(data[whole:])


def _fletcher(data: Data, step: Filter, length: int) -> memoryview:
    """The data before its checksum."""
    view = memoryview(data)
    body, said = view[:-CHECKSUM], int.from_bytes(view[-CHECKSUM:], "little")
    if said != fletcher32(body):
        raise ChecksumError("a part of an array is damaged (its checksum does not match)")
    return body


def fletcher32(data: Data) -> int:
    """HDF5's Fletcher32 of ``data``: sums of 16-bit words, highest byte first.

    Source: HDF5, src/H5checksum.c, ``H5_checksum_fletcher32``.

    >>> hex(fletcher32(b"\\1\\2\\3"))
    '0x5040402'
    """
    raw = bytes(data)
    words = np.frombuffer(raw + bytes(len(raw) % 2), ">u2").astype(np.uint64)
    first = second = 0
    for start in range(0, len(words), BLOCK):
        part = words[start : start + BLOCK]
        places = np.arange(len(part), 0, -1, dtype=np.uint64)
        second = (second + len(part) * first + int((part * places).sum())) % 65535
        first = (first + int(part.sum())) % 65535
    return (second or 65535 * bool(words.any())) << 16 | (first or 65535 * bool(words.any()))


BLOCK: Final = 1 << 16

FILTERS: Final[dict[int, Callable[[Data, Filter, int], Data]]] = {
    1: _deflate,
    2: _shuffle,
    3: _fletcher,
    307: _bzip2,
    32015: _zstd,
}
"""HDF5's number of a filter -> how it is undone."""
