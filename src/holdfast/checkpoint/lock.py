"""The lock of a folder: at most one process writes a run's checkpoints.

Strategy: an flock on ``.series.lock``, in which the holder has written who it is. The kernel lets go of it when the
holder dies, however it dies, so there are no stale locks; what stands in the file is only for the message. The file
stays where it is: removing it would let two processes hold two locks of the same name. A child that was forked from the
holder does not hold it: the descriptor is closed there.
"""

import contextlib
import json
import os
import socket
import weakref
from datetime import UTC, datetime
from typing import Any, Final

from holdfast.errors import HoldfastError
from holdfast.storage import system

LOCK: Final = ".series.lock"
CREATE: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class Lock:
    """Held from the moment it is made until ``release`` or the end of the process.

    Raises HoldfastError that says who holds it. Where the file system knows no locks, it is as good as held.
    """

    def __init__(self, folder: str) -> None:
        self.fd = -1
        self.fd = os.open(os.path.join(folder, LOCK), CREATE, 0o666)
        try:
            if not _taken(self.fd):
                raise HoldfastError(
                    f"{folder} is in use by {holder(folder)}: two runs in one folder would delete each other's "
                    "checkpoints. Stop that one, take another folder, or only look with Series(…, readonly=True)"
                )
            _sign(self.fd)
        except BaseException:
            self.release()
            raise
        HELD.add(self)

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """Let go. A second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            system.close(fd)


def _taken(fd: int) -> bool:
    try:
        return system.try_lock(fd, shared=False)
    except OSError:
        return True


def _sign(fd: int) -> None:
    """Write down who holds the lock; a full disk is no reason not to."""
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, (json.dumps(about) + "\n").encode(), 0)


def holder(folder: str) -> str:
    """Who wrote its name into the lock's file, in words."""
    about: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, LOCK), encoding="utf-8") as file:
        found = json.loads(file.read(1000))
        about = found if isinstance(found, dict) else {}
    if not about:
        return "another process"
    if about.get("pid") == os.getpid() and about.get("host") == socket.gethostname():
        return "another Series of this process, which close() would let go of"
    return f"process {about.get('pid')} on {about.get('host')} since {about.get('since')}"


HELD: "weakref.WeakSet[Lock]" = weakref.WeakSet()
"""The locks of this process."""


def _drop_in_child() -> None:
    """Close the descriptors that a fork has copied. The parent's lock stays: it goes with its own last descriptor."""
    for lock in list(HELD):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_in_child)
