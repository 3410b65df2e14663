"""Short lists of numbers (sizes, strides, indices), read in one step.

Strategy: the length of a BSON array and the type of its first element say how a list of int64 or of doubles is laid out:
all but the numbers is fixed. One look takes everything apart, and what stands between the numbers is compared with what
belongs there. Any other array is left to the full reading, so both ways give the same list, and the same errors.
"""

from struct import Struct
from typing import Final, NamedTuple

from holdfast.wire.plan import F64, I64, INDICES, U32
from holdfast.wire.values import Bytes

MOST: Final = 16
"""Numbers in the longest of these lists."""
END: Final = b"\0"
INT64: Final = 0x12
DOUBLE: Final = 0x01
KINDS: Final = {INT64: I64, DOUBLE: F64}
"""The types of BSON whose elements are laid out so -> one number."""


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


HEAD: Final = U32.size + 1
"""Bytes of an array's length and its first element's type."""
LAYOUTS: Final[dict[bytes, Layout]] = {
    U32.pack(layout.size) + bytes([kind]): layout
    for kind, number in KINDS.items()
    for layout in (_layout(kind, number, length) for length in range(1, MOST + 1))
}
"""The first bytes of an array -> how it is laid out if all its elements are like the first."""


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
