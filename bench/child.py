"""``python -m bench.child ROW ROUNDS SCALE FILE [FOLDER]``: one row in a process of its own, its figures as JSON in FILE.

A process for each row: what one row leaves behind (memory, threads, imported libraries) does not reach the next.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from bench import imports, measure, memory
from bench.figures import Result
from bench.rows import ROWS, Row

ROOT = Path(__file__).parents[1]

Means = Callable[[Row, int, str | None, float], Result]


def stall(row: Row, rounds: int, folder: str | None, scale: float) -> Result:
    """The seconds that the training loop is held; see stall.py, which has its own states and ways."""
    if find_spec("bench.stall") is None:
        return Result(row.name, notes=["bench/stall.py is not there: left out"])
    if scale < 1:
        return Result(row.name, notes=["has only its full size: left out"])
    from bench import stall as stalled

    found = stalled.measure("many" if row.name.endswith("many") else "large", rounds, folder)
    result = Result(row.name, {way: held.step for way, held in found.items()})
    for way, held in found.items():
        if median(held.next) > 0.001:
            result.notes.append(f"{way}: an optimiser's step that comes at once waits {median(held.next):.3f} s more")
    return result


MEANS: dict[str, Means] = {
    "save": measure.measure,
    "load": measure.measure,
    "memory": memory.measure,
    "import": imports.measure,
    "stall": stall,
}


def apart(row: str, rounds: int, scale: float, folder: str | None) -> Result:
    """Measure ``row`` in a child process. Raises CalledProcessError when it fails; it has said why by then."""
    with tempfile.TemporaryDirectory() as home:
        answer = Path(home) / "answer.json"
        words = [row, str(rounds), str(scale), str(answer), *([folder] if folder else [])]
        subprocess.run([sys.executable, "-W", "ignore", "-m", "bench.child", *words], check=True, cwd=ROOT)
        return Result(**json.loads(answer.read_text()))


def main(name: str, rounds: str, scale: str, answer: str, folder: str | None = None) -> None:
    row = ROWS[name]
    result = MEANS[row.how](row, int(rounds), folder, float(scale))
    Path(answer).write_text(json.dumps(asdict(result)))


if __name__ == "__main__":
    main(*sys.argv[1:])
