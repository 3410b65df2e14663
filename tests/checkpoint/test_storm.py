"""Kill storm: a process that saves in a loop is killed at random moments, and every time the run goes on (complaint 1).

Strategy: one process forks a child for each kill. The child goes on from the folder and saves at every step, a file of
a megabyte that holds one number; through a pipe it says which steps are on the disk for certain. After the kill the
parent resumes: it must find that step or a later one, whole, and after its next save nothing may lie about. The folder
is one in memory: what a kill leaves behind does not depend on the disk, and how far a child gets would.
"""

import subprocess
from pathlib import Path

import pytest

from runs import python

STORM = """
import os, random, signal, struct, sys, time
from holdfast.checkpoint import Series
from runs import fill, names, state

folder, background, kills, seed = sys.argv[1], sys.argv[2] == "True", int(sys.argv[3]), int(sys.argv[4])
moments = random.Random(seed)       # of its own: a resume puts the global one back

def child(pipe):
    tracked = state(4, 32768)
    series = Series(folder, every_steps=1, background=background)
    step = series.track(**tracked).resume().step
    while True:
        fill(tracked, step)
        series.step(step)
        if background and step % 3 == 0:
            series.wait()
        if not background or step % 3 == 0:
            os.write(pipe, struct.pack("<q", step))
        step += 1

last, littered, saves, skipped = -1, 0, 0, 0
tracked = state(4, 32768)
for kill in range(kills):
    read, write = os.pipe()
    process = os.fork()
    if not process:
        child(write)
    os.close(write)
    time.sleep(moments.uniform(0.001, 0.07))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with open(read, "rb") as pipe:
        said = pipe.read()
    saves += len(said) // 8
    acknowledged = struct.unpack("<q", said[-8:])[0] if said else last
    littered += any("holdfast" in name for name in names(folder))
    with Series(folder, background=False) as series:
        found = series.track(**tracked).resume().step - 1
        assert found >= acknowledged, f"{found} after {acknowledged} was on the disk, kill {kill}"
        if found >= 0:
            values = {float(x) for array in tracked.values() for x in (array.min(), array.max())}
            assert values == {float(found)}, f"step {found} holds {values}"
        skipped += found > acknowledged
        last = found
        if kill % 4 == 3 or kill == kills - 1:
            last += 1
            fill(tracked, last)
            series.save(last)
            left = names(folder)
            assert len(left) <= 3 and all(name.endswith(".bson") and name[0] != "." for name in left), left
assert names(folder) == sorted(names(folder)) and not any(name.endswith(".bad") for name in names(folder))
print(saves, littered, skipped)
"""


@pytest.mark.parametrize("background", [True, False], ids=["in the background", "at once"])
def test_complaint_1_a_run_that_is_killed_goes_on(tmp_path: Path, background: bool) -> None:
    done = storm(tmp_path, background, 110, seed=7)
    assert done.returncode == 0, done.stderr
    saves, littered, _ = map(int, done.stdout.split())
    assert saves > 50  # the children did save
    assert littered > 2  # and were killed in the middle of it


def storm(folder: Path, background: bool, kills: int, seed: int) -> subprocess.CompletedProcess[str]:
    return python(STORM, folder, background, kills, seed, timeout=300)


def test_kills_between_the_names(tmp_path: Path) -> None:
    """Killed within a rollback, between two renames: what is left is the beginning of the run, and it goes on."""
    script = """
import os, signal, sys
from holdfast.checkpoint import Series
from runs import run, state
with Series(sys.argv[1], every_steps=1, keep_last=None, background=False) as series:
    run(series, 6)
    replace, calls = os.replace, []
    def dying(*arguments, **options):
        if len(calls) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(arguments)
        replace(*arguments, **options)
    os.replace = dying
    series.rollback(2)
"""
    for moved in range(3):
        folder = tmp_path / str(moved)
        assert python(script, folder, moved).returncode == -9
        done = python(
            "import sys\nfrom holdfast.checkpoint import Series\nfrom runs import state\n"
            "print(Series(sys.argv[1]).track(**state()).resume().step)",
            folder,
        )
        assert done.stdout == f"{6 - moved}\n", done.stderr
