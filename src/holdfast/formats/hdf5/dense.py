"""Attributes and links in HDF5's form for many: a tree that names them, and a heap that holds them.

Strategy: the tree is gone through node by node, the heap is asked for what each of its records names. Every node and block
must be in the file, say what it is and whose, have a right checksum, and be met once. The heap's own room is a table of
blocks that grow by doubling; a place in it leads to its block by arithmetic alone.

Source: HDF5 File Format Specification 3.0, III.A.2 (trees of version 2) and III.G (fractal heaps).
"""

from collections.abc import Collection, Iterator
from typing import Final

from holdfast.errors import ChecksumError, FormatError
from holdfast.formats.hdf5.headers import Headers
from holdfast.formats.jld2.cursor import UNDEFINED, Cursor
from holdfast.formats.jld2.lookup3 import lookup3

HUGE, LINKS, ATTRIBUTES = 1, 5, 8
"""Kinds of trees: what is too large for the blocks of a heap, links and attributes by their names."""
RECORD: Final = {HUGE: 24, LINKS: 11, ATTRIBUTES: 17}
"""Bytes of a record of each."""
NODE: Final = 10
"""Bytes of a node beside its records and the places of its children."""
HEAP_ID: Final = {LINKS: slice(4, 11), ATTRIBUTES: slice(0, 8)}
"""Where a record has the name that the heap gave."""
MAX_DEPTH: Final = 16


def dense(headers: Headers, kind: int, heap_address: int, tree: int) -> Iterator[Cursor]:
    """What each record of a tree names, in the heap; nothing where there are none."""
    if UNDEFINED in (heap_address, tree):
        return
    place = HEAP_ID[kind]
    heap = Heap(headers, heap_address, place.stop - place.start)
    for record in records(headers, tree, kind, [RECORD[kind]]):
        if kind == ATTRIBUTES and record[place.stop] & 2:
            raise FormatError("an attribute stands in a table for many objects: it is not read", heap_address)
        yield heap.get(bytes(record[place]))


# -- the tree ---------------------------------------------------------------------------------------------------------


def records(headers: Headers, address: int, kind: int, sizes: Collection[int]) -> Iterator[memoryview]:
    """The records of a tree, each of one of these ``sizes``."""
    head = _signed(headers, address, 38, b"BTHD", kind, "a tree")
    size, width, depth = head.number(4), head.number(2), head.number(2)
    head.take(2)
    root, count = head.number(8), head.number(2)
    if width not in sizes or size <= NODE + width or depth > MAX_DEPTH:
        raise FormatError(f"a tree {depth} deep, of nodes of {size:,} bytes and records of {width}", head.at)
    counts, totals = _widths(size, width, depth)
    waiting, done = [(root, count, depth)] if root != UNDEFINED else [], set[int]()
    while waiting:
        place, count, level = waiting.pop()
        if place in done:
            raise FormatError("a tree grows into itself", place)
        done.add(place)
        child = 8 + counts + totals[level - 1] if level else 0
        used = NODE + count * width + (count + 1) * child
        if used > size:
            raise FormatError(f"a node of {size:,} bytes is said to use {used:,}", place)
        node = _signed(headers, place, used, b"BTIN" if level else b"BTLF", kind, "a node of a tree")
        yield from (node.take(width) for _ in range(count))
        for _ in range(count + 1 if level else 0):
            waiting.append((node.number(8), node.number(counts), level - 1))
            node.take(totals[level - 1])


def _widths(size: int, record: int, depth: int) -> tuple[int, list[int]]:
    """Bytes of a count of records in a node, and of a count of those below one, by the depth of what is below it."""
    most = total = (size - NODE) // record
    counts, totals = _width(most), [0]
    for _ in range(depth):
        child = 8 + counts + totals[-1]
        most = max((size - NODE - child) // (record + child), 0)
        total = (most + 1) * total + most
        totals.append(_width(total))
    return counts, totals


def _width(number: int) -> int:
    """Bytes that a number up to ``number`` takes."""
    return (max(number, 1).bit_length() + 7) // 8


# -- the heap ---------------------------------------------------------------------------------------------------------


class Heap:
    """What one heap holds, by the names that it gave."""

    def __init__(self, headers: Headers, address: int, length: int) -> None:
        self.headers, self.address = headers, address
        head = headers.cursor(address, None, "a heap")
        start = head.at
        _expect(head, b"FRHP")
        name, filters, self.bits, self.largest = head.number(2), head.number(2), head.number(1), head.number(4)
        if filters or name != length:
            raise FormatError("a heap that is compressed, or gives names of another size", start)
        head.take(8)
        self.huge = head.number(8)
        head.take(8 + 8 + 8 + 8 + 8 + 8 + 8 + 8 + 8 + 8)
        self.columns, self.first, self.direct = head.number(2), head.number(8), head.number(8)
        bits = head.number(2)
        head.take(2)
        self.root, self.rows = head.number(8), head.number(2)
        checked_sum(headers, head, start)
        powers = all(0 < one < 2**32 and not one & one - 1 for one in (self.columns, self.first, self.direct))
        if not powers or self.direct < self.first or not 0 < bits <= 64:
            raise FormatError("a heap whose blocks do not double", start)
        self.offset = (bits + 7) // 8
        self.length = min((_log2(self.direct) + 7) // 8, _width(self.largest))
        self._blocks, self._tables = dict[int, Cursor](), dict[int, Cursor]()
        self._large: dict[bytes, tuple[bytes, bytes]] | None = None

    def get(self, name: bytes) -> Cursor:
        """What ``name`` names."""
        kind = name[0] >> 4
        if kind not in (0, 1):
            raise FormatError("a name in a heap, of a kind that is not known", self.address)
        if kind == 1:
            return self._of_large(int.from_bytes(name[1:], "little"))
        place = int.from_bytes(name[1 : 1 + self.offset], "little")
        length = int.from_bytes(name[1 + self.offset : 1 + self.offset + self.length], "little")
        block, inside = self._block(place)
        if inside < block.at or length > block.end - inside:
            raise FormatError(f"what takes {length:,} bytes is said to stand across a block of a heap", inside)
        return Cursor(block.data, inside, inside + length, "an entry of a heap")

    def _of_large(self, number: int) -> Cursor:
        if self._large is None:
            raw = [bytes(record) for record in records(self.headers, self.huge, HUGE, [RECORD[HUGE]])]
            self._large = {one[16:]: (one[:8], one[8:16]) for one in raw}
        found = self._large.get(number.to_bytes(8, "little"))
        if found is None:
            raise FormatError(f"entry {number} of a heap is not there", self.address)
        address, length = (int.from_bytes(part, "little") for part in found)
        self.headers.spend(length)
        return self.headers.cursor(address, length, "an entry of a heap")

    def _block(self, place: int) -> tuple[Cursor, int]:
        """The block in which a place of the heap is, behind its own head, and the byte of the file that is meant."""
        address, rows, start = self.root, self.rows, 0
        while rows:
            table = self._table(address, rows, start)
            row, column, size, begin = self._cell(place - start)
            if row >= rows:
                raise FormatError(f"place {place:,} of a heap is beyond its {rows} rows", table.at)
            table.take(8 * (row * self.columns + column))
            address, start = table.number(8), start + begin
            rows = _log2(size) - _log2(self.first * self.columns) + 1 if size > self.direct else 0
        if address not in self._blocks:
            size = self.first if not self.rows else size
            self._blocks[address] = self._direct(address, start, size)
        block = self._blocks[address]
        return block, block.at - self._head - 4 * bool(self.bits & 2) + place - start

    @property
    def _head(self) -> int:
        """Bytes of the head of a block, without its checksum."""
        return 13 + self.offset

    def _cell(self, place: int) -> tuple[int, int, int, int]:
        """Row, column, size and first place of the cell in which a place of a table is."""
        across = self.first * self.columns
        row = (place // across).bit_length()
        size, begin = (self.first, 0) if not row else (self.first << row - 1, across << row - 1)
        column = (place - begin) // size
        return row, column, size, begin + column * size

    def _table(self, address: int, rows: int, start: int) -> Cursor:
        """The addresses in a table of blocks; a cell of every row that there is."""
        used = 8 * rows * self.columns
        if address not in self._tables:
            table = self.headers.cursor(address, self._head + used + 4, "a table of blocks")
            self._belongs(table, b"FHIB", start)
            cells = table.part(used)
            checked_sum(self.headers, table, table.at - used - self._head)
            self._tables[address] = cells
        cells = self._tables[address]
        return Cursor(cells.data, cells.at, cells.end, cells.what)

    def _direct(self, address: int, start: int, size: int) -> Cursor:
        """The room of a block for what it holds."""
        block = self.headers.cursor(address, size, "a block of a heap")
        self._belongs(block, b"FHDB", start)
        if self.bits & 2:
            whole, at = bytearray(block.data[block.at - self._head : block.end]), self._head
            said, whole[at : at + 4] = block.number(4), bytes(4)
            self.headers.spend(size)
            if lookup3(bytes(whole)) != said:
                raise ChecksumError(f"a block of a heap at byte {block.at:,} has changed since it was written")
        return block

    def _belongs(self, block: Cursor, signature: bytes, start: int) -> None:
        at = block.at
        _expect(block, signature)
        if (block.number(8), block.number(self.offset)) != (self.address, start):
            raise FormatError("a block of a heap is another heap's, or stands elsewhere in it", at)


def _log2(number: int) -> int:
    """The exponent of a power of two."""
    return number.bit_length() - 1


# -- what both are made of --------------------------------------------------------------------------------------------


def _signed(headers: Headers, address: int, length: int, signature: bytes, kind: int, what: str) -> Cursor:
    """A part with a checksum at its end, behind its signature, version and the kind of tree that it is of."""
    whole = headers.cursor(address, length, what)
    start = whole.at
    _expect(whole, signature)
    if whole.number(1) != kind:
        raise FormatError(f"{what} is of another kind than is said", start)
    inner = whole.part(length - 10)
    checked_sum(headers, whole, start)
    return inner


def _expect(cursor: Cursor, signature: bytes) -> None:
    """Pass over a signature and a version, which is 0."""
    at = cursor.at
    if bytes(cursor.take(5)) != signature + b"\0":
        raise FormatError(f"{cursor.what} does not stand where it is said to", at)


def checked_sum(headers: Headers, cursor: Cursor, start: int) -> None:
    """Hold the bytes from ``start`` up to the cursor against the checksum at the cursor."""
    headers.spend(cursor.at - start)
    if lookup3(cursor.data[start : cursor.at]) != cursor.number(4):
        raise ChecksumError(f"{cursor.what} at byte {start:,} has changed since it was written")
