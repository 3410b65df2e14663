"""The figures of a campaign: in words, and as its line in the table of docs/trust.md.

Strategy: the table stands between two marks. A campaign's line is found by its name, so each can be run by itself, and
the line says with which command.
"""

from collections import Counter
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from soak.campaign import Budget, Tally

PAGE: Final = Path(__file__).parent.parent / "docs" / "trust.md"
BEGIN, END = "<!-- soak: written by scripts/soak --write -->", "<!-- /soak -->"
HEAD: Final = "| tried | seen | wrong | took | command |\n|---|---|---|---|---|"


def told(counts: Counter[str]) -> str:
    """Counts in words.

    >>> told(Counter({"kills": 20000, "saves": 7}))
    '20,000 kills, 7 saves'
    """
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def named(name: str, variants: tuple[str, ...]) -> str:
    """What a campaign's line is called; a part of one has a line of its own, so that parts can be run side by side.

    >>> named("fuzz", ()), named("fuzz", ("read",))
    ('fuzz', 'fuzz (read)')
    """
    return f"{name} ({', '.join(variants)})" if variants else name


def line(name: str, budget: Budget, tally: Tally, command: str) -> str:
    """A campaign's line of the table."""
    return f"| {name} | {told(tally.counts)} | {told(tally.wrong)} | {duration(budget.spent)} | `{command}` |"


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def written(page: str, name: str, row: str) -> str:
    """``page`` with ``row`` as the line of ``name``: in the place of the one that was there, or in alphabetical order.

    >>> print(written(f"{BEGIN}\\n{HEAD}\\n| b | 1 |\\n{END}", "a", "| a | 2 |"))
    <!-- soak: written by scripts/soak --write -->
    | tried | seen | wrong | took | command |
    |---|---|---|---|---|
    | a | 2 |
    | b | 1 |
    <!-- /soak -->
    """
    before, found, rest = page.partition(BEGIN)
    table, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the page has no table between {BEGIN} and {END}")
    others = [one for one in table.strip().split("\n")[2:] if not one.startswith(f"| {name} |")]
    rows = "\n".join(sorted([*others, row]))
    return f"{before}{BEGIN}\n{HEAD}\n{rows}\n{END}{after}"


def write(name: str, row: str) -> None:
    """Put the figures of a campaign into the page."""
    with open(PAGE, "r+", encoding="utf-8") as file:
        flock(file, LOCK_EX)  # of campaigns that end at once, both lines stay
        page = written(file.read(), name, row)
        file.seek(0)
        file.truncate()
        file.write(page)
