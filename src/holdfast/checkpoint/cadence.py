"""When a checkpoint is due: pure functions of plain numbers.

Strategy: a ``Cadence`` holds the user's wishes, a ``Moment`` where the run is, and ``due`` compares this moment with
that of the last save. ``every``, ``every_steps`` and ``every_epochs`` are wishes to save, and any of them is enough;
``overhead`` is a bound, and a wish of its own where it stands alone.

Steps and epochs are counted on a grid from 0, not from the last save, so that a resumed run saves at the same steps as
one that was never stopped: with ``every_steps=100`` after step 99, 199, … (100 steps are done then).

The first save: ``every`` and ``overhead`` ask for one at the first step of a fresh run, so that what cannot be saved is
known in the first second and not after the first hour. A resumed run waits its time.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run is: a monotonic clock in seconds, steps done, and the epoch, None where the caller counts none."""

    seconds: float
    done: int
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Cadence:
    """When to save. None: not by this.

    every         seconds between the beginnings of two saves
    every_steps   steps between two saves
    every_epochs  epochs between two saves
    overhead      the share of the time that saving may take, such as 0.02
    """

    every: float | None = None
    every_steps: int | None = None
    every_epochs: int | None = None
    overhead: float | None = None

    @classmethod
    def of(
        cls,
        every: float | timedelta | None,
        every_steps: int | None,
        every_epochs: int | None,
        overhead: float | None,
    ) -> Self:
        """The cadence that a user asks for. Raises ValueError for what cannot be meant.

        >>> Cadence.of(timedelta(minutes=1), None, None, None).every
        60.0
        """
        for name, count in (("every_steps", every_steps), ("every_epochs", every_epochs)):
            if count is not None and (isinstance(count, bool) or count != int(count) or count < 1):
                raise ValueError(f"{name} is a whole number from 1, not {count!r}")
        if overhead is not None and not 0 < overhead < 1:
            raise ValueError(f"overhead is a share of the time between 0 and 1, such as 0.02, not {overhead!r}")
        return cls(seconds_of("every", every), every_steps, every_epochs, overhead)

    @property
    def timed(self) -> bool:
        """Whether time, and not the count of steps or epochs, asks for saves."""
        return self.every is not None or (self.overhead is not None and not self.counted)

    @property
    def counted(self) -> bool:
        return self.every_steps is not None or self.every_epochs is not None


def seconds_of(name: str, value: float | timedelta | None) -> float | None:
    """A length of time in seconds. Raises ValueError when it is negative or no number."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
        raise ValueError(f"{name} is a number of seconds or a timedelta, not {value!r}")
    return float(seconds)


def due(cadence: Cadence, now: Moment, last: Moment, *, cost: float, fresh: bool) -> bool:
    """Whether to save now.

    last   the moment of the last save; before the first one, that of the start or of the resume
    cost   seconds that the last save held the loop; 0 before the first
    fresh  nothing is saved yet and nothing was resumed

    The bound counts from the beginning of a save to that of the next: a save that took 1 s under ``overhead=0.02`` is
    followed by none for 50 s. So all saves but the latest take at most that share of the time.

    >>> thirty = Cadence(every=30)
    >>> start = Moment(0, 0)
    >>> due(thirty, Moment(0.1, 1), start, cost=0, fresh=True), due(thirty, Moment(29, 9), start, cost=0, fresh=False)
    (True, False)
    """
    if cadence.overhead is not None and cost > cadence.overhead * (now.seconds - last.seconds):
        return False
    if fresh and cadence.timed:
        return True
    wishes = (
        cadence.every is not None and now.seconds - last.seconds >= cadence.every,
        crossed(cadence.every_steps, last.done, now.done),
        crossed_epochs(cadence.every_epochs, last.epoch, now.epoch),
        cadence.overhead is not None and cadence.every is None and not cadence.counted,
    )
    return any(wishes)


def crossed(every: int | None, last: int, now: int) -> bool:
    """Whether a multiple of ``every`` lies after ``last`` and not after ``now``: also where steps are left out."""
    return every is not None and now // every > last // every


def crossed_epochs(every: int | None, last: int | None, now: int | None) -> bool:
    """Whether ``every`` epochs are done that were not at the last save.

    An epoch is over when a step names a later one, so a loop that calls ``step`` for each batch saves after the first
    batch of the next epoch. (One that calls it once for each epoch wants ``every_steps``: its steps are epochs.)
    """
    if every is None or now is None:
        return False
    return now // every > (last if last is not None else 0) // every


def quiet_until(cadence: Cadence, last: Moment, *, cost: float, fresh: bool) -> tuple[float, int]:
    """The clock and the count of steps before which nothing is due in this epoch: what a cheap ``step`` compares with.

    >>> quiet_until(Cadence(every=30, every_steps=100), Moment(1000.0, 120), cost=0, fresh=False)
    (1030.0, 200)
    """
    clock, steps = float("inf"), 1 << 63
    if cadence.timed:
        wait = 0.0 if fresh else cadence.every or 0.0
        clock = last.seconds + max(wait, cost / cadence.overhead if cadence.overhead is not None else 0.0)
    if cadence.every_steps is not None:
        steps = (last.done // cadence.every_steps + 1) * cadence.every_steps
    return clock, steps
