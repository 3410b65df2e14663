"""Transformers: a ``Series`` of checkpoints as a callback of ``Trainer``, which resumes exactly from it.

    with Series("runs/bert", every=600, on_signal=True) as series:
        keeper = SeriesCallback(series)
        trainer = Trainer(model, args, train_dataset=data, callbacks=[keeper])
        trainer.train(resume_from_checkpoint=keeper.resume_from(trainer))

Strategy: a step is done when the next one begins, for only then has it been logged and evaluated; that is also where the
random numbers of a resumed run are put back, so what was drawn in between does not matter. The Trainer goes on from a
folder of its own kind, of which it needs the counts alone: it is given those, and the Series fills model, optimiser and
scheduler, from a file whose every checksum was compared.
"""

import dataclasses
import json
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch

from holdfast import api
from holdfast.checkpoint import Series, random
from holdfast.checkpoint.folder import Damage
from holdfast.errors import HoldfastError, MissingError, UnsupportedError
from holdfast.integrations.unwrapped import tracked

try:
    from transformers import TrainerCallback
    from transformers.trainer_callback import ExportableState
    from transformers.utils import WEIGHTS_INDEX_NAME
except ModuleNotFoundError as error:
    raise MissingError("holdfast.integrations.transformers", "holdfast[transformers]") from error

__all__ = ["SeriesCallback"]

STATE: Final = "trainer_state.json"
"""Where the Trainer looks for its counts."""
NOTHING: Final = "nothing.bin"
PLACE: Final = ("step", "epoch")
"""What a log says that is no metric."""
SUMS: Final = ("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged")
"""Attributes of the Trainer that the losses that it logs are computed from."""


class SeriesCallback(TrainerCallback):
    """Checkpoints of a ``Trainer`` in ``series``: model, optimiser, scheduler, scaler, counts and log, random numbers.

    series  when to save and what to keep; its metrics are the numbers that the Trainer logs (``best="eval_loss"``)

    ``objects`` are tracked as well, by name. The step that a checkpoint is called after counts the updates from 0.
    Set ``save_strategy="no"`` to have no other checkpoints.
    """

    def __init__(self, series: Series, **objects: Any) -> None:
        self.series = series
        self.objects = objects
        self._counts = Counts()
        self._metrics: dict[str, float] = {}
        self._resuming: str | None = None
        self._random: random.State | None = None

    def resume_from(self, trainer: Any) -> str | None:
        """What to pass to ``train(resume_from_checkpoint=…)``: None when the folder has no checkpoint yet.

        Call it also for a run that begins: the Trainer's own sums and callbacks are kept from then on. The newest
        checkpoint that is whole is gone on from, as with ``Series.resume``.
        """
        self._counts.trainer = weakref.ref(trainer)
        path = _newest(self.series)
        self._resuming = None if path is None else _folder(api.load(path, "trainer"), trainer.model)
        return self._resuming

    # -- what the Trainer calls ---

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, lr_scheduler: Any = None,
        **more: Any,
    ) -> None:  # fmt: skip
        """Everything is there by now, and nothing is read yet.

        Raises HoldfastError when the folder holds a run that nobody goes on with, UnsupportedError where several processes
        train together; else what ``Series.resume`` raises.
        """
        if args.world_size > 1:
            raise UnsupportedError(
                "a Series keeps the state of one process, and several train here: use the Trainer's own checkpoints"
            )
        self._counts.state = state
        scaler = getattr(optimizer, "scaler", None)
        things = tracked(model=model, opt=optimizer, schedule=lr_scheduler, scaler=scaler)
        self.series.track(**things, trainer=self._counts, **self.objects)
        if self._resuming is not None:
            position = self.series.resume()
            shutil.rmtree(self._resuming, ignore_errors=True)
            self._resuming, self._random = None, random.capture()
            if position.step != state.global_step:
                raise HoldfastError(
                    f"the Trainer goes on from step {state.global_step:,}, and the checkpoint is of {position.step:,}: "
                    "pass resume_from_checkpoint=callback.resume_from(trainer) to train"
                )
        elif self.series.checkpoints and not state.global_step:
            raise HoldfastError(
                "the folder of this Series holds a run already: go on with it by "
                "trainer.train(resume_from_checkpoint=callback.resume_from(trainer)), or begin in another folder"
            )

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """The step before is done, logged and evaluated."""
        put_back, self._random = self._random, None
        if put_back is None:
            self._done(state)
        else:
            random.put_back(put_back)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **more: Any) -> None:
        numbers = {name: value for name, value in (logs or {}).items() if type(value) in (int, float)}
        self._metrics.update({name: float(value) for name, value in numbers.items() if name not in PLACE})

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """The last step is saved, and on the disk."""
        if state.global_step >= self.series.position.step:
            self._done(state)
        self.series.finish()

    def _done(self, state: Any) -> None:
        self._counts.state = state
        if state.global_step:
            epoch = max(0, math.ceil(state.epoch or 0) - 1)
            self.series.step(state.global_step - 1, epoch=epoch, **self._metrics)


class Counts:
    """The Trainer's own state: counts and log, the states of its callbacks, and the sums that it logs from."""

    def __init__(self) -> None:
        self.state: Any = None
        self.trainer: Any = lambda: None

    def state_dict(self) -> dict[str, Any]:
        trainer, state = self.trainer(), self.state
        sums: dict[str, float] = {}
        if trainer is not None:
            callbacks = [*trainer.callback_handler.callbacks, trainer.control]
            kept = [one for one in callbacks if isinstance(one, ExportableState)]
            state = dataclasses.replace(state, stateful_callbacks=kept)
            sums = {name: float(getattr(trainer, name)) for name in SUMS if hasattr(trainer, name)}
        return {"state": dataclasses.asdict(state), "sums": sums}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The sums; the rest the Trainer has read already."""
        trainer = self.trainer()
        for name, value in saved["sums"].items():
            held = getattr(trainer, name, None)
            if held is not None:
                setattr(trainer, name, torch.full_like(held, value) if torch.is_tensor(held) else type(held)(value))


def _newest(series: Series) -> Path | None:
    """The checkpoint that ``series.resume`` is going to take."""
    there = sorted(series.checkpoints, key=lambda one: (not one.flag, one.step, one.time), reverse=True)
    for one in there:
        with suppress(*Damage):
            api.verify(one.path)
            return one.path
    # There are some, and none is whole: the Series says what is wrong with each.
    if there:
        series.resume()
    return None


def _folder(saved: Mapping[str, Any], model: Any) -> str:
    """A folder that the Trainer goes on from: its counts, and an index of weights that are all in an empty file."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-"))
    weakref.finalize(model, shutil.rmtree, path, ignore_errors=True)
    (path / STATE).write_text(json.dumps(saved["state"]), encoding="utf-8")
    index = {"metadata": {}, "weight_map": dict.fromkeys(model.state_dict(), NOTHING)}
    (path / WEIGHTS_INDEX_NAME).write_text(json.dumps(index), encoding="utf-8")
    torch.save({}, path / NOTHING)
    return os.fspath(path)
