"""Where a run stands: the step to run next and the epoch that it is in."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from holdfast.errors import FormatError


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run goes on.

    step   the next step to run: one more than the last one that the checkpoint holds as done, 0 at the start
    epoch  the epoch of the last step, as the caller counts them; 0 at the start
    time   seconds that the run has trained for, over all its processes

    >>> Position(step=3).document()
    {'step': 3, 'epoch': 0, 'time': 0.0}
    """

    step: int = 0
    epoch: int = 0
    time: float = 0.0

    def document(self) -> dict[str, Any]:
        """The position as a file has it."""
        return asdict(self)

    @classmethod
    def of(cls, document: Any) -> Self:
        """The position in a file. Raises FormatError for what is none.

        >>> Position.of({"step": 3, "epoch": 1})
        Position(step=3, epoch=1, time=0.0)
        """
        match document:
            case {"step": int(step), **rest} if step >= 0:
                epoch, time = rest.get("epoch", 0), rest.get("time", 0.0)
                if isinstance(epoch, int) and isinstance(time, int | float):
                    return cls(step, epoch, float(time))
        raise FormatError(f"{document!r:.80} is not a position in a run")
