"""The first structure of an HDF5 file, from which all others are found.

Strategy: its signature, version and widths, whether the file is as long as it says, whether it is one part of several, and
its checksum where it has one.

Source: HDF5 File Format Specification 3.0, II.A.
"""

from dataclasses import dataclass
from typing import Final

from holdfast.errors import ChecksumError, FormatError
from holdfast.formats.choose import SIGNATURE, USER_BLOCKS
from holdfast.formats.jld2.cursor import UNDEFINED, Cursor
from holdfast.formats.jld2.lookup3 import lookup3

PLACES: Final = (0, *USER_BLOCKS)
OLD_HEAD: Final = 24
"""Bytes before the addresses, until version 1."""


@dataclass(frozen=True, slots=True)
class First:
    """What the first structure leads to: from where addresses are counted, the first group, and what more is said of the
    file (UNDEFINED: nothing)."""

    start: int
    root: int
    extension: int


def check(data: memoryview) -> First:
    """What is at the beginning. Raises FormatError for a file that HDF5 did not write so, ChecksumError for a changed one."""
    start = next((at for at in PLACES if bytes(data[at : at + len(SIGNATURE)]) == SIGNATURE), None)
    if start is None:
        raise FormatError("HDF5's signature stands nowhere in it", 0)
    cursor = Cursor(data, start + len(SIGNATURE), len(data), "the superblock")
    version = cursor.number(1)
    if version > 3:
        raise FormatError(f"its superblock is of version {version}; known are 0 to 3", cursor.at - 1)
    base, end, driver, objects = _old(cursor, start, version) if version < 2 else _new(cursor, start)
    if base not in (0, start):
        raise FormatError(f"its addresses are counted from byte {base:,}, not from its superblock", start)
    if driver:
        raise FormatError("it is one of several files that are to be read together: it is not read", start)
    size = end + base if version < 2 and base and end + base <= len(data) else end
    if size > len(data):
        raise FormatError(f"the file breaks off: {size:,} bytes were written, {len(data):,} are there", len(data))
    return First(start, *objects)


def _old(cursor: Cursor, start: int, version: int) -> tuple[int, int, bool, tuple[int, int]]:
    """Base and end of the file, whether there is a driver's block, and the objects; versions 0 and 1."""
    cursor.take(4)
    widths = cursor.number(1), cursor.number(1)
    _check_widths(widths, start)
    cursor.take(start + OLD_HEAD + (4 if version else 0) - cursor.at)
    base, _, end, driver = (cursor.number(8) for _ in range(4))
    cursor.take(8)  # the name of the root, which has none
    return base, end, driver != UNDEFINED, (cursor.number(8), UNDEFINED)


def _new(cursor: Cursor, start: int) -> tuple[int, int, bool, tuple[int, int]]:
    """The same, of versions 2 and 3."""
    _check_widths((cursor.number(1), cursor.number(1)), start)
    cursor.take(1)
    base, extension, end, root = (cursor.number(8) for _ in range(4))
    if lookup3(cursor.data[start : cursor.at]) != cursor.number(4):
        raise ChecksumError("the superblock has changed since it was written (its checksum does not match)")
    return base, end, False, (root, extension)


def _check_widths(widths: tuple[int, int], start: int) -> None:
    if widths != (8, 8):
        raise FormatError(f"its addresses have {widths[0]} and its lengths {widths[1]} bytes, not 8", start)
