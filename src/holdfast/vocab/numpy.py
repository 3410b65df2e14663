"""NumPy's arrays and scalars, as Julia's arrays and numbers.

Strategy: an array's bytes go out as they lie in memory. Column-major memory is a Julia Array; row-major memory is
the same bytes with the dimensions reversed inside a ``PermutedDimsArray``, so that ``x[i, j]`` is the same element
in both languages. A dtype that Julia's Base lacks travels as unsigned integers (or bytes) with the dtype in an
extra key (``dtypes.py``).
"""

from functools import cache
from typing import Any, Final, Literal

import numpy as np

from holdfast.codec.rule import Fields, Items, Make, Options, Rule, Shared
from holdfast.errors import FormatError
from holdfast.julia.types import BITS, dtype_of
from holdfast.julia.values import Array, DataType, Struct
from holdfast.vocab.dtypes import CARRIERS, LOWER_NAMES, NAMED, SWAPPED, count_of, describe, dtype_from
from holdfast.vocab.keys import shown
from holdfast.vocab.types import BY_DTYPE, array_type, datatype, tuple_of
from holdfast.wire.values import MAX_BLOB, Alike, Blob, Int32

NdArray = np.ndarray[Any, Any]

SLAB: Final = 1 << 30
"""Bytes of one piece of an array that is too large for one BSON binary."""

# -- arrays -----------------------------------------------------------------------------------------------------------


def array_fields(array: NdArray, **extra: Any) -> Fields:
    """The document of ``array`` as Julia's array, with Python's own keys in ``extra`` on it. No copy where the memory
    is contiguous in either order."""
    array, keys = _carried(array)
    extra = keys | extra
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array)
    if array.nbytes > MAX_BLOB:
        return _slabs(array, extra)
    if array.flags.f_contiguous:
        return Fields(_plain(array), **extra)
    return Fields(tag="struct", type=_permuted_type(array.dtype, array.ndim), data=Items([_plain(array.T)]), **extra)


def refuse_array(array: NdArray) -> None:
    """Raises UnsupportedError for an array that cannot be saved."""
    if array.dtype not in LOWER_NAMES:
        describe(array.dtype)


def settle(arrays: list[Any]) -> list[Fields | Alike]:
    """The documents of all arrays of one save: the second of a kind is like the first but for its data."""
    known: dict[Any, tuple[Fields, bool]] = {}
    return [_document(array, known) for array in arrays]


def _document(array: NdArray, known: dict[Any, tuple[Fields, bool]]) -> Fields | Alike:
    """The document of ``array``. ``known`` holds the first of each kind that is whole but for its data, and whether it
    lies in C order: what lies otherwise, has gaps, or is too large is no such kind."""
    kind = array.dtype, array.shape, array.strides
    if found := known.get(kind):
        model, row_major = found
        return Alike(model, Blob(bytes_of(array if row_major else array.T), True))
    fields = array_fields(array)
    if 0 < array.nbytes <= MAX_BLOB and array.dtype in BY_DTYPE and array.flags.forc:
        known[kind] = fields, array.flags.c_contiguous
    return fields


def bytes_of(array: NdArray) -> memoryview:
    """The memory of an array in C order, as it lies.

    >>> bytes(bytes_of(np.array([1, 2], np.int16)))
    b'\\x01\\x00\\x02\\x00'
    """
    if array.dtype.kind == "c":  # which a memoryview does not know
        return np.frombuffer(array, np.uint8).data
    return array.data.cast("B")


def alike(value: Any, options: Options) -> Make | None:
    """How an array like ``value`` is made on another blob of the file."""
    if type(value) is not np.ndarray or value.dtype not in LOWER_NAMES or value.dtype == np.bool_ or not value.size:
        return None
    shape, dtype, strides = value.shape, value.dtype, value.strides
    return lambda blob: np.ndarray(shape, dtype, blob.data, 0, strides)


@cache
def _permuted_type(dtype: np.dtype[Any], ndim: int) -> Shared:
    """The type of a Julia array of ``ndim`` axes in reverse order."""
    element, turned = BY_DTYPE[dtype], tuple_of(range(ndim, 0, -1))
    params = [element, ndim, turned, turned, array_type(element, ndim)]
    return datatype("Main", "Base", "PermutedDimsArrays", "PermutedDimsArray", params=params)


def _plain(array: NdArray) -> Fields:
    """An array in Fortran order as a plain Julia Array."""
    flat = array.reshape(-1, order="F")
    data = flat.view(np.uint8).data if flat.size else memoryview(b"")
    size = Items(int(n) for n in array.shape)
    return Fields(tag="array", type=BY_DTYPE[array.dtype], size=size, data=Blob(data, sealed=True))


def _carried(array: NdArray) -> tuple[NdArray, dict[str, Any]]:
    """``array`` in a dtype that Julia has, and the keys that tell Python what it was."""
    dtype = array.dtype
    if dtype in BY_DTYPE and dtype.isnative:
        return array, {}
    description = describe(dtype)
    keys: dict[str, Any] = {"python": "numpy.ndarray", "dtype": _literal(description)}
    if not dtype.isnative and dtype.names is None:
        keys["byteorder"] = SWAPPED
    if dtype.newbyteorder("=") in LOWER_NAMES:
        array = array.astype(dtype.newbyteorder("=")) if not dtype.isnative else array
        return (array if array.dtype in BY_DTYPE else _viewed(array, CARRIERS[dtype.itemsize])), keys
    keys["shape"] = Items(array.shape)
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8), keys


def _viewed(array: NdArray, dtype: np.dtype[Any]) -> NdArray:
    """``array`` with its elements' bytes under another dtype of the same width."""
    return array.view(dtype)


def _literal(value: Any) -> Any:
    """A nested list as part of a document."""
    return Items(map(_literal, value)) if isinstance(value, (list, tuple)) else value


def _slabs(array: NdArray, extra: dict[str, Any]) -> Fields:
    """An array too large for one binary, in pieces that each fit."""
    order: Literal["C", "F"] = "F" if array.flags.f_contiguous else "C"
    flat = array.reshape(-1, order=order).view(np.uint8)
    pieces = Items(_plain(flat[start : start + SLAB]) for start in range(0, flat.nbytes, SLAB))
    return Fields(
        tag="python",
        type=extra.pop("python", "numpy.ndarray"),
        slabs=pieces,
        order=order,
        carrier=array.dtype.name,
        size=Items(array.shape),
        **extra,
    )


def lift_array(level: Fields) -> Any:
    """A Julia Array: as a NumPy array in Fortran order, or as an inert Array where NumPy has no such elements."""
    type_, size, data = level["type"], level["size"], level["data"]
    dtype = dtype_of(type_)
    size = size.tolist() if isinstance(size, np.ndarray) else size
    count = count_of(size)
    if isinstance(data, Blob) and dtype is not None:
        return _shaped(data, dtype, size, count)
    if isinstance(data, Blob):
        return Array(type_, size, bytes(data.data))
    if isinstance(data, list) and len(data) == count:
        return Array(type_, size, data)
    raise FormatError(f"an array of size {size} holds {len(data) if isinstance(data, list) else shown(data)}")


def _shaped(blob: Blob, dtype: np.dtype[Any], size: Any, count: int) -> NdArray:
    if count * dtype.itemsize != blob.nbytes:
        raise FormatError(f"an array of size {list(size)} and {dtype} holds {blob.nbytes:,} bytes", blob.offset)
    if blob.nbytes == 0:
        return np.zeros(size, dtype, order="F")
    flat = np.frombuffer(blob.data, np.uint8 if dtype == np.bool_ else dtype)
    if dtype == np.bool_:
        if flat.max() > 1:
            raise FormatError("a Bool is neither 0 nor 1", blob.offset)
        flat = flat.view(np.bool_)
    return flat.reshape(size, order="F")


def lift_permuted(level: Fields) -> Any:
    """Axes in reverse order are NumPy's C order; any other order stays a Struct."""
    type_, data = level["type"], level["data"]
    inner = data[0] if len(data) == 1 else None
    if isinstance(inner, np.ndarray) and isinstance(type_, DataType) and len(type_.params) == 5:
        reverse = tuple(range(inner.ndim, 0, -1))
        if inner.ndim > 1 and type_.params[2] == reverse:
            return inner.T
    return Struct(type_, data)


def lift_ndarray(level: Fields) -> NdArray:
    """What ``array_fields`` wrote with Python's own keys on it."""
    array = (
        assembled(level)
        if "slabs" in level
        else lift_permuted(level)
        if level["tag"] == "struct"
        else lift_array(level)
    )
    if not isinstance(array, np.ndarray):
        raise FormatError(f"an array of {shown(array)} is none of NumPy's")
    if "dtype" not in level:
        return array
    dtype = dtype_from(level["dtype"])
    if "shape" in level:
        count = count_of(level["shape"])
        if count * dtype.itemsize != array.nbytes:
            raise FormatError(f"an array of shape {level['shape']} and {dtype} holds {array.nbytes:,} bytes")
        return np.ndarray(level["shape"], _ordered(dtype, level), np.ascontiguousarray(array))
    if dtype.itemsize != array.itemsize:
        raise FormatError(f"an array of {dtype} has elements of {array.itemsize} bytes")
    array = array if array.dtype == dtype else array.view(dtype)
    return array.astype(_ordered(dtype, level)) if "byteorder" in level else array


def _ordered(dtype: np.dtype[Any], level: Fields) -> np.dtype[Any]:
    """``dtype`` in the byte order of the array. Raises FormatError where fields are said to have another one and not
    which of them: Holdfast wrote such before each field had its own."""
    if "byteorder" not in level:
        return dtype
    if dtype.names is not None:
        raise FormatError(
            f"the file does not say which fields of {dtype} have their bytes in the other order: "
            "save the array anew, where it still is"
        )
    return dtype.newbyteorder("S")


def assembled(level: Fields) -> NdArray:
    """An array from its slabs, in fresh memory: the pieces do not stand next to each other in the file."""
    carrier, size, order = dtype_from(level["carrier"]), level["size"], level["order"]
    slabs = level["slabs"]
    if order not in ("C", "F") or not all(isinstance(s, np.ndarray) and s.dtype == np.uint8 for s in slabs):
        raise FormatError("the slabs of an array are not arrays of bytes")
    if len({id(slab) for slab in slabs}) != len(slabs):
        raise FormatError("a piece of an array stands in it twice")
    if count_of(size) * carrier.itemsize != sum(slab.nbytes for slab in slabs):
        raise FormatError(f"the slabs of an array of size {size} do not add up")
    return np.concatenate(slabs).view(carrier).reshape(size, order=order)


# -- scalars ----------------------------------------------------------------------------------------------------------


def lower_scalar(value: Any) -> Any:
    """``np.float32(1)`` is Julia's ``1.0f0``; what Julia's Base lacks is an array of no dimensions."""
    dtype = value.dtype
    if dtype == np.int32:
        return Int32(value)
    if dtype in BY_DTYPE and dtype.kind != "c":
        return Fields(tag="struct", type=BY_DTYPE[dtype], data=Blob(memoryview(value.tobytes())))
    if dtype == np.complex64:
        return Fields(tag="struct", type=BY_DTYPE[dtype], data=Items([value.real, value.imag]))
    fields = array_fields(np.asarray(value))
    return Fields(tag="python", type="numpy.generic", state=Fields(fields))


def lift_scalar(name: str) -> Any:
    dtype = BITS[name]

    def lift(level: Fields) -> Any:
        raw = level["data"]
        if not isinstance(raw, bytes) or len(raw) != dtype.itemsize or (dtype == np.bool_ and raw[0] > 1):
            raise FormatError(f"a {name} is {shown(raw)}")
        return np.frombuffer(raw, dtype)[0]

    return lift


def lift_generic(level: Fields) -> Any:
    value = np.asarray(level["state"])
    if value.ndim:
        raise FormatError("a NumPy scalar has dimensions")
    return value[()]


SCALARS: Final = tuple({dtype.type for dtype in NAMED.values()} | {np.bytes_, np.str_, np.void})

RULES: Final = [
    Rule("tag", "array", lift=lift_array, alike=alike, blobs=True, needs=frozenset({"type", "size", "data"})),
    Rule("struct", "Base.PermutedDimsArrays.PermutedDimsArray", lift=lift_permuted, alike=alike),
    Rule(
        "python",
        "numpy.ndarray",
        (np.ndarray,),
        lift=lift_ndarray,
        settle=settle,
        refuse=refuse_array,
        alike=alike,
        blobs=True,
    ),
    Rule("python", "numpy.generic", SCALARS, lower_scalar, lift_generic, identity=False),
    Rule("tag", Int32.__name__, lift=np.int32),
    *(Rule("struct", name, lift=lift_scalar(name)) for name in BITS),
]
