"""Checkpoints of a run: saved when due, kept as asked, gone on from exactly.

    series = Series("runs/digits", every=30, keep_last=3, keep_best=2, best="loss")
    start = series.track(model=model, opt=opt, data=loader).resume()

Where to look, from the outside in:

series.py       ``Series``, which puts the parts below in order

  the loop      loop.py where it is, position.py where the run is; walk.py the data that is left, sampler.py and order.py
                a DataLoader that knows its place; signals.py SIGTERM and SIGINT wait for the end of a step
  when          cadence.py decides whether a save is due, pace.py remembers what it is asked with
  what          record.py what one checkpoint holds; kinds.py, held.py, exact.py, random.py, provenance.py its parts
  saving        saving.py from live objects to the folder; snapshot.py a state as it is now, staging.py memory for
                copies, overlap.py copies while the loop goes on; writer.py one background thread
  the folder    folder.py the files, names.py what they are called, lock.py who may write; retention.py what stays, and
                why; listing.py what there is, for people and programs; history.py the metrics of all saves
  going back    back.py resume and rollback; health.py whether the run is well
  proof         prove.py that a resume is exact, fingerprint.py what two states are compared by
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
