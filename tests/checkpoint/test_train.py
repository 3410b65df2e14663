"""``train(…, series=series)``: a run in one argument that goes on where it was killed, to the same bits."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from holdfast import load
from holdfast.checkpoint import Series
from holdfast.flux import ADAM, Chain, Dense, Dropout, mse, params, relu, skip, stop, throttle, train


class Killed(Exception):
    pass


def data() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.rand(4, 3, generator=generator), torch.rand(4, 2, generator=generator)) for _ in range(5)]


def loader() -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(12, 3, generator=generator), torch.rand(12, 2, generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=3, shuffle=True)


def life(folder: Path, make, kill: int | None, **options) -> tuple[list[float], list[torch.Tensor]]:
    """One process of a run that is killed before step ``kill``: the losses that it saw, and its weights."""
    torch.manual_seed(5)
    model = Chain(Dense(3, 8, relu), Dropout(0.3), Dense(8, 2))
    losses: list[float] = []

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if series.position.step == kill:
            raise Killed
        value = mse(model(x), y)
        losses.append(float(value.detach()))
        return value

    series = Series(folder, every_steps=1, background=False)
    try:
        train(loss, params(model), make(), ADAM(0.01), epochs=3, series=series, progress=False, **options)
    except Killed:
        pass
    finally:
        series.close()
    return losses, [weight.detach().clone() for weight in params(model)]


@pytest.mark.parametrize("make", [data, loader], ids=["a list", "a shuffled loader"])
def test_killed_anywhere_it_ends_with_the_same_bits(tmp_path: Path, make) -> None:
    losses, weights = life(tmp_path / "whole", make, None)
    assert len(losses) == 3 * len(make())
    for kill in range(len(losses)):
        first, _ = life(tmp_path / str(kill), make, kill)
        rest, ended = life(tmp_path / str(kill), make, None)
        assert first + rest == losses
        assert all(torch.equal(a, b) for a, b in zip(weights, ended, strict=True))


def small(folder: Path, loss=None, cb=None, **options) -> tuple[Series, Chain]:
    model = Chain(Dense(3, 2))
    series = Series(folder, **({"every": 1000, "background": False} | options))
    value = loss or (lambda x, y: mse(model(x), y))
    train(value, params(model), data(), ADAM(0.01), cb=cb, series=series, progress=False)
    return series, model


def test_the_end_is_saved_and_loads_by_itself(tmp_path: Path) -> None:
    series, model = small(tmp_path)
    assert [one.step for one in series.checkpoints] == [0, 4]
    again, opt = load(series.checkpoints[-1].path, "model", "opt")
    assert torch.equal(again[0].weight, model[0].weight)
    assert isinstance(opt, ADAM)
    assert set(series.checkpoints[-1].metrics) == {"loss"}


def test_what_is_tracked_already_keeps_its_name(tmp_path: Path) -> None:
    model, opt = Chain(Dense(3, 2)), ADAM(0.01)
    with Series(tmp_path) as series:
        series.track(net=model, adam=opt, extra=[1])
        train(lambda x, y: mse(model(x), y), params(model), data(), opt, series=series, progress=False)
        assert [*series.tracked] == ["net", "adam", "extra"]


def test_parameters_without_a_module(tmp_path: Path) -> None:
    w, b = torch.rand(3, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
    for ends in (1, 2):
        opt = torch.optim.SGD([w, b], lr=0.1)
        with Series(tmp_path) as series:
            pieces = data()[:ends]
            train(lambda x, y: mse(x @ w + b, y), [w, b], pieces, opt, series=series, progress=False)
            assert series.position.step == ends
            assert [*series.tracked] == ["parameter1", "parameter2", "opt"]


def test_two_models(tmp_path: Path) -> None:
    a, b = Dense(3, 4), Dense(4, 2)
    with Series(tmp_path) as series:
        train(lambda x, y: mse(b(a(x)), y), params(a, b), data(), ADAM(0.1), series=series, progress=False)
        assert [*series.tracked] == ["model1", "model2", "opt"]


def test_stop_in_a_callback_saves_the_step_and_ends(tmp_path: Path) -> None:
    calls = []

    def third() -> None:
        calls.append(1)
        if len(calls) == 3:
            stop()

    series, _ = small(tmp_path, cb=third)
    assert series.position.step == 3
    assert [one.step for one in series.checkpoints] == [0, 2]


def test_skipped_pieces_are_had(tmp_path: Path) -> None:
    model = Chain(Dense(3, 2))
    seen = []

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        if len(seen) % 2:
            skip()
        return mse(model(x), y)

    opt = ADAM(0.1)
    with Series(tmp_path, every_steps=1, background=False, keep_last=None) as series:
        train(loss, params(model), data(), opt, series=series, progress=False)
        assert [len(one.metrics) for one in series.checkpoints] == [0, 1, 0, 1, 0]


def test_the_callback_of_the_page_still_works(tmp_path: Path) -> None:
    shown = []
    series, _ = small(tmp_path, cb=throttle(lambda: shown.append(1), 1000))
    assert shown == [1]
    assert len(series.checkpoints) == 2


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    first, _ = small(tmp_path)
    first.close()
    second, _ = small(tmp_path, loss=lambda x, y: pytest.fail("trained again"))
    assert [one.step for one in second.checkpoints] == [0, 4]


def test_lists_of_a_loader_are_arguments_with_a_series_too(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    source = DataLoader(TensorDataset(torch.rand(6, 3), torch.rand(6, 2)), batch_size=2)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with Series(tmp_path) as series:
        train(lambda x, y: mse(model(x), y), model, source, opt, series=series, progress=False)
        assert series.position.step == 3
