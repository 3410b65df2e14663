"""Documents that are alike, known by their bytes.

Strategy: an array's document is read once in full. After that, a document that has the same bytes up to its checksum,
from there to its data, and after the data, is the same document with another blob: it is not read again. What is
compared is every byte that the reader would look at, so both ways give the same document, and the same errors.
"""

from dataclasses import dataclass
from typing import Any, Final

from holdfast.wire.elements import I64
from holdfast.wire.plan import LARGE, SUM_HEAD, alignment
from holdfast.wire.values import ANY_BLOB, Alike, Blob, Bytes, Document, Skipping

MAX_HEAD: Final = 1024
"""Bytes before the checksum up to which a document is looked at; that of an array has about 200."""


@dataclass(slots=True)
class Pattern:
    """A document with one sealed blob: the bytes around checksum and data, and what was read from them."""

    head: bytes
    gap: int
    """Bytes from the start of the checksum to the data."""
    between: bytes
    size: int
    multiple: int
    """On what the data must be aligned."""
    after: bytes
    model: Document
    values: int
    depth: int


class Patterns:
    """The patterns of one file, by their bytes up to the checksum."""

    def __init__(self, data: Bytes, blobs: list[Blob], skipping: Skipping | None = None) -> None:
        self.data = data
        self.skipping = skipping
        self.view = memoryview(data)
        self.blobs = blobs
        self.known: dict[bytes, Pattern] = {}
        self.last: Pattern | None = None

    def match(self, start: int, left: int, room: int) -> tuple[Alike, int, int] | None:
        """The document at ``start`` if it is like one that was read before, the position past it, and what is left of
        the file's ``left`` values. One that would be deeper than ``room`` levels is left to the full reading."""
        data, pattern = self.data, self.last  # what is alike stands together
        if pattern is None or data[start : (seal := start + len(pattern.head))] != pattern.head:
            pattern = self.last = self.known.get(head := self._head(start))
            seal = start + len(head)
        if pattern is None or pattern.values >= left or pattern.depth > room:
            return None
        begin = seal + pattern.gap
        stop = begin + pattern.size
        end = stop + len(pattern.after)
        if self.skipping is not None and pattern.size >= LARGE:
            self.skipping(stop)
        if (
            data[seal + I64.size : begin] != pattern.between
            or data[stop:end] != pattern.after
            or begin % pattern.multiple
        ):
            return None
        blob = Blob(self.view[begin:stop], True, I64.unpack_from(data, seal)[0], begin)
        self.blobs.append(blob)
        return Alike(pattern.model, blob), end, left - pattern.values

    def _head(self, start: int) -> bytes:
        """The bytes of the document at ``start`` up to its checksum."""
        return self.data[start : self.data.find(SUM_HEAD, start, start + MAX_HEAD) + len(SUM_HEAD)]

    def learn(self, document: Document, start: int, end: int, blob: Blob, seal: int) -> None:
        """Remember the document from ``start`` to ``end``, which holds ``blob``, whose checksum is at ``seal``, and no
        other sealed one."""
        begin = blob.offset or 0
        stop = begin + blob.nbytes
        if seal - start > MAX_HEAD or end - stop > MAX_HEAD:
            return
        model = Alike(document, ANY_BLOB).document()
        between, after = self.data[seal + I64.size : begin], self.data[stop:end]
        head, multiple = self.data[start:seal], alignment(blob.nbytes)
        self.known[head] = Pattern(
            head, begin - seal, between, blob.nbytes, multiple, after, model, _values(model), _depth(model)
        )


def _values(container: Any) -> int:
    """The elements below ``container`` as the reader counts them: checksum and padding are two more."""
    children = list(container.values()) if isinstance(container, dict) else container
    inner = sum(_values(child) for child in children if isinstance(child, dict | list))
    return len(children) + inner + 2 * any(type(child) is Blob and child.sealed for child in children)


def _depth(container: Any) -> int:
    children = container.values() if isinstance(container, dict) else container
    return 1 + max((_depth(child) for child in children if isinstance(child, dict | list)), default=0)
