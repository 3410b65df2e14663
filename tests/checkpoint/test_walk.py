"""The data of a run, over all its processes: every piece once, in order, wherever the run stopped."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from holdfast import HoldfastError
from holdfast.checkpoint import Series, resumable


class Stop(Exception):
    """The process is killed here."""


def loader() -> DataLoader:
    return DataLoader(range(7), batch_size=3, shuffle=True)


def pieces() -> list[int]:
    return list(range(7))


class Drawing:
    """Data that draws what it gives from a global generator, one after the other."""

    def __iter__(self) -> Iterator[float]:
        return (float(np.random.rand()) for _ in range(4))


SOURCES = {
    "a list": pieces,
    "a shuffled DataLoader": loader,
    "a resumable one": lambda: resumable(loader()),
    "random numbers": Drawing,
}


def walked(folder: Path, make, calls: int, epochs: int, stop: int | None) -> list[tuple[int, int, object]]:
    """What one process sees, up to ``stop``: each step, epoch and piece, with the next random number after it."""
    torch.manual_seed(3)
    np.random.seed(4)
    data, seen = make(), []
    series = Series(folder, every_steps=1, background=False)
    try:
        for _ in range(calls):
            for step, epoch, piece in series.walk(data, epochs):
                if step == stop:
                    raise Stop
                drawn = (float(torch.rand(())), float(np.random.rand()))
                seen.append((step, epoch, piece.tolist() if isinstance(piece, torch.Tensor) else piece, drawn))
                series.step(step)
    except Stop:
        pass
    series.close()
    return seen


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize(("calls", "epochs"), [(1, 2), (3, 1), (2, 2)])
def test_every_piece_once(tmp_path: Path, make, calls: int, epochs: int) -> None:
    whole = walked(tmp_path / "whole", make, calls, epochs, None)
    steps = len(whole)
    assert [step for step, *_ in whole] == list(range(steps))
    assert sorted({epoch for _, epoch, *_ in whole}) == list(range(calls * epochs))
    for stop in range(0, steps + 1, 1 if steps < 13 else 3):
        folder = tmp_path / str(stop)
        first = walked(folder, make, calls, epochs, stop)
        assert first == whole[:stop]
        assert first + walked(folder, make, calls, epochs, None) == whole
        assert walked(folder, make, calls, epochs, None) == []


def test_three_lives(tmp_path: Path) -> None:
    whole = walked(tmp_path / "whole", loader, 2, 2, None)
    lives = [walked(tmp_path / "run", loader, 2, 2, stop) for stop in (2, 3, 7, None)]
    assert [seen for life in lives for seen in life] == whole


def test_what_knows_its_place_is_tracked_once(tmp_path: Path) -> None:
    data = loader()
    with Series(tmp_path) as series:
        list(series.walk(data))
        list(series.walk(data))
        assert [*series.tracked] == ["data"]
        mine = resumable(loader())
        series.track(mine=mine)
        list(series.walk(mine))
        assert [*series.tracked] == ["data", "mine"]
        list(series.walk([1, 2]))
        assert [*series.tracked] == ["data", "mine"]


def test_the_epoch_of_the_walk_is_the_epoch_of_the_step(tmp_path: Path) -> None:
    with Series(tmp_path, every_epochs=1, background=False, keep_last=None) as series:
        for step, _, _ in series.walk([1, 2, 3], epochs=3):
            series.step(step)
        assert [(one.step, one.epoch) for one in series.checkpoints] == [(3, 1), (6, 2)]
        assert series.position.epoch == 2


def test_a_run_that_went_back_needs_a_new_walk(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False, keep_last=None) as series:
        walk = series.walk(pieces())
        for step, _, _ in walk:
            series.step(step)
            if step == 5:
                break
        assert series.rollback(3).step == 4
        with pytest.raises(HoldfastError, match="begin a new one"):
            next(walk)
        assert [(step, piece) for step, _, piece in series.walk(pieces())] == [(step, step) for step in range(4, 7)]


def test_a_walk_goes_on_from_what_is_resumed_already(tmp_path: Path) -> None:
    with Series(tmp_path, every_steps=1, background=False) as series:
        for step, _, _ in series.walk(pieces()):
            series.step(step)
            if step == 5:
                break
    with Series(tmp_path) as series:
        series.resume()
        assert next(iter(series.walk(pieces())))[0] == 6
