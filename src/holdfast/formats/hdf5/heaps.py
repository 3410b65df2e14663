"""HDF5's heaps, where texts of any length stand.

Strategy: a text is named by its length, a heap and a number there. A heap is read once, whole: it must be within the file,
each entry within it, and no two heaps on the same bytes, so that all heaps together are no longer than the file. HDF5's
library is not asked: it takes as much memory as a length says, and goes through an entry that takes nothing for ever.

Source: HDF5 File Format Specification 3.0, III.E.
"""

from bisect import bisect
from struct import Struct
from typing import Final

from holdfast.errors import FormatError, LimitError
from holdfast.formats.hdf5.headers import Headers
from holdfast.formats.jld2.cursor import UNDEFINED
from holdfast.formats.jld2.storage import TIMES
from holdfast.wire.values import MAX_VALUES

HEAD: Final = b"GCOL\1"
ENTRY: Final = Struct("<HH4xQ")
"""Its number, 0 for the room that is left; how many refer to it; its bytes."""
PLACE: Final = Struct("<IQI")
"""Of a text: its bytes, the address of its heap, its number there."""
PREFIX: Final = 16
"""Bytes before the first entry, and of what stands before each entry's own."""
FREE: Final = 1 << 22
"""All texts of a file, and the places that name them, may take TIMES the file, and this."""


class Heaps:
    """The heaps of one file, each read when it is first asked for."""

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self.left, self.entries_left = TIMES * len(headers.data) + FREE, MAX_VALUES
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self._parts: list[tuple[int, int]] = []
        """First byte and end of each heap, in order."""

    def text(self, place: bytes | memoryview) -> str:
        """The text that the 16 bytes of ``place`` name, up to its first NUL; one that names nothing is empty.

        Raises FormatError for a text that is not there, LimitError when texts are named so often that they take far
        more than the file.
        """
        length, address, number = PLACE.unpack(place)
        self._count(PLACE.size)
        if not number or address in (0, UNDEFINED):
            return ""
        if address not in self._heaps:
            self._heaps[address] = self._read(address)
        start, size = self._heaps[address].get(number, (0, -1))
        if length > size:
            there = "it is not there" if size < 0 else f"{size:,} are there"
            raise FormatError(
                f"a text of {length:,} bytes is said to be entry {number} of a heap: {there}", start or None
            )
        self._count(length)
        return bytes(self.headers.data[start : start + length]).partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _count(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise LimitError("the texts of the file are larger than the file")

    def _read(self, address: int) -> dict[int, tuple[int, int]]:
        """Number -> first byte and size of each entry of a heap."""
        head = self.headers.cursor(address, None, "a heap")
        start, data = head.at, head.data
        if bytes(head.take(len(HEAD))) != HEAD:
            raise FormatError("no heap of HDF5's stands here", start)
        head.take(3)
        size = head.number(8)
        if size > len(data) - start:
            raise FormatError(f"a heap of {size:,} bytes is said to stand in the {len(data) - start:,} left", start)
        self._claim(start, start + size)
        at, end, found = start + PREFIX, start + size, dict[int, tuple[int, int]]()
        while at + PREFIX <= end:
            number, _, length = ENTRY.unpack_from(data, at)
            taken = PREFIX + length + -length % 8 if number else length
            if not PREFIX <= taken <= end - at:
                raise FormatError(f"an entry of a heap of {size:,} bytes is said to take {taken:,}", at)
            if number:
                found.setdefault(number, (at + PREFIX, length))
                self.entries_left -= 1
            at += taken
        if self.entries_left < 0:
            raise LimitError(f"the heaps of the file hold more than {MAX_VALUES:,} values")
        return found

    def _claim(self, start: int, end: int) -> None:
        """Raises FormatError for a heap that stands on the bytes of another."""
        place = bisect(self._parts, (start, end))
        near = self._parts[max(place - 1, 0) : place + 1]
        if any(start < other_end and other_start < end for other_start, other_end in near):
            raise FormatError("two heaps stand on the same bytes", start)
        self._parts.insert(place, (start, end))
