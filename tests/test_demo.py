"""The demo holds what it claims: it checks that itself, and ends with an error when something does not."""

import os
import subprocess
import sys

import pytest

from reference import ROOT


def test_the_demo_runs_to_its_end():
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    line = [sys.executable, str(ROOT / "examples" / "demo.py")]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "== What you have seen" in done.stdout
    assert done.stdout.count(": yes") == 6
    assert "damaged" in done.stdout
