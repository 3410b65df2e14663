"""Flux.Losses: how far a prediction is from the truth.

Strategy: each loss is its formula, then ``agg`` (mean or sum, or any function of a tensor) over what is left. ``ŷ`` is
the prediction and ``y`` the truth, of the same shape, batch first, classes along ``dim`` (the last; Julia's first).
``eps`` guards logarithms and is by default the dtype's own epsilon. Source: Flux.jl, ``src/losses/functions.jl``.
"""

import builtins
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.errors import MismatchError
from holdfast.flux.activations import abs2
from holdfast.flux.functions import mean

__all__ = [
    "binary_focal_loss",
    "binarycrossentropy",
    "crossentropy",
    "ctc_loss",
    "dice_coeff_loss",
    "focal_loss",
    "hinge_loss",
    "huber_loss",
    "kldivergence",
    "label_smoothing",
    "logitbinarycrossentropy",
    "logitcrossentropy",
    "mae",
    "mse",
    "msle",
    "poisson_loss",
    "siamese_contrastive_loss",
    "squared_hinge_loss",
    "tversky_loss",
]

Aggregate = Callable[..., Any]


def _aggregated(values: Tensor, agg: Aggregate) -> Tensor:
    """Python's own ``sum`` adds rows, not numbers: it is taken as torch's."""
    result: Tensor = torch.sum(values) if agg is builtins.sum else agg(values)
    return result


def _pair(ŷ: Tensor, y: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of numbers. Broadcasting rows against columns is refused, as Flux refuses it."""
    y = torch.as_tensor(y, device=ŷ.device)
    axes = max(ŷ.dim(), y.dim())
    padded = [(1,) * (axes - x.dim()) + tuple(x.shape) for x in (ŷ, y)]
    if y.dim() and padded[0] != padded[1]:
        raise MismatchError(f"the prediction has shape {tuple(ŷ.shape)} and the truth {tuple(y.shape)}")
    return ŷ, y if y.is_floating_point() or y.is_complex() else y.to(ŷ.dtype)


def _eps(ŷ: Tensor, eps: float | None) -> float:
    return torch.finfo(ŷ.dtype).eps if eps is None else eps


def mae(ŷ: Tensor, y: Any, *, agg: Aggregate = mean) -> Tensor:
    """Mean absolute error, ``agg(|ŷ - y|)``.

    >>> mae(torch.tensor([1.1, 1.9, 3.1]), torch.tensor([1, 2, 3]))
    tensor(0.1000)
    """
    ŷ, y = _pair(ŷ, y)
    return _aggregated((ŷ - y).abs(), agg)


def mse(ŷ: Tensor, y: Any, *, agg: Aggregate = mean) -> Tensor:
    """Mean square error, ``agg((ŷ - y)²)``.

    >>> mse(torch.tensor([1.1, 1.9, 3.1]), torch.tensor([1, 2, 3]))
    tensor(0.0100)
    """
    ŷ, y = _pair(ŷ, y)
    return _aggregated(abs2(ŷ - y), agg)


def msle(ŷ: Tensor, y: Any, *, agg: Aggregate = mean, eps: float | None = None) -> Tensor:
    """Mean squared logarithmic error, ``agg(log((ŷ + eps) / (y + eps))²)``."""
    ŷ, y = _pair(ŷ, y)
    small = _eps(ŷ, eps)
    return _aggregated(((ŷ + small) / (y + small)).log().square(), agg)


def huber_loss(ŷ: Tensor, y: Any, *, agg: Aggregate = mean, delta: float = 1.0) -> Tensor:
    """``|ŷ - y|² / 2`` up to ``delta``, ``delta * (|ŷ - y| - delta / 2)`` beyond."""
    ŷ, y = _pair(ŷ, y)
    error = (ŷ - y).abs()
    return _aggregated(torch.where(error < delta, error.square() / 2, delta * (error - delta / 2)), agg)


def label_smoothing(y: Tensor, α: float, *, dim: int | None = -1) -> Tensor:
    """One-hot labels less sure of themselves: ``y * (1 - α) + α / classes``; ``dim=None`` for binary numbers.

    Raises MismatchError unless ``α`` is between 0 and 1.

    >>> label_smoothing(torch.tensor([0.0, 1.0]), 0.2)
    tensor([0.1000, 0.9000])
    """
    if not 0 < α < 1:
        raise MismatchError(f"label_smoothing: α must lie between 0 and 1, not {α}")
    classes = 2 if dim is None else y.shape[dim]
    return (y if y.is_floating_point() else y.float()) * (1 - α) + α / classes


def crossentropy(ŷ: Tensor, y: Any, *, dim: int = -1, agg: Aggregate = mean, eps: float | None = None) -> Tensor:
    """``agg(-sum(y * log(ŷ + eps), dim))`` for probabilities ``ŷ``; logitcrossentropy is the safer one.

    >>> ŷ = torch.softmax(torch.arange(-7.0, 8.0).reshape(5, 3), -1)
    >>> crossentropy(ŷ, torch.eye(3)[[0, 1, 2, 1, 0]])
    tensor(1.6076)
    """
    ŷ, y = _pair(ŷ, y)
    return _aggregated(-torch.xlogy(y, ŷ + _eps(ŷ, eps)).sum(dim, keepdim=True), agg)


def logitcrossentropy(ŷ: Tensor, y: Any, *, dim: int = -1, agg: Aggregate = mean) -> Tensor:
    """``crossentropy(softmax(ŷ), y)`` without the way through probabilities."""
    ŷ, y = _pair(ŷ, y)
    return _aggregated(-(y * ŷ.log_softmax(dim)).sum(dim, keepdim=True), agg)


def binarycrossentropy(ŷ: Tensor, y: Any, *, agg: Aggregate = mean, eps: float | None = None) -> Tensor:
    """``agg(-y * log(ŷ + eps) - (1 - y) * log(1 - ŷ + eps))``.

    >>> binarycrossentropy(torch.tensor([0.731059, 0.5, 0.731059]), torch.tensor([True, False, True]))
    tensor(0.4399)
    """
    ŷ, y = _pair(ŷ, y)
    small = _eps(ŷ, eps)
    return _aggregated(-torch.xlogy(y, ŷ + small) - torch.xlogy(1 - y, 1 - ŷ + small), agg)


def logitbinarycrossentropy(ŷ: Tensor, y: Any, *, agg: Aggregate = mean) -> Tensor:
    """``binarycrossentropy(σ(ŷ), y)`` without the way through probabilities."""
    ŷ, y = _pair(ŷ, y)
    return _aggregated((1 - y) * ŷ - F.logsigmoid(ŷ), agg)


def kldivergence(ŷ: Tensor, y: Any, *, dim: int = -1, agg: Aggregate = mean, eps: float | None = None) -> Tensor:
    """Kullback and Leibler's divergence of ``y`` from ``ŷ``: ``agg(sum(y * log y, dim))`` plus the cross entropy."""
    ŷ, y = _pair(ŷ, y)
    return _aggregated(torch.xlogy(y, y).sum(dim, keepdim=True), agg) + crossentropy(ŷ, y, dim=dim, agg=agg, eps=eps)


def poisson_loss(ŷ: Tensor, y: Any, *, agg: Aggregate = mean) -> Tensor:
    """``agg(ŷ - y * log(ŷ))``."""
    ŷ, y = _pair(ŷ, y)
    return _aggregated(ŷ - torch.xlogy(y, ŷ), agg)


def hinge_loss(ŷ: Tensor, y: Any, *, agg: Aggregate = mean) -> Tensor:
    """``agg(max(0, 1 - ŷ * y))`` for labels 1 and -1."""
    ŷ, y = _pair(ŷ, y)
    return _aggregated((1 - ŷ * y).clamp_min(0), agg)


def squared_hinge_loss(ŷ: Tensor, y: Any, *, agg: Aggregate = mean) -> Tensor:
    """``agg(max(0, 1 - ŷ * y)²)`` for labels 1 and -1."""
    ŷ, y = _pair(ŷ, y)
    return _aggregated((1 - ŷ * y).clamp_min(0).square(), agg)


def dice_coeff_loss(ŷ: Tensor, y: Any, *, smooth: float = 1.0) -> Tensor:
    """``1 - (2 * sum(y * ŷ) + smooth) / (sum(y²) + sum(ŷ²) + smooth)``, over the whole batch."""
    ŷ, y = _pair(ŷ, y)
    overlap: Tensor = (2 * (y * ŷ).sum() + smooth) / (y.square().sum() + ŷ.square().sum() + smooth)
    return 1 - overlap


def tversky_loss(ŷ: Tensor, y: Any, *, beta: float = 0.7) -> Tensor:
    """Tversky's loss over the whole batch: ``beta`` weighs false positives, ``1 - beta`` false negatives.

    This is what Flux's code computes in every version; today's documentation has the two the other way round.
    """
    ŷ, y = _pair(ŷ, y)
    both = y * ŷ
    missed = beta * (1 - y) * ŷ + (1 - beta) * y * (1 - ŷ)
    index: Tensor = (both.sum() + 1) / ((both + missed).sum() + 1)
    return 1 - index


def binary_focal_loss(
    ŷ: Tensor, y: Any, *, agg: Aggregate = mean, gamma: float = 2.0, eps: float | None = None
) -> Tensor:
    """Binary cross entropy weighted by ``(1 - p)^gamma``, where p is what was given to the truth (Lin, 2017)."""
    ŷ, y = _pair(ŷ, y)
    ŷ = ŷ + _eps(ŷ, eps)
    given = y * ŷ + (1 - y) * (1 - ŷ)
    return _aggregated((1 - given) ** gamma * -given.log(), agg)


def focal_loss(
    ŷ: Tensor, y: Any, *, dim: int = -1, agg: Aggregate = mean, gamma: float = 2.0, eps: float | None = None
) -> Tensor:
    """Cross entropy weighted by ``(1 - ŷ)^gamma`` (Lin and others, 2017)."""
    ŷ, y = _pair(ŷ, y)
    ŷ = ŷ + _eps(ŷ, eps)
    return _aggregated((-y * (1 - ŷ) ** gamma * ŷ.log()).sum(dim, keepdim=True), agg)


def siamese_contrastive_loss(ŷ: Tensor, y: Any, *, agg: Aggregate = mean, margin: float = 1.0) -> Tensor:
    """``agg((1 - y) * ŷ² + y * max(0, margin - ŷ)²)`` (Hadsell, 2006). Raises MismatchError for a negative margin."""
    if margin < 0:
        raise MismatchError(f"siamese_contrastive_loss: the margin must not be negative; it is {margin}")
    ŷ, y = _pair(ŷ, y)
    return _aggregated((1 - y) * ŷ.square() + y * (margin - ŷ).clamp_min(0).square(), agg)


def ctc_loss(ŷ: Tensor, y: Tensor) -> Tensor:
    """Connectionist temporal classification of one sequence: ``ŷ`` (time, classes) before softmax, ``y`` class numbers.

    Classes count from 0, and the last one is the blank, as in Flux (Graves and others, 2006).
    """
    steps, classes = ŷ.shape
    return F.ctc_loss(
        ŷ.log_softmax(-1).unsqueeze(1),
        y.to(torch.int64).unsqueeze(0),
        torch.tensor([steps]),
        torch.tensor([y.numel()]),
        blank=classes - 1,
        reduction="sum",
    )
