"""Time against size: bytes, number of arrays, number of values, depth.

Strategy: each size is saved (durable) and loaded (verified) in this process, smallest first, the quick ones several
times and the best taken: growth asks for the machine's speed, not for its mood. What is linear lies on a line of
slope 1 once the fixed cost of a file (a few milliseconds, the syncs) no longer shows.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import holdfast
from bench.cache import settle
from bench.figures import exponents
from bench.measure import progress
from bench.states import equal

GIB = 1 << 30
MOST, ENOUGH = 3, 2.0  # times, and seconds after which there is no further time
Growth = dict[str, dict[str, list[tuple[float, float]]]]


@dataclass(frozen=True)
class Kind:
    """One way to grow: the state of each size, and the sizes."""

    name: str
    state: Callable[[int], Any]
    sizes: tuple[int, ...]


def of_bytes(size: int) -> Any:
    """64 arrays, ``size`` bytes in all."""
    each = max(1, size // 64 // 8)
    return {f"a{i}": np.arange(i, i + each) for i in range(64)}


def of_arrays(count: int) -> Any:
    """``count`` arrays of 4 KiB."""
    return {f"a{i}": np.full(512, i) for i in range(count)}


def of_values(count: int) -> Any:
    """Records of four named scalars of three kinds, ``count`` scalars in all."""
    return {"v": [{"step": i, "lr": i / 3, "name": f"n{i}", "size": -i} for i in range(count // 4)]}


def of_depth(depth: int) -> Any:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return {"v": value}


KINDS = (
    Kind("bytes", of_bytes, (1 << 20, 1 << 23, 1 << 26, 1 << 28, GIB, 5 * GIB)),
    Kind("arrays of 4 KiB", of_arrays, (100, 1_000, 10_000, 100_000)),
    Kind("values", of_values, (1_000, 10_000, 100_000, 1_000_000, 4_000_000)),
    Kind("depth", of_depth, (10, 100, 250, 500, 1_000, 10_000, 100_000)),
)


def measure(folder: str | None, scale: float) -> Growth:
    """Seconds by kind, work and size. Raises AssertionError when something else comes back."""
    found: Growth = {}
    with tempfile.TemporaryDirectory(dir=folder, prefix="holdfast-bench-") as home:
        path = os.path.join(home, "m.bson")
        for kind in KINDS:
            done: dict[str, list[tuple[float, float]]] = {"save": [], "load": []}
            for size in dict.fromkeys(max(64, round(size * scale)) for size in kind.sizes):
                progress(f"growth: {kind.name}, {size:,}")
                state = kind.state(size)
                times: list[tuple[float, float]] = []
                while not times or (len(times) < MOST and sum(map(sum, times)) < ENOUGH):
                    times.append(once(path, state, check=not times))
                done["save"].append((size, min(saved for saved, _ in times)))
                done["load"].append((size, min(loaded for _, loaded in times)))
                del state
            found[kind.name] = done
    return found


def once(path: str, state: Any, *, check: bool) -> tuple[float, float]:
    """Seconds of a save to a path that is not there, and of a load from the page cache."""
    settle()
    start = time.perf_counter()
    holdfast.save(path, state)
    saved = time.perf_counter() - start
    settle()
    start = time.perf_counter()
    loaded = holdfast.load(path)
    took = time.perf_counter() - start
    os.unlink(path)
    assert not check or same(loaded, state), "not what was saved"
    return saved, took


def same(loaded: Any, state: Any) -> bool:
    """As ``equal``, but lists in lists are walked, not recursed into."""
    a, b = loaded.get("v"), state.get("v")
    while type(a) is list and type(b) is list and len(a) == len(b) == 1:
        a, b = a[0], b[0]
    return equal(a, b) and (a is not None or equal(loaded, state))


def report(found: Growth, command: str, machine: list[str], folder: Path | None) -> None:
    """The table on the terminal; with ``folder``, growth.md and growth.svg there."""
    text = table(found)
    print(text)
    if folder is not None:
        from bench.plot import draw_growth

        draw_growth(found, folder / "growth.svg")
        head = [
            "# Growth",
            "",
            "Seconds by size. The exponent is that of the step from the size above: 1 is linear, 2 quadratic, below 1 the",
            "fixed cost still shows. [README.md](README.md) says how it was measured.",
            "",
            "![time against size](growth.svg)",
            "",
            f"Made by `{command}` on:",
            "",
            *(f"- {sentence}" for sentence in machine),
            "",
            "",
        ]
        (folder / "growth.md").write_text("\n".join(head) + text, encoding="utf-8")


def table(found: Growth) -> str:
    lines = []
    for kind, done in found.items():
        lines += [f"| {kind} | save | exponent | load | exponent |", "|---:|---:|---:|---:|---:|"]
        sizes = [size for size, _ in done["save"]]
        columns = []
        for points in done.values():
            seconds = [each for _, each in points]
            powers = ["", *(f"{power:.2f}" for power in exponents(sizes, seconds))]
            columns += [[f"{each:.4f}" for each in seconds], powers]
        lines += [f"| {size:,} | {' | '.join(row)} |" for size, *row in zip(sizes, *columns, strict=True)]
        lines.append("")
    return "\n".join(lines)
