"""``python -m bench [ROW …]``: measure Holdfast beside its peers; ``growth``: time against size; ``stages``: where it
goes."""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import growth, stages
from bench.child import apart
from bench.figures import Result
from bench.machine import describe
from bench.report import Run, show, write
from bench.rows import ROWS

HERE = Path(__file__).parent

FAILED = "not measured: it failed, and said why on the terminal"


def main(words: list[str]) -> int:
    arguments = understood(words)
    if arguments.list:
        for row in ROWS.values():
            print(f"{row.name:16} {row.title}")
        print(f"{'growth':16} time against bytes, arrays, values and depth: 1 KiB to 5 GiB, 100 to 100,000 arrays …")
        print(f"{'stages':16} where the time of a save and of a load goes")
        return 0
    machine, start = describe(arguments.folder), time.monotonic()
    command = shlex.join(["python", "-m", "bench", *words])
    if arguments.rows == ["growth"]:
        growth.report(growth.measure(arguments.folder, arguments.scale), command, machine, arguments.write)
        return 0
    if arguments.rows == ["stages"]:
        times = stages.measure(arguments.folder, arguments.scale, arguments.rounds)
        stages.report(times, command, machine, arguments.write)
        return 0
    results: list[Result] = []
    for result in measured(arguments.rows or list(ROWS), arguments):
        results.append(result)
        if arguments.write:  # after every row: what was measured is kept when the run is ended early
            write(Run(results, command, arguments.rounds, machine, time.monotonic() - start), arguments.write)
    show(results)
    return 1 if any(FAILED in result.notes for result in results) else 0


def measured(rows: list[str], arguments: argparse.Namespace) -> Iterator[Result]:
    """Each row's result; a row that fails has said why on the terminal, and the others go on."""
    for count, row in enumerate(rows, 1):
        start = time.monotonic()
        print(f"[{count}/{len(rows)}] {row}: {ROWS[row].title}", file=sys.stderr, flush=True)
        try:
            yield apart(row, arguments.rounds, arguments.scale, arguments.folder)
        except subprocess.CalledProcessError:
            yield Result(row, notes=[FAILED])
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(f"{clear}    {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def understood(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Holdfast beside its peers.")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help="which rows, see --list; all if none is named; or growth, or stages"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each row goes round (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes: 0.001 only shows that it runs")
    parser.add_argument("--folder", help="where to write, up to 8 GiB; the file system decides much of the result")
    parser.add_argument(
        "--write",
        nargs="?",
        type=Path,
        const=HERE,
        metavar="FOLDER",
        help="write the table and the plot there, too (bench/ if no folder is named)",
    )
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    arguments = parser.parse_args(words)
    alone = arguments.rows in (["growth"], ["stages"])
    unknown = [row for row in arguments.rows if row not in ROWS and not alone]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)} and, alone, growth and stages")
    if arguments.rounds < 1 or not 0 < arguments.scale <= 1:
        parser.error("--rounds must be at least 1, --scale above 0 and at most 1")
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
