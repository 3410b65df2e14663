"""The objects of a JLD2 file: datasets, groups and committed datatypes, read from their headers.

Strategy: an object is where its address says. Its header is held against its checksum, then each message goes to one
small function in a table. Everything that would lead out of the file (external links and storage, virtual datasets,
soft links) and all that JLD2 does not write is refused here, before anything is made of it.

Source: HDF5 File Format Specification 3.0, II.A and IV.A; JLD2.jl, src/object_headers.jl and src/headermessages.jl.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from holdfast.errors import ChecksumError, FormatError, LimitError
from holdfast.formats.foreign.filters import Filter, Growth
from holdfast.formats.jld2.cursor import UNDEFINED, Cursor
from holdfast.formats.jld2.datatypes import Datatype, read_datatype, read_shared
from holdfast.formats.jld2.lookup3 import lookup3

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
USER_BLOCK: Final = 512
"""Where HDF5 begins in a JLD2 file, behind the text that says so."""
SUPERBLOCK: Final = 48
MAX_CHUNKS: Final = 100_000
"""Continuations of one header; a group that grew name by name has one for every few names."""
MAX_AXES: Final = 32


@dataclass(frozen=True, slots=True)
class Space:
    """How many elements there are: ``size`` in HDF5's order, None where there is no data at all."""

    size: tuple[int, ...] | None
    scalar: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the data stands: ``raw`` inside the header, or ``length`` bytes at ``address``."""

    raw: memoryview | None = None
    address: int = UNDEFINED
    length: int = 0
    filtered: bool = False
    chunk: tuple[int, ...] = ()
    """Of one that is filtered, what its one chunk spans: elements along each axis, and the bytes of one."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named value beside an object."""

    datatype: Datatype
    space: Space
    raw: memoryview


@dataclass(slots=True)
class Object:
    """What one header says. A group has ``links``, a dataset a ``layout``, a committed datatype only a datatype."""

    address: int
    datatype: Datatype | None = None
    space: Space | None = None
    layout: Layout | None = None
    filters: tuple[Filter, ...] = ()
    attributes: dict[str, Attribute] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    group: bool = False


class Objects:
    """The bytes of one file. Addresses are counted from its superblock, as HDF5 counts them."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.growth = Growth(len(data))
        self.root = self._superblock()

    def _superblock(self) -> int:
        """The address of the root group; also the cheap checks that tell a file which is cut short."""
        cursor = Cursor(self.data, USER_BLOCK, len(self.data), "the superblock")
        raw = Cursor(self.data, USER_BLOCK, len(self.data), "the superblock").take(SUPERBLOCK)
        if bytes(cursor.take(8)) != SIGNATURE:
            raise FormatError("HDF5's signature does not stand where JLD2 has it", USER_BLOCK)
        version = cursor.number(1)
        if version not in (2, 3):
            raise FormatError(
                f"its superblock is of version {version}: it is of Julia's older package JLD, or HDF5 wrote it anew. "
                "In Julia, load it with JLD and save it with JLD2",
                cursor.at - 1,
            )
        widths = cursor.number(1), cursor.number(1)
        cursor.take(1)
        base, extension, end, root = (cursor.number(8) for _ in range(4))
        if cursor.number(4) != lookup3(raw[:-4]):
            raise ChecksumError("the superblock has changed since it was written (its checksum does not match)")
        if widths != (8, 8) or base != USER_BLOCK or extension != UNDEFINED:
            raise FormatError("its superblock is not as JLD2 writes it", USER_BLOCK)
        if end > len(self.data):
            raise FormatError(f"the file breaks off: {end:,} bytes were written, {len(self.data):,} are there", end)
        return root

    def cursor(self, address: int, length: int | None, what: str) -> Cursor:
        """The part of the file at ``address``. Raises FormatError where it is not in the file."""
        at = address + USER_BLOCK
        if at > len(self.data):
            raise FormatError(f"{what} is said to stand at byte {at:,} of {len(self.data):,}")
        return Cursor(self.data, at, len(self.data) if length is None else at + length, what)

    def read(self, address: int) -> Object:
        """The object at ``address``.

        Raises FormatError for a header that JLD2 does not write, ChecksumError for one that has changed.
        """
        found = Object(address)
        for kind, flags, body in self._messages(address):
            read = MESSAGES.get(kind)
            if read is not None:
                read(found, body, flags)
            elif flags & 8:
                raise FormatError(f"a header message of kind {kind}, without which it is not to be read", body.at)
        return found

    def _messages(self, address: int) -> Iterator[tuple[int, int, Cursor]]:
        """(kind, flags, body) of each message of the object at ``address``, through all chunks of its header."""
        start = self.cursor(address, None, "an object's header")
        at = start.at
        if bytes(start.take(4)) != b"OHDR" or start.number(1) != 2:
            raise FormatError("no object of JLD2's stands here", at)
        flags = start.number(1)
        start.take((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
        length = start.number(1 << (flags & 3))
        chunks = [start.part(length)]
        self._check(at, start)
        done: set[int] = set()
        while chunks:
            chunk = chunks.pop(0)
            done.add(chunk.at)
            while chunk.left >= 4 + 2 * bool(flags & 4):
                kind, size, bits = chunk.number(1), chunk.number(2), chunk.number(1)
                chunk.take(2 if flags & 4 else 0)
                body = chunk.part(size)
                if kind == CONTINUATION:
                    chunks.append(self._continued(body, done))
                else:
                    yield kind, bits, body

    def _continued(self, body: Cursor, done: set[int]) -> Cursor:
        """The messages of another chunk of a header."""
        address, length = body.number(8), body.number(8)
        chunk = self.cursor(address, length, "an object's header")
        at = chunk.at
        if length < 8 or bytes(chunk.take(4)) != b"OCHK":
            raise FormatError("an object's header does not go on where it says", at)
        inner = chunk.part(length - 8)
        self._check(at, chunk)
        if inner.at in done or len(done) > MAX_CHUNKS:
            raise LimitError("an object's header goes on in itself or in too many places", at)
        return inner

    def _check(self, start: int, end: Cursor) -> None:
        """Hold the bytes from ``start`` up to the cursor against the checksum at the cursor."""
        at = end.at
        if end.number(4) != lookup3(self.data[start:at]):
            raise ChecksumError(f"an object's header at byte {start:,} has changed since it was written")


# -- messages ---------------------------------------------------------------------------------------------------------

CONTINUATION: Final = 16


def _space(found: Object, body: Cursor, flags: int) -> None:
    found.space = read_space(body)


def read_space(body: Cursor) -> Space:
    """The shape of a dataset or an attribute."""
    at = body.at
    version, axes, _ = body.number(1), body.number(1), body.number(1)
    if version not in (1, 2) or axes > MAX_AXES:
        raise FormatError(f"a shape of version {version} with {axes} axes", at)
    kind = body.number(1)
    if version == 1:  # which has no kinds, and five bytes for what was never made
        kind = 1
        body.take(4)
    size = tuple(body.number(8) for _ in range(axes))
    if kind not in (0, 1, 2):
        raise FormatError(f"a shape of kind {kind}", at)
    if kind == 2:
        return Space(None)
    return Space(size, scalar=kind == 0 or (version == 1 and not axes))


def _datatype(found: Object, body: Cursor, flags: int) -> None:
    found.datatype = read_shared(body) if flags & 2 else read_datatype(body)


def _layout(found: Object, body: Cursor, flags: int) -> None:
    at = body.at
    version, kind = body.number(1), body.number(1)
    read = LAYOUTS.get(kind)
    if version not in (3, 4) or read is None:
        raise FormatError(f"a layout of version {version} and kind {kind}, which JLD2 does not write", at)
    found.layout = read(body, version)


def _compact(body: Cursor, version: int) -> Layout:
    raw = body.take(body.number(2))
    return Layout(raw, length=len(raw))


def _contiguous(body: Cursor, version: int) -> Layout:
    return Layout(address=body.number(8), length=body.number(8))


def _chunked(body: Cursor, version: int) -> Layout:
    """One chunk that holds the whole array: the only form that JLD2 writes."""
    at = body.at
    if version != 4:
        raise FormatError("an array in many chunks, which JLD2 does not write", at)
    flags, axes, width = body.number(1), body.number(1), body.number(1)
    chunk = tuple(body.number(width) for _ in range(axes)) if 0 < width <= 8 else ()
    if body.number(1) != 1:
        raise FormatError("an array in many chunks, which JLD2 does not write", at)
    length = body.number(8) if flags & 2 else 0
    if flags & 2 and body.number(4):
        raise FormatError("an array of which a filter was left out", at)
    return Layout(address=body.number(8), length=length, filtered=True, chunk=chunk)


def _virtual(body: Cursor, version: int) -> Layout:
    raise FormatError("a virtual dataset, which takes its values from elsewhere: it is not followed", body.at)


LAYOUTS: Final = {0: _compact, 1: _contiguous, 2: _chunked, 3: _virtual}


def _filters(found: Object, body: Cursor, flags: int) -> None:
    at = body.at
    version, count = body.number(1), body.number(1)
    if version not in (1, 2) or count > 32:
        raise FormatError(f"filters of version {version}", at)
    body.take(6 if version == 1 else 0)
    found.filters = tuple(_filter(body, version) for _ in range(count))


def _filter(body: Cursor, version: int) -> Filter:
    number = body.number(2)
    name = body.number(2) if version == 1 or number >= 256 else 0
    body.take(2)
    count = body.number(2)
    body.take(name)
    values = tuple(body.number(4) for _ in range(count))
    body.take(4 if version == 1 and count % 2 else 0)
    return Filter(number, values)


def _link(found: Object, body: Cursor, flags: int) -> None:
    at = body.at
    version, bits = body.number(1), body.number(1)
    kind = body.number(1) if bits & 8 else 0
    body.take((8 if bits & 4 else 0) + (1 if bits & 16 else 0))
    name = body.text(body.number(1 << (bits & 3)))
    if version != 1 or kind:
        what = {1: "a soft link", 64: "a link to another file"}.get(kind, f"a link of kind {kind}")
        raise FormatError(f"{name!r} is {what}: it is not followed", at)
    if name in found.links:
        raise FormatError(f"two values of one name: {name!r}", at)
    found.group = True
    found.links[name] = body.number(8)


def _link_info(found: Object, body: Cursor, flags: int) -> None:
    _check_few(body, 8, "a group in HDF5's form for many names")
    found.group = True


def _attribute(found: Object, body: Cursor, flags: int) -> None:
    at = body.at
    version, bits = body.number(1), body.number(1)
    sizes = [body.number(2) for _ in range(3)]
    if version not in (2, 3) or bits & 2 or not sizes[0]:
        raise FormatError(f"an attribute of version {version}, which JLD2 does not write", at)
    body.take(1 if version == 3 else 0)
    name = body.text(sizes[0]).rstrip("\0")
    inner = body.part(sizes[1])
    datatype = read_shared(inner) if bits & 1 else read_datatype(inner)
    space = read_space(body.part(sizes[2]))
    found.attributes[name.replace(" ", "_")] = Attribute(datatype, space, body.take(body.left))


def _attribute_info(found: Object, body: Cursor, flags: int) -> None:
    _check_few(body, 2, "attributes in HDF5's form for many")


def _check_few(body: Cursor, counter: int, what: str) -> None:
    """Raises FormatError where links or attributes stand in a heap of their own. ``counter``: bytes of an optional
    field before the place of that heap."""
    at = body.at
    _, bits = body.number(1), body.number(1)
    body.take(counter if bits & 1 else 0)
    if body.number(8) != UNDEFINED:
        raise FormatError(f"{what}, which JLD2 does not write", at)


def _elsewhere(found: Object, body: Cursor, flags: int) -> None:
    raise FormatError("the values of an array stand in another file: it is not opened", body.at)


def _old_group(found: Object, body: Cursor, flags: int) -> None:
    raise FormatError("a group in HDF5's older form, which JLD2 does not write", body.at)


MESSAGES: Final[dict[int, Callable[[Object, Cursor, int], None]]] = {
    1: _space,
    2: _link_info,
    3: _datatype,
    6: _link,
    7: _elsewhere,
    8: _layout,
    11: _filters,
    12: _attribute,
    17: _old_group,
    21: _attribute_info,
}
"""Kind of message -> what it says of an object. The others (fill values, times, counts) say nothing of its values."""
