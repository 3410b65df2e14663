"""The folder of a run: what is in it is what there is. No list and no pointer stands beside the files.

Strategy: a checkpoint is a file with one of our names (see names.py) that is whole. Its header, the value ``_series``,
is read without its arrays and remembered, for a file never changes under its name. Nothing else here is touched.

    digits-000120-2026-11-23T02-57-10.410.bson           a checkpoint
    digits-000120-2026-11-23T02-57-10.410.pinned.bson    one that retention never lets go
    …unhealthy.bson, ….interrupted.bson                  one to look at, not to go on from
    NAME.bad, NAME.bad.txt                               a damaged one, set aside, and the reason
    abandoned/2026-11-23T03-10-00.000/NAME               those that a rollback left behind, with the time it happened
    .series.lock                                         who writes here; see lock.py

The folder is synced after every rename, so that no power cut brings back a name that was acted upon.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from holdfast.checkpoint.history import History
from holdfast.checkpoint.names import Name, time_text
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.record import HEADER
from holdfast.checkpoint.retention import Candidate, Policy
from holdfast.codec.rule import Options
from holdfast.errors import ChecksumError, FormatError, HoldfastError
from holdfast.formats.bson import open_file
from holdfast.formats.choose import FORMATS
from holdfast.state.records import Records
from holdfast.storage.folder import Folder

BAD: Final = ".bad"
ABANDONED: Final = "abandoned"

Damage: Final = (FormatError, ChecksumError)
"""What a file that is not whole raises."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a checkpoint says of itself."""

    position: Position
    metrics: Mapping[str, float] = field(default_factory=dict)
    policy: Policy | None = None
    note: str | None = None

    @classmethod
    def of(cls, document: Any) -> "Header | None":
        """The header in a document; None for what no Series wrote."""
        if not isinstance(document, Mapping) or not isinstance(document.get("position"), Mapping):
            return None
        metrics, kept = document.get("metrics"), document.get("kept")
        numbers = metrics.items() if isinstance(metrics, Mapping) else ()
        about = kept if isinstance(kept, Mapping) else {}
        return cls(
            Position.of(document["position"]),
            {str(name): float(number) for name, number in numbers if isinstance(number, int | float)},
            _policy(about.get("policy")),
            about["note"] if isinstance(about.get("note"), str) else None,
        )


def read_header(path: str) -> Any:
    """The value ``_series`` of a file, None where there is none; the frame is checked, arrays are not.

    Raises FormatError or ChecksumError when the frame is damaged, OSError when it cannot be read.
    """
    file = open_file(path)
    file.verify_frame()
    if HEADER not in file.names:
        return None
    rules = Records()  # whose classes are all inert: no framework is imported to look at a header
    return file.lift(file.audit([HEADER], rules), [HEADER], rules, Options())[HEADER]


def _policy(document: Any) -> Policy | None:
    with contextlib.suppress(ValueError, TypeError):
        return Policy.from_document(document) if isinstance(document, Mapping) else None
    return None


WEIGHTS: Final = frozenset(ending for row in FORMATS if row.writes for ending in row.endings)
"""Endings of files that can be written, of which all but ``.bson`` have room for arrays alone."""


class RunFolder:
    """The checkpoints of one run in ``path``; ``run=None`` for those of all runs.

    Raises ValueError for an ``ending`` of files that have no room for all of a checkpoint.
    """

    def __init__(self, path: str, run: str | None, ending: str = ".bson") -> None:
        if ending != ".bson":
            loses = "would lose the optimiser, the position and all else that is no array"
            raise ValueError(
                f'checkpoints are ".bson" files: {ending!r} {loses if ending in WEIGHTS else "cannot be written"}. Keep '
                'format=".bson", and convert what others are to read: '
                "holdfast convert CHECKPOINT weights.safetensors --only model"
            )
        self.path = path
        self.run = run
        self.ending = ending
        self.verified: set[tuple[int, datetime]] = set()
        self._headers: dict[str, Header | None] = {}

    def names(self) -> list[Name]:
        """The names of the checkpoints, oldest first; nothing is opened."""
        try:
            texts = os.listdir(self.path)
        except FileNotFoundError:
            return []
        names = [name for text in texts if (name := Name.of(text, self.ending)) and self.run in (None, name.run)]
        return sorted(names, key=lambda name: (name.run, *name.order))

    def holds(self, step: int) -> bool:
        """Whether there is a good checkpoint of ``step``, going by its name."""
        return any(name.step == step and name.good for name in self.names())

    def find(self, step: int | None) -> Name:
        """The newest checkpoint, or the newest good one of ``step``. Raises KeyError when there is none."""
        found = [name for name in self.names() if step in (None, name.step)]
        if not found:
            raise KeyError(f"{self.path} has no checkpoint{'' if step is None else f' of step {step:,}'}")
        return max(found, key=lambda name: (name.good or step is None, *name.order))

    def newest_step(self) -> int:
        """The step of the newest checkpoint that can be read; -1 where there is none."""
        return next((name.step for name in reversed(self.names()) if self.header(name)), -1)

    def at(self, name: Name) -> str:
        return os.path.join(self.path, str(name))

    def header(self, name: Name) -> Header | None:
        """What the file says of itself; None when it is damaged, gone or unreadable, or not a Series' after all."""
        text = str(name)
        if text not in self._headers:
            try:
                self._headers[text] = Header.of(read_header(self.at(name)))
            except HoldfastError:
                self._headers[text] = None
            except OSError:
                return None
        return self._headers[text]

    def history(self, name: Name) -> History:
        """The metrics at all saves up to this one, which the file carries; an empty one when it cannot be read."""
        try:
            return History.of(read_header(self.at(name))["kept"]["history"])
        except (HoldfastError, OSError, TypeError, KeyError):
            return History()

    def remember(self, name: Name, header: Header) -> None:
        """Note what has just been written, so that it is not read again."""
        self._headers[str(name)] = header
        self.verified.add(name.order)

    def candidates(self) -> list[tuple[Name, Header, Candidate]]:
        """What there is to be judged, oldest first. What cannot be read is not among it, and so is never let go."""
        found = []
        for name in self.names():
            header = self.header(name)
            if header is not None:
                found.append((name, header, self._candidate(name, header)))
        return found

    def _candidate(self, name: Name, header: Header) -> Candidate:
        flag = next((mark for mark in ("unhealthy", "interrupted") if mark in name.marks), "")
        return Candidate(
            str(name), name.step, name.time.timestamp(), header.metrics, name.pinned, flag, name.order in self.verified
        )

    # -- changes ------------------------------------------------------------------------------------------------------

    def expire(self, names: Iterable[str]) -> None:
        """Let checkpoints go. One that a power cut brings back is let go again after the next save."""
        with Folder(self.path) as folder:
            for name in names:
                folder.discard(name)
                self._headers.pop(name, None)

    def rename(self, old: Name, new: Name) -> None:
        """Give a checkpoint other marks."""
        with Folder(self.path) as folder:
            folder.replace(str(old), str(new))
            folder.sync()
        if str(old) in self._headers:
            self._headers[str(new)] = self._headers.pop(str(old))

    def set_aside(self, name: Name, reason: str) -> str:
        """Take a damaged file out of the run, with the reason beside it; gives its new path. Nothing is deleted."""
        text = str(name)
        with Folder(self.path) as folder:
            bad = next(
                free
                for number in range(1, 10_000)
                if folder.look(free := f"{text}{BAD}" + (f".{number}" if number > 1 else "")) is None
            )
            folder.replace(text, bad)
            folder.sync()
        self._headers.pop(text, None)
        with contextlib.suppress(OSError), open(os.path.join(self.path, f"{bad}.txt"), "w", encoding="utf-8") as file:
            file.write(f"{reason}\n")
        return os.path.join(self.path, bad)

    def abandon(self, names: Iterable[Name], moment: datetime) -> str:
        """Move checkpoints into a folder of their own under ``abandoned``, the newest first; gives its path.

        A crash midway leaves the older ones where they were: what is left is always the beginning of the run.
        """
        place = os.path.join(self.path, ABANDONED, time_text(moment))
        make_folder(place)
        for name in sorted(names, key=lambda name: name.order, reverse=True):
            os.replace(self.at(name), os.path.join(place, str(name)))
            self._headers.pop(str(name), None)
            for path in (place, self.path):
                with Folder(path) as folder:
                    folder.sync()
        return place

    def abandoned(self) -> list[tuple[datetime, str]]:
        """The rollbacks of this run that are still there: when, and the folder."""
        top, found = os.path.join(self.path, ABANDONED), []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for text in sorted(os.listdir(top)):
                moment = _moment(text)
                if moment is not None and os.path.isdir(os.path.join(top, text)):
                    found.append((moment, os.path.join(top, text)))
        return found

    def forget(self, place: str) -> None:
        """Let the checkpoints of a rollback go, but for pinned ones and for what is not this run's."""
        for text in os.listdir(place):
            name = Name.of(text, self.ending)
            if name is not None and not name.pinned and name.run == self.run:
                os.unlink(os.path.join(place, text))
        for path in (place, os.path.dirname(place)):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(path)


def _moment(text: str) -> datetime | None:
    with contextlib.suppress(ValueError):
        return datetime.strptime(text, "%Y-%m-%dT%H-%M-%S.%f").replace(tzinfo=UTC)
    return None


def make_folder(path: str) -> None:
    """Make a folder, and those above it, so that they survive a power cut. Nothing where it is there already."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(os.path.abspath(path))
    make_folder(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    with Folder(above) as folder, contextlib.suppress(OSError):
        folder.sync()
