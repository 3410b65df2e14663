"""What stands in a Julia struct for a tensor: the tensor, or the struct around it that it came in.

Strategy: a struct of the file is kept as long as it says what it said. A ``TrackedArray`` around a tensor that was
replaced, or that changed its type, is made anew, so that a model of that era can still be trained in it.
"""

from typing import Any

import torch
from torch import Tensor

from holdfast.julia.values import Struct
from holdfast.vocab.flux.arrays import is_tracked, is_wrapper, mark
from holdfast.vocab.flux.types import array_type, element_type, julia_type, same_type
from holdfast.vocab.torch.tensors import is_reversed


def julia_array(tensor: Tensor, was: Any = None, *, same: bool = True, reverse: bool = False) -> Any:
    """What stands for ``tensor`` in a Julia struct.

    was      what the file had in that place, if anything
    same     whether that is of this very tensor
    reverse  whether the tensor has Julia's axes reversed
    """
    if reverse:
        mark(tensor)
    if is_tracked(was):
        return was if same and was[1] is tensor and _types_hold(was, tensor) else tracked_again(was, tensor)
    return was if is_wrapper(was) and same and _on_parent(was, tensor) else tensor


def _types_hold(was: Struct, tensor: Tensor) -> bool:
    params = list(was.type.params)
    return len(params) == 3 and same_type(params[0], element_type(tensor.dtype)) and params[1] == tensor.dim()


def _on_parent(was: Struct, tensor: Tensor) -> bool:
    """Whether a wrapper's array is still a view of its parent's memory."""
    parent = was[0]
    if not isinstance(parent, Tensor) or parent.dtype != tensor.dtype:
        return False
    return parent.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()


def tracked_again(was: Struct, tensor: Tensor) -> Struct:
    """A TrackedArray like ``was`` around another tensor, with no gradient yet."""
    inner = array_type(tensor)
    gradient = torch.zeros_like(tensor.detach())
    if is_reversed(tensor):
        mark(gradient)
    tracker: Struct = was[0]
    fields = [*tracker.data[:3], *([tensor] if len(tracker) == 5 else []), gradient]
    around = Struct(julia_type(tracker.type.name, (inner,)), fields)
    params = (element_type(tensor.dtype), tensor.dim(), inner)
    return Struct(julia_type(was.type.name, params), [around, tensor, gradient])
