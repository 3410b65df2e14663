"""Which format a file has: its own bytes decide when it is read, the ending of its path when it is written.

Strategy: one table. ``look`` gathers a few bytes and, of a zip, the names in it; ``format_of`` is a pure decision on
what was gathered. Exactly one row must claim the file: none is an error that lists what is known, two are a file that
pretends to be something else. The chosen reader is the only one that ever sees the file; when it refuses, that is that.

Two formats begin with a length, and the fifth byte tells them apart: it is the type of BSON's first value, never zero
but in the empty document, and the upper half of safetensors' header length, always zero.

Sources: bsonspec.org 1.1; the HDF5 File Format Specification, 3.0, II.A (the signature at 0, 512, 1024, 2048 …);
JLD2.jl (a text in the 512 bytes before that); safetensors' README; numpy.lib.format; PKWARE's APPNOTE.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from os import fspath
from typing import Any, Final

from holdfast.errors import FormatError, HoldfastError, MissingError, UnsupportedError
from holdfast.formats.file import File, Path
from holdfast.storage import system
from holdfast.storage.folder import kind_of
from holdfast.wire.elements import ARRAY, BINARY, DOCUMENT, U32
from holdfast.wire.plan import TRAILER
from holdfast.wire.read import READERS

HEAD: Final = 8192
"""Bytes from the start that are looked at: room for HDF5's signature behind a block of the user's."""
SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
USER_BLOCKS: Final = (512, 1024, 2048, 4096)
"""Where HDF5's signature may stand when it is not at the start, within ``HEAD``."""
JLD2_TEXTS: Final = (b"HDF5-based Julia Data Format", b"Julia data file (HDF5)")
"""What a JLD2 file begins with, today and before 2020."""
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""A zip begins with its first member, or with its end where it has none."""
KINDS: Final = frozenset({DOCUMENT, ARRAY, BINARY, *READERS})
"""Types of BSON values."""
TRAILER_NAME: Final = TRAILER[: TRAILER.index(b"\0", 1) + 1]


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a file before it is opened: its first and last bytes, its size, the names in a zip."""

    head: bytes
    tail: bytes
    size: int
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table.

    name     what people call it
    endings  of its files; the first is the one that errors speak of
    claims   whether a file is of this format, as far as its magic says
    module   the reader: ``open_file(path, *, mmap) -> File``; with ``writes``, also ``write(path, values, vocabulary)``
    writes   whether ``save`` writes it
    ours     whether it is the format of this library, whose ``open_file`` takes ``patterns``, too
    package  what must be installed, and ``extra``, how Holdfast's extra is called that brings it
    """

    name: str
    endings: tuple[str, ...]
    claims: Callable[[Look], bool]
    module: str
    writes: bool = False
    package: str = ""
    extra: str = ""
    ours: bool = False


# -- magic ------------------------------------------------------------------------------------------------------------


def _is_bson(look: Look) -> bool:
    """A document by its first value, or one of Holdfast's by its last."""
    if look.tail.startswith(TRAILER_NAME):
        return True
    if len(look.head) < 5:
        return False
    length = U32.unpack_from(look.head)[0]
    if length == 5 == look.size:
        return look.head == b"\x05\0\0\0\0"
    if look.head[4] not in KINDS or _stands_elsewhere(look.head):
        # Another's magic that would also be a length: what is one whole document is a document all the same.
        return look.head[4] in KINDS and length == look.size & 0xFFFFFFFF and look.tail.endswith(b"\0")
    return True


def _stands_elsewhere(head: bytes) -> bool:
    return head.startswith((*ZIP, SIGNATURE)) or _is_pickle_head(head)


def _is_safetensors(look: Look) -> bool:
    return look.head[4:9] == b"\0\0\0\0{"


def _is_npy(look: Look) -> bool:
    return look.head.startswith(b"\x93NUMPY")


def _is_hdf5(look: Look) -> bool:
    """The signature at the start, or behind a block in which nothing that has a magic stands."""
    if look.head.startswith(SIGNATURE):
        return True
    behind = any(look.head.startswith(SIGNATURE, at) for at in USER_BLOCKS)
    return behind and not any(row.claims(look) for row in FORMATS if row.claims is not _is_hdf5)


def _is_jld2(look: Look) -> bool:
    return look.head.startswith(JLD2_TEXTS)


def _is_npz(look: Look) -> bool:
    return _is_zip(look) and any(name.endswith(".npy") for name in look.members)


def _is_torch(look: Look) -> bool:
    """``torch.save`` writes ``NAME/data.pkl`` and ``NAME/data/0`` …; TorchScript, which has one too, is told apart
    there."""
    return _is_zip(look) and any(name.rpartition("/")[2] == "data.pkl" for name in look.members)


def _is_zip(look: Look) -> bool:
    return look.head.startswith(ZIP)


def _is_pickle_head(head: bytes) -> bool:
    return head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")


FORMATS: Final = (
    Format("BSON", (".bson",), _is_bson, "holdfast.formats.bson", writes=True, ours=True),
    Format(
        *("safetensors", (".safetensors",), _is_safetensors, "holdfast.formats.safetensors", True),
        *("safetensors", "safetensors"),
    ),
    Format("NumPy's npz", (".npz",), _is_npz, "holdfast.formats.npz", writes=True),
    Format("NumPy's npy", (".npy",), _is_npy, "holdfast.formats.npy", writes=True),
    Format("PyTorch", (".pt", ".pth"), _is_torch, "holdfast.formats.torch", package="torch", extra="torch"),
    Format("JLD2", (".jld2",), _is_jld2, "holdfast.formats.jld2"),
    Format("HDF5", (".h5", ".hdf5"), _is_hdf5, "holdfast.formats.hdf5"),
)
"""Every format. The first is what a path without a known ending gets."""

TORCH_SAVES: Final = 'torch.save(torch.load(path, weights_only=True), "new.pt")'
"""The line that makes today's format of an old file of PyTorch's."""

REFUSED: Final[tuple[tuple[Callable[[Look], bool], str], ...]] = (
    (
        lambda look: look.head.startswith(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."),
        "it is a file of torch.save as it was before PyTorch 1.6, one pickle. PyTorch itself converts it: "
        + TORCH_SAVES,
    ),
    (
        lambda look: look.head[257:262] == b"ustar" and any(x in look.head[:100] for x in (b"sys_info", b"pickle")),
        "it is a file of torch.save as it was before PyTorch 0.1.10, a tar archive. PyTorch converts it: "
        + TORCH_SAVES,
    ),
    (lambda look: _is_pickle_head(look.head), "it is a pickle, which is a program and not data, and is never read"),
    (
        lambda look: _is_zip(look) and "model.weights.h5" in look.members,
        "it is a Keras archive; in Keras, model.save_weights('m.weights.h5') writes the weights as HDF5, which is read",
    ),
    (_is_zip, "it is a zip archive with neither arrays of NumPy's nor tensors of PyTorch's in it"),
)
"""Files that are known and not read -> why, and what to do."""

NOT_NOW: Final = "MessagePack of Flax and the folders of Orbax and zarr are not read now"


# -- reading ----------------------------------------------------------------------------------------------------------


def format_of(look: Look) -> Format:
    """The one format that claims a file. Raises FormatError when none does, or more than one.

    >>> format_of(Look(b"\\x10\\0\\0\\0\\x12a\\0\\1\\0\\0\\0\\0\\0\\0\\0\\0", b"\\0", 16)).name
    'BSON'
    """
    found = [row for row in FORMATS if row.claims(look)]
    if len(found) == 1:
        return found[0]
    if found:
        raise FormatError(f"the file claims to be {' and '.join(row.name for row in found)} at once: none is read")
    if not look.size:
        raise FormatError("the file is empty")
    for claims, reason in REFUSED:
        if claims(look):
            raise FormatError(f"the file cannot be loaded: {reason}")
    known = ", ".join(f"{row.name} ({row.endings[0]})" for row in FORMATS)
    start = look.head[:8].hex(" ")
    raise FormatError(f"the file begins with {start}, which is no format that is read: {known}. {NOT_NOW}", 0)


def look(path: Path) -> Look:
    """Gather what ``format_of`` decides on. Raises OSError as ``open`` does, FormatError for what is not a file."""
    path = fspath(path)
    if kind := kind_of(os.stat(path)):
        advice = f" ({NOT_NOW})" if os.path.isdir(path) else ""
        raise FormatError(f"{path!r} is {kind}, not a file with bytes to load; give the path of a file{advice}")
    with open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, system.READ)) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(HEAD)
        file.seek(max(size - len(TRAILER), 0))
        seen = Look(head, file.read(len(TRAILER)), size)
        if not _is_zip(seen):
            return seen
    from holdfast.formats.foreign.archive import names

    try:
        return Look(seen.head, seen.tail, size, tuple(names(path)))
    except FormatError:
        if _is_bson(seen):
            return seen  # a document whose length spells a zip's magic, and no zip
        raise


def open_file(path: Path, *, mmap: bool = True, patterns: bool = False) -> File:
    """Open ``path`` with the reader of its format; no array is touched where the format allows it.

    patterns  whether documents that are like others may stand as ``Alike``, for who only audits and lifts

    Raises FormatError when the bytes are of no format that is read, or not what their format demands; MissingError
    when the package that the format needs is not installed.
    """
    try:
        row = format_of(look(path))
    except FormatError as error:
        raise _named(error, fspath(path)) from None
    options = {"patterns": patterns} if row.ours else {}
    file: File = module_of(row, f"reading {row.name} files").open_file(path, mmap=mmap, **options)
    return file


def _named(error: FormatError, path: str) -> HoldfastError:
    named = type(error)(error.message if repr(path) in error.message else f"{path}: {error.message}", error.offset)
    named.__suppress_context__ = True
    return named


def module_of(row: Format, purpose: str) -> Any:
    """The module of a format. Raises MissingError when the package that it needs is not installed."""
    if row.package and find_spec(row.package) is None:
        raise MissingError(purpose, f"holdfast[{row.extra}]")
    return import_module(row.module)


# -- writing ----------------------------------------------------------------------------------------------------------


def format_for(path: Path) -> Format:
    """The format that the ending of ``path`` asks for; BSON for an ending that says nothing.

    Raises UnsupportedError for a format that is read only.

    >>> format_for("weights.safetensors").name, format_for("model.checkpoint").name
    ('safetensors', 'BSON')
    """
    row = by_ending(path)
    if row is None:
        return FORMATS[0]
    if not row.writes:
        writable = _or([other.endings[0] for other in FORMATS if other.writes])
        raise UnsupportedError(
            f"{fspath(path)}: files of {row.name} are read and not written: save to a path that ends in {writable}"
        )
    return row


def by_ending(path: Path) -> Format | None:
    """The row that ``path`` ends like, whatever it holds."""
    name = os.fsdecode(fspath(path)).lower()
    return next((row for row in FORMATS if name.endswith(row.endings)), None)


def writer_for(path: Path) -> Any:
    """The module that writes the format which the ending of ``path`` asks for; see ``format_for``."""
    row = format_for(path)
    return module_of(row, f"writing {row.name} files")


def _or(words: Collection[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
