"""The bytes of a dataset and of the heaps: mapped where they are plain, unpacked where they were compressed."""

from math import prod
from typing import Final

from holdfast.errors import FormatError, LimitError
from holdfast.formats.foreign.filters import unpacked
from holdfast.formats.jld2.cursor import UNDEFINED
from holdfast.formats.jld2.objects import Layout, Object, Objects


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
    shape = found.space.size if found.space is not None else None
    if layout.chunk[:-1] != shape or prod(layout.chunk) != length:
        raise FormatError(f"an array of shape {shape} stands in a part of shape {layout.chunk[:-1]}", layout.address)
    size = layout.length or length
    packed = objects.cursor(layout.address, size, "an array").take(size)
    objects.growth.check(length, size)
    data = unpacked(packed, found.filters, length)
    return memoryview(bytearray(data)) if isinstance(data, bytes) else data


class Once:
    """Counts bytes that become values one by one: in an honest file each byte is part of one value, so together they are no
    more than the file. Arrays on the same bytes would be hours of work in a short file."""

    def __init__(self, size: int, what: str) -> None:
        self.size, self.what = size, what
        self.restart()

    def restart(self) -> None:
        """Count anew, when all that was made is forgotten."""
        self.left = self.size + SPARE

    def take(self, count: int) -> None:
        """Raises LimitError when it is more than the file can hold."""
        self.left -= count
        if self.left < 0:
            where = "some stand in several places, or in none"
            raise LimitError(f"{self.what} of the file take more bytes than the file has: {where}")


SPARE: Final = 1 << 16
"""Bytes that may be counted beyond the size of the file."""
TIMES: Final = 4
"""How many times as long as in the file an array of such values may be when it is unpacked; and how often a text or a list
in a heap may be named, on the average."""


def elements(objects: Objects, found: Object, count: int, width: int, once: Once) -> memoryview:
    """The bytes of ``count`` elements of a dataset, of ``width`` bytes each, that become values one by one."""
    raw = stored(objects, found, count * width)
    packed = bool(found.filters or (found.layout is not None and found.layout.filtered))
    once.take(max(count, len(raw) // TIMES if packed else len(raw)))
    return raw


class Heap:
    """Values of any length: texts, and lists of references. Each is found once and kept."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.collections: dict[int, dict[int, memoryview]] = {}
        size = len(objects.data)
        self.walked, self.named = Once(size, "the heaps"), Once(TIMES * size, "the texts and lists")

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
        if (count := int.from_bytes(raw[:4], "little")) > len(found):
            raise FormatError(f"{count:,} parts are said to be in the {len(found):,} bytes of an entry of a heap")
        self.named.take(len(found))
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
        start = body.at
        entries: dict[int, memoryview] = {}
        while body.left >= 16:
            index = body.number(2)
            if not index:
                break
            body.take(6)
            length = body.number(8)
            if length > body.left:
                break  # HDF5 counts the head of a heap in its size and JLD2 does not: what follows may be another's
            entries.setdefault(index, body.take(length))
            body.take(min(-length % 8, body.left))
        self.walked.take(body.at - start)
        return entries
