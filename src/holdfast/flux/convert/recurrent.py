"""RNN, LSTM, GRU: torch's layers, which hold several and give their states, and Flux's, which are one layer each.

torch's two biases are one in Flux, their sum; on the way back the second is zeros. A GRU's second bias for the new
value stands inside the reset gate in torch and nowhere in Flux: only zeros can go. torch's layer gives ``(outputs,
state)`` where Flux's gives the outputs. Both are batch first here.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

from holdfast.flux.activations import relu, tanh, tanh_fast
from holdfast.flux.containers import Chain
from holdfast.flux.convert.dense import bare
from holdfast.flux.convert.normalise import follows_mode
from holdfast.flux.convert.way import Converter, Way, columns, same
from holdfast.flux.dropout import Dropout
from holdfast.flux.recurrent import Cell, GRUCell, LSTMCell, RNNCell
from holdfast.flux.sequence import GRU, LSTM, RNN, Unrolled

__all__ = ["FROM", "TO", "stack"]

LAYERS: Final[dict[type[Any], type[Unrolled]]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
CELLS: Final[dict[type[Any], type[Any]]] = {nn.RNNCell: RNNCell, nn.LSTMCell: LSTMCell, nn.GRUCell: GRUCell}
NONLINEARITIES: Final[dict[str, Any]] = {"tanh": tanh, "relu": relu}

ALONE: Final = "torch's {} gives its state too, which nothing after it takes: convert it by itself"


def added(one: Tensor, other: Tensor) -> Tensor:
    return one.detach() + other.detach()


# -- from torch -------------------------------------------------------------------------------------------------------


def _cell(kind: type[Any], module: Any, way: Way, end: str) -> Any:
    """The cell of the weights whose names end so."""
    Wi, Wh = (way.array(columns, getattr(module, f"weight_{part}{end}")) for part in ("ih", "hh"))
    bias: Any = False
    if module.bias:
        second = getattr(module, f"bias_hh{end}")
        if kind is GRUCell:
            inside = second[2 * module.hidden_size :]
            way.need(
                not bool(inside.any()),
                "Flux's GRU has no bias inside the reset gate: only a GRU with bias=False, or with zeros in the last "
                f"third of bias_hh{end}, is the same there",
            )
        bias = way.array(added, getattr(module, f"bias_ih{end}"), second)
    if kind is RNNCell:
        return RNNCell.of(NONLINEARITIES[module.nonlinearity], Wi, Wh, bias)
    return kind.of(Wi, Wh, bias)


def from_layers(module: Any, way: Way) -> Any:
    """One layer, or a Chain of as many as torch's holds, with the dropout between them."""
    way.need(module.batch_first, "Flux's is batch first here, (batch, length, features): only batch_first=True")
    way.need(not module.bidirectional, "Flux has no bidirectional layer: convert one for each direction")
    way.need(not module.proj_size, "Flux's LSTM has no proj_size")
    kind = next(flux for torchs, flux in LAYERS.items() if isinstance(module, torchs))
    layers: list[Any] = []
    for number in range(module.num_layers):
        if number and module.dropout:
            layers.append(Dropout(module.dropout))
        layers.append(kind.of(_cell(kind.kind, module, way, f"_l{number}")))
    way.gives(3)
    return layers[0] if len(layers) == 1 else Chain.of(layers)


def from_cell(module: Any, way: Way) -> Any:
    kind = next(flux for torchs, flux in CELLS.items() if isinstance(module, torchs))
    return _cell(kind, module, way, "")


# -- to torch ---------------------------------------------------------------------------------------------------------


def _options(cell: Cell, way: Way) -> dict[str, Any]:
    way.need(cell.h0 is None, "torch's start from zeros or a state that is given; this cell holds one of its own")
    if not isinstance(cell, RNNCell):
        return {"bias": cell.bias is not False}
    activation = tanh if cell.activation is tanh_fast else cell.activation
    name = next((name for name, function in NONLINEARITIES.items() if function is activation), None)
    if name is None:
        way.refuse("torch's RNN has tanh or relu, no other activation")
    return {"bias": cell.bias is not False, "nonlinearity": name}


def _fill(module: Any, cell: Cell, way: Way, end: str) -> None:
    setattr(module, f"weight_ih{end}", way.array(same, cell.Wi))
    setattr(module, f"weight_hh{end}", way.array(same, cell.Wh))
    if isinstance(cell.bias, Tensor):
        setattr(module, f"bias_ih{end}", way.array(same, cell.bias))
        setattr(module, f"bias_hh{end}", nn.Parameter(torch.zeros_like(cell.bias), cell.bias.requires_grad))


def layers_to(layers: list[Any], p: float, way: Way) -> nn.Module:
    """torch's layer for one of Flux's, or for several on each other."""
    way.need(not way.path, ALONE.format(type(layers[0]).__name__))
    way.need(not any(layer.return_state for layer in layers), "torch's always gives its state: set return_state=False")
    cell = layers[0].cell
    torchs = next(torchs for torchs, flux in LAYERS.items() if flux is type(layers[0]))
    options = _options(cell, way)
    module: nn.Module = bare(torchs, cell.inputs, cell.outputs, len(layers), batch_first=True, dropout=p, **options)
    for number, layer in enumerate(layers):
        same_kind = _options(layer.cell, way) == options and layer.cell.outputs == cell.outputs
        way.need(same_kind, "torch's layers on each other are all alike: convert them one by one")
        _fill(module, layer.cell, way, f"_l{number}")
    return module


def stack(chain: Chain, way: Way) -> nn.Module | None:
    """torch's layer for a Chain of recurrent layers of one kind, with the same dropout between all; None for others."""
    members = list(chain)
    layers = [member for member in members if type(member) is not Dropout]
    drops = [member for member in members if type(member) is Dropout]
    if chain.named or len(layers) < 2 or {type(layer) for layer in layers} - {*LAYERS.values()}:
        return None
    alternate = [type(member) is Dropout for member in members] == ([False, True] * len(layers))[:-1]
    if len({type(layer) for layer in layers}) > 1 or (drops and not alternate) or len({d.p for d in drops}) > 1:
        return None
    for drop in drops:
        follows_mode(drop, way)
    return layers_to(layers, drops[0].p if drops else 0.0, way)


def to_cell(cell: Any, way: Way) -> Any:
    way.need(not way.path, ALONE.format(type(cell).__name__))
    kind = next(torchs for torchs, flux in CELLS.items() if flux is type(cell))
    module = bare(kind, cell.inputs, cell.outputs, **_options(cell, way))
    _fill(module, cell, way, "")
    return module


FROM: Final[dict[type[Any], Converter]] = {
    **dict.fromkeys(LAYERS, from_layers),
    **dict.fromkeys(CELLS, from_cell),
}

TO: Final[dict[type[Any], Converter]] = {
    **dict.fromkeys(LAYERS.values(), lambda layer, way: layers_to([layer], 0.0, way)),
    **dict.fromkeys(CELLS.values(), to_cell),
}
