"""What people who train for days complain of elsewhere, a test for each row: the words of the issue, and what happens here.

Strategy: a scenario in the user's terms, from the outside, each with the issues that it is from. The parts have tests of
their own, which go further: test_storm.py (1), test_series.py (3, 13, 14, 19), test_exact.py (4, 9), test_snapshot.py
(13), test_retention.py (14), test_signals.py (18), test_health.py (19).
"""

import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from holdfast import load
from holdfast.checkpoint import Series, resumable
from runs import damage, fill, names, python, run, started, state, steps_on_disk

KILLED_WITHIN_A_WRITE = """
import os, signal, sys
from holdfast.checkpoint import Series
from runs import run, state

os.fsync, before = lambda fd: os.kill(os.getpid(), signal.SIGKILL) if len(written) == 3 else before(fd), os.fsync
written = []
with Series(sys.argv[1], every_steps=1, background=False) as series:
    tracked = state(size=100_000)
    series.track(**tracked).resume()
    for step in range(9):
        for array in tracked.values():
            array[...] = step
        written.append(step) if step < 3 else None
        series.step(step)
"""


def test_complaint_1_a_kill_within_a_write_leaves_no_half_written_checkpoint(tmp_path: Path) -> None:
    """Lightning#688, transformers#35782, metaseq#53: a checkpoint is corrupt after a kill. pytorch#170244: the error now
    says "high likelihood corrupted". Qwen3-TTS#365: a half-written one loads, with other weights."""
    done = python(KILLED_WITHIN_A_WRITE, tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    found = steps_on_disk(tmp_path)  # fails for a file that is not whole
    tracked = state(size=100_000)
    with Series(tmp_path, every_steps=1, background=False) as series:
        assert series.track(**tracked).resume().step - 1 == found[-1] >= 1
        series.save(9)
    assert all(name.endswith(".bson") for name in names(tmp_path))  # no litter after the next save


def test_complaint_3_a_damaged_newest_checkpoint_is_not_the_end_of_the_run(tmp_path: Path) -> None:
    """transformers#35525: no fallback to an older valid checkpoint when the newest is bad."""
    with Series(tmp_path, every_steps=1, background=False) as series:
        run(series, 3)
        newest = series.checkpoints[-1].path
    damage(newest)
    tracked = state()
    with Series(tmp_path) as series, pytest.warns(UserWarning, match="is damaged"):
        assert series.track(**tracked).resume().step == 2
    assert {float(x) for array in tracked.values() for x in array} == {1.0}
    assert (newest.parent / f"{newest.name}.bad").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_complaint_4_a_resume_in_the_middle_of_an_epoch_goes_on_with_the_next_batch(
    tmp_path: Path, workers: int
) -> None:
    """Lightning#18780, #19764, #11029, #1182, #5325; transformers#17032, #11323, #46628; accelerate#4071, #3952, #3110;
    streaming#880; data#1520; datasets#7447: batches are seen twice or left out."""

    def loader() -> DataLoader:
        return resumable(DataLoader(range(20), batch_size=3, shuffle=True, num_workers=workers))

    torch.manual_seed(0)
    straight = [batch.tolist() for _ in range(2) for batch in loader()]
    torch.manual_seed(0)
    data, seen = loader(), []
    with Series(tmp_path, every_steps=1) as series:
        series.track(data=data).resume()
        for step, batch in zip(range(4), data, strict=False):  # the epoch has 7
            seen.append(batch.tolist())
            series.step(step)
    torch.manual_seed(99)
    data = loader()
    with Series(tmp_path) as series:
        assert series.track(data=data).resume().step == 4
        seen += [batch.tolist() for _ in range(2) for batch in data]
    first = [sorted(number for batch in epoch for number in batch) for epoch in (seen[:7], seen[7:14])]
    assert first == [list(range(20))] * 2
    assert seen[:7] == straight[:7]


def test_complaint_9_the_optimisers_state_finds_its_parameters_by_name(tmp_path: Path) -> None:
    """latent-diffusion#231, sd-scripts#378, pysot#92: "a parameter group that doesn't match". stereo-transformer#58: the
    optimiser's parameters are not named, so another order of them takes each other's state without a word."""

    def made(*, backwards: bool) -> tuple[nn.Module, torch.optim.Optimizer]:
        model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        return model, torch.optim.Adam([*model.parameters()][:: -1 if backwards else 1])

    model, opt = made(backwards=False)
    model(torch.rand(2, 3)).sum().backward()
    opt.step()
    with Series(tmp_path, every_steps=1) as series:
        series.track(model=model, opt=opt).resume()
        series.step(0)
    again, other = made(backwards=True)
    with Series(tmp_path) as series:
        series.track(model=again, opt=other).resume()
    for old, new in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(opt.state[old]["exp_avg"], other.state[new]["exp_avg"])


def test_complaint_13_what_is_written_in_the_background_is_the_state_of_the_step(tmp_path: Path) -> None:
    """pytorch#144657: async_save wrote the values of a later step. KempnerForge#102: "latest" points at what is not
    durable yet. marin#6774, pytorch#170163: memory grows from save to save."""
    tracked = state(size=200_000)
    with Series(tmp_path, every_steps=1, keep_last=None) as series:
        series.track(**tracked).resume()
        for step in range(20):
            fill(tracked, step)
            series.step(step)
            fill(tracked, -7)  # while it is written
            assert len(series._saver.staging._spare) <= 2
    assert steps_on_disk(tmp_path)[-1] == 19  # fails for a file in which another number stands
    assert all(name.endswith(".bson") and not (tmp_path / name).is_symlink() for name in names(tmp_path))


def test_complaint_14_the_best_is_kept_and_nothing_of_others_is_deleted(tmp_path: Path) -> None:
    """Lightning#18687, #5173, #19844, transformers#11748: the best checkpoint is deleted, or more are kept than asked
    for. tensorflow#30695: nothing is ever deleted."""
    (tmp_path / "digits-notes.bson").write_text("mine")
    with Series(tmp_path, name="digits", every_steps=1, keep_last=2, keep_best=1, best="loss") as series:
        series.track(**state()).resume()
        for step, loss in enumerate([3.0, 1.0, math.nan, 5.0, 4.0, 6.0]):
            series.step(step, loss=loss)
            series.wait()
        assert {one.step: one.kept for one in series.checkpoints} == {1: ("best",), 4: ("last",), 5: ("last",)}
    assert (tmp_path / "digits-notes.bson").read_text() == "mine"


PREEMPTED = """
import sys, time
from holdfast.checkpoint import Series
from runs import fill, state

tracked = state()
with Series(sys.argv[1], every=3600, on_signal=True) as series:
    start = series.track(**tracked).resume()
    for step in range(start.step, 10_000):
        fill(tracked, step)
        series.step(step)
        if step == 3:
            print("ready", flush=True)
        time.sleep(0.01)
"""


def test_complaint_18_a_job_that_is_told_to_stop_loses_nothing(tmp_path: Path) -> None:
    """Lightning#9567, #1455, ray#63968: SIGTERM ends the run with the last checkpoint an hour old."""
    with started(PREEMPTED, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert process.returncode == -signal.SIGTERM
    assert steps_on_disk(tmp_path)[-1] >= 3


def test_complaint_19_a_state_of_nan_is_not_gone_on_from(tmp_path: Path) -> None:
    """keras#8332, KempnerForge#2, levanter#391, OneTrainer#1147, entrenar#127: weights of NaN replace the good ones."""
    weights = np.ones(3)
    options = {"every_steps": 1, "keep_last": 1, "keep_best": 1, "best": "loss", "health": True}
    with Series(tmp_path, **options) as series:
        series.track(weights=weights).resume()
        series.step(0, loss=1.0)
        series.wait()
        weights[1] = math.nan
        with pytest.warns(UserWarning, match="step 1 is unhealthy"):
            series.step(1, loss=0.1)
        series.wait()
        assert series.rollback("best").step == 1
        assert weights.tolist() == [1, 1, 1]
    with Series(tmp_path, **options) as series:
        assert series.track(weights=weights).resume().step == 1
    assert not np.isnan(load(next(tmp_path.glob("*.bson")), "weights")).any()
    assert os.path.isdir(tmp_path / "abandoned")  # the sick one stays to be looked at
