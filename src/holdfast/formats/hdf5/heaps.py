"""What is checked of HDF5's heaps, where texts of any length stand, before its library reads one.

Strategy: the library goes through a heap entry by entry, as far as each says that it reaches; of an entry that reaches
nowhere it makes entries for ever, and for a heap that is larger than the file it takes as much memory first. Nobody but the
library knows which heaps it will read, so all are looked at that stand anywhere in the file, once, before the first text.

Numbers may begin like a heap by chance (once in a terabyte of noise). Such a one hardly ever has a size that fits the file;
where it does not, it is only taken for a heap when the rest of its head is right or its address stands in the file.

Source: HDF5 File Format Specification 3.0, III.E.
"""

from struct import Struct
from typing import Any, Final

from holdfast.errors import FormatError

HEAD: Final = b"GCOL\1"
ENTRY: Final = Struct("<HH4xQ")
"""Its number, 0 for the room that is left; how many refer to it; its bytes."""
LEAST: Final = 4096
"""Bytes of the smallest heap that HDF5 takes."""
PREFIX: Final = 16
"""Bytes before the first entry, and of what stands before each entry's own."""


def check(data: Any, start: int, hidden: bool = False) -> None:
    """Raises FormatError unless each heap in ``data`` (which has ``find``) is within it, and each entry within its heap.

    start   where HDF5 begins, from which addresses are counted
    hidden  whether addresses may stand compressed, where they cannot be found
    """
    at = data.find(HEAD)
    while at >= 0:
        size = int.from_bytes(data[at + 8 : at + PREFIX], "little")
        if LEAST <= size <= len(data) - at:
            _check(data, at, at + size)
        elif size >= LEAST and (hidden or data[at + len(HEAD) : at + 8] == bytes(3) or _is_meant(data, at, start)):
            raise FormatError(f"a heap of {size:,} bytes is said to stand in the {len(data) - at:,} that are left", at)
        at = data.find(HEAD, at + 1)


def _is_meant(data: Any, at: int, start: int) -> bool:
    """Whether the address of a place stands anywhere, counted from either end that the library knows."""
    return any(data.find(place.to_bytes(8, "little")) >= 0 for place in {at, at - start} if place >= 0)


def _check(data: Any, start: int, end: int) -> None:
    at = start + PREFIX
    while at + PREFIX <= end:
        number, _, size = ENTRY.unpack_from(data, at)
        taken = PREFIX + size + -size % 8 if number else size
        if not PREFIX <= taken <= end - at:
            raise FormatError(f"an entry of a heap of {end - start:,} bytes is said to take {taken:,}", at)
        at += taken
