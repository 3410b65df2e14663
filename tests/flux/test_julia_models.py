"""Every layer of convolution, pooling, normalisation, recurrence and attention computes what Julia computed."""

import pytest
import torch

from flux.julia_files import VERSIONS, described, error, model, outputs, reference
from holdfast.flux.modes import testmode, trainmode
from holdfast.flux.sequence import reset

COMMON = [
    *("conv_basic", "conv_stride_pad", "conv_dilation", "conv_asym", "conv_1d", "conv_3d", "conv_net"),
    *("convtranspose_basic", "convtranspose_stride_pad", "convtranspose_dilation", "depthwiseconv_basic"),
    *("maxpool", "maxpool_stride_pad", "meanpool", "meanpool_pad", "layernorm", "dropout_testmode"),
    *("batchnorm_testmode", "batchnorm_conv_testmode", "batchnorm_chain_testmode", "instancenorm_testmode"),
    *("groupnorm_testmode", "alphadropout_testmode", "rnn", "rnn_relu", "lstm", "gru", "rnn_chain"),
]
SINCE_012 = [
    *("conv_samepad", "conv_nobias", "conv_net_anon", "crosscor", "depthwiseconv_stride", "globalmaxpool"),
    *("globalmeanpool", "adaptivemaxpool", "adaptivemeanpool", "upsample", "pixelshuffle", "batchnorm_auto"),
    *("layernorm_act", "layernorm_2d"),
]
SINCE_015 = ["conv_groups", "gruv3", "lstm_nobias", "rnn_return_state", "recurrence_lstmcell", "mha"]
NAMES = {
    "0.8.3": [*COMMON, "depthwiseconv_mul3", "depthwiseconv_int"],
    "0.12.1": [*COMMON, *SINCE_012],
    "0.16.9": [*COMMON, *SINCE_012, *SINCE_015],
}

STATES = {
    "0.8.3": [
        "rnn_state_tracked",
        "rnn_state_truncated",
        "rnn_relu_state_truncated",
        "lstm_state_truncated",
        "gru_state_truncated",
    ],
    "0.12.1": ["rnn_state", "lstm_state", "gru_state"],
}


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in VERSIONS for name in NAMES[version]])
def test_outputs(version: str, name: str) -> None:
    case = reference(version, name)
    for ours, theirs in zip(outputs(model(version, name), case["inputs"]), case["outputs"], strict=True):
        assert error(ours, theirs) < 1e-6


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in STATES for name in STATES[version]])
def test_the_state_that_a_file_holds(version: str, name: str) -> None:
    case, recur = reference(version, name), model(version, name)
    theirs = described(case["state"])
    for part, other in zip(as_tuple(recur.state), as_tuple(theirs), strict=True):
        assert torch.equal(part, other)
    outputs(reset(recur), case["inputs"])
    for part, other in zip(as_tuple(recur.state), as_tuple(theirs), strict=True):
        assert error(part, other) < 1e-6


@pytest.mark.parametrize("name", ["batchnorm", "batchnorm_conv", "instancenorm", "groupnorm"])
def test_statistics_after_training(name: str) -> None:
    """Flux 0.8.3 ran the fresh layer twice, on x and on 2x + 1, before it saved it again."""
    x = reference("0.8.3", f"{name}_trained_active")["inputs"][0]
    layer, theirs = model("0.8.3", f"{name}_fresh"), model("0.8.3", f"{name}_trained_active")
    assert layer.active is True
    outputs(layer, [x, x * 2 + 1])
    for statistic in ("mean", "var"):
        assert error(getattr(layer, statistic), getattr(theirs, statistic)) < 1e-6


@pytest.mark.parametrize("version", ["0.12.1", "0.16.9"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("batchnorm_fresh", "BatchNorm(3, relu)"),
        ("batchnorm_noaffine", "BatchNorm(3, affine=False)"),
        ("batchnorm_notrack", "BatchNorm(3, track_stats=False)"),
        ("instancenorm_fresh", "InstanceNorm(2)"),
        ("groupnorm_fresh", "GroupNorm(4, 2)"),
        ("dropout_active", "Dropout(0.3)"),
        ("dropout_dims", "Dropout(0.3, dims=2)"),
        ("alphadropout", "AlphaDropout(0.3)"),
    ],
)
def test_layers_without_outputs(version: str, name: str, expected: str) -> None:
    layer = model(version, name)
    assert repr(layer) == expected
    assert layer.active is None
    assert not layer.trains
    assert repr(testmode(trainmode(layer), "auto")) == expected


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)
