"""NumPy's dtypes, as a file says them: a name, or a list for texts, bytes and structures.

Strategy: no dtype is ever made from a text of the file: ``NAMED`` is the exact table. A field of another byte order than
the machine's says so itself, since each field has its own; of a whole array its document says it (``numpy.py``).
"""

from typing import Any, Final

import ml_dtypes
import numpy as np

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError, LimitError, UnsupportedError
from holdfast.vocab.keys import shown
from holdfast.vocab.types import BY_DTYPE
from holdfast.wire.values import MAX_BLOB

MAX_DIMS: Final = 64
"""NumPy's own limit since 2.0."""

EXTENDED: Final = {
    name: np.dtype(getattr(ml_dtypes, name))
    for name in (
        "bfloat16",
        "float8_e3m4",
        "float8_e4m3",
        "float8_e4m3b11fnuz",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float4_e2m1fn",
        "int2",
        "int4",
        "uint2",
        "uint4",
    )
    if hasattr(ml_dtypes, name)
}
"""dtypes of ml_dtypes: Julia sees unsigned integers of the same width."""

TIMES: Final = {
    f"{kind}[{unit}]": np.dtype(f"{kind}[{unit}]")
    for kind in ("datetime64", "timedelta64")
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
} | {"datetime64": np.dtype("datetime64"), "timedelta64": np.dtype("timedelta64")}
"""Times: Julia sees Int64."""

CARRIERS: Final[dict[int, np.dtype[Any]]] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.int64),
}
"""Width in bytes -> the integer that carries a dtype which Julia's Base lacks."""

NAMED: Final[dict[str, np.dtype[Any]]] = {dtype.name: dtype for dtype in BY_DTYPE} | EXTENDED | TIMES
"""Every dtype that has a name of its own."""

LOWER_NAMES: Final = {dtype: name for name, dtype in NAMED.items()}

SWAPPED: Final = "swapped"
"""What a file calls a byte order that is not the machine's."""


def describe(dtype: np.dtype[Any]) -> Any:
    """``dtype`` as a value for the file. Raises UnsupportedError for object and platform-dependent dtypes.

    The order of its bytes is said of fields only: a field may have another one than its neighbour.

    >>> describe(np.dtype("<U5")), describe(np.dtype([("x", "f4"), ("n", ">i8", (2,))]))
    (['U', 5], ['struct', 20, [['x', 'float32', 0, []], ['n', ['swapped', 'int64'], 4, [2]]]])
    """
    native = dtype.newbyteorder("=")
    if native in LOWER_NAMES:
        return LOWER_NAMES[native]
    if dtype.names is not None and dtype.fields is not None:
        if dtype.hasobject:
            raise UnsupportedError(f"an array of dtype {dtype} holds Python objects; save them as a list")
        fields = [(name, *dtype.fields[name][:2]) for name in dtype.names]
        entries = [[name, _field(field.base), int(offset), list(field.shape)] for name, field, offset in fields]
        return ["struct", dtype.itemsize, entries]
    if dtype.kind in "SUV" and dtype.subdtype is None:
        return [dtype.kind, dtype.itemsize // (4 if dtype.kind == "U" else 1)]
    raise UnsupportedError(f"an array of dtype {dtype} cannot be saved" + _advice(dtype))


def _field(dtype: np.dtype[Any]) -> Any:
    """The dtype of a field, with the order of its bytes where that is not the machine's."""
    description = describe(dtype)
    return description if dtype.isnative or dtype.names is not None else [SWAPPED, description]


def _advice(dtype: np.dtype[Any]) -> str:
    if dtype.hasobject:
        return ": it holds Python objects; save them as a list"
    portable = "complex128" if dtype.kind == "c" else "float64"
    return f": its bytes depend on the machine; convert it, for example to {portable}"


def dtype_from(description: Any) -> np.dtype[Any]:
    """The dtype that ``description`` says. Raises FormatError for one that ``describe`` never gives."""
    if isinstance(description, str):
        if description not in NAMED:
            raise FormatError(f"{shown(description)} is not a dtype")
        return NAMED[description]
    match description:
        case ["S" | "U" | "V" as kind, int(length)] if 0 <= length <= MAX_BLOB // 4:
            return np.dtype(f"{kind}{length}")
        case ["struct", int(size), list(entries)] if 0 <= size <= MAX_BLOB:
            return _structured(size, entries)
    raise FormatError(f"{shown(description)} is not a dtype")


def _structured(size: int, entries: list[Any]) -> np.dtype[Any]:
    names, formats, offsets = [], [], []
    for name, description, offset, shape in entries:
        field = _field_from(description)
        width = field.itemsize * count_of(shape)
        if not 0 <= offset <= size - width:
            raise FormatError(f"field {shown(name)} of a dtype does not fit in its {size:,} bytes")
        names.append(str(name))
        formats.append((field, tuple(shape)) if shape else field)
        offsets.append(offset)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


def _field_from(description: Any) -> np.dtype[Any]:
    match description:
        case [str(word), (str() | ["U", int()]) as plain] if word == SWAPPED:
            return dtype_from(plain).newbyteorder("S")
    return dtype_from(description)


def count_of(size: Any) -> int:
    """The number of elements, in numbers that cannot wrap."""
    if not isinstance(size, (list, tuple)) or not all(type(n) is int or isinstance(n, np.int32) for n in size):
        raise FormatError(f"the size of an array is {shown(size)}")
    if len(size) > MAX_DIMS:
        raise LimitError(f"an array of {len(size)} dimensions; NumPy has {MAX_DIMS} at most")
    count = 1
    for length in size:
        if length < 0:
            raise FormatError(f"an array has {length} elements along one dimension")
        count *= int(length)
    return count


# -- as values --------------------------------------------------------------------------------------------------------

NAME: Final = "numpy.dtype"


def lower_dtype(dtype: "np.dtype[Any]") -> Fields:
    fields = Fields(tag="python", type=NAME, state=_level(describe(dtype)))
    return fields if dtype.isnative or dtype.names is not None else Fields(fields, byteorder=SWAPPED)


def _level(description: Any) -> Any:
    return Items(map(_level, description)) if isinstance(description, list) else description


def lift_dtype(level: Fields) -> "np.dtype[Any]":
    dtype = dtype_from(level["state"])
    return dtype.newbyteorder("S") if level.get("byteorder") == SWAPPED else dtype


OTHERS: Final = ("S1", "U1", "V1", "O", "g", "G")
"""dtypes without a name of their own, and those that ``describe`` refuses with advice."""

TYPES: Final = tuple({type(dtype) for dtype in (*NAMED.values(), *map(np.dtype, OTHERS))})

RULES: Final = [Rule("python", NAME, TYPES, lower_dtype, lift_dtype, identity=False)]
"""``Config(dtype=np.dtype("float32"))``: what the document of an array says of its dtype, read by the same table."""
