"""Tensors where their framework is not installed: NumPy's arrays on the same memory.

Strategy: what Julia sees of a tensor is an array already; Python's keys on it say the dtype and the order of the axes.
A tensor on the memory of another is a view of that one's array, so that what was tied is tied here too. The rules are of
a kind of their own: they never stand in for a framework that is there.
"""

from math import prod
from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import FormatError, MissingError
from holdfast.vocab.dtypes import NAMED, count_of
from holdfast.vocab.keys import shown
from holdfast.vocab.numpy import NdArray, alike, assembled, lift_array, lift_permuted

DTYPES: Final = NAMED | {"complex32": np.dtype(np.uint32)}
"""A dtype's name -> NumPy's dtype, or the integers that carry one of torch's alone."""
AXES: Final = "julia_axes"
"""The attribute of a tensor whose axes Julia has in the opposite order."""


def lift_tensor(level: Fields) -> Any:
    """A tensor as an array: in the dtype that it had, where NumPy has that one too, and in its order of the axes."""
    if "base" in level:
        return _view(level)
    array = _memory(level)
    if not isinstance(array, np.ndarray):
        return array
    dtype = NAMED.get(level["dtype"]) if isinstance(level.get("dtype"), str) else None
    array = array.view(dtype) if dtype is not None and dtype.itemsize == array.itemsize else array
    attributes = level.get("attributes")
    return array.T if isinstance(attributes, dict) and attributes.get(AXES) == "reversed" else array


def _memory(level: Fields) -> Any:
    if "slabs" in level:
        return assembled(level)
    if level["tag"] != "struct":
        return lift_array(level)
    inner = level["data"][0] if len(level["data"]) == 1 else None
    if not isinstance(inner, np.ndarray):
        return lift_permuted(level)
    return inner.transpose([int(axis) - 1 for axis in level["type"].params[2]])


def _view(level: Fields) -> NdArray:
    """A view of the array that the tensor's ``base`` has become; ``offset`` is in bytes, ``strides`` in elements."""
    memory, offset, dtype = _flat(level["base"]), level["offset"], _dtype(level["dtype"])
    size = _lengths(level["size"])
    strides = [stride * dtype.itemsize for stride in _lengths(level["strides"])]
    steps = sum((n - 1) * stride for n, stride in zip(size, strides, strict=True))
    reach = 0 if 0 in size else steps + dtype.itemsize
    if type(offset) is not int or not 0 <= offset <= memory.nbytes - reach:
        raise FormatError(f"a view of {reach:,} bytes from {shown(offset)} is outside of {memory.nbytes:,} bytes")
    held = memory[offset : offset + reach]
    if dtype == np.bool_:
        _check_bools(held if prod(size) > reach else np.ndarray(size, np.uint8, held, 0, strides))
    return np.ndarray(size, dtype, held, 0, strides)


def _check_bools(raw: NdArray) -> None:
    if raw.size and raw.max() > 1:
        raise FormatError("a bool of a tensor is neither 0 nor 1")


def _flat(base: Any) -> NdArray:
    """The bytes of ``base``, as they lie."""
    if not isinstance(base, np.ndarray):
        raise FormatError(f"a tensor is a view of {shown(base)}")
    dense = base.transpose(sorted(range(base.ndim), key=lambda axis: (-base.strides[axis], axis)))
    if not dense.flags.c_contiguous:
        raise FormatError("a tensor is a view of one whose memory has gaps")
    return dense.reshape(-1).view(np.uint8)


def _dtype(name: Any) -> np.dtype[Any]:
    if not isinstance(name, str):
        raise FormatError(f"{shown(name)} is not the dtype of a tensor")
    if name not in DTYPES:
        raise MissingError(f"a part of a tensor of {name:.40}", "torch")
    return DTYPES[name]


def _lengths(values: Any) -> list[int]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    count_of(values)
    return [int(length) for length in values]


RULES: Final = [
    Rule("absent", name, lift=lift_tensor, alike=alike, blobs=True) for name in ("torch.Tensor", "torch.nn.Parameter")
]
