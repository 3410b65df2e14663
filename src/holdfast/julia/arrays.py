"""Julia's arrays and array wrappers as NumPy arrays, without a copy wherever a view can say it.

Strategy: one function per wrapper, in a table by the type's name. Julia counts from 1 and keeps columns together, NumPy
arrays from Julia are therefore in Fortran order with indices one less.
"""

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np

from holdfast.errors import UnsupportedError
from holdfast.julia.types import dtype_of, type_name
from holdfast.julia.values import Array, Char, Int128, Struct, UInt128, missing

NdArray = np.ndarray[Any, Any]


def as_array(value: Any) -> NdArray:
    """The elements of a Julia array or wrapper (Adjoint, SubArray, BitArray …) as a NumPy array.

    Raises UnsupportedError for a value that is no array, or one whose elements cannot be told from the file.
    """
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Array):
        return _elements(value)
    if hasattr(value, "detach"):
        return _of_tensor(value)
    if isinstance(value, list):
        return _objects(value).reshape(len(value))
    if isinstance(value, range):
        return np.arange(value.start, value.stop, value.step)
    wrapper = WRAPPERS.get(type_name(value.type)) if isinstance(value, Struct) else None
    if wrapper is None:
        raise UnsupportedError(f"{type(value).__name__} is not an array that NumPy has")
    return wrapper(value)


MAX_WRAPPED: Final = 100
"""Wrappers around wrappers."""


def drawn(value: Any) -> int:
    """How many elements ``as_array`` makes of ``value`` that are not in the file: of a range, a diagonal, a one-hot array.

    Raises UnsupportedError for wrappers more than 100 deep.

    >>> from holdfast.julia.values import DataType, Struct
    >>> drawn(Struct(DataType(["Main", "Base", "OneTo"]), [10**12]))
    1000000000000
    """
    for _ in range(MAX_WRAPPED):
        if isinstance(value, range):
            return len(value)
        if isinstance(value, Array) and not value.data:
            return prod(value.size)
        if not isinstance(value, Struct) or not len(value):
            return 0
        count = DRAWN.get(type_name(value.type))
        if count is not None:
            return int(count(value))
        value = value[1 if type_name(value.type) in TRACKED and len(value) > 1 else 0]
    raise UnsupportedError(f"an array in more than {MAX_WRAPPED} wrappers")


def _of_tensor(tensor: Any) -> NdArray:
    """The array of a tensor that a layer made of it, in Julia's shape."""
    array: NdArray = tensor.detach().cpu().numpy()
    return array.T if getattr(tensor, "julia_axes", None) == "reversed" else array


def _objects(values: list[Any]) -> NdArray:
    flat = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):  # one by one: NumPy would look into values that are sequences themselves
        flat[index] = value
    return flat


def _elements(array: Array) -> NdArray:
    if isinstance(array.data, list):
        return _objects(array.data).reshape(array.size, order="F")
    read = ELEMENTS.get(type_name(array.type))
    if read is None and not array.data:
        single: Any = np.empty((), dtype=object)
        single[()] = SINGLES[name] if (name := type_name(array.type)) in SINGLES else Struct(array.type, [])
        return np.broadcast_to(single, array.size)  # no bytes in the file, none in memory
    if read is None:
        raise UnsupportedError(f"the fields of {type_name(array.type)} are not in the file: its elements are raw bytes")
    return read(array).reshape(array.size, order="F")


SINGLES: Final = {"Nothing": None, "Base.Missing": missing}
"""Types of which there is one value, with that value."""


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
    """``ref + (i - offset) * step``, where ref and step are two Float64 each, summed as Julia does
    (Base/twiceprecision)."""
    (high, low), (step, rest) = (_twice(value) for value in struct.data[:2])
    dtype = dtype_of(struct.type.params[0]) or np.dtype(np.float64)
    places = np.arange(1, int(struct[2]) + 1) - int(struct[3])
    shift = places * step
    total = high + shift
    lost = np.where(abs(high) > abs(shift), high - total + shift, shift - total + high)  # what the sum rounded off
    points: NdArray = (total + (lost + (places * rest + low))).astype(dtype)
    return points


def _twice(value: Any) -> tuple[float, float]:
    """A number of a range as a sum of two; ``Base.TwicePrecision`` has both, others only the first."""
    return (float(value[0]), float(value[1])) if isinstance(value, Struct) else (float(value), 0.0)


def _step_range(struct: Struct) -> NdArray:
    start, step, stop = (int(value) for value in struct.data)
    return np.arange(start, stop + (1 if step > 0 else -1), step)


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


def _tracked(struct: Struct) -> NdArray:
    """Tracker's array (tracker, data, gradient)."""
    return as_array(struct[1])


def _tracked_number(struct: Struct) -> NdArray:
    """Tracker's number: (data, tracker), or until Flux 0.5.3 inside the tracker (ref, f, isleaf, data, gradient)."""
    return np.asarray(struct[0] if len(struct) > 1 else struct[0][3])


def _one_hot(struct: Struct) -> NdArray:
    """Flux 0.12 and OneHotArrays.jl: a label for each column, the number of labels in the type or a second field."""
    indices = np.asarray(struct[0]).astype(np.int64)
    labels = int(struct[1]) if len(struct) > 1 else int(struct.type.params[1])
    return hot(indices, labels)


def hot(indices: NdArray, labels: int) -> NdArray:
    """Columns of booleans with a True at each of the indices, counted from 1.

    >>> hot(np.array([1, 3]), 3).astype(int).tolist()
    [[1, 0], [0, 0], [0, 1]]
    """
    places = np.arange(1, labels + 1).reshape(-1, *(1,) * indices.ndim)
    return np.asfortranarray(places == indices)


def _one_hot_matrix(struct: Struct) -> NdArray:
    """Flux until 0.11: the height and a vector of OneHotVectors."""
    return hot(np.array([int(column[0]) for column in _columns(struct[1])], np.int64), int(struct[0]))


def _columns(vectors: Any) -> Any:
    """OneHotVectors in a list, or as the raw pairs of UInt32 (index, height) that BSON.jl writes of bits types."""
    if isinstance(vectors, Array) and isinstance(vectors.data, bytes):
        return np.frombuffer(vectors.data, np.uint32).reshape(-1, 2)
    return vectors.data if isinstance(vectors, Array) else vectors


TRACKED: Final = frozenset({"Tracker.TrackedArray", "Flux.Tracker.TrackedArray"})
"""Wrappers whose second field is the array."""


def _labels(struct: Struct) -> int:
    count = int(struct[1]) if len(struct) > 1 else int(struct.type.params[1])
    return count * int(np.size(as_array(struct[0])))


DRAWN: Final[dict[str, Callable[[Struct], int]]] = {
    "LinearAlgebra.Diagonal": lambda struct: len(struct[0]) ** 2,
    "LinearAlgebra.Bidiagonal": lambda struct: len(struct[0]) ** 2,
    "SparseArrays.SparseMatrixCSC": lambda struct: int(struct[0]) * int(struct[1]),
    "Base.StepRange": lambda struct: abs(int(struct[2]) - int(struct[0])) // max(abs(int(struct[1])), 1) + 1,
    "Base.StepRangeLen": lambda struct: int(struct[2]),
    "Base.LinRange": lambda struct: int(struct[2]),
    "Base.OneTo": lambda struct: int(struct[0]),
    "Base.BitArray": lambda struct: 64 * len(struct[0]),
    "Flux.OneHotArray": _labels,
    "OneHotArrays.OneHotArray": _labels,
    "Flux.OneHotVector": lambda struct: int(struct[1]),
    "Flux.OneHotMatrix": lambda struct: int(struct[0]) * len(_columns(struct[1])),
}
"""Wrappers that say more elements than they hold -> how many."""

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
    "Base.StepRange": _step_range,
    "Base.StepRangeLen": _float_range,
    "Base.LinRange": lambda struct: np.linspace(struct[0], struct[1], int(struct[2])),
    "Base.OneTo": _one_to,
    "Tracker.TrackedArray": _tracked,
    "Flux.Tracker.TrackedArray": _tracked,
    "Tracker.TrackedReal": _tracked_number,
    "Flux.Tracker.TrackedReal": _tracked_number,
    "Flux.OneHotArray": _one_hot,
    "OneHotArrays.OneHotArray": _one_hot,
    "Flux.OneHotVector": lambda struct: hot(np.array(int(struct[0]), np.int64), int(struct[1])),
    "Flux.OneHotMatrix": _one_hot_matrix,
}
