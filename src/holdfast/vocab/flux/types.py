"""The Julia types of what stands in a Flux struct: its type parameters.

Strategy: types are interned, so that the engine sees one object for one type and writes it once.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.codec.rule import Fields
from holdfast.errors import UnsupportedError
from holdfast.julia.types import short_name
from holdfast.julia.values import AnonymousType, DataType, Dict, IdDict, NamedTuple, Set, Struct, Symbol
from holdfast.vocab.flux.arrays import reversed_axes
from holdfast.vocab.torch.tensors import is_reversed

ELEMENTS: Final[dict[torch.dtype, str]] = {
    torch.float16: "Float16",
    torch.float32: "Float32",
    torch.float64: "Float64",
    torch.bool: "Bool",
    torch.int8: "Int8",
    torch.int16: "Int16",
    torch.int32: "Int32",
    torch.int64: "Int64",
    torch.uint8: "UInt8",
    torch.uint16: "UInt16",
    torch.uint32: "UInt32",
    torch.uint64: "UInt64",
    torch.bfloat16: "UInt16",
}
"""torch dtype -> the Julia element type that it is written as."""

COMPLEX: Final = {torch.complex64: "Float32", torch.complex128: "Float64"}

SCALARS: Final[dict[type, tuple[str, ...]]] = {
    bool: ("Core", "Bool"),
    int: ("Core", "Int64"),
    float: ("Core", "Float64"),
    np.float64: ("Core", "Float64"),
    np.float32: ("Core", "Float32"),
    np.float16: ("Core", "Float16"),
    np.int64: ("Core", "Int64"),
    np.int32: ("Core", "Int32"),
    np.uint32: ("Core", "UInt32"),
    str: ("Core", "String"),
    Symbol: ("Core", "Symbol"),
    type(None): ("Core", "Nothing"),
}


@lru_cache(maxsize=65_536, typed=True)
def julia_type(name: tuple[str, ...], params: tuple[Any, ...] = ()) -> DataType:
    """The type of that name with these parameters; one object for one type."""
    return DataType(name, params)


ANY: Final = julia_type(("Core", "Any"))


def element_type(dtype: torch.dtype) -> DataType:
    """The element type of a Julia array of that dtype. Raises UnsupportedError where Julia has none."""
    if dtype in COMPLEX:
        return julia_type(("Main", "Base", "Complex"), (julia_type(("Core", COMPLEX[dtype])),))
    if dtype not in ELEMENTS:
        raise UnsupportedError(f"a weight of {dtype} has no Julia type; convert it, for example to float32")
    return julia_type(("Core", ELEMENTS[dtype]))


def array_type(tensor: Tensor) -> DataType:
    """``Array{T,N}`` of memory that is column-major in Julia's shape, else the ``PermutedDimsArray`` around one."""
    element, ndim = element_type(tensor.dtype), tensor.dim()
    array = julia_type(("Core", "Array"), (element, ndim))
    if is_reversed(tensor) or reversed_axes(tensor).is_contiguous() or not tensor.is_contiguous():
        return array
    order = tuple(range(ndim, 0, -1))
    name = ("Main", "Base", "PermutedDimsArrays", "PermutedDimsArray")
    return julia_type(name, (element, ndim, order, order, array))


def type_of(value: Any, of_layer: Callable[[nn.Module], Any]) -> Any:
    """The Julia type of what stands in a field; ``Any`` of what Julia does not know."""
    if type(value) in SCALARS:
        return julia_type(SCALARS[type(value)])
    if isinstance(value, Tensor):
        return array_type(value)
    if isinstance(value, NamedTuple):
        types = julia_type(("Core", "Tuple"), tuple(type_of(part, of_layer) for part in value))
        return julia_type(("Core", "NamedTuple"), (tuple(map(Symbol, value.names)), types))
    if isinstance(value, tuple):
        return julia_type(("Core", "Tuple"), tuple(type_of(part, of_layer) for part in value))
    if isinstance(value, list):
        return julia_type(("Core", "Array"), (ANY, 1))
    if isinstance(value, np.ndarray):
        return julia_type(("Core", "Array"), (element_type(torch.from_numpy(value[:0]).dtype), value.ndim))
    if isinstance(value, Struct | Dict | IdDict | Set):
        return value.type
    if isinstance(value, Fields):
        return value.get("type", ANY)
    if hasattr(value, "struct"):  # a function or code in its wrapper
        return value.struct.type
    return of_layer(value) if isinstance(value, nn.Module) else ANY


def same_type(one: Any, other: Any) -> bool:
    """Whether two types are the same but for the prefixes and the spelling of parameters that vary by era.

    >>> same_type(DataType(["Base", "#tanh"]), DataType(["Main", "Base", "#tanh"]))
    True
    """
    if one is other:
        return True
    if isinstance(one, DataType) and isinstance(other, DataType):
        if short_name(one.name) != short_name(other.name) or len(one.params) != len(other.params):
            return False
        return all(map(same_type, list(one.params), list(other.params)))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same_type, one, other))
    if isinstance(one, AnonymousType) and isinstance(other, AnonymousType):
        return one.typename is other.typename and same_type(tuple(one.params), tuple(other.params))
    return bool(one == other)
