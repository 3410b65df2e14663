"""Small runs for the tests of checkpoints: a state whose every array is filled with the number of its step."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import holdfast
from holdfast import load
from holdfast.checkpoint import Series
from reference import ROOT

SOURCE = Path(holdfast.__file__).parents[1]
HERE = Path(__file__).parent


def state(arrays: int = 3, size: int = 100) -> dict[str, np.ndarray]:
    return {f"w{number}": np.full(size, -1.0) for number in range(arrays)}


def run(series: Series, steps: int, tracked: dict[str, np.ndarray] | None = None, **metrics: Any) -> int:
    """Go on from where the run was to ``steps`` done; gives the first step that was run."""
    tracked = state() if tracked is None else tracked
    start = series.track(**tracked).resume()
    for step in range(start.step, steps):
        fill(tracked, step)
        series.step(step, **({"loss": 1 / (step + 1)} | metrics))
    return start.step


def fill(tracked: dict[str, np.ndarray], step: int) -> None:
    for array in tracked.values():
        array[...] = step


def step_in(path: os.PathLike[str] | str) -> int:
    """The step that a file holds. Fails when it mixes two."""
    values = load(path, mmap=False)
    header = values.pop("_series")
    found = {float(number) for array in values.values() for number in array}
    assert found == {header["position"]["step"] - 1}, (path, found, header["position"])
    return header["position"]["step"] - 1


def steps_on_disk(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, each of which is whole."""
    return [step_in(path) for path in sorted(folder.glob("*.bson"))]


def names(folder: Path) -> list[str]:
    """What there is in a folder, but for the lock."""
    return sorted(name for name in os.listdir(folder) if name != ".series.lock")


def python(
    script: str, *arguments: object, before: Sequence[str] = (), timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter that finds this module."""
    command = [*before, sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=timeout, check=False)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HERE), str(ROOT)])}


@contextmanager
def started(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The same, while it runs; its input and output are pipes."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment())
    with process:
        try:
            yield process
        finally:
            process.kill()


def campaign(name: str, *options: object, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a campaign of ``soak/`` in a process of its own; the lines ``before`` are run there first."""
    lines = ["import runpy, sys", before, f"sys.argv = ['soak', {name!r}, *sys.argv[1:]]"]
    script = "\n".join([*lines, "runpy.run_module('soak', run_name='__main__')"])
    return python(script, *options, timeout=300)


IN_PLACE = """
from holdfast.storage import local
def publish(path, buffers, *, complete=lambda: None, **options):
    for one in buffers:
        if isinstance(one, local.Watched):
            one.seen(memoryview(one.data))
    complete()
    with open(path, "wb", buffering=0) as file:
        for one in buffers:
            file.write(one.data if isinstance(one, local.Watched) else one)
local.publish = publish
"""
"""Lines that make ``save`` write over the old file, which is not safe: for campaigns to notice."""


def counted(told: str) -> dict[str, int]:
    """What a campaign says that it has seen.

    >>> counted("1,000 kills, 2 saves; wrong: 0 lost; 5 s")["kills"]
    1000
    """
    return {what: int(count.replace(",", "")) for count, what in re.findall(r"([\d,]+) ([a-z ]+)", told)}


def damage(path: Path) -> None:
    """Change one byte in the middle of a file."""
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))
