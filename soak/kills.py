"""Kill storm: whenever a run dies, it goes on from the newest checkpoint that it was told is safe, or from a newer one.

Strategy: the parent forks a child for each kill, so that nothing is imported twice. The child goes on from the folder and
saves at every step, a file of about a megabyte in which every number is that of the step; through a pipe it says that it
has begun, and then each step that is on the disk for certain. The parent kills it at a random moment and resumes: the step
it finds is that one or a later one, wholly, and every file that is left is whole. After a save nothing lies about.

The folder is in memory, where there is such: what a kill leaves behind does not depend on the disk, and how far a child
gets would.
"""

import os
import shutil
import signal
import struct
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from holdfast import verify
from holdfast.checkpoint import Series
from holdfast.errors import HoldfastError
from soak.campaign import Budget, Tally

State = dict[str, Any]

ARRAYS, SIZE = 4, 32768
"""Arrays of a state, and the numbers (of 8 bytes) in each."""
TOLDS: Final = 3
"""What a child has said at most before its end is near: that it has begun, and steps. A child that has said nothing yet
starts, or resumes."""
LONGEST: Final = 0.02
"""Seconds until its end then, at most."""
SAVED: Final = 0.5
"""The share of kills after which the parent saves, too, and looks for litter."""
SYNC: Final = 3
"""In the background, one of so many steps waits for the disk, and is then told."""
KEPT: Final = 3
"""Checkpoints that a Series keeps when it is not told otherwise."""
BEGUN: Final = -1
"""What a child says before its first step."""
MEMORY: Final = Path("/dev/shm")
TOLD: Final = struct.Struct("<q")


# -- what is saved: every number in it is that of the step ------------------------------------------------------------


def arrays() -> State:
    return {f"w{number}": np.full(SIZE, -1.0) for number in range(ARRAYS)}


def fill_arrays(state: State, step: int) -> None:
    for array in state.values():
        array.fill(step)


def trained() -> State:
    """A module and an optimiser, whose ``step`` writes the number of the step: what may be copied while it rests."""
    import torch

    module = torch.nn.ParameterList(torch.full((SIZE,), -1.0, dtype=torch.float64) for _ in range(ARRAYS))
    # p <- p - 1 * gradient: with a gradient of p - step, p is the number of the step.
    return {"model": module, "opt": torch.optim.SGD(module.parameters(), lr=1.0)}


def fill_trained(state: State, step: int) -> None:
    for parameter in state["model"]:
        parameter.grad = parameter.detach() - step
    state["opt"].step()


def numbers(state: State) -> set[float]:
    """The numbers in a state; two or more: it mixes steps."""
    parts = [p.detach() for p in state["model"]] if "model" in state else state.values()
    return {float(one) for part in parts for one in (part.min(), part.max())}


Variant = tuple[Callable[[], State], Callable[[State, int], None], Mapping[str, Any]]

VARIANTS: Final[Mapping[str, Variant]] = {
    "background": (arrays, fill_arrays, {"background": True}),
    "at-once": (arrays, fill_arrays, {"background": False}),
    "overlap": (trained, fill_trained, {"background": True, "snapshot": "overlap"}),
}
"""Name -> a new state, how it becomes that of a step, and the wishes to Series."""


# -- the storm --------------------------------------------------------------------------------------------------------


def run(budget: Budget) -> Tally:
    """Kill as often as the budget has it, the variants in turn; stops at the first failure, whose folder stays."""
    tally = Tally()
    tally.counts.update({"kills": 0, "within a write": 0, "acknowledged saves": 0, "newer than acknowledged": 0})
    tally.wrong.update({"lost": 0, "torn": 0, "littered": 0})
    home = Path(tempfile.mkdtemp(prefix="soak-kills-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    names = budget.variants or tuple(VARIANTS)
    storms = {name: Storm(home / name, VARIANTS[name], budget, tally) for name in names}
    for number in budget:
        name = names[number % len(names)]
        storms[name].kill()
        if not tally.well:
            tally.failures.append(f"kill {number} ({name}, seed {budget.seed}); the folder is {storms[name].folder}")
            return tally
    shutil.rmtree(home)
    return tally


class Storm:
    """One run that is killed again and again."""

    ends = "kills"  # what its children's ends are counted as

    def __init__(self, folder: Path, variant: Variant, budget: Budget, tally: Tally) -> None:
        make, self.fill, self.wishes = variant
        self.folder = folder
        self.random = budget.random
        self.tally = tally
        self.last = -1  # the step of the newest checkpoint
        self.state = make()

    def kill(self) -> None:
        """One child and its end; then look at every file, go on, and now and then save."""
        told = self.life()
        littered = any("holdfast" in name for name in self.files())
        self.tally.counts.update({self.ends: 1, "within a write": littered, "acknowledged saves": len(told)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a damaged file there is a warning
            try:
                for name in self.checkpoints():
                    verify(self.folder / name)
                with Series(self.folder, background=False) as series:
                    self.go_on(series, safe=told[-1] if told else self.last)
            except (HoldfastError, OSError, Warning) as error:
                self.tally.fail("torn", f"{type(error).__name__}: {error}")

    def go_on(self, series: Series, safe: int) -> None:
        """Resume as the next process would."""
        self.last = series.track(**self.state).resume().step - 1
        self.tally.counts["newer than acknowledged"] += self.last > safe
        if self.last < safe:
            self.tally.fail("lost", f"step {safe} was safe, and the run goes on from {self.last}")
        if self.last >= 0 and numbers(self.state) != {float(self.last)}:
            self.tally.fail("torn", f"step {self.last} holds {sorted(numbers(self.state))}")
        if self.random.random() < SAVED:
            self.last += 1
            self.fill(self.state, self.last)
            series.save(self.last)
            left = set(self.files()) - {".series.lock"} - set(self.checkpoints())
            if left or len(list(self.checkpoints())) > KEPT:
                self.tally.fail("littered", f"after a save there is {self.files()}")

    def life(self) -> list[int]:
        """Fork a child, kill it, and give the steps that it said are safe."""
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            self.child(write)
        os.close(write)
        told = b""
        for _ in range(self.random.randint(0, TOLDS)):
            told += os.read(read, TOLD.size)
        time.sleep(self.random.uniform(0, LONGEST))
        status = self.end(child)
        with open(read, "rb") as pipe:
            told += pipe.read()
        if not os.WIFSIGNALED(status):
            self.tally.fail("lost", f"the child could not go on, and ended with {os.waitstatus_to_exitcode(status)}")
        steps = [step for (step,) in TOLD.iter_unpack(told)]
        return [step for step in steps if step != BEGUN]

    def end(self, child: int) -> int:
        """End a child at once; gives the status with which it ended."""
        os.kill(child, signal.SIGKILL)
        return os.waitpid(child, 0)[1]

    def child(self, pipe: int) -> NoReturn:
        """Save at every step until somebody ends this."""
        try:
            series = Series(self.folder, every_steps=1, **self.wishes)
            step = series.track(**self.state).resume().step
            os.write(pipe, TOLD.pack(BEGUN))
            while True:
                self.fill(self.state, step)
                series.step(step)
                waits = self.wishes["background"] and step % SYNC == 0
                if waits:
                    series.wait()
                if waits or not self.wishes["background"]:
                    os.write(pipe, TOLD.pack(step))
                step += 1
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def files(self) -> list[str]:
        return sorted(os.listdir(self.folder)) if self.folder.is_dir() else []

    def checkpoints(self) -> Iterator[str]:
        return (name for name in self.files() if name.endswith(".bson") and not name.startswith("."))
