"""Julia's arrays as the parameters of layers, on the same memory.

Strategy: each array of a file becomes one tensor per load (``Options.made``), so weights that were tied stay tied, and an
optimiser's state finds its parameters. Images' weights have Julia's axes reversed, which is the same memory; such a
tensor is marked, so that it goes back as the plain Julia array that it was. A parameter of Tracker's era keeps the
``TrackedArray`` around it.
"""

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.codec.rule import Options
from holdfast.errors import FormatError
from holdfast.julia.arrays import as_array
from holdfast.julia.types import type_name
from holdfast.julia.values import Struct

TRACKED: Final = frozenset({"Tracker.TrackedArray", "Flux.Tracker.TrackedArray"})
AXES: Final = "julia_axes"
"""Attribute of a tensor whose axes are Julia's in reverse: it is written as a plain Julia array."""
ORIGIN: Final = "julia_origin"
"""Attribute of a tensor that stands in a Julia struct (a TrackedArray, a transposed matrix): that struct."""


def is_tracked(value: Any) -> bool:
    return isinstance(value, Struct) and type_name(value.type) in TRACKED


def tensor_of(value: Any, options: Options, *, reverse: bool = False, parameter: bool = False) -> Any:
    """The tensor of an array of the file; the same one each time that the same array is met."""
    known = options.made.get(id(value))
    if known is not None:
        return known[1]
    if is_tracked(value):
        tensor = _untracked(value, options, reverse, parameter)
    else:
        tensor = _fresh(value, options, reverse, parameter)
    options.made[id(value)] = (value, tensor)
    return tensor


def _fresh(value: Any, options: Options, reverse: bool, parameter: bool) -> Tensor:
    if isinstance(value, Tensor):
        tensor = value
    else:
        array = as_array(value)
        if array.dtype == object or array.dtype.names:
            raise FormatError(f"a weight is {value!r:.60}, not numbers")
        tensor = _on(array.T if reverse else array).to(options.device)
    if parameter and not isinstance(tensor, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=tensor.is_floating_point() or tensor.is_complex())
    if reverse:
        setattr(tensor, AXES, "reversed")
    if isinstance(value, Struct):
        setattr(tensor, ORIGIN, value)
    return tensor


def _on(array: np.ndarray[Any, Any]) -> Tensor:
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def _untracked(value: Struct, options: Options, reverse: bool, parameter: bool) -> Tensor:
    """The parameter inside a TrackedArray (tracker, data, grad); the struct now holds the parameter itself."""
    array = value[1]
    tensor: Tensor = tensor_of(array, options, reverse=reverse, parameter=parameter)
    value[1] = tensor
    tracker = value[0]
    if isinstance(tracker, Struct) and len(tracker) == 5 and tracker[3] is array:  # before Tracker.jl, twice in the file
        tracker[3] = tensor
    setattr(tensor, ORIGIN, value)
    return tensor


def julia_array(tensor: Tensor, *, reverse: bool = False) -> Any:
    """What stands for ``tensor`` in a Julia struct: itself, or the struct around it that it came in."""
    if reverse:
        setattr(tensor, AXES, "reversed")
    origin = getattr(tensor, ORIGIN, None)
    if origin is None:
        return tensor
    if is_tracked(origin):
        return origin
    array = as_array(origin)
    here = (tensor.data_ptr(), tuple(tensor.shape)) == (array.__array_interface__["data"][0], array.shape)
    return origin if here else tensor
