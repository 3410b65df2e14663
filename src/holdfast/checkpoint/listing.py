"""What there is in a folder, for people and programs: every checkpoint with its numbers, and why it is kept.

Strategy: the names and headers of the folder, judged by the policy of a Series, or by the one that the newest
checkpoint of each run was saved with. No array is read.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from holdfast.checkpoint.folder import BAD, Header, RunFolder
from holdfast.checkpoint.history import History
from holdfast.checkpoint.names import Name
from holdfast.checkpoint.retention import Candidate, Policy, kept

Row = tuple[Name, Header, Candidate]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint of a run.

    step     the step that it holds as done
    path     its file, which ``load`` opens like any other
    time     when it was saved, in UTC
    metrics  the numbers that were given with the step
    kept     why retention keeps it, such as ("last", "best"); empty: the next save lets it go
    size     bytes
    epoch    the epoch of the step
    run      the name of the run
    flag     "unhealthy" or "interrupted": it is not gone on from while there is a good one; "" for a good one
    note     what the Series wrote about it: what was unhealthy, which exception ended the loop
    """

    step: int
    path: Path
    time: datetime
    metrics: Mapping[str, float]
    kept: tuple[str, ...]
    size: int
    epoch: int = 0
    run: str = ""
    flag: str = ""
    note: str | None = None

    @property
    def pinned(self) -> bool:
        return "pinned" in self.kept


@dataclass(frozen=True, slots=True)
class Run:
    """All that a folder holds of one run.

    checkpoints  oldest first
    history      the metrics at all saves, also of those that are gone
    policy       the one that the newest checkpoint was saved with
    abandoned    those that a rollback or a resume left behind
    damaged      files that were set aside
    """

    name: str
    checkpoints: list[Checkpoint]
    history: History
    policy: Policy
    abandoned: list[Checkpoint]
    damaged: list[Path]


def listed(folder: RunFolder, policy: Policy | None = None) -> list[Checkpoint]:
    """The checkpoints in ``folder``, run by run, oldest first; without ``policy``, that of each run's newest header."""
    return [checkpoint for rows in _by_run(folder) for checkpoint in _judged(folder, rows, policy or _policy(rows))]


def runs(path: str) -> list[Run]:
    """The runs in the folder ``path``, by name. Raises OSError when there is no such folder."""
    damaged = _damaged(path)
    folder = RunFolder(path, None)
    found = []
    for rows in _by_run(folder):
        name, policy = rows[0][0].run, _policy(rows)
        behind = [one for _, place in folder.abandoned() for one in listed(RunFolder(place, name), policy)]
        bad = [Path(path, text) for run, text in damaged if run == name]
        found.append(Run(name, _judged(folder, rows, policy), folder.history(rows[-1][0]), policy, behind, bad))
    return found


def _by_run(folder: RunFolder) -> list[list[Row]]:
    return [list(group) for _, group in groupby(folder.candidates(), key=lambda row: row[0].run)]


def _policy(rows: Sequence[Row]) -> Policy:
    return rows[-1][1].policy or Policy()


def _judged(folder: RunFolder, rows: Sequence[Row], policy: Policy) -> list[Checkpoint]:
    stay = kept([candidate for *_, candidate in rows], policy)
    return [_checkpoint(folder, row, stay.get(row[2].key, [])) for row in rows]


def _damaged(path: str) -> list[tuple[str, str]]:
    """The run and the name of each file that was set aside."""
    names = [(text, Name.of(text.partition(BAD)[0])) for text in sorted(os.listdir(path)) if BAD in text]
    return [(name.run, text) for text, name in names if name is not None and not text.endswith(".txt")]


def _checkpoint(folder: RunFolder, row: Row, reasons: list[str]) -> Checkpoint:
    name, header, candidate = row
    path = folder.at(name)
    return Checkpoint(
        name.step,
        Path(path),
        name.time,
        dict(header.metrics),
        tuple(reasons),
        _size(path),
        header.position.epoch,
        name.run,
        candidate.flag,
        header.note,
    )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:  # let go a moment ago
        return 0
