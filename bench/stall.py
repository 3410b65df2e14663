"""How long a save holds the training loop: seconds per step that saves, beside the peers.

Strategy: a model and its optimiser are saved by each way in turn, several rounds, after one that warms up. What is timed is
the call that the loop makes; what goes on in the background is waited for outside of the clock, as in a run that saves
less often than the disk needs. ``overlap`` also holds the next step of the optimiser, for what is not copied by then:
that is timed too, in the worst case, where the step comes at once.

    python -m bench.stall [large] [many] [--rounds N] [--folder DIR]
"""

import argparse
import os
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch

from holdfast.checkpoint import Series

MIB = 1 << 20


@dataclass
class State:
    """A model and its optimiser, which has made a step."""

    model: torch.nn.Module
    opt: torch.optim.Optimizer

    @classmethod
    def of(cls, model: torch.nn.Module, opt: torch.optim.Optimizer) -> "State":
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 1e-3)
        opt.step()
        return cls(model, opt)

    def parts(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "opt": self.opt.state_dict()}


def large(mib: int = 1024, tensors: int = 64) -> State:
    """``mib`` MiB of float32 in equal tensors: half are parameters, half their momenta."""
    torch.manual_seed(1)
    side = mib * MIB // tensors // 4 // 1024
    model = torch.nn.ParameterList(torch.rand(side, 1024) for _ in range(tensors // 2))
    return State.of(model, torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9))


def many(layers: int = 950, side: int = 64) -> State:
    """Small tensors: ``2 * layers`` parameters, and Adam's three for each (7,600 together, 45 MiB)."""
    torch.manual_seed(2)
    model = torch.nn.Sequential(*(torch.nn.Linear(side, side) for _ in range(layers)))
    return State.of(model, torch.optim.Adam(model.parameters()))


STATES: dict[str, Callable[[], State]] = {"large": large, "many": many}

Hold = Callable[[int], None]
Way = Callable[[State, str], Iterator[tuple[Hold, Callable[[], None]]]]
"""A context that gives what the loop calls at a step, and how to wait for the background."""


@contextmanager
def torch_save(state: State, folder: str) -> Iterator[Any]:
    yield (lambda step: torch.save(state.parts(), os.path.join(folder, "checkpoint.pt"))), (lambda: None)


@contextmanager
def async_save(state: State, folder: str) -> Iterator[Any]:
    import torch.distributed.checkpoint as dcp

    pending: list[Any] = []

    def hold(step: int) -> None:
        pending.append(dcp.async_save(state.parts(), checkpoint_id=os.path.join(folder, "checkpoint")))

    with one_process():
        yield hold, lambda: pending.pop().result()


@contextmanager
def one_process() -> Iterator[None]:
    """A process group of this process alone, which ``async_save`` needs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def series(state: State, folder: str, **wishes: Any) -> Iterator[Any]:
    with Series(folder, name="run", every_steps=1, keep_last=1, **wishes) as run:
        run.track(model=state.model, opt=state.opt).resume()
        yield run.step, run.wait


WAYS: dict[str, Any] = {
    "torch.save": torch_save,
    "torch async_save": async_save,
    "holdfast, at once": partial(series, background=False),
    "holdfast, background": series,
    "holdfast, overlap": partial(series, snapshot="overlap"),
}
"""The first is what the others are compared with."""


@dataclass
class Held:
    """Seconds of each round.

    step  in the call that saves
    next  further seconds that the optimiser's next step takes when it comes at once
    """

    step: list[float] = field(default_factory=list)
    next: list[float] = field(default_factory=list)


def measure(row: str, rounds: int = 5, folder: str | None = None) -> dict[str, Held]:
    """The seconds that each way holds the loop when it saves the state ``row``."""
    state, found = STATES[row](), {way: Held() for way in WAYS}
    alone = median(seconds(state.opt.step) for _ in range(rounds))
    for way, opened in WAYS.items():
        place = tempfile.mkdtemp(prefix="stall-", dir=folder)
        with warnings.catch_warnings(), opened(state, place) as (hold, wait):
            warnings.simplefilter("ignore")  # async_save warns of its own code
            for turn in range(rounds + 1):
                held, after = seconds(partial(hold, turn)), seconds(state.opt.step)
                wait()
                if turn:
                    found[way].step.append(held)
                    found[way].next.append(max(0.0, after - alone))
        shutil.rmtree(place)
    return found


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(found: dict[str, Held]) -> dict[str, float]:
    """The part of the first way's time for which each holds the loop: 0.1 is a tenth."""
    first = median(next(iter(found.values())).step)
    return {way: median(held.step) / first for way, held in found.items()}


def table(results: dict[str, dict[str, Held]]) -> str:
    """Markdown: what part of ``torch.save``'s time the loop is held for, and the same of the optimiser's next step."""
    lines = ["| state | way | held, of torch.save | seconds | and the next step, if at once |", "|---|---|---|---|---|"]
    for row, found in results.items():
        for way, part in ratios(found).items():
            held = found[way]
            lines.append(f"| {row} | {way} | 1/{1 / part:.1f} | {median(held.step):.4f} | {median(held.next):.4f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stall", description="How long a save holds the loop.")
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(STATES)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to write")
    arguments = parser.parse_args()
    print(table({row: measure(row, arguments.rounds, arguments.folder) for row in arguments.rows or STATES}))


if __name__ == "__main__":
    main()
