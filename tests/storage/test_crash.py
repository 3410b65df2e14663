"""Crashes: a process killed at any moment of a save, and the order of system calls that survives a power cut."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

STORM = """
import os, random, signal, struct, sys, time
from holdfast.storage.local import publish

path, kills = sys.argv[1], int(sys.argv[2])
folder = os.path.dirname(path)
random.seed(7)
WORDS = 1 << 17                     # a file is one number, this often
publish(path, [struct.pack("<q", 0) * WORDS])
last = littered = saves = 0
for kill in range(kills):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        number = last
        while True:
            number += 1
            part = struct.pack("<q", number) * (WORDS // 4)
            publish(path, [part] * 4)
            os.write(write, struct.pack("<q", number))
    os.close(write)
    time.sleep(random.uniform(0.002, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(read, "rb") as pipe:
        said = pipe.read()
    saves += len(said) // 8
    acknowledged = struct.unpack("<q", said[-8:])[0] if said else last
    with open(path, "rb") as file:
        data = file.read()
    assert len(data) == 8 * WORDS, f"torn: {len(data)} bytes after kill {kill}"
    assert data == data[:8] * WORDS, f"mixed after kill {kill}"
    last = struct.unpack("<q", data[:8])[0]
    assert last in (acknowledged, acknowledged + 1), f"{last} after {acknowledged} was acknowledged"
    littered += len(os.listdir(folder)) > 1
    if kill % 4 == 3:
        last += 1
        publish(path, [struct.pack("<q", last) * WORDS])
        assert os.listdir(folder) == [os.path.basename(path)], os.listdir(folder)
print(saves, littered)
"""


def test_storm_of_kills(tmp_path: Path, python) -> None:
    done = python(STORM, tmp_path / "m.bson", 40)
    assert done.returncode == 0, done.stderr
    saves, littered = map(int, done.stdout.split())
    assert saves > 10  # the children did save
    assert littered > 2  # and were killed in the middle of it


SAVE = """
import sys
from holdfast.storage.local import publish
publish(sys.argv[1], [b"ab", bytes(100_000)], exclusive=sys.argv[2] == "exclusive", durable=sys.argv[2] != "fast")
"""

TRACED = "openat,flock,fallocate,writev,fchmod,fsync,fdatasync,rename,renameat,renameat2,linkat,unlinkat"

ORDERS = {
    "new": ["openat", "flock", "fallocate", "writev", "fsync", "renameat", "fsync"],
    "old": ["openat", "flock", "fallocate", "writev", "fchmod", "fsync", "renameat", "fsync"],
    "exclusive": ["openat", "flock", "fallocate", "writev", "fsync", "linkat", "unlinkat", "fsync"],
    "fast": ["openat", "flock", "fallocate", "writev", "renameat"],
}


@pytest.mark.parametrize("case", ORDERS)
def test_order_of_system_calls(tmp_path: Path, python, case: str) -> None:
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs strace")
    path, log = tmp_path / "m.bson", tmp_path / "log"
    if case == "old":
        path.write_bytes(b"old")
        path.chmod(0o640)
    assert python(SAVE, path, case, before=(strace, "-o", str(log), "-e", f"trace={TRACED}")).returncode == 0
    lines = log.read_text().splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("openat") and ".holdfast-" in line)
    calls = [re.match(r"(\w+)\(([^,)]+)", line) for line in lines[begin:]]
    made = [call for call in calls if call]
    assert [re.sub("renameat2", "renameat", call[1]) for call in made] == ORDERS[case]
    flags = lines[begin]
    assert all(flag in flags for flag in ("O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC"))
    assert ("0600" if case == "old" else "0666") in flags
    folder, draft = made[0][2], flags.rpartition("= ")[2]
    assert {call[2] for call in made[1 : 1 + ORDERS[case].index("writev")]} == {draft}
    if case != "fast":
        assert [call[2] for call in made if call[1] == "fsync"] == [draft, folder]
