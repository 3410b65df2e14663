"""Layers that run a recurrent cell over a sequence.

Since Flux 0.15: RNN, LSTM, GRU, GRUv3 and Recurrence take the whole sequence, ``(batch, length, features)`` or
``(length, features)`` (Julia's features × length × batch), and start from zeros or from a state that is given.
Before: Recur takes one step at a time, ``(batch, features)``, and remembers its state until ``reset``; given three
axes, ``(length, batch, features)``, it takes the steps one after another. Source: Flux.jl src/layers/recurrent.jl.
"""

from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.fields import spelled
from holdfast.flux.recurrent import Cell, GRUCell, GRUv3Cell, LSTMCell, RNNCell, State

__all__ = ["GRU", "LSTM", "RNN", "GRUv3", "Recur", "Recurrence", "initialstates", "reset", "truncate"]

Model = TypeVar("Model", bound=nn.Module)


def scan(cell: Any, x: Tensor, state: State) -> tuple[Tensor, State]:
    """The outputs of all steps, along the last axis but one, and the state after the last step."""
    if x.dim() not in (2, 3):
        raise MismatchError(f"{cell!r} runs over (batch, length, features) or (length, features); got {tuple(x.shape)}")
    outputs = []
    if isinstance(cell, Cell):  # the input's share of the gates needs no state: all steps in one product
        for projected in cell.project(x).unbind(-2):
            state = cell.step(projected, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
    else:
        for x_t in x.unbind(-2):
            output, state = cell(x_t, state)
            outputs.append(output)
    return torch.stack(outputs, dim=-2), state


class Unrolled(nn.Module):
    """A cell, run over a sequence."""

    kind: ClassVar[type[Cell]]

    def __init__(self, inputs: int, outputs: int, *arguments: Any, return_state: bool = False, **options: Any) -> None:
        super().__init__()
        self.cell: Any = self.kind(inputs, outputs, *arguments, **options)
        self.return_state = return_state

    @classmethod
    def of(cls, cell: Any, return_state: bool = False) -> Self:
        """The layer around this cell; in Flux's struct ``return_state`` is a type parameter."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.cell = cell
        layer.return_state = return_state
        return layer

    def initialstates(self) -> State:
        """The state from which the layer starts when none is given."""
        return self.cell.initialstates() if hasattr(self.cell, "initialstates") else None

    def forward(self, x: Tensor, state: State = None) -> Any:
        """``(batch, length, in)`` or ``(length, in)`` to ``(batch, length, out)`` or ``(length, out)``.

        With ``return_state`` a tuple of that and the last state. Raises MismatchError.
        """
        outputs, state = scan(self.cell, x, self.initialstates() if state is None else state)
        return (outputs, state) if self.return_state else outputs

    def __repr__(self) -> str:
        options = ", return_state=True" if self.return_state else ""
        return f"{type(self).__name__}({self._spelled_cell()}{options})"

    def _spelled_cell(self) -> str:
        return str(self.cell.spelled_arguments())


class RNN(Unrolled):
    """Flux's ``RNN(in => out, σ = tanh)``.

    >>> import torch
    >>> RNN(4, 6)(torch.zeros(5, 3, 4)).shape
    torch.Size([5, 3, 6])
    >>> RNN(4, 6, return_state=True)
    RNN(4, 6, tanh, return_state=True)
    """

    kind = RNNCell


class LSTM(Unrolled):
    """Flux's ``LSTM(in => out)``. A state is a tuple ``(h, c)``.

    >>> import torch
    >>> outputs, (h, c) = LSTM(2, 3, return_state=True)(torch.zeros(5, 4, 2))
    >>> outputs.shape, h.shape
    (torch.Size([5, 4, 3]), torch.Size([5, 3]))
    """

    kind = LSTMCell


class GRU(Unrolled):
    """Flux's ``GRU(in => out)``.

    >>> GRU(2, 3)
    GRU(2, 3)
    """

    kind = GRUCell


class GRUv3(Unrolled):
    """Flux's ``GRUv3(in => out)``.

    >>> GRUv3(2, 3)
    GRUv3(2, 3)
    """

    kind = GRUv3Cell


class Recurrence(Unrolled):
    """Flux's ``Recurrence(cell)``: any cell, run over a sequence.

    A cell is called ``output, state = cell(x, state)``; it says with ``initialstates()`` where to start.

    >>> import torch
    >>> Recurrence(LSTMCell(2, 3))(torch.zeros(5, 4, 2)).shape
    torch.Size([5, 4, 3])
    >>> Recurrence(LSTMCell(2, 3))
    Recurrence(LSTMCell(2, 3))
    """

    def __init__(self, cell: Any, *, return_state: bool = False) -> None:
        nn.Module.__init__(self)
        self.cell = cell
        self.return_state = return_state

    def _spelled_cell(self) -> str:
        return spelled(self.cell)


class Recur(nn.Module):
    """Flux's ``Recur(cell)`` of all versions before 0.15: a cell that remembers its state from call to call.

    ``state`` is what it remembers; None means the cell's first state, to which ``reset`` returns. The state moves with
    the module and stands in its ``state_dict``, so that a run goes on where it stopped.

    >>> import torch
    >>> model = Recur(RNNCell(3, 4))
    >>> model(torch.zeros(2, 3)).shape, model.state.shape
    (torch.Size([2, 4]), torch.Size([2, 4]))
    >>> reset(model)
    Recur(RNNCell(3, 4, tanh))
    """

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell
        self.remembered: State = None
        self.init: State = None

    @classmethod
    def of(cls, cell: Any, state: State = None, init: State = None) -> Self:
        """The layer around this cell, with the state that it remembers.

        Flux before 0.12 stored ``init`` between the two: pass it where it is not the cell's own first state.
        """
        layer = cls(cell)
        layer.remembered, layer.init = state, init
        return layer

    @property
    def state(self) -> State:
        """The state that the next step starts from."""
        return self._first() if self.remembered is None else self.remembered

    @state.setter
    def state(self, state: State) -> None:
        self.remembered = state

    def _first(self) -> State:
        if self.init is not None:
            return self.init
        return self.cell.initialstates() if hasattr(self.cell, "initialstates") else None

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in)`` or ``(in,)`` to the same with ``out``; ``(length, batch, in)`` is that many steps."""
        if isinstance(x, Tensor) and x.dim() == 3:
            return torch.stack([self.forward(x_t) for x_t in x])
        output: Tensor
        output, self.remembered = self.cell(x, self.state)
        return output

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.remembered, self.init = mapped(fn, self.remembered), mapped(fn, self.init)
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for place, part in enumerate(parts(self.remembered)):
            destination[f"{prefix}state.{place}"] = part if keep_vars else part.detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        held = [state_dict.pop(key) for key in sorted(state_dict) if key.startswith(f"{prefix}state.")]
        super()._load_from_state_dict(state_dict, prefix, *rest)
        like = next(self.parameters(), None)
        held = [part.detach().clone() if like is None else part.detach().to(like.device, copy=True) for part in held]
        self.remembered = None if not held else held[0] if len(held) == 1 else tuple(held)

    def __getstate__(self) -> dict[str, Any]:
        """For copies: a state that is still part of a gradient's graph cannot be copied with it."""
        return {**self.__dict__, "remembered": mapped(Tensor.detach, self.remembered)}

    def __repr__(self) -> str:
        return f"Recur({spelled(self.cell)})"


def parts(state: State) -> list[Tensor]:
    """The tensors of a state."""
    return [part for part in (state if isinstance(state, tuple) else (state,)) if isinstance(part, Tensor)]


def mapped(fn: Any, state: State) -> State:
    """``fn`` of each tensor of a state."""
    if isinstance(state, tuple):
        return tuple(mapped(fn, part) for part in state)
    return fn(state) if isinstance(state, Tensor) else state


def initialstates(layer: Any) -> State:
    """Flux's ``initialstates``: where a recurrent cell or layer starts when it is given no state.

    >>> initialstates(GRU(2, 3)).tolist()
    [0.0, 0.0, 0.0]
    """
    return layer.initialstates()


def reset(model: Model) -> Model:
    """Flux's ``reset!``: every Recur in the model forgets its state, and starts again from the first one."""
    for layer in model.modules():
        if isinstance(layer, Recur):
            layer.remembered = None
    return model


def truncate(model: Model) -> Model:
    """Flux's ``truncate!``: every Recur keeps its state, but gradients do not flow back beyond it."""
    for layer in model.modules():
        if isinstance(layer, Recur):
            layer.remembered = mapped(Tensor.detach, layer.remembered)
    return model
