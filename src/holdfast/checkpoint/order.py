"""The order in which a loader reads its data, as a function of (seed, epoch), and random numbers in its workers.

Strategy: torch's own samplers are copied for each epoch and draw from a generator of the epoch's; a user's stays as it is
and draws from a stream apart. Indices that go to a worker carry a seed, which takes effect as they arrive.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)
from torch.utils.data.distributed import DistributedSampler

from holdfast.checkpoint.random import Apart, is_generator, mixed, seed_all, set_state, state_of
from holdfast.errors import MismatchError

ORDER, WORKERS, DATA = range(3)
"""What a stream is for, so that no two of an epoch are the same."""

PLAIN: Final = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
"""Samplers of torch's that draw from their ``generator`` and keep nothing from epoch to epoch."""


class Order:
    """The order in which a loader reads its data set, epoch by epoch.

    torch's own samplers are copied and given a generator of the epoch's. A user's sampler is used as it is, drawing
    from a stream of the epoch's. What it keeps from one epoch to the next is its ``state_dict``, or the numbers and
    generators among its attributes; ``changes`` gives those that are not as they were at first.
    """

    def __init__(self, loader: "DataLoader[Any]") -> None:
        self.sampler: Any = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
        self.first = {path: _kept(part) for path, part in self._parts()}

    def of(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        """The order of one epoch, from batch ``start`` on."""
        copied = _copied(self.sampler, torch.Generator().manual_seed(mixed(seed, epoch, ORDER)))
        if copied is not None:
            return islice(copied, start, None)
        return apart(Apart(seed, epoch, ORDER), lambda: iter(self.sampler), start)

    def changes(self) -> dict[str, Any]:
        """What the sampler keeps now, where that is not what it kept when it was made."""
        found = {}
        for path, part in self._parts():
            kept, first = _kept(part), self.first.get(path, {})
            changed = {
                name: value for name, value in kept.items() if name not in first or not _same(value, first[name])
            }
            if changed:
                found[path] = changed
        return found

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """The samplers that may keep something, each with its path: not those that are copied for every epoch."""
        whole = _copied(self.sampler, torch.Generator()) is not None
        return ((path, part) for path, part in _parts(self.sampler) if not whole or type(part) is DistributedSampler)

    def put_back(self, kept: Mapping[str, Any]) -> None:
        parts = dict(self._parts())
        for path, values in kept.items():
            if path not in parts:
                raise MismatchError(f"the checkpoint holds the state of {path}, which this loader does not have")
            _give(parts[path], values)


def _copied(sampler: Any, generator: torch.Generator) -> Any:
    """A copy of one of torch's own samplers that draws from ``generator``; None for any other."""
    if type(sampler) is DistributedSampler:
        return sampler
    if type(sampler) is BatchSampler:
        inner = _copied(sampler.sampler, generator)
        return None if inner is None else BatchSampler(inner, sampler.batch_size, sampler.drop_last)
    if type(sampler) not in PLAIN:
        return None
    twin = copy.copy(sampler)
    if hasattr(twin, "generator"):
        twin.generator = generator
    return twin


def apart(stream: Apart, make: Callable[[], Iterator[Any]], start: int) -> Iterator[Any]:
    """The items of ``make()`` from ``start`` on, made while ``stream`` stands for the global generators."""
    with stream.drawing():
        items = islice(make(), start, None)
    while True:
        with stream.drawing():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


# -- what a sampler keeps from epoch to epoch -------------------------------------------------------------------------

NUMBERS: Final = (bool, int, float, str, type(None))


def _parts(sampler: Any) -> Iterator[tuple[str, Any]]:
    """A sampler and the samplers inside it, each with its path."""
    waiting, seen = [("sampler", sampler)], set()
    while waiting:
        path, part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield path, part
        attributes = getattr(part, "__dict__", {})
        waiting += [(f"{path}.{name}", inner) for name, inner in attributes.items() if isinstance(inner, Sampler)]


def _kept(sampler: Any) -> dict[str, Any]:
    if callable(getattr(sampler, "state_dict", None)) and callable(getattr(sampler, "load_state_dict", None)):
        return {"state_dict()": copy.deepcopy(sampler.state_dict())}
    kept = {name: value for name, value in getattr(sampler, "__dict__", {}).items() if _is_kept(value)}
    return {name: state_of(value) if is_generator(value) else value for name, value in kept.items()}


def _is_kept(value: Any) -> bool:
    return type(value) in NUMBERS or is_generator(value)


def _give(sampler: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        held = getattr(sampler, name, None)
        if name == "state_dict()":
            sampler.load_state_dict(value)
        elif is_generator(held):
            set_state(held, value)
        else:
            setattr(sampler, name, value)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray | torch.Tensor) or isinstance(b, np.ndarray | torch.Tensor):
        return type(a) is type(b) and a.shape == b.shape and bool((a == b).all())
    return type(a) is type(b) and bool(a == b)


# -- random numbers in workers ----------------------------------------------------------------------------------------


class Sent:
    """The indices of a batch on their way to a worker, and the seed for what is drawn there."""

    def __init__(self, index: Any, seed: tuple[int, ...]) -> None:
        self.index = index
        self.seed = seed

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # A worker takes one batch at a time from its queue and makes it at once, so what runs when the indices arrive
        # runs right before the batch is made.
        return arrive, (self.index, self.seed)


def arrive(index: Any, seed: tuple[int, ...]) -> Any:
    """The plain indices; in a worker, the global generators are seeded for this batch first."""
    if get_worker_info() is not None:
        seed_all(*seed, DATA)
    return index
