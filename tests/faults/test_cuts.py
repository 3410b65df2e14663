"""Power cuts on ext4 and xfs: what was told to be safe is there, and whole.

Strategy: the cuts are the campaign ``cuts`` of ``soak/``, which says how they are done; here a few are made in each way of
saving, and then against saves that leave out a sync, which the cuts have to notice.
"""

import pytest

from runs import campaign, counted
from soak.cuts import VARIANTS
from soak.volume import missing

if why := missing("ext4", "xfs"):
    pytest.skip(why, allow_module_level=True)


def test_what_was_safe_is_there() -> None:
    done = campaign("cuts", "--count", 6 * len(VARIANTS), "--seed", 7)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = counted(done.stdout)
    assert counts["cuts"] == 6 * len(VARIANTS)
    assert counts["acknowledged saves"] > 20  # the children did save


BUG = """
import os, stat
from holdfast.storage import system
sync = system.sync
def forgetful(fd):
    if stat.S_ISDIR(os.fstat(fd).st_mode) != {folder}:
        sync(fd)
system.sync = forgetful
"""


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("folder", "wrong"), [(False, "torn"), (True, "lost")], ids=["of the file", "of the folder"])
def test_a_sync_that_is_left_out(variant: str, folder: bool, wrong: str) -> None:
    done = campaign("cuts", "--count", 100, "--only", variant, before=BUG.format(folder=folder))
    assert done.returncode == 1, done.stdout + done.stderr
    assert counted(done.stdout)[wrong] == 1
