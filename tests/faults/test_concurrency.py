"""Several at once: two that save to one path, readers during saves, maps of what is replaced, forks in the middle.

Strategy: every number in a file is that of its save, so that a mixture of two is seen. Two Series on one folder are in
tests/checkpoint/test_lock.py.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from holdfast import HoldfastError, load, save, verify
from holdfast.checkpoint import Series
from runs import fill, python, started, state, steps_on_disk
from soak.faults import around

SAVES = 60
SIZE = 1 << 16


def numbers(values: dict[str, np.ndarray]) -> set[float]:
    return {float(number) for array in values.values() for number in (array.min(), array.max())}


SAVER = """
import os, sys
import numpy as np
from holdfast import save
from soak.faults import around
path, first, count, direct = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "True"
print("ready", flush=True)
sys.stdin.readline()
with around(direct):
    for number in range(first, first + count):
        save(path, a=np.full(1 << 16, float(number)), b=np.full(1 << 16, float(number)))
        print(number, flush=True)
"""


@pytest.fixture
def saver() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a process that saves over and over, and is ready for it: ``saver(path, first, count, direct)``."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: object) -> "subprocess.Popen[str]":
            process = stack.enter_context(started(SAVER, *arguments))
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            return process

        yield start


def go(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def look(path: Path) -> set[float]:
    """What a reader sees, mapped and read: each whole."""
    seen = set()
    for mmap in (True, False):
        there = numbers(load(path, mmap=mmap))
        assert len(there) == 1, there
        seen |= there
    return seen


@pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])
def test_two_processes_save_to_one_path(tmp_path: Path, saver, direct: bool) -> None:
    """Each result is one of the two, whole; neither takes the other's draft for litter."""
    path = tmp_path / "m.bson"
    save(path, a=np.zeros(SIZE), b=np.zeros(SIZE))
    both = [saver(path, first, SAVES, direct) for first in (1000, 2000)]
    go(*both)
    seen: set[float] = set()
    while any(process.poll() is None for process in both):
        seen |= look(path)
    for process in both:
        out, error = process.communicate()
        assert process.returncode == 0, error
        assert len(out.splitlines()) == SAVES
    assert look(path) <= {1000.0 + SAVES - 1, 2000.0 + SAVES - 1}
    assert seen - {0.0} <= {first + number for first in (1000.0, 2000.0) for number in range(SAVES)}
    verify(path)
    assert os.listdir(tmp_path) == ["m.bson"]


def test_a_reader_never_goes_back(tmp_path: Path, saver) -> None:
    """During the saves of one process a reader sees files that are whole, each as new as the one before or newer."""
    path = tmp_path / "m.bson"
    save(path, a=np.zeros(SIZE), b=np.zeros(SIZE))
    process = saver(path, 1, SAVES, False)
    go(process)
    last = 0.0
    while process.poll() is None:
        for number in sorted(look(path)):
            assert number >= last
            last = number
        verify(path)
    assert look(path) == {float(SAVES)}


@pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])
def test_what_is_mapped_stays(tmp_path: Path, direct: bool) -> None:
    """Whoever has mapped the old file keeps it, whatever comes in its place, and may change it."""
    path = tmp_path / "m.bson"
    save(path, a=np.full(SIZE, 1.0))
    old, opened = load(path, "a"), load(path, "a", verify=False)  # of which no byte is read yet
    with around(direct):
        for number in (2.0, 3.0):
            save(path, a=np.full(SIZE, number))
    assert (opened == 1).all()
    old += 10
    assert (old == 11).all()
    assert (load(path, "a") == 3).all()
    save(path, a=old)  # from the old map over the new file
    assert (load(path, "a") == 11).all()


@pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])
def test_a_file_is_saved_over_itself(tmp_path: Path, direct: bool) -> None:
    """The values that are written are maps of the very file that they replace."""
    path = tmp_path / "m.bson"
    save(path, a=np.arange(SIZE), b=np.full(SIZE, 7.0))
    with around(direct):
        for _ in range(3):
            save(path, load(path))
    values = load(path)
    assert (values["a"] == np.arange(SIZE)).all()
    assert (values["b"] == 7).all()


def test_threads_save_to_one_path(tmp_path: Path) -> None:
    path, errors = tmp_path / "m.bson", []

    def work(first: int) -> None:
        try:
            for number in range(first, first + 15):
                save(path, a=np.full(SIZE, float(number)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert look(path) <= {114.0, 214.0, 314.0}
    assert os.listdir(tmp_path) == ["m.bson"]


# Forks


FORK = """
import os, signal, sys, threading, time, warnings
import numpy as np
from holdfast import HoldfastError, load, save
from holdfast.checkpoint import Series
from holdfast.storage import system
from runs import fill, state
warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of a fork with threads

begun, go_on = threading.Event(), threading.Event()
sync = system.sync
def slow(fd):
    begun.set()
    go_on.wait()
    sync(fd)

tracked = state()
series = Series(sys.argv[1], every_steps=1).track(**tracked)
system.sync = slow
fill(tracked, 0)
series.step(0)
begun.wait()                        # the writer is in the middle of it
child = os.fork()
if not child:
    signal.alarm(30)                # a child that hangs dies of it
    system.sync = sync
    told = []
    for act in (lambda: series.step(1), lambda: series.save(1), series.wait, series.finish):
        try:
            act()
            told.append("done")
        except HoldfastError as error:
            told.append("forked process" in str(error))
    series.close()
    save(sys.argv[2], a=np.ones(3))                            # a file of its own
    with Series(sys.argv[3], every_steps=1) as own:            # a folder of its own
        own.track(**tracked).resume()
        own.step(0)
    try:
        Series(sys.argv[1])                                    # not its parent's, as long as that is at work
    except HoldfastError as error:
        told.append(f"process {os.getppid()}" in str(error))
    Series(sys.argv[1], readonly=True).close()
    sys.exit(0 if told == [True] * 5 else str(told))           # through the interpreter's end, finalizers and all
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
go_on.set()
series.wait()
fill(tracked, 1)
series.step(1)
series.close()
"""


def test_fork_during_a_background_write(tmp_path: Path) -> None:
    """The child neither hangs nor writes to its parent's folder; it may save elsewhere. The parent's write ends well."""
    run, file, other = tmp_path / "run", tmp_path / "m.bson", tmp_path / "other"
    done = python(FORK, run, file, other)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\n", done.stderr
    assert steps_on_disk(run) == [0, 1]
    assert steps_on_disk(other) == [0]
    assert (load(file, "a") == 1).all()
    for folder in (run, other, tmp_path):
        assert not [name for name in os.listdir(folder) if "holdfast" in name]


FORK_IN_SAVE = """
import os, signal, sys, threading, warnings
import numpy as np
from holdfast import save
from holdfast.storage import system
warnings.simplefilter("ignore", DeprecationWarning)
begun, go_on = threading.Event(), threading.Event()
sync = system.sync
def slow(fd):
    begun.set()
    go_on.wait()
    sync(fd)
system.sync = slow
thread = threading.Thread(target=save, args=(sys.argv[1],), kwargs={"a": np.full(1 << 16, 1.0)})
thread.start()
begun.wait()
child = os.fork()
if not child:
    signal.alarm(30)
    system.sync = sync
    save(sys.argv[1], a=np.full(1 << 16, 2.0))      # the same path, in the middle of its parent's save
    if sys.argv[2] == "stays":
        os.write(1, b"saved\\n")
        signal.pause()
    os._exit(0)
print(child, flush=True)
if sys.argv[2] == "ends":
    os.waitpid(child, 0)
go_on.set()
thread.join()
"""


@pytest.mark.parametrize("child", ["ends", "stays"])
def test_a_child_saves_in_the_middle_of_its_parents_save(tmp_path: Path, child: str) -> None:
    """It does not take the draft for litter: the parent's lock is its own, whatever descriptors the child has copied.

    A child that stays has copies of the descriptors. That keeps nobody from saving, and leaves nothing behind.
    """
    path = tmp_path / "m.bson"
    with started(FORK_IN_SAVE, path, child) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(1 + (child == "stays"))]
        number = next(int(line) for line in lines if line.isdigit())
        try:
            assert process.wait(60) == 0
            assert len(look(path)) == 1
            save(path, a=np.full(SIZE, 3.0), b=np.full(SIZE, 3.0))
            assert os.listdir(tmp_path) == ["m.bson"]
        finally:
            if child == "stays":
                os.kill(number, signal.SIGKILL)


# Two Series, and who is left


def test_a_reader_of_checkpoints_during_a_run(tmp_path: Path) -> None:
    """What is listed can be loaded, unless retention has let it go meanwhile."""
    tracked = state(size=2000)
    with Series(tmp_path, every_steps=1, keep_last=2) as series:
        series.track(**tracked).resume()
        reader = Series(tmp_path, readonly=True)
        for step in range(30):
            fill(tracked, step)
            series.step(step)
            if step % 3 == 0:
                series.wait()  # a later save takes the place of one that waits: on a busy machine only the last is left
            for one in reader.checkpoints:
                with contextlib.suppress(FileNotFoundError):
                    values = load(one.path, mmap=False)
                    assert len({float(number) for name in tracked for number in values[name]}) == 1
        series.wait()
        with pytest.raises(HoldfastError, match="in use"):
            Series(tmp_path)
    left = steps_on_disk(tmp_path)
    assert len(left) == 2
    assert left[-1] == 29
