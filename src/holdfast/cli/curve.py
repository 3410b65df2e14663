"""A curve of a metric for people at a terminal, out of block characters; pure, nothing is printed.

Strategy: the steps are spread over the columns, a column shows the mean of what falls into it, and what falls between
two points lies on the line between them. Eight kinds of blocks make a column finer than a character.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
WIDE_RANGE: Final = 100
"""Ratio of the greatest to the least from which on a logarithmic scale shows more."""

Points = Sequence[tuple[int, float]]
"""Steps and values, in the order of the steps."""


def finite(points: Points) -> list[tuple[int, float]]:
    """The points that can be drawn."""
    return [(step, value) for step, value in points if math.isfinite(value)]


def is_wide(values: Sequence[float]) -> bool:
    """Whether values are better shown on a logarithmic scale."""
    return min(values) > 0 and max(values) / min(values) >= WIDE_RANGE


def curve(points: Points, width: int = 60, height: int = 5) -> list[str]:
    """Lines of ``width`` blocks, the top one first.

    >>> for line in curve([(0, 4.0), (1, 3.0), (2, 2.0), (3, 1.0)], width=4, height=2):
    ...     print(f"|{line}|")
    |█▃  |
    |██▆▁|
    """
    values = np.array(columns(points, width))
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    levels = 1 + np.round(share * (8 * height - 1)).astype(int)
    return [
        "".join(BLOCKS[max(0, min(8, int(level) - 8 * row))] for level in levels) for row in reversed(range(height))
    ]


def columns(points: Points, width: int) -> list[float]:
    """One value for each column."""
    drawn = finite(points)
    steps = np.array([step for step, _ in drawn], float)
    values = np.array([value for _, value in drawn])
    if is_wide(values.tolist()):
        values = np.log10(values)
    place = (steps - steps[0]) / max(1.0, steps[-1] - steps[0]) * (width - 1)
    nearest = np.round(place).astype(int)
    sums, counts = np.bincount(nearest, values, width), np.bincount(nearest, minlength=width)
    there = np.flatnonzero(counts)
    means: list[float] = np.interp(np.arange(width), there, sums[there] / counts[there]).tolist()
    return means


def number(value: float) -> str:
    """A metric as people read it.

    >>> number(0.123456), number(12345.678), number(1.0)
    ('0.1235', '1.235e+04', '1')
    """
    return f"{value:.4g}"
