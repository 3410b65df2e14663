"""System calls that fail: strace attaches to a child that stands ready, and gives it an answer of its own.

Strategy: the child is forked from a process that has imported everything, says through a pipe that it is ready, and waits
for a signal. Then strace attaches, with the order which call is to fail (the n-th of its name, counted for each thread), and
the child acts. A first run without a fault lists the calls. Between two calls of ``getppid`` stands what counts.
"""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

CALLS: Final = "%file,%desc"
"""strace's names for the calls that take a path or a descriptor."""
MARK: Final = "getppid"
CALL: Final = re.compile(r"(\d+) +(\w+)\(")
"""The number of a thread and the name of what it calls."""
GO: Final = signal.SIGUSR1
PATIENCE: Final = 120.0
"""Seconds after which a child hangs."""

Act = Callable[[], object]
Prepare = Callable[[], Act]
"""What a child does before strace attaches; gives what it does then."""


@dataclass(frozen=True, slots=True)
class Point:
    """The ``number``-th call of that name (from 1 on, in each thread), and what becomes of it: strace's words for it."""

    call: str
    number: int
    fault: str

    def __str__(self) -> str:
        return f"{self.call} {self.number}: {self.fault}"

    @property
    def order(self) -> str:
        return f"inject={self.call}:{self.fault}:when={self.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an act ended.

    killed   the process was
    kinds    the classes of the exception, its own first; none when there was no exception
    text     what it said
    leaked   descriptors that are open and were not before; threads that are still there
    log      the lines of strace
    """

    killed: bool
    kinds: Sequence[str] = ()
    text: str = ""
    leaked: int = 0
    log: Sequence[str] = ()

    @property
    def injected(self) -> int:
        """How many calls of the act were answered by strace."""
        return sum("(INJECTED" in line for line in act_of(self.log)) or int(self.killed)


def missing() -> str | None:
    """Why this cannot be done here; None when it can."""
    strace = shutil.which("strace")
    if strace is None:
        return "needs strace"
    child = subprocess.Popen(["sleep", "60"])
    try:
        tracer = subprocess.Popen([strace, "-o", os.devnull, "-p", str(child.pid)], stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
    finally:
        child.kill()
        child.wait()
    tracer.communicate()
    return None if "attached" in line else f"strace may not attach to a process here ({line.strip()})"


def acted(prepare: Prepare, options: Sequence[str], log: Path) -> Outcome:
    """Fork a child, let it prepare itself, attach strace with ``options`` (none: no strace), and let it act."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {GO})
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _act(prepare, write)
    os.close(write)
    try:
        return _watched(child, read, options, log)
    finally:
        os.close(read)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _act(prepare: Prepare, pipe: int) -> NoReturn:
    """What the child does."""
    try:
        act = prepare()
        before = _descriptors()
        os.write(pipe, b"\n")
        signal.sigwait({GO})
        error: BaseException | None = None
        os.getppid()
        try:
            act()
        except BaseException as caught:
            error = caught
        os.getppid()
        leaked = len(_descriptors() - before) + threading.active_count() - 1
        kinds = [one.__name__ for one in type(error).__mro__[:-1]] if error is not None else []
        told = {"kinds": kinds, "text": str(error or ""), "leaked": leaked}
        os.write(pipe, json.dumps(told).encode() + b"\n")
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _descriptors() -> set[str]:
    for _ in range(5):  # a fault may be meant for a call that the act did not come to
        with contextlib.suppress(OSError):
            return set(os.listdir("/proc/self/fd"))
    raise OSError("the descriptors of this process cannot be listed")


def _watched(child: int, pipe: int, options: Sequence[str], log: Path) -> Outcome:
    tracer, told = None, b""
    try:
        if _line(pipe) == b"\n":
            tracer = _attached(child, options, log) if options else None
            os.kill(child, GO)
            told = _line(pipe)
    finally:
        if not told:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if tracer is not None:
            tracer.communicate()
    lines = log.read_text(errors="replace").splitlines() if options else []
    if told:
        return Outcome(killed=False, log=lines, **json.loads(told))
    if not any("killed by SIGKILL" in line for line in lines):
        raise RuntimeError(f"the child ended by itself, with {os.waitstatus_to_exitcode(status)}")
    return Outcome(killed=True, log=lines)


def _line(pipe: int) -> bytes:
    """What the child says next; nothing when it is dead."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([pipe], [], [], PATIENCE)[0]:
            raise TimeoutError(f"the child has said nothing for {PATIENCE:.0f} s")
        more = os.read(pipe, 1 << 16)
        if not more:
            return b""
        line += more
    return line


def _attached(child: int, options: Sequence[str], log: Path) -> "subprocess.Popen[str]":
    command = ["strace", "-f", "-o", str(log), *(word for option in options for word in ("-e", option))]
    tracer = subprocess.Popen([*command, "-p", str(child)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        raise RuntimeError(f"strace did not attach: {line}")
    return tracer


def calls(log: Sequence[str]) -> list[tuple[str, int]]:
    """The calls between the marks: name and number, as strace counts them.

    >>> calls(["7 close(9) = 0", "7 getppid() = 1", "7 close(3) = 0", "8 close(4) = 0", "8 close(5) = 0", "7 getppid() = 1"])
    [('close', 2), ('close', 1)]
    """
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], None] = {}
    marks = 0
    for match in filter(None, map(CALL.match, log)):
        thread, name = match.groups()
        counts[thread, name] += 1
        if name == MARK:
            marks += 1
        elif marks == 1:
            found[name, counts[thread, name]] = None
    return list(found)


def act_of(log: Sequence[str]) -> Sequence[str]:
    """The lines between the marks."""
    marks = [index for index, line in enumerate(log) if f" {MARK}(" in line]
    return log[marks[0] + 1 : marks[1] if len(marks) > 1 else None] if marks else ()
