"""Where the time of a save and of a load goes: the share of each stage of the engine.

Strategy: the stages are the functions that ``save`` and ``load`` call one after the other, timed apart with the collector
held, as they hold it; the median of the rounds. Shares and not seconds: what is told is where there is something to gain.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import states
from bench.cache import settle
from bench.measure import progress
from holdfast.codec.lower import lower
from holdfast.codec.rule import Options
from holdfast.collector import held
from holdfast.formats import bson
from holdfast.storage import local
from holdfast.vocab import vocabulary
from holdfast.wire.checksum import Sealing
from holdfast.wire.plan import plan_document

Times = dict[str, list[float]]

STATES: dict[str, Callable[[float], Any]] = {
    "1 GiB in 64 arrays": states.arrays,
    "10,000 arrays of 4 KiB": states.many,
    "1,000,000 small values": states.values,
    "a list of 1,000,000 floats": states.floats,
}

SAVE = {
    "lower": "objects to a document (`codec.lower`)",
    "plan": "the document to bytes (`wire.plan`)",
    "write": "checksums and writing (`wire.checksum`, `storage.local`)",
    "sync": "waiting for the disk (fsync)",
}
LOAD = {
    "read": "mapping and reading the document (`storage.read`, `wire.read`)",
    "frame": "the frame's checksum (`wire.checksum`)",
    "audit": "what may be built (`codec.audit`)",
    "arrays": "the arrays' checksums (`wire.checksum`)",
    "lift": "the document to objects (`codec.lift`)",
}


@contextmanager
def clock(times: Times, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times.setdefault(stage, []).append(time.perf_counter() - start)


def save(path: str, state: Any, times: Times) -> None:
    rules = vocabulary()
    with held():
        with clock(times, "lower"):
            document = lower(state, rules)
        with clock(times, "plan"):
            plan = plan_document(document)
        with clock(times, "write"):
            sealing = Sealing(plan)
            local.publish(path, sealing.parts(local.Watched), durable=False, complete=sealing.complete)
        with clock(times, "sync"):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def load(path: str, times: Times) -> None:
    rules = vocabulary()
    with held():
        with clock(times, "read"):
            file = bson.open_file(path, patterns=True)
        with clock(times, "frame"):
            file.verify_frame()
        with clock(times, "audit"):
            audited = file.audit(file.names, rules)
        with clock(times, "arrays"):
            file.verify_blobs(audited.blobs)
        with clock(times, "lift"):
            values = file.lift(audited, file.names, rules, Options())
    del values


def measure(folder: str | None, scale: float, rounds: int) -> dict[str, tuple[Times, Times]]:
    """The seconds of each stage of a save and of a warm load, by state and round."""
    found = {}
    with tempfile.TemporaryDirectory(dir=folder, prefix="holdfast-bench-") as home:
        path = os.path.join(home, "m.bson")
        for name, make in STATES.items():
            progress(f"stages: {name}")
            state, saved, loaded = make(scale), Times(), Times()
            for each in range(rounds + 1):  # the first warms up
                settle()
                save(path, state, saved if each else Times())
                load(path, Times())  # brings it into the page cache
                load(path, loaded if each else Times())
            found[name] = saved, loaded
    return found


def table(found: dict[str, tuple[Times, Times]]) -> str:
    lines = []
    for index, (title, stages) in enumerate((("save", SAVE), ("load", LOAD))):
        lines += ["", f"| {title} | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
        medians = [{key: statistics.median(each) for key, each in pair[index].items()} for pair in found.values()]
        for stage, words in stages.items():
            shares = [f"{each[stage] / sum(each.values()):.0%}" for each in medians]
            lines.append(f"| {words} | {' | '.join(shares)} |")
    return "\n".join(lines[1:]) + "\n"


def report(found: dict[str, tuple[Times, Times]], command: str, machine: list[str], folder: Path | None) -> None:
    """The table on the terminal; with ``folder``, stages.md there."""
    text = table(found)
    print(text)
    if folder is not None:
        head = [
            "# Where the time goes",
            "",
            "The share of each stage; the median of the rounds. Loads are warm.",
            "",
            "",
        ]
        made = ["", f"Made by `{command}` on:", "", *(f"- {sentence}" for sentence in machine), ""]
        (folder / "stages.md").write_text("\n".join(head) + text + "\n".join(made), encoding="utf-8")
