"""One process that saves, loads and resumes for a long time: its memory, descriptors and threads stay as they are.

Strategy: a try is a round of everything that a long run does: files of every format written, opened in each way and refused,
a Series that goes on from where the round before left it. After each round, when nothing of it should be left, the process is
measured. The slope over all but the first rounds (in which memory pools fill) is told for an hour, and held against what the
whole time may add. It is the median of the slopes between any two measures (Theil and Sen): a leak goes on and on, where an
allocator that takes one more arena, and keeps it, makes one step.

    bson      save, load in each way, restore, verify, inspect, the command
    formats   the files of other formats, and saves of those that are written
    series    a Series that steps in the background, is closed, and resumed
    refused   files that break off, and classes that nobody allowed: errors
"""

import contextlib
import gc
import io
import os
import shutil
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import torch

import holdfast
import holdfast.safetensors
from fuzz import foreign
from holdfast.checkpoint import Series
from holdfast.cli import main
from holdfast.errors import HoldfastError
from soak.campaign import Budget, Tally
from soak.kills import MEMORY

WARM: Final = 0.2
"""The share of the measures that come before everything has been used often enough."""
MIN_MEASURES: Final = 10
POINTS: Final = 500
"""Measures, spread over the whole time, between which the slope is taken."""
HOUR: Final = 3600.0
ALLOWED: Final[Mapping[str, float]] = {"KiB of memory": 1024.0, "descriptors": 0.5, "threads": 0.5}
"""What is measured, and how much of it the whole time may add by its slope. A mebibyte is what pages that come and go make
uncertain; half a descriptor is none."""
TOLD: Final = 200
"""Rounds between two words about what is held."""
STEPS: Final = 3
RUN: Final = 60
"""Steps of a run; then another begins, for the history of one run grows with its steps."""
SIZE: Final = 100
"""Inputs and outputs of the model's layers."""


# -- what is measured -------------------------------------------------------------------------------------------------


@dataclass
class Measures:
    """What the process held after each round, and when."""

    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    held: dict[str, "array[float]"] = field(default_factory=lambda: {what: array("d") for what in ALLOWED})

    def add(self) -> None:
        gc.collect()
        found = (memory(), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))
        self.seconds.append(time.monotonic())
        for what, number in zip(self.held, found, strict=True):
            self.held[what].append(number)
        if len(self.seconds) % TOLD == 0:
            print(
                f"  {', '.join(f'{number:,.0f} {what}' for what, number in zip(self.held, found, strict=True))}",
                file=sys.stderr,
            )

    def tell(self, tally: Tally) -> None:
        """The slope of each into ``tally``; one that adds more than is allowed is a failure."""
        first = int(len(self.seconds) * WARM)
        seconds = self.seconds[first:]
        if len(seconds) < MIN_MEASURES:
            tally.fail("not run", f"{len(seconds)} measures have no slope: give it more rounds")
            return
        span = seconds[-1] - seconds[0]
        for what, numbers in self.held.items():
            rate = slope(seconds, numbers[first:])
            tally.counts[what] = round(numbers[-1])
            tally.counts[f"{what} more an hour"] = round(rate * HOUR)
            tally.wrong[f"growing {what.split()[-1]}"] = 0
            if rate * span > ALLOWED[what]:
                more = f"{rate * span:,.1f} {what} more in {span:,.0f} s, from {numbers[first]:,.0f} on"
                tally.fail(f"growing {what.split()[-1]}", more)


def slope(seconds: Sequence[float], numbers: Sequence[float]) -> float:
    """By how much ``numbers`` grow in a second, by the median of the slopes between any two of at most ``POINTS``.

    >>> slope([0, 1, 2, 3], [5, 7, 9, 11]), slope([0, 1, 2, 3, 4, 5], [5, 5, 5, 5, 5, 9])
    (2.0, 0.0)
    """
    some = np.linspace(0, len(seconds) - 1, min(len(seconds), POINTS)).astype(int)
    times, values = np.asarray(seconds, float)[some], np.asarray(numbers, float)[some]
    earlier, later = np.triu_indices(len(some), 1)
    return float(np.median((values[later] - values[earlier]) / (times[later] - times[earlier])))


def memory() -> float:
    """KiB that are the process's own: not those of files that it has mapped, which come and go with the page cache."""
    with open("/proc/self/status") as file:
        return float(sum(int(line.split()[1]) for line in file if line.startswith(("RssAnon", "RssShmem", "VmSwap"))))


# -- what is done -----------------------------------------------------------------------------------------------------


class Bench:
    """What the rounds work on, in a folder of their own."""

    def __init__(self, folder: Path, choose: Random) -> None:
        self.folder, self.choose = folder, choose
        self.model = torch.nn.Sequential(torch.nn.Linear(SIZE, SIZE), torch.nn.ReLU(), torch.nn.Linear(SIZE, SIZE))
        self.opt = torch.optim.Adam(self.model.parameters())
        self.model(torch.ones(1, SIZE)).sum().backward()
        self.opt.step()
        self.others = [
            *foreign.safetensors_seeds(),
            *foreign.array_seeds(),
            *map(torch_file, foreign.torch_values()),
            *foreign.jld2_seeds(),
            *foreign.hdf5_seeds(),
        ]
        """Files of every other format."""

    def state(self) -> dict[str, Any]:
        return {"model": self.model, "opt": self.opt, "n": 1, "text": "x", "tree": {"a": [1, (2.5, None)]}}


def torch_file(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def bson(bench: Bench) -> None:
    path = bench.folder / "m.bson"
    holdfast.save(path, bench.state())
    for mmap in (True, False):
        values = holdfast.load(path, mmap=mmap)
        values["model"](torch.ones(1, SIZE))
    holdfast.load(path, "n")
    holdfast.restore(path, model=bench.model, opt=bench.opt)
    holdfast.verify(path)
    str(holdfast.inspect(path))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(["show", "--values", str(path)], prog_name="holdfast")


def formats(bench: Bench) -> None:
    for data in bench.others:
        foreign.through(data)
    weights = {name: tensor.clone() for name, tensor in bench.model.state_dict().items()}
    for ending in (".safetensors", ".npz"):
        path = bench.folder / f"w{ending}"
        holdfast.save(path, weights)
        holdfast.load(path)
        with holdfast.safetensors.safe_open(path, framework="pt") as opened:
            opened.get_tensors()


def series(bench: Bench) -> None:
    with Series(bench.folder / "run", every_steps=1, background=True) as run:
        first = run.track(model=bench.model, opt=bench.opt).resume().step
        for step in range(first, first + STEPS):
            run.step(step, loss=1.0)
    if first + STEPS >= RUN:
        shutil.rmtree(bench.folder / "run")


class Unknown:
    """A class that no file may build."""


def refused(bench: Bench) -> None:
    path = bench.folder / "bad.bson"
    holdfast.save(path, value=Unknown())
    whole = path.read_bytes()
    with contextlib.suppress(HoldfastError):
        holdfast.load(path)
    for data in (whole, *bench.others):
        foreign.through(data[: bench.choose.randrange(len(data))])
    damaged = bytearray(whole)
    damaged[bench.choose.randrange(len(damaged))] ^= 1 << bench.choose.randrange(8)
    foreign.through(bytes(damaged))
    with contextlib.suppress(HoldfastError):
        holdfast.save(path, value=[lambda: None])


VARIANTS: Final[Mapping[str, Callable[[Bench], None]]] = {
    "bson": bson,
    "formats": formats,
    "series": series,
    "refused": refused,
}


def run(budget: Budget) -> Tally:
    """As many rounds as the budget has, each of everything."""
    tally, measures = Tally(), Measures()
    tally.counts["rounds"] = 0
    works = [VARIANTS[name] for name in budget.variants or VARIANTS]
    with tempfile.TemporaryDirectory(
        prefix="soak-steady-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None
    ) as place:
        bench = Bench(Path(place), budget.random)
        for _ in budget:
            for work in works:
                work(bench)
            measures.add()
            tally.counts["rounds"] += 1
    measures.tell(tally)
    return tally
