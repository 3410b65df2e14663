"""A folder held open, its entries named relative to it.

Strategy: a temp and its target must stay in one folder even when that folder is renamed or swapped for another
midway, so every call goes through the open folder. Where the system cannot do that, the same calls join paths.
"""

import contextlib
import errno
import os
import stat
from types import TracebackType
from typing import Final, Self

from holdfast.storage import system

# What can stand at a path and is not a file, for messages.
KINDS: Final[dict[int, str]] = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


def kind_of(info: os.stat_result) -> str | None:
    """What ``info`` describes, in words; None for a regular file."""
    if stat.S_ISREG(info.st_mode):
        return None
    return KINDS.get(stat.S_IFMT(info.st_mode), "no regular file")


class Folder:
    """Entries of one folder. Names are names, never paths; no call follows a symbolic link."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, system.FOLDER) if system.HAS_OPEN_FOLDERS else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            system.close(fd)

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name) if self._fd is None else name

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        return os.open(self._at(name), flags, mode, dir_fd=self._fd)

    def look(self, name: str) -> os.stat_result | None:
        """What stands at ``name``, a link itself and not where it leads; None when nothing does."""
        try:
            return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        return os.listdir(self.path if self._fd is None else self._fd)

    def longest_name(self) -> int:
        """How many bytes a name may have here."""
        try:
            return min(255, os.fpathconf(self._fd, "PC_NAME_MAX")) if self._fd is not None else 255
        except (AttributeError, ValueError, OSError):
            return 255

    def replace(self, old: str, new: str) -> None:
        """Give ``old`` the name ``new`` in one step, whatever stood there."""
        os.replace(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def claim(self, old: str, new: str) -> None:
        """Give ``old`` the name ``new`` in one step, or raise FileExistsError."""
        try:
            os.link(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            if error.errno not in system.UNKNOWN | {errno.EPERM}:
                raise
            text = "this file system has no hard links, which saving only where nothing is needs"
            raise OSError(errno.ENOTSUP, text) from error
        self.discard(old)

    def discard(self, name: str) -> None:
        """Remove ``name`` if that can be done. It never raises: what stays is removed by a later save."""
        with contextlib.suppress(OSError):
            os.unlink(self._at(name), dir_fd=self._fd)

    def sync(self) -> None:
        """Put the names themselves on the disk. Nothing where folders cannot be synced."""
        if self._fd is None:
            return
        try:
            system.sync(self._fd)
        except OSError as error:
            if error.errno not in system.UNKNOWN:
                raise
