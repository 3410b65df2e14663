"""A disk that is full, at every 4 KiB of a save: the old file stays, the error says why, and the next save works.

Strategy: the scenes are those of faults.py, made larger, and act in this process. The disk is a file system in memory that
is filled until so many bytes are left; where that may not be mounted, and beside it, the system refuses files beyond a
size. A file system without ``fallocate`` finds out in the middle of a write, one with it before: both are tried.
"""

import contextlib
import errno
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.storage import system
from soak.campaign import Budget, Tally
from soak.faults import NEW, OLD, SAYS, File, Scene, Step, around
from soak.kills import MEMORY
from soak.volume import MIB, filled, memory, missing, private_mounts

GRAIN: Final = 4096
SIZE: Final = 8 * MIB
"""Bytes of the disk."""
NUMBERS: Final = 65536
"""Numbers of 8 bytes in an array: a file of two is one of 1 MiB."""
SCENES: Final[Mapping[str, Scene]] = {
    "cached": File(size=NUMBERS),
    "direct": File(size=NUMBERS, direct=True),
    "new": File(size=NUMBERS, old=False),
    "step": Step(background=False, size=2 * NUMBERS),
}
Limit = Callable[[Path, int], AbstractContextManager[None]]


@contextlib.contextmanager
def limited(folder: Path, size: int) -> Iterator[None]:
    """No file may be longer than ``size``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def nearly_full(folder: Path, free: int) -> AbstractContextManager[None]:
    """``free`` bytes are left."""
    return filled(folder.parent, free)


@dataclass(frozen=True)
class Variant:
    scene: Scene
    limit: Limit
    reserved: bool = True  # whether the file system knows fallocate


VARIANTS: Final[Mapping[str, Variant]] = {
    f"{name}-{which}{ending}": Variant(scene, limit, reserved)
    for which, limit in {"limit": limited, "disk": nearly_full}.items()
    for name, scene in SCENES.items()
    for ending, reserved in {"": True, "-midway": False}.items()
}


def run(budget: Budget) -> Tally:
    """Try every 4 KiB of each variant, all mixed; begins again when all are tried."""
    tally = Tally()
    tally.counts.update({"full disks": 0, "saves that fitted": 0})
    tally.wrong.update({"torn": 0, "untrue": 0, "littered": 0})
    names = budget.variants or tuple(VARIANTS)
    with contextlib.ExitStack() as stack:
        place = memory_of(stack)
        if place is None:
            names = tuple(name for name in names if VARIANTS[name].limit is limited)
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-full-")))
        if not names:
            tally.fail("not run", missing() or "")
            return tally
        points = [(name, size) for name in names for size in range(0, MIB + 4 * GRAIN, GRAIN)]
        budget.random.shuffle(points)
        for number in budget:
            name, size = points[number % len(points)]
            try:
                attempt(VARIANTS[name], place / "run", size, tally)
            except (HoldfastError, OSError, ValueError, AssertionError) as error:
                tally.fail("torn", f"{name} at {size:,}: {type(error).__name__}: {error}")
            if len(tally.failures) > 20:
                break
    return tally


def memory_of(stack: contextlib.ExitStack) -> Path | None:
    """A small disk, where one may be mounted."""
    if missing():
        return None
    private_mounts()
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-full-", dir=MEMORY)))
    return stack.enter_context(memory(home / "small", SIZE))


def attempt(variant: Variant, folder: Path, size: int, tally: Tally) -> None:
    """One save with so many bytes of room, and the next one with all."""
    scene = variant.scene
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with around(scene.direct):
        scene.begin(folder)
        before = scene.found(folder)
        error = failed(variant, folder, size)
        found = scene.found(folder)
        tally.counts["saves that fitted" if error is None else "full disks"] += 1
        where = f"{scene}, {size:,} bytes: {error}"
        if found != (NEW if error is None else before):
            tally.fail("torn", f"{found} in {where}")
        if error is not None and not is_plain(error):
            tally.fail("untrue", where)
        if left := [name for name in os.listdir(folder) if ".holdfast-" in name]:
            tally.fail("littered", f"{left} in {where}")
        if left := sorted(scene.go_on(folder)):
            tally.fail("littered", f"{left} after the next save in {where}")


def failed(variant: Variant, folder: Path, size: int) -> OSError | None:
    act, reserve = variant.scene.prepare(folder), system.reserve
    try:
        if not variant.reserved:
            system.reserve = lambda fd, size: None
        with variant.limit(folder, size):
            act()
    except OSError as error:
        return OSError(error.errno, error.strerror, error.filename)  # this one holds no frames, and so no Series
    finally:
        system.reserve = reserve
    return None


def is_plain(error: OSError) -> bool:
    """Whether it says that there is no room, and that the old file is there."""
    return error.errno in (errno.ENOSPC, errno.EFBIG) and any(text in str(error) for text in SAYS if SAYS[text] == OLD)
