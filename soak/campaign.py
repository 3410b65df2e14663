"""What a campaign is: a module of this folder with ``run(budget) -> Tally``.

Strategy: the budget is what a campaign loops over; it ends when so many tries are done or so much time is over, and
reports on the way. The tally is what was seen: counts, among them those that have to be 0, and a line for each failure.
"""

import importlib
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

CAMPAIGNS: Final[Mapping[str, str]] = {
    "cuts": "the power fails while a process saves in a loop: ext4 and xfs on loop devices, shut down and mounted again",
    "damage": "a good file of 1 MiB: each bit flipped, cut at each byte, hit by bursts; --count is the number of bursts",
    "faults": "each system call of a save and of a checkpoint fails, in each way in which it can",
    "full": "a disk that is full, or a limit on the size of files, at every 4 KiB of a save",
    "fuzz": "bytes that nobody would write, through the reader and all of load",
    "kills": "a process that saves in a loop is killed at random moments, and goes on",
    "mutate": "documents of the vocabularies' own words, put together wrongly, through load and inspect",
    "steady": "one process that saves, loads and resumes: its memory, descriptors and threads stay as they are",
}
"""Name of the module -> what it does. The module is imported when it is asked for, since each may need other packages."""

REPORTED: Final = 10.0
"""Seconds between two lines of progress."""


def campaign(name: str) -> ModuleType:
    """The module of a campaign."""
    return importlib.import_module(f"soak.{name}")


@dataclass
class Budget:
    """The tries of a campaign: ``for number in budget``.

    count     tries at most
    seconds   time at most
    seed      what ``random`` follows from
    variants  those of the campaign that were asked for; none: all that it has
    jobs      processes at once, for a campaign that can be shared out
    """

    count: int | None = None
    seconds: float | None = None
    seed: int = 0
    variants: tuple[str, ...] = ()
    jobs: int = 1
    done: int = 0
    spent: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # of its own: what is tried may seed the global one

    def __iter__(self) -> Iterator[int]:
        start = said = time.monotonic()
        while self.count is None or self.done < self.count:
            self.spent = time.monotonic() - start
            if self.seconds is not None and self.spent >= self.seconds:
                return
            if time.monotonic() - said >= REPORTED:
                said = time.monotonic()
                print(f"  {self.done:,} in {self.spent:.0f} s", file=sys.stderr, flush=True)
            yield self.done
            self.done += 1
        self.spent = time.monotonic() - start


@dataclass
class Tally:
    """What a campaign has seen.

    counts    what was done and what came of it, in the order in which it is told
    wrong     what may never be: how often it was, told even when it is 0
    failures  a line for each, with what it takes to see it again
    """

    counts: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def fail(self, what: str, line: str) -> None:
        self.wrong[what] += 1
        self.failures.append(f"{what}: {line}")

    @property
    def well(self) -> bool:
        return not self.failures and not any(self.wrong.values())
