"""Fault points: every system call of one save fails, in each way in which it can, and so does every call of a checkpoint.

Strategy: a scene is an act (one ``save``, one ``Series.step``) in a folder with something old in it. Its calls are listed
once by strace; each call and each fault are a point. A point is tried in a copy of the folder by a forked child (inject.py).
Then whoever comes next looks: there is the old state or the new one, whole, and the new one if the child was told so; an
error says the truth; no descriptor and no thread is left; and the next save works and leaves nothing behind.
"""

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from holdfast import load, save, verify
from holdfast.checkpoint import Series
from holdfast.errors import HoldfastError
from holdfast.storage import system, way, write
from soak.campaign import Budget, Tally
from soak.inject import CALLS, MARK, Act, Outcome, Point, acted, calls, missing
from soak.kills import MEMORY

ERRORS: Final = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EACCES", "EROFS", "ESTALE", "ENOMEM")
FAULTS: Final = (*(f"error={name}" for name in ERRORS), "signal=KILL")
SPARED: Final = frozenset({"mmap"})
"""Memory is no disk: ``start`` of Python's threads waits for ever when the new thread's first frame finds no memory."""
SHORT: Final = "short"
"""A write that takes half of what it is given. strace cannot do that, so it is done where Holdfast calls the system."""
OLD, NEW, NEXT = 1, 2, 3
"""Every number in a state."""
SAYS: Final = {"what was there before is unchanged": OLD, "is saved and whole": NEW}
"""What an error may say, and what there must be then."""


class Scene(Protocol):
    """What is saved, and how it is looked at."""

    @property
    def direct(self) -> bool:
        """Whether it goes around the page cache."""
        ...

    def begin(self, folder: Path) -> None:
        """Put the old state into an empty folder."""

    def prepare(self, folder: Path) -> Act:
        """In the child: all but the act itself."""
        ...

    def found(self, folder: Path) -> int:
        """The number in the folder, 0 where there is nothing. Raises when it is torn."""
        ...

    def go_on(self, folder: Path) -> set[str]:
        """Save the next state; gives the names that should not be there then."""
        ...


@dataclass(frozen=True)
class File:
    """One ``save`` of a small file, or of one that goes around the page cache."""

    old: bool = True
    link: bool = False
    direct: bool = False
    size: int = 500  # numbers in each of two arrays

    def values(self, number: int) -> dict[str, np.ndarray]:
        return {f"w{index}": np.full(self.size, float(number)) for index in range(2)}

    def path(self, folder: Path) -> Path:
        return folder / ("link" if self.link else "m.bson")

    def begin(self, folder: Path) -> None:
        if self.link:
            (folder / "link").symlink_to("m.bson")
        if self.old:
            save(folder / "m.bson", self.values(OLD))

    def prepare(self, folder: Path) -> Act:
        path, values = self.path(folder), self.values(NEW)
        return lambda: save(path, values)

    def found(self, folder: Path) -> int:
        path = self.path(folder)
        if not path.exists():
            return 0
        verify(path)
        return the_number(load(path, mmap=False).values())

    def go_on(self, folder: Path) -> set[str]:
        save(self.path(folder), self.values(NEXT))
        assert self.found(folder) == NEXT
        return set(os.listdir(folder)) - {"m.bson", self.path(folder).name}


@dataclass(frozen=True)
class Step:
    """One step of a ``Series``, which saves a checkpoint and lets the oldest go."""

    background: bool
    direct: bool = False
    size: int = 500

    def series(self, folder: Path, **wishes: Any) -> tuple[Series, np.ndarray]:
        weights = np.full(self.size, 0.0)
        series = Series(folder, name="run", every_steps=1, keep_last=2, **wishes)
        series.track(weights=weights).resume()
        return series, weights

    def begin(self, folder: Path) -> None:
        series, weights = self.series(folder, background=False)
        with series:
            for step in range(OLD + 1):
                weights.fill(step)
                series.step(step)

    def prepare(self, folder: Path) -> Act:
        series, weights = self.series(folder, background=self.background)
        weights.fill(NEW)

        def act() -> None:
            series.step(NEW)
            series.wait()

        return act

    def found(self, folder: Path) -> int:
        for path in folder.glob("*.bson"):
            verify(path)
        series, weights = self.series(folder, readonly=True)
        series.close()
        return the_number([weights])

    def go_on(self, folder: Path) -> set[str]:
        series, weights = self.series(folder, background=False)
        with series:
            weights.fill(NEXT)
            series.step(NEXT)
        assert self.found(folder) == NEXT
        names = set(os.listdir(folder))
        whole = {name for name in names if name.endswith(".bson") and not name.startswith(".")}
        return names - whole - {".series.lock"} | (whole if len(whole) > 2 else set())


VARIANTS: Final[Mapping[str, Scene]] = {
    "new": File(old=False),
    "old": File(),
    "link": File(link=True),
    "direct": File(direct=True, size=65536),
    "step": Step(background=False),
    "background": Step(background=True),
}


def the_number(arrays: Any) -> int:
    """The number that all arrays hold. Raises when they hold several."""
    numbers = {float(one) for array in arrays for one in (array.min(), array.max())}
    if len(numbers) != 1:
        raise ValueError(f"it mixes {sorted(numbers)}")
    return int(numbers.pop())


# -- the sweep --------------------------------------------------------------------------------------------------------


def run(budget: Budget) -> Tally:
    """Try the points of the scenes, those of all scenes mixed; begins again when all were tried."""
    tally = Tally()
    tally.counts.update({"fault points": 0, "errors": 0, "done all the same": 0, "kills": 0, "not reached": 0})
    tally.wrong.update({"torn": 0, "lost": 0, "untrue": 0, "leaked": 0, "littered": 0, "hung": 0})
    if why := missing():
        tally.fail("not run", why)
        return tally
    with contextlib.ExitStack() as stack:
        sweeps = [stack.enter_context(sweep(name, tally)) for name in budget.variants or tuple(VARIANTS)]
        points = [(one, point) for one in sweeps for point in one.points()]
        budget.random.shuffle(points)
        for number in budget:
            one, point = points[number % len(points)]
            one.attempt(point)
    return tally


@contextlib.contextmanager
def sweep(name: str, tally: Tally) -> Iterator["Sweep"]:
    """A sweep over a scene, in a folder of its own that goes with it."""
    scene = VARIANTS[name]
    # What goes around the cache goes to a disk.
    memory = None if scene.direct or not os.access(MEMORY, os.W_OK) else MEMORY
    with tempfile.TemporaryDirectory(prefix="soak-faults-", dir=memory) as home:
        yield Sweep(name, scene, Path(home), tally)


class Sweep:
    """The points of one scene, one after the other."""

    def __init__(self, name: str, scene: Scene, home: Path, tally: Tally) -> None:
        self.name, self.scene, self.tally = name, scene, tally
        self.template, self.folder, self.log = home / "template", home / "folder", home / "log"
        self.template.mkdir()
        with around(self.scene.direct):
            scene.begin(self.template)
            self.clear()
            scene.go_on(self.folder)  # what is imported late is imported now

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.folder, symlinks=True)

    def points(self) -> list[Point]:
        """Every call of the act with every fault."""
        self.clear()
        with around(self.scene.direct):
            outcome = acted(lambda: self.scene.prepare(self.folder), [f"trace={CALLS},{MARK}"], self.log)
        made = calls(outcome.log)
        if outcome.kinds or not made:
            raise RuntimeError(f"{self.name} does not work without a fault: {outcome}")
        writes = [call for call in made if call[0] in ("write", "writev", "pwrite64")]
        return [
            *(Point(call, number, fault) for call, number in made if call not in SPARED for fault in FAULTS),
            *(Point("write", number, SHORT) for number in range(1, len(writes) + 1)),
        ]

    def attempt(self, point: Point) -> None:
        """Try a point and judge what came of it."""
        self.clear()
        with around(self.scene.direct), warnings.catch_warnings():
            warnings.simplefilter("error")  # of a damaged checkpoint there is a warning
            try:
                self.judge(point, self.outcome(point))
            except TimeoutError as error:
                self.fail("hung", point, error)
            except (HoldfastError, OSError, ValueError, AssertionError, Warning) as error:
                self.fail("torn", point, error)

    def outcome(self, point: Point) -> Outcome:
        if point.fault == SHORT:
            return acted(lambda: shortened(self.scene.prepare(self.folder), point.number), [], self.log)
        options = [f"trace={point.call},{MARK}", point.order]
        return acted(lambda: self.scene.prepare(self.folder), options, self.log)

    def judge(self, point: Point, outcome: Outcome) -> None:
        reached = point.fault == SHORT or outcome.injected > 0
        self.tally.counts["fault points"] += reached
        self.tally.counts[kind_of(outcome) if reached else "not reached"] += 1
        found = self.scene.found(self.folder)
        old = self.scene.found(self.template)
        if found not in (old, NEW):
            self.fail("torn", point, found)
        if found != NEW and not outcome.killed and (not outcome.kinds or "DurabilityError" in outcome.kinds):
            self.fail("lost", point, outcome.text or "it was told to be saved")
        if "OSError" in outcome.kinds and "DurabilityError" not in outcome.kinds:
            there = next((old if it == OLD else it for words, it in SAYS.items() if words in outcome.text), None)
            if found != there or str(self.folder) not in outcome.text:
                self.fail("untrue", point, f"{outcome.kinds[0]}: {outcome.text}")
        elif outcome.kinds and outcome.kinds[0] not in ("DurabilityError", "MemoryError"):
            self.fail("untrue", point, f"{outcome.kinds[0]}: {outcome.text}")
        # A call that strace answered was not made: what should have been closed by it is open.
        if outcome.leaked > (outcome.injected if point.call == "close" else 0):
            self.fail("leaked", point, outcome.leaked)
        if left := self.scene.go_on(self.folder):
            self.fail("littered", point, sorted(left))

    def fail(self, what: str, point: Point, why: object) -> None:
        self.tally.fail(what, f"{self.name}, {point}: {why}")


def kind_of(outcome: Outcome) -> str:
    if outcome.killed:
        return "kills"
    return "errors" if outcome.kinds else "done all the same"


@contextlib.contextmanager
def around(direct: bool) -> Iterator[None]:
    """Let short arrays go around the page cache, too, in short pieces."""
    limits: list[tuple[Any, str, int]] = [(way, "LONG", 4096), (way, "MUCH", 4096), (write, "PIECE", 1 << 17)]
    before = [getattr(module, name) for module, name, _ in limits]
    try:
        for module, name, limit in limits if direct else ():
            setattr(module, name, limit)
        yield
    finally:
        for (module, name, _), limit in zip(limits, before, strict=True):
            setattr(module, name, limit)


def shortened(act: Act, number: int) -> Act:
    """``act`` when the ``number``-th write of this process falls short. For a child: it is not undone."""
    left = iter(range(number - 1, -1, -1))

    def short(call: Callable[..., int], cut: Callable[[Any], Any]) -> Callable[..., int]:
        return lambda fd, data, *where: call(fd, cut(data) if next(left, -1) == 0 else data, *where)

    # A disk takes whole blocks when the page cache is left out.
    system.write = short(system.write, lambda batch: [batch[0][: max(1, batch[0].nbytes // 2)]])
    system.write_at = short(system.write_at, lambda view: view[: view.nbytes // 2 // write.BLOCK * write.BLOCK or 1])
    return act
