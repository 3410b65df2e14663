"""A disk that is full, at every 4 KiB of a save.

Strategy: it is the campaign ``full`` of ``soak/``, which says how it is done; here one way is tried at every 4 KiB, and of all
ways a part. Where nothing may be mounted, those are tried that need no rights.
"""

from runs import IN_PLACE, campaign, counted
from soak.full import VARIANTS

EVERY = 260
"""What a mebibyte has of 4 KiB, and four more."""


def test_at_every_4_kib() -> None:
    done = campaign("full", "--count", EVERY, "--only", "cached-limit-midway")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = counted(done.stdout)
    assert counts["full disks"] > 250
    assert counts["full disks"] + counts["saves that fitted"] == EVERY


def test_in_every_way() -> None:
    done = campaign("full", "--count", 25 * len(VARIANTS), "--seed", 7)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counted(done.stdout)["full disks"] > 20 * len(VARIANTS)


def test_a_save_that_writes_in_place_is_noticed() -> None:
    done = campaign("full", "--count", 40, "--only", "cached-limit-midway", before=IN_PLACE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert counted(done.stdout)["torn"] > 0
