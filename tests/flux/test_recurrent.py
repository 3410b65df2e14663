"""Recurrent cells and the layers around them, against torch's RNN, LSTM and GRU and against each other."""

import copy

import pytest
import torch
from torch import nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import relu, tanh
from holdfast.flux.basic import Dense
from holdfast.flux.containers import Chain
from holdfast.flux.recurrent import GRUCell, GRUv3Cell, LSTMCell, RNNCell
from holdfast.flux.sequence import GRU, LSTM, RNN, GRUv3, Recur, Recurrence, reset, truncate

CELLS = [RNNCell, LSTMCell, GRUCell, GRUv3Cell]
LAYERS = [RNN, LSTM, GRU, GRUv3]
NAMESPACE = {kind.__name__: kind for kind in [*CELLS, *LAYERS, Recur, Recurrence]} | {"relu": relu, "tanh": tanh}
LINES = [
    "RNNCell(3, 4, relu)",
    "LSTMCell(3, 4, bias=False)",
    "GRUv3Cell(3, 4, state0=True)",
    "RNN(3, 4, tanh, return_state=True)",
    "LSTM(3, 4, bias=False)",
    "GRU(3, 4)",
    "Recurrence(GRUCell(3, 4), return_state=True)",
    "Recur(LSTMCell(3, 4, state0=True))",
]


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    layer = eval(line, NAMESPACE)
    assert repr(layer) == line
    assert {name: p.shape for name, p in layer.named_parameters()} == {
        name: p.shape for name, p in eval(repr(layer), NAMESPACE).named_parameters()
    }


@pytest.mark.parametrize(("ours", "theirs"), [(RNN, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU)])
def test_against_torch(ours, theirs) -> None:
    """The gates stand in torch's order; torch has a second bias, which is zero here."""
    layer, other = ours(3, 5, return_state=True), theirs(3, 5, batch_first=True)
    nn.init.normal_(layer.cell.bias)
    with torch.no_grad():
        other.weight_ih_l0.copy_(layer.cell.Wi)
        other.weight_hh_l0.copy_(layer.cell.Wh)
        other.bias_ih_l0.copy_(layer.cell.bias)
        other.bias_hh_l0.zero_()
    x = torch.randn(2, 7, 3)
    outputs, state = layer(x)
    expected, last = other(x)
    assert torch.allclose(outputs, expected, atol=1e-6)
    for part, whole in zip(
        state if isinstance(state, tuple) else (state,), last if isinstance(last, tuple) else (last,), strict=True
    ):
        assert torch.allclose(part, whole[0], atol=1e-6)
    assert torch.allclose(layer(x[0])[0], expected[0], atol=1e-6)


def test_gruv3_by_hand() -> None:
    cell = GRUv3Cell(3, 4)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    gates = x @ cell.Wi.T
    r = torch.sigmoid(gates[:, :4] + h @ cell.Wh[:4].T)
    z = torch.sigmoid(gates[:, 4:8] + h @ cell.Wh[4:8].T)
    new = torch.tanh(gates[:, 8:] + (r * h) @ cell.Wh_h.T)
    assert torch.allclose(cell(x, h)[0], (1 - z) * new + z * h, atol=1e-6)
    old = GRUv3Cell.of(cell.Wi, cell.Wh[:8].detach(), cell.bias, cell.Wh_h)  # before 0.15 without the third block
    assert torch.equal(old(x, h)[0], cell(x, h)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_three_ways_over_a_sequence(cell) -> None:
    """Recurrence, Recur step by step, and Recur on the whole sequence, give the same."""
    kept = cell(3, 4)
    x = torch.randn(2, 6, 3)
    whole = Recurrence(kept)(x)
    stepwise = Recur(kept)
    for step in range(6):
        assert torch.allclose(stepwise(x[:, step]), whole[:, step], atol=1e-6)
    assert torch.allclose(reset(stepwise)(x.transpose(0, 1)), whole.transpose(0, 1), atol=1e-6)
    half, state = Recurrence(kept, return_state=True)(x[:, :3])
    assert torch.allclose(torch.cat([half, Recurrence(kept)(x[:, 3:], state)], 1), whole, atol=1e-6)


def test_a_cell_of_ones_own() -> None:
    def running_total(x, state):
        state = x if state is None else state + x
        return state, state

    assert Recurrence(running_total)(torch.ones(3, 1)).flatten().tolist() == [1, 2, 3]
    recur = Recur(running_total)
    assert [recur(torch.ones(1)).item() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("cell", CELLS)
def test_first_states_are_learnt(cell) -> None:
    model = Recur(cell(3, 4, state0=True))
    model(torch.randn(2, 3)).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p is not model.cell.Wh)
    assert model.cell.h0.shape == (1, 4)
    names = [name for name, _ in model.cell.named_parameters()]
    assert names == [
        "Wi",
        "Wh",
        "bias",
        *(["Wh_h"] if cell is GRUv3Cell else []),
        "h0",
        *(["c0"] if cell is LSTMCell else []),
    ]


def test_vectors_step_alone() -> None:
    model = Recur(LSTMCell(3, 4, state0=True))
    assert model(torch.randn(3)).shape == (4,)
    assert model(torch.randn(3)).shape == (4,)


def test_truncate_keeps_the_state_and_drops_the_graph() -> None:
    model = Chain(Recur(LSTMCell(3, 4)), Dense(4, 2))
    model(torch.randn(2, 3))
    h, _ = model[0].state
    assert h.requires_grad
    truncate(model)
    assert torch.equal(model[0].state[0], h)
    assert not model[0].state[1].requires_grad
    assert reset(model)[0].remembered is None
    assert model[0].state[0].abs().max() == 0


def test_a_state_goes_with_the_module() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 3)
    model = Chain(Recur(LSTMCell(3, 4, state0=True)), Recur(RNNCell(4, 2)))
    model(x)
    fresh = Chain(Recur(LSTMCell(3, 4, state0=True)), Recur(RNNCell(4, 2)))
    fresh.load_state_dict(model.state_dict())
    twin = copy.deepcopy(model)
    expected = model(x)
    assert torch.equal(fresh(x), expected)
    assert torch.equal(twin(x), expected)
    assert model.double()[0].state[0].dtype == torch.float64
    reset(fresh).load_state_dict({key: value for key, value in fresh.state_dict().items() if "state" not in key})
    assert fresh[0].remembered is None
    with pytest.raises(RuntimeError, match="Unexpected"):
        fresh.load_state_dict({**fresh.state_dict(), "0.stat": torch.zeros(1)})


def test_of_copies_nothing_and_keeps_julias_memory() -> None:
    Wi, Wh, bias = torch.randn(3, 16).T, torch.randn(4, 16).T, torch.randn(16)
    cell = LSTMCell.of(Wi, Wh, bias, (torch.zeros(1, 4), torch.zeros(1, 4)))
    assert (cell.Wi.data_ptr(), cell.Wi.stride()) == (Wi.data_ptr(), (1, 16))
    assert (cell.inputs, cell.outputs) == (3, 4)
    assert LSTMCell(3, 4).Wi.stride() == (1, 16)
    init = torch.ones(1, 4)
    recur = Recur.of(RNNCell(3, 4), torch.zeros(2, 4), init)
    assert reset(recur).state is init


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LSTM(3, 4)(torch.zeros(2, 5, 4)), "needs 3 features"),
        (lambda: LSTM(3, 4)(torch.zeros(3)), "runs over"),
        (lambda: Recur(GRUCell(3, 4))(torch.zeros(2, 4)), "needs 3 features"),
        (lambda: RNNCell(3, 4, bias=torch.zeros(3)), "the bias has shape"),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()
