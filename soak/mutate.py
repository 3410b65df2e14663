"""Documents made of the vocabularies' own words, with parts that no rule expects, through ``load`` and ``inspect``."""

from typing import Final

from soak.campaign import Budget, Tally
from soak.fuzz import run_targets

NAMES: Final = ("structure",)


def run(budget: Budget) -> Tally:
    return run_targets(budget, NAMES)
