"""The parts of an array that is stored in parts: where each begins in the array, and where its bytes stand.

Strategy: HDF5 has six ways to keep account of parts, one function each. They give the same rows, of the parts that were
written. Two of them, arrays that are fixed and arrays that grow, count parts through: ``Grid`` turns a count into a place.

Source: HDF5 File Format Specification 3.0, III.A.1, III.A.2, VII.A to VII.D.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

from holdfast.errors import FormatError
from holdfast.formats.hdf5.dense import checked_sum, records
from holdfast.formats.hdf5.headers import Headers
from holdfast.formats.hdf5.links import pairs
from holdfast.formats.jld2.cursor import UNDEFINED, Cursor

OLD, SINGLE, IMPLICIT, FIXED, GROWING, TREE = 0, 1, 2, 3, 4, 5
"""Ways to keep account of parts; the oldest has no number of its own."""
PLAIN_TREE, FILTERED_TREE = 10, 11
SIZES: Final = 12
"""Bytes of a row of a filtered part beside its size: its address, and the filters that it was not put through."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part: its first element along each axis, its bytes in the file, the filters that were left out (by bits)."""

    at: tuple[int, ...]
    address: int
    size: int
    mask: int


@dataclass(frozen=True, slots=True)
class Grid:
    """An array in parts: ``span`` elements of each part along each axis, parts of ``nbytes`` bytes, ``most`` elements of the
    array along each axis (None: any number), and whether parts are filtered."""

    span: tuple[int, ...]
    nbytes: int
    most: tuple[int | None, ...]
    filtered: bool

    def place(self, number: int) -> tuple[int, ...]:
        """The first element of part ``number``, where they are counted through, one without a bound slowest.

        >>> Grid((2, 3), 6, (4, 9), False).place(4)
        (2, 3)
        """
        free = [axis for axis, most in enumerate(self.most) if most is None]
        order = [*free, *(axis for axis in range(len(self.most)) if axis not in free)]
        found = [0] * len(order)
        for axis in reversed(order):
            most = self.most[axis]
            count = number + 1 if most is None else -(-most // self.span[axis])
            number, found[axis] = divmod(number, max(count, 1))
        return tuple(step * width for step, width in zip(found, self.span, strict=True))

    def chunk(self, number: int, row: Cursor) -> Chunk | None:
        """Part ``number``, whose row is at the cursor; None where it was not written."""
        width = row.left - SIZES
        address = row.number(8)
        size, mask = (row.number(width), row.number(4)) if self.filtered else (self.nbytes, 0)
        return None if address == UNDEFINED else Chunk(self.place(number), address, size, mask)


Index = Callable[[Headers, Grid, int, Cursor], Iterator[Chunk]]
"""The parts of a grid, kept account of at an address; the cursor is behind the number of the way, in the layout."""


def _old(headers: Headers, grid: Grid, address: int, said: Cursor) -> Iterator[Chunk]:
    axes = len(grid.span)
    for key, child in pairs(headers, address, 1, 8 * (axes + 2)):
        numbers = [int.from_bytes(key[at : at + 8], "little") for at in range(8, 8 * (axes + 1), 8)]
        size, mask = int.from_bytes(key[:4], "little"), int.from_bytes(key[4:8], "little")
        yield Chunk(tuple(numbers), child, size if grid.filtered else grid.nbytes, mask)


def _single(headers: Headers, grid: Grid, address: int, said: Cursor) -> Iterator[Chunk]:
    size, mask = (said.number(8), said.number(4)) if grid.filtered else (grid.nbytes, 0)
    yield Chunk((0,) * len(grid.span), address, size, mask)


def _implicit(headers: Headers, grid: Grid, address: int, said: Cursor) -> Iterator[Chunk]:
    counts = [-(-(most or 0) // width) for most, width in zip(grid.most, grid.span, strict=True)]
    headers.cursor(address, prod(counts) * grid.nbytes, "the parts of an array")
    for number in range(prod(counts)):
        yield Chunk(grid.place(number), address + number * grid.nbytes, grid.nbytes, 0)


def _tree(headers: Headers, grid: Grid, address: int, said: Cursor) -> Iterator[Chunk]:
    kind, axes = (FILTERED_TREE if grid.filtered else PLAIN_TREE), len(grid.span)
    sizes = range(1, 9) if grid.filtered else range(1)
    for record in records(headers, address, kind, [8 * (axes + 1) + (size + 4 if size else 0) for size in sizes]):
        numbers = [
            int.from_bytes(record[at : at + 8], "little") for at in range(len(record) - 8 * axes, len(record), 8)
        ]
        at = tuple(number * width for number, width in zip(numbers, grid.span, strict=True))
        place, middle = int.from_bytes(record[:8], "little"), bytes(record[8 : len(record) - 8 * axes])
        size = int.from_bytes(middle[:-4], "little") if grid.filtered else grid.nbytes
        yield Chunk(at, place, size, int.from_bytes(middle[-4:], "little"))


# -- arrays of rows ---------------------------------------------------------------------------------------------------


class Rows:
    """What both kinds of arrays of rows have: heads that say what they are, and rows in pages of their own checksum."""

    def __init__(self, headers: Headers, grid: Grid, address: int, kind: bytes) -> None:
        self.headers, self.grid, self.address, self.kind = headers, grid, address, kind

    def head(self, address: int, length: int | None, last: bytes) -> Cursor:
        """The cursor behind signature, version and client of one of the array's structures."""
        found = self.headers.cursor(address, length, "an index of parts")
        at = found.at
        if bytes(found.take(6)) != self.kind + last + b"\0" + bytes((self.grid.filtered,)):
            raise FormatError("no index of the parts of an array stands here", at)
        return found

    def owned(self, address: int, last: bytes) -> tuple[Cursor, int]:
        """The same, of a structure that names the array that it is of; and where it begins."""
        found = self.head(address, None, last)
        at = found.at
        if found.number(8) != self.address:
            raise FormatError("an index of parts is another array's", at)
        return found, at - 6

    def set_width(self, width: int) -> None:
        """The bytes of a row."""
        if not (9 <= width - 4 <= 16 if self.grid.filtered else width == 8):
            raise FormatError(f"rows of {width} bytes in an index of parts", self.address)
        self.width = width

    def rows(self, cursor: Cursor, count: int, first: int) -> Iterator[Chunk]:
        """The parts from number ``first`` on whose rows are at the cursor."""
        part = cursor.part(count * self.width)
        for number in range(first, first + count):
            chunk = self.grid.chunk(number, part.part(self.width))
            if chunk is not None:
                yield chunk

    def pages(self, cursor: Cursor, count: int, first: int, page: int, written: bytes, bit: int = 0) -> Iterator[Chunk]:
        """The same of ``count`` rows in pages, of which ``written`` has a bit each, from ``bit`` on."""
        for number, begin in enumerate(range(0, count, page), bit):
            start, some = cursor.at, min(page, count - begin)
            if written[number // 8] & 0x80 >> number % 8:
                yield from self.rows(cursor, some, first + begin)
                checked_sum(self.headers, cursor, start)
            else:
                cursor.take(some * self.width + 4)


def _fixed(headers: Headers, grid: Grid, address: int, said: Cursor) -> Iterator[Chunk]:
    table = Rows(headers, grid, address, b"FA")
    head = table.head(address, None, b"HD")
    table.set_width(head.number(1))
    page, count, block = 1 << head.number(1), head.number(8), head.number(8)
    checked_sum(headers, head, head.at - 24)
    if block == UNDEFINED:
        return
    data, start = table.owned(block, b"DB")
    if count <= page:
        yield from table.rows(data, count, 0)
        checked_sum(headers, data, start)
        return
    written = bytes(data.take((-(-count // page) + 7) // 8))
    checked_sum(headers, data, start)
    yield from table.pages(data, count, 0, page, written)


def _growing(headers: Headers, grid: Grid, address: int, said: Cursor) -> Iterator[Chunk]:
    table = Rows(headers, grid, address, b"EA")
    head = table.head(address, None, b"HD")
    table.set_width(head.number(1))
    bits, direct, least, pointers, page_bits = (head.number(1) for _ in range(5))
    head.take(48)
    block = head.number(8)
    checked_sum(headers, head, head.at - 68)
    if (
        least & least - 1
        or pointers & pointers - 1
        or not least
        or not pointers
        or not 0 < bits <= 64
        or page_bits > 32
    ):
        raise FormatError("an index of parts whose blocks do not double", address)
    if block == UNDEFINED:
        return
    widths = _Widths(bits, least, page_bits)
    near = 2 * (pointers.bit_length() - 1)
    data, start = table.owned(block, b"IB")
    yield from table.rows(data, direct, 0)
    blocks = [data.number(8) for _ in range(sum(widths.blocks(level) for level in range(near)))]
    tables = [data.number(8) for _ in range(near, widths.levels)]
    checked_sum(headers, data, start)
    number, later = direct, iter(blocks)
    for level in range(widths.levels):
        count = widths.rows(level)
        if level < near:
            for _ in range(widths.blocks(level)):
                yield from _growing_block(table, widths, next(later), count, number)
                number += count
        else:
            yield from _growing_table(table, widths, tables[level - near], level, number)
            number += count * widths.blocks(level)


@dataclass(frozen=True, slots=True)
class _Widths:
    """The plan of an array that grows: its levels have more and more blocks of more and more rows."""

    bits: int
    least: int
    page_bits: int

    @property
    def levels(self) -> int:
        return 1 + self.bits - (self.least.bit_length() - 1)

    @property
    def offset(self) -> int:
        """Bytes of a count of rows."""
        return (self.bits + 7) // 8

    def blocks(self, level: int) -> int:
        return 1 << level // 2

    def rows(self, level: int) -> int:
        return self.least << (level + 1) // 2

    def bitmap(self, level: int) -> int:
        """Bytes that say which pages of a block were written; none where it has no pages."""
        rows, page = self.rows(level), 1 << self.page_bits
        return (rows // page + 7) // 8 if rows > page else 0


def _growing_table(table: Rows, widths: _Widths, address: int, level: int, first: int) -> Iterator[Chunk]:
    if address == UNDEFINED:
        return
    data, start = table.owned(address, b"SB")
    data.take(widths.offset)
    count, size = widths.blocks(level), widths.bitmap(level)
    written = bytes(data.take(count * size))
    blocks = data.part(8 * count)
    checked_sum(table.headers, data, start)
    rows = widths.rows(level)
    pages = rows >> widths.page_bits
    for number in range(count):
        block = blocks.number(8)
        yield from _growing_block(table, widths, block, rows, first + number * rows, written, number * pages)


def _growing_block(
    table: Rows, widths: _Widths, address: int, count: int, first: int, written: bytes = b"", bit: int = 0
) -> Iterator[Chunk]:
    if address == UNDEFINED:
        return
    data, start = table.owned(address, b"DB")
    data.take(widths.offset)
    if count > 1 << widths.page_bits:
        if not written:
            raise FormatError("an index of parts has pages where it says nothing of them", start)
        checked_sum(table.headers, data, start)
        yield from table.pages(data, count, first, 1 << widths.page_bits, written, bit)
        return
    yield from table.rows(data, count, first)
    checked_sum(table.headers, data, start)


INDEXES: Final[dict[int, Index]] = {
    OLD: _old,
    SINGLE: _single,
    IMPLICIT: _implicit,
    FIXED: _fixed,
    GROWING: _growing,
    TREE: _tree,
}


def chunks(headers: Headers, grid: Grid, way: int, address: int, said: Cursor) -> Iterator[Chunk]:
    """The parts that were written, of an array whose account is kept in that ``way`` at ``address``."""
    index = INDEXES.get(way)
    if index is None:
        raise FormatError(f"account of an array's parts is kept in way {way}, which is not known", said.at)
    return iter(()) if address == UNDEFINED else index(headers, grid, address, said)
