"""Killed at any step and resumed in a new process, a run ends with the same bits as one that was never stopped.

Complaint 4 (a resume in the middle of an epoch is not exact) and complaint 9 (an optimiser's state goes to the wrong
parameters) are answered here. The runs are in ``exact_jobs.py``: 18 kinds; each is killed with SIGKILL before or within
every step, saved at once, in the background or overlapped, in turn. Every item of the saved state is needed: with any
one left out a run ends otherwise.
"""

import contextlib
import json
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from exact_jobs import JOBS, STEPS
from holdfast.checkpoint import Series
from runs import environment

Live = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def servers() -> Iterator[queue.Queue[subprocess.Popen[str]]]:
    """Two processes that live lives, one at a time each; whoever wants one takes it and puts it back."""
    command = [sys.executable, "-c", "import exact_jobs; exact_jobs.serve()"]
    options: dict[str, Any] = {"env": environment() | {"OMP_NUM_THREADS": "1"}, "text": True}
    idle: queue.Queue[subprocess.Popen[str]] = queue.Queue()
    with contextlib.ExitStack() as ends:
        for _ in range(2):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
            ends.enter_context(process)
            ends.callback(process.kill)
            idle.put(process)
        yield idle


@pytest.fixture
def live(servers: queue.Queue[subprocess.Popen[str]], tmp_path: Path) -> Live:
    """One process of a run: ``live(name, folder, kill=3)``; gives how it ended, None when it was killed."""

    def one(name: str, folder: str, **wishes: Any) -> Any:
        wish = {"name": name, "folder": str(tmp_path / folder), "kill": None, "mode": 0} | wishes
        server = servers.get()
        try:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(wish) + "\n")
            server.stdin.flush()
            answer = json.loads(server.stdout.readline())
        finally:
            servers.put(server)
        assert answer["status"] == (0 if wish["kill"] is None else -signal.SIGKILL), "see the error output"
        return answer["ended"]

    return one


@pytest.fixture(scope="module")
def wholes() -> dict[str, Any]:
    """How each run ends that is never stopped, once it is known."""
    return {}


def whole(wholes: dict[str, Any], live: Live, name: str) -> dict[str, Any]:
    if name not in wholes:
        wholes[name] = live(name, "whole")
    return wholes[name]


def compare(ended: dict[str, Any], expected: dict[str, Any]) -> None:
    """Everything is the same; of the losses, those that the last process saw."""
    assert ended["losses"].items() <= expected["losses"].items()
    assert ended["losses"]
    for part in expected.keys() - {"losses"}:
        assert ended[part] == expected[part], part


@pytest.mark.parametrize("name", JOBS)
def test_killed_at_any_step_it_ends_with_the_same_bits(live: Live, wholes: dict[str, Any], name: str) -> None:
    expected = whole(wholes, live, name)

    def killed_at(kill: int) -> dict[str, Any]:
        live(name, str(kill), kill=kill, mode=kill)
        return live(name, str(kill), mode=kill + 1)

    with ThreadPoolExecutor(2) as pool:
        for ended in pool.map(killed_at, range(STEPS)):
            compare(ended, expected)


@pytest.mark.parametrize("name", ["adam", "shuffled_loader", "flux_train", "accumulation"])
def test_killed_at_every_step_of_one_run(live: Live, wholes: dict[str, Any], name: str) -> None:
    """Seven deaths of the same run, one for each step."""
    for kill in range(STEPS):
        live(name, "run", kill=kill, mode=0)
    compare(live(name, "run"), whole(wholes, live, name))


FORGOTTEN = [
    *[("adamw_amsgrad", item) for item in ("model", "opt", "random.python", "random.numpy", "random.torch")],
    *[("adamw_amsgrad", f"opt.{part}") for part in ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")],
    ("sgd_momentum", "opt.momentum_buffer"),
    *[("rmsprop_centred", f"opt.{part}") for part in ("square_avg", "grad_avg", "momentum_buffer")],
    ("lbfgs", "opt"),
    *[("schedulers", item) for item in ("opt", "schedule", "plateau")],
    ("one_cycle", "schedule"),
    ("dropout", "random.torch"),
    ("batch_norm", "model"),
    *[("shuffled_loader", item) for item in ("data", "random.python", "random.numpy", "random.torch")],
    ("shuffled_loader_with_workers", "data"),
    *[("accumulation", item) for item in ("exact", "opt")],
    ("moving_average", "ema"),
    ("grad_scaler", "scaler"),
    *[("own_generators", item) for item in ("counts", "numpy_own", "python_own", "torch_own")],
    ("passing_buffers", "exact"),
]


@pytest.mark.parametrize(("name", "item"), FORGOTTEN)
def test_every_item_is_needed(live: Live, wholes: dict[str, Any], name: str, item: str) -> None:
    """A run that loses one part of its state in the kill ends otherwise: the tests above would see it."""
    expected = whole(wholes, live, name)
    live(name, "run", kill=4, forget=item)
    ended = live(name, "run", forget=item)
    with pytest.raises(AssertionError):
        compare(ended, expected)


def test_a_reordered_group_still_matches(tmp_path: Path) -> None:
    """The state of an optimiser goes by the names of parameters, not by their numbers."""

    def made(order: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        return model, torch.optim.Adam(list(model.parameters())[::order], lr=0.1)

    def step(model: nn.Module, opt: torch.optim.Optimizer) -> None:
        opt.zero_grad()
        model(torch.ones(2, 3)).square().sum().backward()
        opt.step()

    model, opt = made(1)
    with Series(tmp_path, every_steps=1, background=False) as series:
        series.track(model=model, opt=opt)
        step(model, opt)
        series.step(0)
        step(model, opt)
    again, backwards = made(-1)
    with Series(tmp_path) as series:
        assert series.track(model=again, opt=backwards).resume().step == 1
    step(again, backwards)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
