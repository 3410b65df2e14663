"""WeightNorm: the layer's own function at first, then with a length that is learnt."""

import pytest
import torch

from holdfast.errors import MismatchError
from holdfast.flux.basic import Dense
from holdfast.flux.containers import Chain
from holdfast.flux.conv import Conv
from holdfast.flux.weightnorm import WeightNorm, remove_weight_norms


@pytest.mark.parametrize(
    ("layer", "x", "shape", "dims"),
    [(Conv((3, 2), (2, 4)), torch.randn(1, 2, 8, 8), (1, 2, 2, 3), 4), (Dense(3, 5), torch.randn(2, 3), (5, 1), 2)],
)
def test_starts_as_the_layer(layer, x, shape: tuple[int, ...], dims: int) -> None:
    """Along the last of Julia's axes: the output channels of a Conv, the inputs of a Dense."""
    norm = WeightNorm(layer)
    assert (norm.g.shape, norm.dims) == (shape, dims)
    assert torch.allclose(norm(x), layer(x), atol=1e-5)
    assert repr(norm) == f"WeightNorm({layer!r}, 'weight', dims={dims})"
    norm(x).sum().backward()
    assert norm.g.grad is not None
    assert layer.weight.grad is not None
    doubled = WeightNorm.of(layer, norm.g.detach() * 2, "weight", dims)
    assert torch.allclose(doubled.weight(), 2 * layer.weight, atol=1e-5)


def test_remove() -> None:
    conv = Conv((3,), (1, 2))
    model = Chain(WeightNorm(conv), Chain(WeightNorm(Conv((3,), (2, 2)))))
    with torch.no_grad():
        model[0].g.mul_(3)
    x = torch.randn(1, 1, 12)
    expected = model(x)
    assert repr(remove_weight_norms(model)) == "Chain(Conv((3,), (1, 2)), Chain(Conv((3,), (2, 2))))"
    assert model[0] is conv
    assert torch.allclose(model(x), expected, atol=1e-5)


def test_refuses_what_is_no_array() -> None:
    with pytest.raises(MismatchError, match="has no array"):
        WeightNorm(Dense(3, 2, bias=False), "bias")
