"""Convolutions against torch's, against a definition written out, and against each other."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import MismatchError
from holdfast.flux.activations import identity, relu, tanh
from holdfast.flux.conv import Conv, ConvTranspose, CrossCor, DepthwiseConv
from holdfast.flux.padding import SamePad

NAMESPACE = {
    layer.__name__: layer for layer in (Conv, ConvTranspose, CrossCor, DepthwiseConv, SamePad)
} | {"relu": relu, "tanh": tanh}  # fmt: skip

LINES = [
    "Conv((3, 3), (1, 8), relu, pad=1)",
    "Conv((5,), (3, 7), bias=False)",
    "Conv((3, 2), (2, 4), relu, pad=(1, 0, 2, 1), stride=(2, 1), dilation=(1, 2))",
    "Conv((3, 3), (4, 8), groups=2)",
    "CrossCor((2, 2, 2), (1, 2))",
    "DepthwiseConv((3, 2), (2, 6), tanh, stride=2)",
    "ConvTranspose((3, 3), (2, 4), stride=2, groups=2, outpad=1)",
    "ConvTranspose((3, 3), (2, 4), stride=2, outpad=(1, 0))",
]


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    layer = eval(line, NAMESPACE)
    assert repr(layer) == line
    again = eval(repr(layer), NAMESPACE)
    assert {name: p.shape for name, p in again.named_parameters()} == {n: p.shape for n, p in layer.named_parameters()}


def test_a_true_convolution_turns_the_kernel_round() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    kernel = torch.tensor([[[1.0, 10.0, 100.0]]])
    assert Conv.of(identity, kernel, False)(x).tolist() == [[[123.0, 234.0]]]
    assert CrossCor.of(identity, kernel, False)(x).tolist() == [[[321.0, 432.0]]]
    assert ConvTranspose.of(identity, kernel, False)(x[..., :2]).tolist() == [[[100.0, 210.0, 21.0, 2.0]]]


def test_sizes_are_width_first() -> None:
    layer = Conv((5, 3), (2, 4), stride=(1, 2), pad=(2, 0), dilation=(1, 3))
    assert layer.weight.shape == (4, 2, 3, 5)
    assert layer.weight.is_contiguous()
    assert layer(torch.zeros(1, 2, 20, 10)).shape == (1, 4, 7, 10)


def test_of_copies_nothing_and_draws_nothing() -> None:
    weight, bias = torch.randn(4, 2, 3, 5), torch.randn(4)
    before = torch.get_rng_state()
    layer = Conv.of(relu, weight, bias, (1, 1), (0, 0, 0, 0), (1, 1), 1)
    assert torch.equal(before, torch.get_rng_state())
    assert layer.weight.data_ptr() == weight.data_ptr()
    assert layer.bias.data_ptr() == bias.data_ptr()
    assert Conv.of(relu, layer.weight, layer.bias).weight is layer.weight
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert Conv.of(relu, weight, False).bias is False


def test_pad_of_old_files_has_one_number_per_axis() -> None:
    weight = torch.randn(4, 2, 3, 3)
    x = torch.randn(1, 2, 8, 9)
    old, new = Conv.of(identity, weight, False, (1, 1), (1, 2)), Conv.of(identity, weight, False, 1, (1, 1, 2, 2))
    assert torch.equal(old(x), new(x))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("filter", [(2, 3), (5, 4), (1, 1)])
def test_same_pad(filter: tuple[int, int], stride: int) -> None:
    x = torch.zeros(1, 3, 12, 18)
    assert Conv(filter, (3, 2), stride=stride, pad=SamePad())(x).shape == (1, 2, -(-12 // stride), -(-18 // stride))
    assert Conv(filter, (3, 2), dilation=2, pad=SamePad())(x).shape == (1, 2, 12, 18)
    if min(filter) >= stride:
        wide = ConvTranspose(filter, (3, 2), stride=stride, pad=SamePad())(x)
        assert wide.shape == (1, 2, 12 * stride, 18 * stride)


sizes = st.integers(1, 3)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.sampled_from([1, 2]),
    st.tuples(*(st.integers(0, 2),) * 4), st.integers(0, 3)
)  # fmt: skip
def test_convolutions_against_torch(filter, stride, dilation, groups, pad, seed) -> None:
    torch.manual_seed(seed)
    x, weight, bias = (
        torch.randn(2, 2, 9, 10).double(),
        torch.randn(4, 2 // groups, *filter[::-1]).double(),
        torch.randn(4),
    )
    cross = CrossCor.of(identity, weight, bias.double(), stride, pad, dilation, groups)
    expected = F.conv2d(F.pad(x, pad), weight, bias.double(), stride[::-1], 0, dilation[::-1], groups)
    assert torch.allclose(cross(x), expected)
    turned = Conv.of(identity, weight.flip(2, 3), bias.double(), stride, pad, dilation, groups)
    assert torch.allclose(turned(x), expected)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.sampled_from([1, 2]),
    st.tuples(*(st.integers(0, 2),) * 4), st.integers(0, 3)
)  # fmt: skip
def test_transposed_is_the_adjoint(filter, stride, dilation, groups, pad, seed) -> None:
    """⟨conv(x), y⟩ = ⟨x, transposed(y)⟩, with outpad making up what the stride cut off."""
    torch.manual_seed(seed)
    x, weight = torch.randn(2, 4, 9, 10).double(), torch.randn(6, 4 // groups, *filter[::-1]).double()
    there = Conv.of(identity, weight, False, stride, pad, dilation, groups)(x)
    y = torch.randn_like(there)
    narrow = ConvTranspose.of(identity, weight, False, stride, pad, 0, dilation, groups)(y)
    outpad = tuple(large - small for large, small in zip(x.shape[:1:-1], narrow.shape[:1:-1], strict=True))
    back = ConvTranspose.of(identity, weight, False, stride, pad, outpad, dilation, groups)(y)
    assert back.shape == x.shape
    assert torch.allclose((there * y).sum(), (x * back).sum())


def test_transposed_adds_its_bias_after_cutting() -> None:
    layer = ConvTranspose((2, 2), (1, 3), relu, pad=(0, 1, 1, 0), stride=2, init=lambda *size: torch.zeros(size))
    layer.bias.data = torch.tensor([1.0, -1.0, 2.0])
    y = layer(torch.randn(1, 1, 3, 3))
    assert y.shape == (1, 3, 5, 5)
    assert y.amax((0, 2, 3)).tolist() == y.amin((0, 2, 3)).tolist() == [1.0, 0.0, 2.0]


def test_depthwise_is_a_grouped_conv() -> None:
    layer = DepthwiseConv((3, 2), (2, 6), relu, stride=2, pad=1)
    assert layer.weight.shape == (2, 3, 2, 3)
    x = torch.randn(2, 2, 7, 8)
    conv = layer.as_conv()
    assert torch.equal(layer(x), conv(x))
    assert conv.weight.data_ptr() == layer.weight.data_ptr()


def test_gradients_and_dtypes() -> None:
    layer = Conv((3, 3), (2, 4), tanh).double()
    y = layer(torch.randn(1, 2, 8, 8))
    assert y.dtype == torch.float64
    y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv((3, 3), (2, 4))(torch.zeros(2, 8, 8)), "needs 4 axes"),
        (lambda: Conv((3, 3), (2, 4))(torch.zeros(1, 3, 8, 8)), "needs 2 along axis 1"),
        (lambda: ConvTranspose((3, 3), (2, 4))(torch.zeros(1, 3, 8, 8)), "needs 2 along axis 1"),
        (lambda: Conv((3, 3), (3, 4), groups=2), "groups=2"),
        (lambda: Conv((1, 1, 1, 1), (3, 4)), "1, 2 or 3 axes"),
        (lambda: Conv((3, 3), (2, 4), bias=torch.zeros(5)), "the bias has shape"),
        (lambda: Conv((3, 3), (2, 4), pad=(1, 2, 3))(torch.zeros(1, 2, 8, 8)), "2 axes need 2 or 4"),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()
