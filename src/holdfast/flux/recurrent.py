"""Flux's recurrent cells: RNNCell, LSTMCell, GRUCell, GRUv3Cell. One step of a sequence each.

A cell is called as today's Flux calls it, ``output, state = cell(x, state)``; without a state it starts from its own.
``x`` is ``(batch, features)`` or ``(features,)``. The weights have Julia's shape and memory, ``Wi`` (gates·out, in) and
``Wh`` (gates·out, out), with the gates one below the other: input, forget, cell, output for an LSTM (as in torch);
reset, update, new for a GRU. All versions of Flux compute the same; before 0.15 a cell also held its first state
(``h0``, for an LSTM ``c0`` too), which was trained. Source: Flux.jl src/layers/recurrent.jl.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import tanh
from holdfast.flux.fields import (
    Activation,
    Bias,
    bias_for,
    matching,
    offset,
    parameter,
    spelled,
    spelled_call,
    turned_parameter,
)
from holdfast.flux.initialise import Init, glorot_uniform, zeros32

__all__ = ["Cell", "GRUCell", "GRUv3Cell", "LSTMCell", "RNNCell", "State"]

State = Any  # a tensor, or a tuple of them for an LSTM; a cell of the user's own may keep what it likes


class Cell(nn.Module):
    """The fields that the four cells share. A subclass says how many gates there are, and what one step does."""

    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]] = ("h0",)

    Wi: nn.Parameter
    Wh: nn.Parameter
    bias: nn.Parameter | bool
    h0: Tensor | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: Bias = True,
        state0: bool = False,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
    ) -> None:
        super().__init__()
        rows = self.gates * outputs
        first = tuple(zeros32(outputs, 1).T for _ in self.states) if state0 else None
        more = self._drawn_too(outputs, init_recurrent_kernel)
        self._hold(init_kernel(rows, inputs), init_recurrent_kernel(rows, outputs), bias, first, **more)

    def _drawn_too(self, outputs: int, init: Init) -> dict[str, Tensor]:
        return {}

    def _hold(self, Wi: Tensor, Wh: Tensor, bias: Bias, state0: State, **more: Tensor) -> None:
        self.Wi, self.Wh = parameter(Wi), parameter(Wh)
        self.bias = bias_for(type(self), Wi, bias, Wi.shape[0])
        for name, array in more.items():
            setattr(self, name, parameter(array))
        first = state0 if isinstance(state0, tuple) else (state0,) * len(self.states)
        for name, part in zip(self.states, first, strict=True):
            self.register_parameter(name, None if part is None else turned_parameter(part))

    @property
    def state0(self) -> State:
        """The state that the cell holds to start from, as Flux's until 0.14 do: a tensor, a tuple of them, or None."""
        held = tuple(getattr(self, name) for name in self.states)
        if any(part is None for part in held):
            return None
        return held if len(held) > 1 else held[0]

    @property
    def inputs(self) -> int:
        """How many features go in."""
        return self.Wi.shape[1]

    @property
    def outputs(self) -> int:
        """How many features come out."""
        return self.Wh.shape[1]

    def initialstates(self) -> State:
        """The state before the first step: the one that the cell holds, or zeros."""
        held = tuple(getattr(self, name) for name in self.states)
        whole = tuple(self.Wh.new_zeros(self.outputs) if part is None else part for part in held)
        return whole if len(whole) > 1 else whole[0]

    def project(self, x: Tensor) -> Tensor:
        """What the input gives to the gates, ``Wi·x + bias``, for one step or for a whole sequence at a time."""
        if x.shape[-1] != self.inputs:
            raise MismatchError(f"{self!r} needs {self.inputs} features, last; got shape {tuple(x.shape)}")
        return F.linear(matching(x, self.Wi), self.Wi, offset(self.bias))

    def step(self, projected: Tensor, state: State) -> State:
        """The next state, from ``project``'s result and the last state."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """``(batch, in)`` or ``(in,)``, and a state, to the output and the next state. Raises MismatchError."""
        state = self.initialstates() if state is None else as_weight(state, self.Wh)
        state = self.step(self.project(x), state)
        return output_of(state).reshape(*x.shape[:-1], self.outputs), state

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spelled_arguments()})"

    def spelled_arguments(self) -> str:
        """What stands between the parentheses of ``repr``, for the cell and for the layer around it."""
        options = {"bias": (self.bias is not False, True), "state0": (self.h0 is not None, False)}
        return spelled_call("", str(self.inputs), str(self.outputs), *self._activation(), **options)[1:-1]

    def _activation(self) -> list[str]:
        return []


def as_weight(state: State, weight: Tensor) -> State:
    """A state in the dtype of a weight: Julia's files hold Float64 states of Float32 cells, and promote."""
    if isinstance(state, tuple):
        return tuple(as_weight(part, weight) for part in state)
    return matching(state, weight)


def output_of(state: State) -> Any:
    """What a cell puts out, given its state: the state itself, or the first part of several."""
    return state[0] if isinstance(state, tuple) else state


class RNNCell(Cell):
    """Flux's ``RNNCell(in => out, σ = tanh)``: ``h = σ(Wi·x + Wh·h + bias)``.

    >>> import torch
    >>> output, state = RNNCell(3, 5)(torch.zeros(4, 3))
    >>> output.shape, bool((output == state).all())
    (torch.Size([4, 5]), True)
    >>> RNNCell(3, 5)
    RNNCell(3, 5, tanh)
    """

    gates = 1

    def __init__(self, inputs: int, outputs: int, activation: Activation = tanh, **options: Any) -> None:
        super().__init__(inputs, outputs, **options)
        self.activation = activation

    @classmethod
    def of(cls, activation: Activation, Wi: Tensor, Wh: Tensor, bias: Bias, state0: Tensor | None = None) -> Self:
        """The cell around σ, Wi (out, in), Wh (out, out), bias and, before Flux 0.15, the first state (1, out)."""
        cell = cls.__new__(cls)
        nn.Module.__init__(cell)
        cell._hold(Wi, Wh, bias, state0)
        cell.activation = activation
        return cell

    def step(self, projected: Tensor, state: Tensor) -> Tensor:
        """The next state."""
        return self.activation(projected + F.linear(state, self.Wh))

    def _activation(self) -> list[str]:
        return [spelled(self.activation)]


class LSTMCell(Cell):
    """Flux's ``LSTMCell(in => out)``. The state is ``(h, c)``, the output h. Source: Hochreiter and Schmidhuber, 1997.

    >>> import torch
    >>> output, (h, c) = LSTMCell(3, 5)(torch.zeros(4, 3))
    >>> output.shape, c.shape
    (torch.Size([4, 5]), torch.Size([4, 5]))
    """

    gates = 4
    states = ("h0", "c0")

    @classmethod
    def of(cls, Wi: Tensor, Wh: Tensor, bias: Bias, state0: tuple[Tensor, Tensor] | None = None) -> Self:
        """The cell around Wi (4·out, in), Wh (4·out, out), bias and, before Flux 0.15, the first state (h, c)."""
        cell = cls.__new__(cls)
        nn.Module.__init__(cell)
        cell._hold(Wi, Wh, bias, state0)
        return cell

    def step(self, projected: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The next state."""
        h, c = state
        enter, forget, new, leave = (projected + F.linear(h, self.Wh)).chunk(4, dim=-1)
        c = torch.sigmoid(forget) * c + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(c), c


class GRUCell(Cell):
    """Flux's ``GRUCell(in => out)``: the first version of Cho et al., 2014, and torch's: reset after the product.

    >>> import torch
    >>> GRUCell(3, 5)(torch.zeros(3))[0].shape
    torch.Size([5])
    """

    gates = 3

    @classmethod
    def of(cls, Wi: Tensor, Wh: Tensor, bias: Bias, state0: Tensor | None = None) -> Self:
        """The cell around Wi (3·out, in), Wh (3·out, out), bias and, before Flux 0.15, the first state (1, out)."""
        cell = cls.__new__(cls)
        nn.Module.__init__(cell)
        cell._hold(Wi, Wh, bias, state0)
        return cell

    def step(self, projected: Tensor, state: Tensor) -> Tensor:
        """The next state."""
        return gated(projected, F.linear(state, self.Wh), state, lambda reset, own: reset * own)


class GRUv3Cell(Cell):
    """Flux's ``GRUv3Cell(in => out)``: the paper's third version, with a matrix of its own for the reset state.

    >>> import torch
    >>> GRUv3Cell(3, 5)(torch.zeros(4, 3))[0].shape
    torch.Size([4, 5])
    """

    gates = 3

    Wh_h: nn.Parameter

    def _drawn_too(self, outputs: int, init: Init) -> dict[str, Tensor]:
        return {"Wh_h": init(outputs, outputs)}

    @classmethod
    def of(cls, Wi: Tensor, Wh: Tensor, bias: Bias, Wh_h: Tensor, state0: Tensor | None = None) -> Self:
        """The cell around Wi (3·out, in), Wh, bias, Wh_h̃ (out, out) and, before Flux 0.15, the first state (1, out).

        Before 0.15 Wh was (2·out, out); since then its third block is there and not used.
        """
        cell = cls.__new__(cls)
        nn.Module.__init__(cell)
        cell._hold(Wi, Wh, bias, state0, Wh_h=Wh_h)
        return cell

    def step(self, projected: Tensor, state: Tensor) -> Tensor:
        """The next state."""
        own = F.linear(state, self.Wh)
        return gated(projected, own, state, lambda reset, _: F.linear(reset * state, self.Wh_h))


def gated(projected: Tensor, own: Tensor, h: Tensor, remembered: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A GRU's step; ``remembered`` is what the reset gate lets through of the state's share in the new value."""
    size = h.shape[-1]
    x_reset, x_update, x_new = projected.chunk(3, dim=-1)
    reset = torch.sigmoid(x_reset + own[..., :size])
    update = torch.sigmoid(x_update + own[..., size : 2 * size])
    new = torch.tanh(x_new + remembered(reset, own[..., 2 * size :]))
    return (1 - update) * new + update * h
