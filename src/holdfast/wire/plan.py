"""Document to bytes: every length and offset is known before a byte moves.

Strategy: one pass writes all that is not array data into one ``frame`` and notes where each blob cuts it. A document's
length is patched when the document closes. A sealed blob gets a checksum and padding in front, so that a mapped file is
a usable array; the trailer ``_holdfast`` closes the file with the checksum of the frame. Where many values are of one
type they are written together. Documents that are alike but for their blob are written once for each place that they
have between two multiples of the alignment, and copied after that.

Sources: bsonspec.org 1.1; BSON.jl ignores keys that it does not know and every document's length, so a length that does
not fit in 32 bits is written modulo 2**32 (below 2 GiB that is plain BSON).
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from holdfast.errors import LimitError, UnsupportedError
from holdfast.wire import numbers
from holdfast.wire.elements import ARRAY, BINARY, DOCUMENT, END, INT64, MANY, SCALARS, U32, indices, names
from holdfast.wire.values import MAX_BLOB, MAX_DEPTH, Alike, Blob, Document, Opaque

ALIGNMENT: Final = 64
"""Bytes. What vector instructions and torch want."""
PAGE: Final = 4096
"""Bytes. Large arrays start on a page, so that they can be read with O_DIRECT and mapped on their own."""
LARGE: Final = 65_536
"""Bytes from which an array counts as large."""

VERSION: Final = 1
TRAILER: Final = b"\x03_holdfast\0\x20\0\0\0\x10version\0%c\0\0\0\x12xxh3\0" % VERSION + bytes(8) + b"\0\0"
"""The last bytes of a file: the element ``_holdfast`` with the version and the frame's XXH3-64, and the root's end."""
HASH_AT: Final = len(TRAILER) - 10
"""Where in the trailer the checksum stands; all bytes before it are covered by it."""


def alignment(nbytes: int) -> int:
    """On a multiple of what an array of ``nbytes`` stands in a file."""
    return PAGE if nbytes >= LARGE else ALIGNMENT


@dataclass(slots=True)
class Plan:
    """A file to be: ``frame`` cut by blobs.

    ``cuts`` holds (position in the frame, blob) in file order; ``seals`` holds the frame position of each sealed
    blob's checksum. ``buffers`` gives the file's bytes as a list of views, nothing concatenated.
    """

    frame: bytearray = field(default_factory=bytearray)
    cuts: list[tuple[int, Blob]] = field(default_factory=list)
    seals: list[tuple[int, Blob]] = field(default_factory=list)
    blob_bytes: int = 0
    patterns: dict[tuple[int, int], tuple[bytes, bytes, bytes]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.frame) + self.blob_bytes

    def buffers(self) -> list[memoryview]:
        frame, start, pieces = memoryview(self.frame), 0, []
        for cut, blob in self.cuts:
            pieces += [frame[start:cut], blob.data]
            start = cut
        return [*pieces, frame[start:]]


def plan_document(document: Document, *, trailer: bool = True) -> Plan:
    """Lay out ``document``; the checksums are still zero (see ``checksum.seal``).

    Raises LimitError when it nests too deep or a name or binary is too long, UnsupportedError for a value that is not
    a wire value.

    >>> bytes(plan_document({"a": 1}, trailer=False).frame)
    b'\\x10\\x00\\x00\\x00\\x12a\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00'
    """
    plan = Plan()
    _write(plan, document, TRAILER if trailer else b"\0")
    return plan


def _write(plan: Plan, document: Document, end: bytes) -> None:
    """Write a document at the end of ``plan``; ``end`` closes it."""
    frame, scalar_of, opened = plan.frame, SCALARS.get, [_open(plan, document)]
    while opened:
        start, cut, entries = opened[-1]
        for name, value in entries:
            kind = type(value)
            if scalar := scalar_of(kind):
                code, encode = scalar
                frame += code + name + encode(value)
            elif write := WRITERS.get(kind):
                write(plan, name, value)
            elif isinstance(value, dict | list):  # subclasses are how the codec marks what it has done
                if len(opened) >= MAX_DEPTH:
                    raise LimitError(f"values nest deeper than {MAX_DEPTH} documents")
                if isinstance(value, dict):
                    frame += DOCUMENT_CODE + name
                else:
                    frame += ARRAY_CODE + name
                    if packed := numbers.pack(value):
                        frame += packed
                        continue
                opened.append(_open(plan, value))
                break
            else:
                raise UnsupportedError(f"{kind.__name__} is not a BSON value")
        else:
            opened.pop()
            frame += END if opened else end
            U32.pack_into(frame, cut, (len(frame) + plan.blob_bytes - start) & 0xFFFFFFFF)


DOCUMENT_CODE: Final = bytes([DOCUMENT])
ARRAY_CODE: Final = bytes([ARRAY])
BINARY_CODE: Final = bytes([BINARY])

_Entries = Iterator[tuple[bytes, Any]]
_Open = tuple[int, int, _Entries]
"""Where a container starts in the file and in the frame, and its entries that are still to be written."""


def _open(plan: Plan, container: dict[str, Any] | list[Any]) -> _Open:
    frame = plan.frame
    cut = len(frame)
    frame += b"\0\0\0\0"
    if isinstance(container, dict):
        values: Collection[Any] = container.values()
        entries = zip(names(container), values, strict=True)
    else:
        values, entries = container, zip(indices(len(container)), container, strict=False)
    if len(values) >= MANY and len(kinds := set(map(type, values))) == 1:
        _write_scalars(frame, kinds.pop(), entries)
    return cut + plan.blob_bytes, cut, entries


def _write_scalars(frame: bytearray, kind: type, entries: _Entries) -> None:
    """Write ``entries``, whose values are all of one type, if it is a plain one: many at a time."""
    if scalar := SCALARS.get(kind):
        code, encode = scalar
        while some := list(islice(entries, AT_ONCE)):
            frame += b"".join([code + name + encode(value) for name, value in some])


AT_ONCE: Final = 256
"""Values of one type that are written at a time: what is in between is small, however many there are."""

Writer = Callable[[Plan, bytes, Any], None]
"""Appends one element."""


def _write_opaque(plan: Plan, key: bytes, value: Any) -> None:
    plan.frame += bytes([value.kind]) + key + value.data


def _write_blob(plan: Plan, key: bytes, value: Any) -> None:
    if value.nbytes > MAX_BLOB:
        raise LimitError(f"a binary of {value.nbytes:,} bytes does not fit in BSON")
    head = BINARY_CODE + key + U32.pack(value.nbytes) + bytes([value.subtype])
    if not value.sealed:
        plan.frame += head + value.data
        return
    plan.frame += SUM_HEAD
    plan.seals.append((len(plan.frame), value))
    plan.frame += bytes(8)
    padding = -(plan.size + len(PAD_HEAD) + BINARY_HEAD + len(head)) % alignment(value.nbytes)
    plan.frame += PAD_HEAD + U32.pack(padding) + bytes(1 + padding) + head
    plan.cuts.append((len(plan.frame), value))
    plan.blob_bytes += value.nbytes


SUM_HEAD: Final = bytes([INT64]) + b"xxh3\0"
PAD_HEAD: Final = BINARY_CODE + b"pad\0"
DATA_HEAD: Final = BINARY_CODE + b"data\0"
BINARY_HEAD: Final = 5
"""Bytes of a binary between its name and its data: length and subtype."""


def _write_alike(plan: Plan, key: bytes, value: Any) -> None:
    frame, blob, nbytes = plan.frame, value.blob, value.blob.data.nbytes
    frame += DOCUMENT_CODE + key
    place = id(value.model), (len(frame) + plan.blob_bytes) % (PAGE if nbytes >= LARGE else ALIGNMENT)
    before, between, after = plan.patterns.get(place) or _pattern(plan, place, value.model)
    frame += before
    plan.seals.append((len(frame), blob))
    frame += between
    plan.cuts.append((len(frame), blob))
    frame += after
    plan.blob_bytes += nbytes


def _pattern(plan: Plan, place: tuple[int, int], model: Document) -> tuple[bytes, bytes, bytes]:
    """The bytes of ``model`` up to its checksum, from there to its data, and after it, at that place in a file."""
    alone = Plan(blob_bytes=place[1])
    _write(alone, model, b"\0")
    ((seal, _),), ((cut, _),) = alone.seals, alone.cuts
    frame = bytes(alone.frame)
    pattern = plan.patterns[place] = frame[:seal], frame[seal:cut], frame[cut:]
    return pattern


WRITERS: Final[dict[type, Writer]] = {Opaque: _write_opaque, Blob: _write_blob, Alike: _write_alike}
"""How values are written that are neither plain nor containers."""
