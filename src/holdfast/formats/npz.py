"""NumPy's npz: a zip archive with one npy for each name. Never a pickle.

Strategy: stored members are mapped and not copied; compressed ones get memory of their size, which is filled when their
values are wanted and not before. The zip's own CRC-32 is the checksum of each. What npy has no place for (bfloat16, the
class of a tensor, who shares its memory) is a note in the comment of the member, which other readers pass over, and
data starts on a multiple of 64 bytes. The comment of the archive is the XXH3-64 of its directory.
"""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import fspath
from typing import Any, Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from holdfast.codec.lower import lower
from holdfast.codec.rule import Vocabulary
from holdfast.errors import FormatError, UnsupportedError
from holdfast.formats import npy
from holdfast.formats.document.arrays import plain
from holdfast.formats.document.leaves import ADVICE, Held, Keep, Leaf, Note, as_it_is, document_of, is_flat, leaves
from holdfast.formats.file import File, Path, at_hand, in_file
from holdfast.formats.foreign.archive import Bytes, Member, closing, directory, head_of, inflate
from holdfast.formats.foreign.seals import STALE, resembles, sealed
from holdfast.storage import local, system
from holdfast.vocab.types import BY_DTYPE
from holdfast.wire.checksum import checksum
from holdfast.wire.plan import ALIGNMENT
from holdfast.wire.values import Blob, Document

NAME: Final = "npz"
ENDING: Final = ".npy"
MARK: Final = b"holdfast "
"""What a comment begins with that is a note of ours."""
SEAL: Final = b"0" * 16
"""What stands in the archive's own comment, behind ``MARK``, where the XXH3-64 of its directory comes."""
MAX_COMMENT: Final = 0xFFFF
WIDE: Final = 1 << 30
"""Bytes from which a member is written with sizes of 64 bits."""
WIDE_FIELD: Final = 20
"""Bytes that these take in front of the member."""
PADDING: Final = struct.Struct("<HH")
PADDING_ID: Final = 0xD935
"""The extra field by which other tools align members, too."""
EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""A zip has no earlier date, and none at all is not possible: equal values make equal files."""


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Archive:
    """An open archive: the members that its blobs are from, by the identity of the blob."""

    data: Bytes
    members: dict[int, Member] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)
    """Blobs of compressed members that are not filled yet -> bytes of the header before them."""
    sums: dict[int, int] = field(default_factory=dict)
    """CRC-32 of the compressed members that were filled."""

    def fill(self, blobs: Sequence[Blob]) -> None:
        """Give the blobs of compressed members their values."""
        for blob in blobs:
            start = self.waiting.pop(id(blob), None)
            if start is not None:
                self.sums[id(blob)] = inflate(self.data, self.members[id(blob)], blob.data, start)

    def digest(self, blobs: Sequence[Blob]) -> list[int | None]:
        """The CRC-32 of each member, its header included."""
        self.fill(blobs)
        return [self.sums[id(blob)] if id(blob) in self.sums else self._stored(blob) for blob in blobs]

    def _stored(self, blob: Blob) -> int:
        member = self.members[id(blob)]
        return zlib.crc32(memoryview(self.data)[member.start : member.start + member.taken])


def open_file(path: Path, *, mmap: bool = True) -> File:
    """Map or read ``path`` and find its arrays.

    Raises FormatError for arrays of objects and for what is not an npz, LimitError for one that would unpack to more
    than an honest one does.
    """
    name, source = fspath(path), local.open_bytes(path, mmap=mmap)
    archive, held = _Archive(source.data), []
    try:
        for member in directory(source.data):
            entry, start, crc = _held(source.data, member)
            held.append((entry, member, start, crc))
        document = document_of((entry for entry, *_ in held), "numpy.ndarray")
    except (FormatError, UnsupportedError) as error:
        raise in_file(error if isinstance(error, FormatError) else FormatError(error.message), name) from None
    for entry, member, start, crc in held:
        archive.members[id(entry.blob)] = member
        if crc is not None:
            archive.sums[id(entry.blob)] = crc
        elif member.compressed:
            archive.waiting[id(entry.blob)] = start
    blobs = [entry.blob for entry, *_ in held]
    return File(
        *(name, source.data, document, False, False, blobs, ".npz", is_flat(document)),
        digest=archive.digest,
        ready=archive.fill if archive.waiting else at_hand,
        frame=lambda: _damage(source.data),
    )


def _damage(data: Bytes) -> str:
    """What is damaged in the directory, if Holdfast wrote it."""
    read, comment = closing(data)
    right = sealed(MARK + SEAL, checksum(read))
    if comment == right or not resembles(comment, right, MARK):
        return ""
    return STALE.format("directory")


def _held(data: Bytes, member: Member) -> tuple[Held, int, int | None]:
    """A member as an array, the bytes of the header before it, and its CRC-32 if that is known already.

    A compressed one has memory and no values yet, unless a document can only be made of a copy.
    """
    if not member.name.endswith(ENDING):
        raise FormatError(f"{member.name!r} in an npz is not an array")
    what, crc = repr(member.name), None
    view = memoryview(data)[member.start : member.start + member.taken]
    shape, fortran, dtype, start = npy.header(head_of(data, member, npy.MAX_HEADER), what)
    if member.size < start:
        raise FormatError(f"{what} ends in its header")
    if member.compressed:
        view = memoryview(system.fresh_memory(member.size - start) if member.size > start else b"")
        if fortran and len(shape) > 1 and dtype not in BY_DTYPE:
            crc = inflate(data, member, view, start)
    else:
        view = view[start:]
    array = npy.laid(view, shape, fortran, dtype, what)
    note = _note(member)
    named = note.get("dtype") if note is not None else None
    if named is not None and not isinstance(named, str):
        raise FormatError(f"what Holdfast noted beside {what} is not what it writes")
    entry = Held(member.name.removesuffix(ENDING), array, note, named, member.crc, member.start + start)
    return entry, start, crc


def _note(member: Member) -> Note | None:
    """The note in a member's comment; None for a comment of somebody else's."""
    if not member.comment.startswith(MARK):
        return None
    try:
        note = json.loads(member.comment.removeprefix(MARK))
    except (ValueError, RecursionError):
        note = None
    if not isinstance(note, dict):
        raise FormatError(f"what Holdfast noted beside {member.name!r} is not what it writes")
    return note


# -- writing ----------------------------------------------------------------------------------------------------------


def write(path: Path, values: Mapping[str, Any], vocabulary: Vocabulary) -> None:
    """Write the arrays of ``values``, in dictionaries or not. Raises UnsupportedError for anything else, with its
    path."""
    write_document(path, plain(lower(values, vocabulary)))


def write_document(path: Path, document: Document, keep: Keep = as_it_is) -> None:
    """Write the arrays of ``document``; see ``write`` and ``leaves``."""
    sink = _Pieces()
    file: Any = sink
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for leaf in leaves(document, NAME, keep):
            _add(archive, sink, leaf)
        archive.comment, start = MARK + SEAL, sink.tell()
    *written, comment = (sink.pieces[at] for at in sorted(sink.pieces))
    read = b"".join(bytes(sink.pieces[at]) for at in sorted(sink.pieces) if at >= start)[: -len(comment)]
    local.publish(path, [*written, sealed(bytes(comment), checksum(memoryview(read)))])


def _add(archive: ZipFile, sink: "_Pieces", leaf: Leaf) -> None:
    array, note = leaf.array, leaf.note
    if leaf.dtype != array.dtype.name or not npy.is_numpys(array.dtype):
        note = note | {"dtype": leaf.dtype}
        array = array.view(f"V{array.itemsize}")
    if "\0" in leaf.name:
        raise UnsupportedError(f"a name with a NUL has no place in {NAME}: {ADVICE}", leaf.path)
    comment = b"" if note == {"python": "numpy.ndarray"} else MARK + json.dumps(note).encode()
    if max(len(comment), len(leaf.name.encode())) > MAX_COMMENT - len(ENDING):
        raise UnsupportedError(f"what is to be noted beside it is too long for {NAME}: {ADVICE}", leaf.path)
    head, data = npy.pieces(array)
    info = ZipInfo(leaf.name + ENDING, EARLIEST)
    info.comment, info.file_size = comment, len(head) + data.nbytes
    wide = info.file_size >= WIDE
    start = sink.tell() + 30 + len(info.filename.encode()) + PADDING.size + (WIDE_FIELD if wide else 0)
    padding = -start % ALIGNMENT
    info.extra = PADDING.pack(PADDING_ID, padding) + bytes(padding)
    with archive.open(info, "w", force_zip64=wide) as member:
        member.write(head)
        member.write(data)


class _Pieces:
    """A file that only notes what is written to it, uncopied, so that it can be published in one step.

    A zip's header is written again when the member's checksum is known: over the piece that stood there.
    """

    def __init__(self) -> None:
        self.pieces: dict[int, bytes | memoryview] = {}
        self.at = 0

    def write(self, data: bytes | memoryview) -> int:
        size = memoryview(data).nbytes
        if size:
            self.pieces[self.at] = data
        self.at += size
        return size

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset
        return offset

    def flush(self) -> None:
        """Nothing is held back."""
