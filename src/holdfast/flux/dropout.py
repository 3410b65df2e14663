"""Dropout and AlphaDropout. Both do nothing in test mode.

Source: Flux.jl src/layers/normalise.jl, NNlib.jl src/dropout.jl.
"""

from math import sqrt
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.errors import MismatchError
from holdfast.flux.fields import spelled_call
from holdfast.flux.modes import Active, Switched

__all__ = ["AlphaDropout", "Dropout"]

SELU_FLOOR = -1.7580993408473766  # what selu tends to at minus infinity

Dims = int | tuple[int, ...] | None


class Dropout(Switched):
    """Flux's ``Dropout(p; dims)``: in training, zero a share ``p`` of the numbers and scale up the others.

    ``dims`` names Julia's axes, counted from 1, along which the choice varies (one or several); None is all of them
    (Julia's ``:``). On images ``dims=3`` drops whole channels. ``rng`` is a ``torch.Generator``; Julia's own random
    numbers are not reproduced.

    >>> import torch
    >>> Dropout(0.3, active=False)(torch.ones(2)).tolist()
    [1.0, 1.0]
    >>> Dropout(0.3, dims=2)
    Dropout(0.3, dims=2)
    """

    def __init__(
        self,
        p: float,
        *,
        dims: Dims = None,
        active: Active = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.p = probability(p)
        self.dims = dims
        self.active = active
        self.rng = rng

    @classmethod
    def of(cls, p: float, dims: Dims = None, active: Active = None, rng: Any = None) -> Self:
        """The layer with these fields, in the order of Flux's struct."""
        return cls(p, dims=dims, active=active, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        if not self.trains or self.p == 0:
            return x
        if self.dims is None and self.rng is None:
            return F.dropout(x, self.p)
        chosen = (
            range(1, x.dim() + 1) if self.dims is None else (self.dims,) if isinstance(self.dims, int) else self.dims
        )
        shape = [length if x.dim() - axis in chosen else 1 for axis, length in enumerate(x.shape)]
        kept = draw(shape, x, self.rng) > self.p
        return x * kept / (1 - self.p) if self.p < 1 else torch.zeros_like(x)

    def __repr__(self) -> str:
        return spelled_call("Dropout", repr(self.p), dims=(self.dims, None), active=(self.active, None))


class AlphaDropout(Switched):
    """Flux's ``AlphaDropout(p)``: dropout for networks of ``selu``, which keeps mean and variance.

    Trains by today's formula; Flux before 0.13 had another, which kept neither. Source: Klambauer et al., 2017.

    >>> import torch
    >>> AlphaDropout(0.5, active=False)(torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, p: float, *, active: Active = None, rng: torch.Generator | None = None) -> None:
        super().__init__()
        self.p = probability(p)
        self.active = active
        self.rng = rng

    @classmethod
    def of(cls, p: float, active: Active = None, rng: Any = None) -> Self:
        """The layer with these fields, in the order of Flux's struct."""
        return cls(p, active=active, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        if not self.trains or self.p == 0:
            return x
        if self.p == 1:
            return torch.zeros_like(x)
        slope = 1 / sqrt((1 - self.p) * (1 + self.p * SELU_FLOOR**2))
        kept = draw(x.shape, x, self.rng) > self.p
        dropped = torch.where(kept, x, torch.full_like(x, SELU_FLOOR))
        return dropped * slope - slope * SELU_FLOOR * self.p

    def __repr__(self) -> str:
        return spelled_call("AlphaDropout", repr(self.p), active=(self.active, None))


def probability(p: float) -> float:
    """``p``, if it is one. Raises MismatchError."""
    if not 0 <= p <= 1:
        raise MismatchError(f"a probability lies between 0 and 1; got {p}")
    return p


def draw(shape: Any, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Numbers between 0 and 1, where ``like`` lives."""
    return torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device)
