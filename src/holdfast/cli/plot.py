"""The curve of a run as a picture, drawn by matplotlib, which is an extra.

Strategy: one panel for each run. The line goes over all saves; what is still there is a dot on it, the best a star, what
is pinned a square, and what was unhealthy a cross. The picture is drawn in memory and takes its place in one step.
"""

import io
import os
import warnings
from collections.abc import Sequence
from typing import Any, Final

import click

from holdfast.checkpoint.listing import Checkpoint, Run
from holdfast.cli.curve import finite, is_wide, number
from holdfast.errors import MissingError
from holdfast.storage import local

ENDINGS: Final = (".png", ".svg", ".pdf")

INK, LINE, STAR, WARM, PALE = "#22303c", "#2f6f9f", "#e3a008", "#c0392b", "#9aa7b1"
STYLE: Final[Any] = {
    "font.size": 10,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a name with dollar signs is a name
    "svg.hashsalt": "holdfast",
}
"""What differs from matplotlib's own."""

MARKS: Final[dict[str, dict[str, Any]]] = {
    "kept": {"marker": "o", "s": 34, "color": LINE, "edgecolor": "white", "linewidth": 1.0, "zorder": 4},
    "pinned": {"marker": "s", "s": 46, "color": LINE, "edgecolor": "white", "linewidth": 1.0, "zorder": 5},
    "best": {"marker": "*", "s": 190, "color": STAR, "edgecolor": "white", "linewidth": 1.0, "zorder": 6},
    "unhealthy": {"marker": "X", "s": 60, "color": WARM, "edgecolor": "white", "linewidth": 1.0, "zorder": 5},
    "abandoned": {"marker": "o", "s": 24, "color": "white", "edgecolor": PALE, "linewidth": 1.2, "zorder": 3},
}
"""How each kind of checkpoint is drawn, in the order of the legend."""


def draw(path: str, panels: Sequence[tuple[Run, str | None]]) -> None:
    """Draw each run's metric into the file ``path``, whose ending says which kind of picture.

    Raises UsageError when there is nothing to draw or the ending is unknown, MissingError without matplotlib.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise click.UsageError(f"{path}: pictures are {', '.join(ENDINGS)}.")
    drawn = [(run, metric) for run, metric in panels if metric is not None]
    if not drawn:
        raise click.UsageError("there is nothing to draw: no checkpoint has a metric.")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingError("drawing a picture", "holdfast[plot]") from None
    picture = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
        figure = Figure(figsize=(8, 4 * len(drawn)), layout="constrained", facecolor="white")
        for axes, (run, metric) in zip(figure.subplots(len(drawn), squeeze=False)[:, 0], drawn, strict=True):
            _panel(axes, run, metric)
        metadata = {} if ending == ".png" else {"CreationDate" if ending == ".pdf" else "Date": None}
        figure.savefig(picture, format=ending[1:], dpi=160, metadata=metadata)
    local.publish(path, [picture.getbuffer()])


def _panel(axes: Any, run: Run, metric: str) -> None:
    points = finite(run.history.points(metric))
    steps, values = [step for step, _ in points], [value for _, value in points]
    axes.plot(steps, values, color=LINE, linewidth=1.6, alpha=0.85, zorder=2)
    for kind, ones in _kinds(run).items():
        there = finite([(one.step, one.metrics[metric]) for one in ones if metric in one.metrics])
        if there:
            axes.scatter(*zip(*there, strict=True), label=kind, **MARKS[kind])
    if is_wide(values):
        axes.set_yscale("log")
    _label_best(axes, run, metric)
    axes.set(xlabel="step", ylabel=metric)
    axes.set_title(run.name, loc="left", fontweight="bold")
    axes.set_title(f"{len(run.checkpoints):,} checkpoints, {len(points):,} saves", loc="right", fontsize=9, color=PALE)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", color=PALE, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.03, y=0.12)
    axes.legend(loc="best", fontsize=9, handletextpad=0.3, facecolor="white", edgecolor="none", framealpha=0.9)


def _kinds(run: Run) -> dict[str, list[Checkpoint]]:
    """Each checkpoint under the kind that says most about it."""
    found: dict[str, list[Checkpoint]] = {kind: [] for kind in MARKS}
    for one in run.checkpoints:
        flag = "unhealthy" if one.flag else None
        kind = flag or next((kind for kind in ("best", "pinned") if kind in one.kept), "kept")
        found[kind].append(one)
    found["abandoned"] = run.abandoned
    return found


def _label_best(axes: Any, run: Run, metric: str) -> None:
    """The number of the best one that is there, beside its star."""
    best = [one for one in run.checkpoints if "best" in one.kept]
    if not best or metric != run.policy.metric:
        return
    sign = 1 if run.policy.mode == "min" else -1
    one = min(best, key=lambda one: sign * one.metrics[metric])
    value = one.metrics[metric]
    axes.annotate(
        number(value), (one.step, value), xytext=(0, -14 * sign), textcoords="offset points", ha="center",
        va="center", fontsize=9, color=INK,
    )  # fmt: skip
