"""The update rules of Optimisers.jl, which today's Flux uses (``Flux.setup``, Flux 0.13.9 and later).

Strategy: the classes of ``rules`` with what Optimisers.jl does differently: hyperparameters, and the running products
of the betas, are rounded to the parameter's own type, and a few formulas and defaults are others. Names that both have
(``Momentum``, ``AdaBelief`` …) are Flux's own in ``holdfast.flux`` and today's here. Not here: AccumGrad and
MixedPrecision. Source: Optimisers.jl, ``src/rules.jl``.
"""

import math
from typing import Any

import torch
from torch import Tensor

from holdfast.errors import MismatchError
from holdfast.flux import rules
from holdfast.flux.optimise import FluxOptimiser, Group, Hyper, Optimiser, State, wide

__all__ = [
    "RULES",
    "AMSGrad",
    "AdaBelief",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adam",
    "AdamW",
    "ClipGrad",
    "ClipNorm",
    "Descent",
    "Lion",
    "Momentum",
    "NAdam",
    "Nesterov",
    "OAdam",
    "OptimiserChain",
    "RAdam",
    "RMSProp",
    "Rprop",
    "SignDecay",
    "WeightDecay",
]


def rounded(value: Any, dtype: torch.dtype) -> Any:
    """A hyperparameter, or a tuple of them, as a number of that type holds it; other values as they are.

    Not in bfloat16, where 0.999 would become 1 and ADAM divide by zero (in Julia it does).
    """
    if isinstance(value, tuple):
        return tuple(rounded(member, dtype) for member in value)
    real = dtype.to_real() if dtype.is_complex else dtype
    if not isinstance(value, float) or real == torch.bfloat16:
        return value
    return torch.tensor(value, dtype=real).item()


class Rounded(FluxOptimiser):
    """A rule whose hyperparameters are rounded to the parameter's type before use."""

    def delta(self, parameter: Tensor, gradient: Tensor, group: Group) -> Tensor:
        fields = {key: rounded(value, parameter.dtype) for key, value in group.items() if key != "params"}
        if parameter.dtype == torch.float16 and fields.get("epsilon"):
            fields["epsilon"] = max(fields["epsilon"], 1e-7)  # 1e-8 is 0 in half precision
        return super().delta(parameter, gradient, fields)


class RoundedMoments(Rounded, rules.Moments):
    """ADAM's family, with the running products rounded too."""

    def start(self, parameter: Tensor) -> State:
        return {**super().start(parameter), "βp": rounded(tuple(self.beta), parameter.dtype)}

    def advance(self, state: State) -> tuple[float, float]:
        products = super().advance(state)
        state["βp"] = rounded(state["βp"], state["mt"].dtype)
        return products


class Descent(Rounded, rules.Descent):
    """Gradient descent: ``x -= eta * Δ``."""


class Momentum(Rounded, rules.Momentum):
    """``v = rho * v + eta * Δ``, ``x -= v``: the velocity has the other sign than in ``Flux.Optimise``."""

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        v: Tensor = state["velocity"]
        v.copy_(self.rho * wide(v) + self.eta * wide(gradient))
        return v.clone()


class Nesterov(Rounded, rules.Nesterov):
    """Momentum that looks a step ahead."""


class RMSProp(Rounded, rules.RMSProp):
    """Steps divided by the root of a running mean of squares; ``centred`` takes the mean's square off first."""

    centred = Hyper(False)
    SHOWN = 3
    STATE = ("quad", "lin")

    def start(self, parameter: Tensor) -> State:
        return {"quad": torch.zeros_like(parameter), "lin": torch.zeros_like(parameter) if self.centred else False}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        quad = rules.running(state["quad"], rules.square(gradient), self.rho)
        if self.centred:
            quad = quad - rules.square(rules.running(state["lin"], gradient, self.rho))
        return wide(gradient) * self.eta / (quad.sqrt() + self.epsilon)


class Adam(RoundedMoments, rules.ADAM):
    """Kingma and Ba, 2014.

    >>> Adam(), Adam(0.01, epsilon=1e-7)
    (Adam(0.001, (0.9, 0.999)), Adam(0.01, (0.9, 0.999), epsilon=1e-07))
    """


class RAdam(RoundedMoments, rules.RADAM):
    """ADAM that waits until its variance is known (Liu and others, 2019)."""


class AdaMax(RoundedMoments, rules.AdaMax):
    """ADAM with the largest gradient in place of the second moment."""


class OAdam(RoundedMoments, rules.OADAM):
    """Optimistic ADAM; the running products come before the last term in its state."""

    STATE = ("mt", "vt", "βp", "Δ_")


class NAdam(RoundedMoments, rules.NADAM):
    """ADAM with Nesterov's look ahead (Dozat, 2016)."""


class AdaGrad(Rounded, rules.ADAGrad):
    """Steps divided by the root of the sum of all squares so far (Duchi and others, 2011)."""


class AdaDelta(Rounded, rules.ADADelta):
    """ADAGrad over a window, without a learning rate (Zeiler, 2012)."""


class AMSGrad(Rounded, rules.AMSGrad):
    """ADAM that remembers the largest second moment (Reddi and others, 2018)."""


class AdamW(RoundedMoments):
    """ADAM with weight decay (Loshchilov and Hutter, 2017): ``lambda_`` is Flux's ``lambda``.

    With ``couple`` (the default) the decay is multiplied by ``eta``; ADAMW of Flux up to 0.14 did not do that.
    """

    eta, beta, lambda_ = Hyper(0.001), Hyper((0.9, 0.999)), Hyper(0.0)
    epsilon, couple = Hyper(rules.EPS), Hyper(True)
    SHOWN = 3

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        mt, vt = self.moments(gradient, state)
        step = rules.corrected(mt, vt, self.advance(state), self.epsilon)
        decay = self.lambda_ * wide(parameter)
        return self.eta * (step + decay) if self.couple else self.eta * step + decay


class AdaBelief(RoundedMoments):
    """ADAM that measures how far a gradient is from what was expected (Zhuang and others, 2020)."""

    epsilon = Hyper(1e-16)
    STATE = ("mt", "st", "βp")

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        b1, b2 = self.beta
        mt, st = rules.running(state["mt"], gradient, b1), state["st"]
        st.copy_(b2 * wide(st) + (1 - b2) * wide(rules.square(gradient - state["mt"])) + self.epsilon)
        first, second = self.advance(state)
        return self.eta * mt / (1 - first) / ((wide(st) / (1 - second)).sqrt() + self.epsilon)


class Rprop(Rounded):
    """Steps by the gradient's sign alone, each with a size of its own (Riedmiller and Braun, 1993)."""

    eta, ell, gamma = Hyper(1e-3), Hyper((0.5, 1.2)), Hyper((1e-6, 50.0))
    SHOWN = 3
    STATE = ("g", "η")

    def start(self, parameter: Tensor) -> State:
        return {"g": torch.zeros_like(parameter), "η": torch.full_like(parameter, self.eta)}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        (shrink, grow), (least, most) = self.ell, self.gamma
        before: Tensor = state["g"]
        size: Tensor = state["η"]
        agreed = before * gradient
        grown, shrunk = (size * grow).clamp_max(most), (size * shrink).clamp_min(least)
        size.copy_(torch.where(agreed > 0, grown, torch.where(agreed < 0, shrunk, size)))
        before.copy_(torch.where(agreed < 0, 0.0, gradient))
        return size * before.sign()


class Lion(Rounded):
    """Steps by the sign of a running mean (Chen and others, 2023)."""

    eta, beta = Hyper(0.001), Hyper((0.9, 0.999))
    STATE = ("state",)

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        (b1, b2), kept = self.beta, state["state"]
        kept.copy_(b2 * wide(gradient) + (1 - b2) * wide(kept))
        return self.eta * ((b2 - b1) * wide(gradient) + b1 * wide(kept)).sign()


class WeightDecay(Rounded):
    """``lambda_`` times the parameter is added to the step. For use in an OptimiserChain."""

    lambda_ = Hyper(5e-4)
    SHOWN = 1

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        return wide(gradient) + self.lambda_ * wide(parameter)


class SignDecay(Rounded):
    """``lambda_`` times the parameter's sign is added to the step. For use in an OptimiserChain."""

    lambda_ = Hyper(1e-3)
    SHOWN = 1

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        return wide(gradient) + self.lambda_ * wide(parameter.sign())


class ClipGrad(Rounded):
    """Every element of the gradient between ``-delta_`` and ``delta_``. For use in an OptimiserChain."""

    delta_ = Hyper(10.0)
    SHOWN = 1

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        return gradient.clamp(-self.delta_, self.delta_)


class ClipNorm(Rounded):
    """Each parameter's gradient no longer than ``omega`` in the ``p``-norm; one that is not finite raises MismatchError
    unless ``throw`` is False. For use in an OptimiserChain."""

    omega, p, throw = Hyper(10.0), Hyper(2.0), Hyper(True)
    SHOWN = 1

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        length = torch.linalg.vector_norm(gradient, self.p).item()
        if self.throw and not math.isfinite(length):
            raise MismatchError(f"ClipNorm: the gradient of a parameter of shape {tuple(parameter.shape)} is {length}")
        factor: float = rounded(min(self.omega / length, 1.0) if length else 1.0, gradient.dtype)
        return wide(gradient) * factor


class OptimiserChain(Optimiser):
    """Several rules in a row: each gets the step of the one before.

    >>> OptimiserChain(ClipGrad(1.0), Adam())
    OptimiserChain(ClipGrad(1.0), Adam(0.001, (0.9, 0.999)))
    """


_KINDS: tuple[type[FluxOptimiser], ...] = (
    Descent, Momentum, Nesterov, RMSProp, Rprop, Adam, Lion, RAdam, AdaMax, OAdam, AdaGrad, AdaDelta, AMSGrad,
    NAdam, AdamW, AdaBelief, WeightDecay, SignDecay, ClipGrad, ClipNorm, OptimiserChain,
)  # fmt: skip

# Every name of Optimisers.jl that has a class here.
RULES: dict[str, type[FluxOptimiser]] = {kind.__name__: kind for kind in _KINDS}
