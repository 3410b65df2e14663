"""BSON files: the document with its checksums, from and to a path.

Strategy: writing is lower, plan, seal, publish; nothing reaches the disk before the whole file is known to be good.
Reading is map, read, check, audit, build, and only the wanted names are checked and built. A file of BSON.jl's has no
checksums: it is read all the same, there is just nothing to compare.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, Final

from holdfast.codec.lift import Audited, audit, lift
from holdfast.codec.lower import lower
from holdfast.codec.rule import Options, Vocabulary
from holdfast.collector import held
from holdfast.errors import ChecksumError, FormatError, HoldfastError, UnsupportedError
from holdfast.storage import local
from holdfast.wire.checksum import checksums, frame_checksum, seal
from holdfast.wire.plan import Plan, plan_document
from holdfast.wire.read import read_document, trailer_checksum
from holdfast.wire.values import Blob, Document

Path = str | PathLike[str]

RESERVED: Final = frozenset({"tag", "_backrefs", "_holdfast"})
"""Names that the top of a file needs for itself."""

ROOT: Final = "value"
"""The name of the one value of a file whose root is a Julia value and not a dictionary of names."""


def write(path: Path, values: Mapping[str, Any], vocabulary: Vocabulary, *, durable: bool = True) -> None:
    """Write ``values`` to ``path``, whole and durable when it returns; see ``storage.local.publish``.

    Raises UnsupportedError, with the path in the object, for what cannot be saved; the old file is untouched then.
    """
    publish(path, plan(values, vocabulary), durable=durable)


@held()
def plan(values: Mapping[str, Any], vocabulary: Vocabulary) -> Plan:
    """The file that ``values`` make, with no array copied: its blobs are views of the live memory.

    Raises UnsupportedError, with the path in the object, for what cannot be saved.
    """
    for name in values:
        if not isinstance(name, str) or name in RESERVED or "\0" in name:
            raise UnsupportedError(f"{name!r} cannot be the name of a value in a file", "$")
    return plan_document(lower(values, vocabulary))


def publish(path: Path, plan: Plan, *, durable: bool = True) -> None:
    """Compute the checksums of ``plan`` and put it at ``path``; see ``storage.local.publish``."""
    seal(plan)
    local.publish(path, plan.buffers(), durable=durable)


@dataclass(slots=True)
class File:
    """An open file: its document, and what is needed to check and build parts of it."""

    path: str
    data: Any
    document: Document
    sealed: bool
    whole: bool
    """Whether the root is one Julia value, which stands under ``ROOT``."""
    blobs: list[Blob]

    @property
    def names(self) -> list[str]:
        return [name for name in self.document if name != "_backrefs"]

    @property
    def size(self) -> int:
        return len(self.data)

    def audit(self, names: Iterable[str], vocabulary: Vocabulary) -> Audited:
        with self._named():
            return audit(self.document, names, vocabulary)

    def lift(self, audited: Audited, names: Sequence[str], vocabulary: Vocabulary, options: Options) -> dict[str, Any]:
        with self._named():
            return lift(audited, names, vocabulary, options)

    def verify_frame(self) -> None:
        """Raises ChecksumError when any byte outside the arrays has changed."""
        if self.sealed and frame_checksum(memoryview(self.data), self.blobs) != trailer_checksum(self.data):
            raise ChecksumError(f"{self.path}: the structure of the file is damaged (its checksum does not match)")

    def verify_blobs(self, blobs: Sequence[tuple[str, Blob]]) -> None:
        """Raises ChecksumError that names each value of which an array has changed."""
        found = checksums([blob for _, blob in blobs])
        bad = {name: blob for (name, blob), sum_ in zip(blobs, found, strict=True) if blob.checksum != sum_}
        if bad:
            places = ", ".join(f"{name} (array at byte {blob.offset:,})" for name, blob in bad.items())
            raise ChecksumError(f"{self.path}: damaged values: {places}", sorted(bad))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the document's meaning say which file it was."""
        try:
            yield
        except FormatError as error:
            raise _in_file(error, self.path) from error.__cause__


def open_file(path: Path, *, mmap: bool = True, patterns: bool = False) -> File:
    """Map or read ``path`` and find its parts; no array is touched.

    patterns  whether documents that are like others may stand as ``Alike``, for who only audits and lifts

    Raises FormatError (which byte) when it is not one whole BSON document.
    """
    return file_of(fspath(path), local.open_bytes(path, mmap=mmap).data, patterns=patterns)


def file_of(name: str, data: Any, *, patterns: bool = False) -> File:
    """The file called ``name`` whose bytes are ``data``; see ``open_file``."""
    try:
        reading = read_document(data, patterns=patterns)
    except FormatError as error:
        raise _in_file(error, name) from None
    document, whole = reading.document, "tag" in reading.document and isinstance(reading.document["tag"], str)
    if whole:
        backrefs = {"_backrefs": document["_backrefs"]} if "_backrefs" in document else {}
        document = {ROOT: {key: value for key, value in document.items() if key != "_backrefs"}, **backrefs}
    return File(name, data, document, reading.sealed, whole, reading.blobs)


def _in_file(error: FormatError, path: str) -> HoldfastError:
    named = type(error)(f"{path}: {error.message}", error.offset)
    named.__suppress_context__ = True
    return named
