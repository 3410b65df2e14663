"""A file replaced in one step: whole or not at all, and on the disk when it returns.

Strategy: reserve, write, set the mode, sync, rename, sync the folder, in this order, and no step is tried twice. A
sync that failed must not be: the kernel reports a lost write once and calls the pages clean afterwards, so a second
sync would return in peace with the data gone.
"""

import errno
import os
import stat
from collections.abc import Callable

from holdfast.errors import DurabilityError
from holdfast.storage import system
from holdfast.storage.draft import Draft
from holdfast.storage.folder import Folder
from holdfast.storage.way import Views
from holdfast.storage.write import write_file


def replace(
    folder: Folder,
    name: str,
    views: Views,
    complete: Callable[[], object],
    *,
    size: int,
    old: os.stat_result | None,
    durable: bool,
    exclusive: bool,
) -> None:
    """Write ``views``, of ``size`` bytes, to ``name`` in ``folder``; ``old`` is what stands there, whose owner and mode
    are kept."""
    # A new file gets its mode from the kernel, which knows the umask and the folder's default ACL. The content of an
    # old one may be private, so its draft is too until it has the old file's mode.
    with Draft(folder) as draft:
        draft.create(name, 0o666 if old is None else 0o600)
        system.reserve(draft.fd, size)
        write_file(draft.fd, views, complete, direct=durable)
        if old is not None:
            _inherit(draft.fd, old)
        if durable:
            system.sync(draft.fd)
        _commit(draft, name, exclusive)
    if durable:
        _sync_names(folder, name)


def _inherit(fd: int, old: os.stat_result) -> None:
    """Give the draft the owner, group and permissions of the file that it replaces, as far as we may."""
    if not hasattr(os, "fchown") or not hasattr(os, "fchmod"):
        return
    if not _owned(fd, old.st_uid, old.st_gid):
        _owned(fd, -1, old.st_gid)
    mine = os.fstat(fd)
    mode = kept_mode(old.st_mode, same_group=mine.st_gid == old.st_gid)
    if stat.S_IMODE(mine.st_mode) != mode:  # file systems without modes show the same one everywhere
        os.fchmod(fd, mode)


def _owned(fd: int, user: int, group: int) -> bool:
    """Hand the file over, -1 meaning as it is; False where that is not allowed or not known."""
    mine = os.fstat(fd)
    if user in (-1, mine.st_uid) and group == mine.st_gid:
        return True
    try:
        os.fchown(fd, user, group)
    except OSError as error:
        if error.errno not in system.UNKNOWN | {errno.EPERM, errno.EACCES}:
            raise
        return False
    return True


def kept_mode(mode: int, *, same_group: bool) -> int:
    """The permissions to keep. Set-id bits go, as with any write; another group gets no more than everyone has."""
    mode = stat.S_IMODE(mode) & 0o777
    everyone = mode & 0o007
    return mode if same_group else (mode & ~0o070) | (mode & (everyone << 3))


def _commit(draft: Draft, name: str, exclusive: bool) -> None:
    if not system.RENAMES_OPEN_FILES:
        draft.close()
    try:
        if exclusive:
            draft.folder.claim(draft.name, name)
        else:
            draft.folder.replace(draft.name, name)
    except OSError:
        # A network file system can lose the answer, repeat the question, and report an error for what was done.
        if not _is_at(draft, name):
            raise
        draft.folder.discard(draft.name)


def _is_at(draft: Draft, name: str) -> bool:
    try:
        there = draft.folder.look(name)
        return draft.fd >= 0 and there is not None and os.path.samestat(there, os.fstat(draft.fd))
    except OSError:
        return False


def _sync_names(folder: Folder, name: str) -> None:
    try:
        folder.sync()
    except OSError as error:
        raise DurabilityError(
            error.errno,
            f"{error.strerror or error}: the new file is in place and whole, but its name could not be put on the "
            "disk, so a power cut may bring back what was there before; check the disk and save again",
            os.path.join(folder.path, name),
        ) from error
