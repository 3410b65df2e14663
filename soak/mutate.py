"""Documents made of the vocabularies' own words, with parts that no rule expects, through ``load`` and ``inspect``."""

from fuzz.__main__ import CHOOSING
from soak.campaign import Budget, Tally
from soak.fuzz import run_targets


def run(budget: Budget) -> Tally:
    return run_targets(budget, CHOOSING)
