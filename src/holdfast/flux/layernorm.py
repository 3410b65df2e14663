"""Flux's LayerNorm: one struct, whose ``eps`` stood in four places over the years.

EPS_RULES is the table of those places. The layer that scales and shifts is a Scale, or in files before 0.13 a Diagonal,
which leaves the activation to LayerNorm. Source: Flux.jl src/layers/normalise.jl and stateless.jl; Ba et al., 2016.
"""

from collections.abc import Callable
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import identity
from holdfast.flux.basic import Diagonal, Scale
from holdfast.flux.fields import Activation, round_trip, sizes_then_activation, spelled_activation, spelled_call

__all__ = ["EPS_RULES", "LayerNorm"]


def by_deviation(x: Tensor, size: tuple[int, ...], eps: float) -> Tensor:
    """``(x - mean) / (deviation + eps)``, the deviation without Bessel's correction."""
    axes = tuple(range(-len(size), 0))
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True).sqrt() + eps)


# Where eps stands in the divisor. The file does not say; the version of Flux that wrote it does.
EPS_RULES: dict[str, Callable[[Tensor, tuple[int, ...], float], Tensor]] = {
    "none": lambda x, size, eps: F.layer_norm(x, size, eps=0.0),  # 0.5 to 0.10: deviation
    "deviation": by_deviation,  # 0.11 to 0.14: deviation + eps
    "squared": lambda x, size, eps: F.layer_norm(x, size, eps=eps * eps),  # 0.15 to 0.16.10: sqrt(variance + eps²)
    "variance": lambda x, size, eps: F.layer_norm(
        x, size, eps=eps
    ),  # 0.16.11 and later, and torch: sqrt(variance + eps)
}


class LayerNorm(nn.Module):
    """Flux's ``LayerNorm(size…, λ)``: each example to mean 0 and deviation 1 over its features, scaled and shifted.

    ``size`` is Julia's: the features are the last axes here. ``eps_rule`` says where ``eps`` stands in the divisor, by
    the version of Flux (see EPS_RULES); what is new here follows today's Flux and torch.

    >>> import torch
    >>> LayerNorm(4)(torch.randn(3, 4)).mean(1).abs().max().item() < 1e-6
    True
    >>> LayerNorm(4, eps_rule="deviation")
    LayerNorm(4, eps_rule='deviation')
    """

    def __init__(
        self,
        *size_and_activation: Any,
        affine: bool = True,
        eps: float = 1e-5,
        eps_rule: str = "variance",
    ) -> None:
        super().__init__()
        size, activation = sizes_then_activation(size_and_activation)
        diag = Scale(*size, activation or identity) if affine else None
        self._hold(activation or identity, diag, eps, size, affine, eps_rule)

    @classmethod
    def of(
        cls,
        activation: Activation,
        diag: Any,
        eps: float,
        size: tuple[int, ...],
        affine: bool = True,
        eps_rule: str = "variance",
    ) -> Self:
        """The layer around these fields, in the order of Flux's struct, with the rule for ``eps``.

        ``diag`` is a Scale (which applies the activation itself), a Diagonal, or None where there is neither. Files
        before 0.12 hold only the diagonal: the activation is ``identity``, ``eps`` 1e-5.
        """
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(activation, diag, eps, size, affine, eps_rule)
        return layer

    def _hold(
        self, activation: Activation, diag: Any, eps: float, size: tuple[int, ...], affine: bool, eps_rule: str
    ) -> None:
        if eps_rule not in EPS_RULES:
            raise MismatchError(f"eps_rule={eps_rule!r}: the rules are {', '.join(EPS_RULES)}")
        self.activation = activation
        self.diag = diag
        self.eps = eps
        self.size = tuple(size)
        self.affine = affine
        self.eps_rule = eps_rule

    def forward(self, x: Tensor) -> Tensor:
        """``(…, *reversed(size))``, unchanged in shape. Raises MismatchError."""
        if tuple(x.shape[x.dim() - len(self.size) :]) != self.size[::-1]:
            raise MismatchError(f"{self!r} needs {self.size[::-1]} as the last axes; got shape {tuple(x.shape)}")
        y = EPS_RULES[self.eps_rule](x, self.size[::-1], self.eps)
        y = y if self.diag is None else self.diag(y)
        return y if self._activated else self.activation(y)

    @property
    def _activated(self) -> bool:
        """Whether ``diag`` applies the activation: a Scale does, the older Diagonal does not."""
        return isinstance(self.diag, Scale) and not isinstance(self.diag, Diagonal)

    def __repr__(self) -> str:
        return spelled_call(
            "LayerNorm",
            *map(str, self.size),
            *spelled_activation(self.activation),
            affine=(self.affine, True),
            eps=(round_trip(self.eps), 1e-5),
            eps_rule=(self.eps_rule if self.eps_rule == "variance" else repr(self.eps_rule), "variance"),
        )
