"""Short lists of numbers (sizes, strides, indices), written and read in one step.

Strategy: the length of a BSON array and the type of its first element say how a list of int64 or of doubles is laid out:
all but the numbers is fixed. To write one, its numbers are packed and what stands between them is put there; to read one,
a single look takes everything apart, and what stands between the numbers is compared with what belongs there. Any other
list is left to the full writing and reading, so both ways give the same bytes, the same list, and the same errors.
"""

from struct import Struct
from typing import Any, Final, NamedTuple

from holdfast.wire.elements import DOUBLE, END, F64, I64, INDICES, INT64, MANY, U32
from holdfast.wire.values import Bytes

KINDS: Final = {int: (INT64, I64), float: (DOUBLE, F64)}
"""The types of numbers that are laid out so -> their code, and one of them."""


class Layout(NamedTuple):
    """How the bytes of one array of numbers are to be taken apart."""

    numbers: Struct
    between: int
    """The bytes as one number, ones where no number stands."""
    expected: int
    """What they are there."""
    size: int
    length: int


def _layout(kind: int, number: Struct, length: int) -> Layout:
    names = [bytes([kind]) + name for name in INDICES[:length]]
    size = U32.size + sum(len(name) + number.size for name in names) + len(END)
    blank, code = bytes(number.size), number.format.lstrip("<")
    between = b"\xff" * U32.size + b"".join(b"\xff" * len(name) + blank for name in names) + b"\xff" * len(END)
    expected = U32.pack(size) + b"".join(name + blank for name in names) + END
    parts = "".join(f"{len(name)}x{code}" for name in names)
    numbers = Struct(f"<{U32.size}x{parts}{len(END)}x")
    return Layout(numbers, int.from_bytes(between), int.from_bytes(expected), size, length)


FORMS: Final[dict[tuple[type, int], Layout]] = {
    (kind, length): _layout(code, number, length) for kind, (code, number) in KINDS.items() for length in range(1, MANY)
}
"""How many numbers of which type -> how the array of them is laid out."""

HEAD: Final = U32.size + 1
"""Bytes of an array's length and its first element's type."""
LAYOUTS: Final[dict[bytes, Layout]] = {
    layout.expected.to_bytes(layout.size)[:HEAD]: layout for layout in FORMS.values()
}
"""The first bytes of an array -> how it is laid out if all its elements are like the first."""


def pack(values: list[Any]) -> bytes | None:
    """The array of ``values``, if they are a short list of numbers of one type.

    >>> pack([7]), pack([7, 0.5]), pack([])
    (b'\\x10\\x00\\x00\\x00\\x120\\x00\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00', None, None)
    """
    if not 1 <= len(values) < MANY:
        return None
    kind = type(values[0])
    if kind not in KINDS or [*map(type, values)].count(kind) < len(values):
        return None
    layout = FORMS[kind, len(values)]
    return (int.from_bytes(layout.numbers.pack(*values)) | layout.expected).to_bytes(layout.size)


def match(data: Bytes, start: int, left: int) -> tuple[list[int] | list[float], int, int] | None:
    """The list of numbers whose array is at ``start``, the position past it, and what is left of the file's ``left``
    values; None for any other array.

    >>> match(b"\\x10\\0\\0\\0\\x120\\0\\7\\0\\0\\0\\0\\0\\0\\0\\0", 0, 100)
    ([7], 16, 99)
    """
    layout = LAYOUTS.get(data[start : start + HEAD])
    if layout is None:
        return None
    numbers, between, expected, size, length = layout
    end = start + size
    if length >= left or end > len(data) or int.from_bytes(data[start:end]) & between != expected:
        return None
    return list(numbers.unpack_from(data, start)), end, left - length
