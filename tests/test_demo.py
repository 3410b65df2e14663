"""The demo holds what it claims: it checks that itself, and ends with an error when something does not."""

import os
import subprocess
import sys

import pytest

from reference import ROOT


def test_the_demo_runs_to_its_end():
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    line = [sys.executable, str(ROOT / "examples" / "demo.py")]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SIGKILL at step") == 2
    assert done.stdout.count("✓") == 6
    assert "All of it held" in done.stdout
