"""What a document is made of, and the limits that hold for every document.

Strategy: BSON's own types are Python's where Python has them (``dict``, ``list``, ``str``, ``int`` for int64,
``float``, ``bool``, ``None``); the few that it lacks are the small classes below. Nothing here knows what a
document means.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any, Final, TypeAlias

MAX_DEPTH: Final = 500
"""Documents inside documents. Real BSON.jl files were seen 55 deep; our own writer never goes deeper than 250."""
MAX_KEY: Final = 65_536
"""Bytes of one name. The longest parameter names in public models have a few hundred."""
MAX_VALUES: Final = 20_000_000
"""Values in one file, array elements not counted: what fits in the memory of a small machine."""
MAX_BLOB: Final = 2**31 - 1
"""Bytes of one binary: BSON's lengths are int32."""

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1


class Int32(int):
    """A BSON int32; a plain ``int`` is an int64."""

    __slots__ = ()


class RawText(str):
    """Text whose bytes are not UTF-8, as Julia allows: each odd byte stands as a lone surrogate (PEP 383).

    >>> RawText(b"caf\\xe9".decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    b'caf\\xe9'
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Opaque:
    """A BSON value that BSON.jl does not know (a datetime, a regular expression …), carried as it is."""

    kind: int
    data: bytes


@dataclass(slots=True, eq=False)
class Blob:
    """Contiguous bytes that are moved and never looked at.

    ``sealed`` blobs are array data: they are aligned in the file and carry their own ``checksum``; the bytes of the
    others belong to the frame. ``offset`` is the place in the file that a blob was read from.
    """

    data: memoryview
    sealed: bool = False
    checksum: int | None = None
    offset: int | None = None
    subtype: int = 0

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]


ANY_BLOB: Final = Blob(memoryview(b""), sealed=True)
"""Stands in a model that was read for the blob of each document that is like it."""

Value: TypeAlias = Any
"""None, bool, int, Int32, float, str, RawText, Blob, Opaque, a list of values, a Document or an Alike."""

Document: TypeAlias = dict[str, Value]

Bytes: TypeAlias = bytes | mmap
"""What is read: has ``find``, gives ints by index and bytes by slice."""

Skipping: TypeAlias = Callable[[int], object]
"""Is told the position at which the reader goes on after a long binary."""


@dataclass(slots=True, eq=False)
class Alike:
    """A document with the very bytes of ``model`` but for the data and the checksum of its one sealed blob.

    The writer copies such a document's bytes instead of writing them anew, and the reader knows it by its bytes
    instead of reading it anew: thousands of small arrays of one kind cost little more than their data.

    >>> alike = Alike({"tag": "array", "size": [2], "data": Blob(memoryview(b""), True)}, Blob(memoryview(b"ab"), True))
    >>> alike.document()["size"], bytes(alike.document()["data"].data)
    ([2], b'ab')
    """

    model: Document
    blob: Blob

    def document(self, copied: Callable[[Value, Value], None] = lambda old, new: None) -> Document:
        """The document itself, no part of it shared with ``model``; ``copied`` is told of every container."""
        root: Document = {}
        stack: list[tuple[Any, Any]] = [(self.model, root)]
        while stack:
            old, new = stack.pop()
            copied(old, new)
            for key, value in old.items() if isinstance(old, dict) else enumerate(old):
                if type(value) is Blob and value.sealed:
                    value = self.blob
                elif isinstance(value, dict | list):
                    child: Any = {} if isinstance(value, dict) else []
                    stack.append((value, child))
                    value = child
                if isinstance(new, dict):
                    new[key] = value
                else:
                    new.append(value)
        return root


@dataclass(slots=True)
class Reading:
    """What the reader found: the document, its sealed blobs in file order, and whether Holdfast wrote it."""

    document: Document
    sealed: bool
    blobs: list[Blob] = field(default_factory=list)


def same_value(a: Value, b: Value) -> bool:
    """Whether two wire values have the same bytes: types count, NaN equals itself, key order is free.

    >>> same_value({"a": 1, "b": Int32(1)}, {"b": Int32(1), "a": 1}), same_value(1, Int32(1)), same_value(0.0, -0.0)
    (True, False, False)
    """
    pairs = [(a, b)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if a.keys() != b.keys():
                return False
            pairs.extend((a[key], b[key]) for key in a)
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            pairs.extend(zip(a, b, strict=True))
        elif type(a) is not type(b) or (a.hex() != b.hex() if isinstance(a, float) else a != b):
            return False
    return True
