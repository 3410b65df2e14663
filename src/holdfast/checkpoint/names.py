"""File names of checkpoints: ``digits-000120-2026-11-23T02-57-10.410.bson`` is step 120 of the run ``digits``.

Strategy: a name says all that is needed to choose a file without opening one, and there is exactly one name for each
``Name``, so a file is ours when its name comes back the same. Sorting the names of a run is sorting by step, then by
time (UTC, to the millisecond).

A step has six digits. Beyond 999,999 a letter stands before the digits and counts the further ones: ``a1234567`` has
seven, ``b12345678`` eight. Letters sort after digits, so the names still sort by step, up to the largest 64-bit number.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

DIGITS: Final = 6
"""Digits of a step below a million."""
MARKS: Final = ("pinned", "unhealthy", "interrupted")
"""What can be said of a checkpoint between its time and its ending, in this order."""
FLAGS: Final = frozenset({"unhealthy", "interrupted"})
"""The marks of a checkpoint that is not a good place to go on from."""
MAX_STEP: Final = (1 << 63) - 1
MAX_RUN: Final = 120
"""Bytes of a run's name: with all marks and the ending of a draft, the file's name stays below 255."""

PATTERN: Final = re.compile(
    r"(?P<run>.+)-(?P<step>[0-9]{6}|[a-m][0-9]{7,19})-"
    r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}\.[0-9]{3})(?P<marks>(?:\.[a-z]+)*)",
    re.DOTALL,
)
TIME: Final = "%Y-%m-%dT%H-%M-%S.%f"


@dataclass(frozen=True, slots=True)
class Name:
    """What the name of a checkpoint's file says; ``str`` gives the name.

    >>> name = Name("digits", 120, datetime(2026, 11, 23, 2, 57, 10, 410_000, UTC))
    >>> str(name)
    'digits-000120-2026-11-23T02-57-10.410.bson'
    >>> Name.of(str(name)) == name
    True
    >>> str(name.marked("pinned"))
    'digits-000120-2026-11-23T02-57-10.410.pinned.bson'
    """

    run: str
    step: int
    time: datetime
    marks: frozenset[str] = frozenset()
    ending: str = ".bson"

    def __str__(self) -> str:
        marks = "".join(f".{mark}" for mark in MARKS if mark in self.marks)
        return f"{self.run}-{step_text(self.step)}-{time_text(self.time)}{marks}{self.ending}"

    @classmethod
    def of(cls, text: str, ending: str = ".bson") -> Self | None:
        """The parts of a file's name, or None when it is not one of ours."""
        found = PATTERN.fullmatch(text.removesuffix(ending)) if text.endswith(ending) else None
        if found is None:
            return None
        try:
            time = datetime.strptime(found["time"], TIME).replace(tzinfo=UTC)
        except ValueError:
            return None
        step, marks = int(found["step"].lstrip("abcdefghijklm")), frozenset(found["marks"].split(".")[1:])
        name = cls(found["run"], step, time, marks, ending)
        return name if step <= MAX_STEP and str(name) == text else None

    @property
    def order(self) -> tuple[int, datetime]:
        """What the names of one run sort by."""
        return self.step, self.time

    @property
    def good(self) -> bool:
        """Whether nothing speaks against going on from it."""
        return not self.marks & FLAGS

    @property
    def pinned(self) -> bool:
        return "pinned" in self.marks

    def marked(self, mark: str, on: bool = True) -> "Name":
        """The same checkpoint with ``mark``, or without it."""
        return replace(self, marks=self.marks | {mark} if on else self.marks - {mark})


def step_text(step: int) -> str:
    """A step so that texts sort as numbers do.

    >>> [step_text(step) for step in (7, 999_999, 1_000_000, 12_345_678)]
    ['000007', '999999', 'a1000000', 'b12345678']
    """
    if not 0 <= step <= MAX_STEP:
        raise ValueError(f"a step is a number from 0 to {MAX_STEP:,}, not {step!r}")
    digits = str(step)
    further = len(digits) - DIGITS
    return digits.zfill(DIGITS) if further <= 0 else f"{chr(ord('a') + further - 1)}{digits}"


def time_text(time: datetime) -> str:
    """A moment in UTC, to the millisecond, without colons."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds").replace(":", "-")


def run_name(text: str) -> str:
    """``text`` when files can be called so. Raises ValueError that says why not."""
    if not text or text.startswith(".") or any(letter in text for letter in "/\\\0\n\r"):
        raise ValueError(
            f"{text!r} cannot begin the names of files: pass name= to Series, without slashes or a dot first"
        )
    if len(text.encode("utf-8", "surrogateescape")) > MAX_RUN:
        raise ValueError(f"{text!r:.60} is too long for the names of files: pass a name= of at most {MAX_RUN} bytes")
    return text
