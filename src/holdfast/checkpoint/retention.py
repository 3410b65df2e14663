"""Which checkpoints stay, and why: a pure function of what is known about each.

Strategy: every rule names those that it keeps, and the union stays. A checkpoint that no rule names is let go. Rules
look at the past only, so what a rule has let go it would not want back: judging a folder again, or after each save,
gives the same as judging the whole history at once.

    last      the newest n steps, or all there is
    best      the k best by a metric; equal ones in the order in which they were saved; NaN and missing are never best
    every     for good: the first, and each that is t seconds after the last that was kept so
    steps     for good: the first one after every n steps
    pinned    until the pin is taken off
    flagged   the newest unhealthy and the newest interrupted one, as long as no good one is newer

One thing stands above the rules: when none of those that stay is known to be whole, the newest that is stays too.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, Self

from holdfast.checkpoint.cadence import seconds_of

Reasons = dict[str, list[str]]
"""Why each stays, by key; what stands under no key is let go."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What retention knows of a checkpoint.

    key       its name
    step      the step that it holds as done
    time      when it was saved, in seconds of any clock
    metrics   the numbers that were given with the step
    pinned    kept by hand
    flag      "unhealthy" or "interrupted": no good place to go on from; "" for a good one
    verified  known to be whole
    """

    key: str
    step: int
    time: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False
    flag: str = ""
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What to keep. ``last=None`` keeps all."""

    last: int | None = 3
    best: int = 0
    metric: str | None = None
    mode: Literal["min", "max"] = "min"
    every: float | None = None
    every_steps: int | None = None

    @classmethod
    def of(
        cls,
        keep_last: int | None,
        keep_best: int,
        best: str | None,
        mode: Literal["min", "max"],
        keep_every: float | timedelta | None,
        keep_every_steps: int | None,
    ) -> Self:
        """The policy that a user asks for. Raises ValueError for what cannot be meant, or would keep nothing."""
        for name, count, least in (("keep_last", keep_last, 0), ("keep_best", keep_best, 0)):
            if count is not None and (isinstance(count, bool) or count != int(count) or count < least):
                raise ValueError(f"{name} is a whole number from {least}, not {count!r}")
        if keep_every_steps is not None and (keep_every_steps != int(keep_every_steps) or keep_every_steps < 1):
            raise ValueError(f"keep_every_steps is a whole number from 1, not {keep_every_steps!r}")
        if mode not in ("min", "max"):
            raise ValueError(f'mode is "min" or "max", not {mode!r}')
        if keep_best and best is None:
            raise ValueError('keep_best needs to know by which metric: pass best="loss", say')
        policy = cls(keep_last, keep_best, best, mode, seconds_of("keep_every", keep_every), keep_every_steps)
        if keep_last == 0 and not (keep_best or policy.every is not None or keep_every_steps):
            raise ValueError("keep_last=0 alone would keep nothing: leave one, or say what to keep instead")
        return policy

    def document(self) -> dict[str, Any]:
        """The policy as a checkpoint's header has it.

        >>> Policy.from_document(Policy(last=5).document()) == Policy(last=5)
        True
        """
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The policy in a header. Raises ValueError for what is none."""
        known = {name: document[name] for name in FIELDS if name in document}
        return cls.of(*(known.get(name, getattr(STANDARD, name)) for name in FIELDS))


FIELDS: Final = ("last", "best", "metric", "mode", "every", "every_steps")
STANDARD: Final = Policy()


def kept(candidates: Iterable[Candidate], policy: Policy) -> Reasons:
    """Which of ``candidates`` stay, each with its reasons; the order of the candidates does not matter.

    A step counts once, by its newest file: an older one of the same step stays only when it is pinned.

    >>> [*kept([Candidate(str(step), step, step) for step in range(5)], Policy(last=2))]
    ['3', '4']
    """
    ordered = sorted(candidates, key=lambda one: (one.step, one.time, one.key))
    counted = _one_for_each_step(ordered)
    good = [one for one in counted if not one.flag] or counted
    found: Reasons = {}
    for reason, ones in (
        ("last", _last(ordered, good, policy.last)),
        ("best", ranked(good, policy)[: policy.best]),
        (every_text(policy.every), _spaced(good, policy.every)),
        (f"every {policy.every_steps:,} steps" if policy.every_steps else "", _on_grid(good, policy.every_steps)),
        ("pinned", [one for one in ordered if one.pinned]),
        *_flagged(ordered if policy.last is None else counted, policy.last is None),
    ):
        for one in ones:
            found.setdefault(one.key, []).append(reason)
    for one in _last_resort(ordered, found):
        found[one.key] = ["the only verified one"]
    return {one.key: found[one.key] for one in ordered if one.key in found}


def _last(ordered: Sequence[Candidate], good: Sequence[Candidate], count: int | None) -> Sequence[Candidate]:
    """The newest ``count`` good ones; None: every one that is not flagged."""
    if count is None:
        return [one for one in ordered if not one.flag]
    return good[max(0, len(good) - count) :]


def _one_for_each_step(ordered: Sequence[Candidate]) -> list[Candidate]:
    """Of each step the newest good file, or the newest where none is good."""
    newest: dict[int, Candidate] = {}
    for one in ordered:
        before = newest.get(one.step)
        if before is None or before.flag or not one.flag:
            newest[one.step] = one
    return list(newest.values())


def ranked(candidates: Iterable[Candidate], policy: Policy) -> list[Candidate]:
    """Those that have the policy's metric as a finite number, the best first. Flagged ones are never among them."""
    metric = policy.metric
    if metric is None:
        return []
    able = [one for one in candidates if not one.flag and math.isfinite(one.metrics.get(metric, math.nan))]
    sign = 1 if policy.mode == "min" else -1
    return sorted(able, key=lambda one: (sign * one.metrics[metric], one.step, one.time))


def _spaced(ordered: Sequence[Candidate], seconds: float | None) -> list[Candidate]:
    """The first, and each that lies ``seconds`` from the one before it. A clock that was turned back starts anew."""
    found: list[Candidate] = []
    for one in ordered if seconds is not None else ():
        if not found or abs(one.time - found[-1].time) >= (seconds or 0):
            found.append(one)
    return found


def _on_grid(ordered: Sequence[Candidate], steps: int | None) -> list[Candidate]:
    """The first with at least n, 2 n, 3 n … steps done."""
    found: dict[int, Candidate] = {}
    for one in ordered if steps else ():
        lap = (one.step + 1) // (steps or 1)
        if lap:
            found.setdefault(lap, one)
    return list(found.values())


def _flagged(ordered: Sequence[Candidate], everything: bool) -> list[tuple[str, list[Candidate]]]:
    """The newest of each flag that no good one has left behind, or every one."""
    if everything:
        return [(one.flag, [one]) for one in ordered if one.flag]
    last_good = max((index for index, one in enumerate(ordered) if not one.flag), default=-1)
    newest = {one.flag: one for one in ordered[last_good + 1 :] if one.flag}
    return [(flag, [one]) for flag, one in newest.items()]


def _last_resort(ordered: Sequence[Candidate], found: Reasons) -> list[Candidate]:
    """The newest verified one, when no verified one stays; a good one if there is any."""
    verified = [one for one in ordered if one.verified]
    if any(one.key in found for one in verified):
        return []
    return ([one for one in verified if not one.flag] or verified)[-1:]


UNITS: Final[Sequence[tuple[float, str]]] = ((86400, "d"), (3600, "h"), (60, "min"))


def every_text(seconds: float | None) -> str:
    """A reason such as ``every 6 h``.

    >>> every_text(21600), every_text(90), every_text(0.5)
    ('every 6 h', 'every 90 s', 'every 0.5 s')
    """
    if seconds is None:
        return ""
    for size, unit in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"every {seconds / size:g} {unit}"
    return f"every {seconds:g} s"


def outlived(saved_since: int, policy: Policy) -> bool:
    """Whether checkpoints that a rollback moved away can be let go: as many good ones as ``last`` came after it."""
    return policy.last is not None and saved_since >= max(policy.last, 1)
