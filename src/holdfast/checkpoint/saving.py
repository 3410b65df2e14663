"""A checkpoint from live objects to the folder, and what is let go once it is there.

Strategy: on the calling thread the state becomes a snapshot; all else (checksums, disk, retention) is one job, which
the writer does in the background or the caller at once. The order within the job is what keeps the run safe: the new
file is on the disk before an older one is let go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from holdfast.checkpoint import kinds, overlap, record, snapshot
from holdfast.checkpoint.folder import Header, RunFolder
from holdfast.checkpoint.history import History
from holdfast.checkpoint.names import Name
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.retention import Policy, kept, outlived
from holdfast.checkpoint.staging import Staging
from holdfast.checkpoint.writer import Writer
from holdfast.formats import bson
from holdfast.vocab import vocabulary

MILLISECOND: Final = timedelta(milliseconds=1)
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def check_trackable(objects: Mapping[str, Any], tracked: Mapping[str, Any]) -> None:
    """Raises ValueError for names that cannot be tracked beside ``tracked``, UnsupportedError for such objects."""
    for name, value in objects.items():
        kinds.check(name, value)
        if name == record.HEADER or name in bson.RESERVED:
            raise ValueError(f"{name!r} cannot be the name of what is tracked: the file needs it for itself")
        if name in tracked and tracked[name] is not value:
            raise ValueError(f"{name!r} is tracked already, and it is another object: use another name")


@dataclass(slots=True)
class Saver:
    """Saves the checkpoints of one run.

    background  write in the background
    overlapped  leave what optimisers change to be copied while they rest
    exact       also keep what is not needed to go on from the end of a step
    failed      called, from any thread, when something went wrong in the background
    history     the metrics at all saves so far
    """

    folder: RunFolder
    run: str
    policy: Policy
    background: bool
    overlapped: bool
    exact: bool
    failed: Callable[[], None]
    writer: Writer = field(default_factory=Writer)
    staging: Staging = field(default_factory=Staging)
    history: History = field(default_factory=History)
    last_time: datetime = LONG_AGO

    def save(
        self,
        tracked: Mapping[str, Any],
        position: Position,
        metrics: Mapping[str, float],
        *,
        mark: str | None = None,
        note: str | None = None,
        at_once: bool = False,
    ) -> None:
        """Save the state of ``tracked``; ``at_once``: it is on the disk when this returns.

        Raises UnsupportedError for what cannot be saved, and with ``at_once`` what the disk raises.
        """
        self.history.add(position.step - 1, metrics)
        header = Header(position, dict(metrics), self.policy, note)
        values = self._values(tracked, header)
        name = Name(self.run, position.step - 1, self.moment(), frozenset({mark} if mark else ()), self.folder.ending)
        if at_once or not self.background:
            self.writer.wait()
            plan = snapshot.planned(values, vocabulary())
            self._finish(name, header, lambda path: bson.publish(path, plan))
            return
        self.writer.withdraw()  # it would be replaced anyhow, and its memory is wanted now
        shot = self._shot(values, tracked)
        self.writer.submit(lambda: self._job(name, header, shot), str(name), dropped=shot.release)

    def try_out(self, tracked: Mapping[str, Any], position: Position) -> None:
        """Find out what cannot be saved, before it is time to save. Raises UnsupportedError."""
        snapshot.planned(self._values(tracked, Header(position)), vocabulary())

    def _values(self, tracked: Mapping[str, Any], header: Header) -> Mapping[str, Any]:
        return record.capture(
            tracked,
            position=header.position,
            metrics=header.metrics,
            kept={
                "run": self.run,
                "policy": self.policy.document(),
                "note": header.note,
                "history": self.history.document(),
            },
            exact=self.exact,
        )

    def _shot(self, values: Mapping[str, Any], tracked: Mapping[str, Any]) -> snapshot.Snapshot:
        if not self.overlapped:
            return snapshot.take(values, vocabulary(), self.staging)
        optimisers = [one for one in tracked.values() if hasattr(one, "param_groups")]
        return overlap.take(values, vocabulary(), self.staging, optimisers)

    def moment(self) -> datetime:
        """Now, and later than the moment before: two files of one step have two names."""
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self.last_time = max(now, self.last_time + MILLISECOND)
        return self.last_time

    # -- in the background --------------------------------------------------------------------------------------------

    def _job(self, name: Name, header: Header, shot: snapshot.Snapshot) -> None:
        try:
            self._finish(name, header, shot.publish)
        except BaseException:
            self.failed()
            raise

    def _finish(self, name: Name, header: Header, publish: Callable[[str], None]) -> None:
        publish(self.folder.at(name))
        self.folder.remember(name, header)
        try:
            self.expire()
        except OSError as error:
            what = f"{error.strerror}: {name} is saved and whole, but none of the older checkpoints could be let go"
            raise OSError(error.errno, f"{what}; that is tried again after the next save", error.filename) from error

    def expire(self) -> None:
        """Let go what the policy does not keep."""
        found = self.folder.candidates()
        stay = kept([candidate for _, _, candidate in found], self.policy)
        gone = [str(name) for name, _, _ in found if str(name) not in stay]
        if gone:
            self.folder.expire(gone)
        for moment, place in self.folder.abandoned():
            since = sum(name.good and name.time > moment for name, _, _ in found)
            if outlived(since, self.policy):
                self.folder.forget(place)
