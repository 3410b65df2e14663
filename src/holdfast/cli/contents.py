"""An open file as the commands see it: its tree, and the arrays in it as NumPy's, whoever wrote them.

Strategy: no framework is imported and no object built. A path of the tree leads to the document that it was read off;
an array's document, a tensor's too, says with Holdfast's own keys what NumPy makes of its bytes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from holdfast.codec.lift import audit, backrefs_of, lift
from holdfast.codec.rule import Options, Vocabulary
from holdfast.errors import ChecksumError, HoldfastError
from holdfast.formats.bson import File, open_file
from holdfast.formats.describe import Describer
from holdfast.formats.entry import Entry
from holdfast.formats.inspect import inspect_file
from holdfast.vocab import julia, numpy, python
from holdfast.wire.values import Blob

BATCH: Final = 128 << 20
"""Bytes whose checksums are compared between two moves of a progress bar: enough for several threads."""
KEYS: Final = frozenset({"tag", "type", "size", "data", "dtype", "shape", "byteorder", "slabs", "order", "carrier"})
"""The keys of an array's document that say what it holds; a framework's own keys are left out."""


@cache
def names() -> Vocabulary:
    """Julia's, NumPy's and Python's names: what it takes to describe any file."""
    return Vocabulary([*julia.RULES, *numpy.RULES, *python.RULES])


@dataclass(slots=True)
class Contents:
    """What stands in a file: the tree, and the document of each of its entries, by the entry's identity."""

    file: File
    tree: Entry
    documents: dict[int, Any]

    def array(self, entry: Entry) -> np.ndarray[Any, Any] | None:
        """The array at ``entry``, or None where there is none, or none that NumPy has."""
        node = self.documents.get(id(entry))
        if entry.shape is None or entry.children or type(node) is not dict:
            return None
        level = {key: node[key] for key in node.keys() & KEYS}
        level["type" if node.get("tag") == "python" else "python"] = "numpy.ndarray"
        document = {"value": level, "_backrefs": backrefs_of(self.file.document)}
        try:
            found = lift(audit(document, ["value"], names()), ["value"], names(), Options())["value"]
        except HoldfastError:
            return None
        return found if isinstance(found, np.ndarray) and found.shape == entry.shape else None

    def raw(self, entry: Entry) -> Any:
        """What the file holds at ``entry``, where that is a text, bytes, or a list that the tree does not open."""
        node = self.documents.get(id(entry))
        if type(node) is dict and not entry.children:
            return node.get("data")
        return node if not entry.children else None

    def sealed_arrays(self) -> list[tuple[str, Blob]]:
        """Every array that has a checksum, with its place."""
        nodes = ((entry.path, self.documents.get(id(entry))) for entry in self.tree.walk())
        places = {id(blob): path for path, node in nodes for blob in _blobs(node)}
        return [(places.get(id(blob), "(unused)"), blob) for blob in self.file.blobs]


def _blobs(node: Any) -> list[Blob]:
    """The binaries of an array's document, of one inside a wrapper, or of its pieces."""
    if type(node) is not dict:
        return []
    inner = [node, *(part for key in ("data", "slabs") if type(node.get(key)) is list for part in node[key])]
    return [part["data"] for part in inner if type(part) is dict and type(part.get("data")) is Blob]


def look_into(path: str) -> Contents:
    """Open ``path`` and look at all that is in it but the arrays' values.

    Raises FormatError for what is no such file, ChecksumError when its structure is damaged, OSError when it cannot be
    read.
    """
    file = open_file(path)
    file.verify_frame()
    tree = inspect_file(file, names())
    entries = (entry for entry in tree.walk() if entry is not tree and entry.shared is None)
    return Contents(file, tree, {id(entry): node for entry, node in zip(entries, _documents(file), strict=True)})


def _documents(file: File) -> Iterator[Any]:
    """The documents of the tree's entries in the tree's order, each at its first place."""
    describer = Describer(backrefs_of(file.document), names(), sealed=file.sealed)
    known: set[int] = set()
    stack = [file.document[name] for name in reversed(file.names)]
    while stack:
        node = describer.resolve(stack.pop())
        if id(node) in known:
            continue
        seen = describer.describe(node)
        if not seen.single:
            known.add(id(node))
        yield node
        stack.extend(reversed([child for _, _, child in seen.members]))


def damaged(contents: Contents, advance: Callable[[int], None]) -> list[str]:
    """The places of all arrays whose bytes changed. ``advance`` is told the number of bytes as they are done."""
    found: list[str] = []
    for batch in _batches(contents.sealed_arrays()):
        try:
            contents.file.verify_blobs(batch)
        except ChecksumError as error:
            found += error.names
        advance(sum(blob.nbytes for _, blob in batch))
    return found


def _batches(blobs: list[tuple[str, Blob]]) -> Iterator[list[tuple[str, Blob]]]:
    batch: list[tuple[str, Blob]] = []
    size = 0
    for place, blob in blobs:
        batch.append((place, blob))
        size += blob.nbytes
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
