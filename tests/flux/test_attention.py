"""MultiHeadAttention against torch's."""

import pytest
import torch
from torch import nn

from holdfast.errors import MismatchError
from holdfast.flux.attention import MultiHeadAttention, make_causal_mask
from holdfast.flux.basic import Dense
from holdfast.flux.dropout import Dropout

LINES = [
    "MultiHeadAttention(4, nheads=2)",
    "MultiHeadAttention((3, 6, 8), nheads=1, bias=True)",
    "MultiHeadAttention(((3, 4, 5), (6, 7), 8), nheads=1, dropout_prob=0.1)",
]


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    assert repr(eval(line)) == line


@pytest.mark.parametrize("masked", [False, True])
def test_against_torch(masked: bool) -> None:
    ours, theirs = MultiHeadAttention(8, nheads=2, bias=True), nn.MultiheadAttention(8, 2, batch_first=True)
    for p in ours.parameters():
        nn.init.normal_(p)
    with torch.no_grad():
        projections = [ours.q_proj, ours.k_proj, ours.v_proj]
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in projections]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in projections]))
        theirs.out_proj.weight.copy_(ours.out_proj.weight)
        theirs.out_proj.bias.copy_(ours.out_proj.bias)
    q, k, v = torch.randn(3, 5, 8), torch.randn(3, 5, 8), torch.randn(3, 5, 8)
    mask = make_causal_mask(q) if masked else None
    y, scores = ours(q, k, v, mask=mask)
    expected, weights = theirs(q, k, v, attn_mask=None if mask is None else ~mask, average_attn_weights=False)
    assert torch.allclose(y, expected, atol=1e-5)
    assert torch.allclose(scores, weights, atol=1e-5)


def test_widths_and_short_calls() -> None:
    layer = MultiHeadAttention(((3, 4, 5), (6, 8), 7), nheads=2)
    y, scores = layer(torch.zeros(2, 9, 3), torch.zeros(2, 11, 4), torch.zeros(2, 11, 5))
    assert (y.shape, scores.shape) == ((2, 9, 7), (2, 2, 9, 11))
    own = MultiHeadAttention(4, nheads=2)
    x = torch.randn(2, 5, 4)
    assert torch.equal(own(x)[0], own(x, x, x)[0])
    bias = torch.zeros(5, 5).masked_fill(~make_causal_mask(x), float("-inf"))
    assert torch.allclose(own(x, x, x, bias)[0], own(x, mask=make_causal_mask(x))[0])


def test_of_takes_layers() -> None:
    dense = [Dense(4, 4, bias=False) for _ in range(4)]
    layer = MultiHeadAttention.of(2, *dense[:3], Dropout(0.5, active=False), dense[3])
    assert [p.data_ptr() for p in layer.parameters()] == [one.weight.data_ptr() for one in dense]
    assert layer.k_proj is dense[1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MultiHeadAttention(6, nheads=4), "must divide"),
        (lambda: MultiHeadAttention((1, 2)), "give a number"),
        (lambda: MultiHeadAttention(4)(torch.zeros(2, 4)), "must divide"),
        (lambda: MultiHeadAttention(4, nheads=2)(torch.zeros(2, 4)), "three times"),
        (lambda: MultiHeadAttention(4, nheads=2)(torch.zeros(2, 3, 4), torch.zeros(1, 3, 4)), "three times"),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()
