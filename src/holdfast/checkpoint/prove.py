"""Proof that a resumed run is the run that was saved: the same steps twice, compared bit by bit.

Strategy: save, run the steps, restore, compare, run them again, compare after each. What differs right after the
restore was not put back. What differs later, with all of the state the same before, comes from something that is not
tracked. Only fingerprints are kept, so the state may be large.
"""

import os
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, Final

from holdfast.checkpoint import record
from holdfast.checkpoint.fingerprint import RETURNED, Table, fingerprints, leaves
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.snapshot import planned
from holdfast.errors import DriftError
from holdfast.formats import bson
from holdfast.vocab import vocabulary

SHOWN: Final = 8
"""Paths that an error lists."""

Missing: Final = object()


@dataclass(frozen=True, slots=True)
class Proof:
    """What was shown to be the same in both runs.

    steps     how many were run twice
    compared  values that were compared after each step
    changed   paths of those that the steps change: if this is empty, nothing of the state was put to the test
    """

    steps: int
    compared: int
    changed: tuple[str, ...]


def prove_resume(
    tracked: MutableMapping[str, Any],
    step_function: Callable[[int], Any],
    steps: int,
    *,
    start: int = 0,
    exact: bool = False,
    folder: str | os.PathLike[str] | None = None,
) -> Proof:
    """Run ``steps`` steps, restore, run them again, and compare bit by bit.

    tracked        what a series tracks; afterwards it is as it was before the call
    step_function  called with the number of each step; may return the loss, the batch, or a dict of such, to compare
    start          the number of the first step
    exact          as for ``record.capture``
    folder         where the file is written for the while; a temporary one if None

    The step function must take its batches from what is tracked (``loader.next_batch()``): an iterator of its own would
    not go back. Raises DriftError that names the first state that differs, by path, and the step after which it does.
    """
    with TemporaryDirectory(dir=folder) as place:
        path = os.path.join(place, "proof.bson")
        values = record.capture(tracked, position=Position(start), exact=exact)
        bson.publish(path, planned(values, vocabulary()))
        before = fingerprints(tracked)
        try:
            first = [_after(step_function, start + index, tracked) for index in range(steps)]
            record.put_back(path, tracked)
            _compare(before, fingerprints(tracked), None)
            for index, expected in enumerate(first):
                _compare(expected, _after(step_function, start + index, tracked), start + index)
        finally:
            record.put_back(path, tracked)
    changed = tuple(key for key in before if any(table.get(key) != before[key] for table in first))
    return Proof(steps, len(before), changed)


def _after(step_function: Callable[[int], Any], step: int, tracked: MutableMapping[str, Any]) -> Table:
    """The fingerprints after one step, with those of what it returned after the random generators."""
    returned = dict(leaves(step_function(step), RETURNED))
    table = fingerprints(tracked)
    return {**{k: v for k, v in table.items() if _is_early(k)}, **returned, **table}


def _is_early(path: str) -> bool:
    return path.startswith("the RNG of ")


def _compare(expected: Table, found: Table, step: int | None) -> None:
    paths = list(dict.fromkeys([*expected, *found]))
    drifted = [path for path in paths if expected.get(path, Missing) != found.get(path, Missing)]
    if drifted:
        raise DriftError(_message(drifted, step), drifted, step)


def _message(drifted: list[str], step: int | None) -> str:
    first, rest = drifted[0], drifted[1:SHOWN]
    also = f"; so do {', '.join(rest)}" if rest else ""
    also += f" and {len(drifted) - SHOWN} more" if len(drifted) > SHOWN else ""
    if step is None:
        return f"{first} differs right after the restore, which does not put it back (exact=True may){also}"
    return (
        f"{first} differs after step {step}, and all that is tracked was the same before it: something else takes "
        f"part, such as a generator, a data set or a variable that is not tracked{also}"
    )
