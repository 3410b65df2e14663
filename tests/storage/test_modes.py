"""publish: owner, group and permissions of what it leaves at a path."""

import errno
import os
import stat
from pathlib import Path

import pytest

from holdfast.storage import replace
from holdfast.storage.local import publish

OLD = b"the old file, whole"
NEW = b"the new file"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666), (0o777, 0)])
def test_new_file_has_the_mode_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        publish(tmp_path / "m", [NEW])
        os.close(os.open(tmp_path / "other", os.O_CREAT | os.O_WRONLY, 0o666))
        assert os.umask(mask) == mask  # not touched
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o640, 0o400, 0o444, 0o755])
@pytest.mark.parametrize("mask", [0o022, 0o777])
def test_old_file_keeps_its_mode(tmp_path: Path, mask: int, mode: int) -> None:
    path = tmp_path / "m"
    path.write_bytes(OLD)
    path.chmod(mode)
    before = os.umask(mask)
    try:
        publish(path, [NEW])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_temp_of_a_private_file_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    path.write_bytes(OLD)
    path.chmod(0o600)
    modes, writev = [], os.writev

    def watched(fd: int, batch: list[memoryview]) -> int:
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return writev(fd, batch)

    monkeypatch.setattr(os, "writev", watched)
    publish(path, [NEW])
    assert modes == [0o600]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_old_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(OLD)
    path.chmod(0o640)
    os.chown(path, 4321, 1234)
    publish(path, [NEW])
    info = path.stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (4321, 1234, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("group_allowed", "mode"), [(True, 0o660), (False, 0o600)])
def test_owner_that_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_allowed: bool, mode: int
) -> None:
    path, fchown = tmp_path / "m", os.fchown
    path.write_bytes(OLD)
    path.chmod(0o660)
    os.chown(path, 4321, 1234)

    def restricted(fd: int, user: int, group: int) -> None:
        if user != -1 or not group_allowed:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        fchown(fd, user, group)

    monkeypatch.setattr(os, "fchown", restricted)
    publish(path, [NEW])
    info = path.stat()
    assert info.st_uid == os.geteuid()
    assert (info.st_gid, stat.S_IMODE(info.st_mode)) == (1234 if group_allowed else os.getegid(), mode)


@pytest.mark.parametrize(
    ("mode", "same_group", "kept"),
    [
        (0o100664, True, 0o664),
        (0o100664, False, 0o644),
        (0o100660, False, 0o600),
        (0o106755, True, 0o755),
        (0, False, 0),
    ],
)
def test_kept_mode(mode: int, same_group: bool, kept: int) -> None:
    assert replace.kept_mode(mode, same_group=same_group) == kept


def test_another_group_never_gains() -> None:
    for mode in range(0o1000):
        kept = replace.kept_mode(mode, same_group=False)
        assert kept | mode == mode
        assert (kept >> 3) & 7 & ~(mode & 7) == 0
