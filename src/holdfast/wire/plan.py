"""Document to bytes: every length and offset is known before a byte moves.

Strategy: one pass writes all that is not array data into one ``frame`` and notes where each blob cuts it. A document's
length is patched when the document closes. A sealed blob gets a checksum and padding in front, so that a mapped file is
a usable array; the trailer ``_holdfast`` closes the file with the checksum of the frame. Documents that are alike but
for their blob are written once for each place that they have between two multiples of the alignment, and copied after
that.

Sources: bsonspec.org 1.1; BSON.jl ignores keys that it does not know and every document's length, so a length that does
not fit in 32 bits is written modulo 2**32 (below 2 GiB that is plain BSON).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any, Final

from holdfast.errors import LimitError, UnsupportedError
from holdfast.wire.values import MAX_BLOB, MAX_DEPTH, MAX_KEY, Alike, Blob, Document, Int32, Opaque, RawText

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

U32: Final = Struct("<I")
I64: Final = Struct("<q")
F64: Final = Struct("<d")


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
    opened, frame = [_open(plan, document)], plan.frame
    while opened:
        start, cut, items = opened[-1]
        for key, value in items:
            kind = type(value)
            if kind is int:  # the most frequent of all
                frame += b"\x12" + key + I64.pack(value)
                continue
            write = WRITERS.get(kind) or _writer_of(value)
            child = write(plan, key, value)
            if child is not None:
                if len(opened) >= MAX_DEPTH:
                    raise LimitError(f"values nest deeper than {MAX_DEPTH} documents")
                opened.append(_open(plan, child))
                break
        else:
            opened.pop()
            plan.frame += b"\0" if opened else end
            U32.pack_into(plan.frame, cut, (plan.size - start) & 0xFFFFFFFF)


_Open = tuple[int, int, Iterator[tuple[bytes, Any]]]


def _open(plan: Plan, container: Any) -> _Open:
    start, cut = plan.size, len(plan.frame)
    plan.frame += b"\0\0\0\0"
    items = _entries(container) if isinstance(container, dict) else _elements(container)
    return start, cut, items


def _entries(document: Document) -> Iterator[tuple[bytes, Any]]:
    return zip(map(_key, document), document.values(), strict=True)


@lru_cache(maxsize=4096)
def _key(name: str) -> bytes:
    """A name as BSON has it; the few that every document repeats are made once."""
    key = name.encode()
    if b"\0" in key:
        raise UnsupportedError(f"the name {name!r} holds a NUL, which BSON's names cannot")
    if len(key) > MAX_KEY:
        raise LimitError(f"a name of {len(key):,} bytes is longer than {MAX_KEY:,}")
    return key + b"\0"


INDICES: Final = tuple(b"%d\0" % index for index in range(1000))
"""The names of an array's first elements, made once."""


def _elements(values: list[Any]) -> Iterator[tuple[bytes, Any]]:
    rest = map(b"%d\0".__mod__, range(len(INDICES), len(values)))
    return zip(chain(INDICES, rest), values, strict=False)


Writer = Callable[[Plan, bytes, Any], "dict[str, Any] | list[Any] | None"]
"""Appends one element; gives the container to descend into, if the value is one."""


def _write_document(plan: Plan, key: bytes, value: Any) -> dict[str, Any]:
    plan.frame += b"\x03" + key
    return value  # type: ignore[no-any-return]


def _write_list(plan: Plan, key: bytes, value: Any) -> list[Any]:
    plan.frame += b"\x04" + key
    return value  # type: ignore[no-any-return]


def _write_null(plan: Plan, key: bytes, value: Any) -> None:
    plan.frame += b"\x0a" + key


def _write_bool(plan: Plan, key: bytes, value: Any) -> None:
    plan.frame += b"\x08" + key + (b"\1" if value else b"\0")


def _write_int(plan: Plan, key: bytes, value: Any) -> None:
    plan.frame += b"\x12" + key + I64.pack(value)


def _write_int32(plan: Plan, key: bytes, value: Any) -> None:
    plan.frame += b"\x10" + key + U32.pack(value & 0xFFFFFFFF)


def _write_float(plan: Plan, key: bytes, value: Any) -> None:
    plan.frame += b"\x01" + key + F64.pack(value)


def _write_text(plan: Plan, key: bytes, value: Any) -> None:
    data = value.encode("utf-8", "surrogateescape" if type(value) is RawText else "strict")
    if len(data) >= MAX_BLOB:
        raise LimitError(f"a text of {len(data):,} bytes does not fit in BSON")
    plan.frame += b"\x02" + key + U32.pack(len(data) + 1) + data + b"\0"


def _write_opaque(plan: Plan, key: bytes, value: Any) -> None:
    plan.frame += bytes([value.kind]) + key + value.data


def _write_blob(plan: Plan, key: bytes, value: Any) -> None:
    if value.nbytes > MAX_BLOB:
        raise LimitError(f"a binary of {value.nbytes:,} bytes does not fit in BSON")
    head = b"\x05" + key + U32.pack(value.nbytes) + bytes([value.subtype])
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


SUM_HEAD: Final = b"\x12xxh3\0"
PAD_HEAD: Final = b"\x05pad\0"
DATA_HEAD: Final = b"\x05data\0"
BINARY_HEAD: Final = 5
"""Bytes of a binary between its name and its data: length and subtype."""


def _write_alike(plan: Plan, key: bytes, value: Any) -> None:
    frame, blob, nbytes = plan.frame, value.blob, value.blob.data.nbytes
    frame += b"\x03" + key
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


# Keyed by exact type: mypy cannot follow such a table, hence the Any in each writer.
WRITERS: dict[type, Writer] = {
    dict: _write_document,
    list: _write_list,
    type(None): _write_null,
    bool: _write_bool,
    int: _write_int,
    Int32: _write_int32,
    float: _write_float,
    str: _write_text,
    RawText: _write_text,
    Opaque: _write_opaque,
    Blob: _write_blob,
    Alike: _write_alike,
}


def _writer_of(value: Any) -> Writer:
    """Subclasses of dict and list are how the codec marks what it has done; anything else is not a wire value."""
    if isinstance(value, dict):
        return _write_document
    if isinstance(value, list):
        return _write_list
    raise UnsupportedError(f"{type(value).__name__} is not a BSON value")
