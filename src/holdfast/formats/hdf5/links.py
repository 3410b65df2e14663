"""The links of a group: what stands under which name.

Strategy: three forms, one function each: the oldest, a tree of tables whose names stand in a heap of the group's own; links in
the group's header; and a tree with a heap for many. All are read here, and nothing is followed.

Source: HDF5 File Format Specification 3.0, III.A.1, III.B to III.D, IV.A.2.c, IV.A.2.g and IV.A.2.r.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from holdfast.errors import FormatError
from holdfast.formats.hdf5 import dense
from holdfast.formats.hdf5.headers import LINK, LINK_INFO, TABLE, Headers
from holdfast.formats.jld2.cursor import Cursor

HARD, SOFT = 0, 1
"""Kinds of links; the others lead out of the file."""
MAX_LEVEL: Final = 64


@dataclass(frozen=True, slots=True)
class Link:
    """A name, and where it leads: to an ``address``, to a ``path`` within the file, or elsewhere."""

    name: bytes
    address: int | None = None
    path: bytes | None = None


def links(headers: Headers, address: int) -> list[Link]:
    """The links of the group at ``address``, by name. Raises FormatError for two of one name."""
    found: dict[bytes, Link] = {}
    for link in _all(headers, address):
        headers.spend(len(link.name))
        if link.name in found:
            raise FormatError(f"a group has two links of one name, {link.name[:100]!r}")
        found[link.name] = link
    return [found[name] for name in sorted(found)]


def _all(headers: Headers, address: int) -> Iterator[Link]:
    for kind, _, body in headers.checked(address):
        if kind == LINK:
            yield _link(body)
        elif kind == TABLE:
            yield from _of_table(headers, body.number(8), body.number(8))
        elif kind == LINK_INFO:
            body.take(1)
            body.take(8 if body.number(1) & 1 else 0)
            for one in dense.dense(headers, dense.LINKS, body.number(8), body.number(8)):
                yield _link(one)


def _link(body: Cursor) -> Link:
    """A link as a message, or as an entry of a heap."""
    at = body.at
    version, bits = body.number(1), body.number(1)
    if version != 1:
        raise FormatError(f"a link of version {version}", at)
    kind = body.number(1) if bits & 8 else HARD
    body.take((8 if bits & 4 else 0) + (1 if bits & 16 else 0))
    name = bytes(body.take(body.number(1 << (bits & 3))))
    if kind == HARD:
        return Link(name, address=body.number(8))
    return Link(name, path=bytes(body.take(body.number(2)))) if kind == SOFT else Link(name)


# -- the oldest form --------------------------------------------------------------------------------------------------


def _of_table(headers: Headers, tree: int, heap: int) -> Iterator[Link]:
    names = _names(headers, heap)
    for _, address in pairs(headers, tree, 0, 8):
        node = headers.cursor(address, None, "a table of links")
        at = node.at
        if bytes(node.take(5)) != b"SNOD\1":
            raise FormatError("no table of links stands here", at)
        node.take(1)
        count = node.number(2)
        headers.spend(40 * count)
        for _ in range(count):
            name, target, kind = node.number(8), node.number(8), node.number(4)
            node.take(4)
            value = node.take(16)
            if kind == 2:
                yield Link(_name(names, name), path=_name(names, int.from_bytes(value[:4], "little")))
            else:
                yield Link(_name(names, name), address=target)


def _names(headers: Headers, address: int) -> bytes:
    """The texts of a group's own heap."""
    head = headers.cursor(address, None, "the names of a group")
    at = head.at
    if bytes(head.take(5)) != b"HEAP\0":
        raise FormatError("no names of a group stand here", at)
    head.take(3)
    size, _, place = head.number(8), head.number(8), head.number(8)
    found = headers.cursor(place, size, "the names of a group")
    headers.spend(size)
    return bytes(found.take(size))


def _name(names: bytes, at: int) -> bytes:
    end = names.find(b"\0", at)
    if end < 0:
        raise FormatError(f"a name of a link stands outside the {len(names):,} bytes of names of its group")
    return names[at:end]


def pairs(headers: Headers, address: int, kind: int, key: int) -> Iterator[tuple[memoryview, int]]:
    """Key and address of each entry in the lowest nodes of a tree of the oldest form, whose keys have ``key`` bytes."""
    waiting, done = [(address, -1)], set[int]()
    while waiting:
        place, level = waiting.pop()
        if place in done:
            raise FormatError("a tree grows into itself", place)
        done.add(place)
        node = headers.cursor(place, None, "a node of a tree")
        at = node.at
        if bytes(node.take(4)) != b"TREE" or node.number(1) != kind:
            raise FormatError("no node of a tree stands here", at)
        depth, count = node.number(1), node.number(2)
        if depth > MAX_LEVEL or level not in (-1, depth + 1):
            raise FormatError(f"a node of level {depth} of a tree below one of level {level}", at)
        node.take(16)
        headers.spend(24 + count * (key + 8))
        entries = [(node.take(key), node.number(8)) for _ in range(count)]
        if depth:
            waiting.extend((child, depth) for _, child in reversed(entries))
        else:
            yield from entries
