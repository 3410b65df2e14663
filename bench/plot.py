"""The plots: ratios of all rows, and time against size."""

from itertools import pairwise
from pathlib import Path
from statistics import median

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot

from bench.figures import Line
from bench.peers import OURS, UNSYNCED

MET, MISSED, SHOWN = "#1b7f3b", "#c0392b", "#7f8c8d"
COLOURS = {"met": MET, "missed": MISSED, "": SHOWN}


def draw_ratios(lines: list[Line], path: Path) -> None:
    """A point for each comparison on a logarithmic scale, its rounds as a bar, its goal as a tick; 1 is as fast as we."""
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.2 * len(lines)), layout="constrained")
    for place, line in enumerate(lines):
        colour = COLOURS[line.verdict]
        axes.hlines(place, min(line.ratios), max(line.ratios), color=colour, linewidth=2, alpha=0.5)
        axes.plot(median(line.ratios), place, "o", color=colour, markersize=5)
        if line.goal is not None:
            axes.plot(line.goal, place, "|", color="black", markersize=9)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.grid(True, which="major", alpha=0.3)
    axes.set_yticks(range(len(lines)), [label(line) for line in lines], fontsize=7)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel("time of the peer / our time (right of 1, Holdfast is faster)")
    for above, (line, following) in enumerate(pairwise(lines)):
        if line.row != following.row:
            axes.axhline(above + 0.5, color="black", linewidth=0.4, alpha=0.3)
    for name, colour in (("goal met", MET), ("goal missed", MISSED), ("no goal", SHOWN)):
        axes.plot([], [], "o", color=colour, label=name)
    axes.plot([], [], "|", color="black", linestyle="", label="goal")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def label(line: Line) -> str:
    """Who is compared, and which of ours where that is not the plain call."""
    alike = {OURS: "", UNSYNCED: " (both no fsync)"}
    return f"{line.row}: {line.peer}{alike.get(line.ours, f' / {line.ours}')}"


def draw_growth(series: dict[str, dict[str, list[tuple[float, float]]]], path: Path) -> None:
    """Time against size, both logarithmic, a panel for each kind of growth; the dotted line has slope 1.

    series: kind of growth ("bytes") -> what was done ("save") -> (size, seconds)
    """
    figure, panels = pyplot.subplots(2, 2, figsize=(9, 7.5), layout="constrained")
    for axes, (kind, done) in zip(panels.flat, series.items(), strict=True):
        for name, points in done.items():
            axes.plot(*zip(*points, strict=True), "o-", markersize=4, label=name)
        points = next(iter(done.values()))
        slowest = max(seconds / size for each in done.values() for size, seconds in each[-1:])
        ends = [points[0][0], points[-1][0]]
        axes.plot(ends, [slowest * end for end in ends], ":", color="black", label="slope 1")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(kind)
        axes.set_ylabel("seconds")
        axes.grid(True, alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
