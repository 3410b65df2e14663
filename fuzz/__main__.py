"""``python -m fuzz [TARGET] [--runs N] [--seconds S] [--jobs J] [--seed S] [--plain]``

Prints executions, executions a second and coverage. Ends with 0 when nothing escaped, 1 when something did.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOREIGN: Final = ("safetensors", "arrays", "torch", "jld2", "hdf5")
"""Those of other formats."""
NAMES: Final = ("read", "agree", "load", "unchecked", "look", "structure", *FOREIGN)
CHOOSING: Final = ("structure",)
"""Those whose bytes only seed a generator: there is nothing that coverage could guide."""
ENDED: Final = ROOT / "fuzz" / "ended"
COVERED: Final = re.compile(rb"cov: (\d+) ft: (\d+)")


def run(
    target: str, *, runs: int = 0, seconds: float = 0, jobs: int = 1, seed: int = 1, plain: bool = False
) -> dict[str, Any]:
    """Run ``target`` in ``jobs`` processes with seeds of their own, ``runs`` executions in all, or so many seconds each."""
    way = "plain" if plain or target in CHOOSING or find_spec("atheris") is None else "guided"
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        children = [
            child(target, -(-runs // jobs), seconds, seed + job, Path(place) / str(job), way) for job in range(jobs)
        ]
        outputs = [process.communicate()[1] for process in children]
        figures = [read(Path(place) / str(job)) for job in range(jobs)]
        kept = [keep(path, target) for path in sorted(Path(place).glob("*/*-*"))]
    broken = [
        output.decode(errors="replace")[-2000:]
        for process, output in zip(children, outputs, strict=True)
        if process.returncode
    ]
    covered = [tuple(map(int, found[-1])) for output in outputs if (found := COVERED.findall(output))]
    count, spent = sum(one["executions"] for one in figures), time.monotonic() - started
    return {
        "target": target,
        "way": way,
        "executions": count,
        "seconds": round(spent, 1),
        "executions/s": round(sum(one["executions"] / max(one["seconds"], 1e-9) for one in figures)),
        "edges": max((edges for edges, _ in covered), default=None),
        "features": max((features for _, features in covered), default=None),
        "escapes": {place: text for one in figures for place, text in one["escapes"].items()},
        "broken": [*broken, *kept],
    }


def child(target: str, runs: int, seconds: float, seed: int, place: Path, way: str) -> "subprocess.Popen[bytes]":
    place.mkdir()
    (place / "corpus").mkdir()
    line = [
        sys.executable,
        "-m",
        "fuzz.drive",
        target,
        str(runs),
        str(seconds),
        str(seed),
        str(place / "told"),
        str(place / "corpus"),
        way,
    ]
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    return subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def keep(path: Path, target: str) -> str:
    """Keep an input that ended its process, where it is not replayed: it would end the tests, too."""
    ENDED.mkdir(exist_ok=True)
    shutil.copyfile(path, ENDED / f"{target}-{path.name}")
    return f"its input is {ENDED / f'{target}-{path.name}'}"


def read(place: Path) -> dict[str, Any]:
    told = place / "told"
    return json.loads(told.read_text()) if told.is_file() else {"executions": 0, "seconds": 0, "escapes": {}}  # type: ignore[no-any-return]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Try bytes and documents by the million.")
    parser.add_argument("target", choices=NAMES, nargs="?", help="all of them, one after the other, when none is given")
    parser.add_argument(
        "--runs", type=int, default=0, help="executions in all (10,000 when neither this nor --seconds is given)"
    )
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="plain mutation, without coverage")
    given = parser.parse_args()
    runs = given.runs or (0 if given.seconds else 10_000)
    bad = False
    for name in [given.target] if given.target else NAMES:
        figures = run(name, runs=runs, seconds=given.seconds, jobs=given.jobs, seed=given.seed, plain=given.plain)
        broken, escapes = figures.pop("broken"), figures.pop("escapes")
        print(
            ", ".join(
                f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in figures.items()
            ),
            f", escapes {len(escapes)}",
            sep="",
            flush=True,
        )
        for place, text in escapes.items():
            print(f"  {place}: {text}")
        for output in broken:
            print(output, file=sys.stderr)
        bad = bad or bool(escapes or broken)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
