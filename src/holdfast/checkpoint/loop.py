"""Where the training loop is: the step that is done last, and what was said of it.

Strategy: ``step`` stores what it is given and nothing is computed until somebody asks. Whether the weights still are
those of that step is known by counting the steps that optimisers have begun since: torch calls one hook of ours before
every step of every optimiser. A hook on the optimiser itself would be in the way of saving it.
"""

import itertools
import operator
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from holdfast.checkpoint.position import Position

# -- whether an optimiser has begun a step ----------------------------------------------------------------------------

_COUNT: Final = itertools.count(1)
_LAST: Final = [0]
_WATCHED: Final[list[Any]] = []


def watch_optimisers() -> None:
    """Begin to count, where torch is loaded. A second call does nothing."""
    if "torch" in sys.modules and not _WATCHED:
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        _WATCHED.append(register_optimizer_step_pre_hook(_count))


def _count(optimiser: Any, args: Any, kwargs: Any) -> None:
    _LAST[0] = next(_COUNT)


def steps_begun() -> int:
    """The count; what matters is only whether it has changed."""
    return _LAST[0]


# -- the loop ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Loop:
    """The place of a loop in its run.

    now      the last step that is done (-1: none), the epoch, and the metrics as they were given
    begun    the count of optimiser steps at that moment
    saved    the last step that was saved or gone back to, None where there is none
    least    the least step that may be saved
    resumed  whether ``resume`` or ``rollback`` was called
    tried    whether it is known that the state can be saved
    urgent   whether the next step has to look: a signal came, or something failed in the background
    walking  the epoch of the data that is walked over
    arrivals how often the run has gone on from a checkpoint
    before   seconds of training before ``since``, the clock when this process began
    """

    now: tuple[int, int | None, dict[str, Any]] = field(default_factory=lambda: (-1, None, {}))
    begun: int = field(default_factory=steps_begun)
    saved: int | None = None
    least: int = 0
    resumed: bool = False
    tried: bool = False
    urgent: bool = False
    walking: int | None = None
    arrivals: int = 0
    before: float = 0.0
    since: float = field(default_factory=monotonic)

    @property
    def position(self) -> Position:
        """The next step, the epoch of the last one, and the time spent on the run."""
        return Position(self.now[0] + 1, self.epoch or 0, self.before + monotonic() - self.since)

    @property
    def epoch(self) -> int | None:
        """The epoch of the last step: the one that was given with it, or that of the walk."""
        return self.walking if self.now[1] is None else self.now[1]

    def enter(self, epoch: int) -> None:
        """A walk has come to another epoch."""
        self.walking, self.urgent = epoch, True

    @property
    def moved(self) -> bool:
        """Whether an optimiser has begun a step since the last one that is done."""
        return steps_begun() != self.begun

    def wake(self) -> None:
        """Have the next step look; for signal handlers and other threads."""
        self.urgent = True

    def settle(self) -> tuple[int, int | None]:
        """The step and the epoch as plain whole numbers. Raises TypeError or ValueError for what is none."""
        step, epoch, given = self.now
        step, epoch = operator.index(step), None if epoch is None else operator.index(epoch)
        if step < 0 or (epoch is not None and epoch < 0):
            raise ValueError(f"steps and epochs count from 0; this is step {step}, epoch {epoch}")
        self.now = step, epoch, given
        return step, self.epoch

    def arrive(self, position: Position) -> None:
        """Go on from a checkpoint."""
        self.now = position.step - 1, position.epoch if position.step else None, {}
        self.saved, self.least, self.begun = position.step - 1, max(0, position.step - 1), steps_begun()
        self.before, self.since = position.time, monotonic()
        self.arrivals += 1

    def name(self, step: int | None, epoch: int | None, metrics: dict[str, Any]) -> None:
        """Say which step is done; None: the one that was, of which this is further to say.

        Raises ValueError when none is.
        """
        was, epoch_was, given = self.now
        if step is not None:
            self.now, self.begun = (step, epoch, metrics), steps_begun()
        elif was < 0:
            raise ValueError("no step is done yet: say which one this is, as in save(step=0)")
        else:
            self.now = was, epoch_was if epoch is None else epoch, given | metrics

    def metrics(self) -> dict[str, float]:
        """The metrics as numbers; those that are None were not given. Raises ValueError for what is no number."""
        return {name: number(name, value) for name, value in self.now[2].items() if value is not None}

    def check_order(self, folder: str) -> None:
        """Raises ValueError when the last step would be saved before one that is there."""
        step = self.now[0]
        if step >= self.least:
            return
        if self.saved is None and not self.resumed:
            raise ValueError(
                f"step {step:,} is done, but {folder} holds step {self.least - 1:,} of an earlier run, which a resume "
                "would go on from: call resume() before the loop, or take another folder for a new run"
            )
        raise ValueError(f"step {step:,} comes before step {self.least:,}, which is saved: to go back call rollback")


def number(name: str, value: Any) -> float:
    """A metric as a number; a tensor or array may hold it.

    >>> import numpy as np
    >>> number("loss", np.array([0.5]))
    0.5
    """
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the metric {name} is one number, or a tensor or array of one, not {value!r:.80}") from error
