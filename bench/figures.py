"""What the figures mean: ratios, medians, spread, goals. Pure functions; nothing here measures.

A round measures everyone within a few seconds, so the machine is in the same mood for all. The ratio of two is therefore
taken within each round, and the median of the rounds is what counts.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from math import log
from statistics import median

Figures = dict[str, list[float]]
"""Of each contender, the figure of each round: seconds, or MiB."""


@dataclass(frozen=True)
class Goal:
    """``peer`` should take at least ``at_least`` times as long as ``ours``; None: only shown."""

    ours: str
    peer: str
    at_least: float | None = None


@dataclass(frozen=True)
class Limit:
    """The figure of ``ours`` should be at most ``at_most``."""

    ours: str
    at_most: float


@dataclass
class Result:
    """One row, measured. ``notes`` say what was left out, and why."""

    row: str
    figures: Figures = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """One line of the table: what ``ours`` and ``peer`` took (medians), and how the one stands to the other."""

    row: str
    ours: str
    peer: str
    ours_took: float
    peer_took: float
    ratios: tuple[float, ...]
    goal: float | None
    verdict: str


def ratios(ours: list[float], peer: list[float]) -> tuple[float, ...]:
    """How many times longer the peer took, round by round: above 1 we are faster.

    >>> ratios([1.0, 2.0], [3.0, 3.0])
    (3.0, 1.5)
    """
    return tuple(theirs / mine for mine, theirs in zip(ours, peer, strict=True))


def verdict(figure: float, at_least: float | None = None, at_most: float | None = None) -> str:
    """
    >>> verdict(2.1, at_least=2), verdict(65.0, at_most=64), verdict(1.0)
    ('met', 'missed', '')
    """
    if at_least is None and at_most is None:
        return ""
    reached = (at_least is None or figure >= at_least) and (at_most is None or figure <= at_most)
    return "met" if reached else "missed"


def compare(result: Result, goals: tuple[Goal, ...]) -> list[Line]:
    """A line for each goal of which both were measured."""
    lines = []
    for goal in goals:
        ours, peer = result.figures.get(goal.ours), result.figures.get(goal.peer)
        if ours and peer:
            each = ratios(ours, peer)
            judged = verdict(median(each), at_least=goal.at_least)
            took = median(ours), median(peer)
            lines.append(Line(result.row, goal.ours, goal.peer, *took, each, goal.at_least, judged))
    return lines


def spread(figures: tuple[float, ...] | list[float]) -> str:
    """From the least to the greatest.

    >>> spread([3.0, 1.0, 2.0])
    '1.00–3.00'
    """
    return f"{min(figures):.2f}–{max(figures):.2f}"


def exponents(sizes: list[float], seconds: list[float]) -> list[float]:
    """How time grows from each size to the next, as the exponent of the size: 1 is linear, 2 is quadratic.

    >>> [round(each, 6) for each in exponents([1, 10, 100], [1, 10, 10_000])]
    [1.0, 3.0]
    """
    pairs = zip(pairwise(sizes), pairwise(seconds), strict=True)
    return [log(t1 / t0) / log(s1 / s0) for (s0, s1), (t0, t1) in pairs]
