"""What takes part in a row: one way of one library to save and to load."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from bench.states import equal


def as_it_is(value: Any) -> Any:
    return value


def always() -> str:
    return ""


@dataclass(frozen=True)
class Contender:
    """One way to save and load, as the library's own documentation does it.

    save     puts what ``prepare`` made at a path: a file, or a folder where the library writes several
    load     gives it back
    file     whose file it loads, when several load the same one; its own by default
    needs    packages without which it is left out
    absent   why it cannot take part, or ""
    prepare  from the row's state to what the library saves, not timed
    same     whether what was loaded is equal to the row's state, not timed
    clocked  ``save`` and ``load`` return (seconds, result): another process looked at the clock
    """

    name: str
    save: Callable[[str, Any], Any]
    load: Callable[[str], Any]
    file: str = ""
    needs: tuple[str, ...] = ()
    absent: Callable[[], str] = always
    prepare: Callable[[Any], Any] = as_it_is
    same: Callable[[Any, Any], bool] = equal
    clocked: bool = False

    @property
    def stem(self) -> str:
        """The name of its file."""
        return (self.file or self.name).replace(" ", "_").replace("/", "_")

    def missing(self) -> str:
        """Why it is left out; "" when it takes part."""
        packages = [package for package in self.needs if find_spec(package) is None]
        if packages:
            return f"{self.name} is left out: {', '.join(packages)} not installed (pip install 'holdfast[bench]')"
        reason = self.absent()
        return f"{self.name} is left out: {reason}" if reason else ""
