"""The array of one document as NumPy's, whoever wrote it, and without the framework that it was; and back.

Strategy: the keys that BSON.jl knows say what the bytes are; of Holdfast's own keys only those are used that say how
NumPy would see them (a dtype that Julia lacks, a view of other memory). What cannot be told so is None, never a guess.
The way back makes the document that the engine would have made, around the same memory and of any size: it is read and
not written, so BSON's limit of 2 GiB does not hold for it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

import numpy as np

from holdfast.codec.audit import audit, type_name
from holdfast.codec.lift import lift
from holdfast.codec.rule import Options, Vocabulary
from holdfast.errors import HoldfastError
from holdfast.julia import Array, Struct
from holdfast.vocab import julia, numpy, python, randoms
from holdfast.vocab.dtypes import CARRIERS, LOWER_NAMES, NAMED, SWAPPED, describe
from holdfast.vocab.numpy import array_fields
from holdfast.vocab.types import BY_DTYPE
from holdfast.wire.values import Alike, Blob, Document

NdArray = np.ndarray[Any, Any]
Resolve = Callable[[Any], Any]
"""Gives what a part of a document stands for: itself, or what it refers back to."""

JULIAS: Final = frozenset({"tag", "type", "size", "data"})
NUMPYS: Final = JULIAS | {"dtype", "shape", "byteorder", "slabs", "order", "carrier"}
MISFITS: Final = (HoldfastError, TypeError, ValueError, KeyError, IndexError, AttributeError)
"""What goes wrong where a document is not what it says: no array then."""


@cache
def names_only() -> Vocabulary:
    """The rules without any framework's: the names that a file gives are enough to say what is in it."""
    return Vocabulary([*julia.RULES, *python.RULES, *numpy.RULES, *randoms.RULES])


# -- from a document --------------------------------------------------------------------------------------------------


def array_of(node: Document, dtype: str | None, resolve: Resolve, backrefs: list[Any]) -> NdArray | None:
    """The array of ``node``, whose elements are of ``dtype``; None where NumPy has none such."""
    try:
        if "base" in node and "strides" in node:
            return _view(node, resolve)
        if "slabs" in node or "shape" in node:
            kind = "type" if node["tag"] == "python" else "python"
            found = _lifted({key: node[key] for key in node.keys() & NUMPYS} | {kind: "numpy.ndarray"}, backrefs)
            return found if isinstance(found, np.ndarray) else None
        if node["tag"] == "struct":
            return _permuted(node, dtype, resolve, backrefs)
        found = _lifted({key: node[key] for key in node.keys() & JULIAS}, backrefs)
        array = np.asarray(found) if isinstance(found, np.ndarray | Struct | Array) else np.empty(0, object)
        if array.dtype.hasobject:
            return None
        return array if dtype in (None, array.dtype.name) else array.view(NAMED[str(dtype)])
    except MISFITS:
        return None


def _permuted(node: Document, dtype: str | None, resolve: Resolve, backrefs: list[Any]) -> NdArray | None:
    """A ``PermutedDimsArray``: its axis i is axis ``order[i]``, counted from 1, of the array inside. Of a struct around
    anything else there is none."""
    type_ = resolve(node["type"])
    if type_name(type_) != "Base.PermutedDimsArrays.PermutedDimsArray":
        return None
    inner = array_of(resolve(node["data"][0]), dtype, resolve, backrefs)
    order = _lifted(resolve(resolve(type_["params"])[2]), backrefs)
    return None if inner is None else inner.transpose([int(axis) - 1 for axis in order])


def _view(node: Document, resolve: Resolve) -> NdArray:
    """A tensor on the memory of another. NumPy refuses what would lie outside of it."""
    (memory,) = blobs_of(resolve(node["base"]), resolve)
    dtype = NAMED[node["dtype"]]
    strides = [int(resolve(stride)) * dtype.itemsize for stride in resolve(node["strides"])]
    return np.ndarray([int(resolve(n)) for n in resolve(node["size"])], dtype, memory.data, node["offset"], strides)


def _lifted(node: Document, backrefs: list[Any]) -> Any:
    document = {"value": node, "_backrefs": backrefs}
    return lift(audit(document, ["value"], names_only()), ["value"], names_only(), Options())["value"]


def blobs_of(node: Any, resolve: Resolve) -> Iterator[Blob]:
    """The binaries of an array's document, in order: its own, those of one inside a wrapper, or its pieces."""
    data = node.get("data") if type(node) is dict else None
    if type(data) is Blob:
        yield data
        return
    parts = data if type(data) is list else node.get("slabs") if type(node) is dict else None
    for part in map(resolve, parts if type(parts) is list else ()):
        if type(part) is dict and type(part.get("data")) is Blob:
            yield part["data"]


# -- to a document ----------------------------------------------------------------------------------------------------


def array_document(array: NdArray, *, checksum: int | None = None, offset: int | None = None, **extra: Any) -> Document:
    """The document of ``array`` around its own memory, which must be in C or Fortran order; ``extra`` are Python's keys
    on it (``python="torch.Tensor"``).

    checksum  of the bytes, if the file has one to compare with; offset is their place in it
    Copies only what has gaps. Raises UnsupportedError for a dtype that cannot be saved.

    >>> array_document(np.zeros((2, 3), "f4"), python="torch.Tensor")["data"][0]["size"]
    [3, 2]
    """
    if not array.flags.forc:
        array = np.ascontiguousarray(array)
    if array.dtype not in BY_DTYPE or not array.dtype.isnative:
        array, keys = _carried(array)
        extra = keys | extra
    raw = array.reshape(-1, order="F" if array.flags.f_contiguous else "C")
    data = raw.view(np.uint8).data if raw.nbytes else memoryview(b"")
    blob = Blob(data, sealed=checksum is not None, checksum=checksum, offset=offset)
    if array.flags.f_contiguous:
        return {**_template(array.dtype, 1), "size": list(array.shape), "data": blob, **extra}
    outer = _template(array.dtype, array.ndim)
    return {**outer, "data": [{**outer["data"][0], "size": list(array.shape[::-1]), "data": blob}], **extra}


@cache
def _template(dtype: np.dtype[Any], ndim: int) -> Document:
    """The document of an array of ``dtype`` in C order, but for its size and its data."""
    document: Document = plain(array_fields(np.zeros((2,) * ndim, dtype)))
    return document


def _carried(array: NdArray) -> tuple[NdArray, Document]:
    """``array`` under a dtype that Julia has, and the keys that tell what it was. No copy."""
    dtype = array.dtype
    keys: Document = {"python": "numpy.ndarray", "dtype": plain(describe(dtype))}
    if dtype.isnative and dtype in LOWER_NAMES:
        return array.view(CARRIERS[array.itemsize]), keys
    if not dtype.isnative and dtype.names is None:
        keys["byteorder"] = SWAPPED
    keys["shape"] = list(array.shape)
    flat = np.ascontiguousarray(array).reshape(-1)
    return (flat.view(np.uint8) if flat.nbytes else np.empty(0, np.uint8)), keys


def plain(level: Any) -> Any:
    """What rules made (``Fields``, ``Alike`` …) as the reader has it: dictionaries and lists, shared where they were."""
    if not isinstance(level, dict | list):
        return level
    root = _shallow(level)
    made: dict[int, tuple[Any, Any]] = {id(level): (level, root)}  # with what each was, whose number is its own so long
    stack = [root]
    while stack:
        container = stack.pop()
        for key, child in list(container.items() if isinstance(container, dict) else enumerate(container)):
            if isinstance(child, dict | list | Alike):
                if id(child) not in made:
                    made[id(child)] = child, _shallow(child)
                    stack.append(made[id(child)][1])
                container[key] = made[id(child)][1]
    return root


def _shallow(level: Any) -> Any:
    if isinstance(level, Alike):
        return level.document()
    return dict(level) if isinstance(level, dict) else list(level)


def blobs_in(document: Document) -> Iterator[Blob]:
    """Every binary of a document, each once."""
    seen: set[int] = set()
    for node in containers(document):
        for part in node.values() if isinstance(node, dict) else node:
            if type(part) is Blob and id(part) not in seen:
                seen.add(id(part))
                yield part


def containers(document: Document) -> Iterator[Any]:
    """Every dictionary and list of a document, each once and before what is in it."""
    stack: list[Any] = [document]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, dict | list) and id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend(list(node.values() if isinstance(node, dict) else node))
