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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.checkpoint.snapshot import Snapshot, arrays_of, no_collector, planned
from holdfast.checkpoint.staging import Pair, Staging, address, copy, copy_one, pieces_of
from holdfast.codec.rule import Vocabulary
from holdfast.wire.plan import LARGE

__all__ = ["Overlap", "settle_all", "take"]

Range = tuple[int, int, int]
"""First address, the one after the last, and the identity of the optimiser whose step changes what is there."""


def take(values: Mapping[str, Any], vocabulary: Vocabulary, staging: Staging, optimisers: Iterable[Any]) -> "Overlap":
    """The file that ``values`` make; what ``optimisers`` (torch's) change in their steps is copied later.

    Everything else is copied before this returns: buffers, gradients, averages, and all that is small.
    Raises UnsupportedError, with the path in the object, for what cannot be saved.
    """
    with no_collector():
        later = changed_by(optimisers, LARGE)
        sources, rooms, finish = arrays_of(planned(values, vocabulary))
        shot = Overlap(sources, rooms, finish, staging)
        shot.begin(Later.of(sources, later))
    return shot


def changed_by(optimisers: Iterable[Any], least: int) -> list[Range]:
    """The pieces of memory, of ``least`` bytes or more, that the next step of an optimiser changes."""
    return [found for one in optimisers if _is_hooked(one) for found in ranges_of(one, least)]


def _is_hooked(optimiser: Any) -> bool:
    """Whether torch calls hooks before this optimiser's step: its own classes and those made from them."""
    return bool(getattr(getattr(type(optimiser), "step", None), "hooked", False))


def ranges_of(optimiser: Any, least: int = 0) -> Iterator[Range]:
    """The memory that a step of ``optimiser`` changes, in pieces of ``least`` bytes or more: parameters, and its state.

    Other tensors in its groups (a learning rate) belong to the schedulers, too.
    """
    import torch

    from holdfast.vocab.torch.layouts import dense_order

    members = [optimiser, *getattr(optimiser, "os", ())]
    waiting: list[Any] = [group["params"] for member in members for group in member.param_groups]
    waiting += [member.state for member in members]
    while waiting:
        part = waiting.pop()
        if isinstance(part, torch.Tensor):
            plain = part.nbytes >= max(least, 1) and part.device.type == "cpu" and part.layout == torch.strided
            # A tensor with gaps is copied by lowering, and what lies in the gaps is not the optimiser's.
            if plain and (part.is_contiguous() or dense_order(part.shape, part.stride()) is not None):
                yield part.data_ptr(), part.data_ptr() + part.numel() * part.itemsize, id(optimiser)
        elif isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple):
            waiting += part


@dataclass(slots=True)
class Piece:
    """Bytes that are copied later, by whoever comes first; ``pairs`` is None when they are, or need not be."""

    pairs: Iterable[Pair] | None
    owners: frozenset[int]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def finish(self) -> None:
        """The bytes are copied when this returns, or were given up."""
        with self.lock:
            for pair in self.pairs or ():
                copy_one(*pair)
            self.pairs = None

    def give_up(self) -> None:
        with self.lock:
            self.pairs = None


class Overlap(Snapshot):
    """A snapshot with pieces that are copied later."""

    pieces: Sequence[Piece] = ()

    def begin(self, later: "Later") -> None:
        """Copy all but ``later``. From now on the steps of the optimisers wait for what they would change."""
        targets, sources = self.targets, self.sources
        copy((targets[number], sources[number]) for number in later.now)
        self.pieces = [
            Piece([part], owners)
            for number, owners in later.long
            for part in pieces_of((targets[number], sources[number]))
        ]
        self.pieces += [
            Piece(((targets[number], sources[number]) for number in numbers), owners) for numbers, owners in later.short
        ]
        self.sources = ()
        if self.pieces:
            _watch(self)

    def settle(self) -> None:
        """Copy what is not copied yet."""
        for piece in self.pieces:
            piece.finish()
        self.pieces = ()

    def settle_for(self, optimiser: int) -> None:
        """Copy what a step of ``optimiser`` would change; from the end, for the writer comes from the beginning."""
        pieces = self.pieces
        known = any(optimiser in piece.owners for piece in pieces)
        for piece in reversed(pieces):
            if not known or optimiser in piece.owners:
                piece.finish()

    def release(self) -> None:
        for piece in () if self.is_foreign else self.pieces:
            piece.give_up()
        self.pieces = ()
        super().release()


@dataclass(frozen=True, slots=True)
class Later:
    """Which of some arrays are copied when, by their numbers.

    now    at once
    long   later, each by itself, with the optimisers that change it
    short  later, many together
    """

    now: list[int]
    long: list[tuple[int, frozenset[int]]]
    short: list[tuple[list[int], frozenset[int]]]

    @classmethod
    def of(cls, sources: Sequence[memoryview], ranges: Iterable[Range]) -> "Later":
        """``ranges`` are those that optimisers change."""
        changed = owned(sources, ranges)
        long = [(number, owners) for number, owners in changed.items() if sources[number].nbytes >= LARGE]
        gathered: dict[frozenset[int], list[int]] = {}
        for number, owners in changed.items():
            if sources[number].nbytes < LARGE:
                gathered.setdefault(owners, []).append(number)
        short = [
            (numbers[start : start + MANY], owners)
            for owners, numbers in gathered.items()
            for start in range(0, len(numbers), MANY)
        ]
        return cls([number for number in range(len(sources)) if number not in changed], long, short)


MANY: Final = 1000
"""Short arrays that are copied together."""


def owned(sources: Sequence[memoryview], ranges: Iterable[Range]) -> dict[int, frozenset[int]]:
    """The number of each of ``sources`` that lies in ``ranges`` -> the optimisers that change it."""
    parts = merged(ranges)
    lows = [low for low, _, _ in parts]
    found: dict[int, frozenset[int]] = {}
    for number, source in enumerate(sources):
        start = address(source)
        place = bisect_right(lows, start) - 1
        if place >= 0 and start + source.nbytes <= parts[place][1]:
            found[number] = frozenset(parts[place][2])
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
