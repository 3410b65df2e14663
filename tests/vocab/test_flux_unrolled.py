"""Recur of old files as today's recurrent layers: the same numbers, or an error that says what is in the way."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from holdfast import UnsupportedError, for_flux, inspect, load, params, save
from holdfast.flux import (
    GRU,
    LSTM,
    RNN,
    BatchNorm,
    Chain,
    Conv,
    Dense,
    Dropout,
    GRUCell,
    GRUv3,
    GRUv3Cell,
    LayerNorm,
    LSTMCell,
    Recur,
    RNNCell,
    flatten,
    relu,
    reset,
    softmax,
)
from reference import JULIA, needs_julia_files

CELLS = [(RNNCell, RNN), (LSTMCell, LSTM), (GRUCell, GRU), (GRUv3Cell, GRUv3)]


def steps(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What an old model gives for a sequence, (length, batch, features), a step at a time."""
    outputs = torch.stack([model(step) for step in x]).detach()
    reset(model)
    return outputs


@pytest.mark.parametrize("state0", [False, True])
@pytest.mark.parametrize(("cell", "layer"), CELLS)
def test_the_same_numbers_for_a_sequence(cell: Any, layer: Any, state0: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Chain(Recur(cell(3, 4, state0=state0)), LayerNorm(4), Dropout(0.5), Dense(4, 2, relu), softmax).eval()
    x = torch.randn(5, 2, 3)
    wanted = steps(model, x)
    today = for_flux(model, "0.16")
    assert type(today[0]) is layer
    assert torch.allclose(today(x.transpose(0, 1)).transpose(0, 1), wanted, atol=1e-6)
    save(tmp_path / "new.bson", model=today)
    assert inspect(tmp_path / "new.bson").find("model.layers[0]").type == f"Flux.{layer.__name__}"
    assert repr(load(tmp_path / "new.bson", "model")) == repr(today)


@needs_julia_files
@pytest.mark.parametrize("name", ["flux-0.8.3/rnn_chain", "flux-0.12.1/rnn_chain", "flux-0.12.1/gru"])
def test_models_of_old_files(name: str) -> None:
    model = load(JULIA / f"{name}.bson", "model")
    x = torch.randn(4, 2, 3)
    wanted = steps(model, x)
    assert torch.allclose(for_flux(model)(x.transpose(0, 1)).transpose(0, 1), wanted, atol=1e-6)


def test_a_gru_of_the_third_paper_has_three_blocks_since_0_15() -> None:
    cell = GRUv3Cell.of(torch.randn(12, 3), torch.randn(8, 4), torch.randn(12), torch.randn(4, 4), torch.zeros(1, 4))
    model, x = Recur(cell), torch.randn(5, 2, 3)
    wanted = steps(model, x)
    today = for_flux(model, "0.15")
    assert today.cell.Wh.shape == (12, 4)
    assert torch.allclose(today(x.transpose(0, 1)).transpose(0, 1), wanted, atol=1e-6)


def trained() -> Any:
    model = Recur(LSTMCell(2, 3, state0=True))
    params(model)[-1].data.fill_(0.1)
    return model


def remembering() -> Any:
    model = Recur(RNNCell(2, 3))
    model(torch.randn(1, 2))
    return model


class Mine(nn.Module):
    def forward(self, x: Any, state: Any) -> Any:
        return x, state


IN_THE_WAY = [
    (Chain(trained()), r"0\.cell is a LSTMCell that holds a first state that was trained"),
    (Chain(Dense(2, 2), remembering()), r"1 is a Recur that remembers a state.*reset\(model\) first"),
    (Recur(Mine()), r"the model is a Recur that runs Mine\(\)"),
    (Chain(Recur(GRUCell(2, 3)), BatchNorm(3)), r"1 is BatchNorm\(3\), to which .* whole sequences"),
    (Chain(Chain(Conv((1, 1), (1, 1)), flatten), Recur(GRUCell(2, 3))), r"0\.0 is Conv.*0\.layers\[1\] is flatten"),
    (Chain(Recur(GRUCell(2, 3)), LayerNorm(3, 2)), r"1 is LayerNorm\(3, 2\)"),
]


@pytest.mark.parametrize(("model", "message"), IN_THE_WAY)
def test_what_is_in_the_way_is_named_and_nothing_changes(model: Any, message: str) -> None:
    before = repr(model)
    with pytest.raises(UnsupportedError, match=message):
        for_flux(model, "0.16")
    assert repr(model) == before
    for_flux(model, "0.14")  # which has Recur
