"""How long an import takes, each in a process of its own, nothing else imported before."""

import subprocess
import sys
from importlib.util import find_spec

from bench.figures import Result
from bench.measure import progress, rotated
from bench.rows import Row

CODE = "from time import perf_counter as now; start = now(); import {}; print(now() - start)"

MODULES = ("holdfast", "safetensors", "safetensors.numpy", "numpy", "torch")
"""numpy alone, for it is most of ours; torch, for what its users wait for anyway."""


def measure(row: Row, rounds: int, folder: str | None, scale: float) -> Result:
    result = Result(row.name)
    for module in MODULES:
        if find_spec(module.partition(".")[0]) is None:
            result.notes.append(f"{module} is left out: not installed")
        else:
            result.figures[module] = []
    for turn in range(rounds + 1):  # the first finds the files on the disk
        for module in rotated(list(result.figures), turn):
            progress(f"{row.name}: round {turn} of {rounds}, {module}")
            done = subprocess.run(
                [sys.executable, "-c", CODE.format(module)], capture_output=True, text=True, check=True
            )
            if turn:
                result.figures[module].append(float(done.stdout))
    return result
