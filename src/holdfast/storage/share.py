"""Work on one file, shared out over a few threads.

Strategy: each thread takes the next job as long as there are any, and the thread that asked is one of them. The first
error stops all and is the one that is raised; nobody comes back while a thread is still at work on the file.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from holdfast.storage import system

Job = TypeVar("Job")
Worker = Callable[[Job], object]


class Shared(Generic[Job]):
    """Jobs on the open file ``fd``. ``hire`` makes a thread's own worker, from a descriptor and the sign to stop."""

    def __init__(self, fd: int, jobs: Iterable[Job], hire: Callable[[int, threading.Event], Worker[Job]]) -> None:
        self._fd = fd
        self._left = deque(jobs)
        self._hire = hire
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def run(self, threads: int) -> None:
        """Do everything, on ``threads`` threads at most; raises the first error of any of them."""
        try:
            self._start(min(threads, len(self._left)) - 1)
            self._work_off(self._fd)
            self._join()
        finally:
            self._stop.set()
            self._join()
        if self._error is not None:
            raise self._error

    def _start(self, threads: int) -> None:
        for _ in range(threads):
            # Each has a descriptor of its own: should an impatient second Ctrl-C leave it behind, it cannot touch
            # whatever file gets our number next.
            fd = system.duplicate(self._fd)
            worker = threading.Thread(target=self._work, args=(fd,), name="holdfast-file")
            try:
                worker.start()
            except RuntimeError:  # no more threads, or the interpreter is ending: then with those that there are
                system.close(fd)
                break
            self._threads.append(worker)

    def _join(self) -> None:
        for worker in self._threads:
            worker.join()

    def _work(self, fd: int) -> None:
        try:
            self._work_off(fd)
        except BaseException as error:
            self._error = self._error or error
            self._stop.set()
        finally:
            system.close(fd)

    def _work_off(self, fd: int) -> None:
        work = self._hire(fd, self._stop)
        while self._left and not self._stop.is_set():
            try:
                job = self._left.popleft()
            except IndexError:  # another thread took the last one
                return
            work(job)
