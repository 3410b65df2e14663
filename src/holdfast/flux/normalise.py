"""Flux's BatchNorm, InstanceNorm and GroupNorm: normalise by the statistics of a batch, or by those remembered.

On ``(batch, channels, …)``: each takes mean and variance over other axes, divides by ``sqrt(variance + eps)``, then
scales by ``gamma`` and shifts by ``beta`` (where ``affine``), then applies the activation. In train mode the statistics
are the batch's own and, with ``track_stats``, ``mean`` and ``var`` move towards them by ``momentum`` (the variance with
Bessel's correction); in test mode those are used. Every version from 0.7 to today computes this same thing; only the
order and number of fields changed. Source: Flux.jl src/layers/normalise.jl.
"""

from collections.abc import Callable
from math import prod
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.errors import MismatchError
from holdfast.flux.activations import identity
from holdfast.flux.fields import Activation, expect, matching, parameter, round_trip, spelled_activation, spelled_call
from holdfast.flux.initialise import Init, ones32, zeros32
from holdfast.flux.modes import Active, Switched

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm"]


CUDNN = True  # torch.batch_norm asks; it matters on a GPU only


class Normalising(Switched):
    """The fields that the three layers share."""

    beta: Tensor | None
    gamma: Tensor | None
    mean: Tensor | None
    var: Tensor | None

    defaults: ClassVar[dict[str, bool]] = {"affine": True, "track_stats": True}

    def __init__(
        self,
        channels: int,
        activation: Activation = identity,
        *,
        affine: bool | None = None,
        track_stats: bool | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        active: Active = None,
        initβ: Init = zeros32,
        initγ: Init = ones32,
    ) -> None:
        super().__init__()
        affine = self.defaults["affine"] if affine is None else affine
        track_stats = self.defaults["track_stats"] if track_stats is None else track_stats
        beta, gamma = (initβ(channels), initγ(channels)) if affine else (None, None)
        tracked = self._tracked(channels)
        mean, var = (zeros32(tracked), ones32(tracked)) if track_stats else (None, None)
        self._hold(activation, beta, gamma, mean, var, eps, momentum, affine, track_stats, active, channels)

    def _tracked(self, channels: int) -> int:
        return channels

    @classmethod
    def of(
        cls,
        activation: Activation,
        beta: Tensor | None,
        gamma: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_stats: bool = True,
        active: Active = None,
        channels: int | None = None,
    ) -> Self:
        """The layer around these fields, in the order of Flux's struct; nothing is copied.

        Files before 0.12 end with ``active`` after ``momentum`` (0.10 without it); affine and tracked they all were.
        """
        if channels is None:
            if beta is None:
                raise MismatchError(f"{cls.__name__} without beta: say for how many channels it is")
            channels = beta.numel()
        layer = cls.__new__(cls)
        Switched.__init__(layer)
        layer._hold(activation, beta, gamma, mean, var, eps, momentum, affine, track_stats, active, channels)
        return layer

    def _hold(
        self,
        activation: Activation,
        beta: Tensor | None,
        gamma: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        eps: float,
        momentum: float,
        affine: bool,
        track_stats: bool,
        active: Active,
        channels: int,
    ) -> None:
        self.activation = activation
        self.register_parameter("beta", None if beta is None else parameter(beta))
        self.register_parameter("gamma", None if gamma is None else parameter(gamma))
        self.register_buffer("mean", mean)
        self.register_buffer("var", var)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_stats = track_stats
        self.active = active
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, …)``, unchanged in shape. Raises MismatchError."""
        raise NotImplementedError

    def _checked(self, x: Tensor, least: int) -> Tensor:
        if x.dim() < least:
            raise MismatchError(f"{self!r} needs at least {least} axes, batch first; got shape {tuple(x.shape)}")
        expect(self, x, x.dim(), channels=self.channels)
        reference = self.mean if self.gamma is None else self.gamma
        return x if reference is None else matching(x, reference)

    def _normalised(
        self, normalise: Callable[..., Tensor], x: Tensor, gamma: Tensor | None, beta: Tensor | None, count: int
    ) -> Tensor:
        """``normalise`` with the remembered statistics, or with the batch's own, each over ``count`` numbers."""
        own = self.trains or not self.track_stats
        if not self.track_stats or self.mean is None or self.var is None:
            return normalise(x, gamma, beta, None, None, True, self.momentum, self.eps, CUDNN)
        if own and count < 2:
            raise MismatchError(f"{self!r} cannot train on one value per channel; use a larger batch, or call eval()")
        mean, var = matching(self.mean.view(-1), x), matching(self.var.view(-1), x)
        y = normalise(x, gamma, beta, mean, var, own, self.momentum, self.eps, CUDNN)
        if own and mean.dtype != self.mean.dtype:  # torch moved the statistics in copies of another dtype
            self.mean.view(-1).copy_(mean)
            self.var.view(-1).copy_(var)
        return y

    def _first(self) -> list[str]:
        return [str(self.channels)]

    def __repr__(self) -> str:
        return spelled_call(
            type(self).__name__,
            *self._first(),
            *spelled_activation(self.activation),
            affine=(self.affine, self.defaults["affine"]),
            track_stats=(self.track_stats, self.defaults["track_stats"]),
            eps=(round_trip(self.eps), 1e-5),
            momentum=(round_trip(self.momentum), 0.1),
            active=(self.active, None),
        )


class BatchNorm(Normalising):
    """Flux's ``BatchNorm(channels, λ)``: statistics of each channel over the batch and the spatial axes.

    Until Flux 0.6 it remembered deviations in place of variances, without ``eps`` in test mode: ``deviations`` is True
    for files of that time, and ``var`` then holds deviations. Source: Ioffe and Szegedy, 2015.

    >>> layer = BatchNorm(3)
    >>> layer(torch.randn(50, 3)).mean(0).abs().max().item() < 1e-5
    True
    >>> layer
    BatchNorm(3)
    """

    deviations = False

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels)`` or ``(batch, channels, …)``, unchanged in shape. Raises MismatchError."""
        x = self._checked(x, 2)
        count = x.numel() // max(1, self.channels)
        if self.deviations and self.mean is not None and self.var is not None:
            return self.activation(self._by_deviation(x, self.mean, self.var, count))
        return self.activation(self._normalised(torch.batch_norm, x, self.gamma, self.beta, count))

    def _by_deviation(self, x: Tensor, mean: Tensor, deviation: Tensor, count: int) -> Tensor:
        """As Flux did until 0.6: ``deviation`` is remembered with Bessel's correction of a variance."""
        if not self.trains:
            return F.batch_norm(x, mean, deviation.square(), self.gamma, self.beta, eps=0.0)
        with torch.no_grad():
            axes = (0, *range(2, x.dim()))
            own = (x.var(axes, correction=0) + self.eps).sqrt() * count / (count - 1)
            mean += self.momentum * (x.mean(axes) - mean)
            deviation += self.momentum * (own - deviation)
        return F.batch_norm(x, None, None, self.gamma, self.beta, True, eps=self.eps)


class InstanceNorm(Normalising):
    """Flux's ``InstanceNorm(channels, λ)``: statistics of each channel of each example over the spatial axes.

    Since 0.12 neither affine nor tracked unless asked for. Source: Ulyanov et al., 2016.

    >>> InstanceNorm(3)(torch.randn(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    defaults: ClassVar[dict[str, bool]] = {"affine": False, "track_stats": False}

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, …)``, unchanged in shape. Raises MismatchError."""
        x = self._checked(x, 3)
        return self.activation(self._normalised(torch.instance_norm, x, self.gamma, self.beta, prod(x.shape[2:])))


class GroupNorm(Normalising):
    """Flux's ``GroupNorm(channels, groups, λ)``: statistics of each group of channels of each example.

    Before 0.14 it could remember them: ``mean`` and ``var`` have one number per group. Source: Wu and He, 2018.

    >>> GroupNorm(4, 2)(torch.randn(5, 4, 8, 8)).shape
    torch.Size([5, 4, 8, 8])
    >>> GroupNorm(4, 2)
    GroupNorm(4, 2)
    """

    defaults: ClassVar[dict[str, bool]] = {"affine": True, "track_stats": False}

    def __init__(self, channels: int, groups: int, activation: Activation = identity, **options: Any) -> None:
        if channels % groups:
            raise MismatchError(f"GroupNorm: the number of groups ({groups}) must divide the channels ({channels})")
        self.groups = groups
        super().__init__(channels, activation, **options)

    @classmethod
    def of(cls, groups: int, *fields: Any, **named: Any) -> Self:  # type: ignore[override]
        """The layer around these fields, in the order of Flux's struct: the groups first, then as in BatchNorm."""
        layer = super().of(*fields, **named)
        layer.groups = groups
        return layer

    def _tracked(self, channels: int) -> int:
        return self.groups

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, …)``, unchanged in shape. Raises MismatchError."""
        x = self._checked(x, 3)
        if not self.track_stats:
            return self.activation(F.group_norm(x, self.groups, self.gamma, self.beta, self.eps))
        grouped = x.reshape(x.shape[0], self.groups, -1)
        y = self._normalised(torch.instance_norm, grouped, None, None, grouped.shape[2]).view(x.shape)
        per_channel = (-1, *(1,) * (x.dim() - 2))
        y = y if self.gamma is None else y * self.gamma.view(per_channel)
        return self.activation(y if self.beta is None else y + self.beta.view(per_channel))

    def _first(self) -> list[str]:
        return [str(self.channels), str(self.groups)]
