"""Julia's arrays and array wrappers as NumPy arrays, without a copy wherever a view can say it.

Strategy: one function per wrapper, in a table by the type's name. Julia counts from 1 and keeps columns together, NumPy
arrays from Julia are therefore in Fortran order with indices one less.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from holdfast.errors import UnsupportedError
from holdfast.julia.types import dtype_of, type_name
from holdfast.julia.values import Array, Char, Int128, Struct, UInt128

NdArray = np.ndarray[Any, Any]


def as_array(value: Any) -> NdArray:
    """The elements of a Julia array or wrapper (Adjoint, SubArray, BitArray …) as a NumPy array.

    Raises UnsupportedError for a value that is no array, or one whose elements cannot be told from the file.
    """
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Array):
        return _elements(value)
    if isinstance(value, list):
        return _objects(value).reshape(len(value))
    if isinstance(value, range):
        return np.arange(value.start, value.stop, value.step)
    wrapper = WRAPPERS.get(type_name(value.type)) if isinstance(value, Struct) else None
    if wrapper is None:
        raise UnsupportedError(f"{type(value).__name__} is not an array that NumPy has")
    return wrapper(value)


def _objects(values: list[Any]) -> NdArray:
    flat = np.empty(len(values), dtype=object)
    flat[:] = values
    return flat


def _elements(array: Array) -> NdArray:
    if isinstance(array.data, list):
        return _objects(array.data).reshape(array.size, order="F")
    read = ELEMENTS.get(type_name(array.type))
    if read is None and not array.data:
        single: Any = np.empty((), dtype=object)
        single[()] = None if type_name(array.type) == "Nothing" else array.type
        return np.broadcast_to(single, array.size)  # no bytes in the file, none in memory
    if read is None:
        raise UnsupportedError(f"the fields of {type_name(array.type)} are not in the file: its elements are raw bytes")
    return read(array).reshape(array.size, order="F")


def _wide(array: Array) -> NdArray:
    signed = type_name(array.type) == "Int128"
    kind = Int128 if signed else UInt128
    chunks = [array.data[i : i + 16] for i in range(0, len(array.data), 16)]
    return _objects([kind(int.from_bytes(chunk, "little", signed=signed)) for chunk in chunks])


def char(raw: bytes) -> Char:
    """A Julia Char: the UTF-8 bytes of the character, first byte highest, in a little-endian UInt32.

    >>> char(b"\\0\\0\\0a")
    'a'
    """
    return Char(raw[::-1].rstrip(b"\0").decode("utf-8", "surrogateescape") or "\0")


def _chars(array: Array) -> NdArray:
    return _objects([char(array.data[i : i + 4]) for i in range(0, len(array.data), 4)])


def _pairs(array: Array) -> NdArray:
    """Complex and Rational of a bits type: two numbers each, kept as a structured array of two fields."""
    inner = dtype_of(array.type.params[0])
    if inner is None:
        raise UnsupportedError(f"the elements of {type_name(array.type)} are of a type that NumPy lacks")
    names = ("re", "im") if type_name(array.type) == "Base.Complex" else ("num", "den")
    return np.frombuffer(array.data, np.dtype([(name, inner) for name in names]))


ELEMENTS: Final[dict[str, Callable[[Array], NdArray]]] = {
    "Int128": _wide,
    "UInt128": _wide,
    "Char": _chars,
    "Base.Complex": _pairs,
    "Base.Rational": _pairs,
}
"""Raw bytes of bits types -> a flat array."""


def _transpose(struct: Struct) -> NdArray:
    parent = as_array(struct[0])
    return parent[None, :] if parent.ndim == 1 else parent.T


def _adjoint(struct: Struct) -> NdArray:
    turned = _transpose(struct)
    if turned.dtype.names == ("re", "im"):
        turned = turned.copy()
        turned["im"] *= -1
        return turned
    return turned.conj() if np.iscomplexobj(turned) else turned


def _permuted(struct: Struct) -> NdArray:
    permutation = [int(axis) - 1 for axis in struct.type.params[2]]
    permuted: NdArray = as_array(struct[0]).transpose(permutation)
    return permuted


def _index(index: Any, length: int) -> Any:
    """A Julia index as NumPy's: from 0, and a range as a slice."""
    if isinstance(index, range):
        stop = index.stop - 1 if index.step > 0 else (index.stop - 1 if index.stop > 0 else None)
        return slice(index.start - 1, stop, index.step)
    if isinstance(index, Struct) and type_name(index.type) in ("Base.Slice", "Colon"):
        return slice(0, length)
    if isinstance(index, Struct) and type_name(index.type) == "Base.OneTo":
        return slice(0, int(index[0]))
    return np.asarray(index) - 1 if isinstance(index, np.ndarray) else int(index) - 1


def _view(struct: Struct) -> NdArray:
    parent = as_array(struct[0])
    if len(struct[1]) == 1 and parent.ndim > 1:
        parent = parent.reshape(-1, order="F")
    chosen = tuple(_index(index, length) for index, length in zip(struct[1], parent.shape, strict=True))
    view: NdArray = np.asarray(parent[chosen])
    return view


def _reshaped(struct: Struct) -> NdArray:
    return as_array(struct[0]).reshape([int(length) for length in struct[1]], order="F")


def _reinterpreted(struct: Struct) -> NdArray:
    parent, dtype = as_array(struct[0]), dtype_of(struct.type.params[0])
    if dtype is None:
        raise UnsupportedError(f"{type_name(struct.type.params[0])} is a type that NumPy lacks")
    return np.asfortranarray(parent).T.view(dtype).T


def _bits(struct: Struct) -> NdArray:
    chunks, length = np.ascontiguousarray(struct[0]), int(struct[1])
    size = [int(n) for n in struct[2]] if len(struct) > 2 and struct[2] else [length]
    bits = np.unpackbits(chunks.view(np.uint8), bitorder="little", count=length)
    return bits.astype(np.bool_).reshape(size, order="F")


def _float_range(struct: Struct) -> NdArray:
    reference, step, length, offset = (_number(value) for value in struct.data)
    dtype = dtype_of(struct.type.params[0]) or np.dtype(np.float64)
    points: NdArray = (reference + (np.arange(1, int(length) + 1) - offset) * step).astype(dtype)
    return points


def _number(value: Any) -> Any:
    """A number of a range; ``Base.TwicePrecision`` is a sum of two."""
    return value[0] + value[1] if isinstance(value, Struct) else value


def _sparse(struct: Struct) -> NdArray:
    rows, columns, starts, indices, values = struct.data
    dense: NdArray = np.zeros((int(rows), int(columns)), values.dtype, order="F")
    for column in range(dense.shape[1]):
        span = slice(int(starts[column]) - 1, int(starts[column + 1]) - 1)
        dense[indices[span] - 1, column] = values[span]
    return dense


def _symmetric(struct: Struct) -> NdArray:
    parent = as_array(struct[0])
    upper = str(struct[1]) == "U" if len(struct) > 1 else True
    half = np.triu(parent) if upper else np.tril(parent)
    return half + (np.triu(parent, 1) if upper else np.tril(parent, -1)).T


def _bidiagonal(struct: Struct) -> NdArray:
    upper = str(struct[2]) == "U"
    return np.asfortranarray(np.diag(struct[0]) + np.diag(struct[1], 1 if upper else -1))


def _one_to(struct: Struct) -> NdArray:
    return np.arange(1, int(struct[0]) + 1)


WRAPPERS: Final[dict[str, Callable[[Struct], NdArray]]] = {
    "Base.PermutedDimsArrays.PermutedDimsArray": _permuted,
    "LinearAlgebra.Transpose": _transpose,
    "LinearAlgebra.Adjoint": _adjoint,
    "LinearAlgebra.Symmetric": _symmetric,
    "LinearAlgebra.UpperTriangular": lambda struct: np.triu(as_array(struct[0])),
    "LinearAlgebra.LowerTriangular": lambda struct: np.tril(as_array(struct[0])),
    "LinearAlgebra.Diagonal": lambda struct: np.diag(as_array(struct[0])),
    "LinearAlgebra.Bidiagonal": _bidiagonal,
    "SparseArrays.SparseMatrixCSC": _sparse,
    "Base.SubArray": _view,
    "Base.ReshapedArray": _reshaped,
    "Base.ReinterpretArray": _reinterpreted,
    "Base.BitArray": _bits,
    "Base.StepRangeLen": _float_range,
    "Base.LinRange": lambda struct: np.linspace(struct[0], struct[1], int(struct[2])),
    "Base.OneTo": _one_to,
}
