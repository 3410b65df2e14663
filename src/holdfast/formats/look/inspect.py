"""A file's tree of names, types, shapes and sizes: nothing is built, and no framework is needed.

Strategy: one walk over the documents, in the order of the file, with a stack of its own. Each document has one place,
the first; where it stands again (shared, or inside itself) the entry says where that is. A path is as long as its place is
deep, and a small file can be very deep: beyond so many characters of paths, values are counted and not listed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.codec.audit import backrefs_of
from holdfast.codec.rule import Vocabulary
from holdfast.formats.document.arrays import names_only
from holdfast.formats.file import File
from holdfast.formats.look.describe import Describer
from holdfast.formats.look.entry import Entry
from holdfast.formats.look.seen import Seen

__all__ = ["Entry", "inspect_file", "names_only"]


MAX_PATHS: Final = 16 << 20
"""Characters of all paths together."""


@dataclass(slots=True)
class _Open:
    """An entry whose children are being looked at."""

    name: str | int
    path: str
    seen: Seen
    members: Iterator[tuple[str | int, str, Any]]
    children: list[Entry] = field(default_factory=list)

    def close(self) -> Entry:
        return _entry(self.name, self.path, self.seen, children=tuple(self.children))


def _entry(
    name: str | int, path: str, seen: Seen, *, children: tuple[Entry, ...] = (), shared: str | None = None
) -> Entry:
    nbytes = seen.nbytes + sum(child.nbytes for child in children) if children else seen.nbytes
    return Entry(name, path, seen.type, seen.shape, seen.dtype, nbytes, children, shared, seen.value, seen.length)


def inspect_file(file: File, vocabulary: Vocabulary | None = None) -> Entry:
    """The tree of ``file``, whose children are its values by name; see ``Entry``.

    Imports no framework unless ``vocabulary`` does. Raises FormatError for a back-reference to an entry that is not
    there.
    """
    describer = Describer(backrefs_of(file.document), vocabulary or names_only(), sealed=file.sealed)
    top = Seen("file", members=[(name, name, file.document[name]) for name in file.names])
    return _walk(describer, top)


Places = dict[int, tuple[str, Seen]]
"""By identity of a document: the path of its first place, and what it is."""


def _walk(describer: Describer, top: Seen) -> Entry:
    places: Places = {}
    stack, room = [_Open("", "", top, iter(top.members))], MAX_PATHS
    while True:
        entry = stack[-1]
        for name, segment, reference in entry.members:
            room -= len(entry.path) + len(segment)
            if room < 0:
                continue
            node, path = describer.resolve(reference), entry.path + segment
            if id(node) in places:
                entry.children.append(_again(name, path, *places[id(node)]))
                continue
            seen = describer.describe(node)
            if not seen.single:
                places[id(node)] = path, seen
            if seen.members:
                stack.append(_Open(name, path, seen, iter(seen.members)))
                break
            shared = _standing(describer, path, seen, places) if seen.base is not None else None
            entry.children.append(_entry(name, path, seen, shared=shared))
        else:
            stack.pop()
            if not stack:
                return entry.close()
            stack[-1].children.append(entry.close())


def _standing(describer: Describer, path: str, view: Seen, places: Places) -> str | None:
    """Where the memory is that a view stands on; None when it is first met here, and so counts here."""
    base = describer.resolve(view.base)
    if id(base) in places:
        return places[id(base)][0]
    memory = describer.describe(base)
    places[id(base)] = path, memory
    view.nbytes = memory.nbytes
    return None


def _again(name: str | int, path: str, first: str, seen: Seen) -> Entry:
    """The entry of what already has its place: its bytes are counted there."""
    return Entry(name, path, seen.type, seen.shape, seen.dtype, shared=first, length=seen.length)
