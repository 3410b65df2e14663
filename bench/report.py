"""The table of ratios: on the terminal, and in ``results.md`` with the machine that it is of."""

import os
import platform

import torch

from bench.run import Figures, ratios, spread


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def table(results: dict[str, Figures]) -> str:
    """Markdown. A ratio above 1 means that Holdfast is faster."""
    lines = ["| row | peer | save | load |", "|---|---|---|---|"]
    for row, figures in results.items():
        saves, loads = ratios(figures.save), ratios(figures.load)
        lines += [
            f"| {row} | {name} | {saves[name]:.2f} ({spread(figures.save[name])}) "
            f"| {loads[name]:.2f} ({spread(figures.load[name])}) |"
            for name in saves
        ]
    return "\n".join(lines)


def write(path: str, results: dict[str, Figures], rounds: int, command: str) -> None:
    lines = [
        "# Measured",
        "",
        "Time of the peer divided by Holdfast's (durable, checksums compared), medians of one run: above 1, Holdfast is",
        "faster. Half the distance between the fastest and the slowest round stands behind each.",
        "",
        table(results),
        "",
        "Rows: `large` is 1 GiB in 64 arrays, `many` 10,000 arrays of 4 KiB, `small` 100,000 small values.",
        f"Made by `{command}` ({rounds} rounds) on {machine()}.",
        "",
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
