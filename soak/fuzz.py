"""Bytes and documents that nobody would write, through every target of ``fuzz``: coverage-guided where atheris is installed.

Strategy: the budget is shared out over the targets, one after the other, each in as many processes as asked for. A try is
one execution. What may never be is an escape: anything but a value or an error of Holdfast's own.
"""

import sys
from typing import Final

from fuzz.__main__ import CHOOSING, NAMES
from fuzz.__main__ import run as run_target
from soak.campaign import Budget, Tally

BYTES: Final = tuple(name for name in NAMES if name not in CHOOSING)
"""The targets whose input is a file; ``mutate`` has the other one."""
VARIANTS: Final = dict.fromkeys(BYTES, "one target alone")


def run_targets(budget: Budget, names: tuple[str, ...]) -> Tally:
    """Run ``names`` one after the other, each with its share of the budget."""
    tally = Tally()
    tally.wrong["escapes"] = 0
    share = 0 if budget.count is None else -(-budget.count // len(names))
    for name in names:
        seconds = 0 if budget.seconds is None else budget.seconds / len(names)
        figures = run_target(name, runs=share, seconds=seconds, jobs=budget.jobs, seed=budget.seed)
        print(
            f"  {name}: {figures['executions']:,} in {figures['seconds']} s, {figures['edges']} edges", file=sys.stderr
        )
        tally.counts[f"executions of {name}"] += figures["executions"]
        budget.done += figures["executions"]
        budget.spent += figures["seconds"]
        for place, text in figures["escapes"].items():
            tally.fail("escapes", f"{name}: {place}: {text}")
        for output in figures["broken"]:
            tally.fail("processes that ended", f"{name}: {output[-500:]}")
    return tally


def run(budget: Budget) -> Tally:
    return run_targets(budget, budget.variants or BYTES)
