"""A process that does everything again and again does not grow; and whether growth would be seen.

Strategy: it is the campaign ``steady`` of ``soak/``; here a few rounds of it, and three faults that it has to notice.
"""

import pytest

from runs import campaign, counted

LEAKS = {
    "memory": "holdfast.kept.append(bytearray(1 << 17))",
    "descriptors": "holdfast.kept.append(os.dup(0))",
    "threads": "threading.Thread(target=holdfast.wait, daemon=True).start()",
}
LEAKING = """
import os, threading, holdfast
from holdfast.formats import bson
holdfast.kept, holdfast.wait, opened = [], threading.Event().wait, bson.open_file
def leaking(*arguments, **options):
    {leak}
    return opened(*arguments, **options)
bson.open_file = leaking
"""


def test_a_process_does_not_grow() -> None:
    done = campaign("steady", "--count", 25)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = counted(done.stdout)
    assert counts["rounds"] == 25
    assert counts["descriptors"] > 2
    assert counts["threads"] >= 1


@pytest.mark.parametrize("leak", LEAKS)
def test_growth_is_noticed(leak: str) -> None:
    done = campaign("steady", "--count", 25, "--only", "bson", before=LEAKING.format(leak=LEAKS[leak]))
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"1 growing {leak}" in done.stdout


def test_too_few_measures_are_no_result() -> None:
    done = campaign("steady", "--count", 3, "--only", "bson")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 not run" in done.stdout
