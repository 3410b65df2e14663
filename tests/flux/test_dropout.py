"""Dropout, AlphaDropout, and the switches between test and train mode."""

import pytest
import torch
from torch import nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import relu
from holdfast.flux.basic import Dense
from holdfast.flux.containers import Chain
from holdfast.flux.dropout import AlphaDropout, Dropout
from holdfast.flux.modes import testmode, trainmode
from holdfast.flux.normalise import BatchNorm

LINES = [
    "Dropout(0.3)",
    "Dropout(0.5, dims=(1, 3), active=True)",
    "AlphaDropout(0.2)",
    "AlphaDropout(0.2, active=False)",
]


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    assert repr(eval(line)) == line


@pytest.mark.parametrize(
    ("active", "training", "trains"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_active_wins_over_training(active, training: bool, trains: bool) -> None:
    for layer in (Dropout(0.5, active=active), AlphaDropout(0.5, active=active), BatchNorm(3, active=active)):
        assert layer.train(training).trains is trains


def test_switches_reach_every_layer() -> None:
    model = Chain(Dense(3, 3, relu), Chain(BatchNorm(3), Dropout(0.5)), AlphaDropout(0.5))
    layers = [model[1][0], model[1][1], model[2]]
    for switch, mode, active in [
        (testmode, True, False), (testmode, False, True), (testmode, "auto", None), (testmode, None, None),
        (trainmode, True, True), (trainmode, False, False), (trainmode, "auto", None)
    ]:  # fmt: skip
        assert switch(model, mode) is model
        assert [layer.active for layer in layers] == [active] * 3
    assert isinstance(testmode(nn.Linear(2, 2)), nn.Linear)


@pytest.mark.parametrize("dims", [None, (1, 2, 3, 4)])
def test_dropout_scales_what_it_keeps(dims) -> None:
    torch.manual_seed(0)
    y = Dropout(0.25, dims=dims)(torch.ones(20, 10, 10, 10))
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(y.count_nonzero().item() / y.numel() - 0.75) < 0.02


def test_dims_are_julias() -> None:
    torch.manual_seed(0)
    y = Dropout(0.5, dims=3)(torch.ones(4, 50, 6, 7))  # whole channels, in all examples alike
    assert (y.amax((0, 2, 3)) == y.amin((0, 2, 3))).all()
    assert 0 < y.amax((0, 2, 3)).count_nonzero() < 50
    assert set(Dropout(1.0)(torch.ones(9)).tolist()) == set(Dropout(1.0, dims=1)(torch.ones(9)).tolist()) == {0.0}


def test_a_generator_of_ones_own() -> None:
    x = torch.ones(100)
    one, other = (Dropout(0.5, rng=torch.Generator().manual_seed(7))(x) for _ in range(2))
    assert torch.equal(one, other)


def test_alphadropout_keeps_mean_and_variance() -> None:
    torch.manual_seed(0)
    x = torch.randn(200_000)
    y = AlphaDropout(0.3)(x)
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    assert AlphaDropout(1)(x).abs().max() == 0


@pytest.mark.parametrize("layer", [Dropout, AlphaDropout])
@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_a_probability_lies_between_0_and_1(layer, p: float) -> None:
    with pytest.raises(MismatchError, match="between 0 and 1"):
        layer(p)
