"""What is tried: each target takes bytes and returns, or raises what must never leave Holdfast.

Strategy: a target does what ``load`` and the other public names do, in the same functions, without a disk. An error of
Holdfast's own is a right answer; so is a value. Everything else escapes. ``TARGETS`` is the table; to add one, write a
function and a line.
"""

import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import bson as pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON

from fuzz import foreign, grammar, seeds
from holdfast.codec.rule import Options
from holdfast.errors import FormatError, HoldfastError
from holdfast.formats import bson
from holdfast.formats.look.inspect import inspect_file
from holdfast.storage.system import fresh_memory
from holdfast.vocab import FRAMEWORKS, vocabulary
from holdfast.wire.checksum import seal
from holdfast.wire.plan import plan_document
from holdfast.wire.read import read_document
from holdfast.wire.values import Alike, Blob, Int32, Opaque, RawText, same_value

LARGEST: Final = 8192
"""Bytes of an input."""
SHORT: Final = 768
"""Bytes of an input where only the reader is tried: what it tells apart stands close together."""


class Escape(AssertionError):
    """Two answers that should be one."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function of bytes, and the files that it starts from.

    keep     what an input is kept as, and for which target: an input that only chooses is kept as the file it made
    largest  bytes of an input
    """

    name: str
    idea: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    keep: tuple[str, Callable[[bytes], bytes | None]] | None = None
    largest: int = LARGEST


def warm() -> None:
    """Import what is imported on first use, and let no warning be printed a million times."""
    warnings.simplefilter("ignore")
    for root in FRAMEWORKS:
        vocabulary().named("python", f"{root}.Warm")
        vocabulary().named("struct", f"{root}.Warm")


# -- the reader -------------------------------------------------------------------------------------------------------


def read(data: bytes) -> None:
    """Any bytes are a document or a FormatError."""
    try:
        read_document(data)
    except FormatError:
        return


def expanded(value: Any) -> Any:
    """A document in which nothing stands for another."""
    if type(value) is Alike:
        return expanded(value.document())
    if isinstance(value, dict):
        return {key: expanded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [expanded(part) for part in value]
    return value


READERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "general": lambda data: read_document(data).document,
    "patterns": lambda data: expanded(read_document(data, patterns=True).document),
}
"""Every way to read one file: all must give the same document, or all must refuse it."""


def answer(reader: Callable[[bytes], Any], data: bytes) -> Any:
    """The document, or the kind of error."""
    try:
        return reader(data)
    except FormatError as error:
        return type(error)


def agree(data: bytes) -> None:
    """The readers of ``READERS`` agree, and pymongo reads what we read unless we are laxer on purpose."""
    answers = {name: answer(reader, data) for name, reader in READERS.items()}
    first = answers["general"]
    for name, other in answers.items():
        if not (first is other if isinstance(first, type) or isinstance(other, type) else same_value(first, other)):
            raise Escape(f"general says {first!r:.200}, {name} says {other!r:.200}")
    if not isinstance(first, type):
        with_pymongo(data, first)


THEIRS: Final = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)


def with_pymongo(data: bytes, ours: dict[str, Any]) -> None:
    """What both accept says the same. pymongo refuses texts that are no UTF-8 and knows nothing of Julia's order."""
    try:
        theirs = pymongo.decode(data, THEIRS)
    except (InvalidBSON, UnicodeDecodeError, ValueError, OverflowError, RecursionError):
        return
    compare(ours, {name: part for name, part in theirs.items() if name != "_holdfast" or name in ours}, "$")


OURS: Final = frozenset({"xxh3", "pad"})
"""What the reader takes out of arrays of ours."""


def compare(ours: Any, theirs: Any, path: str) -> None:
    """Raises Escape where two readings of plain values differ. What is carried as Opaque is not looked into."""
    kind = type(ours)
    if kind is Opaque or kind is RawText:
        return
    if kind is dict:
        names = list(theirs) if isinstance(theirs, dict) else None
        if names is not None and list(ours) != names:
            names = [name for name in names if name not in OURS or name in ours]
        if names is None or list(ours) != names:
            raise Escape(f"{path}: {list(ours)!r:.200} and {theirs!r:.200}")
        for name, part in ours.items():
            compare(part, theirs[name], f"{path}.{name}")
    elif kind is list:
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            raise Escape(f"{path}: {len(ours)} elements and {theirs!r:.200}")
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            compare(a, b, f"{path}[{index}]")
    elif kind is Blob:
        if ours.subtype != 2 and bytes(ours.data) != bytes(theirs if isinstance(theirs, bytes) else theirs.bytes):
            raise Escape(f"{path}: other bytes")
    elif kind is Int32 or kind is int:
        if int(ours) != int(theirs):
            raise Escape(f"{path}: {ours} and {theirs}")
    elif not same_value(ours, theirs):
        raise Escape(f"{path}: {ours!r:.100} and {theirs!r:.100}")


# -- all of load ------------------------------------------------------------------------------------------------------


def mapped(data: bytes) -> Any:
    """``data`` in memory as a mapped file is: it can be written, and starts on a page."""
    if not data:
        return data
    memory = fresh_memory(len(data))
    memory[:] = data
    return memory


def build(file: bson.File) -> None:
    """What ``load`` does with an open file."""
    rules, names = vocabulary(), file.names
    file.verify_frame()
    audited = file.audit(names, rules)
    file.verify_blobs(audited.blobs)
    file.lift(audited, names, rules, Options())


def load(data: bytes) -> None:
    """``load`` with every vocabulary."""
    try:
        build(bson.file_of("m.bson", mapped(data), patterns=True))
    except HoldfastError:
        return


def load_unchecked(data: bytes) -> None:
    """``load(verify=False)``: a checksum is no lock, so that bytes come to the rules that have none in order."""
    try:
        file = bson.file_of("m.bson", mapped(data), patterns=True)
        rules, names = vocabulary(), file.names
        file.lift(file.audit(names, rules), names, rules, Options())
    except HoldfastError:
        return


def look(data: bytes) -> None:
    """``inspect``, and its text."""
    try:
        str(inspect_file(bson.file_of("m.bson", data)))
    except HoldfastError:
        return


# -- documents instead of bytes ---------------------------------------------------------------------------------------


@cache
def documents() -> list[dict[str, Any]]:
    return sorted(seeds.documents(), key=lambda document: len(grammar.places(document)))


def document_of(data: bytes) -> dict[str, Any]:
    """The document that these bytes choose: one of the seeds, changed, or a new one."""
    choose = random.Random(data)
    if choose.random() < 0.35:
        return grammar.document(choose)
    known = documents()  # the small ones come first, and more often: five of them take the time of one large one
    return grammar.mutated(choose, known[int(len(known) * choose.random() ** 2)])


def written(data: bytes) -> bytes | None:
    """The file of ``document_of``, with checksums or without; None where the writer refuses it (too deep, too long)."""
    seals = sum(data) % 2 == 0
    try:
        document = document_of(data)
        plan = plan_document(document if seals else grammar.copied(document, seals=False), trailer=seals)
    except HoldfastError:
        return None
    if seals:
        seal(plan)
    return b"".join(plan.buffers())


def structure(data: bytes) -> None:
    """Documents made of the vocabularies' own words, through ``load`` and ``inspect``."""
    made = written(data)
    if made is None:
        return
    try:
        file = bson.file_of("m.bson", mapped(made), patterns=data[-1:] > b"\x7f")
    except HoldfastError:
        return
    with suppress(HoldfastError):
        build(file)
    if data[-1:] > b"\x7f":  # one that ``inspect`` would have: it has no patterns
        look(made)
        return
    with suppress(HoldfastError):
        str(inspect_file(file))


CHOICE: Final = 16
"""Bytes that choose a document: more of them choose no more."""


def numbers() -> list[bytes]:
    """What chooses the first documents."""
    return [number.to_bytes(4, "little") for number in range(64)]


TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for target in (
        Target("read", "any bytes are a document or a FormatError", read, seeds.small_files, largest=SHORT),
        Target(
            "agree",
            "all readers agree, and so does pymongo where it reads a file",
            agree,
            seeds.small_files,
            largest=SHORT,
        ),
        Target("load", "any bytes, through all of load", load, seeds.files),
        Target("unchecked", "any bytes, through load(verify=False)", load_unchecked, seeds.files),
        Target("look", "any bytes, through inspect", look, seeds.files),
        Target(
            "structure",
            "documents of the vocabularies' words, through load and inspect",
            structure,
            numbers,
            ("load", written),
            largest=CHOICE,
        ),
        Target("safetensors", "any bytes as a safetensors file", foreign.through, foreign.safetensors_seeds),
        Target("arrays", "any bytes as an npy or npz file, or as an array in one", foreign.arrays, foreign.array_seeds),
        Target(
            "torch", "any bytes as a file of torch's, or as the pickle in one", foreign.pickles, foreign.torch_seeds
        ),
        Target("jld2", "any bytes as a JLD2 file whose sums are right", foreign.headers, foreign.jld2_seeds),
        Target(
            "hdf5",
            "any bytes as an HDF5 file whose sums are right",
            foreign.headers,
            foreign.hdf5_seeds,
            largest=2 * LARGEST,
        ),
    )
}
