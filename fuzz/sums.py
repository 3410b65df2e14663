"""The checksums in a file of HDF5's kind, made right after a change: else none would ever come behind them.

Strategy: a structure is found by its signature, and the sum is put where it ends. Of most the length is fixed, or stands in
them; of the first block of a heap and of a tree it stands in their heads.
"""

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.formats.jld2.lookup3 import lookup3

HEADER: Final = b"OHDR\2"
"""How a header begins; behind it, flags that say how wide its length is, and which times stand before that."""
FIRST: Final = b"\x89HDF\r\n\x1a\n"
HEADS: Final = {b"BTHD": 34, b"FRHP": 142, b"FAHD": 24, b"EAHD": 68}
"""The heads of trees, heaps and indexes, and the bytes before their sums."""


def mended(data: bytes) -> bytes:
    """``data`` with the right sum behind each header of HDF5's, behind the heads of its indexes with what is next to
    them, and behind its first structure."""
    found = bytearray(data)
    for at in places(data, HEADER):
        flags = data[at + 5] if at + 5 < len(data) else 0
        start = at + 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        put(found, at, start + width + number(data, start, width))
    for signature, length in HEADS.items():
        for at in places(data, signature):
            put(found, at, at + length)
            NEXT.get(signature, lambda found, at: None)(found, at)
    first = data.find(FIRST)
    if first >= 0 and data[first + 8 : first + 9] in (b"\2", b"\3"):
        put(found, first, first + 44)
    return bytes(found)


def places(data: bytes, signature: bytes) -> Iterator[int]:
    at = data.find(signature)
    while at >= 0:
        yield at
        at = data.find(signature, at + 1)


def number(data: bytes | bytearray, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "little")


def put(found: bytearray, start: int, end: int) -> None:
    """The sum of the bytes from ``start`` to ``end``, behind them."""
    if end + 4 <= len(found):
        found[end : end + 4] = lookup3(bytes(found[start:end])).to_bytes(4, "little")


def first_leaf(found: bytearray, at: int) -> None:
    """Of a tree of one node, that node."""
    root = number(found, at + 16, 8)
    if found[root : root + 4] == b"BTLF":
        put(found, root, root + 6 + number(found, at + 24, 2) * number(found, at + 10, 2))


def first_block(found: bytearray, at: int) -> None:
    """Of a heap of one block, that block, whose sum stands in its own head and is made with zeros in its place."""
    root, size = number(found, at + 132, 8), number(found, at + 112, 8)
    place = root + 13 + (number(found, at + 128, 2) + 7) // 8
    if found[root : root + 4] == b"FHDB" and place + 4 <= root + size <= len(found):
        found[place : place + 4] = bytes(4)
        found[place : place + 4] = lookup3(bytes(found[root : root + size])).to_bytes(4, "little")


NEXT: Final[dict[bytes, Callable[[bytearray, int], None]]] = {b"BTHD": first_leaf, b"FRHP": first_block}
