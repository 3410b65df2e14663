"""SIGTERM and SIGINT, put off until the step is done.

Strategy: the handler notes the signal and nothing else; the loop asks at its next step, saves, and then lets the signal
do what it would have done without us. A second signal does so at once. In a forked child (a data loader's worker) the
handler steps aside. Handlers that somebody ignored stay ignored.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from types import FrameType
from typing import Any, Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Notes the first signal that comes; ``pending`` says which.

    wake     is called from the handler, to have the loop ask soon
    numbers  the signals to note; there may be none

    Raises ValueError outside of the main thread, which alone hears signals.
    """

    def __init__(self, wake: Callable[[], None], numbers: Collection[int] = SIGNALS) -> None:
        if numbers and threading.current_thread() is not threading.main_thread():
            raise ValueError("on_signal=True needs the main thread, for no other hears signals: make the Series there")
        self.pending: int | None = None
        self._wake = wake
        self._process = os.getpid()
        self._before: dict[int, Any] = {}
        for number in numbers:
            # None: a handler that was not installed from Python and could not be put back.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending is not None or os.getpid() != self._process:
            self.pending = number
            self.deliver()
            return
        self.pending = number
        self._wake()

    def restore(self) -> None:
        """Put the handlers back that were there before, unless somebody has put others in their place since."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            if signal.getsignal(number) == self._note:
                with suppress(ValueError):  # closed from another thread: the handlers stay, and step aside
                    signal.signal(number, handler)

    def deliver(self) -> None:
        """Let the signal do what it would have done: end the process, raise KeyboardInterrupt, or call a handler."""
        number, self.pending = self.pending, None
        self.restore()
        if number is None:
            return
        if signal.getsignal(number) == signal.SIG_DFL:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
        signal.raise_signal(number)
