"""What Lightning's checkpoints leave out: random numbers, the place in the data, gradients within an accumulation.

Strategy: one more entry in the checkpoint, ``holdfast``, that a callback adds and puts back. Random numbers are put back at
the very moment when the data is read on, for until then Lightning and the user's hooks draw some of their own.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from holdfast.checkpoint import exact, random
from holdfast.checkpoint.walk import knows_its_place
from holdfast.errors import FormatError, MismatchError
from holdfast.integrations.lightning.package import Callback

ENTRY: Final = "holdfast"
"""The name in a checkpoint under which stands what Lightning leaves out."""
VERSION: Final = 1


class ExactResume(Callback):
    """Keeps in every checkpoint what makes a resume exact: random numbers, the place in the data, gradients.

    Give the Trainer a loader that knows its place (``resumable(loader)``, torchdata's ``StatefulDataLoader``, anything
    with ``state_dict``) to go on within an epoch. With another loader a resume is exact between two epochs.

    Validation during training does not move the training's random numbers: they go on afterwards as if it had not been.
    Lightning does not repeat a validation that was due right after a checkpoint.

    A checkpoint that was saved without this callback is resumed as Lightning does it. What is kept is the state of one
    process: where several train together, a resume warns that it is not exact.
    """

    def __init__(self) -> None:
        self._saved: Mapping[str, Any] | None = None
        self._before: random.State | None = None

    # -- saving ---

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        place = _place(trainer)
        accumulating = place == WITHIN and _batches(trainer) % trainer.accumulate_grad_batches
        checkpoint[ENTRY] = {
            "version": VERSION,
            "random": random.capture(),
            "place": place,
            "loaders": [loader.state_dict() for loader in _loaders(trainer)],
            "gradients": exact.gradients(pl_module) if accumulating else {},
        }

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.enable_validation:
            self._before = random.capture()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._before is not None:
            random.put_back(self._before)

    # -- going on ---

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get(ENTRY)
        if saved is not None and saved.get("version") != VERSION:
            raise FormatError(
                f"the checkpoint's entry {ENTRY!r} is of version {saved.get('version')!r:.20}; this holdfast reads "
                f"version {VERSION}"
            )
        self._saved = saved

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._before = None
        if self._saved is None:
            return
        if self._saved["place"] == WITHIN:
            self._go_on(trainer, pl_module)
        else:
            # A checkpoint after the last batch and before the epoch's end: Lightning counts that epoch as done, and would
            # go on with the next one as if it had begun.
            trainer.fit_loop.reset_restart_stage()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._saved is not None:
            self._go_on(trainer, pl_module)

    def _go_on(self, trainer: Any, pl_module: Any) -> None:
        """Put back what the checkpoint holds; from the first batch on everything is as it was."""
        saved, self._saved = self._saved or {}, None
        if trainer.world_size > 1:
            warnings.warn(
                "all processes go on with the random numbers of the first: this resume is not exact", stacklevel=2
            )
        loaders = _loaders(trainer)
        if len(loaders) != len(saved["loaders"]):
            raise MismatchError(
                f"the checkpoint holds the places of {len(saved['loaders'])} loaders, and this Trainer has "
                f"{len(loaders)} that know their place: use the same loaders, with resumable(loader) where they had it"
            )
        for loader, state in zip(loaders, saved["loaders"], strict=True):
            _go_to(loader, state, saved["place"])
        if saved["gradients"]:
            exact.set_gradients(pl_module, saved["gradients"])
        random.put_back(saved["random"])
        # The Trainer has begun to read already, from where the loaders were before. To begin once more draws what a new
        # epoch draws; within an epoch that is long done.
        fetcher = iter(trainer.fit_loop._data_fetcher)
        state = saved["random"] if saved["place"] == WITHIN else random.capture()
        fetcher.iterator = Reading(fetcher.iterator, state)


class Reading:
    """``batches``, and a state of the random generators that is put back before the first one is read."""

    def __init__(self, batches: Iterator[Any], state: random.State) -> None:
        self.batches = batches
        self.state: random.State | None = state

    def __iter__(self) -> "Reading":
        return self

    def __next__(self) -> Any:
        state, self.state = self.state, None
        if state is not None:
            random.put_back(state)
        return next(self.batches)


FRESH, WITHIN, OVER = "fresh", "within", "over"
"""Where a checkpoint stands: no batch of an epoch is done, some are, all are."""


def _place(trainer: Any) -> str:
    if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
        return OVER
    return WITHIN if _batches(trainer) else FRESH


def _batches(trainer: Any) -> int:
    """The batches of this epoch that were read."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


def _go_to(loader: Any, state: Mapping[str, Any], place: str) -> None:
    loader.load_state_dict(state)
    if place != OVER:
        return
    if hasattr(loader, "next_epoch"):
        loader.next_epoch()
    else:
        iter(loader)  # the epoch that is over; the next one begins with the next call


def _loaders(trainer: Any) -> list[Any]:
    """The Trainer's loaders that know their place, in the order in which it has them."""
    return [loader for loader in _leaves(trainer.train_dataloader) if knows_its_place(loader)]


def _leaves(loaders: Any) -> Iterator[Any]:
    inner: Iterable[Any] | None = None
    if isinstance(loaders, Mapping):
        inner = loaders.values()
    elif isinstance(loaders, list | tuple):
        inner = loaders
    if inner is None:
        yield loaders
        return
    for one in inner:
        yield from _leaves(one)
