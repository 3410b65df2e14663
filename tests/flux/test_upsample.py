"""Upsample and PixelShuffle against the examples of Flux's and NNlib's own documentation, and against torch."""

import pytest
import torch
import torch.nn.functional as F

from holdfast.errors import MismatchError
from holdfast.flux.upsample import PixelShuffle, Upsample

LINES = ["Upsample('nearest', scale=2)", "Upsample('bilinear', size=(4, 5))", "Upsample('trilinear', scale=(2, 1, 3))"]


@pytest.mark.parametrize("line", [*LINES, "PixelShuffle(2)"])
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    assert repr(eval(line)) == line


def test_nearest_repeats() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = [[[[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4], [3, 3, 3, 4, 4, 4]]]]
    assert Upsample(scale=(3, 2))(x).tolist() == expected
    assert Upsample(size=(6, 4))(x).tolist() == expected
    assert Upsample(scale=(3,))(x).shape == (1, 1, 2, 6)
    assert Upsample(scale=2)(x).shape == (1, 1, 4, 4)
    assert repr(Upsample(2)) == repr(Upsample(scale=2))
    assert repr(Upsample((2, 3), "bilinear")) == "Upsample('bilinear', scale=(2, 3))"


def test_bilinear_keeps_the_corners() -> None:
    x = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    y = Upsample("bilinear", size=(5, 3))(x)
    assert torch.allclose(y, torch.tensor([[1, 1.5, 2, 2.5, 3], [2.5, 3, 3.5, 4, 4.5], [4, 4.5, 5, 5.5, 6]]))
    assert torch.equal(Upsample("bilinear", scale=(1, 1))(x), x)
    assert Upsample("bilinear", scale=2.5)(x).shape == (1, 1, 5, 7)


@pytest.mark.parametrize(
    ("shape", "mode"), [((2, 3, 4), "bilinear"), ((2, 3, 4, 5), "bilinear"), ((1, 2, 3, 4, 5), "trilinear")]
)
def test_linear_against_torch(shape: tuple[int, ...], mode: str) -> None:
    x = torch.randn(*shape)
    torchs = {3: "linear", 4: "bilinear", 5: "trilinear"}[len(shape)]
    expected = F.interpolate(x, scale_factor=2, mode=torchs, align_corners=True)
    assert torch.allclose(Upsample(mode, scale=2)(x), expected, atol=1e-6)


def test_pixel_shuffle() -> None:
    x = torch.arange(8.0).view(1, 4, 1, 2)
    assert PixelShuffle(2)(x).tolist() == [[[[0, 2, 1, 3], [4, 6, 5, 7]]]]
    images = torch.randn(2, 18, 3, 4)
    assert torch.equal(PixelShuffle(3)(images), F.pixel_shuffle(images, 3))
    assert PixelShuffle(2)(torch.zeros(1, 4, 5)).shape == (1, 2, 10)
    assert PixelShuffle(2)(torch.zeros(1, 8, 5, 4, 3)).shape == (1, 1, 10, 8, 6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Upsample("cubic", scale=2), "the modes are"),
        (lambda: Upsample(2, "cubic"), "the modes are"),
        (lambda: Upsample(2, scale=3), "two scales, 2 and 3"),
        (lambda: Upsample(2, size=(4, 4)), "one of the two"),
        (lambda: Upsample(), "one of the two"),
        (lambda: Upsample(scale=2, size=(3, 3)), "one of the two"),
        (lambda: Upsample(size=(5, 5))(torch.zeros(1, 1, 2, 2)), "whole multiples"),
        (lambda: Upsample("bilinear", scale=(2,))(torch.zeros(1, 1, 2, 2)), "one number for each"),
        (lambda: Upsample("trilinear", scale=2)(torch.zeros(1, 1, 2, 2)), "cannot enlarge"),
        (lambda: PixelShuffle(2)(torch.zeros(1, 3, 2, 2)), "multiples of r"),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()
