"""BatchNorm, InstanceNorm and GroupNorm against torch's, and against the formula with statistics of their own."""

import pytest
import torch
from torch import nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import identity, relu, tanh
from holdfast.flux.normalise import BatchNorm, GroupNorm, InstanceNorm

NAMESPACE = {"BatchNorm": BatchNorm, "GroupNorm": GroupNorm, "InstanceNorm": InstanceNorm, "relu": relu}
LINES = [
    "BatchNorm(3, relu)",
    "BatchNorm(3, affine=False, active=False)",
    "BatchNorm(3, track_stats=False, eps=0.001, momentum=0.2)",
    "InstanceNorm(2)",
    "InstanceNorm(2, relu, affine=True, track_stats=True)",
    "GroupNorm(4, 2, relu)",
    "GroupNorm(4, 2, track_stats=True)",
]


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    assert repr(eval(line, NAMESPACE)) == line


def test_float32_fields_print_short() -> None:
    eps, momentum = (torch.tensor(number).item() for number in (1e-5, 0.1))
    layer = BatchNorm.of(relu, torch.zeros(3), torch.ones(3), torch.zeros(3), torch.ones(3), eps, momentum)
    assert repr(layer) == "BatchNorm(3, relu)"


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (BatchNorm(4), nn.BatchNorm1d(4), (6, 4)),
        (BatchNorm(4), nn.BatchNorm2d(4), (6, 4, 5, 3)),
        (BatchNorm(4, affine=False), nn.BatchNorm3d(4, affine=False), (2, 4, 3, 2, 5)),
        (BatchNorm(4, track_stats=False), nn.BatchNorm1d(4, track_running_stats=False), (6, 4, 7)),
        (InstanceNorm(4), nn.InstanceNorm2d(4), (6, 4, 5, 3)),
        (
            InstanceNorm(4, affine=True, track_stats=True),
            nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
            (6, 4, 5),
        ),
        (GroupNorm(4, 2), nn.GroupNorm(2, 4), (6, 4, 5, 3)),
        (GroupNorm(4, 2, affine=False), nn.GroupNorm(2, 4, affine=False), (6, 4, 5)),
    ],
)
def test_against_torch(ours, theirs, shape: tuple[int, ...]) -> None:
    if ours.gamma is not None:
        nn.init.normal_(ours.gamma), nn.init.normal_(ours.beta)
        theirs.weight, theirs.bias = ours.gamma, ours.beta
    for step in range(3):
        x = torch.randn(shape) * (step + 1) + step
        assert torch.allclose(ours.train()(x), theirs.train()(x), atol=1e-5)
        assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-5)
    if ours.mean is not None:
        assert torch.allclose(ours.mean, theirs.running_mean)
        assert torch.allclose(ours.var, theirs.running_var)


def test_group_statistics_by_hand() -> None:
    """Flux 0.12: mean and variance per group, over examples averaged; the file's 0.8.3 shape (groups, 1) serves too."""
    x = torch.randn(5, 4, 3, 2)
    mean, var = torch.zeros(2, 1), torch.ones(2, 1)
    layer = GroupNorm.of(2, tanh, torch.randn(4), torch.randn(4), mean, var, 1e-5, 0.1, True, True, None, 4)
    layer(x)
    grouped = x.reshape(5, 2, 12)
    assert torch.allclose(layer.mean, 0.1 * grouped.mean((0, 2)).view(2, 1))
    assert torch.allclose(layer.var, 0.9 + 0.1 * grouped.var(2).mean(0).view(2, 1))
    y = layer.eval()(x)
    each = (grouped - layer.mean) / (layer.var + 1e-5).sqrt()
    per_channel = (4, 1, 1)
    expected = torch.tanh(each.view(x.shape) * layer.gamma.view(per_channel) + layer.beta.view(per_channel))
    assert torch.allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_statistics_of_another_dtype_are_remembered(dtype: torch.dtype) -> None:
    """Files of 2018 hold Float32 parameters beside Float64 statistics."""
    mean, var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    layer = BatchNorm.of(identity, torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype), mean, var)
    x = torch.randn(7, 3)
    assert layer(x).dtype == dtype
    assert layer.mean is mean
    assert torch.allclose(mean.float(), 0.1 * x.mean(0))
    assert layer.eval()(x).dtype == dtype


def test_of_copies_nothing() -> None:
    fields = [torch.randn(3) for _ in range(4)]
    layer = BatchNorm.of(relu, *fields, 1e-5, 0.1, True, True, False, 3)
    assert [t.data_ptr() for t in (layer.beta, layer.gamma, layer.mean, layer.var)] == [t.data_ptr() for t in fields]
    assert list(layer.state_dict()) == ["beta", "gamma", "mean", "var"]
    assert [name for name, _ in layer.named_parameters()] == ["beta", "gamma"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BatchNorm(3)(torch.zeros(2, 4)), "needs 3 along axis 1"),
        (lambda: BatchNorm(3)(torch.zeros(1, 3)), "one value per channel"),
        (lambda: InstanceNorm(3)(torch.zeros(2, 3)), "at least 3 axes"),
        (lambda: GroupNorm(4, 2)(torch.zeros(2, 4)), "at least 3 axes"),
        (lambda: GroupNorm(4, 3), "must divide"),
        (lambda: BatchNorm.of(relu, None, None, None, None), "for how many channels"),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()
