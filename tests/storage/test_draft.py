"""Drafts: their names, who holds them, and which of them are litter."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.storage import draft as drafts
from holdfast.storage import local, system
from holdfast.storage.draft import PATTERN, Draft, draft_name, is_abandoned, sweep
from holdfast.storage.folder import Folder
from holdfast.storage.local import publish


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder(str(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize("name", ["m", "n" * 255, "é" * 127, "\udcff" * 255, "a\nb"])
@pytest.mark.parametrize("longest", [255, 143, 60])
def test_names_fit_and_are_recognised(name: str, longest: int) -> None:
    made = draft_name(name, longest)
    assert len(os.fsencode(made)) <= longest
    assert PATTERN.fullmatch(made)
    assert made != draft_name(name, longest)
    if len(name) == 1:
        assert made.startswith(f".{name}.holdfast-{system.boot()}-")


def test_no_name_is_so_long_that_it_loops() -> None:
    assert PATTERN.fullmatch(draft_name("name", 5))


FOREIGN = [
    "m.bson",
    ".m.bson.tmp",
    ".m.bson.12345678-0123456789abcdef.tmp",
    ".m.holdfast-12345678-0123456789abcde.tmp",
    ".m.holdfast-12345678-0123456789abcdefg.tmp",
    ".m.holdfast-1234567-0123456789abcdef.tmp",
    ".m.holdfast-12345678-0123456789ABCDEF.tmp",
    "m.holdfast-12345678-0123456789abcdef.tmp",
    ".m.holdfast-12345678-0123456789abcdef.tmp~",
    ".m.holdfast-12345678-0123456789abcdef.tmp\n",
]


def litter(number: int, boot: str | None = None) -> str:
    return f".gone.bson.holdfast-{boot or system.boot()}-{number:016x}.tmp"


def test_save_removes_litter_and_nothing_else(tmp_path: Path) -> None:
    for name in (*FOREIGN, litter(1), litter(2, "00000001")):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / litter(3)).mkdir()
    os.mkfifo(tmp_path / litter(4))
    (tmp_path / litter(5)).symlink_to("m.bson")
    kept = {*FOREIGN, litter(3), litter(4), litter(5)}
    if os.major(tmp_path.stat().st_dev) == 0:
        kept.add(litter(2, "00000001"))  # too young, on what may be a network folder
    publish(tmp_path / "m.bson", [b"new"])
    assert set(os.listdir(tmp_path)) == kept
    assert all((tmp_path / name).read_bytes() == b"x" for name in FOREIGN if name != "m.bson")


ELSEWHERE = """
import sys
from holdfast.storage.draft import sweep
from holdfast.storage.folder import Folder
with Folder(sys.argv[1]) as folder:
    sweep(folder)
"""


def test_draft_in_use_is_never_removed(tmp_path: Path, folder: Folder, python) -> None:
    with Draft(folder) as draft:
        draft.create("m", 0o644)
        sweep(folder)
        publish(tmp_path / "m", [b"another save"])
        assert python(ELSEWHERE, tmp_path).returncode == 0
        assert sorted(os.listdir(tmp_path)) == sorted([draft.name, "m"])
        draft.close()  # as the kernel does for a process that dies
        assert python(ELSEWHERE, tmp_path).returncode == 0
        assert os.listdir(tmp_path) == ["m"]


def test_error_discards_and_success_keeps(tmp_path: Path, folder: Folder) -> None:
    def interrupted() -> None:
        with Draft(folder) as draft:
            draft.create("m", 0o644)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []
    with Draft(folder) as draft:
        draft.create("m", 0o644)
    assert os.listdir(tmp_path) == [draft.name]


def test_draft_swept_before_it_was_locked_starts_again(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, calls = system.try_lock, 0

    def late(fd: int, *, shared: bool) -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            sweep(folder)  # locks by way of call 2, and removes
        if calls == 3:
            return False  # a sweep holds it at this moment
        return lock(fd, shared=shared)

    monkeypatch.setattr(system, "try_lock", late)
    with Draft(folder) as draft:
        draft.create("m", 0o644)
        assert calls == 4
        assert os.listdir(tmp_path) == [draft.name]


def test_name_that_was_planted_is_neither_used_nor_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".m.holdfast-{system.boot()}-{'0' * 16}.tmp").symlink_to(victim)
    tokens = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(drafts.os, "urandom", lambda size: bytes.fromhex(next(tokens)))
    publish(tmp_path / "m", [b"new"])
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "m").read_bytes() == b"new"
    assert len(os.listdir(tmp_path)) == 3


def test_gives_up_when_every_name_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = tmp_path / f".m.holdfast-{system.boot()}-{'0' * 16}.tmp"
    planted.write_bytes(b"precious")
    monkeypatch.setattr(local, "sweep", lambda folder: None)
    monkeypatch.setattr(drafts.os, "urandom", lambda size: bytes(size))
    with pytest.raises(BlockingIOError, match="no temp file could be made"):
        publish(tmp_path / "m", [b"new"])
    assert planted.read_bytes() == b"precious"
    assert len(os.listdir(tmp_path)) == 1


def test_young_draft_from_elsewhere_on_a_network_stays(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {litter(1, "00000001"), litter(2, "00000001"), litter(3)}
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / litter(2, "00000001"), (1, 1))
    monkeypatch.setattr(os, "major", lambda device: 0)
    sweep(folder)
    assert os.listdir(tmp_path) == [litter(1, "00000001")]


HERE, NOWHERE, HOUR = "0a0b0c0d", "ffffffff", 3600.0
DISK, NETWORK = os.makedev(8, 1), os.makedev(0, 45)


@pytest.mark.parametrize(
    ("boot", "ours", "device", "age", "abandoned"),
    [
        (HERE, HERE, DISK, 0, True),
        (HERE, HERE, NETWORK, 0, True),
        (NOWHERE, HERE, DISK, 0, True),
        (NOWHERE, HERE, NETWORK, 0, False),
        (NOWHERE, HERE, NETWORK, HOUR + 1, True),
        (system.UNKNOWN_BOOT, system.UNKNOWN_BOOT, NETWORK, 0, False),
        (system.UNKNOWN_BOOT, system.UNKNOWN_BOOT, DISK, 0, True),
    ],
)
def test_is_abandoned(
    monkeypatch: pytest.MonkeyPatch, boot: str, ours: str, device: int, age: float, abandoned: bool
) -> None:
    monkeypatch.setattr(system, "boot", lambda: ours)
    info = os.stat_result((0o100600, 1, device, 1, 0, 0, 0, 1000, 1000, 1000))
    assert is_abandoned(boot, info, 1000 + age) is abandoned
