"""The Julia types of what stands in a Flux struct: its type parameters.

Strategy: types are interned, so that the engine sees one object for one type and writes it once.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from holdfast.errors import UnsupportedError
from holdfast.julia.values import DataType, NamedTuple, Struct, Symbol
from holdfast.vocab.flux.arrays import AXES, julia_array
from holdfast.vocab.flux.fields import KINDS
from holdfast.vocab.flux.functions import JuliaCode, type_of_function
from holdfast.vocab.flux.layouts import BY_LAYER

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
    torch.bfloat16: "UInt16",
}
"""torch dtype -> the Julia element type that it is written as."""

SCALARS: Final[dict[type, tuple[str, ...]]] = {
    bool: ("Core", "Bool"),
    int: ("Core", "Int64"),
    float: ("Core", "Float64"),
    np.float32: ("Core", "Float32"),
    np.float16: ("Core", "Float16"),
    np.int32: ("Core", "Int32"),
    str: ("Core", "String"),
    Symbol: ("Core", "Symbol"),
    type(None): ("Core", "Nothing"),
}


@lru_cache(maxsize=65_536)
def julia_type(name: tuple[str, ...], params: tuple[Any, ...] = ()) -> DataType:
    """The type of that name with these parameters; one object for one type."""
    return DataType(name, params)


def array_type(tensor: Tensor) -> Any:
    """``Array{T,N}`` of memory that is column-major in Julia's shape, else the ``PermutedDimsArray`` around one."""
    value = julia_array(tensor)
    if isinstance(value, Struct):
        return value.type
    if tensor.dtype not in ELEMENTS:
        raise UnsupportedError(f"a weight of {tensor.dtype} has no Julia type")
    element, ndim = julia_type(("Core", ELEMENTS[tensor.dtype])), tensor.dim()
    array = julia_type(("Core", "Array"), (element, ndim))
    turned = tensor.permute(*reversed(range(ndim)))
    if getattr(tensor, AXES, "") == "reversed" or turned.is_contiguous():
        return array
    order = tuple(range(ndim, 0, -1))
    name = ("Main", "Base", "PermutedDimsArrays", "PermutedDimsArray")
    return julia_type(name, (element, ndim, order, order, array))


def type_of(value: Any) -> Any:
    """The Julia type of a field's value. Raises UnsupportedError where Julia has none."""
    if type(value) in SCALARS:
        return julia_type(SCALARS[type(value)])
    if isinstance(value, Tensor):
        return array_type(value)
    if isinstance(value, NamedTuple):
        inner = julia_type(("Core", "Tuple"), tuple(map(type_of, value)))
        return julia_type(("Core", "NamedTuple"), (tuple(map(Symbol, value.names)), inner))
    if isinstance(value, tuple):
        return julia_type(("Core", "Tuple"), tuple(map(type_of, value)))
    if isinstance(value, list):
        return julia_type(("Core", "Array"), (julia_type(("Core", "Any")), 1))
    if isinstance(value, Struct | JuliaCode):
        return value.type if isinstance(value, Struct) else value.struct.type
    if type(value) in BY_LAYER:
        return layer_type(value)
    function = type_of_function(value)
    if function is None:
        raise UnsupportedError(
            f"{value!r:.80} has no Julia counterpart. A model for Julia is made of Flux's layers and functions; "
            "save a torch.nn.Sequential instead if the file is for Python only"
        )
    return function


def layer_type(layer: Any) -> DataType:
    """The type of a layer as today's Flux has it: the parameters are the types of its fields."""
    layout = BY_LAYER[type(layer)]
    values = {name: KINDS[kind].lower(getattr(layer, name)) for name, kind in layout.kinds.items()}
    params = [type_of(values[part]) if isinstance(part, str) else part(layer) for part in layout.types]
    return julia_type(layout.name, tuple(params))
