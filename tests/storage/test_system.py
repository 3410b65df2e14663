"""Other systems, played by this one: what they lack is taken away, and the promises that remain are kept."""

import errno
import mmap
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from holdfast.storage import system
from holdfast.storage.draft import sweep
from holdfast.storage.folder import Folder
from holdfast.storage.local import open_bytes, publish

LACKING = ("writev", "pwrite", "preadv", "posix_fallocate", "fchmod", "fchown", "sysconf", "fpathconf", "major")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without locks, folder descriptors, vectored writes or renames of open files."""
    for name in LACKING:
        monkeypatch.delattr(os, name)
    monkeypatch.delattr(mmap, "MAP_PRIVATE")
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "HAS_OPEN_FOLDERS", False)
    monkeypatch.setattr(system, "RENAMES_OPEN_FILES", False)
    monkeypatch.setattr(system, "WRITES_ANYWHERE", False)
    monkeypatch.setattr(system, "READS_ANYWHERE", False)


@pytest.mark.usefixtures("bare")
def test_bare_system_saves_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    for data in (b"old", b"new"):
        publish(path, [data[:1], data[1:]])
        for mapped in (True, False):
            opened = open_bytes(path, mmap=mapped)
            assert bytes(opened.data) == data
            memoryview(opened.data)[:1] = b"x"
    publish(tmp_path / "only", [b"1"], exclusive=True)
    with pytest.raises(FileExistsError):
        publish(tmp_path / "only", [b"2"], exclusive=True)
    monkeypatch.chdir(tmp_path)
    publish("m", [b"here"])
    assert path.read_bytes() == b"here"
    assert sorted(os.listdir(tmp_path)) == ["m", "only"]


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
def test_bare_system_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "m").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fails)
        with pytest.raises(OSError, match="what was there before is unchanged"):
            publish(tmp_path / "m", [b"new"])
    assert (tmp_path / "m").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.usefixtures("bare")
def test_without_locks_nothing_counts_as_litter(tmp_path: Path) -> None:
    name = f".m.holdfast-{system.boot()}-0123456789abcdef.tmp"
    (tmp_path / name).touch()
    with Folder(str(tmp_path)) as folder:
        sweep(folder)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("number", "synced", "raised"), [(None, 0, False), (errno.ENOTSUP, 1, False), (errno.EIO, 0, True)]
)
def test_full_sync_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None, synced: int, raised: bool
) -> None:
    asked, plain = [], []

    def control(fd: int, command: int) -> None:
        asked.append(command)
        if number is not None:
            raise OSError(number, "no")

    monkeypatch.setattr(system, "fcntl", SimpleNamespace(F_FULLFSYNC=51, fcntl=control))
    monkeypatch.setattr(os, "fsync", plain.append)
    if raised:
        with pytest.raises(OSError, match="no"):
            system.sync(7)
    else:
        system.sync(7)
    assert asked == [51]
    assert len(plain) == synced


def test_boot_is_read_once_and_missing_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(system.boot()) == 8
    system.boot.cache_clear()
    monkeypatch.setattr("builtins.open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert system.boot() == system.UNKNOWN_BOOT
    system.boot.cache_clear()
