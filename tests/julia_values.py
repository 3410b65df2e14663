"""NumPy arrays as BSON.jl's array documents, and as tests/julia/describe.jl prints them, by pymongo's ``bson`` alone.

Strategy: written apart from Holdfast's own codec on purpose, so that the two can disagree.
"""

from __future__ import annotations

from typing import Any

import bson
import numpy as np
from numpy.typing import NDArray

_NAMES = {
    **{name.lower(): name for name in ("Bool", "Float16", "Float32", "Float64")},
    **{name.lower(): name for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")},
    "complex64": "Complex{Float32}",
    "complex128": "Complex{Float64}",
}
_DTYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items()}


def _datatype(name: str) -> dict[str, Any]:
    """The document for a Julia number type: ``Complex{Float32}`` is ``Main.Base.Complex`` of ``Core.Float32``."""
    if name.startswith("Complex"):
        return {"tag": "datatype", "name": ["Main", "Base", "Complex"], "params": [_datatype(name[8:-1])]}
    return {"tag": "datatype", "name": ["Main", "Core", name], "params": []}


def to_document(x: Any) -> Any:
    """An array as BSON.jl writes it (elements column-major, sizes int64), a list of arrays as a list of those."""
    if isinstance(x, list):
        return [to_document(each) for each in x]
    array: NDArray[Any] = np.asarray(x)
    if array.dtype == np.uint8 and array.ndim == 1:
        return array.tobytes()
    size = [bson.Int64(n) for n in array.shape]
    return {"tag": "array", "type": _datatype(_NAMES[array.dtype.name]), "size": size, "data": array.tobytes(order="F")}


def from_document(document: Any) -> Any:
    """The other way; a Julia tuple gives a tuple."""
    if isinstance(document, list):
        return [from_document(each) for each in document]
    if not isinstance(document, dict):
        return document
    if document["tag"] == "tuple":
        return tuple(from_document(each) for each in document["data"])
    kind = document["type"]
    name = kind["name"][-1] + "".join(f"{{{each['name'][-1]}}}" for each in kind["params"])
    return np.frombuffer(document["data"], _DTYPES[name]).reshape(document["size"], order="F")


def said_array(description: dict[str, Any]) -> NDArray[Any]:
    """The array that a description of Julia's holds."""
    dtype = _DTYPES[description["eltype"]]
    flat = [complex(*map(float, x)) if isinstance(x, list) else x for x in description["data"]]
    return np.array(flat, dtype=dtype).reshape(description["size"], order="F")
