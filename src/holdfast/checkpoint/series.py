"""``Series``: the checkpoints of one run, in a folder.

Strategy: this class puts the parts in order and decides nothing. When to save is in cadence.py, what stays in
retention.py, whether the run is well in health.py; saving.py writes, back.py goes back, folder.py moves files,
record.py knows what a checkpoint holds. ``step`` compares a few plain numbers and returns, unless something is due.
"""

import os
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from os import PathLike
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from holdfast.checkpoint.back import caution, go_back, to_resume, to_roll_back
from holdfast.checkpoint.cadence import Cadence
from holdfast.checkpoint.folder import RunFolder, make_folder
from holdfast.checkpoint.health import Checkup, Health, warning
from holdfast.checkpoint.listing import Checkpoint, listed
from holdfast.checkpoint.lock import Lock
from holdfast.checkpoint.loop import Loop, steps_begun, watch_optimisers
from holdfast.checkpoint.names import Name, run_name
from holdfast.checkpoint.pace import Pace
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.record import put_back
from holdfast.checkpoint.retention import Policy
from holdfast.checkpoint.saving import Saver, check_trackable
from holdfast.checkpoint.signals import SIGNALS, Signals
from holdfast.checkpoint.walk import Walk, knows_its_place, placed
from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.checkpoint.prove import Proof

__all__ = ["Series"]

CALLER: Final = 4
"""Frames from a warning to who called ``step`` or ``save``."""


class Series:
    """The checkpoints of one run, in ``folder``: saved when due, kept as asked, gone on from after any crash.

    name          what the files are called; the folder's name by default
    every         seconds (or a timedelta) between two saves; the first step of a fresh run is saved at once
    every_steps   save after every so many steps, counted from step 0: 100 saves when 100, 200, … are done
    every_epochs  save when so many epochs are done, as ``step(…, epoch=epoch)`` tells
    overhead      never spend more than this share of the time saving, by measured times: ``overhead=0.02``
    keep_last     keep the newest n; None keeps all
    keep_best     keep the k best by the metric ``best``, whose best is the least or the greatest (``mode``)
    keep_every    keep one every so many seconds (or a timedelta) for good
    keep_every_steps  keep the first one after every so many steps for good
    background    a snapshot is taken, and written while the training goes on; False: ``step`` waits for the disk
    snapshot      "copy" copies the state at once; "overlap" lets the writer copy while the loop computes what does not
                  change it, and the next step of an optimiser waits for what is left
    on_signal     SIGTERM and SIGINT let the step finish, save, and end the process with the usual code
    exact         keep gradients and non-persistent buffers too, to go on from within an accumulation
    health        True, or ``Health(…)``: what is unhealthy is never best, and gone on from only if there is no other
    readonly      only look, and restore: takes no lock and changes nothing in the folder

    At most one snapshot waits for the disk; a newer one takes its place. An error in the background is raised by the
    next call. As a context manager it is closed at the end; when an exception ends the block, the state is saved first,
    see ``__exit__``.

    Raises HoldfastError when another Series writes to the folder, ValueError for wishes that cannot be meant.

    >>> import tempfile, numpy as np
    >>> folder, weights = tempfile.mkdtemp(), np.zeros(2)
    >>> with Series(folder, name="digits", every_steps=2, keep_last=1) as series:
    ...     start = series.track(weights=weights).resume()
    ...     for step in range(start.step, 5):
    ...         weights += 1
    ...         series.step(step, loss=1 / (step + 1))
    >>> again = np.zeros(2)
    >>> with Series(folder, name="digits") as series:
    ...     series.track(weights=again).resume().step
    4
    >>> again
    array([4., 4.])
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        name: str | None = None,
        every: float | timedelta | None = None,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        overhead: float | None = None,
        keep_last: int | None = 3,
        keep_best: int = 0,
        best: str | None = None,
        mode: Literal["min", "max"] = "min",
        keep_every: float | timedelta | None = None,
        keep_every_steps: int | None = None,
        background: bool = True,
        snapshot: Literal["copy", "overlap"] = "copy",
        on_signal: bool = False,
        exact: bool = False,
        health: bool | Health | None = None,
        format: Literal[".bson"] = ".bson",
        readonly: bool = False,
    ) -> None:
        if snapshot not in ("copy", "overlap"):
            raise ValueError(f'snapshot is "copy" or "overlap", not {snapshot!r}')
        path = os.path.abspath(os.fspath(folder))
        run = run_name(os.path.basename(path) if name is None else name)
        policy = Policy.of(keep_last, keep_best, best, mode, keep_every, keep_every_steps)
        self._pace = Pace(Cadence.of(every, every_steps, every_epochs, overhead))
        self._checkup = Checkup(Health.of(health))
        self._folder = RunFolder(path, run, format)
        self._loop = Loop()
        self._saver = Saver(self._folder, run, policy, background, snapshot == "overlap", exact, self._loop.wake)
        self._tracked: dict[str, Any] = {}
        self._walk: Walk | None = None
        self._restore: Callable[[], Any] = Position
        self._readonly = readonly
        self._process = os.getpid()
        self._closed = False
        self._signals = Signals(self._loop.wake, SIGNALS if on_signal and not readonly else ())
        weakref.finalize(self, self._signals.restore)
        if not readonly:
            make_folder(path)
        self._lock = None if readonly else Lock(path)
        self._loop.least = self._folder.newest_step() + 1

    # -- what is saved ------------------------------------------------------------------------------------------------

    def track(self, **objects: Any) -> Self:
        """Objects to save and to fill again, by name; those of all calls. Gives the Series itself.

        Anything with ``state_dict`` and ``load_state_dict``, modules, optimisers, random generators, NumPy's arrays,
        tensors, and all that ``save`` takes. Track before ``resume``: what comes later is not filled.
        """
        check_trackable(objects, self._tracked)
        self._tracked.update(objects)
        watch_optimisers()
        return self

    @property
    def tracked(self) -> dict[str, Any]:
        """The tracked objects by name."""
        return dict(self._tracked)

    # -- going on -----------------------------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Where the run is: the next step, the epoch of the last one, and the seconds of training."""
        return self._loop.position

    def resume(self, *, strict: bool = True) -> Position:
        """Fill what is tracked from the newest checkpoint that is whole; gives where to go on, 0 on a fresh folder.

        A damaged one is renamed to NAME.bad, with the reason in a text beside it and a warning, and the one before it
        is taken. Later ones that were passed over as unhealthy or interrupted are moved to ``abandoned``.

        strict  True: all that is tracked fits, or nothing is changed. False: what fits is filled, with a warning

        Raises MismatchError, with every difference, when a whole checkpoint does not fit; ChecksumError when there are
        checkpoints and none is whole.
        """
        self._check_use(writing=False)
        self._saver.writer.wait()
        names = to_resume(self._folder.names())
        found = go_back(self._folder, names, self._tracked, strict=strict, readonly=self._readonly)
        self._loop.resumed = True
        return Position() if found is None else self._arrive(*found)

    def rollback(self, to: Literal["best"] | int | None = None, *, before: int | None = None) -> Position:
        """Go back: to the best checkpoint, to that of a step, or to the newest good one before a step.

        Fills what is tracked and moves the later checkpoints to ``abandoned/TIME``, where they stay until as many new
        ones as ``keep_last`` are saved. Gives where to go on.

        Raises KeyError when there is no such checkpoint, MismatchError when it does not fit; nothing is changed then.
        """
        self.wait()
        names = to_roll_back(self._folder, self._saver.policy, to, before)
        found = go_back(self._folder, names, self._tracked, strict=True, readonly=False)
        if found is None:
            raise KeyError(f"{self._folder.path}: the checkpoint to go back to is gone")
        self._loop.resumed = True
        return self._arrive(*found)

    def _arrive(self, name: Name, position: Position) -> Position:
        header = self._folder.header(name)
        if header is not None and header.note is not None and name.good:
            warnings.warn(caution(name, header.note), stacklevel=CALLER - 1)
        later = [one for one, _, _ in self._folder.candidates() if one.order > name.order]
        if later and not self._readonly:
            self._folder.abandon(later, self._saver.moment())
        self._saver.history = self._folder.history(name)
        self._checkup.well = True
        self._loop.arrive(position)
        self._pace.begin(position.step, self._loop.now[1])
        self._walk, self._restore = None, partial(put_back, self._folder.at(name), self._tracked)
        return position

    def walk(self, data: Iterable[Any], epochs: int = 1) -> Iterator[tuple[int, int, Any]]:
        """Each piece of ``data`` that the run has not had yet, with its step and epoch; resumes if nobody has.

            for step, epoch, (x, y) in series.walk(loader, epochs=10):
                …
                series.step(step, epoch=epoch, loss=loss)

        A DataLoader, and whatever else has ``state_dict``, is tracked as ``data`` and goes on within an epoch. Of other
        data, what was had is read again and dropped: it must come in the same order. Several walks are one run.
        """
        data = placed(data, self._tracked)
        if knows_its_place(data) and not any(one is data for one in self._tracked.values()):
            self.track(data=data)
        if not self._loop.resumed:
            self.resume()
        if self._walk is None:
            self._walk = Walk(self._loop, self.position, self._restore)
        return self._walk.over(data, epochs)

    # -- saving -------------------------------------------------------------------------------------------------------

    def step(self, step: int, *, epoch: int | None = None, **metrics: Any) -> None:
        """Step ``step`` is done; save when that is due. Metrics are numbers, or tensors and arrays of one number.

        When nothing is due this takes about a microsecond and reads no metric, so it waits for no GPU.

        Raises what went wrong in the background, UnsupportedError at the first step for what cannot be saved, and
        ValueError for a step before one that is saved already.
        """
        loop, pace = self._loop, self._pace
        quiet = loop.now[0] <= step < pace.quiet_step and epoch == pace.quiet_epoch and not loop.urgent
        loop.now = step, epoch, metrics
        loop.begun = steps_begun()
        if not quiet or monotonic() >= pace.quiet_clock:
            self._look()

    def save(self, step: int | None = None, *, epoch: int | None = None, **metrics: Any) -> None:
        """Save now, in the background unless the Series is told otherwise; ``wait`` waits for the disk.

        step  the step that is done; None: that of the last call of ``step``, with its epoch and metrics

        Raises what went wrong in the background before, UnsupportedError for what cannot be saved, ValueError when no
        step is done yet.
        """
        self._check_use()
        self._raise_background()
        self._loop.name(step, epoch, metrics)
        self._save()

    def finish(self) -> None:
        """Save the last step that is done, unless it is saved, and wait for the disk."""
        self.wait()
        if self._loop.now[0] >= 0 and not self._is_saved():
            self._save(at_once=True)

    def wait(self) -> None:
        """Wait until everything is on the disk. Raises what went wrong in the background."""
        self._check_use()
        self._saver.writer.wait()
        self._raise_background()

    def _look(self) -> None:
        """Save if that is due, and work out until when nothing is."""
        self._check_use()
        self._raise_background()
        step, epoch = self._loop.settle()
        self._loop.check_order(self._folder.path)
        if self._pace.is_due(step, epoch):
            self._save()
        elif not self._loop.tried:
            self._saver.try_out(self._tracked, self.position)
        self._loop.tried = True
        if self._signals.pending is not None:
            self._end()
        self._pace.look_ahead(self._loop.now[1])

    def _save(self, *, mark: str | None = None, note: str | None = None, at_once: bool = False) -> None:
        began = monotonic()
        (step, epoch), metrics = self._loop.settle(), self._loop.metrics()
        self._loop.check_order(self._folder.path)
        was_well, sick = self._checkup.well, self._checkup.diagnosis(self._tracked, metrics, self._saver.history.values)
        if sick is not None and mark is None:
            mark, note = "unhealthy", sick
        if sick is not None and was_well:
            warnings.warn(warning(step, sick), stacklevel=CALLER)
        self._saver.save(self._tracked, self.position, metrics, mark=mark, note=note, at_once=at_once)
        self._loop.saved, self._loop.least = step, step
        self._pace.saved(began, step, epoch)

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """What there is on the disk, oldest first; see ``Checkpoint``. What is still being written is not among it."""
        return listed(self._folder, self._saver.policy)

    def pin(self, step: int | None = None, *, pinned: bool = True) -> None:
        """Keep the checkpoint of ``step`` (None: the newest) for good, or no longer: its file's name says so.

        Raises KeyError when there is none.
        """
        self._check_use()
        self._saver.writer.wait()
        name = self._folder.find(step)
        if name.pinned != pinned:
            self._folder.rename(name, name.marked("pinned", pinned))

    def prove_resume(self, step_function: Callable[[int], Any], steps: int) -> "Proof":
        """Prove that a resume is exact: run ``steps`` steps, restore, run them again, and compare bit by bit.

        ``step_function`` is called with the number of each step and takes its batches from what is tracked. Afterwards
        everything is as it was before. Raises DriftError that names the first state that differs.
        """
        from holdfast.checkpoint.prove import prove_resume

        return prove_resume(self._tracked, step_function, steps, start=self.position.step, exact=self._saver.exact)

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Wait for what is being written and let go of the folder. A second call does nothing.

        Raises what went wrong in the background.
        """
        if self._closed or self._process != os.getpid():
            return
        self._closed = True
        try:
            self._saver.writer.close()
        finally:
            self._signals.restore()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close. When an exception ends the block (Ctrl-C too), save the last step first, if it is not saved yet.

        That is a good checkpoint as far as the weights go, and ``resume`` goes on from it; random numbers and the place
        in the data may be a step further, of which the resume warns. When an optimiser had begun a further step, the
        weights are too: then the file is marked ``interrupted``, and gone on from only if there is nothing else.
        """
        if error is None:
            self.close()
            return
        for act in (partial(self._rescue, type(error).__name__), self.close):
            try:
                act()
            except Exception as failure:
                error.add_note(f"holdfast: {type(failure).__name__}: {failure}")

    def _rescue(self, reason: str) -> None:
        step = self._loop.now[0]
        if self._closed or self._readonly or self._process != os.getpid() or step < 0 or self._is_saved():
            return
        mark = "interrupted" if self._loop.moved else None
        self._save(mark=mark, note=f"{reason} ended the loop after step {step:,}", at_once=True)

    def _end(self) -> None:
        """Save, if this step is not saved yet, and let the signal do what it does."""
        try:
            if not self._is_saved():
                self._save(at_once=True)
        except Exception:
            traceback.print_exc()
        finally:
            self._signals.deliver()

    def _is_saved(self) -> bool:
        """Whether the last step that is done is on the disk."""
        self._saver.writer.wait()
        return self._loop.now[0] == self._loop.saved and self._folder.holds(self._loop.now[0])

    # -- small parts --------------------------------------------------------------------------------------------------

    def _raise_background(self) -> None:
        # A job that has failed may still be on its way to the writer's list: then this is looked at again.
        under_way = self._loop.urgent and not self._saver.writer.is_idle
        self._loop.urgent = under_way or self._signals.pending is not None
        self._saver.writer.raise_error()

    def _check_use(self, *, writing: bool = True) -> None:
        if self._closed:
            raise ValueError(f"the Series of {self._folder.path} is closed")
        if self._process != os.getpid():
            raise HoldfastError(f"this is a forked process; the Series of {self._folder.path} belongs to its parent")
        if writing and self._readonly:
            raise ValueError(f"the Series of {self._folder.path} is readonly: it only looks and restores")
