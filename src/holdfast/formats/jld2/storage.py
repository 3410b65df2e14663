"""The bytes of a dataset and of the heaps: mapped where they are plain, unpacked where they were compressed.

Strategy: the shape and the datatype say how many bytes there must be, before any is read. Unpacking stops one byte after
that, so a file cannot ask for more memory than it declares, and what it may declare is bounded by what it holds.
"""

import bz2
import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import numpy as np

from holdfast.errors import FormatError, LimitError, MissingError
from holdfast.formats.jld2.cursor import UNDEFINED
from holdfast.formats.jld2.objects import Filter, Layout, Object, Objects

MAX_GROWTH: Final = 100
"""How many times its compressed size an array may be; weights shrink to a half, masks of zeros to a hundredth."""
FREE_GROWTH: Final = 64 << 20
"""Bytes up to which any growth is fine."""


def stored(objects: Objects, found: Object, length: int) -> memoryview:
    """The ``length`` bytes of a dataset. They are those of the file, unless the dataset is compressed.

    Raises FormatError when there are fewer or more, LimitError for a size that no honest file has, MissingError for a
    compression that needs a package.
    """
    layout = found.layout or Layout()
    if layout.filtered or found.filters:
        return _unpacked(objects, found, layout, length)
    if layout.raw is not None:
        raw = layout.raw
    elif layout.address == UNDEFINED:
        raw = memoryview(b"")
    else:
        raw = objects.cursor(layout.address, layout.length, "an array").take(layout.length)
    if len(raw) != length:
        at = None if layout.address == UNDEFINED else layout.address
        raise FormatError(f"an array of {length:,} bytes has {len(raw):,} in the file", at)
    return raw


def _unpacked(objects: Objects, found: Object, layout: Layout, length: int) -> memoryview:
    if layout.address == UNDEFINED or layout.raw is not None:
        raise FormatError("a compressed array is not stored as one")
    packed = objects.cursor(layout.address, layout.length or length, "an array").take(layout.length or length)
    if length > FREE_GROWTH and length > MAX_GROWTH * len(packed):
        raise LimitError(
            f"an array of {length:,} bytes is said to be unpacked from {len(packed):,}; "
            f"more than {MAX_GROWTH} times is refused. Save it without compression, if it is honest"
        )
    data: bytes | memoryview = packed
    for step in reversed(found.filters):
        undo = FILTERS.get(step.number)
        if undo is None:
            raise FormatError(
                f"an array is packed by HDF5's filter {step.number}, which is none of JLD2's that we know"
            )
        data = undo(data, step, length)
    if len(data) != length:
        raise FormatError(f"an array of {length:,} bytes unpacks to {len(data):,}")
    return memoryview(bytearray(data)) if isinstance(data, bytes) else data


def _deflate(data: bytes | memoryview, step: Filter, length: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, length + 1)
    except zlib.error as error:
        raise FormatError(f"a compressed array is damaged: {error}") from None


def _bzip2(data: bytes | memoryview, step: Filter, length: int) -> bytes:
    try:
        return bz2.BZ2Decompressor().decompress(data, length + 1)
    except (OSError, ValueError) as error:
        raise FormatError(f"a compressed array is damaged: {error}") from None


def _zstd(data: bytes | memoryview, step: Filter, length: int) -> bytes:
    if find_spec("zstandard") is None:
        raise MissingError("an array that was compressed by Zstandard", "zstandard")
    zstandard = import_module("zstandard")
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            found: bytes = reader.read(length + 1)
    except zstandard.ZstdError as error:
        raise FormatError(f"a compressed array is damaged: {error}") from None
    return found


def _shuffle(data: bytes | memoryview, step: Filter, length: int) -> bytes:
    """Bytes that stood sorted by their place in the element, back in the elements."""
    width = step.values[0] if step.values else 0
    if not width or len(data) % width:
        raise FormatError(f"an array of {len(data):,} bytes is shuffled by {width}")
    return np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()


FILTERS: Final[dict[int, Callable[[bytes | memoryview, Filter, int], bytes]]] = {
    1: _deflate,
    2: _shuffle,
    307: _bzip2,
    32015: _zstd,
}
"""HDF5's number of a filter -> how it is undone."""


class Heap:
    """Values of any length: texts, and lists of references. Each is found once and kept."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.collections: dict[int, dict[int, memoryview]] = {}

    def get(self, raw: memoryview | bytes) -> memoryview | None:
        """What the 16 bytes of ``raw`` name; None where they name nothing."""
        address, index = int.from_bytes(raw[4:12], "little"), int.from_bytes(raw[12:16], "little")
        if index == 0 and address in (0, UNDEFINED):
            return None
        if address not in self.collections:
            self.collections[address] = self._read(address)
        found = self.collections[address].get(index)
        if found is None:
            raise FormatError(f"entry {index} of the heap at address {address:,} is not there")
        return found

    def _read(self, address: int) -> dict[int, memoryview]:
        """Source: HDF5 File Format Specification 3.0, III.E, as JLD2.jl's src/global_heaps.jl writes it."""
        head = self.objects.cursor(address, None, "a heap")
        at = head.at
        if bytes(head.take(4)) != b"GCOL" or head.number(1) != 1:
            raise FormatError("no heap of JLD2's stands here", at)
        head.take(3)
        size = head.number(8)
        body = head.part(min(size, head.left))
        entries: dict[int, memoryview] = {}
        while body.left >= 16:
            index = body.number(2)
            if not index:
                break
            body.take(6)
            length = body.number(8)
            entries[index] = body.take(length)
            body.take(min(-length % 8, body.left))
        return entries
