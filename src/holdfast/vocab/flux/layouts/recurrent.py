"""Recurrent cells, what runs them over a sequence, attention, WeightNorm. Source: Flux.jl, src/layers/recurrent.jl, 0.5 to
0.16.

Until 0.14 a cell held its first state, and Recur remembered the state from call to call; since 0.15 neither does.
"""

from typing import Any, Final

import torch
from torch import Tensor

from holdfast import flux
from holdfast.flux.recurrent import Cell
from holdfast.flux.weightnorm import REVERSED
from holdfast.vocab.flux.arrays import mark
from holdfast.vocab.flux.layouts.rows import Layout, row

CELL: Final = {"Wi": "matrix", "Wh": "matrix", "bias": "bias", "state0": "state0"}


def build_lstm_cell(h0: Any = None, c0: Any = None, state0: Any = None, **fields: Any) -> flux.LSTMCell:
    """Until 0.11 the two parts of the first state were two fields."""
    return flux.LSTMCell.of(**fields, state0=state0 if h0 is None else (h0, c0))


FIRST: Final = ("h0", "c0")
GATES: Final = "Wi Wh bias"

CELLS: Final = (
    Layout(
        "Flux.RNNCell",
        flux.RNNCell,
        (
            row(f"activation {GATES} state0", "activation Wi bias", until="0.11.6"),
            row(f"activation {GATES} state0", "activation Wi bias state0", "0.12.0", "0.13.6"),
            row(f"activation {GATES} state0", "activation Wi Wh bias state0", "0.13.7", "0.14.25"),
            row(f"activation {GATES}", "activation Wi Wh bias", "0.15.0"),
        ),
        {"activation": "function", **CELL},
        inner=FIRST,
    ),
    Layout(
        "Flux.LSTMCell",
        flux.LSTMCell,
        (
            row(f"{GATES} h0 c0", "Wi bias", until="0.11.6"),
            row(f"{GATES} state0", "Wi bias state0", "0.12.0", "0.13.6"),
            row(f"{GATES} state0", "Wi Wh bias state0", "0.13.7", "0.14.25"),
            row(GATES, "Wi Wh bias", "0.15.0"),
        ),
        {**CELL, "h0": "image", "c0": "image"},
        build_lstm_cell,
        inner=FIRST,
    ),
    Layout(
        "Flux.GRUCell",
        flux.GRUCell,
        (
            row(f"{GATES} state0", "Wi bias", until="0.11.6"),
            row(f"{GATES} state0", "Wi bias state0", "0.12.0", "0.13.6"),
            row(f"{GATES} state0", "Wi Wh bias state0", "0.13.7", "0.14.25"),
            row(GATES, "Wi Wh bias", "0.15.0"),
        ),
        CELL,
        inner=FIRST,
    ),
    Layout(
        "Flux.GRUv3Cell",
        flux.GRUv3Cell,
        (
            row(f"{GATES} Wh_h state0", "Wi bias state0", "0.12.7", "0.13.6"),
            row(f"{GATES} Wh_h state0", "Wi Wh bias Wh_h state0", "0.13.7", "0.14.25"),
            row(f"{GATES} Wh_h", "Wi Wh bias Wh_h", "0.15.0"),
        ),
        {**CELL, "Wh_h": "matrix"},
        inner=FIRST,
    ),
)


def build_recur(cell: Any, state: Any, init: Any = None) -> flux.Recur:
    """A state that is the cell's first one is none that it remembers."""
    first = cell.state0 if isinstance(cell, Cell) else None
    return flux.Recur.of(
        cell, None if same_state(state, first) else released(state), None if same_state(init, first) else init
    )


def same_state(one: Any, other: Any) -> bool:
    """Whether two states are the same tensors."""
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(map(same_state, one, other))
    return one is other


def released(state: Any) -> Any:
    """A remembered state is no parameter: nothing trains it."""
    if isinstance(state, tuple):
        return tuple(map(released, state))
    return state.detach() if isinstance(state, Tensor) and state.requires_grad else state


def is_stateless(layer: Any) -> bool:
    """Whether a Recur is to start from a state that its cell does not hold."""
    if not isinstance(layer, flux.Recur) or not isinstance(layer.cell, Cell):
        return False
    return layer.remembered is None and layer.init is None and layer.cell.state0 is None


def zero_state(cell: Cell) -> Any:
    """The first state of a cell that holds none, as Flux until 0.14 has it: (1, out), Julia's out × 1."""
    parts: tuple[Tensor, ...] = tuple(mark(torch.zeros_like(cell.Wh[:1, :].detach().contiguous())) for _ in cell.states)
    return parts if len(parts) > 1 else parts[0]


def initial_state(layer: flux.Recur) -> Any:
    """What stood in a Recur's field ``init`` until 0.11: the cell's first state, unless it was given another."""
    return layer.init if layer.init is not None or not isinstance(layer.cell, Cell) else layer.cell.state0


def remembered_state(layer: flux.Recur) -> Any:
    """What stands in a Recur's field ``state``."""
    return zero_state(layer.cell) if is_stateless(layer) else layer.state


def _unrolled(name: str, layer: type[Any], since: str = "0.15.0") -> Layout:
    return Layout(
        f"Flux.{name}",
        layer,
        (row("cell", "cell", since, "0.16.0"), row("cell", "return_state cell", "0.16.1")),
        {"cell": "function"},
        parts={"return_state": lambda layer: bool(layer.return_state)},
        given={"return_state": -2},
        inner=("return_state",),
    )


SEQUENCES: Final = (
    Layout(
        "Flux.Recur",
        flux.Recur,
        (
            row("cell init state", "cell", until="0.11.6"),
            row("cell state", "cell state", "0.12.0", "0.14.25"),
        ),
        {"cell": "stateful", "init": "state", "state": "state"},
        build_recur,
        read={"init": initial_state, "state": remembered_state},
        inner=("remembered",),
    ),
    _unrolled("RNN", flux.RNN),
    _unrolled("LSTM", flux.LSTM),
    _unrolled("GRU", flux.GRU),
    _unrolled("GRUv3", flux.GRUv3),
    _unrolled("Recurrence", flux.Recurrence, "0.16.0"),
)

ATTENTION: Final = (
    Layout(
        "Flux.MultiHeadAttention",
        flux.MultiHeadAttention,
        (row("nheads q_proj k_proj v_proj attn_drop out_proj", "q_proj attn_drop out_proj", "0.13.15"),),
        {
            "nheads": "count",
            **dict.fromkeys(("q_proj", "k_proj", "v_proj", "attn_drop", "out_proj"), "function"),
        },
    ),
    Layout(
        "Flux.WeightNorm",
        flux.WeightNorm,
        (row("layer g which dims", "layer g dims", "0.16.0"),),
        {"layer": "function", "g": "matrix", "which": "symbol", "dims": "plain"},
        late={"g": lambda fields: "image" if isinstance(fields["layer"], REVERSED) else "matrix"},
    ),
)
