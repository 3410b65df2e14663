"""What the commands print: colours and bars for people on a terminal, plain lines for programs in a pipe.

Strategy: one question, ``on_terminal``, decides everything. In a pipe there are no colour codes, no bars and no line is
cut to a width. A file's names and texts are not ours: nothing that could steer a terminal gets through, see
``printable``.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import click

DIFFERENT: Final = 1
"""Exit code: files differ, or are damaged."""
UNREADABLE: Final = 2
"""Exit code: wrong usage, or something cannot be read."""

PATIENCE: Final = 0.5
"""Seconds that people wait before they want to see how far it is."""

Styled = Sequence[tuple[str, str]]
"""A line in pieces: text and rich's name of its style."""


def on_terminal() -> bool:
    """Whether a person is looking at the output."""
    return sys.stdout.isatty()


def printable(text: str) -> str:
    """``text`` with all that is no visible character escaped: control codes, line ends, marks that turn the direction.

    >>> print(printable("bold: \\x1b[1m, Größe"))
    bold: \\x1b[1m, Größe
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def say(*pieces: tuple[str, str]) -> None:
    """Print one line, in colour on a terminal."""
    say_all([pieces])


def say_all(lines: "Iterator[Styled] | Sequence[Styled]") -> None:
    """Print many lines."""
    if not on_terminal():
        for line in lines:
            sys.stdout.write(printable("".join(text for text, _ in line)) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False, markup=False)
    for line in lines:
        console.print(Text.assemble(*((printable(text), style) for text, style in line)), soft_wrap=True)


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> None:
    """Print rows under a heading; the columns named ``right`` hold numbers and are set flush right."""
    clean = [[printable(cell) for cell in row] for row in rows]
    if not on_terminal():
        for line in _aligned([list(columns), *clean], [column == right for column in columns]):
            sys.stdout.write(line + "\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(
            column, justify="right" if column == right else "left", style="" if index else "bold", overflow="fold"
        )
    for row in clean:
        table.add_row(*map(Text, row))
    Console().print(table)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    """Each row as a line with its cells under each other.

    >>> list(_aligned([["a", "1"], ["bbb", "22"]], [False, True]))
    ['a     1', 'bbb  22']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, right, strict=True)
        yield "  ".join(cell.rjust(width) if flush else cell.ljust(width) for cell, width, flush in cells).rstrip()


def say_json(value: Any) -> None:
    """Print ``value`` as one JSON document. NaN and infinities, which JSON lacks, are texts."""
    text = json.dumps(_plain(value), indent=2, default=_text) + "\n"
    sys.stdout.writelines(text.splitlines(keepends=True))  # one long write may end half done when the pipe closes


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def complain(message: object) -> None:
    """Say on the error output, in one line, what is wrong."""
    click.echo(
        "holdfast: " + "; ".join(printable(line.strip()) for line in str(message).splitlines() if line.strip()),
        err=True,
    )


def worded(error: Exception) -> str:
    """An OSError as people write it: the file, then what is wrong with it."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def _text(value: Any) -> Any:
    """What JSON has for a value that it lacks: NumPy's numbers as numbers, the rest as text."""
    return value.item() if hasattr(value, "item") else str(value)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives what to call with bytes done. Where a person has waited for a while, a bar of ``total`` bytes shows."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=Console(stderr=True), transient=True)
    task, started = bars.add_task(printable(title), total=total), time.monotonic()
    with ExitStack() as shown:

        def advance(done: int) -> None:
            bars.advance(task, done)
            if not bars.live.is_started and time.monotonic() - started > PATIENCE:
                shown.enter_context(bars)

        yield advance
