"""The directory of a zip archive, read with care before anything else looks into the file.

Strategy: a zip says everything twice, in front of each member and in its directory, and readers that believe different
halves can be told different things. Here both must agree; members must stand one after the other from the first byte
on, with names of their own, and nothing may follow the end. What a member says that it holds must be in reach of what
it takes in the file: a stored one exactly that, a compressed one what deflate can make of it, all of them together no
more than an honest archive would.

Source: PKWARE's APPNOTE 6.3.10, 4.3.7 to 4.3.16.
"""

import io
import mmap
import zlib
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from holdfast.errors import FormatError, LimitError
from holdfast.formats.file import Path
from holdfast.storage.local import open_bytes

Bytes = bytes | mmap.mmap

END: Final = Struct("<4s4H2LH")
END_64: Final = Struct("<4sQ2H2L4Q")
PLACE_64: Final = Struct("<4sLQL")
LOCAL: Final = Struct("<4s5H3L2H")
ENTRY: Final = b"PK\1\2"

MAX_MEMBERS: Final = 200_000
"""Members of one archive. The largest models in public have some ten thousand tensors."""
MAX_DIRECTORY: Final = 64 << 20
"""Bytes of the directory: what so many members with long names take."""
MOST: Final = 1032
"""What one byte of deflate stands for at most."""
FREE: Final = 1 << 30
"""Bytes that all compressed members together may hold whatever they take in the file."""
HONEST: Final = 100
"""Beyond that, how many times more than they take. Weights shrink to half; only constants shrink like this."""
PIECE, LARGEST = 1 << 16, 1 << 20
"""Bytes that are taken from the file, and inflated, at once."""
ENCRYPTED, STREAMED, UTF8 = 0x1, 0x8, 0x800


@dataclass(frozen=True, slots=True)
class Member:
    """One member: ``start`` is where its bytes begin in the file, ``taken`` how many they are there, ``size`` how many
    it holds."""

    name: str
    start: int
    taken: int
    size: int
    crc: int
    compressed: bool
    comment: bytes


def directory(data: Bytes) -> list[Member]:
    """The members of the archive that ``data`` is, in the order of the file.

    Raises FormatError when its halves disagree or it is not whole, LimitError when it would hold more than is safe.
    """
    end, start = _end(data)
    if end - start > MAX_DIRECTORY or data[start:end].count(ENTRY) > MAX_MEMBERS:
        raise LimitError(f"a zip archive of more than {MAX_MEMBERS:,} members, or with too long names", start)
    try:
        with ZipFile(_Window(data)) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    except (BadZipFile, NotImplementedError, ValueError, EOFError, UnicodeError, IndexError) as error:
        raise FormatError(f"the zip archive is damaged: {error}", start) from None
    members, position = [], 0
    for entry in entries:
        if entry.header_offset < position or (not position and entry.header_offset):
            raise FormatError(f"{entry.filename!r} of a zip archive does not stand behind the one before", position)
        members.append(_member(data, entry, start))
        position = members[-1].start + members[-1].taken
    _check(members)
    return members


def closing(data: Bytes) -> tuple[memoryview, bytes]:
    """The directory with the end behind it, and the comment that closes the archive."""
    comment = data.rfind(b"PK\5\6", max(0, len(data) - END.size - 0xFFFF)) + END.size
    return memoryview(data)[_end(data)[1] : comment], data[comment:]


def _end(data: Bytes) -> tuple[int, int]:
    """Where the directory ends and where it starts."""
    at = data.rfind(b"PK\5\6", max(0, len(data) - END.size - 0xFFFF))
    if at < 0 or at + END.size > len(data):
        raise FormatError("the zip archive has no end: it was cut off, or something follows it", len(data))
    _, disk, _, _, _, size, start, comment = END.unpack_from(data, at)
    if at + END.size + comment != len(data):
        raise FormatError("something follows the end of the zip archive, or it was cut off", at)
    if disk not in (0, 0xFFFF):
        raise FormatError("the zip archive is one part of several", at)
    at, size, start = _end_64(data, at, size, start)
    if start + size != at:
        raise FormatError("the directory of the zip archive does not stand where its end says", at)
    return at, start


def _end_64(data: Bytes, at: int, size: int, start: int) -> tuple[int, int, int]:
    """The same of an archive that may go beyond 4 GiB, whether it does or not."""
    place = at - PLACE_64.size
    if place < END_64.size or data[place : place + 4] != b"PK\6\7":
        return at, size, start
    record = PLACE_64.unpack_from(data, place)[2]
    if record + END_64.size != place or data[record : record + 4] != b"PK\6\6":
        raise FormatError("the end of the zip archive does not stand where it should", place)
    *_, size, start = END_64.unpack_from(data, record)
    return record, size, start


def _member(data: Bytes, entry: ZipInfo, limit: int) -> Member:
    """One member, when what stands in front of it says the same as the directory."""
    at = entry.header_offset
    try:
        signature, _, flags, method, _, _, crc, taken, size, n, m = LOCAL.unpack_from(data, at)
    except Exception:
        raise FormatError(f"{entry.filename!r} of a zip archive has no header", at) from None
    raw = data[at + LOCAL.size : at + LOCAL.size + n]
    start = at + LOCAL.size + n + m
    name = raw.decode("utf-8" if flags & UTF8 else "cp437", "replace")
    same = (signature, flags, method, name) == (b"PK\3\4", entry.flag_bits, entry.compress_type, entry.orig_filename)
    given = {(crc, taken, size), (crc, _low(taken), _low(size))}
    told = (entry.CRC, entry.compress_size, entry.file_size)
    wide = 0xFFFFFFFF in (taken, size)  # the true sizes stand in an extra field
    if not same or not (flags & STREAMED or wide or told in given) or (crc != entry.CRC and not flags & STREAMED):
        raise FormatError(f"{entry.filename!r} of a zip archive is one thing in front and another in the directory", at)
    if flags & ENCRYPTED or method not in (ZIP_STORED, ZIP_DEFLATED):
        raise FormatError(f"{entry.filename!r} of a zip archive is encrypted, or compressed in a way that is not read")
    if start + entry.compress_size > limit:
        raise FormatError(f"{entry.filename!r} of a zip archive goes on behind the last of its bytes", at)
    if method == ZIP_STORED and entry.compress_size != entry.file_size:
        raise FormatError(f"{entry.filename!r} of a zip archive has two sizes", at)
    compressed = method == ZIP_DEFLATED
    return Member(entry.filename, start, entry.compress_size, entry.file_size, entry.CRC, compressed, entry.comment)


def _low(value: int) -> int:
    return value & 0xFFFFFFFF


def _check(members: list[Member]) -> None:
    """Names of their own, and no more bytes than an honest archive has."""
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"{twice!r} stands twice in a zip archive")
    held = sum(member.size for member in members if member.compressed)
    taken = sum(member.taken for member in members if member.compressed)
    impossible = next((m for m in members if m.compressed and m.size > MOST * (m.taken + 1)), None)
    if impossible is not None or held > max(FREE, HONEST * taken):
        raise LimitError(
            f"a zip archive says that {taken:,} bytes hold {held:,}: more than weights ever do. If you know what is in "
            "it, unpack it and save the arrays again"
        )


def head_of(data: Bytes, member: Member, limit: int) -> bytes:
    """The first ``limit`` bytes of what a member holds, or all of it if that is less.

    Raises FormatError for what is no deflate.
    """
    view = memoryview(data)[member.start : member.start + member.taken]
    if not member.compressed:
        return bytes(view[:limit])
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(view[:limit], limit)
    except zlib.error as error:
        raise _damaged(member, error) from None


def inflate(data: Bytes, member: Member, into: memoryview, skip: int) -> int:
    """Fill ``into`` with what a compressed member holds behind its first ``skip`` bytes; gives the CRC-32 of all of it.

    Raises FormatError when it holds less or more than it says, or is no deflate. Needs no other memory.
    """
    stream, crc, at = zlib.decompressobj(-zlib.MAX_WBITS), 0, -skip
    view = memoryview(data)[member.start : member.start + member.taken]
    try:
        for start in range(0, member.taken, PIECE):
            waiting: Any = view[start : start + PIECE]
            while waiting and not stream.eof:
                piece = stream.decompress(waiting, LARGEST)
                waiting, crc = stream.unconsumed_tail, zlib.crc32(piece, crc)
                at = _put(into, at, piece)
    except zlib.error as error:
        raise _damaged(member, error) from None
    if at != len(into) or not stream.eof or stream.unused_data:
        raise FormatError(f"{member.name!r} of a zip archive does not hold the {member.size:,} bytes that it says")
    return crc


def _put(into: memoryview, at: int, piece: bytes) -> int:
    """Put ``piece`` at ``at``, as far as there is room; gives where it ends."""
    end = at + len(piece)
    if at < len(into) and end > 0:
        part = piece[max(0, -at) : len(into) - at]
        into[max(0, at) : max(0, at) + len(part)] = part
    return end


def _damaged(member: Member, error: Exception) -> FormatError:
    return FormatError(f"{member.name!r} of a zip archive is damaged: {error}", member.start)


def names(path: Path) -> list[str]:
    """The names of an archive's members."""
    return [member.name for member in directory(open_bytes(path).data)]


class _Window(io.RawIOBase):
    """Bytes as a file that is read; nothing is copied but what is asked for."""

    def __init__(self, data: Bytes) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, len(self._data))[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
