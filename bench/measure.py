"""One row in this process: everyone in turn, round by round.

Strategy: the contenders of a round follow each other in an order that rotates, so that no one is always first. Round 0
warms up (imports, page cache, compilers), is checked for equality, and does not count. Before every measurement what
the last one left is freed and on the disk (cache.py). What was loaded is freed before the next one loads.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from bench.cache import chill, settle, sync, warm
from bench.contender import Contender
from bench.figures import Result
from bench.rows import Row


def measure(row: Row, rounds: int, folder: str | None, scale: float) -> Result:
    """Raises AssertionError when a contender gives back something else than was saved."""
    result = Result(row.name)
    absent = {each.name: each.missing() for each in row.contenders}
    contenders = [each for each in row.contenders if not absent[each.name]]
    result.notes += [reason for reason in absent.values() if reason]
    state = row.state(scale)
    prepared = {prepare: prepare(state) for prepare in dict.fromkeys(each.prepare for each in contenders)}
    ready = {each.name: prepared[each.prepare] for each in contenders}
    result.figures = {each.name: [] for each in contenders}
    run = saving if row.how == "save" else loading
    with tempfile.TemporaryDirectory(dir=folder, prefix="holdfast-bench-") as home:
        if row.how == "load":
            put_files(contenders, home, ready)
        for turn in range(rounds + 1):
            for contender in rotated(contenders, turn):
                progress(f"{row.name}: round {turn} of {rounds}, {contender.name}")
                seconds = run(row, contender, home, state, ready[contender.name], turn, result)
                if turn:
                    result.figures[contender.name].append(seconds)
    return result


def rotated(contenders: list[Contender], turn: int) -> list[Contender]:
    """
    >>> rotated([1, 2, 3], 1)
    [2, 3, 1]
    """
    first = turn % len(contenders)
    return contenders[first:] + contenders[:first]


def put_files(contenders: list[Contender], home: str, ready: dict[str, Any]) -> None:
    for contender in contenders:
        path = os.path.join(home, contender.stem)
        if not os.path.exists(path):
            contender.save(path, ready[contender.name])
            sync(path)
            warm(path)


def saving(row: Row, contender: Contender, home: str, state: Any, ready: Any, turn: int, result: Result) -> float:
    path = os.path.join(home, contender.stem)
    if row.over and turn == 0:
        contender.save(path, ready)
    settle(home)
    seconds, _ = timed(contender, lambda: contender.save(path, ready))
    if turn == 0:
        loaded = contender.load(path)
        loaded = loaded[1] if contender.clocked else loaded
        assert contender.same(loaded, state), f"{row.name}: {contender.name} did not give back what was saved"
        del loaded
    if not row.over:
        remove(path)
    return seconds


def loading(row: Row, contender: Contender, home: str, state: Any, ready: Any, turn: int, result: Result) -> float:
    path = os.path.join(home, contender.stem)
    settle()
    if row.cold:
        note = (
            "page cache dropped by " + way if (way := chill(path)) else "the page cache could not be dropped: not cold"
        )
        if note not in result.notes:
            result.notes.append(note)
    if turn == 0:
        seconds, loaded = timed(contender, lambda: contender.load(path))
        assert contender.same(loaded, state), f"{row.name}: {contender.name} did not give back what was saved"
        return seconds
    total = 0.0
    for _ in range(row.repeat):
        seconds, loaded = timed(contender, lambda: contender.load(path))
        del loaded
        total += seconds
    return total / row.repeat


def timed(contender: Contender, work: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds that ``work`` took, by our clock or its own, and what it gave."""
    start = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - start
    if contender.clocked:
        return found
    return seconds, found


def remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)


def progress(text: str) -> None:
    """One line that the next one overwrites, or nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
