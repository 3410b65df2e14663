"""A DataLoader that goes on with the very next batch, in the middle of an epoch.

Strategy: the order of an epoch is a function of (seed, epoch), drawn from a stream of its own, so neither what the
training draws nor how far workers have read ahead has a part in it. The place in the epoch is the number of batches
that the loop has been handed. To go on there, indices are skipped, not data. In workers, the random numbers of a batch
are a function of (seed, epoch, batch): they do not depend on which worker makes it, or on what it made before.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, IterableDataset

from holdfast.checkpoint.order import DATA, WORKERS, Order, Sent, apart
from holdfast.checkpoint.random import Apart, mixed
from holdfast.errors import MismatchError, UnsupportedError

__all__ = ["ResumableLoader", "resumable"]

VERSION: Final = 1

CARRIED: Final = (
    "num_workers",
    "collate_fn",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "prefetch_factor",
)
"""What the loader inside has from the loader that was wrapped."""


def resumable(loader: Any, *, seed: int | None = None) -> Any:
    """``loader`` as one that can be tracked and resumed; one that has ``state_dict`` already is given back as it is.

    Raises UnsupportedError for what is no DataLoader, or one that makes its batches in a way of its own.

    >>> loader = resumable(DataLoader(range(6), batch_size=2, shuffle=True), seed=1)
    >>> batches = iter(loader)
    >>> first, state = next(batches), loader.state_dict()
    >>> again = resumable(DataLoader(range(6), batch_size=2, shuffle=True))
    >>> again.load_state_dict(state)
    >>> torch.equal(next(iter(again)), next(batches))
    True
    """
    if callable(getattr(loader, "state_dict", None)) and callable(getattr(loader, "load_state_dict", None)):
        return loader
    return ResumableLoader(loader, seed=seed)


class ResumableLoader:
    """A ``torch.utils.data.DataLoader`` that knows its place.

    loader  the DataLoader, with any sampler, workers and options; it is not changed, and not to be used besides
    seed    what the order of all epochs follows from; drawn from the loader's generator, or torch's global one, if None

    ``epoch`` and ``batches`` say where it is: ``batches`` have been handed out in ``epoch``. Each ``iter`` begins the
    next epoch, except the first one after ``load_state_dict``, which goes on. An epoch that a loop has left with
    ``break`` is gone on with after a resume; call ``next_epoch()`` after such a loop where that is not wanted.

    Data sets that draw random numbers of their own: exact where they use the global generators of Python, NumPy or
    torch; a generator that a data set keeps in itself is not seen. An IterableDataset is read again up to the place.
    """

    def __init__(self, loader: "DataLoader[Any]", *, seed: int | None = None) -> None:
        _check(loader)
        self.loader = loader
        self._place = Place(Order(loader), _drawn_seed(loader) if seed is None else seed)
        # Nothing in here points back to this object: the workers of a loader end when the last reference to it goes,
        # and a collector that came later, or in a forked worker, would disturb those of another one.
        self._inside = _inside(loader, Indices(self._place, _length(loader), bool(loader.num_workers)), self._place)
        self._taking: Iterator[Any] | None = None

    @property
    def seed(self) -> int:
        return self._place.seed

    @property
    def epoch(self) -> int:
        return self._place.epoch

    @property
    def batches(self) -> int:
        return self._place.batches

    def __iter__(self) -> Iterator[Any]:
        return _batches(self._inside, self._place)

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":
            raise AttributeError(name)
        return getattr(self.loader, name)

    def next_batch(self) -> Any:
        """The next batch, epoch after epoch without end: for loops that count steps and not epochs.

        Raises UnsupportedError when an epoch has no batch.
        """
        for _ in range(2):
            if self._taking is None:
                self._taking = iter(self)
            for batch in self._taking:
                return batch
            self._taking = None
        raise UnsupportedError("an epoch of this loader has no batch")

    def next_epoch(self) -> None:
        """End this epoch: the next ``iter`` begins the one after it, also after a resume."""
        self._place.advance()
        self._taking = None

    def state_dict(self) -> dict[str, Any]:
        """The place: ``{"version", "seed", "epoch", "batches", "length", "sampler"}``."""
        place = self._place
        return {
            "version": VERSION,
            "seed": place.seed,
            "epoch": place.epoch,
            "batches": place.batches,
            "length": _length(self.loader),
            "sampler": place.sampler if place.begun else place.order.changes(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state`` at the next ``iter``.

        Raises MismatchError in the middle of an epoch that had another number of batches: its order cannot be the same.
        """
        length, theirs = _length(self.loader), state["length"]
        if state["batches"] and theirs != length:
            raise MismatchError(
                f"the checkpoint is in the middle of an epoch of {theirs} batches, and this loader has {length}: "
                "use the same data, batch size and drop_last, or go on from a checkpoint between two epochs"
            )
        self._place.go_to(int(state["seed"]), int(state["epoch"]), int(state["batches"]), state["sampler"])
        self._taking = None


class Place:
    """Where a loader is, and what the order of its epochs follows from.

    sampler  what the user's sampler kept when this epoch began
    turn     the loop that counts: the one that began last
    """

    def __init__(self, order: "Order", seed: int) -> None:
        self.order = order
        self.seed = seed
        self.epoch = 0
        self.batches = 0
        self.begun = False
        self.sampler: Mapping[str, Any] = {}
        self.turn: object = None
        self.generator = torch.Generator()

    def begin(self) -> object:
        """A loop begins, with the next epoch or where a resume left off; gives its turn."""
        if self.begun:
            self.advance()
        elif self.batches:
            # Once more: a generator in the sampler may be tracked too, and then has the state of the middle by now.
            self.order.put_back(self.sampler)
        self.begun, self.sampler = True, self.order.changes()
        self.generator.manual_seed(mixed(self.seed, self.epoch, WORKERS))
        self.turn = object()
        return self.turn

    def advance(self) -> None:
        """This epoch is over."""
        self.epoch, self.batches, self.begun = self.epoch + 1, 0, False

    def go_to(self, seed: int, epoch: int, batches: int, sampler: Mapping[str, Any]) -> None:
        """The next loop begins here."""
        self.order.put_back(sampler)
        self.seed, self.epoch, self.batches, self.sampler = seed, epoch, batches, dict(sampler)
        self.begun, self.turn = False, None


def _batches(inside: "DataLoader[Any]", place: Place) -> Iterator[Any]:
    turn = place.begin()
    for batch in _source(inside, place):
        # A loop over the same loader that began later counts from then on.
        if place.turn is turn:
            place.batches += 1
        yield batch
    if place.turn is turn:
        place.advance()


def _source(inside: "DataLoader[Any]", place: Place) -> Iterator[Any]:
    """What is left of the epoch; of a stream, what is over is read again and dropped."""
    if not isinstance(inside.dataset, IterableDataset):
        return iter(inside)
    if inside.num_workers:
        return islice(inside, place.batches, None)
    return apart(Apart(place.seed, place.epoch, DATA), lambda: iter(inside), place.batches)


def _check(loader: Any) -> None:
    if not isinstance(loader, DataLoader):
        raise UnsupportedError(f"a {type(loader).__qualname__} is no torch.utils.data.DataLoader")
    for method in ("__iter__", "_get_iterator"):
        if getattr(type(loader), method) is not getattr(DataLoader, method):
            raise UnsupportedError(
                f"a {type(loader).__qualname__} makes its batches in a way of its own: give it state_dict and "
                "load_state_dict, or use a plain torch.utils.data.DataLoader"
            )


def _drawn_seed(loader: "DataLoader[Any]") -> int:
    generator = loader.generator or getattr(loader.sampler, "generator", None)
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator).item())


def _length(loader: "DataLoader[Any]") -> int | None:
    try:
        return len(loader)
    except TypeError:
        return None


def _inside(loader: "DataLoader[Any]", indices: "Indices", place: Place) -> "DataLoader[Any]":
    """The loader that makes the batches: as the one that was wrapped, with our order in place of its own."""
    options = {name: getattr(loader, name) for name in CARRIED}
    iterable = isinstance(loader.dataset, IterableDataset)
    if iterable:
        options |= {"batch_size": loader.batch_size, "drop_last": loader.drop_last}
    elif loader.batch_sampler is None:
        options |= {"batch_size": None, "sampler": indices}
    else:
        options["batch_sampler"] = indices
    # Workers that stay would take their random numbers and their place in the data along into the next epoch.
    persistent = loader.persistent_workers and not iterable
    return DataLoader(loader.dataset, generator=place.generator, persistent_workers=persistent, **options)


class Indices:
    """What is left of the current epoch's order; a sampler, as far as DataLoader is concerned."""

    def __init__(self, place: Place, length: int | None, sent: bool) -> None:
        self.place = place
        self.length = length
        self.sent = sent

    def __iter__(self) -> Iterator[Any]:
        seed, epoch, start = self.place.seed, self.place.epoch, self.place.batches
        order = self.place.order.of(seed, epoch, start)
        if not self.sent:
            return order
        return (Sent(index, (seed, epoch, start + number)) for number, index in enumerate(order))

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("the sampler of this loader has no length")
        return self.length
