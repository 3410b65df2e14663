"""A run and its folder: what is saved when, what a resume finds, and what becomes of damage, forks and mistakes."""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import ChecksumError, DriftError, MismatchError, UnsupportedError, load, save
from holdfast.checkpoint import Position, Series
from holdfast.checkpoint.saving import Saver
from holdfast.storage import local
from runs import damage, fill, names, run, state, step_in, steps_on_disk

# -- going on ---------------------------------------------------------------------------------------------------------


def test_a_fresh_folder_begins_at_zero(tmp_path: Path) -> None:
    with Series(tmp_path / "a" / "b") as series:
        assert series.track(**state()).resume() == Position(0, 0)
        assert series.checkpoints == []
        assert series.position.step == 0


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("snapshot", ["copy", "overlap"])
def test_a_run_goes_on_where_it_was(tmp_path: Path, background: bool, snapshot: str) -> None:
    options = {"every_steps": 1, "background": background, "snapshot": snapshot}
    with Series(tmp_path, **options) as series:
        assert run(series, 5) == 0
    tracked = state()
    with Series(tmp_path, **options) as series:
        assert series.track(**tracked).resume().step == 5
        assert {float(x) for array in tracked.values() for x in array} == {4.0}
        assert series.position.step == 5
        assert run(series, 8, tracked) == 5
    assert steps_on_disk(tmp_path)[-1] == 7


def test_the_position_has_the_epoch_and_the_time(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        series.track(**state())
        series.resume()
        series.step(0, epoch=0)
        time.sleep(0.05)
        series.step(1, epoch=3)
    with Series(tmp_path) as series:
        position = series.track(**state()).resume()
        assert (position.step, position.epoch) == (2, 3)
        assert 0.05 <= position.time < 30
        assert series.position.time >= position.time


def test_a_checkpoint_is_a_file_like_any_other(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    with Series(tmp_path, name="digits", every_steps=1, background=False) as series:
        series.track(model=model).step(0, loss=0.5)
        [checkpoint] = series.checkpoints
    assert checkpoint.path.name.startswith("digits-000000-20")
    again = load(checkpoint.path, "model")
    assert isinstance(again, nn.Linear)
    assert torch.equal(again.weight, model.weight)


def test_the_files_are_called_like_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letters").mkdir()
    monkeypatch.chdir(tmp_path / "letters")
    for folder in (".", str(tmp_path / "letters") + os.sep):
        with Series(folder) as series:
            series.track(**state()).save(len(series.checkpoints))
    assert all(name.startswith("letters-00000") for name in names(tmp_path / "letters"))


def test_forgetting_to_resume_is_an_error_at_the_first_step(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 5)
    with Series(tmp_path, every_steps=100) as series:
        series.track(**state())
        with pytest.raises(ValueError, match=r"holds step 4 of an earlier run.*call resume\(\) before the loop"):
            series.step(0)
        with pytest.raises(ValueError, match="holds step 4"):
            series.save(4)
        series.save(5)
    assert steps_on_disk_names(tmp_path) == [3, 4, 5]


def steps_on_disk_names(folder: Path) -> list[int]:
    with Series(folder, readonly=True) as series:
        return [one.step for one in series.checkpoints]


def test_steps_do_not_go_back(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 5)
        with pytest.raises(ValueError, match=r"step 3 comes before step 4, which is saved: to go back call rollback"):
            series.step(3)
        series.step(4)  # once more
        series.step(9)
    assert steps_on_disk_names(tmp_path) == [3, 4, 9]


@pytest.mark.parametrize("step", [-1, 1.5, "3", None])
def test_what_is_no_step(tmp_path: Path, step: object) -> None:
    with Series(tmp_path, every_steps=1) as series, pytest.raises((ValueError, TypeError)):
        series.track(**state()).step(step)


def test_steps_of_numpy_and_torch_are_numbers(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        tracked = state()
        series.track(**tracked).resume()
        for step in (np.int64(0), torch.tensor(1)):
            fill(tracked, int(step))
            series.step(step, epoch=np.int32(2))
    assert steps_on_disk(tmp_path) == [0, 1]
    with Series(tmp_path) as series:
        assert type(series.track(**state()).resume().epoch) is int


# -- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"every_steps": 4}, [3, 7, 11]),
        ({"every": 1000}, [0]),
        ({"every": 0}, list(range(12))),
        ({"every": timedelta(hours=1), "every_steps": 5}, [0, 4, 9]),
        ({"every_epochs": 1}, [4, 8]),
        ({"every_epochs": 2}, [8]),
        ({"overhead": 1e-9}, [0]),
        ({"every_steps": 1, "overhead": 1e-9}, [0]),
    ],
)
@pytest.mark.parametrize("background", [True, False])
def test_when(tmp_path: Path, options: dict, expected: list[int], background: bool) -> None:
    tracked = state()
    with Series(tmp_path, keep_last=None, background=background, **options) as series:
        series.track(**tracked).resume()
        for step in range(12):
            fill(tracked, step)
            series.step(step, epoch=step // 4)
            series.wait()
    assert steps_on_disk(tmp_path) == expected


def test_a_resumed_run_waits_its_time(tmp_path: Path) -> None:
    for steps in (3, 6):
        with Series(tmp_path, every=1000) as series:
            run(series, steps)
    assert steps_on_disk(tmp_path) == [0]


def test_overhead_is_a_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves of a known cost: what they take together stays below the bound, but for the last one."""
    spent, save_fast = [], Saver.save

    def save_slowly(*arguments: object, **options: object) -> None:
        before = time.monotonic()
        time.sleep(0.02)
        save_fast(*arguments, **options)
        spent.append(time.monotonic() - before)

    monkeypatch.setattr(Saver, "save", save_slowly)
    with Series(tmp_path, overhead=0.2, background=False, keep_last=None) as series:
        series.track(**state())
        began = time.monotonic()
        while time.monotonic() - began < 0.6:
            series.step(series.position.step)
            time.sleep(0.001)
        total = time.monotonic() - began
    assert len(spent) >= 2
    assert sum(spent[:-1]) <= 0.2 * total


class Untouchable:
    """A metric that fails when somebody asks for its value, as one on a busy GPU would wait."""

    def __float__(self) -> float:
        raise AssertionError("asked for its value")

    item = __float__


def test_a_step_that_is_not_due_is_cheap_and_reads_no_metric(tmp_path: Path) -> None:
    with Series(tmp_path, every=1000, every_steps=10**9) as series:
        series.track(model=nn.Linear(2, 2))
        series.step(0, loss=0.0)
        loss, times = Untouchable(), []
        series.step(1, loss=loss)
        for turn in range(20):
            began = time.perf_counter()
            for step in range(1000):
                series.step(turn * 1000 + step, loss=loss)
            times.append((time.perf_counter() - began) / 1000)
    assert min(times) < 20e-6  # about 0.6 µs on an idle machine


def test_the_first_step_says_what_cannot_be_saved(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1000) as series:
        series.track(callback=[lambda x: x])
        with pytest.raises(UnsupportedError, match=r"\$\.callback\[0\]"):
            series.step(0)
    assert names(tmp_path) == []


METRICS = [
    ({"loss": 1}, {"loss": 1.0}),
    ({"loss": np.float32(0.5)}, {"loss": 0.5}),
    ({"loss": np.array([0.5])}, {"loss": 0.5}),
    ({"loss": torch.tensor(0.5)}, {"loss": 0.5}),
    ({"loss": torch.tensor([[0.5]], requires_grad=True)}, {"loss": 0.5}),
    ({"loss": None, "accuracy": 0.25}, {"accuracy": 0.25}),
    ({"ä ö": 1, "tag": 2, "python": 3}, {"ä ö": 1.0, "tag": 2.0, "python": 3.0}),
    ({}, {}),
]


@pytest.mark.parametrize(("given", "expected"), METRICS)
def test_metrics(tmp_path: Path, given: dict, expected: dict) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        series.track(**state()).step(0, **given)
    with Series(tmp_path, readonly=True) as series:
        assert series.checkpoints[0].metrics == expected


@pytest.mark.parametrize("metric", ["0.5x", torch.ones(2), np.ones(2), object(), [1.0]])
def test_what_is_no_metric(tmp_path: Path, metric: object) -> None:
    with Series(tmp_path, every_steps=1) as series, pytest.raises(ValueError, match="the metric loss is one number"):
        series.track(**state()).step(0, loss=metric)


# -- saving at any moment ---------------------------------------------------------------------------------------------


def test_save_at_any_moment(tmp_path: Path) -> None:
    tracked = state()
    with Series(tmp_path, keep_last=None) as series:
        series.track(**tracked).resume()
        with pytest.raises(ValueError, match="no step is done yet"):
            series.save()
        for step in range(3):
            fill(tracked, step)
            series.step(step, epoch=1, loss=step)
        series.save(accuracy=0.5)
        series.wait()
        assert steps_on_disk(tmp_path) == [2]
        assert series.checkpoints[0].metrics == {"loss": 2.0, "accuracy": 0.5}
        assert series.checkpoints[0].epoch == 1
        fill(tracked, 7)
        series.save(7, loss=0.25)
        series.wait()
        assert series.checkpoints[-1].metrics == {"loss": 0.25}
    assert steps_on_disk(tmp_path) == [2, 7]


def test_one_step_saved_twice_is_two_files_and_counts_once(tmp_path: Path) -> None:
    tracked = state()
    with Series(tmp_path, keep_last=2, background=False) as series:
        series.track(**tracked)
        for step in (0, 1, 1, 1):
            fill(tracked, step)
            series.save(step)
        assert [one.step for one in series.checkpoints] == [0, 1]


def test_a_closed_series_says_so(tmp_path: Path) -> None:
    series = Series(tmp_path, every_steps=1).track(**state())
    series.close()
    series.close()
    for act in (lambda: series.step(0), lambda: series.save(0), series.resume, series.wait, series.pin):
        with pytest.raises(ValueError, match="is closed"):
            act()


NAMES = ["_series", "tag", "_backrefs", "_holdfast"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_the_file_needs(tmp_path: Path, name: str) -> None:
    with Series(tmp_path) as series, pytest.raises(ValueError, match="the file needs it for itself"):
        series.track(**{name: np.ones(2)})


def test_one_name_is_one_object(tmp_path: Path) -> None:
    with Series(tmp_path) as series:
        model = np.ones(2)
        assert series.track(model=model).track(model=model).tracked["model"] is model
        with pytest.raises(ValueError, match="'model' is tracked already"):
            series.track(model=np.ones(2))


WRONG = [
    ({"snapshot": "deep"}, 'snapshot is "copy" or "overlap"'),
    ({"format": ".pt"}, 'checkpoints are ".bson" files'),
    ({"name": "a/b"}, "cannot begin the names of files"),
    ({"keep_last": 0}, "would keep nothing"),
    ({"overhead": 2}, "overhead is a share"),
    ({"health": "yes"}, "health is True"),
]


@pytest.mark.parametrize(("options", "text"), WRONG)
def test_what_cannot_be_meant_leaves_no_folder(tmp_path: Path, options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Series(tmp_path / "run", **options)
    assert names(tmp_path) == []


# -- what stays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [True, False])
def test_what_stays_is_what_was_asked_for(tmp_path: Path, background: bool) -> None:
    """The best is never let go for being old, and nothing of anybody else's is touched."""
    (tmp_path / "mine.bson").write_text("mine")
    save(tmp_path / "other-000001-2026-11-23T02-57-10.410.bson", x=1)
    losses = [5, 1, 4, 3, 2, 9, 9, 9]
    options = {"keep_last": 2, "keep_best": 2, "best": "loss", "keep_every_steps": 3}
    with Series(tmp_path, name="run", every_steps=1, background=background, **options) as series:
        tracked = state()
        series.track(**tracked).resume()
        for step, loss in enumerate(losses):
            fill(tracked, step)
            series.step(step, loss=loss)
            series.wait()
        kept = {one.step: one.kept for one in series.checkpoints}
    assert kept == {
        1: ("best",),
        2: ("every 3 steps",),
        4: ("best",),
        5: ("every 3 steps",),
        6: ("last",),
        7: ("last",),
    }
    assert (tmp_path / "mine.bson").read_text() == "mine"
    assert load(tmp_path / "other-000001-2026-11-23T02-57-10.410.bson", "x") == 1


def test_nothing_is_let_go_before_the_newer_one_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaint 13: a pointer or a deletion that runs ahead of the disk."""
    publish, unlink, log = local.publish, os.unlink, []

    def publish_and_note(path: str, *arguments: object, **options: object) -> None:
        publish(path, *arguments, **options)
        log.append("published")

    def unlink_and_note(path: str, *arguments: object, **options: object) -> None:
        log.append("let go")
        unlink(path, *arguments, **options)

    monkeypatch.setattr(local, "publish", publish_and_note)
    monkeypatch.setattr(os, "unlink", unlink_and_note)
    with Series(tmp_path, every_steps=1, keep_last=1, background=False) as series:
        run(series, 4)
    assert log == ["published"] + ["published", "let go"] * 3


def test_pins(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, keep_last=1, background=False) as series:
        series.track(**state()).resume()
        with pytest.raises(KeyError, match="no checkpoint"):
            series.pin()
        series.step(0)
        series.pin()
        series.pin(0)
        series.step(1)
        with pytest.raises(KeyError, match="no checkpoint of step 7"):
            series.pin(7)
        series.step(2)
        assert [(one.step, one.kept, one.pinned) for one in series.checkpoints] == [
            (0, ("pinned",), True),
            (2, ("last",), False),
        ]
        assert ".pinned.bson" in str(series.checkpoints[0].path)
        series.pin(0, pinned=False)
        series.step(3)
        assert [one.step for one in series.checkpoints] == [3]


# -- damage -----------------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(path.stat().st_size))


HARM = {"one byte": damage, "cut": cut, "empty": empty, "noise": noise}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_bad_newest_file_falls_back_to_the_one_before(tmp_path: Path, harm) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 5)
        newest = series.checkpoints[-1].path
    harm(newest)
    content = newest.read_bytes()
    tracked = state()
    with Series(tmp_path, every_steps=1, background=False) as series:
        with pytest.warns(UserWarning, match=r"is damaged \(.*\); it is now .*\.bad, and the one before it"):
            position = series.track(**tracked).resume()
        assert position.step == 4
        assert {float(x) for array in tracked.values() for x in array} == {3.0}
        aside = newest.with_name(newest.name + ".bad")
        assert aside.read_bytes() == content  # nothing is deleted
        assert Path(f"{aside}.txt").read_text().strip()
        run_on(series, tracked, 4, 6)
        assert [one.step for one in series.checkpoints] == [3, 4, 5]


def run_on(series: Series, tracked: dict[str, np.ndarray], start: int, end: int) -> None:
    for step in range(start, end):
        fill(tracked, step)
        series.step(step, loss=1.0)
        series.wait()  # or the next one could take its place


def test_two_bad_ones(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 5)
        for checkpoint in series.checkpoints[1:]:
            damage(checkpoint.path)
    with Series(tmp_path) as series, pytest.warns(UserWarning, match="is damaged") as said:
        assert series.track(**state()).resume().step == 3
    assert len(said) == 2


def test_when_all_are_bad_nothing_begins_again_by_itself(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 2)
        for checkpoint in series.checkpoints:
            damage(checkpoint.path)
    with Series(tmp_path) as series, pytest.warns(UserWarning, match="is damaged"):  # noqa: PT031
        with pytest.raises(ChecksumError, match=r"none of the checkpoints in .* is whole"):
            series.track(**state()).resume()
        assert len([name for name in names(tmp_path) if name.endswith(".bad")]) == 2


def test_a_reader_sets_nothing_aside(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 3)
        damage(series.checkpoints[-1].path)
    before = names(tmp_path)
    with Series(tmp_path, readonly=True) as series, pytest.warns(UserWarning, match="it is left alone"):
        assert series.track(**state()).resume().step == 2
    assert names(tmp_path) == before


def test_a_file_that_is_only_called_like_ours_is_passed_over(tmp_path: Path) -> None:
    with Series(tmp_path, name="run", every_steps=1, background=False) as series:
        run(series, 2)
    stranger = tmp_path / "run-000009-2026-11-23T02-57-10.410.bson"
    save(stranger, weights=np.ones(3))
    with Series(tmp_path, name="run", keep_last=1, background=False) as series:
        assert series.track(**state()).resume().step == 2
        series.save(20)
        assert [one.step for one in series.checkpoints] == [20]
    assert load(stranger, "weights").sum() == 3


def test_what_does_not_fit_changes_nothing_and_is_not_set_aside(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 3)
    before = names(tmp_path)
    other = {"w0": np.zeros(100), "w1": np.zeros(100), "w2": np.zeros(7)}
    with Series(tmp_path) as series:
        with pytest.raises(MismatchError, match="w2") as caught:
            series.track(**other).resume()
        assert "the checkpoint itself is whole" in str(caught.value.__notes__)
    assert all(not array.any() for array in other.values())
    assert names(tmp_path) == before


def test_what_is_missing_is_taken_when_that_is_asked_for(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 3)
    more = state() | {"new": np.zeros(3)}
    with Series(tmp_path) as series:
        with pytest.raises(MismatchError, match="new"):
            series.track(**more).resume()
        with pytest.warns(UserWarning, match="new"):
            assert series.resume(strict=False).step == 3
    assert step_of(more) == {2.0}


def step_of(tracked: dict[str, np.ndarray]) -> set[float]:
    return {float(x) for name, array in tracked.items() if name != "new" for x in array}


# -- going back -------------------------------------------------------------------------------------------------------

LOSSES = [5, 3, 1, 2, 4, 6]
BACK = [
    ({"to": "best"}, 2),
    ({"to": 4}, 4),
    ({"to": 0}, 0),
    ({"to": 5}, 5),
    ({"before": 4}, 3),
    ({"before": 100}, 5),
]


@pytest.mark.parametrize(("where", "step"), BACK)
@pytest.mark.parametrize("background", [True, False])
def test_rollback(tmp_path: Path, where: dict, step: int, background: bool) -> None:
    tracked = state()
    with Series(tmp_path, every_steps=1, keep_last=None, best="loss", background=background) as series:
        series.track(**tracked).resume()
        for number, loss in enumerate(LOSSES):
            fill(tracked, number)
            series.step(number, loss=loss)
            series.wait()
        position = series.rollback(**where)
        assert position.step == series.position.step == step + 1
        assert step_of(tracked) == {float(step)}
        assert [one.step for one in series.checkpoints] == list(range(step + 1))
        moved = sorted((tmp_path / "abandoned").glob("*/*.bson"))
        assert [step_in(path) for path in moved] == list(range(step + 1, 6))
        run_on(series, tracked, step + 1, step + 3)
        series.wait()
        assert [one.step for one in series.checkpoints] == list(range(step + 3))


def test_a_resume_goes_on_from_where_it_was_rolled_back_to(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 3)
        series.rollback(1)
    with Series(tmp_path) as series:
        assert series.track(**state()).resume().step == 2


def test_abandoned_ones_go_when_the_new_ones_have_replaced_them(tmp_path: Path) -> None:
    tracked = state()
    with Series(tmp_path, every_steps=1, keep_last=2, background=False) as series:
        run(series, 6, tracked)
        series.rollback(before=5)
        run_on(series, tracked, 5, 6)
        assert (tmp_path / "abandoned").exists()
        run_on(series, tracked, 6, 7)
        assert not (tmp_path / "abandoned").exists()


NOWHERE = [
    ({}, ValueError, "say where to go"),
    ({"to": 1, "before": 2}, ValueError, "say where to go"),
    ({"to": "worst"}, ValueError, 'goes to "best" or to a step'),
    ({"to": "best"}, ValueError, "needs a metric"),
    ({"to": 7}, KeyError, "no good checkpoint of step 7; the steps that are there: 0, 1, 2"),
    ({"before": 0}, KeyError, "no good checkpoint before step 0"),
]


@pytest.mark.parametrize(("where", "error", "text"), NOWHERE)
def test_nowhere_to_go_back_to(tmp_path: Path, where: dict, error: type[Exception], text: str) -> None:
    tracked = state()
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 3, tracked)
        before = names(tmp_path)
        with pytest.raises(error, match=text):
            series.rollback(**where)
        assert names(tmp_path) == before
        assert step_of(tracked) == {2.0}


def test_going_back_to_a_damaged_best_takes_the_next_best(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, keep_last=None, best="loss", background=False) as series:
        tracked = state()
        series.track(**tracked).resume()
        for number, loss in enumerate(LOSSES):
            fill(tracked, number)
            series.step(number, loss=loss)
        damage(series.checkpoints[2].path)
        with pytest.warns(UserWarning, match="is damaged"):
            assert series.rollback("best").step == 4


# -- health -----------------------------------------------------------------------------------------------------------


def train_with(series: Series, model: nn.Linear, losses: list[float], *, start: int = 0) -> None:
    for step, loss in enumerate(losses, start):
        with torch.no_grad():
            model.weight.fill_(step)
        series.step(step, loss=loss)


def test_a_sick_state_is_never_best_and_never_gone_on_from(tmp_path: Path) -> None:
    options = {"every_steps": 1, "keep_last": 2, "keep_best": 1, "best": "loss", "background": False, "health": True}
    model = nn.Linear(2, 2)
    with Series(tmp_path, **options) as series:
        series.track(model=model).resume()
        train_with(series, model, [3.0, 2.0, 2.5])
        with torch.no_grad():
            model.bias[0] = float("nan")
        with pytest.warns(UserWarning, match=r"step 3 is unhealthy: model\.bias holds NaN or infinity") as said:
            train_with(series, model, [0.1, 0.1, float("nan")], start=3)
        assert len(said) == 1
        kept = {one.step: (one.kept, one.flag) for one in series.checkpoints}
        assert kept == {1: (("last", "best"), ""), 2: (("last",), ""), 5: (("unhealthy",), "unhealthy")}
        assert series.checkpoints[-1].note == "the loss is nan"
        assert ".unhealthy.bson" in str(series.checkpoints[-1].path)
    with Series(tmp_path, **options) as series:
        assert series.track(model=model).resume().step == 3
        assert not model.bias.isnan().any()
        assert [one.step for one in series.checkpoints] == [1, 2]
        assert len(list((tmp_path / "abandoned").glob("*/*.unhealthy.bson"))) == 1
        train_with(series, model, [2.4], start=3)
        assert [one.step for one in series.checkpoints] == [1, 2, 3]


def test_a_jump_of_the_loss_is_unhealthy_until_it_is_usual(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with Series(tmp_path, every_steps=1, health=True, background=False, keep_last=None) as series:
        series.track(model=model).resume()
        train_with(series, model, [1.0, 1.01, 0.99, 1.0])
        with pytest.warns(UserWarning, match="the loss jumped to 50; it was around 1"):
            train_with(series, model, [50.0] * 15, start=4)
        flags = [one.flag for one in series.checkpoints]
        assert flags[4] == "unhealthy"
        assert flags[-1] == ""
        with pytest.warns(UserWarning, match="the loss jumped"):
            train_with(series, model, [5000.0], start=19)
        assert series.rollback(before=19).step == 19


def test_an_unhealthy_one_is_gone_on_from_when_there_is_nothing_else(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with Series(tmp_path, every_steps=1, health=True, background=False) as series:
        series.track(model=model).resume()
        with pytest.warns(UserWarning, match="the loss is nan"):
            train_with(series, model, [float("nan")])
    with Series(tmp_path) as series:
        assert series.track(model=model).resume().step == 1


def test_without_health_nobody_looks(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with Series(tmp_path, every_steps=1, background=False) as series:
        series.track(model=model).resume()
        train_with(series, model, [float("nan")])
        assert series.checkpoints[0].flag == ""


# -- exceptions -------------------------------------------------------------------------------------------------------


class Bang(Exception):
    pass


@pytest.mark.parametrize("error", [Bang, KeyboardInterrupt, SystemExit])
def test_an_exception_saves_the_last_step(tmp_path: Path, error: type[BaseException]) -> None:
    tracked = state()
    with pytest.raises(error), Series(tmp_path, every_steps=1000) as series:  # noqa: PT012
        run(series, 5, tracked)
        raise error
    with Series(tmp_path) as series:
        [checkpoint] = series.checkpoints
        assert (checkpoint.step, checkpoint.flag) == (4, "")
        assert checkpoint.note == f"{error.__name__} ended the loop after step 4"
        with pytest.warns(UserWarning, match=r"random numbers and the place in the data may be a step further"):
            assert series.track(**state()).resume().step == 5


def test_what_is_saved_already_is_not_saved_again(tmp_path: Path) -> None:
    with pytest.raises(Bang), Series(tmp_path, every_steps=5) as series:  # noqa: PT012
        run(series, 5)
        raise Bang
    with Series(tmp_path) as series:
        [checkpoint] = series.checkpoints
        assert (checkpoint.step, checkpoint.note) == (4, None)
        assert series.track(**state()).resume().step == 5


def test_an_exception_before_the_first_step_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Bang), Series(tmp_path, every=1) as series:  # noqa: PT012
        series.track(**state()).resume()
        raise Bang
    assert names(tmp_path) == []


def test_half_a_step_is_marked_and_not_gone_on_from(tmp_path: Path) -> None:
    """The exception comes after the optimiser has moved the weights, so they are not those of any step."""
    model = nn.Linear(2, 2)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)

    def move() -> None:
        model(torch.ones(1, 2)).sum().backward()
        opt.step()

    def loop(series: Series) -> None:
        for step in range(series.track(model=model, opt=opt).resume().step, 5):
            move()
            series.step(step)
        move()
        raise Bang

    with pytest.raises(Bang), Series(tmp_path, every_steps=3) as series:
        loop(series)
    with Series(tmp_path) as series:
        assert [(one.step, one.flag) for one in series.checkpoints] == [(2, ""), (4, "interrupted")]
        assert series.track(model=model, opt=opt).resume().step == 3
        assert [one.step for one in series.checkpoints] == [2]


def test_an_error_while_saving_does_not_hide_the_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Bang) as caught, Series(tmp_path, every_steps=1000) as series:  # noqa: PT012
        run(series, 2)
        monkeypatch.setattr(local, "publish", full)
        raise Bang
    assert "No space left" in str(caught.value.__notes__)
    monkeypatch.undo()
    Series(tmp_path).close()


# -- proof ------------------------------------------------------------------------------------------------------------


def test_a_resume_is_proved(tmp_path: Path) -> None:
    weights, untracked = np.zeros(3), [0.0]

    def exact(step: int) -> None:
        weights[...] += np.random.rand() + step

    def drifting(step: int) -> None:
        untracked[0] += 1
        weights[...] += untracked[0]

    with Series(tmp_path) as series:
        series.track(weights=weights)
        assert series.prove_resume(exact, 3).steps == 3
        assert not weights.any()
        with pytest.raises(DriftError, match="weights"):
            series.prove_resume(drifting, 2)
    assert names(tmp_path) == []


# -- the background ---------------------------------------------------------------------------------------------------


def test_an_error_in_the_background_is_raised_by_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    series = Series(tmp_path, every_steps=2).track(**state())
    series.resume()
    with monkeypatch.context() as patch:
        patch.setattr(local, "publish", full)
        series.step(0)
        series.step(1)
        series._saver.writer.wait()
        with pytest.raises(OSError, match="No space left"):
            series.step(2)
        series.step(3)
        with pytest.raises(OSError, match="No space left"):
            series.wait()
        series.save(4)
        with pytest.raises(OSError, match="No space left"):
            series.close()
    assert names(tmp_path) == []
    Series(tmp_path).close()


def test_the_snapshot_is_of_the_step_and_not_of_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaint 13: what the loop does before a file is written is not in the file."""
    publish, overwritten = local.publish, threading.Event()

    def held(*arguments: object, **options: object) -> None:
        assert overwritten.wait(60)
        publish(*arguments, **options)

    monkeypatch.setattr(local, "publish", held)
    tracked = state(arrays=5, size=5000)
    with Series(tmp_path, every_steps=1, keep_last=None) as series:
        series.track(**tracked).resume()
        for step in range(30):
            overwritten.clear()
            fill(tracked, step)
            series.step(step)
            fill(tracked, -7)
            overwritten.set()
            series.wait()
    assert steps_on_disk(tmp_path) == list(range(30))
