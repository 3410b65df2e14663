"""Small JLD2 files, byte by byte, in the form that today's JLD2 writes and in forms that it never would.

Strategy: JLD2 lays its objects one after the other, so a file is a list of parts with addresses. The forms follow
JLD2.jl 0.6 (src/data/writing_datatypes.jl, src/datasets.jl, src/groups.jl): fields without data are named since 0.4.54,
dictionaries are ``SerializedDict``, compressed arrays one chunk. HDF5's own library checks the bytes, in the tests that
read the files with h5py too.

    file = JldFile()
    relu = file.singleton("NNlib.#relu")
    weight = file.array(np.ones((3, 2), "f4"))
    file.save(path, weight=weight)
"""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from holdfast.formats.jld2.lookup3 import lookup3

BASE = 512
START = BASE + 48
UNDEFINED = 2**64 - 1
REFERENCE = struct.pack("<B3xI", 0x37, 8)
HEAP_TEXT = struct.pack("<B3BI", 0x39, 0x11, 1, 0, 16) + struct.pack("<B3xIHH", 0x30, 1, 0, 8)
REFERENCES = struct.pack("<B3xI", 0x39, 16) + REFERENCE
INT64 = struct.pack("<B3BIHH", 0x30, 8, 0, 0, 8, 0, 64)
UINT64 = struct.pack("<B3BIHH", 0x30, 0, 0, 0, 8, 0, 64)
BOOL = struct.pack("<B3xIHH", 0x34, 1, 0, 8)
FLOAT32 = struct.pack("<B3BI", 0x31, 0x20, 0x1F, 0, 4) + bytes((0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0))
FLOAT64 = struct.pack("<B3BI", 0x31, 0x20, 0x3F, 0, 8) + bytes((0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0))
OPAQUE1 = struct.pack("<B3xI", 0x35, 1)
NUMBERS = {"f4": FLOAT32, "f8": FLOAT64, "i8": INT64}
SCALAR = struct.pack("<4B", 2, 0, 0, 0)
NULL = struct.pack("<4B", 2, 0, 0, 2)


def simple(*size: int) -> bytes:
    """A shape, in HDF5's order."""
    return struct.pack("<4B", 2, len(size), 0, 1) + struct.pack(f"<{len(size)}Q", *size)


def compound(*members: tuple[str, bytes, int]) -> bytes:
    """A struct's datatype of (name, datatype, bytes)."""
    size = sum(width for _, _, width in members)
    out, at = struct.pack("<BHBI", 0x36, len(members), 0, size), 0
    for name, datatype, width in members:
        out += name.encode() + b"\0" + at.to_bytes((size.bit_length() + 7) // 8, "little") + datatype
        at += width
    return out


DATATYPE = compound(("name", HEAP_TEXT, 16), ("parameters", REFERENCES, 16))


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("<BHB", kind, len(body), flags) + body


def attribute(name: str, datatype: bytes, space: bytes, data: bytes, committed: int | None = None) -> bytes:
    """An attribute; of the datatype at ``committed``, if that is given."""
    if committed is not None:
        datatype = struct.pack("<BBQ", 3, 2, committed)
    head = struct.pack("<BBHHHB", 3, int(committed is not None), len(name) + 1, len(datatype), len(space), 1)
    return message(12, head + name.encode() + b"\0" + datatype + space + data)


def layout(raw: bytes) -> bytes:
    return message(8, struct.pack("<BBH", 4, 0, len(raw)) + raw)


class JldFile:
    """A JLD2 file in the making; every method that adds something gives its address."""

    def __init__(
        self, head: bytes = b"HDF5-based Julia Data Format, version 0.2.0\0 (Julia 1.11.0 64-bit LE)\0"
    ) -> None:
        self.head, self.body = head, b""
        self.types: dict[str, int] = {}
        self.datatype = 0
        self.datatype = self._commit("Core.DataType", DATATYPE, ())

    # -- parts --------------------------------------------------------------------------------------------------------

    def add(self, raw: bytes) -> int:
        """Bytes at the end."""
        at = len(self.body) + START - BASE
        self.body += raw
        return at

    def header(self, *messages: bytes) -> int:
        """An object of these messages."""
        body = b"".join(messages)
        raw = struct.pack("<4sBBI", b"OHDR", 2, 2, len(body)) + body
        return self.add(raw + struct.pack("<I", lookup3(raw)))

    def heap(self, raw: bytes) -> bytes:
        """A value of any length, in a heap of its own: the 16 bytes that name it, but for the count in front."""
        self.body += bytes(-(len(self.body) + START) % 8)
        padded = raw + bytes(-len(raw) % 8)
        size = max(4096, 16 + 16 + len(padded))
        entries = struct.pack("<HHIQ", 1, 1, 0, len(raw)) + padded
        at = self.add((b"GCOL" + struct.pack("<B3xQ", 1, size) + entries).ljust(size, b"\0"))
        return struct.pack("<QI", at, 1)

    def text_id(self, text: str) -> bytes:
        raw = text.encode()
        return struct.pack("<I", len(raw)) + self.heap(raw)

    def refs_id(self, refs: Sequence[int]) -> bytes:
        if not refs:
            return bytes(16)
        return struct.pack("<I", len(refs)) + self.heap(struct.pack(f"<{len(refs)}Q", *refs))

    # -- types --------------------------------------------------------------------------------------------------------

    def type_raw(self, name: str, params: Sequence[int] = ()) -> bytes:
        return self.text_id(name) + self.refs_id(params)

    def _commit(self, name: str, datatype: bytes, params: Sequence[int], *attributes: bytes) -> int:
        raw = self.type_raw(name, params)
        own = self.datatype or len(self.body) + START - BASE
        said = attribute("julia_type", b"", SCALAR, raw, committed=own)
        at = self.header(message(3, datatype, 64), said, *attributes)
        self.types[f"{len(self.types) + 1:08}"] = at
        return at

    def struct_type(
        self,
        name: str,
        members: bytes,
        params: Sequence[int] = (),
        fields: Sequence[tuple[str, int]] = (),
        written: str = "",
    ) -> int:
        """A committed struct; ``fields`` are (name, address of its type or 0), those without data among them."""
        extra = []
        if written:
            extra.append(attribute("written_type", b"", SCALAR, self.type_raw(written), committed=self.datatype))
        if fields:
            names = b"".join(self.text_id(field) for field, _ in fields)
            extra.append(attribute("field_names", HEAP_TEXT, simple(len(fields)), names))
            refs = struct.pack(f"<{len(fields)}Q", *(address for _, address in fields))
            extra.append(attribute("field_types", REFERENCE, simple(len(fields)), refs))
        return self._commit(name, members, params, *extra)

    def singleton(self, name: str, params: Sequence[int] = ()) -> int:
        """A committed type of one value."""
        empty = attribute("empty", struct.pack("<B3BIHH", 0x30, 0, 0, 0, 1, 0, 8), SCALAR, b"\1")
        return self._commit(name, OPAQUE1, params, empty)

    def type_value(self, name: str, params: Sequence[int] = ()) -> int:
        """A type that stands as a value."""
        return self.value(self.type_raw(name, params), committed=self.datatype)

    # -- values -------------------------------------------------------------------------------------------------------

    def value(
        self, raw: bytes, datatype: bytes = b"", committed: int | None = None, space: bytes = SCALAR, extra: bytes = b""
    ) -> int:
        """A dataset whose data stands in its header."""
        shared = struct.pack("<BBQ", 3, 2, committed) if committed is not None else datatype
        kind = message(3, shared, 3 if committed is not None else 1)
        return self.header(message(5, b"\3\x09", 1), message(1, space), extra, kind, layout(raw))

    def text(self, text: str) -> int:
        raw = text.encode()
        return self.value(raw, struct.pack("<B3BI", 0x33, 0x11, 0, 0, len(raw)))

    def integer(self, number: int) -> int:
        return self.value(struct.pack("<q", number), INT64)

    def array(
        self,
        array: np.ndarray,
        *,
        deflate: bool = False,
        shuffle: bool = False,
        length: int | None = None,
        wide: bool = True,
    ) -> int:
        """An array with Julia's axes in Julia's order; compressed as JLD2 does it, in one chunk.

        ``wide``: the chunk's size in 8 bytes an axis, as JLD2 has it; HDF5 2.0 reads only the narrowest form.
        """
        raw = array.tobytes(order="F")
        size = array.shape[::-1] if length is None else (length,)
        datatype, width = NUMBERS[array.dtype.str[1:]], array.itemsize
        messages = [message(5, b"\3\x09", 1), message(1, simple(*size)), message(3, datatype, 1)]
        if deflate or shuffle:
            steps = b""
            if shuffle:
                raw = np.frombuffer(raw, np.uint8).reshape(-1, width).T.tobytes()
                steps += struct.pack("<HHHI", 2, 0, 1, width)
            if deflate:
                raw = zlib.compress(raw)
                steps += struct.pack("<HHHI", 1, 0, 1, 5)
            messages.append(message(11, struct.pack("<BB", 2, deflate + shuffle) + steps))
            place = self.add(raw)
            bytes_each = 8 if wide else (max(*size, width).bit_length() + 7) // 8
            axes = b"".join(n.to_bytes(bytes_each, "little") for n in (*size, width))
            chunk = struct.pack("<BBBBB", 4, 2, 2, len(size) + 1, bytes_each) + axes
            return self.header(*messages, message(8, chunk + struct.pack("<BQIQ", 1, len(raw), 0, place)))
        place = self.add(raw)
        return self.header(*messages, message(8, struct.pack("<BBQQ", 4, 1, place, len(raw))))

    def references(self, refs: Sequence[int], element: int) -> int:
        """A ``Vector`` of references; ``element`` is the type of its elements."""
        kind = attribute("julia_type", REFERENCE, SCALAR, struct.pack("<Q", element))
        return self.value(struct.pack(f"<{len(refs)}Q", *refs), REFERENCE, space=simple(len(refs)), extra=kind)

    def group(self, **links: int) -> int:
        info = message(2, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED))
        return self.header(info, message(10, b"\0\0"), *(link(name, at) for name, at in links.items()))

    def bytes_of(self, **names: int) -> bytes:
        """The whole file, with these names at its root."""
        kinds = self.group(**self.types)
        root = self.group(**names, _types=kinds)
        return self.finished(root)

    def finished(self, root: int) -> bytes:
        end = START + len(self.body)
        block = b"\x89HDF\r\n\x1a\n" + struct.pack("<BBBBQQQQ", 2, 8, 8, 0, BASE, UNDEFINED, end, root)
        return self.head.ljust(BASE, b"\0") + block + struct.pack("<I", lookup3(block)) + self.body

    def save(self, path: Path, **names: int) -> Path:
        path.write_bytes(self.bytes_of(**names))
        return path


def link(name: str, address: int) -> bytes:
    raw = name.encode()
    return message(6, struct.pack("<BBBB", 1, 0x10, 1, len(raw)) + raw + struct.pack("<Q", address))


def soft_link(name: str, target: str) -> bytes:
    raw, to = name.encode(), target.encode()
    return message(6, struct.pack("<BBBBB", 1, 0x18, 1, 1, len(raw)) + raw + struct.pack("<H", len(to)) + to)


def external_link(name: str, file: str, target: str) -> bytes:
    raw, to = name.encode(), b"\0" + file.encode() + b"\0" + target.encode() + b"\0"
    return message(6, struct.pack("<BBBBB", 1, 0x18, 64, 1, len(raw)) + raw + struct.pack("<H", len(to)) + to)
