"""How the bytes of a file get to the disk, decided before one of them moves.

Strategy: a buffer is written on its own when someone watches its bytes, or when it is long enough to go around the page
cache (O_DIRECT); all others go out in runs, many in one call. Around the cache go whole grains of the file only. What
stands in a grain that two buffers share belongs to a run, so no page is ever written both ways.

Measured on ext4 on a virtual disk: 1 GiB in long arrays reaches the disk two to four times sooner around the cache than
through fresh pages of it and a sync. Below the two limits here the cache wins, and keeps the file for its next reader.
"""

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from holdfast.errors import UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Buffer

GRAIN: Final = max(4096, mmap.PAGESIZE)
"""Bytes. Direct writes begin and end on multiples of it: no page cache and no disk has larger units."""
LONG: Final = 1 << 20
"""Bytes of one buffer from which a direct write is quicker than a buffered one and the sync of its pages."""
MUCH: Final = 64 << 20
"""Bytes of all long buffers of a file from which that is so."""

Seen = Callable[[memoryview], object]
"""Is given the bytes of a buffer as they are written: each once, in order, in pieces of any length, on any thread."""


Views = Sequence[tuple[memoryview, Seen | None]]
"""The bytes of each buffer of a file, in order, and who watches them."""


def nothing() -> None:
    """What there is to complete when nobody watches."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A buffer of a file, and who looks at its bytes while they are written, to make a checksum of them."""

    data: "Buffer"
    seen: Seen


@dataclass(frozen=True, slots=True)
class Stretch:
    """A buffer that is dealt with on its own. It writes its bytes in ``own``; the others are only shown to ``seen``.

    ``staged`` bytes do not stand on a grain of the memory, where a disk could fetch them: they are copied on their way.
    """

    offset: int
    view: memoryview
    seen: Seen | None
    own: range
    staged: bool = False

    def pieces(self, length: int) -> Iterator[range]:
        """All its bytes in order, at most ``length`` at a time; each piece is wholly in ``own`` or wholly outside."""
        ends = sorted({0, self.own.start, self.own.stop, self.view.nbytes}) if self.own else [0, self.view.nbytes]
        for start, stop in pairwise(ends):
            for first in range(start, stop, length):
                yield range(first, min(first + length, stop))


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of the file from ``offset`` on, out of many buffers."""

    offset: int
    views: list[memoryview] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Way:
    """First the stretches, those that somebody watches before the others; then the runs.

    ``direct``: the stretches avoid the cache.
    """

    size: int
    direct: bool
    stretches: list[Stretch]
    runs: list[Run]


def flat(buffers: "Iterable[Buffer | Watched]") -> list[tuple[memoryview, Seen | None]]:
    """The bytes of each buffer, in place, and who watches them; empty ones are left out."""
    views = []
    for index, buffer in enumerate(buffers):
        data, seen = (buffer.data, buffer.seen) if isinstance(buffer, Watched) else (buffer, None)
        try:
            view = data if type(data) is memoryview else memoryview(data)
            if view.nbytes:
                as_it_is = view.format == "B" and view.ndim == 1 and view.contiguous
                views.append((view if as_it_is else view.cast("B"), seen))
        except (BufferError, TypeError, ValueError) as error:
            raise UnsupportedError(f"buffer {index} is not plain bytes in the order of the file: {error}") from error
    return views


def shown(views: Views) -> list[tuple[memoryview, None]]:
    """The same bytes when all who watch have seen them."""
    for view, seen in views:
        if seen is not None:
            seen(view)
    return [(view, None) for view, _ in views]


def way(views: Views, *, direct: bool) -> Way:
    """The way of ``views``, one after the other, into a file; ``direct`` says whether any may avoid the page cache.

    >>> small, large = memoryview(b"abc"), memoryview(bytes(MUCH + GRAIN))
    >>> found = way([(small, None), (large, None), (small, None)], direct=True)
    >>> [(one.offset, one.own == range(GRAIN - 3, MUCH + GRAIN - 3)) for one in found.stretches]
    [(3, True)]
    >>> [run.offset == at for run, at in zip(found.runs, (0, MUCH + GRAIN), strict=True)]
    [True, True]
    """
    size, stretches, runs = 0, [], [Run(0)]
    for view, seen in views:
        nbytes = len(view)
        if seen is None and nbytes < LONG:  # nearly every one
            runs[-1].views.append(view)
            size += nbytes
            continue
        own = _own(size, nbytes, seen, direct)
        if own or seen is not None:
            stretches.append(Stretch(size, view, seen, own, staged=direct and bool(own) and _is_apart(view, own.start)))
        if own:
            runs[-1].views.append(view[: own.start])
            runs.append(Run(size + own.stop, [view[own.stop :]]))
        else:
            runs[-1].views.append(view)
        size += nbytes
    if direct and sum(len(stretch.own) for stretch in stretches) < MUCH:
        return way(views, direct=False)
    return Way(size, direct, stretches, list(_filled(runs)))


def _own(offset: int, length: int, seen: Seen | None, direct: bool) -> range:
    if not direct:
        return range(0) if seen is None else range(length)
    body = grains(offset, length)
    return body if len(body) >= LONG else range(0)


def _is_apart(view: memoryview, start: int) -> bool:
    """Whether the bytes from ``start`` on begin inside a grain of the memory, where no disk can fetch them."""
    from numpy import frombuffer  # here, for `import holdfast` does without NumPy

    address: int = frombuffer(view, "u1").__array_interface__["data"][0]
    return (address + start) % GRAIN != 0


def grains(offset: int, length: int) -> range:
    """Which of the ``length`` bytes from ``offset`` of a file on fill whole grains.

    >>> grains(4090, 10_000), grains(1, 4096)
    (range(6, 8198), range(0, 0))
    """
    start, stop = -offset % GRAIN, length - (offset + length) % GRAIN
    return range(start, stop) if start < stop else range(0)


def _filled(runs: list[Run]) -> Iterator[Run]:
    for run in runs:
        views = list(filter(None, run.views))
        if views:
            yield Run(run.offset, views)
