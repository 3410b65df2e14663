"""SIGTERM and SIGINT: the step is finished, the state saved, and the process ends as it would have (complaint 18)."""

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from holdfast import HoldfastError
from holdfast.checkpoint import Series
from holdfast.checkpoint.signals import Signals
from runs import names, python, started, state, steps_on_disk

LOOP = """
import signal, sys, time
from holdfast.checkpoint import Series
from runs import fill, state

{before}
tracked = state()
series = Series(sys.argv[1], on_signal=True, {options})
step = series.track(**tracked).resume().step
print("ready", flush=True)
try:
    while True:
        fill(tracked, step)
        time.sleep(0.002)
        series.step(step)
        print("done", step)          # not flushed: the end of the process has to
        step += 1
        {after}
except KeyboardInterrupt:
    print("interrupted after", step)
    raise
"""

ENDS = [
    (signal.SIGTERM, "", "every_steps=1000", -signal.SIGTERM),
    (signal.SIGTERM, "", "every_steps=1", -signal.SIGTERM),
    (signal.SIGTERM, "", "every_steps=1, background=False", -signal.SIGTERM),
    (signal.SIGTERM, "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", "every_steps=1000", 7),
    (signal.SIGINT, "", "every_steps=1000", -signal.SIGINT),
]


@pytest.mark.parametrize(("number", "before", "options", "code"), ENDS)
def test_a_signal_saves_and_ends(tmp_path: Path, number: int, before: str, options: str, code: int) -> None:
    script = LOOP.format(before=before, options=options, after="")
    with started(script, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    done = [int(line.split()[1]) for line in out.splitlines() if line.startswith("done")]
    saved = steps_on_disk(tmp_path)[-1]
    assert saved == (done[-1] if done else -1) + 1  # the step that the signal ended is saved, and not yet printed
    assert ("interrupted" in out) == (number == signal.SIGINT)
    with Series(tmp_path) as series:
        assert series.track(**state()).resume().step == saved + 1
        assert all(one.flag == "" and one.note is None for one in series.checkpoints)


def test_a_second_signal_acts_at_once(tmp_path: Path) -> None:
    script = LOOP.format(before="", options="every_steps=1000", after="print('asleep', flush=True); time.sleep(60)")
    with started(script, tmp_path) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "asleep\n":
            pass
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    assert names(tmp_path) == []


def test_a_handler_that_goes_on_goes_on(tmp_path: Path) -> None:
    """A program with a handler of its own is not ended: its handler is called, once the state is saved."""
    before = "signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))"
    script = LOOP.format(before=before, options="every_steps=1000", after="if step == 200: sys.exit(3)")
    with started(script, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "told" in out
    assert len(steps_on_disk(tmp_path)) == 1


def test_a_full_disk_does_not_stop_the_end(tmp_path: Path) -> None:
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    with started(LOOP.format(before=before, options="every_steps=1000", after=""), tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert "no file may grow that large here" in err


FORKED = """
import os, signal, sys, time
from holdfast.checkpoint import Series
series = Series(sys.argv[1], on_signal=True)
child = os.fork()
if not child:
    print("up", flush=True)
    time.sleep(60)
time.sleep(0.2)
os.kill(child, signal.SIGTERM)
print(os.WTERMSIG(os.waitpid(child, 0)[1]))
"""


def test_a_worker_is_ended_by_its_own_signals(tmp_path: Path) -> None:
    """A data loader ends its workers with SIGTERM; a handler that only notes it would have it wait for ever."""
    done = python(FORKED, tmp_path)
    assert done.stdout.split() == ["up", "15"], done.stderr


def test_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    series = Series(tmp_path, on_signal=True)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] != before
    series.close()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    series = Series(tmp_path, on_signal=True)
    del series
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_handlers_are_put_back_when_the_folder_is_taken(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Series(tmp_path):
        with pytest.raises(HoldfastError, match="in use by"):
            Series(tmp_path, on_signal=True)
        assert signal.getsignal(signal.SIGTERM) == before


def test_without_being_asked_no_handler_is_touched(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Series(tmp_path):
        assert signal.getsignal(signal.SIGTERM) == before


def test_handlers_of_others_stay(tmp_path: Path) -> None:
    """Somebody who came later has the last word; somebody who ignores a signal goes on ignoring it."""
    mine, before = (lambda *_: None), signal.getsignal(signal.SIGTERM)
    try:
        series = Series(tmp_path, on_signal=True)
        signal.signal(signal.SIGTERM, mine)
        series.close()
        assert signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with Series(tmp_path, on_signal=True):
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_only_the_main_thread_hears_signals(tmp_path: Path) -> None:
    caught = []

    def elsewhere() -> None:
        try:
            Signals(lambda: None)
        except ValueError as error:
            caught.append(str(error))
        try:
            Series(tmp_path, on_signal=True)
        except ValueError as error:
            caught.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(caught) == 2
    assert all("needs the main thread" in text for text in caught)
    Series(tmp_path).close()  # and nothing is held
