"""What there is in a folder, for people and programs: every checkpoint with its numbers, and why it is kept.

Strategy: the names and headers of the folder, judged by the policy of a Series, or by the one that the newest
checkpoint of each run was saved with. No array is read.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from holdfast.checkpoint.folder import Header, RunFolder
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


def listed(folder: RunFolder, policy: Policy | None = None) -> list[Checkpoint]:
    """The checkpoints in ``folder``, run by run, oldest first; without ``policy``, that of each run's newest header."""
    found = []
    for _, group in groupby(folder.candidates(), key=lambda row: row[0].run):
        rows = list(group)
        stay = kept([candidate for *_, candidate in rows], policy or rows[-1][1].policy or Policy())
        found += [_checkpoint(folder, row, stay.get(row[2].key, [])) for row in rows]
    return found


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
