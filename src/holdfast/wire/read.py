"""Bytes to document, without copying or touching a blob.

Strategy: a stack of levels of our own, so that depth costs no recursion. READERS maps BSON's one-byte element type to a
function ``(data, position) -> (value, position just past it)``; a document opens a level, a zero byte closes it and its
length is checked then. What Holdfast wrote (the trailer says so) is held to the letter; what BSON.jl
wrote may have its keys in any order.
"""

from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Any, Final

from holdfast.errors import FormatError, LimitError
from holdfast.wire.elements import (
    ARRAY,
    BINARY,
    BOOL,
    DOCUMENT,
    DOUBLE,
    F64,
    I64,
    INDICES,
    INT32,
    INT64,
    NULL,
    TEXT,
    U32,
)
from holdfast.wire.numbers import match as match_numbers
from holdfast.wire.pattern import Patterns
from holdfast.wire.plan import BINARY_HEAD, DATA_HEAD, HASH_AT, LARGE, PAD_HEAD, TRAILER, VERSION, alignment
from holdfast.wire.values import (
    MAX_DEPTH,
    MAX_KEY,
    MAX_VALUES,
    Blob,
    Bytes,
    Document,
    Int32,
    Opaque,
    RawText,
    Reading,
    Skipping,
)

I32: Final = Struct("<i")
NAMES: Final = 4096
"""Names that are remembered at a time, so that one that comes again is one text; words of a vocabulary never do."""
VERSION_AT: Final = TRAILER.index(b"version\0") + len(b"version\0")
FIXED: Final = [i for i in range(len(TRAILER)) if not (VERSION_AT <= i < VERSION_AT + 4 or HASH_AT <= i < HASH_AT + 8)]


def is_sealed(data: Bytes) -> bool:
    """Whether Holdfast wrote ``data``: its trailer is there.

    A trailer with a few bytes off is a damaged one: FormatError, since taking the file for one of BSON.jl's would
    switch every check off.
    """
    tail = data[max(len(data) - len(TRAILER), 0) :]
    if len(tail) < len(TRAILER):
        return False
    right = sum(tail[i] == TRAILER[i] for i in FIXED)
    if right < len(FIXED) * 3 // 4:
        return False
    version = U32.unpack_from(tail, VERSION_AT)[0]
    if right < len(FIXED) or version == 0:
        raise FormatError("the file's last bytes are damaged", len(data) - len(TRAILER))
    if version != VERSION:
        raise FormatError(f"the file has version {version}, this Holdfast reads {VERSION}: newer, or damaged")
    return True


def read_document(data: Bytes, *, patterns: bool = False, skipping: Skipping | None = None) -> Reading:
    """Read the one document that ``data`` holds; blobs are views of ``data``.

    patterns  whether what can be known by its bytes is: short lists of numbers are read in one step, and documents of
              small arrays that are like an earlier one stand as ``Alike``
    skipping  is told where the reader goes on after a long binary, before it looks there

    Raises FormatError (which byte) for anything that is not one whole, well-formed document, LimitError beyond the
    limits of ``values``.

    >>> read_document(b"\\x10\\0\\0\\0\\x12a\\0\\1\\0\\0\\0\\0\\0\\0\\0\\0").document
    {'a': 1}
    """
    reader = _Reader(data, is_sealed(data), patterns, skipping)
    try:
        document = reader.read()
    except (StructError, IndexError):
        raise FormatError("the file ends in the middle of a value", len(data)) from None
    if reader.sealed:
        _take_trailer(data, document)
    return Reading(document, reader.sealed, reader.blobs)


def _take_trailer(data: Bytes, document: Document) -> None:
    """Take the trailer out of ``document``: the last entry, and not bytes within another value that look like it."""
    expected = {"version": VERSION, "xxh3": trailer_checksum(data)}
    if not document or document.popitem() != ("_holdfast", expected):
        raise FormatError("what looks like the trailer is part of another value", len(data) - len(TRAILER))


def trailer_checksum(data: Bytes) -> int:
    """The frame's checksum as the trailer of ``data`` states it."""
    value: int = I64.unpack_from(data, len(data) - len(TRAILER) + HASH_AT)[0]
    return value


_Level = tuple[Any, int, bool, int]
"""A document or array that is being read, the position of its first byte, whether it is an array, and the sealed blobs
before it. A plain tuple: there may be hundreds of thousands."""


class _Reader:
    def __init__(self, data: Bytes, sealed: bool, patterns: bool, skipping: Skipping | None) -> None:
        self.data = data
        self.size = len(data)
        self.view = memoryview(data)
        self.sealed = sealed
        self.blobs: list[Blob] = []
        self.levels: list[_Level] = []
        self.names: dict[bytes, str] = {}
        self.skipping = skipping
        self.patterns = Patterns(data, self.blobs, skipping)
        self.known = self.patterns.known if sealed and patterns else None
        self.fast = patterns
        self.seal = 0
        """Where the last blob's checksum stands, if patterns are looked for and it stands right before the padding."""

    def read(self) -> Document:
        root: Document = {}
        if len(self.data) < 5:
            raise FormatError(f"{len(self.data)} bytes are too few for a document", 0)
        position = self._open(0, root, array=False)
        left = MAX_VALUES
        while self.levels:
            into, _, array, _ = self.levels[-1]
            position, left = (self._elements if array else self._entries)(into, position, left)
        if position != len(self.data):
            raise FormatError(f"{len(self.data) - position:,} bytes follow the end of the document", position)
        return root

    # The two loops below are the hot path: they stay in one frame until a container opens or closes.

    def _entries(self, into: Document, position: int, left: int) -> tuple[int, int]:
        """Read entries of a document until it closes or another opens."""
        data, find, names = self.data, self.data.find, self.names
        patterns, known, fast, room = self.patterns, self.known, self.fast, MAX_DEPTH - len(self.levels)
        while kind := data[position]:
            left -= 1
            end = find(b"\0", position + 1, position + 2 + MAX_KEY)
            if end < 0 or not left:
                raise self._limit(position + 1, left)
            raw = data[position + 1 : end]
            key = names.get(raw)
            if key is None:
                try:
                    key = raw.decode()
                except UnicodeDecodeError:
                    raise FormatError("a name is not UTF-8", position + 1) from None
                if len(names) >= NAMES:
                    names.clear()
                names[raw] = key
            if key in into:
                raise FormatError(f"the name {key[:80]!r} stands twice in one document", position + 1)
            if kind == INT64:
                into[key] = I64.unpack_from(data, end + 1)[0]
                position = end + 1 + I64.size
            elif kind == DOCUMENT and known and (found := patterns.match(end + 1, left, room)):
                into[key], position, left = found
            elif read := READERS.get(kind):
                into[key], position = read(data, end + 1)
            elif kind == BINARY:
                into[key], position = self._blob(into, key, end + 1)
            elif fast and kind == ARRAY and room and (numbers := match_numbers(data, end + 1, left)):
                into[key], position, left = numbers
            else:
                into[key] = child = self._container(kind, position)
                return self._open(end + 1, child, array=kind == ARRAY), left
        return self._close(position + 1), left

    def _elements(self, into: list[Any], position: int, left: int) -> tuple[int, int]:
        """Read elements of an array until it closes or a container opens. BSON.jl goes by their order, not their
        names."""
        data, sealed, count = self.data, self.sealed, len(into)
        value: Any
        patterns, known, fast, room = self.patterns, self.known, self.fast, MAX_DEPTH - len(self.levels)
        while kind := data[position]:
            left -= 1
            if sealed:
                name = INDICES[count] if count < len(INDICES) else b"%d\0" % count
                start = position + 1 + len(name)
            else:
                start = data.find(b"\0", position + 1, position + 2 + MAX_KEY) + 1
            if not left or start <= 0 or (sealed and data[position + 1 : start] != name):
                raise self._misnamed(position + 1, left, count)
            count += 1
            if kind == INT64:  # the most frequent of all
                into.append(I64.unpack_from(data, start)[0])
                position = start + I64.size
            elif kind == DOCUMENT and known and (found := patterns.match(start, left, room)):
                value, position, left = found
                into.append(value)
            elif read := READERS.get(kind):
                value, position = read(data, start)
                into.append(value)
            elif kind == BINARY:
                value, position = self._blob(into, "", start)
                into.append(value)
            elif fast and kind == ARRAY and room and (numbers := match_numbers(data, start, left)):
                value, position, left = numbers
                into.append(value)
            else:
                child = self._container(kind, position)
                into.append(child)
                return self._open(start, child, array=kind == ARRAY), left
        return self._close(position + 1), left

    def _misnamed(self, position: int, left: int, count: int) -> FormatError:
        """What is wrong with the name of an element."""
        if not left or self.data.find(b"\0", position, position + 1 + MAX_KEY) < 0:
            return self._limit(position, left)
        return FormatError(f"element {count} of an array has another name", position)

    def _limit(self, position: int, left: int) -> FormatError:
        if not left:
            return LimitError(f"more than {MAX_VALUES:,} values in one file", position)
        if len(self.data) - position > MAX_KEY:
            return LimitError(f"a name is longer than {MAX_KEY:,} bytes", position)
        return FormatError("a name has no end", position)

    def _container(self, kind: int, position: int) -> dict[str, Any] | list[Any]:
        if kind == DOCUMENT:
            return {}
        if kind == ARRAY:
            return []
        raise FormatError(f"0x{kind:02x} is not a BSON type", position)

    def _open(self, position: int, into: Any, *, array: bool) -> int:
        if len(self.levels) >= MAX_DEPTH:
            raise LimitError(f"documents nest deeper than {MAX_DEPTH}", position)
        length, left = U32.unpack_from(self.data, position)[0], self.size - position
        # Beyond 2 GiB a length is written modulo 2**32 and can only be checked at the end.
        if left < 1 << 31 and not 5 <= length <= left:
            raise FormatError(f"a document of {length:,} bytes in the {left:,} that are left", position)
        self.levels.append((into, position, array, len(self.blobs)))
        return position + 4

    def _close(self, position: int) -> int:
        into, start, array, blobs = self.levels.pop()
        length, true = U32.unpack_from(self.data, start)[0], position - start
        if true & 0xFFFFFFFF != length:
            raise FormatError(f"a document says that it has {length:,} bytes and has {true:,}", start)
        if not self.sealed and not array and "xxh3" in into and "pad" in into:
            raise FormatError("an array has Holdfast's checksum, but the end of the file is not Holdfast's", position)
        if self.seal and len(self.blobs) == blobs + 1 and "tag" in into:
            self.patterns.learn(into, start, position, self.blobs[-1], self.seal)
        return position

    def _blob(self, into: Any, key: str, position: int) -> tuple[Blob, int]:
        size = I32.unpack_from(self.data, position)[0]
        subtype, start = self.data[position + 4], position + 5
        if not 0 <= size <= len(self.data) - start:
            raise FormatError(f"a binary of {size:,} bytes in the {len(self.data) - start:,} that are left", position)
        blob = Blob(self.view[start : start + size], offset=start, subtype=subtype)
        if self.sealed and key == "data" and "xxh3" in into:
            self._unseal(into, blob, start)
        if self.skipping is not None and size >= LARGE:
            self.skipping(start + size)
        return blob, start + size

    def _unseal(self, document: Document, blob: Blob, start: int) -> None:
        """Take checksum and padding, which are the wire's business, out of the document and onto the blob."""
        in_order = self.known is not None and list(document)[-2:] == ["xxh3", "pad"]
        pad, value = document.pop("pad", None), document.pop("xxh3")
        multiple = alignment(blob.nbytes)
        if type(pad) is not Blob or type(value) is not int or start % multiple or pad.nbytes >= multiple:
            raise FormatError("an array's data does not stand where its padding should put it", start)
        blob.sealed, blob.checksum = True, value
        self.blobs.append(blob)
        heads = len(DATA_HEAD) + len(PAD_HEAD) + 2 * BINARY_HEAD
        self.seal = start - heads - pad.nbytes - I64.size if in_order else 0


Read = Callable[[Bytes, int], tuple[Any, int]]
"""(data, position) -> (value, position just past it)"""


def _read_double(data: Bytes, position: int) -> tuple[Any, int]:
    return F64.unpack_from(data, position)[0], position + 8


def _read_string(data: Bytes, position: int) -> tuple[Any, int]:
    end = position + 3 + I32.unpack_from(data, position)[0]
    raw = data[position + 4 : end]
    if len(raw) != end - position - 4 or data[end]:
        raw, _ = _string_bytes(data, position)  # which says what is wrong
    position = end + 1
    try:
        return raw.decode(), position
    except UnicodeDecodeError:  # Julia's strings are bytes: a closure's compressed slot names need not be UTF-8
        return RawText(raw.decode("utf-8", "surrogateescape")), position


def _string_bytes(data: Bytes, position: int) -> tuple[bytes, int]:
    size = I32.unpack_from(data, position)[0]
    start = position + 4
    if not 1 <= size <= len(data) - start:
        raise FormatError(f"a text of {size:,} bytes in the {len(data) - start:,} that are left", position)
    if data[start + size - 1] != 0:
        raise FormatError("a text has no end", start + size - 1)
    return data[start : start + size - 1], start + size


def _read_bool(data: Bytes, position: int) -> tuple[Any, int]:
    value = data[position]
    if value > 1:
        raise FormatError(f"a boolean is {value}", position)
    return value == 1, position + 1


def _read_null(data: Bytes, position: int) -> tuple[Any, int]:
    return None, position


def _read_int32(data: Bytes, position: int) -> tuple[Any, int]:
    return Int32(I32.unpack_from(data, position)[0]), position + 4


def _read_int64(data: Bytes, position: int) -> tuple[Any, int]:
    return I64.unpack_from(data, position)[0], position + 8


def _opaque(kind: int, size: int) -> Read:
    """A reader of a type of fixed size that is only carried."""

    def read(data: Bytes, position: int) -> tuple[Any, int]:
        raw = data[position : position + size]
        if len(raw) < size:
            raise FormatError("the file ends in the middle of a value", position)
        return Opaque(kind, raw), position + size

    return read


def _opaque_text(kind: int, texts: int, names: int, rest: int) -> Read:
    """A reader of a type made of sized texts, then NUL-ended names, then fixed bytes, that is only carried."""

    def read(data: Bytes, position: int) -> tuple[Any, int]:
        start = position
        for _ in range(texts):
            _, position = _string_bytes(data, position)
        for _ in range(names):
            end = data.find(b"\0", position, position + MAX_KEY + 1)
            if end < 0:
                raise FormatError("a name has no end", position)
            position = end + 1
        return _opaque(kind, position - start + rest)(data, start)

    return read


READERS: dict[int, Read] = {
    DOUBLE: _read_double,
    TEXT: _read_string,
    0x06: _opaque(0x06, 0),  # undefined
    0x07: _opaque(0x07, 12),  # object id
    BOOL: _read_bool,
    0x09: _opaque(0x09, 8),  # datetime
    NULL: _read_null,
    0x0B: _opaque_text(0x0B, 0, 2, 0),  # regular expression, never compiled
    0x0C: _opaque_text(0x0C, 1, 0, 12),  # pointer into a database
    0x0D: _opaque_text(0x0D, 1, 0, 0),  # JavaScript, never run
    0x0E: _opaque_text(0x0E, 1, 0, 0),  # symbol
    INT32: _read_int32,
    0x11: _opaque(0x11, 8),  # timestamp
    INT64: _read_int64,
    0x13: _opaque(0x13, 16),  # decimal128
    0x7F: _opaque(0x7F, 0),  # largest key
    0xFF: _opaque(0xFF, 0),  # smallest key
}
