"""Files to look at, and two ways to run the command: inside this process, and as users do."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from holdfast import save
from holdfast.cli import main
from reference import ROOT


@pytest.fixture
def run():
    """Run the command in this process: ``run("ls", path)`` gives click's Result."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


@pytest.fixture
def command():
    """Run the command as a process of its own; keywords go to ``subprocess.run``."""

    def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
        line = [sys.executable, "-m", "holdfast", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, env=environment, **options)  # type: ignore[call-overload]

    return command


def model() -> dict[str, object]:
    return {"weight": np.arange(12, dtype=np.float32).reshape(3, 4), "bias": np.zeros(3), "name": "first"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small file: a model, its weight a second time, a number."""
    path, values = tmp_path / "m.bson", model()
    save(path, model=values, tied=values["weight"], loss=0.25)
    return path


@pytest.fixture
def damaged(file: Path) -> Path:
    """A copy of ``file`` with one bit of the weight changed."""
    path = file.with_name("damaged.bson")
    data = bytearray(file.read_bytes())
    data[data.index(np.arange(12, dtype=np.float32).tobytes()) + 5] ^= 1
    path.write_bytes(data)
    return path
