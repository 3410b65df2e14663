"""What an array holds, and how two arrays differ, in a few figures.

Strategy: arrays are read in pieces of bounded size, so that one as large as the machine's memory can be described.
Numbers are compared in double precision, whole numbers exactly. Two NaN in the same place are equal. A view whose elements
lie on each other has as many as its file says, which may be without an end: of more than memory has, only few are looked at.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from holdfast.errors import LimitError

NdArray = np.ndarray[Any, Any]

PIECE: Final = 1 << 20
"""Elements looked at in one go."""
FEW: Final = 6
"""Elements that are shown themselves."""
MOST: Final = 1 << 26
"""Elements of a view that lie on each other, all of which are looked at."""


def _pieces(*arrays: NdArray) -> Iterator[tuple[NdArray, ...]]:
    """The elements of arrays of one shape, side by side, a piece at a time and in whatever order memory has them."""
    if arrays[0].ndim == 0:
        yield tuple(array.reshape(1) for array in arrays)
        return
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    with np.nditer(arrays, flags, buffersize=PIECE, order="K") as iterator:
        for piece in iterator:
            yield piece if isinstance(piece, tuple) else (piece,)


def _is_number(dtype: np.dtype[Any]) -> bool:
    """Whether there is an arithmetic of it; ml_dtypes' numbers are none of NumPy's own kinds."""
    return dtype.kind in "biufc" or dtype.isbuiltin == 2


def _wide(piece: NdArray) -> NdArray:
    return piece.astype(np.complex128 if piece.dtype.kind == "c" else np.float64)


def figures(array: NdArray) -> dict[str, Any]:
    """All values of a small array; of a larger one min, mean and max of its finite numbers, and how many are not.

    Complex numbers count by their magnitude. An array of other things gives its first values, and so does one with more
    elements than its memory has.

    >>> figures(np.arange(4)), figures(np.arange(10.0))
    ({'values': [0, 1, 2, 3]}, {'min': 0.0, 'mean': 4.5, 'max': 9.0})
    """
    if array.size <= FEW:
        return {"values": _listed(array)}
    if not _is_number(array.dtype) or _is_endless(array):
        # Arrays without axes, and no scalars: of what is no text Python could not make them.
        places: list[Any] = [(*np.unravel_index(i, array.shape), ...) for i in range(FEW)]
        first = np.stack([array[place] for place in places])
        return {"first": _listed(first)}
    return _moments(array)


def _is_endless(array: NdArray) -> bool:
    """Whether an array has far more elements than there are in the memory that it looks at."""
    held = array.itemsize + sum((n - 1) * abs(step) for n, step in zip(array.shape, array.strides, strict=True))
    return array.size > MOST and array.nbytes > held


def _listed(array: NdArray) -> list[Any]:
    """Values in C order, as Python has them."""
    flat = array.reshape(-1)
    try:
        return _wide(flat).tolist() if flat.dtype.isbuiltin == 2 else flat.tolist()
    except SystemError:  # what a file says is a character need not be one
        plain: list[Any] = np.ascontiguousarray(flat).view(f"V{flat.dtype.itemsize}").tolist()
        return plain


def _moments(array: NdArray) -> dict[str, Any]:
    low, high, total, count, strange = np.inf, -np.inf, 0.0, 0, 0
    for (piece,) in _pieces(array):
        numbers = np.abs(_wide(piece)) if piece.dtype.kind == "c" else _wide(piece)
        finite = numbers[np.isfinite(numbers)]
        strange += numbers.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            total, count = total + float(finite.sum()), count + finite.size
    found: dict[str, Any] = {"min": low, "mean": total / count, "max": high} if count else {}
    return found | ({"not finite": strange} if strange else {})


def difference(a: NdArray, b: NdArray) -> dict[str, Any] | None:
    """How two arrays of one shape differ: None when they do not, else how many elements and by how much at most.

    ``max`` is the largest absolute difference: exact between whole numbers, NaN where only one side is a number, absent
    for what are no numbers. Raises LimitError for arrays with far more elements than their memory has.

    >>> difference(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    {'elements': 1, 'of': 2, 'max': 0.5}
    """
    if a.dtype == b.dtype and _same_bytes(a, b):
        return None
    if _is_endless(a) or _is_endless(b):
        raise LimitError(f"{a.size:,} elements that lie on each other are not compared one by one")
    numbers = _is_number(a.dtype) and _is_number(b.dtype)
    exact = a.dtype == b.dtype and a.dtype.kind in "biu"
    elements, largest = 0, []
    for one, other in _pieces(a, b):
        if not numbers:
            elements += int(np.count_nonzero(one != other))
            continue
        count, most = _exactly(one, other) if exact else _nearly(_wide(one), _wide(other))
        elements += count
        largest += [most] if count else []
    if not elements:
        return None
    return {"elements": elements, "of": a.size} | ({"max": _largest(largest)} if numbers else {})


def _same_bytes(a: NdArray, b: NdArray) -> bool:
    """The quick look that settles most arrays: at memory speed, whatever they hold."""
    if a.flags.f_contiguous and b.flags.f_contiguous:
        a, b = a.T, b.T
    if not (a.flags.c_contiguous and b.flags.c_contiguous):
        return False
    one, other = (array.reshape(-1).view(np.uint8) for array in (a, b))
    step = PIECE * 8
    return all(np.array_equal(one[i : i + step], other[i : i + step]) for i in range(0, one.size, step))


def _exactly(one: NdArray, other: NdArray) -> tuple[int, int]:
    """Differences of whole numbers: as unsigned of the same width, where they cannot overflow."""
    if one.dtype == np.bool_:
        one, other = one.view(np.uint8), other.view(np.uint8)
    unsigned = np.dtype(f"u{one.dtype.itemsize}")
    delta = np.maximum(one, other).view(unsigned) - np.minimum(one, other).view(unsigned)
    return int(np.count_nonzero(delta)), int(delta.max(initial=0))


def _nearly(one: NdArray, other: NdArray) -> tuple[int, float]:
    with np.errstate(invalid="ignore", over="ignore"):
        differ = ~((one == other) | (np.isnan(one) & np.isnan(other)))
        delta = np.abs(one[differ] - other[differ])
    return int(np.count_nonzero(differ)), float(delta.max(initial=0.0))


def _largest(values: list[Any]) -> Any:
    return next((value for value in values if value != value), max(values))
