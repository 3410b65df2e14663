"""BSON files: the document with its checksums, from and to a path.

Strategy: writing is lower, plan, seal, publish; nothing reaches the disk before the whole file is known to be good.
Reading is map, read, check, audit, build, and only the wanted names are checked and built. A file of BSON.jl's has no
checksums: it is read all the same, there is just nothing to compare.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from os import fspath
from typing import Any, Final

from holdfast.codec.lower import lower
from holdfast.codec.rule import Vocabulary
from holdfast.collector import held
from holdfast.errors import FormatError, UnsupportedError
from holdfast.formats.file import ROOT, File, Path, in_file
from holdfast.storage import local
from holdfast.storage.read import Cold
from holdfast.wire.checksum import Sealing, checksums, checksums_ahead
from holdfast.wire.plan import Plan, plan_document
from holdfast.wire.read import read_document
from holdfast.wire.values import Blob, Document, Skipping

__all__ = ["ROOT", "File", "Path", "open_file", "plan", "publish", "write"]

RESERVED: Final = frozenset({"tag", "_backrefs", "_holdfast"})
"""Names that the top of a file needs for itself."""


SHORT: Final = 64 << 20
"""Bytes of a file that is written within moments: the collector waits for its end."""


def write(path: Path, values: Mapping[str, Any], vocabulary: Vocabulary, *, durable: bool = True) -> None:
    """Write ``values`` to ``path``, whole and durable when it returns; see ``storage.local.publish``.

    Raises UnsupportedError, with the path in the object, for what cannot be saved; the old file is untouched then.
    """
    with held():
        file = plan(values, vocabulary)
        if file.size < SHORT:
            publish(path, file, durable=durable)
            del file  # with all that was made for it, so that the collector has nothing to look through
            return
    publish(path, file, durable=durable)


@held()
def plan(values: Mapping[str, Any], vocabulary: Vocabulary) -> Plan:
    """The file that ``values`` make, with no array copied: its blobs are views of the live memory.

    Raises UnsupportedError, with the path in the object, for what cannot be saved.
    """
    for name in values:
        if not isinstance(name, str) or name in RESERVED or "\0" in name:
            raise UnsupportedError(f"{name!r} cannot be the name of a value in a file", "$")
    return plan_document(lower(values, vocabulary))


def write_document(path: Path, document: Document, keep: Any = None) -> None:
    """Write a document that a reader of any format gave, its arrays with checksums; see ``write``. Changes it."""
    from holdfast.formats.document.for_bson import as_bson

    publish(path, plan_document(as_bson(document)))


def publish(path: Path, plan: Plan, *, durable: bool = True) -> None:
    """Put ``plan`` at ``path``, its checksums made on the way; see ``storage.local.publish``."""
    with held():
        sealing = Sealing(plan)
        buffers = sealing.parts(local.Watched)
    local.publish(path, buffers, durable=durable, complete=sealing.complete)


def open_file(path: Path, *, mmap: bool = True, patterns: bool = False) -> File:
    """Map or read ``path`` and find its parts; no array is touched.

    patterns  whether documents that are like others may stand as ``Alike``, for who only audits and lifts

    Raises FormatError (which byte) when it is not one whole BSON document.
    """
    mapped = local.open_bytes(path, mmap=mmap)
    if mapped.cold is None:
        return file_of(fspath(path), mapped.data, patterns=patterns)
    file = file_of(fspath(path), mapped.data, patterns=patterns, skipping=mapped.cold.glance)
    file.digest = partial(_checksums_of, mapped.cold)
    return file


def _checksums_of(cold: Cold, blobs: Sequence[Blob]) -> list[int]:
    """The checksums of blobs in a file that is on the disk."""
    size = sum(blob.nbytes for blob in blobs)
    return checksums_ahead(blobs, cold.bring) if cold.expect(size) else checksums(blobs)


def file_of(name: str, data: Any, *, patterns: bool = False, skipping: Skipping | None = None) -> File:
    """The file called ``name`` whose bytes are ``data``; see ``open_file`` and ``read_document``."""
    try:
        reading = read_document(data, patterns=patterns, skipping=skipping)
    except FormatError as error:
        raise in_file(error, name) from None
    document, whole = reading.document, "tag" in reading.document and isinstance(reading.document["tag"], str)
    if whole:
        backrefs = {"_backrefs": document["_backrefs"]} if "_backrefs" in document else {}
        document = {ROOT: {key: value for key, value in document.items() if key != "_backrefs"}, **backrefs}
    return File(name, data, document, reading.sealed, whole, reading.blobs)
