"""``holdfast log``: the checkpoints of a run as a table, and how it went as a curve.

Strategy: names and headers are read, no array and no framework; ``--verify`` reads everything. In a pipe the curve is a
line of words. Which ones are kept and why is judged by the policy that the newest checkpoint was saved with.
"""

import os
from collections.abc import Sequence
from typing import Any

import click

from holdfast.api import verify
from holdfast.checkpoint.listing import Checkpoint, Run, runs
from holdfast.cli.curve import curve, finite, is_wide, number
from holdfast.cli.look import as_json
from holdfast.cli.screen import DIFFERENT, on_terminal, progress, say, say_json, say_table
from holdfast.errors import ChecksumError, FormatError
from holdfast.formats.look.entry import size_text

Verdicts = dict[str, str | None]
"""By path: what is wrong with a file, None for nothing."""


@click.command(short_help="List the checkpoints in FOLDER, and show how the run went.")
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--verify", "verified", is_flag=True, help="Compare every checksum of every checkpoint, too.")
@click.option("--metric", help="The metric of the curve; without it the one that the best are chosen by, or the loss.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the curve into a file: .png, .svg or .pdf.")
@as_json
def log(folder: str, verified: bool, metric: str | None, plot: str | None, as_json: bool) -> int:
    """List the checkpoints in FOLDER: step, time, metrics, size, and why each is kept.

    The curve goes over all saves, also those that are gone. Exit code 1: --verify found damage.
    """
    found = runs(folder)
    verdicts = _verdicts([one for run in found for one in run.checkpoints]) if verified else {}
    if as_json:
        say_json({"folder": folder, "runs": [_described(run, verdicts) for run in found]})
    elif not found:
        say((folder, "bold"), (": no checkpoints", ""))
    for run in () if as_json else found:
        _show(folder, run, verdicts, metric)
    if plot is not None:
        from holdfast.cli.plot import draw

        draw(plot, [(run, _metric(run, metric)) for run in found])
    return DIFFERENT if any(verdicts.values()) else 0


def _verdicts(checkpoints: Sequence[Checkpoint]) -> Verdicts:
    found: Verdicts = {}
    with progress("verifying", sum(one.size for one in checkpoints)) as advance:
        for one in checkpoints:
            path = str(one.path)
            try:
                verify(path)
                found[path] = None
            except (ChecksumError, FormatError) as error:
                found[path] = str(error).removeprefix(f"{path}: ")
            except FileNotFoundError:  # let go by the run meanwhile
                continue
            advance(one.size)
    return found


def _metric(run: Run, wish: str | None) -> str | None:
    """The metric to draw. Raises UsageError for one that the run does not have."""
    there = [name for name in run.history.metrics if finite(run.history.points(name))]
    if wish is not None and wish not in there:
        raise click.UsageError(f"{run.name} has no metric {wish!r} to draw; it has {', '.join(there) or 'none'}.")
    wishes = (wish, run.policy.metric, "loss", *there)
    return next((name for name in wishes if name in there), None)


# -- for people -------------------------------------------------------------------------------------------------------


def _show(folder: str, run: Run, verdicts: Verdicts, wish: str | None) -> None:
    ones = run.checkpoints
    size = size_text(sum(one.size for one in ones))
    count = f"{len(ones):,} checkpoint{'s' if len(ones) != 1 else ''}"
    title = folder if os.path.basename(os.path.abspath(folder)) == run.name else os.path.join(folder, run.name)
    say((title, "bold"), (f": {count}, {size}", ""))
    metrics = list(dict.fromkeys(name for one in ones for name in one.metrics))
    heading = ("step", "when (UTC)", *metrics, "size", "kept because", *(["verified"] if verdicts else []))
    say_table(heading, _flush([_row(one, metrics, verdicts) for one in ones], 2 + len(metrics)), right="size")
    _say_rest(run)
    name = _metric(run, wish)
    if name is not None:
        _say_curve(name, finite(run.history.points(name)), run.policy.mode)


def _row(one: Checkpoint, metrics: Sequence[str], verdicts: Verdicts) -> list[str]:
    numbers = [number(one.metrics[name]) if name in one.metrics else "" for name in metrics]
    why = ", ".join(one.kept) or "nothing: the next save lets it go"
    row = [f"{one.step:,}", f"{one.time:%Y-%m-%d %H:%M:%S}", *numbers, size_text(one.size), why]
    if verdicts:
        damage = verdicts.get(str(one.path), "gone")
        row.append("ok" if damage is None else f"DAMAGED: {damage}")
    return row


def _flush(rows: list[list[str]], count: int) -> list[list[str]]:
    """The numbers among the first ``count`` columns set flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [cell.rjust(width) if at < count else cell for at, (cell, width) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]


def _say_rest(run: Run) -> None:
    for one in run.checkpoints:
        if one.note:
            say((f"step {one.step:,}: ", "yellow"), (one.note, ""))
    if run.abandoned:
        steps = ", ".join(f"{one.step:,}" for one in run.abandoned)
        say((f"abandoned by going back: step {steps}", "dim"))
    for path in run.damaged:
        say(("damaged and set aside: ", "red"), (path.name, ""))


def _say_curve(name: str, points: list[tuple[int, float]], mode: str) -> None:
    (first, begin), (last, end) = points[0], points[-1]
    at, best = (min if mode == "min" else max)(points, key=lambda point: point[1])
    word = "least" if mode == "min" else "greatest"
    words = f"{number(begin)} at step {first:,}, {number(end)} at step {last:,}, {word} {number(best)} at step {at:,}"
    if not on_terminal() or len(points) < 3:
        say((f"{name}: {words}", ""))
        return
    values = [value for _, value in points]
    lines = curve(points)
    labels = [number(max(values)), *[""] * (len(lines) - 2), number(min(values))]
    width = max(map(len, labels))
    say((f"{name}{', logarithmic' if is_wide(values) else ''}", "bold"))
    for label, line in zip(labels, lines, strict=True):
        say((f"{label:>{width}} ", ""), ("┤" if label else "│", "dim"), (line, "cyan"))
    say((f"{'':{width}} {words}", "dim"))


# -- for programs -----------------------------------------------------------------------------------------------------


def _described(run: Run, verdicts: Verdicts) -> dict[str, Any]:
    names = run.history.metrics
    return {
        "run": run.name,
        "policy": run.policy.document(),
        "checkpoints": [_plain(one) | _verdict(one, verdicts) for one in run.checkpoints],
        "history": {"step": run.history.steps, **{f"metrics.{name}": names[name] for name in names}},
        "abandoned": [_plain(one) for one in run.abandoned],
        "damaged": [str(path) for path in run.damaged],
    }


def _plain(one: Checkpoint) -> dict[str, Any]:
    names = ("step", "epoch", "metrics", "size", "kept", "flag", "note")
    return {"path": str(one.path), "time": one.time.isoformat()} | {name: getattr(one, name) for name in names}


def _verdict(one: Checkpoint, verdicts: Verdicts) -> dict[str, Any]:
    path = str(one.path)
    return {"verified": verdicts[path] is None, "damage": verdicts[path]} if path in verdicts else {}
