"""Checkpoints of a run: saved when due, kept as asked, gone on from exactly.

    series = Series("runs/digits", every=30, keep_last=3, keep_best=2, best="loss")
    start = series.track(model=model, opt=opt, data=loader).resume()

series.py      ``Series``, which puts the parts below in order
cadence.py     when a save is due
retention.py   what stays, and why
health.py      whether the run is well
names.py       what files are called
folder.py      the files: listed, moved, let go; lock.py says who may
listing.py     what there is, for people and programs
saving.py      from live objects to the folder
back.py        from the folder to live objects: resume and rollback
signals.py     SIGTERM and SIGINT wait for the end of a step
optimising.py  whether an optimiser has begun a step
position.py    where a run stands
record.py      what one checkpoint holds; kinds.py, held.py, exact.py, random.py, provenance.py its parts
snapshot.py    a state as it is now; overlap.py copies while the loop goes on, staging.py has the memory
writer.py      one background thread
sampler.py     a DataLoader that knows its place
prove.py       that a resume is exact
"""

from typing import TYPE_CHECKING, Any

from holdfast.checkpoint.health import Health
from holdfast.checkpoint.listing import Checkpoint
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.series import Series

if TYPE_CHECKING:
    from holdfast.checkpoint.sampler import resumable

__all__ = ["Checkpoint", "Health", "Position", "Series", "resumable"]


def __getattr__(name: str) -> Any:
    """``resumable`` needs torch, which is imported when it is first asked for."""
    if name != "resumable":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from holdfast.checkpoint.sampler import resumable

    return resumable
