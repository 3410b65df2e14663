"""Julia's arrays as the tensors of layers, on the same memory.

Strategy: each array of a file becomes one tensor per load (``Options.made``), so weights that were tied stay tied, and an
optimiser's state finds its parameters, whichever of them stands first (``when_made``). Weights of images have Julia's
axes reversed, which is the same memory; such a tensor is marked, so that it goes back as the plain Julia array that it
was. A ``TrackedArray`` (before Flux 0.10) or a wrapper such as ``Adjoint`` holds the tensor itself from then on.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.codec.rule import Fields, Filling, Options, Rule
from holdfast.errors import FormatError, LimitError, UnsupportedError
from holdfast.julia.arrays import WRAPPERS, as_array, drawn
from holdfast.julia.types import type_name
from holdfast.julia.values import Struct
from holdfast.vocab.flux.eras import Span, load_of, span
from holdfast.vocab.julia import tags
from holdfast.vocab.torch.staging import to_device
from holdfast.vocab.torch.tensors import AXES
from holdfast.vocab.vectors import lower_list

TRACKED: Final = {
    "Flux.Tracker.TrackedArray": span(until="0.7.3"),
    "Tracker.TrackedArray": span("0.8.0", "0.9.0"),
}
"""The type of a tracked array -> the versions of Flux that had it."""
OLDEST_TRACKED: Final[Span] = span(until="0.5.3")
"""When a ``Tracked`` had five fields: it held the array once more."""


MAX_DRAWN: Final = 1 << 22
"""Elements of a weight that a file may say without holding them (a diagonal matrix, a range)."""


def is_tracked(value: Any) -> bool:
    return isinstance(value, Struct) and type_name(value.type) in TRACKED


def is_wrapper(value: Any) -> bool:
    """Whether ``value`` is a Struct around an array: Adjoint, SubArray …"""
    return isinstance(value, Struct) and type_name(value.type) in WRAPPERS and not is_tracked(value)


# -- from the file ----------------------------------------------------------------------------------------------------


def tensor_of(value: Any, options: Options, *, reverse: bool = False, parameter: bool = False) -> Tensor:
    """The tensor of an array of the file; the same one each time that the same array is met.

    Raises FormatError for what is no array of numbers.
    """
    if is_tracked(value):
        return _untracked(value, options, reverse, parameter)
    known = options.made.get(id(value))
    tensor = known[1] if known is not None else None
    if tensor is None or (parameter and not isinstance(tensor, nn.Parameter)):
        fresh = value if tensor is None else tensor
        if is_wrapper(fresh):
            tensor = _unwrapped(fresh, options, reverse, parameter)
        else:
            tensor = _fresh(fresh, options, reverse, parameter)
        options.made[id(value)] = (value, tensor)
    load_of(options).made(value, tensor)
    return tensor


def _fresh(value: Any, options: Options, reverse: bool, parameter: bool) -> Tensor:
    if isinstance(value, Tensor):
        tensor = value
    else:
        tensor = to_device(on_memory(numbers(value)), options.device)
        tensor = reversed_axes(tensor) if reverse else tensor
    return _finished(tensor, reverse, parameter)


def _finished(tensor: Tensor, reverse: bool, parameter: bool) -> Tensor:
    if parameter and not isinstance(tensor, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=tensor.is_floating_point() or tensor.is_complex())
    return mark(tensor) if reverse else tensor


def numbers(value: Any) -> np.ndarray[Any, Any]:
    """The elements of an array of the file. Raises FormatError for other elements than numbers."""
    try:
        if drawn(value) > MAX_DRAWN:
            raise LimitError(f"a weight of {drawn(value):,} elements that are not in the file")
        array = as_array(value)
    except UnsupportedError as error:
        raise FormatError(error.message) from None
    if array.dtype == object or array.dtype.names:
        raise FormatError(f"a weight is {value!r:.60}, not an array of numbers")
    return array


def on_memory(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor on the memory of ``array``, where torch can use that."""
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy(order="K")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    try:
        return torch.from_numpy(array)
    except TypeError:
        raise FormatError(f"a weight of {array.dtype} is of a type that torch lacks") from None


def _untracked(value: Struct, options: Options, reverse: bool, parameter: bool) -> Tensor:
    """The tensor inside a TrackedArray (tracker, data, grad); the struct now holds that itself."""
    if len(value) not in (2, 3) or not isinstance(value[0], Struct):  # no gradient where none was ever there
        raise FormatError(f"a {type_name(value.type)} has {len(value)} fields; layouts with 2 and 3 are known")
    tracker, array = value[0], value[1]
    load_of(options).era.narrow(TRACKED[type_name(value.type)])
    tensor = value[1] = tensor_of(array, options, reverse=reverse, parameter=parameter)
    if len(tracker) == 5:
        load_of(options).era.narrow(OLDEST_TRACKED)
        if tracker[3] is array:
            tracker[3] = tensor
    return tensor


def _unwrapped(value: Struct, options: Options, reverse: bool, parameter: bool) -> Tensor:
    """The tensor of a wrapper: a view of its parent's memory, where there is one; the struct holds the parent's tensor."""
    view = numbers(value)
    parent = value[0]
    if isinstance(parent, np.ndarray) and parent.size and parent.flags.forc and view.dtype == parent.dtype:
        base = tensor_of(parent, options, parameter=parameter)
        value[0] = base
        place = (view.ctypes.data - parent.ctypes.data) // parent.itemsize
        strides = [stride // view.itemsize for stride in view.strides]
        if np.may_share_memory(view, parent) and min(strides, default=0) >= 0:
            tensor = base.detach().as_strided(view.shape, strides, base.storage_offset() + place)
            return _finished(reversed_axes(tensor) if reverse else tensor, reverse, parameter)
    return _fresh(view, options, reverse, parameter)


def when_made(value: Any, options: Options, take: Callable[[Tensor], None]) -> None:
    """Call ``take`` with the tensor of an array as soon as a layer makes one; at once if there is one already."""
    array = value[1] if is_tracked(value) else value
    if isinstance(array, Tensor):
        take(array)
    elif id(array) in options.made:
        take(options.made[id(array)][1])
    else:
        load_of(options).wait(array, take)


def follow(holder: list[Any], options: Options) -> None:
    """Put a layer's tensor in the place of an array that ``holder`` has as well: what was one object stays one."""

    def follower(place: int, array: Any) -> Callable[[Tensor], None]:
        def put(tensor: Tensor) -> None:
            if holder[place] is array:
                holder[place] = tensor

        return put

    for place, value in enumerate(holder):
        if isinstance(value, np.ndarray):
            when_made(value, options, follower(place, value))


def lift_struct(_: Fields, options: Options) -> Filling:
    """A struct that nobody knows. An array that a layer has, too, becomes that layer's tensor."""
    filling = tags.lift_struct(_)
    value = next(filling)
    level = yield value
    with suppress(StopIteration):
        filling.send(level)
    if isinstance(value.data, list):
        follow(value.data, options)


def lift_list(value: list[Any], options: Options) -> Filling:
    """As ``vocab.containers`` has it, with arrays that follow those of layers."""
    level = yield value
    if level is not value:
        value[:] = level
    if np.ndarray in set(map(type, value)):
        follow(value, options)


# -- to the file ------------------------------------------------------------------------------------------------------


def mark(tensor: Tensor) -> Tensor:
    """Say of ``tensor`` that its axes are Julia's in reverse. One axis is the same in both."""
    if tensor.dim() > 1:
        setattr(tensor, AXES, "reversed")
    return tensor


def reversed_axes(tensor: Tensor) -> Tensor:
    """The same memory with its axes in the opposite order."""
    return tensor.permute(*reversed(range(tensor.dim())))


RULES: Final = [
    Rule("tag", "struct", (Struct,), tags.lower_struct, lift_with=lift_struct, needs=frozenset({"type", "data"})),
    Rule("tag", "list", (list,), lower_list, lift_with=lift_list),
]
