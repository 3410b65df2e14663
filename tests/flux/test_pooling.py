"""Pooling against windows written out, and the clamped means of old NNlib against its loop."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import MismatchError
from holdfast.flux.padding import SamePad
from holdfast.flux.pooling import (
    AdaptiveMaxPool,
    AdaptiveMeanPool,
    GlobalMaxPool,
    GlobalMeanPool,
    MaxPool,
    MeanPool,
)

LINES = [
    "MaxPool((2, 2))",
    "MaxPool((5,), pad=2, stride=3)",
    "MeanPool((3, 2), pad=(1, 0, 0, 1), stride=(2, 1))",
    "MeanPool((2, 2, 2), clamped=True)",
    "AdaptiveMaxPool((3, 2))",
    "AdaptiveMeanPool((3,))",
    "GlobalMaxPool()",
    "GlobalMeanPool()",
]


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    assert repr(eval(line)) == line


def by_hand(x, k, pad, stride, clamped, reduce):
    """NNlib's loop over windows, for two axes, height and width; ``reduce`` gets the running value, or None outside."""
    (kw, kh), (wl, wh, hl, hh), (sw, sh) = k, pad, stride
    height, width = x.shape[2:]
    out = torch.zeros(*x.shape[:2], (height + hl + hh - kh) // sh + 1, (width + wl + wh - kw) // sw + 1, dtype=x.dtype)
    for n, c, i, j in product(*map(range, out.shape)):
        out[n, c, i, j] = reduce(
            [
                float(x[n, c, a, b]) if 0 <= a < height and 0 <= b < width else None
                for a in range(i * sh - hl, i * sh - hl + kh)
                for b in range(j * sw - wl, j * sw - wl + kw)
            ],
            clamped,
        )
    return out


def mean_of(values, clamped):
    total = 0.0
    for value in values:
        total = max(total, 0.0) if value is None and clamped else total + (value or 0.0)
    return total / len(values)


def max_of(values, clamped):
    return max(0.0 if value is None else value for value in values if clamped or value is not None)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*(st.integers(0, 2),) * 4), st.booleans(), st.integers(0, 3)
)  # fmt: skip
def test_windows(k, stride, pad, clamped, seed) -> None:
    torch.manual_seed(seed)
    pad = tuple(min(side, k[place // 2] - 1) for place, side in enumerate(pad))
    x = torch.randn(1, 2, 5, 6).double()
    for layer, reduce in ((MaxPool, max_of), (MeanPool, mean_of)):
        expected = by_hand(x, k, pad, stride, clamped, reduce)
        assert torch.allclose(layer.of(k, pad, stride, clamped)(x), expected)


def test_clamped_means_forget_what_was_negative() -> None:
    x = torch.tensor([[[-1.0, 4.0, -3.0]]])
    assert MeanPool((2,), pad=1, stride=1)(x).tolist() == [[[-0.5, 1.5, 0.5, -1.5]]]
    assert MeanPool((2,), pad=1, stride=1, clamped=True)(x).tolist() == [[[-0.5, 1.5, 0.5, 0.0]]]
    assert MaxPool((2,), pad=1, stride=1)(x).tolist() == [[[-1.0, 4.0, 4.0, -3.0]]]
    assert MaxPool((2,), pad=1, stride=1, clamped=True)(x).tolist() == [[[0.0, 4.0, 4.0, 0.0]]]


def test_padding_wider_than_half_a_window() -> None:
    x = torch.tensor([[[-1.0, -2.0]]])
    assert MaxPool((2,), pad=(0, 2), stride=1)(x).tolist()[0][0][:2] == [-1.0, -2.0]
    assert torch.isfinite(MaxPool((2,), pad=(0, 2), stride=1)(x)).all()


def test_same_pad() -> None:
    assert MaxPool((5, 4), stride=1, pad=SamePad())(torch.zeros(1, 1, 9, 8)).shape == (1, 1, 9, 8)


def test_adaptive_uses_one_window_size() -> None:
    x = torch.arange(7.0).view(1, 1, 7)
    assert AdaptiveMaxPool((3,))(x).tolist() == [[[2.0, 4.0, 6.0]]]
    assert AdaptiveMeanPool((3,))(x).tolist() == [[[1.0, 3.0, 5.0]]]
    assert AdaptiveMaxPool((2, 3))(torch.zeros(1, 1, 9, 10)).shape == (1, 1, 3, 2)


def test_global() -> None:
    x = torch.randn(2, 3, 4, 5, 6)
    assert torch.allclose(GlobalMeanPool()(x), x.mean((2, 3, 4), keepdim=True), atol=1e-6)
    assert torch.equal(GlobalMaxPool()(x), x.amax((2, 3, 4), keepdim=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MaxPool((2, 2))(torch.zeros(3, 4, 4)), "needs 4 axes"),
        (lambda: MaxPool((2, 2, 2, 2)), "1, 2 or 3 axes"),
        (lambda: MaxPool.of((2, 2), (1, 1, 1), (1, 1))(torch.zeros(1, 1, 4, 4)), "2 axes need 2 or 4"),
        (lambda: AdaptiveMaxPool((5, 5))(torch.zeros(1, 1, 4, 8)), "pooling only shrinks"),
        (lambda: GlobalMaxPool()(torch.zeros(3, 4)), "batch, channels"),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()
