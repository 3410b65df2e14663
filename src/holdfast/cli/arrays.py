"""The array of one document as NumPy's, whoever wrote it, and without the framework that it was.

Strategy: the keys that BSON.jl knows say what the bytes are; of Holdfast's own keys only those are used that say how
NumPy would see them (a dtype that Julia lacks, a view of other memory). What cannot be told so is None, never a guess.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from holdfast.codec.lift import audit, lift
from holdfast.codec.rule import Options
from holdfast.errors import HoldfastError
from holdfast.formats.inspect import names_only
from holdfast.julia import Array, Struct
from holdfast.vocab.numpy import NAMED
from holdfast.wire.values import Blob, Document

NdArray = np.ndarray[Any, Any]
Resolve = Callable[[Any], Any]
"""Gives what a part of a document stands for: itself, or what it refers back to."""

JULIAS: Final = frozenset({"tag", "type", "size", "data"})
NUMPYS: Final = JULIAS | {"dtype", "shape", "byteorder", "slabs", "order", "carrier"}
MISFITS: Final = (HoldfastError, TypeError, ValueError, KeyError, IndexError, AttributeError)
"""What goes wrong where a document is not what it says: no array then."""


def array_of(node: Document, dtype: str | None, resolve: Resolve, backrefs: list[Any]) -> NdArray | None:
    """The array of ``node``, whose elements are of ``dtype``; None where NumPy has none such."""
    try:
        if "base" in node and "strides" in node:
            return _view(node, resolve)
        if "slabs" in node or "shape" in node:
            kind = "type" if node["tag"] == "python" else "python"
            found = _lifted({key: node[key] for key in node.keys() & NUMPYS} | {kind: "numpy.ndarray"}, backrefs)
            return found if isinstance(found, np.ndarray) else None
        found = _lifted({key: node[key] for key in node.keys() & JULIAS}, backrefs)
        array = np.asarray(found) if isinstance(found, np.ndarray | Struct | Array) else np.empty(0, object)
        if array.dtype.hasobject:
            return None
        return array if dtype in (None, array.dtype.name) else array.view(NAMED[str(dtype)])
    except MISFITS:
        return None


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
