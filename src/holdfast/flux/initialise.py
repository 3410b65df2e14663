"""Flux's ways to draw a first weight, with Flux's formulas.

Strategy: every function takes the sizes in Julia's order and gives a Float32 tensor of that shape whose memory
is Julia's (the first axis runs fastest). The axes reversed are what torch's convolutions want, without a copy.
Source of the formulas: Flux.jl, ``src/utils.jl`` (the same from 0.8 to today).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "Init",
    "glorot_normal",
    "glorot_uniform",
    "identity_init",
    "kaiming_normal",
    "kaiming_uniform",
    "nfan",
    "ones32",
    "orthogonal",
    "rand32",
    "randn32",
    "truncated_normal",
    "zeros32",
]

Init = Callable[
    ..., Tensor
]  # (*sizes, generator=None) -> Tensor; a function without randomness may leave the generator out


def nfan(*dims: int) -> tuple[int, int]:
    """How many numbers go into, and come out of, one output of a weight with these sizes (Julia's order).

    >>> nfan(5, 10)  # the matrix of Dense(10, 5)
    (10, 5)
    >>> nfan(3, 3, 2, 10)  # the kernel of Conv((3, 3), 2 => 10)
    (18, 90)
    """
    if len(dims) == 0:
        return 1, 1
    if len(dims) == 1:
        return 1, dims[0]
    if len(dims) == 2:
        return dims[1], dims[0]
    window = math.prod(dims[:-2])
    return window * dims[-2], window * dims[-1]


def _in_julias_order(dims: tuple[int, ...], fill: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
    """A tensor of shape ``dims`` whose first axis runs fastest in memory."""
    return fill(dims[::-1]).permute(tuple(range(len(dims)))[::-1])


def rand32(*dims: int, generator: torch.Generator | None = None) -> Tensor:
    """Uniform numbers between 0 and 1."""
    return _in_julias_order(dims, lambda shape: torch.rand(shape, generator=generator, dtype=torch.float32))


def randn32(*dims: int, generator: torch.Generator | None = None) -> Tensor:
    """Normal numbers with mean 0 and standard deviation 1."""
    return _in_julias_order(dims, lambda shape: torch.randn(shape, generator=generator, dtype=torch.float32))


def ones32(*dims: int, generator: torch.Generator | None = None) -> Tensor:
    """All ones; the generator is not used."""
    return _in_julias_order(dims, lambda shape: torch.ones(shape, dtype=torch.float32))


def zeros32(*dims: int, generator: torch.Generator | None = None) -> Tensor:
    """All zeros; the generator is not used."""
    return _in_julias_order(dims, lambda shape: torch.zeros(shape, dtype=torch.float32))


def glorot_uniform(*dims: int, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Uniform between -x and x with ``x = gain * sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010).

    >>> weight = glorot_uniform(5, 10)
    >>> weight.shape, weight.stride(), bool(weight.abs().max() <= (6 / 15) ** 0.5)
    (torch.Size([5, 10]), (1, 5), True)
    """
    return (rand32(*dims, generator=generator) - 0.5) * (gain * math.sqrt(24.0 / sum(nfan(*dims))))


def glorot_normal(*dims: int, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Normal with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot and Bengio, 2010)."""
    return randn32(*dims, generator=generator) * (gain * math.sqrt(2.0 / sum(nfan(*dims))))


def kaiming_uniform(*dims: int, gain: float = math.sqrt(2), generator: torch.Generator | None = None) -> Tensor:
    """Uniform between -x and x with ``x = gain * sqrt(3 / fan_in)`` (He and others, 2015)."""
    return (rand32(*dims, generator=generator) - 0.5) * (2 * gain * math.sqrt(3.0 / nfan(*dims)[0]))


def kaiming_normal(*dims: int, gain: float = math.sqrt(2), generator: torch.Generator | None = None) -> Tensor:
    """Normal with standard deviation ``gain / sqrt(fan_in)`` (He and others, 2015)."""
    return randn32(*dims, generator=generator) * (gain / math.sqrt(nfan(*dims)[0]))


def truncated_normal(
    *dims: int,
    mean: float = 0.0,
    std: float = 1.0,
    lo: float = -2.0,
    hi: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Normal numbers of which none lies outside ``lo`` and ``hi``, drawn by inverting the normal's integral."""
    low, high = (math.erf((bound - mean) / (std * math.sqrt(2))) for bound in (lo, hi))
    uniform = rand32(*dims, generator=generator) * (high - low) + low
    return (torch.erfinv(uniform) * (std * math.sqrt(2)) + mean).clamp(lo, hi)


def orthogonal(*dims: int, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Orthogonal columns (or rows, where there are fewer); all axes but the last count as one (Saxe and others, 2014).

    >>> matrix = orthogonal(6, 3)
    >>> bool(((matrix.T @ matrix) - torch.eye(3)).abs().max() < 1e-5)
    True
    """
    rows, columns = math.prod(dims[:-1]), dims[-1]
    q, r = torch.linalg.qr(randn32(max(rows, columns), min(rows, columns), generator=generator))
    q = q * torch.sign(torch.diagonal(r)) * gain
    flat = q if rows >= columns else q.T
    return zeros32(*dims).copy_(_unflatten(flat, dims))


def identity_init(*dims: int, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """``gain`` on the diagonal, zeros elsewhere; a vector is all zeros (a bias), as in Flux.

    >>> identity_init(2, 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    weight = zeros32(*dims)
    if len(dims) >= 2:
        centre = weight[tuple((size - 1) // 2 for size in dims[:-2])]
        torch.diagonal(centre).fill_(gain)
    return weight


def _unflatten(flat: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Rows of ``flat`` back to the axes ``dims[:-1]``, of which the first runs fastest."""
    axes = len(dims) - 1
    return flat.reshape(*dims[:-1][::-1], dims[-1]).permute(*range(axes)[::-1], axes)
