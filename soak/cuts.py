"""Power cuts: what was told to be on the disk is on it when the power is back, and whole.

Strategy: the kill storm (kills.py) on file systems of our own (volume.py). A child saves in a loop and says each save that is
safe; it is frozen, for a file system that is shut down may tell it anything; the power is cut, the child is killed, and the
file system is mounted again, which replays its journal. Then whoever comes next looks, goes on and saves, as after a kill.

    ext4, xfs                one file that is saved again and again, through the page cache
    ext4-direct, xfs-direct  the same around it (O_DIRECT)
    ext4-series, xfs-series  the checkpoints of a Series
"""

import contextlib
import os
import signal
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from holdfast import load, save, verify
from holdfast.errors import HoldfastError
from soak.campaign import Budget, Tally
from soak.faults import around
from soak.kills import BEGUN, MEMORY, SAVED, TOLD, Storm, Variant, arrays, fill_arrays, numbers
from soak.volume import SIZES, Volume, missing, open_folder, private_mounts

AT_ONCE: Final[Variant] = (arrays, fill_arrays, {"background": False})
NAME: Final = "m.bson"


class Run(Storm):
    """A Series whose power is cut again and again."""

    ends = "cuts"
    direct = False

    def __init__(self, volume: Volume, name: str, *rest: Any) -> None:
        self.volume = volume
        super().__init__(volume.at / name, AT_ONCE, *rest)

    def end(self, child: int) -> int:
        os.kill(child, signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)
        self.volume.cut()
        status = super().end(child)
        self.volume.back()
        return status


class File(Run):
    """One file that is saved again and again, and whose power is cut."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.folder.mkdir()
        with open_folder(self.volume.at) as root:
            os.fsync(root)  # by itself: what is tried may forget to

    def kill(self) -> None:
        told = self.life()
        littered = self.files() not in ([], [NAME])
        self.tally.counts.update({self.ends: 1, "within a write": littered, "acknowledged saves": len(told)})
        try:
            self.look(safe=told[-1] if told else self.last)
        except (HoldfastError, OSError) as error:
            self.tally.fail("torn", f"{type(error).__name__}: {error}")

    def look(self, safe: int) -> None:
        """Load as whoever comes next would, and save now and then."""
        path = self.folder / NAME
        self.last = -1
        if path.exists():
            verify(path)
            found = numbers(load(path, mmap=False))
            if len(found) > 1:
                self.tally.fail("torn", f"the file holds {sorted(found)}")
            self.last = int(min(found))
        self.tally.counts["newer than acknowledged"] += self.last > safe
        if self.last < safe:
            self.tally.fail("lost", f"save {safe} was safe, and the file is that of {self.last}")
        if self.random.random() < SAVED:
            self.last += 1
            self.fill(self.state, self.last)
            save(path, self.state)
            if self.files() != [NAME]:
                self.tally.fail("littered", f"after a save there is {self.files()}")

    def child(self, pipe: int) -> NoReturn:
        number = self.last
        try:
            os.write(pipe, TOLD.pack(BEGUN))
            while True:
                number += 1
                self.fill(self.state, number)
                save(self.folder / NAME, self.state)
                os.write(pipe, TOLD.pack(number))
        except BaseException:
            traceback.print_exc()
        os._exit(1)


class Direct(File):
    """The same, and the file goes around the page cache."""

    direct = True


VARIANTS: Final[Mapping[str, type[Run]]] = {
    f"{kind}{ending}": storm
    for kind in SIZES
    for ending, storm in {"": File, "-direct": Direct, "-series": Run}.items()
}


def run(budget: Budget) -> Tally:
    """Cut the power as often as the budget has it, the variants in turn; stops at the first failure."""
    tally = Tally()
    tally.counts.update({"cuts": 0, "within a write": 0, "acknowledged saves": 0, "newer than acknowledged": 0})
    tally.wrong.update({"lost": 0, "torn": 0, "littered": 0})
    names = budget.variants or tuple(VARIANTS)
    if why := missing(*{name.split("-")[0] for name in names}):
        tally.fail("not run", why)
        return tally
    private_mounts()
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-cuts-", dir=MEMORY))
        storms = {}
        for name in names:
            home = Path(place, name)
            home.mkdir()
            volume = stack.enter_context(Volume(name.split("-")[0], home))
            storms[name] = VARIANTS[name](volume, "run", budget, tally)
        for number in budget:
            name = names[number % len(names)]
            with around(storms[name].direct):
                storms[name].kill()
            if not tally.well:
                tally.failures.append(f"cut {number} ({name}, seed {budget.seed})")
                break
    return tally
