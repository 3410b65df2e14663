"""What trainers wrap, as it was before, and what of it goes into a file.

Strategy: a file of ours is to open with ``load`` where the trainer is not installed, so wrappers are taken off, and of a
model its ``state_dict`` is saved: its class is the user's or a library's, and the trainer has made it already by the time
it is filled. Optimisers and schedulers of torch's are saved whole, as everywhere, unless a wrapper is in them.
"""

import weakref
from typing import Any, Final

import torch

from holdfast.checkpoint import record
from holdfast.checkpoint.kinds import is_module, is_scheduler

INSIDE: Final = {"AcceleratedOptimizer": "optimizer", "AcceleratedScheduler": "scheduler"}
"""Wrappers by the name of their class -> the attribute that holds what they wrap."""


def unwrapped(thing: Any) -> Any:
    """``thing`` without the wrappers of trainers, of torch's parallel training and of ``torch.compile``.

    >>> layer = torch.nn.Linear(1, 1)
    >>> unwrapped(torch.nn.DataParallel(layer)) is unwrapped(layer) is layer
    True
    """
    while True:
        inside = _inside(thing)
        if inside is None:
            return thing
        thing = inside


def _inside(thing: Any) -> Any:
    if isinstance(thing, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return thing.module
    if is_module(thing):
        return thing._modules.get("_orig_mod")  # of torch.compile
    return getattr(thing, INSIDE.get(type(thing).__name__, ""), None)


def trackable(thing: Any) -> Any:
    """What a checkpoint is to hold for ``thing``: without wrappers, and of a module, or a scheduler
    that drives a wrapper, only the state."""
    thing = unwrapped(thing)
    if is_module(thing) or _drives_a_wrapper(thing):
        record.PLAINER[id(thing)] = weakref.ref(thing)
    return thing


def _drives_a_wrapper(thing: Any) -> bool:
    return is_scheduler(thing) and _inside(thing.optimizer) is not None


def tracked(**things: Any) -> dict[str, Any]:
    """``things`` by name as a Series or a checkpoint takes them; those that are None are left out.

    >>> list(tracked(model=torch.nn.Linear(1, 1), scaler=None))
    ['model']
    """
    return {name: trackable(thing) for name, thing in things.items() if thing is not None}
