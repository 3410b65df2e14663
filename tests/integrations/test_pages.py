"""The sections of docs/training.md on other trainers run as they stand, and a second time go on."""

import re
from pathlib import Path
from typing import Any

import pytest

from reference import ROOT

SECTIONS = dict(
    re.findall(
        r"^## With (\w+)\n(.*?)(?=^## |\Z)",
        (ROOT / "docs" / "training.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)


def run(trainer: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> dict[str, Any]:
    """The names that a section leaves behind; ``changes`` are made to its code first."""
    pytest.importorskip(trainer.lower(), reason=f"needs {trainer}: pip install 'holdfast[{trainer.lower()}]'")
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", SECTIONS[trainer], re.DOTALL):
        for old, new in changes:
            block = block.replace(old, new)
        exec(compile(block, "docs/training.md", "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")
def test_lightning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("Lightning", tmp_path, monkeypatch)
    assert first["trainer"].global_step == 16
    assert set(first["weights"]) == {f"layers.{layer}.{name}" for layer in (0, 2) for name in ("weight", "bias")}
    again = run("Lightning", tmp_path, monkeypatch, ("max_epochs=2", "max_epochs=3"))
    assert again["trainer"].global_step == 24
    assert again["trainer"].fit_loop.epoch_loop.batch_progress.total.completed == 24
    assert again["loader"].epoch == 2


def test_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first = run("Transformers", tmp_path, monkeypatch)
    again = run("Transformers", tmp_path, monkeypatch, ("num_train_epochs=2", "num_train_epochs=3"))
    assert first["trainer"].state.global_step == 8
    assert again["trainer"].state.global_step == 12
    logged = [line["step"] for line in again["trainer"].state.log_history if "loss" in line]
    assert logged == [4, 8, 12]


def test_accelerate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("Accelerate", tmp_path, monkeypatch, ("every=30", "every_steps=1"))
    again = run("Accelerate", tmp_path, monkeypatch, ("range(start.step, 20)", "range(start.step, 22)"))
    assert again["start"].step == 20
    assert again["progress"] == {"step": 20}
    assert (tmp_path / "runs" / "states" / "20" / "state.bson").is_file()
