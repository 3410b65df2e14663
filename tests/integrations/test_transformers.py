"""Transformers' own Trainer resumes exactly from the checkpoints of a Series."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from holdfast import ChecksumError, HoldfastError, MismatchError, Series, UnsupportedError, load, restore, verify
from runs import damage
from trainer_jobs import STEPS

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'holdfast[transformers]'")
pytest.importorskip("accelerate", reason="needs accelerate: pip install 'holdfast[transformers]'")

from holdfast.integrations.transformers import SeriesCallback  # noqa: E402

TRAINER = "transformers"

# -- exact ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", range(STEPS))
def test_killed_at_any_step_it_ends_with_the_same_bits(killed: Callable[..., None], kill: int) -> None:
    """And with the same log."""
    killed("transformers", kill)


OTHERS = [(f"transformers_{kind}", kill) for kind in ("evaluation", "accumulation") for kill in (2, 3, 5)]


@pytest.mark.parametrize(("name", "kill"), OTHERS)
def test_so_do_runs_of_other_kinds(killed: Callable[..., None], name: str, kill: int) -> None:
    killed(name, kill)


@pytest.mark.parametrize("part", ["random", "trainer"])
def test_every_part_is_needed(killed: Callable[..., None], part: str) -> None:
    """A run that loses one part ends otherwise: the tests above would see it."""
    with pytest.raises(AssertionError):
        killed(f"transformers_without_{part}", 3, "transformers")


# -- a Trainer in this process ----------------------------------------------------------------------------------------


class Numbers(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.full((3,), index / 8), "labels": torch.ones(1)}


class Net(nn.Module):
    """A model of one's own is enough for the Trainer when it gives a loss."""

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.inner = nn.Linear(3, width)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        y = self.inner(x)
        return {"loss": (y - 1).square().mean(), "logits": y}


def trainer(tmp_path: Path, series: Series, model: nn.Module, **options: Any) -> tuple[Any, SeriesCallback]:
    keeper = SeriesCallback(series)
    args = transformers.TrainingArguments(
        os.fspath(tmp_path / "out"), **{"num_train_epochs": 1, "logging_steps": 1} | options,
        per_device_train_batch_size=4, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    data = Numbers()
    made = transformers.Trainer(model, args, train_dataset=data, eval_dataset=data, callbacks=[keeper])
    made.remove_callback(transformers.PrinterCallback)
    return made, keeper


def train(tmp_path: Path, model: nn.Module, **options: Any) -> Any:
    with Series(tmp_path / "run", every_steps=1, background=False) as series:
        made, keeper = trainer(tmp_path, series, model, **options)
        made.train(resume_from_checkpoint=keeper.resume_from(made))
    return made


def test_the_file_opens_like_any_other(tmp_path: Path) -> None:
    model = Net()
    made = train(tmp_path, model)
    newest = sorted((tmp_path / "run").glob("*.bson"))[-1]
    assert newest.name.startswith("run-000001-")
    verify(newest)
    weights, opt, kept = load(newest, "model", "opt", "trainer")
    assert torch.equal(weights["inner.weight"], model.inner.weight)
    assert isinstance(opt, torch.optim.AdamW)
    assert kept["state"]["global_step"] == 2
    assert kept["state"]["log_history"] == made.state.log_history
    again = Net()
    restore(newest, model=again)
    assert torch.equal(again.inner.weight, model.inner.weight)


def test_metrics_are_what_is_logged(tmp_path: Path) -> None:
    with Series(tmp_path / "run", every_steps=1, best="eval_loss", keep_best=1) as series:
        made, keeper = trainer(tmp_path, series, Net(), eval_strategy="steps", eval_steps=1)
        made.train(resume_from_checkpoint=keeper.resume_from(made))
        *_, newest = series.checkpoints
    assert (
        newest.metrics["eval_loss"] == [line["eval_loss"] for line in made.state.log_history if "eval_loss" in line][-1]
    )
    assert "best" in newest.kept


def test_a_finished_run_is_finished(tmp_path: Path) -> None:
    model = Net()
    train(tmp_path, model)
    again = Net()
    made = train(tmp_path, again)
    assert made.state.global_step == 2
    assert torch.equal(again.inner.weight, model.inner.weight)
    assert len(list((tmp_path / "run").glob("*.bson"))) == 2


def test_and_goes_on_with_more_epochs(tmp_path: Path) -> None:
    train(tmp_path, Net())
    made = train(tmp_path, Net(), num_train_epochs=2)
    assert made.state.global_step == 4
    assert [line["step"] for line in made.state.log_history if "loss" in line] == [1, 2, 3, 4]


def test_early_stopping_goes_on(tmp_path: Path) -> None:
    """Callbacks that keep a state of their own have it in the checkpoint, and ``Trainer`` gives it back when asked."""
    options = {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "loss", "learning_rate": 0.0}

    def counted(**more: Any) -> int:
        with Series(tmp_path / "run", every_steps=1) as series:
            made, keeper = trainer(tmp_path, series, Net(), **options, **more)
            made.args.load_best_model_at_end = True
            made.add_callback(transformers.EarlyStoppingCallback(early_stopping_patience=7))
            made.train(resume_from_checkpoint=keeper.resume_from(made))
        stops = [one for one in made.callback_handler.callbacks if isinstance(one, transformers.EarlyStoppingCallback)]
        return stops[0].early_stopping_patience_counter

    assert counted() == 1  # the second evaluation is no better than the first
    assert counted(num_train_epochs=2, restore_callback_states_from_checkpoint=True) == 3


def test_several_processes_are_refused(tmp_path: Path) -> None:
    with Series(tmp_path) as series, pytest.raises(UnsupportedError, match="one process"):
        SeriesCallback(series).on_train_begin(SimpleNamespace(world_size=2), None, None)


def test_of_damaged_checkpoints_the_one_before_is_taken(tmp_path: Path) -> None:
    train(tmp_path, Net())
    first, second = sorted((tmp_path / "run").glob("*.bson"))
    damage(second)
    with pytest.warns(UserWarning, match="the one before it is tried"):
        made = train(tmp_path, Net())
    assert made.state.global_step == 2
    assert second.with_name(second.name + ".bad").exists()
    assert first.exists()


def test_when_none_is_whole_nothing_is_trained(tmp_path: Path) -> None:
    train(tmp_path, Net())
    for path in (tmp_path / "run").glob("*.bson"):
        damage(path)
    with Series(tmp_path / "run", every_steps=1) as series:
        made, keeper = trainer(tmp_path, series, Net())
        with (
            pytest.warns(UserWarning, match="the one before it is tried"),
            pytest.raises(ChecksumError, match="nothing to go on from"),
        ):
            keeper.resume_from(made)


def test_a_run_that_nobody_goes_on_with_is_not_overwritten(tmp_path: Path) -> None:
    train(tmp_path, Net())
    with (
        Series(tmp_path / "run", every_steps=1) as series,
        pytest.raises(HoldfastError, match="resume_from_checkpoint=callback"),
    ):
        trainer(tmp_path, series, Net())[0].train()


def test_another_model_is_refused(tmp_path: Path) -> None:
    train(tmp_path, Net())
    other = Net(width=2)
    before = other.inner.weight.clone()
    with pytest.raises(MismatchError, match=r"model\.inner\.weight"):
        train(tmp_path, other)
    assert torch.equal(other.inner.weight, before)
