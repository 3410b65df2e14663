"""XXH3-64 of every sealed blob and of the frame around them.

Strategy: XXH3 runs at memory speed and outside the interpreter lock, so blobs are shared out over a few threads, each
long one to one thread. The frame's own checksum covers all other bytes before it, the blobs' checksums among them, so
one flipped bit anywhere is seen. BSON has signed integers only: a checksum is stored as an int64.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import cpu_count
from struct import pack, unpack
from typing import Final, TypeVar

from xxhash import xxh3_64, xxh3_64_intdigest

from holdfast.wire.elements import I64
from holdfast.wire.plan import HASH_AT, TRAILER, Plan
from holdfast.wire.values import Blob

THREADS: Final = max(2, min(8, cpu_count() or 1))
AHEAD: Final = max(4, THREADS)
"""Threads that read a file in from the disk: more than a small machine has processors, for they wait."""
PIECE: Final = 1 << 20
"""Bytes that one of them reads in at a time, so close to what the others read that it is one stream to the system."""
LEAD: Final = 4 * AHEAD
"""Pieces that are read in, at most, before their turn."""
WORTH_A_THREAD: Final = 1 << 20
"""Bytes below which handing a blob to a thread costs more than hashing it."""

Bring = Callable[[int, int], object]
"""Brings the bytes of a file from one position to another into memory."""
_Piece = tuple[int, int, memoryview]
"""Of which blob something is, where it stands in the file, and its bytes."""
Part = TypeVar("Part")


def checksum(data: memoryview) -> int:
    """The XXH3-64 of ``data`` as a signed 64-bit integer.

    >>> checksum(memoryview(b"holdfast"))
    5611281639409550603
    """
    return _signed(xxh3_64_intdigest(data))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _all_signed(values: Sequence[int]) -> list[int]:
    return list(unpack(f"{len(values)}q", pack(f"{len(values)}Q", *values)))


def checksums(blobs: Sequence[Blob]) -> list[int]:
    """The checksum of each blob, in order."""
    large = [index for index, blob in enumerate(blobs) if blob.data.nbytes >= WORTH_A_THREAD]
    if len(large) < 2:
        return _all_signed([xxh3_64_intdigest(blob.data) for blob in blobs])
    from concurrent.futures import ThreadPoolExecutor  # costs a tenth of `import holdfast`, and small files need none

    with ThreadPoolExecutor(min(THREADS, len(large))) as pool:
        large.sort(key=lambda index: -blobs[index].nbytes)  # so that no thread is left with a long one at the end
        threaded = {index: pool.submit(checksum, blobs[index].data) for index in large}
        short = {index: checksum(blob.data) for index, blob in enumerate(blobs) if index not in threaded}
    return [short[index] if index in short else threaded[index].result() for index in range(len(blobs))]


def checksums_ahead(blobs: Sequence[Blob], bring: Bring) -> list[int]:
    """As ``checksums``, of a file that is on the disk: threads ``bring`` it into memory piece by piece, in its order, and
    this one follows them.

    Were each blob left to a thread, the system would see several readers far from each other, read little at a time
    for each, and keep the file in small parts, so that mapping it took longer ever after.
    """
    states = [xxh3_64() for _ in blobs]
    for pieces in _brought(_pieces(blobs), bring):
        for index, _, data in pieces:
            states[index].update(data)
    return _all_signed([state.intdigest() for state in states])


def _pieces(blobs: Sequence[Blob]) -> list[list[_Piece]]:
    """What the blobs have of each piece of the file in which they have something: their index, place and bytes."""
    pieces: dict[int, list[_Piece]] = {}
    for index, blob in sorted(enumerate(blobs), key=lambda entry: entry[1].offset or 0):
        start = blob.offset or 0
        for piece in range(start // PIECE, -(-(start + blob.nbytes) // PIECE)):
            first = max(start, piece * PIECE)
            data = blob.data[first - start : (piece + 1) * PIECE - start]
            pieces.setdefault(piece, []).append((index, first, data))
    return list(pieces.values())


def _brought(pieces: Iterable[list[_Piece]], bring: Bring) -> Iterator[list[_Piece]]:
    """Each of the pieces, once it is in memory."""
    from concurrent.futures import Future, ThreadPoolExecutor

    waiting: deque[tuple[list[_Piece], Future[object]]] = deque()

    def next_one() -> list[_Piece]:
        parts, read = waiting.popleft()
        read.result()
        return parts

    with ThreadPoolExecutor(AHEAD) as pool:
        for parts in pieces:
            _, start, _ = parts[0]
            _, last, data = parts[-1]
            waiting.append((parts, pool.submit(bring, start, last + data.nbytes)))
            if len(waiting) > LEAD:
                yield next_one()
        while waiting:
            yield next_one()


def seal(plan: Plan) -> None:
    """Fill in the checksums of ``plan``: each blob's, then the frame's."""
    _fill(plan, checksums([blob for _, blob in plan.seals]))


class Sealing:
    """The checksums of ``plan``, made while its bytes are written; ``complete`` fills them in.

    >>> from holdfast.wire.plan import plan_document
    >>> plan = plan_document({"a": {"data": Blob(memoryview(bytes(WORTH_A_THREAD)), sealed=True)}})
    >>> sealing = Sealing(plan)
    >>> for part in sealing.parts(lambda view, seen: (view, seen)):
    ...     if type(part) is tuple:
    ...         view, seen = part
    ...         seen(view)
    >>> sealing.complete()
    >>> I64.unpack_from(plan.frame, plan.seals[0][0])[0] == checksum(plan.seals[0][1].data)
    True
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._states = [xxh3_64() if blob.data.nbytes >= WORTH_A_THREAD else None for _, blob in plan.seals]

    def parts(self, watched: Callable[[memoryview, Callable[[memoryview], object]], Part]) -> list[memoryview | Part]:
        """The file's bytes in order. What must be seen on the way is given to ``watched`` with the function that wants
        it: each byte once, in order, in any pieces.

        The rest may only be read after ``complete``.
        """
        frame, start = memoryview(self._plan.frame), 0
        parts: list[memoryview | Part] = []
        for (cut, blob), state in zip(self._plan.cuts, self._states, strict=True):
            parts.append(frame[start:cut])
            parts.append(blob.data if state is None else watched(blob.data, state.update))
            start = cut
        parts.append(frame[start:])
        return parts

    def complete(self) -> None:
        """Fill in all checksums: those of the blobs that were given piece by piece, of the short ones, of the frame."""
        pairs = zip(self._plan.seals, self._states, strict=True)
        sums = [state.intdigest() if state else xxh3_64_intdigest(blob.data) for (_, blob), state in pairs]
        _fill(self._plan, _all_signed(sums))


def _fill(plan: Plan, values: Iterable[int]) -> None:
    for (position, _), value in zip(plan.seals, values, strict=True):
        I64.pack_into(plan.frame, position, value)
    end = len(plan.frame) - len(TRAILER) + HASH_AT
    I64.pack_into(plan.frame, end, checksum(memoryview(plan.frame)[:end]))


def frame_checksum(data: memoryview, blobs: Iterable[Blob]) -> int:
    """The checksum of a file's frame: all bytes of ``data`` before the trailer's hash that are not in ``blobs``."""
    state, start = xxh3_64(), 0
    end = len(data) - len(TRAILER) + HASH_AT
    for blob in blobs:
        offset = blob.offset or 0
        state.update(data[start:offset])
        start = offset + blob.data.nbytes
    state.update(data[start:end])
    return _signed(state.intdigest())
