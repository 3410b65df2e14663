"""A storage in memory, with the two verbs of ``local``, for tests of whatever saves and loads.

Strategy: the same promises, so that a test can be cruel: a publish that fails leaves what was there, bytes that were
opened stay as they were, and what was opened can be written without changing what is stored.
"""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.storage.read import Mapped
from holdfast.storage.system import fresh_memory
from holdfast.storage.way import Watched, flat, nothing, shown

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True, slots=True)
class Published:
    """One publish that succeeded: under which name, which bytes, and how it was asked for."""

    name: str
    data: bytes
    durable: bool
    exclusive: bool


class MemoryStorage:
    """Files in a dictionary.

    ``files`` maps names to bytes and may be changed by hand; ``published`` lists what was published, in order. With
    ``fail_at=n`` the disk is full at the n-th byte (from 1) of any file: a publish that long raises OSError (ENOSPC),
    and one with ``fail_at=0`` always does. Set it to None to have room again.

    >>> storage = MemoryStorage()
    >>> storage.publish("m.bson", [b"old"])
    >>> storage.fail_at = 4
    >>> storage.publish("m.bson", [b"ne", b"wer"])
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'm.bson'
    >>> storage.open_bytes("m.bson").data[:]
    b'old'
    """

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.published: list[Published] = []
        self.fail_at = fail_at

    def open_bytes(self, path: str | os.PathLike[str], *, mmap: bool = True) -> Mapped:
        """As ``local.open_bytes``: writable memory of its own on a page boundary. ``mmap`` makes no difference."""
        name = os.fspath(path)
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        data = self.files[name]
        if not data:
            return Mapped(b"", 0, name)
        memory = fresh_memory(len(data))
        memory[:] = data
        return Mapped(memory, len(data), name)

    def publish(
        self,
        path: str | os.PathLike[str],
        buffers: "Sequence[Buffer | Watched]",
        *,
        durable: bool = True,
        exclusive: bool = False,
        complete: Callable[[], object] = nothing,
    ) -> None:
        """As ``local.publish``: all of the buffers, or an OSError and no change."""
        name = os.fspath(path)
        if exclusive and name in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        views = [view for view, _ in shown(flat(buffers))]
        complete()
        if self.fail_at is not None and sum(view.nbytes for view in views) >= self.fail_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        data = b"".join(views)
        self.files[name] = data
        self.published.append(Published(name, data, durable, exclusive))
