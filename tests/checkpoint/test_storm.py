"""Kill storm: a process that saves in a loop is killed at random moments, and every time the run goes on.

Strategy: the storm is the campaign ``kills`` of ``soak/``, which says how it is done; here it is run a hundred times for
each way of saving, and once against a way of saving that is not safe, which it has to notice.
"""

import re
import shutil
from pathlib import Path

import pytest

from runs import IN_PLACE, campaign, counted, python


@pytest.mark.parametrize("way", ["background", "at-once", "overlap"])
def test_a_run_that_is_killed_goes_on(way: str) -> None:
    done = campaign("kills", "--count", 80, "--only", way, "--seed", 7)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = counted(done.stdout)
    assert counts["kills"] == 80
    assert counts["acknowledged saves"] > 20  # the children did save
    assert counts["lost"] == counts["torn"] == counts["littered"] == 0


def test_the_storm_notices_a_save_that_writes_in_place() -> None:
    done = campaign("kills", "--count", 300, "--only", "at-once", before=IN_PLACE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 torn" in done.stdout
    left = re.search(r"the folder is (.*)", done.stderr)
    assert left is not None  # which stays, to be looked at
    shutil.rmtree(Path(left[1]).parent)


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
