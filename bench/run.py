"""Rounds: every peer in turn, several times, so that a noisy minute hits all of them.

Only the ratio of two medians of one run means something; the seconds are those of one machine on one day.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from bench.peers import PEERS, Peer
from bench.states import ROWS


@dataclass
class Figures:
    """Seconds of each round, by peer."""

    save: dict[str, list[float]] = field(default_factory=dict)
    load: dict[str, list[float]] = field(default_factory=dict)


def peers_of(row: str) -> list[Peer]:
    """The peers that can hold the row's state; pickle is for small values, where it is the bar."""
    return [
        peer
        for peer in PEERS
        if (peer.name == "pickle" or not peer.arrays if row == "small" else peer.name != "pickle")
    ]


def measure(row: str, rounds: int, folder: str | None) -> Figures:
    """Save and load ``row`` with every peer, ``rounds`` times in turn. Raises AssertionError when a state comes
    back wrong."""
    state, figures = ROWS[row](), Figures()
    with tempfile.TemporaryDirectory(dir=folder) as home:
        for turn in range(rounds + 1):  # the first round warms up and is checked, not counted
            for peer in peers_of(row):
                path = os.path.join(home, peer.name.replace(" ", "_"))
                saved, _ = timed(lambda peer=peer, path=path: peer.save(path, state))
                loaded, back = timed(lambda peer=peer, path=path: touched(peer.load(path)))
                if turn == 0:
                    assert equal(back, state), f"{peer.name} did not give back what was saved"
                    continue
                figures.save.setdefault(peer.name, []).append(saved)
                figures.load.setdefault(peer.name, []).append(loaded)
    return figures


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def touched(state: dict[str, Any]) -> dict[str, Any]:
    """Read one number of every page, so that a mapped file is really read."""
    for value in state.values():
        if isinstance(value, torch.Tensor):
            value.view(-1)[::1024].sum()
    return state


def equal(a: Any, b: Any) -> bool:
    if isinstance(b, torch.Tensor):
        return isinstance(a, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(b, dict):
        return isinstance(a, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    return bool(a == b)


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """How many times longer each peer takes than the first: above 1 means that we are faster."""
    ours = median(times[PEERS[0].name])
    return {name: median(seconds) / ours for name, seconds in times.items()}


def spread(seconds: list[float]) -> str:
    return f"±{(max(seconds) - min(seconds)) / median(seconds) / 2:.0%}"
