"""What the tests of storage share: Python in a process of its own, and Python in a mount namespace of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import holdfast.storage.local

SOURCE = Path(holdfast.storage.local.__file__).parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python() -> Run:
    """Run a script in a fresh interpreter: ``python(script, *arguments, before=[command])``."""

    def run(script: str, *arguments: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*before, sys.executable, "-c", script, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)

    return run


@pytest.fixture
def mounting(python: Run) -> Run:
    """Run a script that may mount what it likes; skips where that is not allowed."""
    unshare = ("unshare", "--user", "--map-root-user", "--mount")
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs mount namespaces")

    def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return python(script, *arguments, before=unshare)

    return run
