"""Runs one target: coverage-guided where atheris is installed, by plain mutation otherwise.

Strategy: escapes are caught, written to the corpus and counted, and the run goes on; the same place in the code counts once.
The collector of garbage runs once in a while instead of whenever it likes. Figures go to a small JSON file, because
libFuzzer ends the process itself.
"""

import gc
import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
CORPUS: Final = HERE / "corpus"
MODULES: Final = ["holdfast.wire", "holdfast.codec", "holdfast.vocab", "holdfast.formats", "holdfast.julia"]
"""What coverage is measured of."""
SWEEP: Final = 20_000
"""Executions between two collections of garbage; then the figures are told, too, should somebody end the process."""
PATIENCE: Final = 60
"""Seconds of processor time that ``TOGETHER`` executions may take, so that a process may rest as long as it likes."""
TOGETHER: Final = 64
LONG: Final = 24 * 3600
"""Seconds after which atheris itself ends an execution: never, for it is watched here. 0 is none to libFuzzer, but to atheris it
is no time at all, and whatever runs when its clock ticks ends the process."""


MEMORY: Final = 384 << 20
"""Bytes that one execution may take beyond the most that there was before. One array may take 64 MiB for nothing, and a few
steps of unpacking as much again each."""
ADDRESSES: Final = 8 << 30
"""Bytes of addresses that the process may have beyond those at the start, so that what takes too many ends in an error."""


class Hang(Exception):
    """An execution that does not end."""


class Greed(Exception):
    """An execution that takes too much memory."""


def most_memory() -> int:
    """Bytes of memory that the process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def addresses() -> int:
    """Bytes of addresses that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def limit_addresses() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (addresses() + ADDRESSES, resource.RLIM_INFINITY))


def hangs(number: int, frame: Any) -> None:
    raise Hang(f"not done after {PATIENCE} seconds")


class Watch:
    """A target, and what became of its executions."""

    def __init__(
        self, name: str, run: Callable[[bytes], None], keep: Any, runs: int | None, seconds: float | None, told: Path
    ) -> None:
        self.run, self.runs, self.told = run, runs, told
        self.kept_for, self.kept_as = keep or (name, bytes)
        self.count, self.escapes = 0, dict[str, str]()
        self.started = time.monotonic()
        self.most, self.room = most_memory(), addresses() + ADDRESSES // 4
        self.ends = None if seconds is None else self.started + seconds
        self.handled = signal.signal(signal.SIGVTALRM, hangs)

    def __call__(self, data: bytes) -> None:
        if self.count % TOGETHER == 0:
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
            if addresses() > self.room:
                gc.collect()  # of what is mapped and waits for the collector there must not be too much
        try:
            self.run(data)
        except Exception as error:
            self.escaped(data, error)
        before, self.most = self.most, most_memory()
        if self.most - before > MEMORY and self.count:
            self.escaped(data, Greed(f"took {(self.most - before) >> 20:,} MiB"))
        self.count += 1
        if self.count % SWEEP == 0:
            gc.collect()
            self.tell()
        if self.over():
            self.tell()
            os._exit(0)

    def close(self) -> None:
        """Stop the clock: for a process that goes on with something else."""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self.handled)

    def over(self) -> bool:
        late = self.ends is not None and self.count % TOGETHER == 0 and time.monotonic() > self.ends
        return late or (self.runs is not None and self.count >= self.runs)

    def escaped(self, data: bytes, error: Exception) -> None:
        trace = traceback.extract_tb(error.__traceback__)
        where = f" at {Path(trace[-1].filename).name}:{trace[-1].lineno}" if trace else ""
        place = f"{type(error).__name__}{where}"
        if place in self.escapes:
            return
        self.escapes[place] = f"{error!s:.200}"
        folder, found = CORPUS / self.kept_for, self.kept_as(data) or data
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(found).hexdigest()[:16]).write_bytes(found)
        print(f"ESCAPE {place}: {error!s:.200}", file=sys.stderr, flush=True)
        self.tell()

    def tell(self) -> None:
        spent = time.monotonic() - self.started
        figures = {"executions": self.count, "seconds": spent, "escapes": self.escapes}
        self.told.write_text(json.dumps(figures))


# -- plain mutation ---------------------------------------------------------------------------------------------------

EDGES: Final = (
    b"\0",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"\xff\xff\xff\xff",
    b"\1\0\0\0",
    bytes(8),
    b"tag\0",
    b"\3",
    b"\4",
    b"\5",
)


def mutated(choose: random.Random, data: bytes) -> bytes:
    """``data`` with a few bytes changed, moved, doubled or lost."""
    changed = bytearray(data)
    for _ in range(choose.choice((1, 1, 2, 3, 5))):
        at = choose.randint(0, len(changed))
        kind = choose.randrange(5)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << choose.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = choose.randrange(256)
        elif kind == 2:
            edge = choose.choice(EDGES)
            changed[at : at + len(edge)] = edge
        elif kind == 3:
            other = choose.randint(0, len(changed))
            changed[at:at] = changed[other : other + choose.randint(1, 32)]
        else:
            del changed[at : at + choose.randint(1, 32)]
    return bytes(changed)


def plainly(watch: Callable[[bytes], None], seeds: list[bytes], seed: int, choosing: int = 0) -> None:
    """Mutate the seeds for ever; ``watch`` ends it. Where the bytes only choose, they are ``choosing`` new ones."""
    choose = random.Random(seed)
    for data in seeds:
        watch(data)
    while choosing:
        watch(choose.randbytes(choosing))
    while True:
        watch(mutated(choose, choose.choice(seeds)))


# -- coverage-guided --------------------------------------------------------------------------------------------------


def guided(
    watch: Callable[[bytes], None], seeds: list[bytes], largest: int, seed: int, folder: Path, atheris: Any
) -> None:
    """Let libFuzzer choose; ``watch`` ends it."""
    for number, data in enumerate(seeds):
        (folder / f"seed{number}").write_bytes(data)
    atheris.Setup(
        [
            sys.argv[0],
            f"-seed={seed}",
            f"-max_len={largest}",
            "-print_final_stats=1",
            "-rss_limit_mb=4096",
            f"-timeout={LONG}",
            f"-artifact_prefix={folder.parent}/",
            str(folder),
        ],
        watch,
    )
    atheris.Fuzz()


def main(arguments: list[str]) -> None:
    """``NAME RUNS SECONDS SEED FIGURES FOLDER plain|guided``, as ``fuzz.__main__`` calls it."""
    name, runs, seconds, seed, told, folder, way = arguments
    atheris: Any = None
    if way == "guided":
        import atheris

        with atheris.instrument_imports(include=MODULES):
            from fuzz import targets
    else:
        from fuzz import targets
    targets.warm()
    target = targets.TARGETS[name]
    starts = target.seeds()
    gc.collect()
    gc.freeze()
    gc.disable()
    limit_addresses()
    watch = Watch(name, target.run, target.keep, int(runs) or None, float(seconds) or None, Path(told))
    if atheris is None:
        plainly(watch, starts, int(seed), target.largest if target.keep else 0)
    else:
        guided(watch, starts, target.largest, int(seed), Path(folder), atheris)


if __name__ == "__main__":
    main(sys.argv[1:])
