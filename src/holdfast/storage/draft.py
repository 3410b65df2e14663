"""The temp file of a save, and what becomes of it when its writer dies.

Strategy: a draft stands beside its target as ``.NAME.holdfast-BOOT-RANDOM.tmp`` and is locked by its writer as long
as it has that name. The kernel frees the lock when the writer dies, however it dies, so a draft whose lock is free is
litter and the next save into the folder removes it. Process ids would not do: they are reused, and differ between
containers.

A draft can be seen before it is locked. So the writer looks whether its name is still there once it has the lock, and
starts again with another name if not.
"""

import errno
import os
import re
import time
from types import TracebackType
from typing import Final, Self

from holdfast.storage import system
from holdfast.storage.folder import Folder, kind_of

PATTERN: Final[re.Pattern[str]] = re.compile(r"\..*\.holdfast-([0-9a-f]{8})-[0-9a-f]{16}\.tmp", re.DOTALL)
TRIES: Final[int] = 100  # each fails only if another save of this folder removed the draft within microseconds
QUIET: Final[float] = 3600.0  # seconds; a writer at work changes its draft every few


def draft_name(name: str, longest: int) -> str:
    """A fresh name for a draft of ``name``, of ``longest`` bytes at most: a long name loses its end."""
    ending = f".holdfast-{system.boot()}-{os.urandom(8).hex()}.tmp"
    while name and len(os.fsencode(name)) > longest - len(ending) - 1:
        name = name[:-1]
    return f".{name}{ending}"


class Draft:
    """A file that exists under a name of its own until it is published or discarded."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.name = ""
        self.fd = -1

    def create(self, name: str, mode: int) -> None:
        """Create and lock a draft of ``name``; ``mode`` is subject to the umask, as for any new file."""
        for _ in range(TRIES):
            # Named before it exists, for an interrupt may come right after it was created.
            self.name = draft_name(name, self.folder.longest_name())
            try:
                self.fd = self.folder.open(self.name, system.CREATE, mode)
            except FileExistsError:
                self.name = ""  # not ours to remove
                continue
            if self._is_held():
                return
            self.discard()
        raise OSError(errno.EAGAIN, "no temp file could be made in this folder")

    def _is_held(self) -> bool:
        try:
            locked = system.try_lock(self.fd, shared=False)
        except OSError:
            return True  # no locks here, so no other save can take this for litter either
        return locked and self.folder.look(self.name) is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()
        self.close()

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            system.close(fd)

    def discard(self) -> None:
        """Remove the file, then let go of it: in this order, so that it is locked as long as it has a name."""
        if not system.RENAMES_OPEN_FILES:
            self.close()
        if self.name:
            self.folder.discard(self.name)
        self.close()


def is_abandoned(boot: str, info: os.stat_result, now: float) -> bool:
    """Whether a draft whose lock was free has lost its writer for certain.

    Locks are the kernel's. A free lock settles the matter for a draft of this very kernel and for a disk of this
    machine. A network folder may hide the locks of other machines: there a draft must also have been left alone for
    an hour.
    """
    if boot == system.boot() != system.UNKNOWN_BOOT:
        return True
    on_own_disk = hasattr(os, "major") and os.major(info.st_dev) != 0
    return on_own_disk or now - info.st_mtime > QUIET


def sweep(folder: Folder) -> None:
    """Remove the drafts of writers that died. What cannot be read or removed stays; nothing else is touched."""
    try:
        names = folder.names()
    except OSError:
        return
    for name in names:
        if match := PATTERN.fullmatch(name):
            _remove_if_abandoned(folder, name, match[1])


def _remove_if_abandoned(folder: Folder, name: str, boot: str) -> None:
    try:
        fd = folder.open(name, system.READ_NO_LINK)
    except OSError:
        return
    try:
        info = os.fstat(fd)
        # Shared, because a file opened for reading cannot be locked otherwise on NFS. It excludes the writer all the
        # same.
        if kind_of(info) is None and system.try_lock(fd, shared=True) and is_abandoned(boot, info, time.time()):
            folder.discard(name)
    except OSError:
        pass
    finally:
        system.close(fd)
