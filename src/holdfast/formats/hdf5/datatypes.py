"""HDF5's datatypes: how one element stands in the file, and NumPy's dtype of it where there is one.

Strategy: one reader a class of datatype, in a table, each of which takes exactly the bytes that its class has. What NumPy has
no dtype for (references, lists of any length, times, numbers of odd widths) is gone through all the same, since more may follow.

Source: HDF5 File Format Specification 3.0, IV.A.2.d; for complex numbers, version 4.0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal

import ml_dtypes
import numpy as np

from holdfast.errors import FormatError, LimitError
from holdfast.formats.jld2.cursor import Cursor
from holdfast.formats.jld2.datatypes import FLOATS, HEAP_ID, MAX_NESTING

Kind = Literal["number", "bool", "text", "heap text", "record", "other"]
COMPLEX: Final = ["r", "i"]
"""The members of a complex number, as h5py writes it."""
MAX_SIZE: Final = 2**31 - 1
"""Bytes of one element, as NumPy has them."""
BFLOAT16: Final = (bytes((0x20, 0x0F, 0)), bytes((0, 0, 16, 0, 7, 8, 0, 7, 127, 0, 0, 0)))
"""Bits and properties of bfloat16, as of the numbers in ``FLOATS``."""
BOOL: Final = {b"FALSE": 0, b"TRUE": 1}
"""The members of a truth value, as h5py writes it."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its bytes, and its dtype where NumPy has one; of a text, what fills it up (0: whatever stands behind a zero;
    1: zeros; 2: blanks)."""

    kind: Kind
    size: int
    dtype: "np.dtype[Any] | None" = None
    filled: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """The first eight bytes of a datatype, which all classes have."""

    version: int
    bits: bytes
    size: int
    depth: int

    @property
    def count(self) -> int:
        """Of classes with members: how many."""
        return int.from_bytes(self.bits[:2], "little")

    def other(self) -> Element:
        return Element("other", self.size)

    def record(self, dtype: Any) -> Element:
        """What is neither a number nor a text, of the dtype that NumPy makes of ``dtype``."""
        if not 0 < self.size <= MAX_SIZE:
            return self.other()
        try:
            made = np.dtype(dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"a datatype of {self.size:,} bytes that makes no sense: {error!s:.100}") from None
        return Element("record", self.size, made) if made.itemsize == self.size else self.other()

    def number(self, letter: str) -> Element:
        return Element("number", self.size, np.dtype(f"{'>' if self.bits[0] & 1 else '<'}{letter}{self.size}"))


def read_element(cursor: Cursor, depth: int = 0) -> Element:
    """The datatype at the cursor, which is passed over.

    Raises FormatError for one that breaks off or is of no class of HDF5's, LimitError for one inside too many others.
    """
    if depth > MAX_NESTING:
        raise LimitError(f"datatypes stand inside one another more than {MAX_NESTING} deep", cursor.at)
    at = cursor.at
    head = cursor.number(1)
    read, said = CLASSES.get(head & 15), Said(head >> 4, bytes(cursor.take(3)), cursor.number(4), depth)
    if read is None or not 1 <= said.version <= 5:
        raise FormatError(f"a datatype of class {head & 15} (version {said.version})", at)
    return read(cursor, said)


def _whole(cursor: Cursor, said: Said) -> Element:
    offset, precision = cursor.number(2), cursor.number(2)
    if said.size not in (1, 2, 4, 8) or (offset, precision) != (0, said.size * 8):
        return said.other()
    return said.number("i" if said.bits[0] & 8 else "u")


def _float(cursor: Cursor, said: Said) -> Element:
    properties = bytes(cursor.take(12))
    little = bytes((said.bits[0] & 0xFE, *said.bits[1:]))
    if (said.bits, properties) == BFLOAT16 and said.size == 2:
        return Element("number", 2, np.dtype(ml_dtypes.bfloat16))
    return said.number("f") if FLOATS.get(said.size) == (little, properties) else said.other()


def _time(cursor: Cursor, said: Said) -> Element:
    cursor.take(2)
    return said.other()


def _text(cursor: Cursor, said: Said) -> Element:
    filled = said.bits[0] & 15
    return Element("text", said.size, np.dtype(f"S{said.size}") if 0 < said.size <= MAX_SIZE else None, filled)


def _bits(cursor: Cursor, said: Said) -> Element:
    offset, precision = cursor.number(2), cursor.number(2)
    whole = said.size in (1, 2, 4, 8) and (offset, precision) == (0, said.size * 8)
    return said.number("u") if whole else said.other()


def _opaque(cursor: Cursor, said: Said) -> Element:
    cursor.take(said.bits[0])
    return said.record(f"V{said.size}")


def _compound(cursor: Cursor, said: Said) -> Element:
    width = (max(said.size, 1).bit_length() + 7) // 8 if said.version >= 3 else 4
    members: list[tuple[bytes, int, Element]] = []
    for _ in range(said.count):
        name, offset = _name(cursor, said), cursor.number(width)
        cursor.take(28 if said.version == 1 else 0)
        member = read_element(cursor, said.depth + 1)
        if offset + member.size > said.size:
            raise FormatError(f"a field reaches beyond its record of {said.size:,} bytes", cursor.at)
        members.append((name, offset, member))
    names, places = [name.decode("utf-8", "surrogateescape") for name, _, _ in members], [one for _, one, _ in members]
    if names == COMPLEX and places == [0, said.size // 2]:
        found = _of_two(members[0][2], members[1][2], said)
        if found.dtype is not None:
            return found
    if not members or any(member.dtype is None for _, _, member in members):
        return said.other()
    formats = [member.dtype for _, _, member in members]
    return said.record({"names": names, "formats": formats, "offsets": places, "itemsize": said.size})


def _complex(cursor: Cursor, said: Said) -> Element:
    part = read_element(cursor, said.depth + 1)
    return _of_two(part, part, said)


def _of_two(real: Element, imaginary: Element, said: Said) -> Element:
    if real != imaginary or real.dtype is None or real.dtype.kind != "f" or real.size not in (4, 8):
        return said.other()
    if said.size != 2 * real.size:
        return said.other()
    return Element("number", said.size, np.dtype(f"{real.dtype.byteorder}c{said.size}"))


def _reference(cursor: Cursor, said: Said) -> Element:
    return said.other()


def _enumeration(cursor: Cursor, said: Said) -> Element:
    base = read_element(cursor, said.depth + 1)
    names = [_name(cursor, said) for _ in range(said.count)]
    values = cursor.take(base.size * said.count)
    if base.dtype is None or base.size != said.size:
        return said.other()
    if dict(zip(names, np.frombuffer(values, base.dtype).tolist(), strict=True)) == BOOL:
        return Element("bool", said.size, np.dtype(bool) if said.size == 1 else base.dtype)
    return base


def _of_any_length(cursor: Cursor, said: Said) -> Element:
    read_element(cursor, said.depth + 1)
    is_text = said.bits[0] & 15 == 1 and said.size == HEAP_ID
    return Element("heap text", said.size) if is_text else said.other()


def _array(cursor: Cursor, said: Said) -> Element:
    axes = cursor.number(1)
    cursor.take(3 if said.version < 3 else 0)
    sizes = tuple(cursor.number(4) for _ in range(axes))
    cursor.take(4 * axes if said.version < 3 else 0)
    base = read_element(cursor, said.depth + 1)
    return (
        said.other() if base.dtype is None or prod(sizes) * base.size != said.size else said.record((base.dtype, sizes))
    )


def _name(cursor: Cursor, said: Said) -> bytes:
    """The name of a member; before version 3 it is filled up to eight bytes."""
    raw = bytes(cursor.data[cursor.at : cursor.end])
    length = raw.find(b"\0")
    if length < 0:
        raise FormatError("a name in a datatype has no end", cursor.at)
    cursor.take(length + 1 + (-(length + 1) % 8 if said.version < 3 else 0))
    return raw[:length]


CLASSES: Final[dict[int, Callable[[Cursor, Said], Element]]] = {
    0: _whole,
    1: _float,
    2: _time,
    3: _text,
    4: _bits,
    5: _opaque,
    6: _compound,
    7: _reference,
    8: _enumeration,
    9: _of_any_length,
    10: _array,
    11: _complex,
}
