"""The update rules of Flux's own optimisers (``Flux.Optimise``, Flux 0.8 to 0.14), with Flux's defaults.

Strategy: a rule is its fields, the names of its state and one ``apply`` of a few lines; the frame around them is in
``optimise``. State keeps Flux's names: ``mt``, ``vt``, ``βp`` … The formulas are those of Flux 0.12.1; ERAS says what
other versions did differently. Source: Flux.jl, ``src/optimise/optimisers.jl``.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.errors import MismatchError
from holdfast.flux.decay import ClipNorm, ClipValue, ExpDecay, InvDecay, WeightDecay
from holdfast.flux.optimise import FluxOptimiser, Hyper, Optimiser, State, wide

__all__ = [
    "ADADelta",
    "ADAGrad",
    "ADAM",
    "ADAMW",
    "AMSGrad",
    "AdaBelief",
    "AdaMax",
    "Descent",
    "ERAS",
    "Momentum",
    "NADAM",
    "Nesterov",
    "OADAM",
    "RADAM",
    "RMSProp",
    "RULES",
]

EPS = 1e-8

ERAS: dict[str, str] = {
    "ADADelta": "Flux up to 0.11.0 multiplied by √Δacc / (√acc + 1e-8), which from its start at 0 never moves: formula 0.8",
    "NADAM": "Flux 0.8 always divided by the first powers of β; its state still holds the products: formula 0.8",
    "ExpDecay": "Flux 0.8 multiplied by decay in place of eta (formula 0.8), and up to 0.10 decayed by decay^(step / n) (0.9)",
    "AdaBelief": "Flux up to 0.12 had no bias correction; from 0.13 on, when the state holds βp, there is one",
    "AMSGrad": "Flux 0.8 kept its state, and that of ADAGrad, in Float64 whatever the parameter was",
    "epsilon": "a field since Flux 0.12.9; before, 1e-8 always",
}
"""What other versions did differently. ``formula`` is the first Flux whose way an optimiser keeps to; empty for the last."""


def square(x: Tensor) -> Tensor:
    """``|x|²`` in the precision of ``x``, as Julia squares a gradient before any hyperparameter joins in."""
    return x * x.conj() if x.is_complex() else x * x


def running(kept: Tensor, new: Tensor, decay: float) -> Tensor:
    """``kept`` becomes ``decay * kept + (1 - decay) * new``; the result in full precision is stored rounded."""
    kept.copy_(wide(kept).mul_(decay).add_(wide(new), alpha=1 - decay))
    return wide(kept)


def corrected(mt: Tensor, vt: Tensor, products: tuple[float, float], epsilon: float) -> Tensor:
    """``mt / (1 - β₁ᵖ) / (√(vt / (1 - β₂ᵖ)) + ε)``: ADAM's step of length one, in a new tensor."""
    first, second = products
    return (mt / (1 - first)).div_((vt / (1 - second)).sqrt_().add_(epsilon))


class Descent(FluxOptimiser):
    """Gradient descent: ``x -= eta * Δ``.

    >>> opt = Descent(0.3)
    >>> opt, opt.eta
    (Descent(0.3), 0.3)
    """

    eta = Hyper(0.1)

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        return wide(gradient) * self.eta


class Momentum(FluxOptimiser):
    """Descent with a memory: ``v = rho * v - eta * Δ``, ``x += v``."""

    eta, rho = Hyper(0.01), Hyper(0.9)
    STATE, TABLE = ("velocity",), "velocity"

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        v: Tensor = state["velocity"]
        v.copy_(self.rho * wide(v) - self.eta * wide(gradient))
        return -v


class Nesterov(FluxOptimiser):
    """Momentum that looks a step ahead."""

    eta, rho = Hyper(0.001), Hyper(0.9)
    STATE, TABLE = ("velocity",), "velocity"

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        eta, rho, v = self.eta, self.rho, state["velocity"]
        step = rho**2 * wide(v) - (1 + rho) * eta * wide(gradient)
        v.copy_(rho * wide(v) - eta * wide(gradient))
        return -step


class RMSProp(FluxOptimiser):
    """Steps divided by the root of a running mean of squares (Tieleman and Hinton, 2012)."""

    eta, rho, epsilon = Hyper(0.001), Hyper(0.9), Hyper(EPS)
    STATE: ClassVar[tuple[str, ...]] = ("acc",)
    TABLE = "acc"

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        running(state["acc"], square(gradient), self.rho)
        return wide(gradient) * (self.eta / (wide(state["acc"].sqrt()) + self.epsilon))


class Moments(FluxOptimiser):
    """What ADAM's family shares: two moments and ``βp``, the running products of the betas."""

    eta, beta, epsilon = Hyper(0.001), Hyper((0.9, 0.999)), Hyper(EPS)
    STATE: ClassVar[tuple[str, ...]] = ("mt", "vt", "βp")
    TABLE = "state"

    def start(self, parameter: Tensor) -> State:
        return {**super().start(parameter), "βp": tuple(self.beta)}

    def advance(self, state: State) -> tuple[float, float]:
        """The products for this step; the state goes on to those of the next."""
        first, second = (float(product) for product in state["βp"])
        state["βp"] = (first * self.beta[0], second * self.beta[1])
        return first, second

    def moments(self, gradient: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """The two moments with this gradient taken in."""
        first, second = self.beta
        return running(state["mt"], gradient, first), running(state["vt"], square(gradient), second)


class ADAM(Moments):
    """Kingma and Ba, 2014. ``ADAM(params(model))`` as on Flux's page, ``ADAM(0.001)`` to be bound by ``train``.

    >>> from holdfast.flux import Dense, params
    >>> opt = ADAM(params(Dense(3, 2)), 0.01)
    >>> opt, opt.param_groups[0]["lr"], len(opt.param_groups[0]["params"])
    (ADAM(0.01, (0.9, 0.999)), 0.01, 2)
    """

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        mt, vt = self.moments(gradient, state)
        return corrected(mt, vt, self.advance(state), self.epsilon).mul_(self.eta)


class RADAM(Moments):
    """ADAM that waits until its variance is known (Liu and others, 2019)."""

    STATE = ("mt", "vt", "βp", "t")

    def start(self, parameter: Tensor) -> State:
        return {**super().start(parameter), "t": 1}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        mt, vt = self.moments(gradient, state)
        products = self.advance(state)
        first, second = products
        limit = 2 / (1 - self.beta[1]) - 1
        length = limit - 2 * state["t"] * second / (1 - second)
        state["t"] += 1
        if length <= 4:
            return mt / (1 - first) * self.eta
        rectified = math.sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))
        return corrected(mt, vt, products, self.epsilon).mul_(self.eta).mul_(rectified)


class AdaMax(Moments):
    """ADAM with the largest gradient in place of the second moment."""

    STATE = ("mt", "ut", "βp")

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        mt, ut = running(state["mt"], gradient, self.beta[0]), state["ut"]
        ut.copy_(torch.maximum(self.beta[1] * wide(ut), wide(gradient.abs())))
        first, _ = self.advance(state)
        return (self.eta / (1 - first)) * mt / (wide(ut) + self.epsilon)


class OADAM(Moments):
    """Optimistic ADAM, for adversarial training (Daskalakis and others, 2017)."""

    beta = Hyper((0.5, 0.9))
    STATE = ("mt", "vt", "Δ_", "βp")

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        mt, vt = self.moments(gradient, state)
        term: Tensor = state["Δ_"]
        before = term.clone()
        term.copy_(corrected(mt, vt, self.advance(state), self.epsilon).mul_(self.eta))
        return 2 * term - before


class ADAGrad(FluxOptimiser):
    """Steps divided by the root of the sum of all squares so far (Duchi and others, 2011)."""

    eta, epsilon = Hyper(0.1), Hyper(EPS)
    SHOWN = 1
    STATE, TABLE = ("acc",), "acc"

    def start(self, parameter: Tensor) -> State:
        return {"acc": torch.full_like(parameter, self.epsilon)}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        acc = state["acc"]
        acc += square(gradient)
        return wide(gradient) * (self.eta / (wide(acc.sqrt()) + self.epsilon))


class ADADelta(FluxOptimiser):
    """ADAGrad over a window, without a learning rate (Zeiler, 2012)."""

    rho, epsilon, formula = Hyper(0.9), Hyper(EPS), Hyper("")
    SHOWN = 1
    STATE, TABLE = ("acc", "Δacc"), "state"

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        rho, eps = self.rho, self.epsilon
        acc = running(state["acc"], square(gradient), rho)
        if self.formula == "0.8":
            factor = wide(state["Δacc"].sqrt()) / (wide(state["acc"].sqrt()) + EPS)
        else:
            factor = (wide(state["Δacc"]) + eps).sqrt() / (acc + eps).sqrt()
        step = (wide(gradient) * factor).to(gradient.dtype)
        running(state["Δacc"], square(step), rho)
        return step


class AMSGrad(Moments):
    """ADAM that remembers the largest second moment (Reddi and others, 2018)."""

    STATE = ("mt", "vt", "v̂t")

    def start(self, parameter: Tensor) -> State:
        return {name: torch.full_like(parameter, self.epsilon) for name in self.STATE}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        mt, _ = self.moments(gradient, state)
        largest = torch.maximum(state["v̂t"], state["vt"])
        state["v̂t"].copy_(largest)
        return self.eta * mt / (wide(largest.sqrt()) + self.epsilon)


class NADAM(Moments):
    """ADAM with Nesterov's look ahead (Dozat, 2016)."""

    formula = Hyper("")

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        mt, vt = self.moments(gradient, state)
        b1, b2 = self.beta
        if self.formula == "0.8":
            state["βp"] = (b1, b2)
        first, second = self.advance(state)
        ahead = b1 * mt / (1 - b1 * first) + (1 - b1) * wide(gradient) / (1 - first)
        return ahead / ((vt * b2 / (1 - second)).sqrt() + self.epsilon) * self.eta


class AdaBelief(Moments):
    """ADAM that measures how far a gradient is from what was expected (Zhuang and others, 2020).

    Flux 0.12 corrects no bias. ``corrected=True`` is the rule of Flux 0.13 and 0.14, which has ``βp`` in its state.
    """

    corrected = Hyper(False)
    STATE = ("mt", "st", "βp")

    def start(self, parameter: Tensor) -> State:
        state = super().start(parameter)
        return state if self.corrected else {name: state[name] for name in ("mt", "st")}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        (b1, b2), eps = self.beta, self.epsilon
        guard = eps**2 if self.corrected else 0.0
        mt, st = running(state["mt"], gradient, b1), state["st"]
        st.copy_(b2 * wide(st) + (1 - b2) * wide(square(gradient - state["mt"])) + guard)
        if not self.corrected:
            return self.eta * mt / (wide(st.sqrt()) + eps)
        first, second = self.advance(state)
        return self.eta * mt / (1 - first) / ((wide(st) / (1 - second)).sqrt() + guard)


def ADAMW(*arguments: Any, **fields: Any) -> Optimiser:
    """``Optimiser(ADAM(eta, beta), WeightDecay(decay))``, which is what Flux's ADAMW is (Loshchilov and Hutter, 2017).

    >>> ADAMW(0.001, (0.89, 0.995), 0.1)
    Optimiser(ADAM(0.001, (0.89, 0.995)), WeightDecay(0.1))
    """
    names = ("eta", "beta", "decay")
    bound = arguments[:1] if arguments and not isinstance(arguments[0], int | float) else ()
    given = {**dict(zip(names, arguments[len(bound) :], strict=False)), **fields}
    if set(given) - set(names) or len(arguments) - len(bound) > len(names):
        raise MismatchError(f"ADAMW takes eta, beta and decay; got {arguments[len(bound) :]} {fields}")
    decay = given.pop("decay", 0)
    return Optimiser(*bound, ADAM(**given), WeightDecay(decay))


_KINDS: tuple[type[FluxOptimiser], ...] = (
    Descent, Momentum, Nesterov, RMSProp, ADAM, RADAM, AdaMax, OADAM, ADAGrad, ADADelta, AMSGrad, NADAM, AdaBelief,
    InvDecay, ExpDecay, WeightDecay, ClipValue, ClipNorm, Optimiser,
)  # fmt: skip

# Every name that Flux.Optimise has had, to the class that follows its rule; the second half since Flux 0.13.
RULES: dict[str, type[FluxOptimiser]] = {kind.__name__: kind for kind in _KINDS} | {
    "Adam": ADAM,
    "RAdam": RADAM,
    "OAdam": OADAM,
    "AdaGrad": ADAGrad,
    "AdaDelta": ADADelta,
    "NAdam": NADAM,
}
