"""What was measured, for people: a table on the terminal, and a Markdown file with the machine that it is of."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.figures import Line, Result, compare, spread, verdict
from bench.rows import ROWS

HEAD = ("row", "ours", "took", "peer", "took", "ratio", "of the rounds", "goal", "")
RIGHT = {2, 4, 5, 6, 7}
WIDTH = 132


@dataclass(frozen=True)
class Run:
    """What a report is of."""

    results: list[Result]
    command: str
    rounds: int
    machine: list[str]
    took: float


def lines_of(results: list[Result]) -> list[Line]:
    timed = [(result, ROWS[result.row]) for result in results if ROWS[result.row].how != "memory"]
    return [line for result, row in timed for line in compare(result, row.comparisons(list(result.figures)))]


def cells(result: Result) -> list[tuple[str, ...]]:
    """The lines of the table for one row, as text."""
    row, found = ROWS[result.row], []
    unit = "MiB" if row.how == "memory" else "s"
    for limit in row.limits:
        if each := result.figures.get(limit.ours):
            judged = verdict(median(each), at_most=limit.at_most)
            found.append(
                (row.name, limit.ours, took(median(each), unit), "", "", "", "", f"≤ {limit.at_most:g} MiB", judged)
            )
    if unit == "MiB":  # ours may be next to nothing, so a ratio would say nothing
        others = [name for name in result.figures if name not in {limit.ours for limit in row.limits}]
        found += [(row.name, "", "", name, took(median(result.figures[name]), unit), "", "", "", "") for name in others]
        return found
    for line in compare(result, row.comparisons(list(result.figures))):
        goal = f"{line.goal:g}" if line.goal is not None else ""
        left, right = took(line.ours_took, unit), took(line.peer_took, unit)
        ratio = f"{median(line.ratios):.2f}"
        found.append((line.row, line.ours, left, line.peer, right, ratio, spread(line.ratios), goal, line.verdict))
    return found


def took(figure: float, unit: str) -> str:
    """
    >>> took(1.234, "s"), took(0.0456, "s"), took(0.000123, "s"), took(33.3, "MiB")
    ('1.23 s', '45.6 ms', '0.123 ms', '33 MiB')
    """
    if unit == "MiB":
        return f"{figure:.0f} MiB"
    if figure >= 1:
        return f"{figure:.2f} s"
    return f"{figure * 1000:.3g} ms"


def show(results: list[Result]) -> None:
    """The table on the terminal."""
    table = Table(title="Above 1, Holdfast is faster", title_justify="left")
    for index, name in enumerate(HEAD):
        table.add_column(name, justify="right" if index in RIGHT else "left")
    for result in results:
        for line in cells(result):
            colour = {"met": "green", "missed": "red"}.get(line[-1], "")
            table.add_row(*line, style=colour)
        table.add_section()
    console = Console(width=max(Console().width, WIDTH))
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{result.row}: {note}", highlight=False)


def write(run: Run, folder: Path) -> None:
    """``results.md`` and ``results.svg`` in ``folder``."""
    from bench.plot import draw_ratios

    draw_ratios(lines_of(run.results), folder / "results.svg")
    (folder / "results.md").write_text(markdown(run), encoding="utf-8")


def markdown(run: Run) -> str:
    goals = [cell[-1] for result in run.results for cell in cells(result) if cell[-1]]
    text = [
        "# Measured",
        "",
        "Time of the peer divided by ours, taken within each round; the median of the rounds: above 1, Holdfast is faster.",
        f"What each row measures, and how to read it: [README.md](README.md). Goals met: {goals.count('met')} of {len(goals)}.",
        "",
        "![ratios](results.svg)",
        "",
        f"Made by `{run.command}` ({run.rounds} rounds, {run.took / 60:.0f} minutes) on:",
        "",
        *(f"- {sentence}" for sentence in run.machine),
        "",
    ]
    for result in run.results:
        text += [f"## {result.row}: {ROWS[result.row].title}", ""]
        if found := cells(result):
            head = HEAD[1:]
            text += [
                f"| {' | '.join(head)} |",
                "|" + "|".join("---:" if index + 1 in RIGHT else "---" for index in range(len(head))) + "|",
                *(f"| {' | '.join(line[1:])} |" for line in found),
                "",
            ]
        text += [f"{note[0].upper()}{note[1:]}.  " for note in result.notes] + [""] * bool(result.notes)
    return "\n".join(text)
