"""The rest of a run's data: each piece once, over all processes that have a part in the run.

Strategy: data that knows its place (``state_dict``; a DataLoader is made so) goes on from it, and only whole epochs are
left out here. Of other data the pieces that were had are read again and dropped, which is exact as long as they come in
the same order. What dropping them drew from the random generators is taken back.

Several walks one after the other are one run: ``for _ in range(9): train(…, series=series)`` goes on in the right one.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.checkpoint.loop import Loop
from holdfast.checkpoint.position import Position
from holdfast.errors import HoldfastError


@dataclass(slots=True)
class Walk:
    """What of a run's data this process has been through, counted from the beginning of the run.

    loop     the loop that is walked in
    start    where it was resumed
    restore  restores the state of there
    pieces   those that were had or left out
    epochs   likewise
    """

    loop: Loop
    start: Position
    restore: Callable[[], Any]
    pieces: int = 0
    epochs: int = 0

    def over(self, data: Iterable[Any], epochs: int) -> Iterator[tuple[int, int, Any]]:
        """The step, the epoch and the piece for each that is left."""
        arrivals, placed = self.loop.arrivals, knows_its_place(data)
        for _ in range(epochs):
            epoch, self.epochs = self.epochs, self.epochs + 1
            if placed and epoch < self.start.epoch:
                continue
            if placed:
                self.pieces = max(self.pieces, self.start.step)
            self.loop.enter(epoch)
            for piece in data:
                if self.loop.arrivals != arrivals:
                    raise HoldfastError("the run has gone back since this walk began: begin a new one")
                step, self.pieces = self.pieces, self.pieces + 1
                if step >= self.start.step:
                    yield step, epoch, piece
                elif step == self.start.step - 1:
                    self.restore()


def knows_its_place(data: Any) -> bool:
    """Whether ``data`` saves and restores how far it has been read."""
    return all(callable(getattr(data, name, None)) for name in ("state_dict", "load_state_dict"))


def placed(data: Any, tracked: Mapping[str, Any]) -> Any:
    """``data``, or for a DataLoader one that knows its place, which may be tracked already."""
    torch = sys.modules.get("torch")
    if torch is None or knows_its_place(data) or not isinstance(data, torch.utils.data.DataLoader):
        return data
    from holdfast.checkpoint.sampler import ResumableLoader, resumable

    known = [one for one in tracked.values() if isinstance(one, ResumableLoader) and one.loader is data]
    return known[0] if known else resumable(data)
