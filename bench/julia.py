"""BSON.jl in a real Julia, where there is one: its own process, its own clock.

Which Julia is told as to the tests (tests/julia/README.md): HOLDFAST_JULIA is the command line, the first of several, and
HOLDFAST_JULIA_ROOT the folder that is "/" for it. Its files stay under that folder's /tmp.
"""

import atexit
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import holdfast
from bench.contender import Contender
from bench.states import State

ROOT = Path(os.environ.get("HOLDFAST_JULIA_ROOT", "/"))


class Clock:
    """A Julia that waits for commands."""

    def __init__(self, command: list[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=ROOT / "tmp"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        script = shutil.copy(Path(__file__).with_name("clock.jl"), self.folder)
        self.process = subprocess.Popen(
            [*command, self.inside(Path(script))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.process.kill)

    def inside(self, path: Path) -> str:
        """How that Julia names a path."""
        return "/" + str(path.relative_to(ROOT))

    def ask(self, command: str, name: str) -> float:
        """The seconds that it took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command} {self.inside(self.folder / name)}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"Julia ended with {self.process.wait()} when told to {command} {name}")
        return float(answer)


def absent() -> str:
    line = os.environ.get("HOLDFAST_JULIA", "").split(";")[0]
    if not line.strip():
        return "HOLDFAST_JULIA does not name a Julia (tests/julia/README.md)"
    tried = subprocess.run([*shlex.split(line), "-e", "using BSON"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"{line} does not load BSON.jl: {tried.stderr.strip()[:200]}"


@cache
def clock() -> Clock:
    return Clock(shlex.split(os.environ["HOLDFAST_JULIA"].split(";")[0]))


def hand_over(state: State) -> State:
    """The arrays, column-major as Julia has them, to Julia's own memory."""
    with (clock().folder / "arrays").open("wb") as file:
        for array in state.values():
            file.write(np.array(array.shape[::-1], np.int64).tobytes())
            file.write(array)
    clock().ask("arrays", "arrays")
    (clock().folder / "arrays").unlink()
    return state


def save(path: str, state: State) -> tuple[float, None]:
    """Where Julia can see it; at ``path`` stands a link."""
    name = os.path.basename(path)
    seconds = clock().ask("save", name)
    if not os.path.islink(path):
        os.symlink(clock().folder / name, path)
    return seconds, None


def load(path: str) -> tuple[float, Path]:
    return clock().ask("load", os.path.basename(path)), Path(path)


def same(loaded: Path, state: State) -> bool:
    """What BSON.jl wrote, read by us, is the transpose of what Python has."""
    back = holdfast.load(str(loaded))
    return all(np.array_equal(back[f"a{i}"].T, array) for i, array in enumerate(state.values()))


bson_jl: Any = Contender("BSON.jl", save, load, absent=absent, prepare=hand_over, same=same, clocked=True)
