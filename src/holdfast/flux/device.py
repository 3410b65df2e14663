"""``cpu`` and ``gpu``: a model where it is wanted.

Strategy: as Flux, not as ``Module.to``. The model that was passed stays where it is; what comes back is a copy if
anything had to move, and the very same object if nothing had. So ``save(path, model=cpu(model))`` never pulls a model
from under its own training. Tensors that were one stay one, in Julia's memory order.
"""

import copy
import functools
import warnings
from collections.abc import Mapping
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

__all__ = ["cpu", "gpu"]

T = TypeVar("T")


def cpu(value: T) -> T:
    """A model, a tensor, or lists, tuples and dictionaries of them, in the CPU's memory.

    >>> from holdfast.flux import Dense
    >>> layer = Dense(3, 2)
    >>> cpu(layer) is layer
    True
    """
    return moved(value, torch.device("cpu"))


def gpu(value: T) -> T:
    """The same on the accelerator (CUDA, ROCm, Apple, Intel). Without one ``value`` comes back, with one warning."""
    device = accelerator()
    if device is not None:
        return moved(value, device)
    _say_once()
    return value


def accelerator() -> torch.device | None:
    """The device that ``gpu`` moves to, or None."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        return torch.device("xpu")
    return None


@functools.cache
def _say_once() -> None:
    message = "gpu(): this machine has no accelerator that torch can use, so the model stays on the CPU"
    warnings.warn(message, UserWarning, stacklevel=3)


def moved(value: T, device: torch.device) -> T:
    """``value`` on that device; the same object where nothing has to move."""
    if isinstance(value, nn.Module):
        return cast(T, _module_moved(value, device))
    if isinstance(value, Tensor):
        return value if value.device == device else cast(T, _tensor_moved(value, device))
    if isinstance(value, Mapping):
        return cast(T, {key: moved(member, device) for key, member in value.items()})
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return cast(T, value._make(moved(member, device) for member in value))
    if isinstance(value, list | tuple):
        return cast(T, type(value)(moved(member, device) for member in value))
    return value


def _tensor_moved(tensor: Tensor, device: torch.device) -> Tensor:
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(tensor.detach().to(device), requires_grad=tensor.requires_grad)
    return tensor.to(device)


def _module_moved(module: nn.Module, device: torch.device) -> nn.Module:
    """A deep copy in which each parameter and buffer is already the moved one: no second copy on the old device."""
    tensors = [*module.parameters(), *module.buffers()]
    if all(tensor.device == device for tensor in tensors):
        return module
    memo: dict[int, object] = {id(t): t if t.device == device else _tensor_moved(t, device) for t in tensors}
    return copy.deepcopy(module, memo)
