"""Who may write: one process at a time, and whoever comes after a dead one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import HoldfastError
from holdfast.checkpoint import Series
from holdfast.checkpoint.lock import LOCK, Lock, holder
from holdfast.storage import system
from runs import environment, names, python, run, started

HOLD = """
import sys, time
from holdfast.checkpoint.lock import Lock
lock = Lock(sys.argv[1])
print("held", flush=True)
sys.stdin.read() if len(sys.argv) > 2 else time.sleep(60)
"""


def test_a_second_series_is_refused_and_told_who(tmp_path: Path) -> None:
    with started(HOLD, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(HoldfastError, match=rf"in use by process {process.pid} on .* since 20") as caught:
            Series(tmp_path)
        assert "readonly=True" in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_holder_does_not_block(tmp_path: Path, number: int) -> None:
    with started(HOLD, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        process.wait(10)
        about = json.loads((tmp_path / LOCK).read_text())
        assert about["pid"] == process.pid
        Lock(str(tmp_path)).release()


def test_two_in_one_process(tmp_path: Path) -> None:
    first = Series(tmp_path)
    with pytest.raises(HoldfastError, match="another Series of this process"):
        Series(tmp_path, name="other")
    first.close()
    with Series(tmp_path):
        pass
    Series(tmp_path).close()


def test_a_series_that_nobody_holds_any_more_lets_go(tmp_path: Path) -> None:
    series = Series(tmp_path)
    del series
    Series(tmp_path).close()


def test_readers_need_no_lock(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 3)
        reader = Series(tmp_path, readonly=True)
        assert [one.step for one in reader.checkpoints] == [0, 1, 2]
        for act in (lambda: reader.step(3), reader.save, reader.pin, lambda: reader.rollback("best")):
            with pytest.raises(ValueError, match="readonly"):
                act()
        reader.close()
    assert not (tmp_path / "none").exists()
    assert Series(tmp_path / "none", readonly=True).checkpoints == []
    assert not (tmp_path / "none").exists()


FORK = r"""
import os, signal, sys
from holdfast.checkpoint import Series
series = Series(sys.argv[1])
child = os.fork()
if not child:
    try:
        series.save(0)
    except Exception as error:
        os.write(1, f"{type(error).__name__} {'forked' in str(error)}\n".encode())
    series.close()
    signal.pause()
os.write(1, f"{child}\n".encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_forked_child_does_not_hold_it(tmp_path: Path) -> None:
    """A data loader's worker outlives the process that was killed; the next run must not wait for it."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORK, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    lines = {process.stdout.readline().strip(), process.stdout.readline().strip()}
    child = int(next(line for line in lines if line.isdigit()))
    try:
        assert process.wait(30) == -signal.SIGKILL
        assert "HoldfastError True" in lines
        os.kill(child, 0)  # it is alive
        Series(tmp_path).close()
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_where_there_are_no_locks_it_works_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "fcntl", None)
    with Series(tmp_path), Series(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"pid": 1'])
def test_a_lock_file_that_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK).write_text(text)
    assert holder(str(tmp_path)) == "another process"


def test_the_lock_leaves_nothing_but_its_file(tmp_path: Path) -> None:
    with Series(tmp_path):
        pass
    assert names(tmp_path) == []
    assert os.listdir(tmp_path) == [LOCK]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / LOCK).symlink_to("target")
    with pytest.raises(OSError):
        Lock(str(tmp_path))
    assert (tmp_path / "target").read_text() == "precious"


def test_import_takes_no_lock(tmp_path: Path) -> None:
    assert python("import holdfast.checkpoint, sys; print('torch' in sys.modules)").stdout == "False\n"
