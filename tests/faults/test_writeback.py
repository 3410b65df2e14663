"""A disk that takes everything and writes down part of it: the sync says so once, and never again.

Strategy: ext4 in a sparse file on a small file system in memory. Its blocks are free, so it takes a file whole; writing it
down fails, for the memory is full. The first fsync reports that and the second one returns in peace with the data gone. So a
save must believe the first.
"""

import pytest

from runs import python
from soak.volume import missing

if why := missing("ext4"):
    pytest.skip(why, allow_module_level=True)

DISK = """
import os, stat, sys, tempfile
from pathlib import Path
from holdfast.errors import DurabilityError
from holdfast.storage import system
from holdfast.storage.folder import Folder
from soak.faults import NEXT, OLD, File, around
from soak.volume import MIB, Volume, filled, memory, private_mounts

private_mounts()
home = Path(sys.argv[1])
said = []
sync = system.sync
def noting(fd):
    what = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
    try:
        sync(fd)
        said.append((what, "done"))
    except OSError as error:
        said.append((what, "failed"))
        raise
system.sync = noting
small_scene = File()
large = File(size=1 << 19, direct=sys.argv[2] == "direct")  # two arrays of 4 MiB
"""

SAVE = """
with memory(home / "small", 24 * MIB) as small, Volume("ext4", small) as disk, around(large.direct):
    run = disk.at / "run"
    run.mkdir()
    small_scene.begin(run)
    said.clear()
    act = large.prepare(run)
    with filled(small, 2 * MIB):
        try:
            act()
            print("it was told to be saved")
        except OSError as error:
            print("refused:", error.strerror)
        assert small_scene.found(run) == OLD, small_scene.found(run)
        assert os.listdir(run) == ["m.bson"]
    print(said)
    disk.back()
    assert small_scene.found(run) == OLD, small_scene.found(run)
    assert not large.go_on(run)
    disk.back()
    print(large.found(run) == NEXT)
"""


@pytest.mark.parametrize("way", ["cached", "direct"])
def test_a_file_that_was_not_written_down(tmp_path, way: str) -> None:
    done = python(DISK + SAVE, tmp_path, way)
    assert done.returncode == 0, done.stderr
    told, said, next_is_there = done.stdout.splitlines()
    assert told.startswith("refused: ")
    assert "bytes were not saved, and what was there before is unchanged" in told
    assert next_is_there == "True"
    # Around the cache the write itself says it. Through the cache it is the sync, which is not asked twice.
    assert said == ("[('file', 'failed')]" if way == "cached" else "[]")


RETRY = """
with memory(home / "small", 24 * MIB) as small, Volume("ext4", small) as disk:
    data = os.urandom(8 * MIB)
    with filled(small, 2 * MIB), open(disk.at / "file", "xb", buffering=0) as file:
        file.write(data)
        for attempt in range(5):
            try:
                noting(file.fileno())
            except OSError:
                pass
    disk.back()
    there = (disk.at / "file").read_bytes() if (disk.at / "file").exists() else b""
    print(said[0], ("file", "done") in said, there == data)
"""


def test_a_sync_that_is_tried_again_says_nothing(tmp_path) -> None:
    """Which is why there is none; and shows that this disk does what it is here for."""
    done = python(DISK + RETRY, tmp_path, "cached")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "('file', 'failed') True False\n"


NAMES = """
with memory(home / "small", 24 * MIB) as small, Volume("ext4", small) as disk:
    run = disk.at / "run"
    run.mkdir()
    small_scene.begin(run)
    said.clear()
    rename = Folder.replace
    def broken(folder, old, new):
        rename(folder, old, new)
        disk.cut()
    Folder.replace = broken
    try:
        small_scene.prepare(run)()
        print("it was told to be saved")
    except DurabilityError as error:
        print(error)
    print(said)
    disk.back()
    print(small_scene.found(run))
    Folder.replace = rename
    assert not small_scene.go_on(run)
"""


def test_a_name_that_was_not_written_down(tmp_path) -> None:
    """The disk is gone between the rename and the sync of the folder."""
    done = python(DISK + NAMES, tmp_path, "cached")
    assert done.returncode == 0, done.stderr
    told, said, found = done.stdout.splitlines()
    assert "in place and whole" in told
    assert "a power cut may bring back what was there before" in told
    assert said == "[('file', 'done'), ('folder', 'failed')]"
    assert found == "1"  # which is what it said
