"""The pace of a run: what ``cadence.py`` is asked with, remembered from save to save.

Strategy: after each look the numbers are worked out below which nothing can be due, so that most steps compare three
numbers and are done.
"""

from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from holdfast.checkpoint.cadence import Cadence, Moment, due, quiet_until

NO_EPOCH: Final = object()
"""An epoch that no caller names."""


@dataclass(slots=True)
class Pace:
    """When the last save was, what it cost, and from when on the next one may be due.

    fresh        nothing is saved yet and nothing was resumed
    quiet_step   steps before this one are not due, as long as the clock and the epoch say the same
    quiet_clock  the monotonic clock before which nothing is due
    quiet_epoch  the epoch in which that holds
    """

    cadence: Cadence
    last: Moment = field(default_factory=lambda: Moment(monotonic(), 0))
    cost: float = 0.0
    fresh: bool = True
    quiet_step: int = -1
    quiet_clock: float = 0.0
    quiet_epoch: Any = NO_EPOCH

    def is_due(self, step: int, epoch: int | None) -> bool:
        """Whether to save now that ``step`` is done."""
        now = Moment(monotonic(), step + 1, epoch)
        return due(self.cadence, now, self.last, cost=self.cost, fresh=self.fresh)

    def begin(self, done: int, epoch: int | None) -> None:
        """Count from here, where the run was resumed."""
        self.last, self.cost, self.fresh = Moment(monotonic(), done, epoch), 0.0, False
        self.quiet_step = -1

    def saved(self, began: float, step: int, epoch: int | None) -> None:
        """A save of ``step`` is over that began at ``began``."""
        self.last, self.cost, self.fresh = Moment(began, step + 1, epoch), monotonic() - began, False

    def look_ahead(self, epoch: int | None) -> None:
        """Work out until when nothing is due."""
        self.quiet_clock, steps = quiet_until(self.cadence, self.last, cost=self.cost, fresh=self.fresh)
        self.quiet_step, self.quiet_epoch = steps - 1, epoch
