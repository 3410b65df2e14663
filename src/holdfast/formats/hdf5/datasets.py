"""What the header of a dataset says: shape, datatype, where the data are, what was done to them.

Strategy: the messages that matter become one plain row; one that would lead out of the file is refused. The four versions in
which HDF5 says where data are come out as one of three kinds: within the header, in one piece, in parts.

Source: HDF5 File Format Specification 3.0, IV.A.2.b, e, f, i and l; layouts of version 5 as HDF5 2.0 writes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

from holdfast.errors import FormatError
from holdfast.formats.foreign.filters import Filter
from holdfast.formats.hdf5.chunks import GROWING, IMPLICIT, OLD, SINGLE, Chunk, Grid, chunks
from holdfast.formats.hdf5.datatypes import Element, read_element
from holdfast.formats.hdf5.headers import (
    DATATYPE,
    ELSEWHERE,
    FILL,
    FILTERS,
    LAYOUT,
    OLD_FILL,
    SHARED,
    SPACE,
    Headers,
    shared_element,
)
from holdfast.formats.jld2.cursor import UNDEFINED, Cursor
from holdfast.formats.jld2.objects import MESSAGES, Object, Space, read_space

WITHIN, WHOLE, IN_PARTS, VIRTUAL = 0, 1, 2, 3
"""Kinds of layouts."""
EXTRA: Final = {0: 0, 1: 0, 2: 0, 3: 1, 4: 5, 5: 6}
"""Way of keeping account of parts -> bytes of its settings in a layout; of the second they depend."""
UNLIMITED: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the data stand: ``raw`` in the header, at an ``address`` in one piece of ``size`` bytes, or in parts of ``span``
    elements, of which account is kept there in some ``way``, with settings at ``said``."""

    kind: int
    address: int = UNDEFINED
    size: int | None = None
    raw: Cursor | None = None
    span: tuple[int, ...] = ()
    way: int = OLD
    said: Cursor | None = None
    single: bool = False
    """Of one part alone: whether it is filtered."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset; ``most`` is how large it may become along each axis, None without a bound."""

    space: Space
    most: tuple[int | None, ...]
    element: Element
    layout: Layout
    filters: tuple[Filter, ...]
    fill: bytes

    @property
    def nbytes(self) -> int:
        return prod(self.space.size or ()) * self.element.size

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one part, unpacked."""
        return prod(self.layout.span) * self.element.size

    def chunks(self, headers: Headers) -> Iterator[Chunk]:
        """The parts that were written."""
        layout, size = self.layout, self.space.size or ()
        said = layout.said or Cursor(headers.data, 0, 0, "a layout")
        if layout.way == GROWING and self.most.count(None) != 1:
            raise FormatError("an array that grows has one axis without a bound", said.at)
        filtered = layout.single if layout.way == SINGLE else bool(self.filters)
        most = size if layout.way == IMPLICIT and None in self.most else self.most
        grid = Grid(layout.span, self.chunk_bytes, most, filtered)
        return chunks(headers, grid, layout.way, layout.address, Cursor(said.data, said.at, said.end, said.what))


def read_dataset(headers: Headers, address: int) -> Dataset:
    """The dataset at ``address``. Raises FormatError for one whose values are elsewhere, or that does not agree with itself."""
    space, element, layout, fills = Space(None), None, None, dict[int, bytes]()
    most: tuple[int | None, ...] = ()
    row = Object(address)
    for kind, flags, body in headers.checked(address):
        if flags & SHARED and kind in (SPACE, FILL, OLD_FILL, LAYOUT, FILTERS):
            raise FormatError("a part of a header stands in a table for many objects: it is not read", body.at)
        if kind == SPACE:
            space, most = read_space(_again(body)), _most(body)
        elif kind == DATATYPE:
            element = shared_element(headers, body) if flags & SHARED else read_element(body)
        elif kind in (FILL, OLD_FILL):
            fills[kind] = bytes(_fill(body) if kind == FILL else body.take(body.number(4)))
        elif kind == LAYOUT:
            layout = _layout(body)
        elif kind in (FILTERS, ELSEWHERE):
            MESSAGES[kind](row, body, flags)
    if element is None or layout is None:
        raise FormatError(f"the array at address {address:,} has no datatype, or no place")
    fill = fills.get(FILL, b"") or fills.get(OLD_FILL, b"")
    if fill and len(fill) != element.size:
        raise FormatError(f"what fills an array of elements of {element.size:,} bytes has {len(fill):,}")
    found = Dataset(space, most, element, layout, row.filters, fill)
    if layout.kind == IN_PARTS:
        axes = len(space.size or ())
        # The last number is the size of an element.
        if len(layout.span) != axes + 1 or layout.span[-1] != element.size or 0 in layout.span:
            raise FormatError(f"an array of {axes} axes stands in parts of {layout.span}")
        parts = Layout(**{**{name: getattr(layout, name) for name in Layout.__slots__}, "span": layout.span[:-1]})
        return Dataset(space, most, element, parts, row.filters, fill)
    return found


def _again(body: Cursor) -> Cursor:
    return Cursor(body.data, body.at, body.end, body.what)


def _most(body: Cursor) -> tuple[int | None, ...]:
    """How large an array may become, from the message of its shape."""
    version, axes, bits = body.number(1), body.number(1), body.number(1)
    body.take(5 if version == 1 else 1)
    now = [body.number(8) for _ in range(axes)]
    most = [body.number(8) for _ in range(axes)] if bits & 1 else now
    return tuple(None if one == UNLIMITED else one for one in most)


def _fill(body: Cursor) -> memoryview:
    """What fills an array; nothing where that is zeros."""
    version, bits = body.number(1), body.number(1)
    if version >= 3:
        return body.take(body.number(4) if bits & 0x20 else 0)
    body.take(1)
    return body.take(body.number(4) if body.number(1) else 0)


def _layout(body: Cursor) -> Layout:
    at, version = body.at, body.number(1)
    if version in (1, 2):
        return _old_layout(body)
    kind = body.number(1)
    if version not in (3, 4, 5) or kind > VIRTUAL:
        raise FormatError(f"a layout of version {version} and kind {kind}", at)
    if kind == VIRTUAL:
        raise FormatError("a virtual dataset, which takes its values from elsewhere: it is not followed", at)
    if kind == WITHIN:
        return Layout(WITHIN, raw=body.part(body.number(2)))
    if kind == WHOLE:
        return Layout(WHOLE, body.number(8), body.number(8))
    if version == 3:
        axes, address = body.number(1), body.number(8)
        return Layout(IN_PARTS, address, span=tuple(body.number(4) for _ in range(axes)))
    bits, axes, width = body.number(1), body.number(1), body.number(1)
    if not 0 < width <= 8:
        raise FormatError(f"parts of an array whose sizes have {width} bytes", at)
    span, way = tuple(body.number(width) for _ in range(axes)), body.number(1)
    size = 12 * bool(bits & 2) if way == SINGLE else EXTRA.get(way, 0)
    said = body.part(size)
    return Layout(IN_PARTS, body.number(8), None, None, span, way, said, bool(bits & 2))


def _old_layout(body: Cursor) -> Layout:
    """Where data are, as HDF5 wrote it until 1.6.2."""
    at = body.at
    axes, kind = body.number(1), body.number(1)
    body.take(5)
    address = body.number(8) if kind != WITHIN else UNDEFINED
    span = tuple(body.number(4) for _ in range(axes))
    if kind == IN_PARTS:
        return Layout(IN_PARTS, address, span=span)
    if kind == WHOLE:
        return Layout(WHOLE, address)
    if kind != WITHIN:
        raise FormatError(f"a layout of kind {kind}", at)
    return Layout(WITHIN, raw=body.part(body.number(4)))
