"""An open file as the commands see it: its tree, and the document and the array behind each entry of it.

Strategy: no framework is imported and no object built. Checksums are compared before anything is said of values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.codec.audit import backrefs_of, resolve
from holdfast.errors import ChecksumError
from holdfast.formats.choose import open_file
from holdfast.formats.document.arrays import NdArray, array_of, blobs_of
from holdfast.formats.file import File
from holdfast.formats.look.describe import Describer
from holdfast.formats.look.entry import Entry
from holdfast.formats.look.inspect import inspect_file, names_only
from holdfast.wire.values import Blob

BATCH: Final = 128 << 20
"""Bytes whose checksums are compared between two moves of a progress bar: enough for several threads."""


@dataclass(slots=True)
class Contents:
    """What stands in a file: the tree, and the document of each of its entries, by the entry's identity."""

    file: File
    tree: Entry
    documents: dict[int, Any]
    places: dict[str, Entry] = field(default_factory=dict)
    """Entries by path, once they are asked for: to look each up in the tree takes as long as the tree is large."""

    def document(self, entry: Entry) -> Any:
        """What the file holds at ``entry``."""
        return self.documents[id(entry)]

    def again(self, entry: Entry) -> bool:
        """Whether ``entry`` is the very object that already stands elsewhere, and not only on the same memory."""
        if entry.shared is None:
            return False
        if not self.places:
            self.places.update((other.path, other) for other in reversed(list(self.tree.walk())))  # the first counts
        return self.document(entry) is self.document(self.places[entry.shared])

    def array(self, entry: Entry) -> NdArray | None:
        """The array at ``entry``, or None where there is none, or none that NumPy has."""
        node = self.documents.get(id(entry))
        if entry.shape is None or entry.children or type(node) is not dict:
            return None
        self._fill(node)
        found = array_of(node, entry.dtype, self._resolve, backrefs_of(self.file.document))
        return found if found is not None and found.shape == entry.shape else None

    def raw(self, entry: Entry) -> Any:
        """What the file holds at ``entry``, where that is a text, bytes, or a list that the tree does not open."""
        node = self.documents.get(id(entry))
        if entry.children or type(node) is not dict:
            return None if entry.children else node
        self._fill(node)
        if "base" in node:
            base = self._resolve(node["base"])
            return [list(blobs_of(base, self._resolve)), *(node.get(key) for key in ("offset", "size", "strides"))]
        return node.get("data", node.get("slabs"))

    def _fill(self, node: Any) -> None:
        """Let the arrays of a document have their values."""
        base = self._resolve(node.get("base"))
        self.file.ready([*blobs_of(node, self._resolve), *blobs_of(base, self._resolve)])

    def sealed_arrays(self) -> list[tuple[str, Blob]]:
        """Every array that has a checksum, with its place."""
        places: dict[int, str] = {}
        for entry in self.tree.walk():
            node = self.documents.get(id(entry))
            base = self._resolve(node.get("base")) if type(node) is dict else None
            for blob in (*blobs_of(node, self._resolve), *blobs_of(base, self._resolve)):
                places.setdefault(id(blob), entry.path)
        return [(places.get(id(blob), "(unused)"), blob) for blob in self.file.blobs]

    def _resolve(self, node: Any) -> Any:
        return resolve(node, backrefs_of(self.file.document))


def look_into(path: str) -> Contents:
    """Open ``path`` and look at all that is in it but the arrays' values.

    Raises FormatError for what is no such file, ChecksumError when its structure is damaged, OSError when it cannot be
    read.
    """
    file = open_file(path)
    file.verify_frame()
    tree = inspect_file(file, names_only())
    return Contents(file, tree, {id(entry): node for entry, node in _documents(file, tree)})


def _documents(file: File, tree: Entry) -> Iterator[tuple[Entry, Any]]:
    """Each entry of the tree with its document; where the tree lists no children, none are looked for."""
    describer = Describer(backrefs_of(file.document), names_only(), sealed=file.sealed)
    stack = list(zip(tree.children, map(file.document.__getitem__, file.names), strict=False))
    while stack:
        entry, node = stack.pop()
        node = describer.resolve(node)
        yield entry, node
        if entry.children:
            members = (child for _, _, child in describer.describe(node).members)
            stack.extend(zip(entry.children, members, strict=False))


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
