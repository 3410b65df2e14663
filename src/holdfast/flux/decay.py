"""Flux's decays and clips: optimisers that change a step and are put before or after another in an ``Optimiser``.

Strategy: as in ``rules``. Alone each is gradient descent with that change. Source: Flux.jl 0.12.1,
``src/optimise/optimisers.jl``.
"""

import torch
from torch import Tensor

from holdfast.flux.optimise import FluxOptimiser, Hyper, State, wide

__all__ = ["ClipNorm", "ClipValue", "ExpDecay", "InvDecay", "WeightDecay"]


class InvDecay(FluxOptimiser):
    """Steps divided by ``1 + gamma * n`` at the n-th step. For use in an Optimiser."""

    gamma = Hyper(0.001)
    STATE, TABLE = ("n",), "state"

    def start(self, parameter: Tensor) -> State:
        return {"n": 1}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        n: int = state["n"]
        state["n"] = n + 1
        return wide(gradient) * (1 / (1 + self.gamma * n))


class ExpDecay(FluxOptimiser):
    """Steps times ``eta``, which is multiplied by ``decay`` every ``step`` steps, down to ``clip``.

    The count starts after ``begin`` steps (Flux's field ``start``). For use in an Optimiser.
    """

    eta, decay, every, clip, begin = Hyper(0.001), Hyper(0.1), Hyper(1000), Hyper(1e-4), Hyper(0)
    formula = Hyper("")  # see ERAS in ``rules``
    SHOWN = 4
    STATE, TABLE = ("current",), "current"

    def start(self, parameter: Tensor) -> State:
        return {"current": 0}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        state["current"] += 1
        if self._due(state["current"]) and sum(self._due(other["current"]) for other in self.state.values()) == 1:
            power = self.every / state["current"] if self.formula else 1
            self.eta = max(self.eta * self.decay**power, self.clip)
        return wide(gradient) * (self.decay if self.formula == "0.8" else self.eta)

    def _due(self, count: int) -> bool:
        """Flux decays once a round: when the first of all parameters comes to a multiple of ``every``."""
        return count > self.begin and count % self.every == 0


class WeightDecay(FluxOptimiser):
    """``wd`` times the parameter is added to the step. For use in an Optimiser."""

    wd = Hyper[float](0)
    SHOWN = 1

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        return wide(gradient) + self.wd * wide(parameter)


class ClipValue(FluxOptimiser):
    """Every element of the gradient between ``-thresh`` and ``thresh``. For use in an Optimiser."""

    thresh = Hyper[float](1.0)
    SHOWN = 1

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        return gradient.clamp(-self.thresh, self.thresh)


class ClipNorm(FluxOptimiser):
    """Each parameter's gradient no longer than ``thresh``, in the L2 norm. For use in an Optimiser."""

    thresh = Hyper[float](1.0)
    SHOWN = 1

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        length = torch.linalg.vector_norm(gradient).item()
        return wide(gradient) * (self.thresh / length) if length > self.thresh else gradient
