"""One background thread that does one write after another.

Strategy: the thread lives as long as there is work and no longer. It is no daemon, so the interpreter ends only when
the last write is done, and since an idle writer has no thread, there is nothing to wait for otherwise. At most one job
waits; a further one takes its place, because the newest checkpoint is the one that counts. What fails is kept until
``raise_error`` or ``close`` raises it, or printed at the end of the program.
"""

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.errors import HoldfastError

Act = Callable[[], None]


@dataclass(slots=True)
class Job:
    """A piece of work, what to call it, and what to do if it is never done because a newer one took its place."""

    work: Act
    label: str
    dropped: Act | None = None


class Writer:
    """Does jobs in the background, in order, one at a time.

    >>> done = []
    >>> writer = Writer()
    >>> writer.submit(lambda: done.append(1), "step 1")
    >>> writer.close()
    >>> done
    [1]
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: Job | None = None
        self._running: Job | None = None
        self._turn: object = None
        self._errors: list[BaseException] = []
        self._closed = False
        self._process = os.getpid()
        weakref.finalize(self, _print_lost, self._errors, self._process)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being written or waits for it."""
        return self._waiting is None and self._running is None

    def submit(self, work: Act, label: str, *, dropped: Act | None = None) -> str | None:
        """Have ``work`` done after what is being done now; gives the label of the waiting job that it replaces, if any.

        label    names the job in errors
        dropped  called instead of ``work`` if a newer job takes this one's place

        Does it at once, before it returns, where no thread can be started (the interpreter is ending). Raises
        HoldfastError after ``close``, and in a process that was forked from the one that made this writer.
        """
        if self._closed or not self._is_ours():
            reason = "closed" if self._is_ours() else "another process's: a forked process needs a series of its own"
            raise HoldfastError(f"{label} cannot be written: this writer is {reason}")
        job = Job(work, label, dropped)
        with self._condition:
            replaced, self._waiting = self._waiting, job
            turn = None if self._turn is not None else object()
            if turn is not None:
                self._turn = turn
        if turn is not None:
            self._start(turn, job)
        return _drop(replaced)

    def withdraw(self) -> str | None:
        """Take back the job that waits, if any, so that its memory is free for the next one; gives its label."""
        if not self._is_ours():
            return None
        with self._condition:
            withdrawn, self._waiting = self._waiting, None
        return _drop(withdrawn)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is done, or for ``timeout`` seconds; gives whether all is done. Raises no job's error."""
        if not self._is_ours():
            return True
        end = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while not self.is_idle:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._condition.wait(left)
        return True

    def raise_error(self) -> None:
        """Raise the error of the first job that failed since the last call; later ones stand in its notes."""
        if not self._is_ours():
            return
        with self._condition:
            errors = self._errors[:]
            self._errors.clear()
        if errors:
            for later in errors[1:]:
                errors[0].add_note(f"and then {type(later).__name__}: {later}; {'; '.join(later.__notes__)}")
            raise errors[0]

    def close(self) -> None:
        """Wait until all is done and raise what failed. May be called again."""
        self.wait()
        self._closed = True
        self.raise_error()

    def _is_ours(self) -> bool:
        # In a forked child the thread is missing, and its lock may be held by nobody.
        return self._process == os.getpid()

    def _start(self, turn: object, job: Job) -> None:
        thread = threading.Thread(target=self._work, args=(turn,), name="holdfast-writer")
        # The thread waits for the lock: it does not take the interpreter from the training at once, nor the job before
        # an interrupted start has been undone.
        with self._condition:
            try:
                thread.start()
                return
            except RuntimeError:
                pass
            except BaseException:
                if self._waiting is job:
                    # Whether the thread came up or not: it looks at this first and goes.
                    self._waiting = self._turn = None
                raise
        self._work(turn)

    def _work(self, turn: object) -> None:
        """Do what waits until nothing does; only the thread whose turn it is."""
        while True:
            with self._condition:
                if self._turn is not turn:
                    return
                job, self._waiting = self._waiting, None
                self._running = job
                if job is None:
                    self._turn = None
                    self._condition.notify_all()
                    return
            try:
                job.work()
            except BaseException as error:
                error.add_note(f"while {job.label} was written in the background")
                with self._condition:
                    self._errors.append(error)
            finally:
                with self._condition:
                    self._running = None


def _drop(job: Job | None) -> str | None:
    if job is None:
        return None
    if job.dropped is not None:
        job.dropped()
    return job.label


def _print_lost(errors: list[BaseException], process: int) -> None:
    """Print what nobody has asked for: the writer is going, or the program is."""
    if process == os.getpid():
        for error in errors:
            sys.excepthook(type(error), error, error.__traceback__)
        errors.clear()
