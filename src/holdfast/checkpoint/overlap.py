"""A snapshot that is copied while the training goes on: only the next optimiser step waits, for what is left.

Strategy: parameters and an optimiser's state change nowhere but in its ``step``. So they are not copied when the
snapshot is taken; the writer copies them, piece by piece. A hook that torch calls before every step copies, along with
the writer and from the other end, what that step would change and is not copied yet. The hook waits for nobody who
might never come: a piece is being copied right now, or the hook copies it itself.

Holds as long as parameters change in ``step`` only. Code that changes them between a save and the next step of their
optimiser (``load_state_dict``, ``parameter.copy_``) must call ``settle`` first; so must one that compiles ``step``.
"""

import threading
import weakref
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from holdfast.checkpoint.snapshot import Snapshot, planned
from holdfast.checkpoint.staging import Pair, Staging, copy, copy_one, pieces_of
from holdfast.codec.rule import Vocabulary
from holdfast.collector import held
from holdfast.wire.plan import LARGE, Plan
from holdfast.wire.values import Blob

__all__ = ["Overlap", "settle_all", "take"]

Range = tuple[int, int, int]
"""First address, the one after the last, and the identity of the optimiser whose step changes what is there."""


def take(values: Mapping[str, Any], vocabulary: Vocabulary, staging: Staging, optimisers: Iterable[Any]) -> "Overlap":
    """The file that ``values`` make; what ``optimisers`` (torch's) change in their steps is copied later.

    Everything else is copied before this returns: buffers, gradients, averages, and all that is small.
    Raises UnsupportedError, with the path in the object, for what cannot be saved.
    """
    with held():
        ranges = [found for optimiser in optimisers if _is_hooked(optimiser) for found in ranges_of(optimiser)]
        shot = Overlap(planned(values, vocabulary), staging, ranges)
        copy(shot.place(blob for blob in shot.blobs if id(blob) not in shot.later))
        shot.postpone()
    return shot


def _is_hooked(optimiser: Any) -> bool:
    """Whether torch calls hooks before this optimiser's step: its own classes and those made from them."""
    return bool(getattr(getattr(type(optimiser), "step", None), "hooked", False))


def ranges_of(optimiser: Any) -> Iterator[Range]:
    """The large pieces of memory that a step of ``optimiser`` changes: parameters, and tensors of its state."""
    import torch

    from holdfast.vocab.torch.layouts import dense_order

    members = [optimiser, *getattr(optimiser, "os", ())]
    waiting: list[Any] = [part for member in members for part in (member.param_groups, member.state)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, torch.Tensor):
            plain = part.nbytes >= LARGE and part.device.type == "cpu" and part.layout == torch.strided
            # A tensor with gaps is copied by lowering, and what lies in the gaps is not the optimiser's.
            if plain and (part.is_contiguous() or dense_order(part.shape, part.stride()) is not None):
                yield part.data_ptr(), part.data_ptr() + part.numel() * part.itemsize, id(optimiser)
        elif isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple):
            waiting += part


@dataclass(slots=True)
class Piece:
    """Bytes that are copied later, by whoever comes first."""

    pair: Pair | None
    owners: frozenset[int]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def finish(self) -> None:
        """The bytes are copied when this returns, or were given up."""
        with self.lock:
            if self.pair is not None:
                copy_one(*self.pair)
                self.pair = None

    def give_up(self) -> None:
        with self.lock:
            self.pair = None


class Overlap(Snapshot):
    """A snapshot with pieces that are copied later."""

    def __init__(self, plan: Plan, staging: Staging, ranges: list[Range]) -> None:
        self.pieces: list[Piece] = []
        super().__init__(plan, staging)
        self.later = _owned(self.blobs, ranges)

    def postpone(self) -> None:
        """From now on the steps of the optimisers wait for what they would change."""
        blobs = [blob for blob in self.blobs if id(blob) in self.later]
        for blob, pair in zip(blobs, self.place(blobs), strict=True):
            self.pieces += [Piece(piece, self.later[id(blob)]) for piece in pieces_of(pair)]
        if self.pieces:
            _watch(self)

    def settle(self) -> None:
        """Copy what is not copied yet."""
        for piece in self.pieces:
            piece.finish()
        self.pieces = []

    def settle_for(self, optimiser: int) -> None:
        """Copy what a step of ``optimiser`` would change; from the end, for the writer comes from the beginning."""
        pieces = self.pieces
        known = any(optimiser in piece.owners for piece in pieces)
        for piece in reversed(pieces):
            if not known or optimiser in piece.owners:
                piece.finish()

    def release(self) -> None:
        for piece in [] if self.is_foreign else self.pieces:
            piece.give_up()
        self.pieces = []
        super().release()


def _owned(blobs: Iterable[Blob], ranges: Iterable[Range]) -> dict[int, frozenset[int]]:
    """The identity of each large blob that lies in ``ranges`` -> the optimisers that change it."""
    parts = merged(ranges)
    lows = [low for low, _, _ in parts]
    found: dict[int, frozenset[int]] = {}
    for blob in blobs:
        if blob.nbytes >= LARGE:
            start = np.frombuffer(blob.data, np.uint8).__array_interface__["data"][0]
            place = bisect_right(lows, start) - 1
            if place >= 0 and start + blob.nbytes <= parts[place][1]:
                found[id(blob)] = frozenset(parts[place][2])
    return found


def merged(ranges: Iterable[Range]) -> list[tuple[int, int, set[int]]]:
    """Ranges that touch as one, with all their owners; in order.

    >>> merged([(5, 9, 1), (0, 4, 1), (6, 12, 2)])
    [(0, 4, {1}), (5, 12, {1, 2})]
    """
    parts: list[tuple[int, int, set[int]]] = []
    for low, high, owner in sorted(ranges):
        if parts and low < parts[-1][1]:
            before = parts.pop()
            parts.append((before[0], max(before[1], high), before[2] | {owner}))
        else:
            parts.append((low, high, {owner}))
    return parts


# -- the hook ---------------------------------------------------------------------------------------------------------

_ACTIVE: Final[list["weakref.ref[Overlap]"]] = []
"""The snapshots that optimisers have to look at."""
_HOOK: Final[list[Any]] = []
"""torch's handle of the hook. It stays: to take it off from the writer's thread could disturb a step that begins."""


def _watch(shot: Overlap) -> None:
    if not _HOOK:
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        _HOOK.append(register_optimizer_step_pre_hook(_before_step))
    _ACTIVE.append(weakref.ref(shot, _forget))


def _forget(reference: "weakref.ref[Overlap]") -> None:
    with suppress(ValueError):
        _ACTIVE.remove(reference)


def _before_step(optimiser: Any, args: Any, kwargs: Any) -> None:
    for shot in _active():
        shot.settle_for(id(optimiser))


def settle_all() -> None:
    """Copy all that is not copied yet: for code that changes parameters outside of a step."""
    for shot in _active():
        shot.settle()


def _active() -> list[Overlap]:
    return [shot for reference in tuple(_ACTIVE) if (shot := reference()) is not None and not shot.is_foreign]
