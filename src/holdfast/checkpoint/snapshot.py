"""A state as it is now: nothing that happens afterwards reaches the file.

Strategy: lowering and planning on the calling thread leave a frame, in which all that is not an array is bytes already,
and blobs, which are views of the live arrays. The blobs are copied into staging memory before ``take`` returns, so the
time that this takes is little more than that of the copy. Checksums and the disk are left to the writer.
"""

import os
from collections.abc import Iterable, Mapping
from mmap import mmap
from os import PathLike
from typing import Any, Final, Protocol, runtime_checkable

from holdfast.checkpoint.staging import Pair, Staging, copy
from holdfast.codec.rule import Vocabulary
from holdfast.collector import held
from holdfast.errors import HoldfastError, UnsupportedError
from holdfast.formats import bson
from holdfast.storage import local
from holdfast.wire.checksum import checksum
from holdfast.wire.elements import I64
from holdfast.wire.plan import HASH_AT, TRAILER, Plan, alignment
from holdfast.wire.values import Blob

__all__ = ["Snapshot", "planned", "take"]

EMPTY: Final = memoryview(b"")


@runtime_checkable
class Reducible(Protocol):
    """Values that have a second, plainer form of what cannot be saved in the first; see ``record.Captured``."""

    def reduce(self, name: str) -> bool: ...


def take(values: Mapping[str, Any], vocabulary: Vocabulary, staging: Staging) -> "Snapshot":
    """The file that ``values`` make, with memory of its own.

    Raises UnsupportedError, with the path in the object, for what cannot be saved.

    >>> import numpy as np, os, tempfile
    >>> from holdfast.vocab import vocabulary
    >>> from holdfast.api import load
    >>> weights = np.zeros(3)
    >>> shot = take({"weights": weights}, vocabulary(), Staging())
    >>> weights += 1
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "m.bson")
    ...     shot.publish(path)
    ...     load(path, "weights", mmap=False)
    array([0., 0., 0.])
    """
    with held():
        shot = Snapshot(planned(values, vocabulary), staging)
        copy(shot.place(shot.blobs))
    return shot


def planned(values: Mapping[str, Any], vocabulary: Vocabulary) -> Plan:
    """The plan of ``values``, of which those that cannot be saved as they are take their plainer form."""
    while True:
        try:
            return bson.plan(values, vocabulary)
        except UnsupportedError as error:
            name = _name_at(error.path, values)
            if name is None or not isinstance(values, Reducible) or not values.reduce(name):
                raise


def _name_at(path: str, names: Iterable[str]) -> str | None:
    """The name of the value that ``path`` starts in.

    >>> _name_at("$.model.layers[2]", ["mod", "model"])
    'model'
    """
    inside = [name for name in names if path == f"$.{name}" or path.startswith((f"$.{name}.", f"$.{name}["))]
    return max(inside, key=len, default=None)


class Snapshot:
    """A file to be that owns its bytes. ``publish`` it once, or ``release`` it; both give its memory back."""

    def __init__(self, plan: Plan, staging: Staging) -> None:
        self.plan = plan
        self.blobs = list({id(blob): blob for _, blob in plan.cuts if blob.nbytes}.values())
        self._process = os.getpid()
        self._staging: Staging | None = staging
        self._memory: mmap | None = None
        self._starts, size = _rooms(self.blobs)
        if self.blobs:
            self._memory = staging.borrow(size)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.plan.size

    def place(self, blobs: Iterable[Blob]) -> list[Pair]:
        """Give each of ``blobs`` its room in the staging memory: where it is to be copied, and from where."""
        room = EMPTY if self._memory is None else memoryview(self._memory)
        pairs = []
        for blob in blobs:
            start = self._starts[id(blob)]
            target = room[start : start + blob.nbytes]
            pairs.append((target, blob.data))
            blob.data = target
        return pairs

    def settle(self) -> None:
        """Copy what is not copied yet; here, nothing."""

    def publish(self, path: str | PathLike[str], *, durable: bool = True, exclusive: bool = False) -> None:
        """Write the file; see ``storage.local.publish``. Once: the memory is given back, also when it fails."""
        if self._staging is None or self.is_foreign:
            raise HoldfastError("a snapshot is written once, by the process that took it")
        try:
            self.settle()
            seal(self.plan)
            local.publish(path, self.plan.buffers(), durable=durable, exclusive=exclusive)
        finally:
            self.release()

    @property
    def is_foreign(self) -> bool:
        """Whether this is a copy in a forked process."""
        return self._process != os.getpid()

    def release(self) -> None:
        """Give the memory back; nothing can be written afterwards."""
        memory, staging = self._memory, self._staging
        self.plan, self.blobs, self._memory, self._staging = Plan(), [], None, None
        if memory is not None and staging is not None:
            staging.give_back(memory)

    def __del__(self) -> None:
        if self._memory is not None:
            self.release()


def _rooms(blobs: Iterable[Blob]) -> tuple[dict[int, int], int]:
    """Where in the staging memory each blob stands, by its identity, aligned as in the file, so that a disk can take it
    from there; and the size of it all."""
    starts, end = dict[int, int](), 0
    for blob in blobs:
        start = starts[id(blob)] = end + -end % alignment(blob.nbytes)
        end = start + blob.nbytes
    return starts, end


def seal(plan: Plan) -> None:
    """Fill in the checksums as ``wire.checksum.seal`` does, on this thread alone: the others belong to the training,
    and when the interpreter is ending, none can be started."""
    for position, blob in plan.seals:
        I64.pack_into(plan.frame, position, checksum(blob.data))
    end = len(plan.frame) - len(TRAILER) + HASH_AT
    I64.pack_into(plan.frame, end, checksum(memoryview(plan.frame)[:end]))
