"""Files on this machine: mapped or read to load, replaced whole to save.

Strategy: decide first (where a link leads, what stands there, how many bytes), then touch the disk, and give up at
the first error. Until the rename nothing has happened to the target; after it the new file is there, whole. Every
OSError that leaves here says that the target is unchanged; DurabilityError is the one exception, and says so.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from holdfast.collector import held
from holdfast.errors import DurabilityError, UnsupportedError
from holdfast.storage.draft import sweep
from holdfast.storage.folder import Folder, kind_of
from holdfast.storage.read import Mapped, open_bytes
from holdfast.storage.replace import replace
from holdfast.storage.way import Watched, flat, nothing

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Mapped", "Watched", "open_bytes", "publish"]

ADVICE: Final[dict[int, str]] = {
    getattr(errno, name): text
    for name, text in {
        "EACCES": "the folder must be writable, for a file is written beside the old one and then takes its place",
        "EPERM": "the file or its folder is protected",
        "EBUSY": "if the file itself is mounted (a bind mount), save to another path or mount its folder instead",
        "EDQUOT": "the quota is used up",
        "EFBIG": "no file may grow that large here",
        "EEXIST": "something is there already: choose another name",
        "ENOENT": "its folder does not exist: make it first",
        "ENOSPC": "free some space or save elsewhere",
        "EROFS": "save to a folder that can be written",
    }.items()
    if hasattr(errno, name)
}


def publish(
    path: str | os.PathLike[str],
    buffers: "Sequence[Buffer | Watched]",
    *,
    durable: bool = True,
    exclusive: bool = False,
    complete: Callable[[], object] = nothing,
) -> None:
    """Make ``path`` a file that holds ``buffers``, one after the other, in one step.

    When it returns, the file is on the disk. Whatever happens before that, ``path`` holds what it held or all of the
    new bytes, never a mixture. The old file's owner, group and permissions are kept, a symbolic link stays and what
    it points to is replaced, and other hard links keep the old content. Maps of the old file stay valid.

    buffers: objects with the buffer protocol, C-contiguous, of any size; no more than 8 MiB are copied at a time. A
    ``Watched`` one is shown to its watcher while it is written.
    exclusive: raise FileExistsError if anything stands at ``path``, also if it came there a moment ago.
    durable: False leaves out the syncs and writes through the page cache, for measuring what they cost.
    complete: is called when all watchers have seen their bytes and before any other buffer is written, which it may
    still change: checksums can stand in front of what they are of, and nothing is read twice.

    Durable long buffers go around the page cache (O_DIRECT) where the file system allows it, which leaves the memory
    to others. So the file is not in that cache afterwards, and the first load reads it from the disk.

    Raises OSError (disk full, no permission …), UnsupportedError if ``path`` is not a regular file (a folder, a pipe,
    a device), both with ``path`` untouched; and DurabilityError if the new file is in place but may not survive a
    power cut.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "m.bson")
    ...     publish(path, [b"four", bytearray(2)])
    ...     os.listdir(folder), open_bytes(path).data[:]
    (['m.bson'], b'four\\x00\\x00')
    """
    path = os.fspath(path)
    with held():
        views = flat(buffers)
    size = sum(view.nbytes for view, _ in views)
    with _explained(path, size):
        place, name = _target(path, exclusive)
        with Folder(place) as folder:
            old = folder.look(name)
            if old is not None:
                _check(old, path, exclusive)
            sweep(folder)
            replace(folder, name, views, complete, size=size, old=old, durable=durable, exclusive=exclusive)


def _target(path: str, exclusive: bool) -> tuple[str, str]:
    """The folder and the name that a save to ``path`` replaces: where its links lead, also if nothing is there yet."""
    if not os.path.basename(path):
        raise UnsupportedError(f"{path!r} names a folder, not a file: add a file name to save to")
    if os.path.islink(path):
        if exclusive:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        # The kernel refuses links that a stranger left in a shared folder such as /tmp; realpath alone would follow
        # them.
        with contextlib.suppress(FileNotFoundError):
            os.stat(path)
            return os.path.split(
                os.path.realpath(path, strict=True)
            )  # or a link that cannot be read is taken for a file
    return os.path.split(os.path.realpath(path))


def _check(old: os.stat_result, path: str, exclusive: bool) -> None:
    if exclusive:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    if kind := kind_of(old):
        raise UnsupportedError(f"{path!r} is {kind}, which a save would replace by a file: choose another path")


@contextlib.contextmanager
def _explained(path: str, size: int) -> Iterator[None]:
    """Let every OSError name the path and say what became of it."""
    try:
        yield
    except DurabilityError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        reason = error.strerror or os.strerror(error.errno)
        advice = ADVICE.get(error.errno, "the disk or its system refused")
        what = f"{reason}: {size:,} bytes were not saved, and what was there before is unchanged; {advice}"
        raise OSError(error.errno, what, path) from error
