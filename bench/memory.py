"""Peak memory beyond the model, of one save or load in a process of its own.

Strategy: a child makes its state (or nothing, to load), says so, and waits; then it works, says so, and waits again.
From outside we read what the kernel counts for it, every millisecond: ``RssAnon`` and ``RssShmem``, its anonymous and
shared memory. Pages of a mapped file (``RssFile``) are the page cache, which the kernel takes back when it needs room:
they are not counted. So every MiB of a mapped load is beyond the model; only libraries that map take part in that row.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.contender import Contender
from bench.figures import Result
from bench.measure import progress
from bench.rows import ROWS, Row

MIB = 1 << 20


def measure(row: Row, rounds: int, folder: str | None, scale: float) -> Result:
    """Once, whatever ``rounds`` says: the code decides a peak, not the machine's mood."""
    result = Result(row.name)
    for contender in row.contenders:
        if reason := contender.missing():
            result.notes.append(reason)
            continue
        what = row.name.removeprefix("memory-")
        progress(f"{row.name}: {contender.name}")
        with tempfile.TemporaryDirectory(dir=folder, prefix="holdfast-bench-") as home:
            path = os.path.join(home, contender.stem)
            if what == "load":
                one(row, contender, path, scale, "save")
            result.figures[contender.name] = [one(row, contender, path, scale, what) / MIB]
    result.notes.append("anonymous and shared memory (RssAnon + RssShmem); mapped file pages are page cache")
    return result


def one(row: Row, contender: Contender, path: str, scale: float, what: str) -> float:
    """The bytes by which the child's peak stood above its start."""
    words = [sys.executable, "-W", "ignore", "-m", "bench.memory", row.name, contender.name, path, str(scale), what]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise RuntimeError(f"{contender.name}: the process that should {what} ended early")
        base = peak = now(child.pid)
        child.stdin.write("go\n")
        child.stdin.flush()
        while not (Path(path).parent / "done").exists() and child.poll() is None:
            peak = max(peak, now(child.pid))
            time.sleep(0.001)
        (Path(path).parent / "done").unlink()
        child.stdin.write("end\n")
        child.stdin.flush()
    return peak - base


def now(pid: int) -> int:
    """Bytes of anonymous and shared memory of a process; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def child(name: str, contender: str, path: str, scale: str, what: str) -> None:
    """Do once what is measured, between two signs. What it imports is imported before."""
    row = ROWS[name]
    chosen = next(each for each in row.contenders if each.name == contender)
    rehearse(chosen, path)
    ready = chosen.prepare(row.state(float(scale))) if what == "save" else None
    print("ready", flush=True)
    sys.stdin.readline()
    kept = chosen.save(path, ready) if what == "save" else chosen.load(path)
    (Path(path).parent / "done").touch()
    sys.stdin.readline()
    del kept


def rehearse(chosen: Contender, path: str) -> None:
    """A tiny save and load, so that imports and pools of threads are there before the start."""
    tiny = ROWS["save"].state(0.001)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as home:
        chosen.save(os.path.join(home, "tiny"), chosen.prepare(tiny))
        chosen.load(os.path.join(home, "tiny"))


if __name__ == "__main__":
    child(*sys.argv[1:])
