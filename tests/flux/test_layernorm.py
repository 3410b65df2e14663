"""LayerNorm's four rules for eps, and the layers that scale after it."""

import pytest
import torch
from torch import nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import identity, tanh
from holdfast.flux.basic import Diagonal, Scale
from holdfast.flux.layernorm import EPS_RULES, LayerNorm

NAMESPACE = {"LayerNorm": LayerNorm, "tanh": tanh}
LINES = [
    "LayerNorm(4)",
    "LayerNorm(4, 6, tanh)",
    "LayerNorm(4, affine=False, eps=0.001)",
    "LayerNorm(4, eps_rule='none')",
]


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    assert repr(eval(line, NAMESPACE)) == line


@pytest.mark.parametrize(
    ("rule", "divisor"),
    [
        ("none", lambda var, eps: var.sqrt()),
        ("deviation", lambda var, eps: var.sqrt() + eps),
        ("squared", lambda var, eps: (var + eps**2).sqrt()),
        ("variance", lambda var, eps: (var + eps).sqrt()),
    ],
)
def test_where_eps_stands(rule: str, divisor) -> None:
    x = torch.randn(5, 6, 4).double() / 10
    ours = LayerNorm(4, 6, affine=False, eps=0.1, eps_rule=rule)(x)
    centred = x - x.mean((1, 2), keepdim=True)
    assert torch.allclose(ours, centred / divisor(centred.square().mean((1, 2), keepdim=True), 0.1))


def test_the_rules_are_the_four() -> None:
    assert list(EPS_RULES) == ["none", "deviation", "squared", "variance"]
    with pytest.raises(MismatchError, match="the rules are"):
        LayerNorm(4, eps_rule="other")


def test_against_torch() -> None:
    x = torch.randn(3, 7, 4)
    assert torch.allclose(LayerNorm(4)(x), nn.LayerNorm(4)(x))
    assert torch.allclose(LayerNorm(4, 7, tanh)(x), torch.tanh(nn.LayerNorm((7, 4))(x)), atol=1e-6)


def test_the_activation_is_applied_once() -> None:
    x, scale, bias = torch.randn(3, 4), torch.randn(4), torch.randn(4)
    expected = torch.tanh(nn.functional.layer_norm(x, (4,)) * scale + bias)
    for diag in (Scale.of(scale, bias, tanh), Diagonal.of(scale, bias)):
        assert torch.allclose(LayerNorm.of(tanh, diag, 1e-5, (4,))(x), expected)
    plain = LayerNorm.of(tanh, None, 1e-5, (4,), False)(x)
    assert torch.allclose(plain, torch.tanh(nn.functional.layer_norm(x, (4,))))


def test_refuses_other_features() -> None:
    layer = LayerNorm.of(identity, None, 1e-5, (4, 6), False)
    for shape in ((3, 4, 6), (4,), (6, 5)):
        with pytest.raises(MismatchError, match="as the last axes"):
            layer(torch.zeros(shape))
