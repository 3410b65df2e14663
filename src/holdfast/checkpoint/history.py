"""The numbers of a run at all its saves, also of those that retention has let go: what a curve is drawn from.

Strategy: every checkpoint's header carries the history up to it, so that there is no second file to be lost or to go
stale, and after a rollback the history is that of the checkpoint gone back to. It stays small: when it is full, every
second of its older points goes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

MOST: Final = 1000
"""Points that a history has at most."""


@dataclass(slots=True)
class History:
    """Steps, and for each metric a number for each step, NaN where it was not given.

    >>> history = History()
    >>> history.add(0, {"loss": 2.0})
    >>> history.add(9, {"loss": 1.0, "accuracy": 0.5})
    >>> history.points("accuracy"), history.points("loss")
    ([(9, 0.5)], [(0, 2.0), (9, 1.0)])
    """

    steps: list[int] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the numbers of a step; a step that is there already is replaced."""
        while self.steps and self.steps[-1] >= step:
            self._keep(slice(None, -1))
        if len(self.steps) >= MOST:
            self._thin()
        for name in metrics:
            self.metrics.setdefault(name, [math.nan] * len(self.steps))
        self.steps.append(step)
        for name, values in self.metrics.items():
            values.append(float(metrics.get(name, math.nan)))

    def _thin(self) -> None:
        half = [*range(0, len(self.steps) // 2, 2), *range(len(self.steps) // 2, len(self.steps))]
        self.steps = [self.steps[at] for at in half]
        self.metrics = {name: [values[at] for at in half] for name, values in self.metrics.items()}

    def _keep(self, part: slice) -> None:
        self.steps = self.steps[part]
        self.metrics = {name: values[part] for name, values in self.metrics.items()}

    def points(self, metric: str) -> list[tuple[int, float]]:
        """The steps at which ``metric`` was given, and what it was."""
        pairs = zip(self.steps, self.metrics.get(metric, ()), strict=False)
        return [(step, value) for step, value in pairs if not math.isnan(value)]

    def values(self, metric: str) -> list[float]:
        """What ``metric`` was wherever it was given."""
        return [value for _, value in self.points(metric)]

    def document(self) -> dict[str, Any]:
        """The history as a header has it."""
        arrays = {name: np.array(values, np.float64) for name, values in self.metrics.items()}
        return {"steps": np.array(self.steps, np.int64), "names": list(arrays), "values": list(arrays.values())}

    @classmethod
    def of(cls, document: Any) -> Self:
        """The history in a header; an empty one for what is none."""
        match document:
            case {"steps": np.ndarray() as steps, "names": list(names), "values": list(values)}:
                columns = dict(zip(map(str, names), (_numbers(one, len(steps)) for one in values), strict=False))
                return cls([int(step) for step in steps.tolist()], columns)
        return cls()


def _numbers(values: Any, count: int) -> list[float]:
    found = [float(value) for value in values.tolist()] if isinstance(values, np.ndarray) else []
    return (found + [math.nan] * count)[:count]
