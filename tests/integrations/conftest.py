"""Lives of other trainers' runs, and what they are compared with."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runs import environment

Live = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def server() -> Iterator[subprocess.Popen[str]]:
    """A process that lives lives, one at a time."""
    command = [sys.executable, "-c", "import trainer_jobs; trainer_jobs.serve()"]
    options: dict[str, Any] = {"env": environment() | {"OMP_NUM_THREADS": "1"}, "text": True}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def live(request: pytest.FixtureRequest, server: subprocess.Popen[str], tmp_path: Path) -> Live:
    """One process of a run of the trainer that the test's module names; gives how it ended, None when it was killed."""

    def one(name: str, folder: str, kill: int | None = None) -> Any:
        assert server.stdin is not None
        assert server.stdout is not None
        wish = {"trainer": request.module.TRAINER, "name": name, "folder": str(tmp_path / folder), "kill": kill}
        server.stdin.write(json.dumps(wish) + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        assert answer["status"] == (0 if kill is None else -signal.SIGKILL), "see the error output"
        return answer["ended"]

    return one


@pytest.fixture(scope="module")
def wholes() -> dict[str, Any]:
    """How each run ends that is never stopped, once it is known."""
    return {}


@pytest.fixture
def killed(live: Live, wholes: dict[str, Any]) -> Callable[..., None]:
    """Kill a run at a step and compare how it ends when it is resumed; with ``like``, with how another run ends."""

    def at(name: str, kill: int, like: str | None = None) -> None:
        like = like or name
        if like not in wholes:
            wholes[like] = live(like, "whole")
        expected = wholes[like]
        assert live(name, str(kill), kill=kill) is None
        ended = live(name, str(kill))
        assert ended["losses"].items() <= expected["losses"].items()
        assert ended["losses"]
        for part in expected.keys() - {"losses"}:
            assert ended[part] == expected[part], part

    return at
