"""Attributes that are plain values: texts, numbers, and arrays of either.

Strategy: they are read here, from the headers, and never by HDF5's library, which believes what an attribute says of its own
length. An attribute has a name, a datatype, a shape and its bytes, of which there must be as many as those say.

Source: HDF5 File Format Specification 3.0, IV.A.2.m.
"""

from collections.abc import Iterator
from math import prod
from typing import Any, Final

import numpy as np

from holdfast.errors import FormatError, LimitError
from holdfast.formats.document.arrays import array_document
from holdfast.formats.hdf5 import dense
from holdfast.formats.hdf5.datatypes import Element, read_element
from holdfast.formats.hdf5.headers import ATTRIBUTE, ATTRIBUTES, SHARED, Headers, Message, shared_element
from holdfast.formats.hdf5.heaps import Heaps
from holdfast.formats.jld2.cursor import Cursor
from holdfast.formats.jld2.objects import Space, read_space
from holdfast.wire.values import MAX_VALUES

SKIPPED: Final = object()
BLANKS: Final = 2
"""How a text is filled up that ends with blanks."""


class Attributes:
    """The attributes of the objects of one file, each object's read once."""

    def __init__(self, headers: Headers, heaps: Heaps) -> None:
        self.headers, self.heaps, self.left = headers, heaps, MAX_VALUES
        self._found: dict[int, dict[str, Any]] = {}

    def of(self, address: int) -> dict[str, Any]:
        """The plain attributes of the object at ``address``, as wire values, by name.

        Raises FormatError for one that breaks off or says that it is longer than it is.
        """
        if address not in self._found:
            read = (self._attribute(body) for body in self._bodies(self.headers.checked(address)))
            self._found[address] = {name: value for name, value in read if value is not SKIPPED}
        return dict(self._found[address])

    def _bodies(self, messages: Iterator[Message]) -> Iterator[Cursor]:
        for kind, flags, body in messages:
            if kind in (ATTRIBUTE, ATTRIBUTES) and flags & SHARED:
                raise FormatError("an attribute stands in a table for many objects: it is not read", body.at)
            if kind == ATTRIBUTE:
                yield body
            elif kind == ATTRIBUTES:
                bits = _bits(body)
                body.take(2 if bits & 1 else 0)
                yield from dense.dense(self.headers, dense.ATTRIBUTES, body.number(8), body.number(8))

    def _attribute(self, body: Cursor) -> tuple[str, Any]:
        """Name and value; or SKIPPED, where it is of no plain kind."""
        at = body.at
        self.left -= 1
        if self.left < 0:
            raise LimitError(f"the file holds more than {MAX_VALUES:,} attributes")
        version, bits = body.number(1), body.number(1)
        sizes = [body.number(2) for _ in range(3)]
        if version not in (1, 2, 3) or (bits & 2 and version > 1):
            raise FormatError(f"an attribute of version {version}, or whose shape stands elsewhere", at)
        body.take(1 if version == 3 else 0)
        parts = [_part(body, size, version) for size in sizes]
        name = bytes(parts[0].take(parts[0].left)).partition(b"\0")[0].decode("utf-8", "surrogateescape")
        element = shared_element(self.headers, parts[1]) if bits & 1 and version > 1 else read_element(parts[1])
        space = read_space(parts[2])
        return name, self._value(element, space, body)

    def _value(self, element: Element, space: Space, body: Cursor) -> Any:
        if space.size is None:
            return SKIPPED
        count = prod(space.size)
        if count * element.size > body.left:
            raise FormatError(f"an attribute of {count * element.size:,} bytes has {body.left:,} in the file", body.at)
        raw = body.take(count * element.size)
        if element.kind in ("text", "heap text"):
            return self._texts(element, space, raw, count)
        if element.kind not in ("number", "bool") or element.dtype is None:
            return SKIPPED
        array = np.frombuffer(raw, element.dtype).reshape(space.size)
        array = array != 0 if element.kind == "bool" else array.copy()
        return _plain(array[()]) if space.scalar else array_document(array, python="numpy.ndarray")

    def _texts(self, element: Element, space: Space, raw: memoryview, count: int) -> Any:
        self.left -= count
        if self.left < 0 or not element.size:
            raise LimitError(f"the attributes of the file hold more than {MAX_VALUES:,} texts, or texts of no bytes")
        words = [raw[at : at + element.size] for at in range(0, count * element.size, element.size)]
        texts = [self.heaps.text(word) if element.kind == "heap text" else _text(word, element) for word in words]
        return texts[0] if space.scalar else texts


def _bits(body: Cursor) -> int:
    """The flags of where many attributes are, behind its version."""
    at = body.at
    if body.number(1):
        raise FormatError("the place of many attributes is said in a version that is not known", at)
    return body.number(1)


def _part(body: Cursor, size: int, version: int) -> Cursor:
    """One of the parts before the value; the oldest version fills each up to eight bytes."""
    part = body.part(size)
    body.take(-size % 8 if version == 1 else 0)
    return part


def _text(raw: memoryview, element: Element) -> str:
    """A text of fixed length, without what fills it up."""
    data = bytes(raw)
    if element.filled == BLANKS:
        data = data.rstrip(b" \0")
    return (data.rstrip(b"\0") if element.filled else data.partition(b"\0")[0]).decode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    """A number as a wire value."""
    plain = value.item()
    if isinstance(plain, bool | float) or (isinstance(plain, int) and -(2**63) <= plain < 2**63):
        return plain
    return SKIPPED
