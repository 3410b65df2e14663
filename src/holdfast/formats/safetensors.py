"""safetensors: tensors by name, mapped and not copied.

Strategy: the library reads the header and judges it; from its names, dtypes and shapes, which must fill the file without
a gap, follows where each tensor lies in our own map of the file. What the format has no place for is noted in its
metadata under ``holdfast``: the class of each array, its XXH3-64, where the dots of its name are, and which other names
share its memory. The last thing there is the XXH3-64 of the header itself, so that it is seen when another program has
written the file anew and took the notes along.

Source: the README of github.com/huggingface/safetensors.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from holdfast.codec.lower import lower
from holdfast.codec.rule import Vocabulary
from holdfast.errors import FormatError, UnsupportedError
from holdfast.formats.document.arrays import plain
from holdfast.formats.document.leaves import (
    ADVICE,
    Held,
    Keep,
    Leaf,
    Note,
    as_it_is,
    document_of,
    is_flat,
    leaves,
    memory_of,
)
from holdfast.formats.file import File, Path, steady
from holdfast.formats.foreign.archive import Bytes
from holdfast.formats.foreign.seals import DIGITS, STALE, is_sum, resembles, sum_of, text_of
from holdfast.storage import local
from holdfast.vocab.dtypes import CARRIERS, NAMED
from holdfast.wire.checksum import checksum
from holdfast.wire.plan import ALIGNMENT
from holdfast.wire.values import Document

NAME: Final = "safetensors"
METADATA: Final = "__metadata__"
"""The one name that is no tensor's: a dictionary of texts."""
OURS: Final = "holdfast"
"""The key in it that is Holdfast's."""
FRAMEWORKS: Final = {"torch.Tensor": "pt", "torch.nn.Parameter": "pt", "jax.Array": "flax"}
"""What other libraries want to read under ``format``."""
SEAL: Final = "0" * DIGITS
"""What stands where the checksum of the header comes."""

CODES: Final = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2": "F8_E5M2",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "float4_e2m1fn_x2": "F4",
    "complex64": "C64",
}
"""Name of a dtype -> safetensors' word for it."""
DTYPES: Final = {code: name for name, code in CODES.items()}
PACKED: Final = {"F4": 2}
"""Words for dtypes of which several share a byte, along the last dimension."""
WIDTHS: Final = {name: NAMED[name].itemsize if name in NAMED else 1 for name in CODES}
"""Bytes of one element, as Holdfast sees it; of those that share a byte, of the byte."""
FIRST: Final = b'{"__metadata__":{"holdfast":"'
"""What a header of ours begins with."""


# -- reading ----------------------------------------------------------------------------------------------------------


def open_file(path: Path, *, mmap: bool = True) -> File:
    """Map or read ``path`` and find its tensors.

    Raises FormatError for what safetensors itself refuses, and for dtypes that neither NumPy nor torch has.
    """
    return steady(path, lambda name: _opened(name, mmap))


def _opened(path: str, mmap: bool) -> File:
    source = local.open_bytes(path, mmap=mmap)
    metadata, tensors = _parts(path)
    start = 8 + int.from_bytes(source.data[:8], "little")
    _check_once(bytes(source.data[8:start]), len(tensors))
    damage, notes = _notes(metadata, source.data, start, [name for name, _, _ in tensors])
    held = {entry.name: entry for entry in _laid(memoryview(source.data), start, tensors, notes)}
    document = document_of((held[name] for name in notes or held), _default())
    blobs = [entry.blob for entry in held.values() if entry.checksum is not None]
    rest = {key: text for key, text in metadata.items() if key != OURS}
    flat = is_flat(document)
    if rest:
        document[METADATA] = rest
    hidden = frozenset({METADATA}) if rest else frozenset()
    return File(*(path, source.data, document, False, False, blobs, ".safetensors", flat, hidden), frame=lambda: damage)


Tensor = tuple[str, str, list[int]]
"""Name, safetensors' word for the dtype, shape."""


def _parts(path: str) -> tuple[dict[str, str], list[Tensor]]:
    """The metadata, and the tensors in the order in which they lie in the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            slices = [(name, opened.get_slice(name)) for name in opened.offset_keys()]
            tensors = [(name, part.get_dtype(), part.get_shape()) for name, part in slices]
            metadata = dict(opened.metadata() or {})
    except SafetensorError as error:
        raise FormatError(f"safetensors refuses the file: {error!s:.200}") from None
    return metadata, tensors


def _check_once(header: bytes, count: int) -> None:
    """Raises FormatError for a name that stands twice: the library takes the last, where no byte lies in both.

    To look at each name takes longer than all else, so it is only done where the header may hide one.
    """
    if header.count(b'"data_offsets"') == count and b"\\u" not in header:
        return
    try:
        json.loads(header, object_pairs_hook=_once)
    except RecursionError:
        raise FormatError("the header is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"the name {twice!r:.100} stands twice in the header")
    return found


def _laid(data: memoryview, start: int, tensors: Sequence[Tensor], notes: Mapping[str, Note] | None) -> list[Held]:
    """Each tensor on its part of the file."""
    found = []
    for name, code, shape in tensors:
        if code not in DTYPES:
            raise FormatError(f"{name!r} is of {code}, which neither NumPy nor PyTorch has")
        dtype = DTYPES[code]
        if code in PACKED and shape:
            shape = [*shape[:-1], shape[-1] // PACKED[code]]
        nbytes = WIDTHS[dtype]
        for n in shape:
            nbytes *= n
        carrier = CARRIERS.get(WIDTHS[dtype], np.dtype(np.uint64))
        try:
            array: Any = np.ndarray(shape, carrier, data[start : start + nbytes] if nbytes else None)
        except (ValueError, OverflowError, MemoryError) as error:
            raise FormatError(f"{name!r} is more than NumPy can have: {error}", start) from None
        note = None if notes is None else notes[name]
        sum_ = None if note is None else sum_of(note["xxh3"])
        found.append(Held(name, array, note, dtype, sum_, start))
        start += nbytes
    if start != len(data):
        raise FormatError(f"the tensors end at byte {start:,} of {len(data):,}", start)
    return found


def _notes(
    metadata: Mapping[str, str], data: Bytes, start: int, names: list[str]
) -> tuple[str, dict[str, Note] | None]:
    """What is damaged in the header, and the notes by name; none where Holdfast did not write the file."""
    text, header = metadata.get(OURS), data[8:start]
    if text is None:
        almost = resembles(header[: len(FIRST)], FIRST, FIRST)
        return STALE.format("header") if almost else "", None
    seal = f'{text[-len(SEAL) :]}"'.encode()
    read = header.replace(seal, f'{SEAL}"'.encode(), 1)
    if text_of(checksum(memoryview(read))) != text[-len(SEAL) :]:
        return STALE.format("header"), None
    try:
        notes = json.loads(text[: -len(SEAL)])
    except (ValueError, RecursionError):
        notes = None
    right = isinstance(notes, dict) and notes.keys() == set(names)
    if not right or not all(isinstance(note, dict) and is_sum(note.get("xxh3")) for note in notes.values()):
        raise FormatError("what Holdfast noted in the metadata is not what it writes")
    return "", notes


def _default() -> str:
    """What a tensor of a file without notes is."""
    return "torch.Tensor" if find_spec("torch") is not None else "numpy.ndarray"


# -- writing ----------------------------------------------------------------------------------------------------------


def write(path: Path, values: Mapping[str, Any], vocabulary: Vocabulary) -> None:
    """Write the arrays of ``values``, in dictionaries or not; a dictionary of texts under ``__metadata__`` is the
    file's metadata. Raises UnsupportedError for anything else, with its path."""
    write_document(path, plain(lower(values, vocabulary)))


def write_document(path: Path, document: Document, keep: Keep = as_it_is) -> None:
    """Write the arrays of ``document``; see ``write`` and ``leaves``."""
    metadata = _metadata(document)
    found = leaves({name: node for name, node in document.items() if name != METADATA}, NAME, keep)
    for leaf in found:
        _check(leaf)
    held = {leaf.name: memory_of(leaf.array, keep) for leaf in found}
    notes = {leaf.name: leaf.note | {"xxh3": text_of(checksum(held[leaf.name]))} for leaf in found}
    # Wide elements first, so that each stands on a multiple of its width; safetensors' own writer does so, too.
    ranked = sorted(found, key=lambda leaf: -leaf.array.itemsize)
    framework = next((FRAMEWORKS[n["python"]] for n in notes.values() if n["python"] in FRAMEWORKS), "np")
    ours = json.dumps(notes, separators=(",", ":")) + SEAL
    metadata = {OURS: ours, "format": framework} | metadata  # first, so that the first such zeros are the seal's
    local.publish(path, [_header(ranked, held, metadata), *(held[leaf.name] for leaf in ranked)])


def _metadata(document: Document) -> dict[str, str]:
    metadata = document.get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise UnsupportedError(f"the metadata of {NAME} are texts by name: {ADVICE}", f"$.{METADATA}")
    return {key: text for key, text in metadata.items() if key != OURS}


def _check(leaf: Leaf) -> None:
    if leaf.dtype not in CODES or not leaf.array.dtype.isnative or (leaf.dtype in NO_AXES and not leaf.array.ndim):
        raise UnsupportedError(f"an array of {leaf.dtype} has no place in {NAME}: {ADVICE}", leaf.path)
    if leaf.name == METADATA:
        raise UnsupportedError(f"no tensor of {NAME} can have the name {METADATA!r}: rename it, or {ADVICE}", leaf.path)


NO_AXES: Final = frozenset(DTYPES[code] for code in PACKED)
"""dtypes that need an axis to be packed along."""


def _header(ranked: list[Leaf], held: Mapping[str, memoryview], metadata: Mapping[str, str]) -> bytes:
    """The header: its length, and JSON, padded so that the tensors begin on a multiple of 64 bytes."""
    parts: dict[str, Any] = {METADATA: metadata}
    end = 0
    for leaf in ranked:
        code, shape = CODES[leaf.dtype], list(leaf.array.shape)
        shape = [*shape[:-1], shape[-1] * PACKED[code]] if code in PACKED else shape
        start, end = end, end + held[leaf.name].nbytes
        parts[leaf.name] = {"dtype": code, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    at = text.index(f'{SEAL}"'.encode())
    text = text[:at] + text_of(checksum(memoryview(text))).encode() + text[at + len(SEAL) :]
    return len(text).to_bytes(8, "little") + text
