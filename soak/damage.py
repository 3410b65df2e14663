"""A good file of 1 MiB with all kinds of values: every single bit flipped, cut at every byte, hit by random bursts.

Strategy: ``fuzz.flips`` does it, by the functions that ``load`` uses. The flips and cuts are all that there are; the budget's
count is the number of bursts. What may never be is a damaged file that opens and gives other values.
"""

import sys
import time

from fuzz import flips
from soak.campaign import Budget, Tally


def run(budget: Budget) -> Tally:
    tally, started = Tally(), time.monotonic()
    tally.wrong["unseen"] = 0
    subject = flips.Subject(flips.sample(flips.MIB))
    bursts = 100_000 if budget.count is None else budget.count
    for name, tries in {
        "flips": flips.flips(subject),
        "cuts": flips.cuts(subject),
        "bursts": flips.bursts(subject, bursts, budget.seed),
    }.items():
        for count, missed in tries:
            tally.counts[name] += count
            if missed:
                tally.fail("unseen", missed)
        print(f"  {tally.counts[name]:,} {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    budget.done, budget.spent = sum(tally.counts.values()), time.monotonic() - started
    return tally
