"""An open file of any format: its document, and what is needed to check and build parts of it.

Strategy: a format's reader turns its file into the document that a BSON file of Holdfast's would hold for the same
values; all that follows (checking, auditing, building, showing, comparing) knows one kind of file only. What differs
between formats beyond that is in the few fields here that have a default.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike, fspath, stat
from typing import Any, Final, TypeVar

from holdfast.codec.audit import Audited, audit
from holdfast.codec.lift import lift
from holdfast.codec.rule import Options, Vocabulary
from holdfast.errors import ChecksumError, FormatError, HoldfastError
from holdfast.wire.checksum import checksums, frame_checksum
from holdfast.wire.read import trailer_checksum
from holdfast.wire.values import Blob, Document

Path = str | PathLike[str]
Opened = TypeVar("Opened")

ROOT: Final = "value"
"""The name of the one value of a file whose root is a Julia value and not a dictionary of names."""

Digest = Callable[[Sequence[Blob]], Sequence[int | None]]
"""The checksum of each blob, in the format's own kind of checksum; None where a blob has none to compare with."""


def at_hand(blobs: Sequence[Blob]) -> None:
    """What makes blobs ready that stand in the file as they are."""


@dataclass(slots=True)
class File:
    """An open file: its document, and what is needed to check and build parts of it."""

    path: str
    data: Any
    document: Document
    sealed: bool
    """Whether Holdfast's trailer is there, with the checksum of all that is not in an array."""
    whole: bool
    """Whether the root is one Julia value, which stands under ``ROOT``."""
    blobs: list[Blob]
    """Those that have a checksum, in the order of the file."""
    format: str = ".bson"
    """The ending of the format's files."""
    weights: bool = False
    """Whether the root is one state dictionary, as formats for weights have it, so that it may stand for a model."""
    hidden: frozenset[str] = frozenset()
    """Names of values that stand beside the others: loaded when they are asked for, not listed."""
    digest: Digest = checksums
    ready: Callable[[Sequence[Blob]], None] = at_hand
    """Told which blobs are wanted before they are looked at, for formats that do not have them at hand."""
    frame: Callable[[], str] = str
    """Says what is damaged outside the arrays, by the format's own checksums; nothing if all is well."""
    framed: int = 0
    """How many arrays ``frame`` compares as well, in a format that has their checksums beside each other."""

    @property
    def names(self) -> list[str]:
        return [name for name in self.document if name != "_backrefs" and name not in self.hidden]

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def packed(self) -> bool:
        """Whether blobs have their values only when ``ready`` was told of them; these stand in memory then."""
        return self.ready is not at_hand

    @property
    def compared(self) -> int:
        """How many arrays have a checksum."""
        return len(self.blobs) + self.framed

    @property
    def checked(self) -> bool:
        """Whether there is anything to compare its arrays with."""
        return self.sealed or bool(self.blobs) or self.framed > 0

    def audit(self, names: Iterable[str], vocabulary: Vocabulary) -> Audited:
        with self._named():
            audited = audit(self.document, names, vocabulary)
            self.ready([blob for _, blob in audited.blobs])
            return audited

    def lift(self, audited: Audited, names: Sequence[str], vocabulary: Vocabulary, options: Options) -> dict[str, Any]:
        with self._named():
            values = lift(audited, names, vocabulary, options)
            for step in options.after:
                step(values)
        return values

    def verify_frame(self) -> None:
        """Raises ChecksumError when any byte outside the arrays has changed."""
        if self.sealed and frame_checksum(memoryview(self.data), self.blobs) != trailer_checksum(self.data):
            raise ChecksumError(f"{self.path}: the structure of the file is damaged (its checksum does not match)")
        if damage := self.frame():
            raise ChecksumError(f"{self.path}: {damage}")

    def verify_blobs(self, blobs: Sequence[tuple[str, Blob]]) -> None:
        """Raises ChecksumError that names each value of which an array has changed."""
        with self._named():
            found = list(self.digest([blob for _, blob in blobs]))
        if found != [blob.checksum for _, blob in blobs]:  # nearly never
            bad = {name: blob for (name, blob), sum_ in zip(blobs, found, strict=True) if blob.checksum != sum_}
            places = ", ".join(f"{name} (array at byte {blob.offset:,})" for name, blob in bad.items())
            raise ChecksumError(f"{self.path}: damaged values: {places}", sorted(bad))

    def under(self, name: str) -> "File":
        """The same file with all its values in one dictionary, ``name``, as a state dictionary stands in a program."""
        shared = {"_backrefs": self.document["_backrefs"]} if "_backrefs" in self.document else {}
        return replace(self, document={name: {n: self.document[n] for n in self.names}, **shared}, weights=False)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the document's meaning say which file it was."""
        try:
            yield
        except FormatError as error:
            raise in_file(error, self.path) from error.__cause__


def unchecked(blobs: Sequence[Blob]) -> list[int | None]:
    """The digest of a format without checksums: whatever each blob says of itself."""
    return [blob.checksum for blob in blobs]


def in_file(error: FormatError, path: str) -> HoldfastError:
    """``error`` with the name of the file in front of what it says, once."""
    said = error.message
    named = type(error)(said if said.startswith(f"{path}: ") else f"{path}: {said}", error.offset)
    named.__suppress_context__ = True
    return named


TRIES: Final = 5


def steady(path: Path, opening: Callable[[str], Opened]) -> Opened:
    """What ``opening`` gives, which opens ``path`` more than once, all of it from one and the same file.

    A save replaces a file at any moment. Where a library opens it beside us, two files could be mixed into one that
    nobody wrote; then both are opened again. Raises FormatError, with the path, where that goes on and on, or
    ``opening`` itself fails.
    """
    name = fspath(path)
    for _ in range(TRIES):
        before = _identity(path)
        try:
            opened = opening(name)
        except FormatError as error:
            if _identity(path) == before:
                raise in_file(error, name) from error.__cause__
            continue
        except (HoldfastError, OSError):
            if _identity(path) == before:
                raise
            continue
        if _identity(path) == before:
            return opened
    raise FormatError(f"{name}: the file is replaced faster than it can be opened; try again")


def _identity(path: Path) -> tuple[int, ...]:
    info = stat(path)
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns
