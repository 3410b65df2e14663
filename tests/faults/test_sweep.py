"""Every system call of a save and of a checkpoint fails in turn.

Strategy: the sweep is the campaign ``faults`` of ``soak/``, which says how it is done; here a part of it is run, mixed from
all scenes, and then against saves that are not safe, each of which it has to notice.
"""

import pytest

from runs import IN_PLACE, campaign, counted
from soak import inject
from soak.faults import VARIANTS

if why := inject.missing():
    pytest.skip(why, allow_module_level=True)


def test_every_call_fails() -> None:
    done = campaign("faults", "--count", 300, "--seed", 7)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = counted(done.stdout)
    assert counts["fault points"] > 270  # threads share their work out as they come, so a point may not be reached
    assert min(counts[what] for what in ("errors", "done all the same", "kills")) > 10


BUGS = {
    "torn": IN_PLACE,
    "lost": """
import contextlib
from holdfast.storage.folder import Folder
replace = Folder.replace
def forgiving(self, old, new):
    with contextlib.suppress(OSError):
        replace(self, old, new)
Folder.replace = forgiving
""",
    "untrue": """
from holdfast.storage import local
local._explained = lambda path, size: __import__("contextlib").nullcontext()
""",
    "leaked": """
from holdfast.storage.draft import Draft
Draft.close = lambda self: None
""",
    "littered": """
from holdfast.storage import local
local.sweep = lambda folder: None
""",
}
"""What may never be, and a fault of a save that leads to it."""


@pytest.mark.parametrize("wrong", BUGS)
def test_the_sweep_notices(wrong: str) -> None:
    done = campaign("faults", "--count", 200, "--only", "old", before=BUGS[wrong])
    assert done.returncode == 1, done.stdout + done.stderr
    assert counted(done.stdout)[wrong] > 0, done.stdout


def test_every_scene_has_points() -> None:
    """None is left out because its calls are not found."""
    for name in VARIANTS:
        done = campaign("faults", "--count", 12, "--only", name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert counted(done.stdout)["fault points"] > 8
