"""How a tensor's memory lies: sizes and strides as plain numbers, and a dense layout as a Julia array.

Strategy: the bytes go out as they lie when the memory is dense. Column-major is a plain Array; any other order of the
axes (C order, channels last) is a ``PermutedDimsArray`` around the bytes, so that ``x[i, j]`` is the same element in
Julia. Strides stand in the file only where the order of the axes does not say them (axes of length 1).
All arithmetic is Python's, which cannot wrap.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Items, Shared
from holdfast.errors import FormatError, LimitError
from holdfast.vocab.numpy import NdArray, array_fields, assembled, lift_array
from holdfast.vocab.types import BY_DTYPE, array_type, datatype, tuple_of
from holdfast.wire.values import MAX_BLOB

MAX_AXES: Final = 64
MAX_ELEMENTS: Final = 2**63 - 1
"""torch's own limits."""


# -- sizes and strides ------------------------------------------------------------------------------------------------


def span(size: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first to the last one in memory, both included.

    >>> span((2, 3), (3, 1)), span((2, 3), (10, 2)), span((0, 3), (3, 1)), span((5,), (0,))
    (6, 15, 0, 1)
    """
    return 0 if 0 in size else 1 + sum((n - 1) * stride for n, stride in zip(size, strides, strict=True))


def dense_order(size: Sequence[int], strides: Sequence[int]) -> tuple[int, ...] | None:
    """The axes from slowest to fastest if the elements fill their memory without a gap, else None.

    >>> dense_order((2, 3, 4, 5), (60, 1, 15, 3)), dense_order((2, 3), (6, 1)), dense_order((3,), (0,))
    ((0, 2, 3, 1), None, None)
    """
    order = tuple(sorted(range(len(size)), key=lambda axis: (-strides[axis], axis)))
    expected = 1
    for axis in reversed(order):
        if size[axis] != 1 and strides[axis] != expected:
            return None
        expected *= size[axis]
    return order


def strides_of(size: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """The strides of dense memory whose axes lie in ``order``, slowest first; an empty axis counts as 1, as in torch.

    >>> strides_of((2, 3, 4), (0, 1, 2)), strides_of((2, 3, 4), (0, 2, 1)), strides_of((3, 0), (0, 1))
    ((12, 4, 1), (12, 1, 3), (1, 1))
    """
    strides, step = [0] * len(size), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(size[axis], 1)
    return tuple(strides)


def plain_order(size: Sequence[int]) -> Sequence[int]:
    """The order that a plain Julia Array of this size means: column-major, or C order where both are the same bytes."""
    same = 0 in size or sum(n > 1 for n in size) <= 1
    return range(len(size)) if same else range(len(size) - 1, -1, -1)


def lengths(values: Any, what: str) -> tuple[int, ...]:
    """``values`` as sizes or strides. Raises FormatError unless they are whole numbers, none below 0."""
    if type(values) not in (list, tuple) or any(type(n) is not int or not 0 <= n <= MAX_ELEMENTS for n in values):
        raise FormatError(f"the {what} of a tensor are {values!r:.80}")
    if len(values) > MAX_AXES:
        raise LimitError(f"a tensor of {len(values)} axes; torch has {MAX_AXES} at most")
    return tuple(values)


# -- dense memory as a Julia array ------------------------------------------------------------------------------------


def array_document(array: NdArray, extra: dict[str, Any]) -> Fields | None:
    """The document of ``array`` without a copy and with the keys of ``extra`` on it; None where its memory has gaps.

    Beyond 2 GiB only C order and column-major have such a document: others are None, too.
    """
    if array.ndim == 0 or array.strides == (array.itemsize,):  # most tensors: no axes to speak of
        return array_fields(array, **extra)
    if array.flags.forc:
        order = plain_order(array.shape) if array.flags.f_contiguous else range(array.ndim)
        return array_fields(array, **_with_strides(array, order, extra))
    found = dense_order(array.shape, _elementwise(array))
    if found is None or array.nbytes > MAX_BLOB:
        return None
    inner = array_fields(array.transpose(found).T)
    axes = tuple(found.index(axis) for axis in range(array.ndim))
    type_ = permuted_type(array.dtype, tuple(array.ndim - place for place in axes))
    return Fields(tag="struct", type=type_, data=Items([inner]), **_with_strides(array, found, extra))


def _elementwise(array: NdArray) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def _with_strides(array: NdArray, order: Sequence[int], extra: dict[str, Any]) -> dict[str, Any]:
    strides = _elementwise(array)
    said = array.size == 0 or strides == strides_of(array.shape, order)
    return extra if said else extra | {"strides": Items(strides)}


@cache
def permuted_type(dtype: np.dtype[Any], permutation: tuple[int, ...]) -> Shared:
    """``PermutedDimsArray`` whose axis i is axis ``permutation[i]`` (from 1) of the Array inside."""
    element, ndim = BY_DTYPE[dtype], len(permutation)
    inverse = [permutation.index(axis) + 1 for axis in range(1, ndim + 1)]
    params = [element, ndim, tuple_of(permutation), tuple_of(inverse), array_type(element, ndim)]
    return datatype("Main", "Base", "PermutedDimsArrays", "PermutedDimsArray", params=params)


def array_from(level: Fields) -> NdArray:
    """The array of what ``array_document`` wrote, with the very strides, on the memory of the file."""
    inner, size, order = _dense(level)
    if not isinstance(inner, np.ndarray) or not inner.flags.forc:
        raise FormatError(f"the memory of a tensor is {inner!r:.60}")
    flat = inner.reshape(-1, order="F" if inner.flags.f_contiguous else "C")
    if not flat.flags.writeable:
        flat = flat.copy()
    if len(size) == 1 and "strides" not in level:
        return flat
    strides = lengths(level["strides"], "strides") if "strides" in level else strides_of(size, order)
    if len(strides) != len(size) or span(size, strides) > flat.size:
        raise FormatError(f"a tensor of size {size} and strides {strides} holds {flat.size:,} elements")
    return np.ndarray(size, flat.dtype, flat, 0, [stride * flat.itemsize for stride in strides])


def _dense(level: Fields) -> tuple[Any, tuple[int, ...], Sequence[int]]:
    """The array inside, the size of the tensor, and the order of its axes in memory."""
    if level["tag"] == "struct":
        (inner,) = level["data"]
        return inner, *_unpermuted(inner, level["type"].params[2])
    if "slabs" not in level:
        array = lift_array(level)
        return array, array.shape, plain_order(array.shape)
    array = assembled(level)
    return array, array.shape, range(array.ndim) if level["order"] == "C" else plain_order(array.shape)


def _unpermuted(inner: Any, permutation: Any) -> tuple[tuple[int, ...], Sequence[int]]:
    if not isinstance(inner, np.ndarray) or not inner.flags.f_contiguous:
        raise FormatError(f"a PermutedDimsArray of a tensor is around {inner!r:.60}")
    axes = range(1, inner.ndim + 1)
    if type(permutation) is not tuple or sorted(permutation) != list(axes):
        raise FormatError(f"{permutation!r:.60} is no order of {inner.ndim} axes")
    size = tuple(inner.shape[axis - 1] for axis in permutation)
    return size, [permutation.index(axis) for axis in reversed(axes)]
