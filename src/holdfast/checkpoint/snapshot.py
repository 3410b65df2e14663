"""A state as it is now: nothing that happens afterwards reaches the file.

Strategy: lowering and planning on the calling thread leave a frame, in which all that is not an array is bytes already,
and blobs, which are views of the live arrays. The blobs are copied into staging memory before ``take`` returns, so the
time that this takes is little more than that of the copy. Checksums and the disk are left to the writer.
"""

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, Protocol, runtime_checkable

from holdfast.checkpoint.staging import Rooms, Staging, copy
from holdfast.codec.rule import Vocabulary
from holdfast.errors import HoldfastError, UnsupportedError
from holdfast.formats import bson
from holdfast.storage import local
from holdfast.wire.checksum import checksum
from holdfast.wire.plan import HASH_AT, I64, TRAILER, Plan

__all__ = ["Snapshot", "no_collector", "planned", "take"]

Finish = Callable[[Sequence[memoryview]], Plan]


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
    with no_collector():
        shot = Snapshot(*arrays_of(planned(values, vocabulary)), staging)
        shot.copy()
    return shot


def arrays_of(plan: Plan) -> tuple[list[memoryview], Rooms, Finish]:
    """The arrays of a plan, their rooms, and how the plan is that of their copies."""
    blobs = list({id(blob): blob for _, blob in plan.cuts if blob.nbytes}.values())
    sources = [blob.data for blob in blobs]

    def finish(targets: Sequence[memoryview]) -> Plan:
        for blob, target in zip(blobs, targets, strict=True):
            blob.data = target
        return plan

    return sources, Rooms.of(sources), finish


def planned(values: Mapping[str, Any], vocabulary: Vocabulary) -> Plan:
    """The plan of ``values``, of which those that cannot be saved as they are take their plainer form."""
    with no_collector():
        while True:
            try:
                return bson.plan(values, vocabulary)
            except UnsupportedError as error:
                if not is_reduced(values, error):
                    raise


def is_reduced(values: Mapping[str, Any], error: UnsupportedError) -> bool:
    """Whether the value that could not be saved, as ``error`` says, has now been replaced by its plainer form."""
    name = _name_at(error.path, values)
    return name is not None and isinstance(values, Reducible) and values.reduce(name)


@contextmanager
def no_collector() -> Iterator[None]:
    """Hold back the garbage collector: a large model makes a hundred thousand small objects at once, through which it
    would go again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _name_at(path: str, names: Iterable[str]) -> str | None:
    """The name of the value that ``path`` starts in.

    >>> _name_at("$.model.layers[2]", ["mod", "model"])
    'model'
    """
    inside = [name for name in names if path == f"$.{name}" or path.startswith((f"$.{name}.", f"$.{name}["))]
    return max(inside, key=len, default=None)


class Snapshot:
    """A file to be that owns its bytes. ``publish`` it once, or ``release`` it; both give its memory back.

    sources   the live arrays
    rooms     where each is copied to
    finish    the copies -> the plan of the file; called once, by whoever writes it
    released  called when this needs what ``finish`` works on no longer
    """

    def __init__(
        self,
        sources: Sequence[memoryview],
        rooms: Rooms,
        finish: Finish,
        staging: Staging,
        released: Callable[[], None] | None = None,
    ) -> None:
        self._process = os.getpid()
        self._finish: Finish | None = finish
        self._released = released
        self._staging: Staging | None = staging
        self._memory = staging.borrow(rooms.size) if rooms.size else None
        self.sources = sources
        self.targets = rooms.targets(self._memory)

    def copy(self) -> None:
        """Copy all arrays."""
        copy(zip(self.targets, self.sources, strict=True))
        self.sources = ()  # a bytearray cannot grow as long as somebody looks at its bytes

    def settle(self) -> None:
        """Copy what is not copied yet; here, nothing."""

    def publish(self, path: str | PathLike[str], *, durable: bool = True, exclusive: bool = False) -> None:
        """Write the file; see ``storage.local.publish``. Once: the memory is given back, also when it fails."""
        if self._finish is None or self.is_foreign:
            raise HoldfastError("a snapshot is written once, by the process that took it")
        try:
            plan = self._finish(self.targets)
            self._let_go()
            self.settle()
            seal(plan)
            local.publish(path, plan.buffers(), durable=durable, exclusive=exclusive)
        finally:
            self.release()

    def _let_go(self) -> None:
        released, self._released, self._finish = self._released, None, None
        if released is not None:
            released()

    @property
    def is_foreign(self) -> bool:
        """Whether this is a copy in a forked process."""
        return self._process != os.getpid()

    def release(self) -> None:
        """Give the memory back; nothing can be written afterwards."""
        self._let_go()
        memory, staging = self._memory, self._staging
        self.sources, self.targets, self._memory, self._staging = (), [], None, None
        if memory is not None and staging is not None:
            staging.give_back(memory)

    def __del__(self) -> None:
        if getattr(self, "_memory", None) is not None or getattr(self, "_released", None) is not None:
            self.release()


def seal(plan: Plan) -> None:
    """Fill in the checksums as ``wire.checksum.seal`` does, on this thread alone: the others belong to the training,
    and when the interpreter is ending, none can be started."""
    for position, blob in plan.seals:
        I64.pack_into(plan.frame, position, checksum(blob.data))
    end = len(plan.frame) - len(TRAILER) + HASH_AT
    I64.pack_into(plan.frame, end, checksum(memoryview(plan.frame)[:end]))
