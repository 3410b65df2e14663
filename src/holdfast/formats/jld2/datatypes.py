"""HDF5's datatypes, as far as JLD2 writes them.

Strategy: one reader a class of datatype, in a table. What Julia never writes (big-endian numbers, arrays in a field,
enumerations, times) is refused where it is met, so that all later code has eight kinds to know.

Source: HDF5 File Format Specification 3.0, IV.A.2.d; JLD2.jl, src/datatypes.jl.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.errors import FormatError, LimitError
from holdfast.formats.jld2.cursor import Cursor

MAX_NESTING: Final = 60
"""Structs inside structs in one datatype or value; a model of Flux's has about ten."""

Kind = Literal["number", "text", "heap text", "opaque", "reference", "compound", "list", "committed"]


@dataclass(frozen=True, slots=True)
class Datatype:
    """How one element stands in the file.

    kind     what it is; "heap text" and "list" are of any length and stand in a heap
    size     bytes of one element
    julia    the name of the Julia type, of a number
    members  of a compound: name, offset in the element, datatype
    base     of a list: the datatype of its elements
    address  of a committed datatype, which stands in the file for itself
    """

    kind: Kind
    size: int
    julia: str = ""
    members: tuple[tuple[str, int, "Datatype"], ...] = ()
    base: "Datatype | None" = None
    address: int = 0


REFERENCE: Final = Datatype("reference", 8)
HEAP_ID: Final = 16
"""Bytes of a place in a heap: a length of 4, an address of 8, an index of 4."""

FLOATS: Final = {
    2: (bytes((0x20, 0x0F, 0)), bytes((0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0))),
    4: (bytes((0x20, 0x1F, 0)), bytes((0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0))),
    8: (bytes((0x20, 0x3F, 0)), bytes((0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0))),
}
"""Width -> the bits and properties of IEEE's little-endian number of that width."""


def read_datatype(cursor: Cursor, depth: int = 0) -> Datatype:
    """The datatype at the cursor. Raises FormatError for one that JLD2 does not write."""
    if depth > MAX_NESTING:
        raise LimitError(f"datatypes stand inside one another more than {MAX_NESTING} deep", cursor.at)
    at = cursor.at
    head = cursor.number(1)
    bits, size = bytes(cursor.take(3)), cursor.number(4)
    read = CLASSES.get(head & 15)
    if read is None or not 1 <= head >> 4 <= 3:
        raise _unwritten(f"of class {head & 15} (version {head >> 4})", at)
    return read(cursor, bits, size, depth, at)


def _unwritten(what: str, at: int) -> FormatError:
    return FormatError(f"a datatype {what}, which JLD2 does not write", at)


def _whole(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    offset, precision = cursor.number(2), cursor.number(2)
    if bits not in (b"\0\0\0", b"\x08\0\0") or size not in (1, 2, 4, 8, 16) or (offset, precision) != (0, size * 8):
        raise _unwritten(f"of whole numbers of {size} bytes in another order or with gaps", at)
    return Datatype("number", size, f"{'Int' if bits[0] else 'UInt'}{size * 8}")


def _float(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    if (bits, bytes(cursor.take(12))) != FLOATS.get(size):
        raise _unwritten(f"of floating-point numbers of {size} bytes that are not IEEE's", at)
    return Datatype("number", size, f"Float{size * 8}")


def _text(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    return Datatype("text", size)


def _bool(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    cursor.take(4)
    if size != 1:
        raise _unwritten(f"of {size} bytes of single bits", at)
    return Datatype("number", 1, "Bool")


def _opaque(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    cursor.take(bits[0])  # a tag, which JLD2 leaves empty
    if not size:
        raise _unwritten("of no bytes", at)
    return Datatype("opaque", size)


def _compound(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    if int(cursor.data[at]) >> 4 != 3:
        raise _unwritten("of fields in HDF5's older form", at)
    width = (max(size, 1).bit_length() + 7) // 8
    members: list[tuple[str, int, Datatype]] = []
    for _ in range(int.from_bytes(bits, "little")):
        name, offset = cursor.until_null(), cursor.number(width)
        member = read_datatype(cursor, depth + 1)
        if offset + member.size > size:
            raise FormatError(f"the field {name!r} reaches beyond its struct of {size} bytes", at)
        members.append((name, offset, member))
    if not members or len({name for name, _, _ in members}) != len(members):
        raise FormatError("a struct has no field, or two of one name", at)
    return Datatype("compound", size, members=tuple(members))


def _reference(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    if bits[0] & 15 or size != REFERENCE.size:
        raise _unwritten("of references to parts of an array", at)
    return REFERENCE


def _of_any_length(cursor: Cursor, bits: bytes, size: int, depth: int, at: int) -> Datatype:
    base = read_datatype(cursor, depth + 1)
    if size != HEAP_ID:
        raise _unwritten(f"of any length, named in {size} bytes", at)
    return Datatype("heap text", size) if bits[0] & 15 == 1 else Datatype("list", size, base=base)


CLASSES: Final[dict[int, Callable[[Cursor, bytes, int, int, int], Datatype]]] = {
    0: _whole,
    1: _float,
    3: _text,
    4: _bool,
    5: _opaque,
    6: _compound,
    7: _reference,
    9: _of_any_length,
}


def read_shared(cursor: Cursor) -> Datatype:
    """The address of a committed datatype, which stands instead of a datatype."""
    at = cursor.at
    version, kind = cursor.number(1), cursor.number(1)
    if (version, kind) not in ((3, 2), (2, 2), (2, 0)):
        raise FormatError("a datatype is shared in a way that JLD2 does not know", at)
    return Datatype("committed", 0, address=cursor.number(8))


def is_numbers(datatype: Datatype) -> bool:
    """Whether an element is numbers without a gap between them, as in memory.

    >>> half = Datatype("number", 4, "Float32")
    >>> is_numbers(Datatype("compound", 8, members=(("re", 0, half), ("im", 4, half))))
    True
    """
    at = 0
    for _, offset, member in datatype.members:
        if offset != at or not is_numbers(member):
            return False
        at += member.size
    return at == datatype.size if datatype.members else datatype.kind == "number"
