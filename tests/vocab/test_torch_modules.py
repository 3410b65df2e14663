"""Every public module of ``torch.nn``, saved and loaded: the same state, attributes, repr and output."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.vocab.torch.modules import CLASSES
from through_memory import again

X1, X2, X3 = (2, 4, 8), (2, 4, 8, 8), (2, 4, 8, 8, 8)
NAMES, PAIR = (3, 5), [(3, 5), (3, 5)]

BUILDERS: dict[str, tuple[Any, ...]] = {
    # name: (constructor arguments, its options, shapes of the inputs or None where a forward is not that easy)
    "AdaptiveAvgPool1d": ((3,), {}, [X1]),
    "AdaptiveAvgPool2d": (((3, None),), {}, [X2]),
    "AdaptiveAvgPool3d": ((3,), {}, [X3]),
    "AdaptiveLogSoftmaxWithLoss": ((8, 12), {"cutoffs": [4, 8]}, None),
    "AdaptiveMaxPool1d": ((3,), {}, [X1]),
    "AdaptiveMaxPool2d": (((3, 2),), {"return_indices": False}, [X2]),
    "AdaptiveMaxPool3d": ((3,), {}, [X3]),
    "AlphaDropout": ((0.3,), {}, [NAMES]),
    "AvgPool1d": ((2,), {}, [X1]),
    "AvgPool2d": ((2,), {"divisor_override": 3}, [X2]),
    "AvgPool3d": ((2,), {}, [X3]),
    "BCELoss": ((), {"weight": torch.ones(5)}, None),
    "BCEWithLogitsLoss": ((), {"pos_weight": torch.ones(5)}, PAIR),
    "BatchNorm1d": ((4,), {}, [X1]),
    "BatchNorm2d": ((4,), {"affine": False}, [X2]),
    "BatchNorm3d": ((4,), {"track_running_stats": False}, [X3]),
    "Bilinear": ((5, 5, 2), {}, PAIR),
    "CELU": ((0.5,), {}, [NAMES]),
    "CTCLoss": ((), {"zero_infinity": True}, None),
    "ChannelShuffle": ((2,), {}, [X2]),
    "CircularPad1d": ((2,), {}, [X1]),
    "CircularPad2d": (((1, 2, 0, 1),), {}, [X2]),
    "CircularPad3d": ((1,), {}, [X3]),
    "ConstantPad1d": ((2, 1.5), {}, [X1]),
    "ConstantPad2d": ((2, -1), {}, [X2]),
    "ConstantPad3d": ((1, 0.0), {}, [X3]),
    "Container": ((), {}, None),
    "Conv1d": ((4, 6, 3), {"padding": "same", "padding_mode": "circular"}, [X1]),
    "Conv2d": ((4, 6, (3, 1)), {"stride": 2, "groups": 2, "bias": False}, [X2]),
    "Conv3d": ((4, 2, 3), {"padding": 1, "padding_mode": "replicate"}, [X3]),
    "ConvTranspose1d": ((4, 6, 3), {"output_padding": 1, "stride": 2}, [X1]),
    "ConvTranspose2d": ((4, 6, 3), {"dilation": 2}, [X2]),
    "ConvTranspose3d": ((4, 2, 2), {}, [X3]),
    "CosineEmbeddingLoss": ((0.1,), {}, None),
    "CosineSimilarity": ((1,), {"eps": 1e-6}, PAIR),
    "CrossEntropyLoss": ((torch.ones(5),), {"label_smoothing": 0.1}, PAIR),
    "CrossMapLRN2d": ((2,), {}, [X2]),
    "Dropout": ((0.25,), {"inplace": True}, [NAMES]),
    "Dropout1d": ((), {}, [X1]),
    "Dropout2d": ((), {}, [X2]),
    "Dropout3d": ((), {}, [X3]),
    "ELU": ((), {"alpha": 2.0}, [NAMES]),
    "Embedding": ((10, 4), {"padding_idx": 1, "max_norm": 2.0}, None),
    "EmbeddingBag": ((10, 4), {"mode": "sum", "include_last_offset": True}, None),
    "FeatureAlphaDropout": ((), {}, [X3]),
    "Flatten": ((), {"end_dim": 2}, [X2]),
    "Fold": (((4, 5),), {"kernel_size": 2}, None),
    "FractionalMaxPool2d": ((3,), {"output_ratio": (0.5, 0.5), "_random_samples": torch.rand(2, 4, 2)}, [X2]),
    "FractionalMaxPool3d": ((3,), {"output_size": 4}, None),
    "GELU": (("tanh",), {}, [NAMES]),
    "GLU": ((), {}, [X1]),
    "GRU": ((8, 3), {"num_layers": 2, "batch_first": True, "bias": False}, [X1]),
    "GRUCell": ((5, 4), {}, [NAMES]),
    "GaussianNLLLoss": ((), {"full": True, "eps": 1e-5}, None),
    "GroupNorm": ((2, 4), {}, [X2]),
    "Hardshrink": ((0.2,), {}, [NAMES]),
    "Hardsigmoid": ((), {}, [NAMES]),
    "Hardswish": ((), {}, [NAMES]),
    "Hardtanh": ((-2, 2), {}, [NAMES]),
    "HingeEmbeddingLoss": ((), {"margin": 2.0}, PAIR),
    "HuberLoss": ((), {"delta": 0.5, "reduction": "sum"}, PAIR),
    "Identity": ((54,), {"unused": 0.1}, [NAMES]),
    "InstanceNorm1d": ((4,), {"affine": True}, [X1]),
    "InstanceNorm2d": ((4,), {"track_running_stats": True}, [X2]),
    "InstanceNorm3d": ((4,), {}, [X3]),
    "KLDivLoss": ((), {"log_target": True, "reduction": "batchmean"}, PAIR),
    "L1Loss": ((), {"reduction": "none"}, PAIR),
    "LPPool1d": ((2, 3), {}, [X1]),
    "LPPool2d": ((2, 3), {"stride": 1}, [X2]),
    "LPPool3d": ((2, 3), {}, [X3]),
    "LSTM": ((8, 6), {"num_layers": 2, "bidirectional": True, "proj_size": 3, "dropout": 0.1}, [X1]),
    "LSTMCell": ((5, 4), {"bias": False}, [NAMES]),
    "LayerNorm": (((4, 8),), {"bias": False}, [X1]),
    "LeakyReLU": ((0.2,), {"inplace": True}, [NAMES]),
    "Linear": ((5, 4), {"dtype": torch.float64}, None),
    "LinearCrossEntropyLoss": ((5, 4), {}, None),
    "LocalResponseNorm": ((2,), {}, [X2]),
    "LogSigmoid": ((), {}, [NAMES]),
    "LogSoftmax": ((1,), {}, [NAMES]),
    "MSELoss": ((), {}, PAIR),
    "MarginRankingLoss": ((), {"margin": 1.0}, None),
    "MaxPool1d": ((2,), {"ceil_mode": True}, [X1]),
    "MaxPool2d": (((3, 2),), {"stride": (2, 1), "padding": (0, 1)}, [X2]),
    "MaxPool3d": ((2,), {"return_indices": True}, [X3]),
    "MaxUnpool1d": ((2,), {}, None),
    "MaxUnpool2d": ((2,), {"stride": 2}, None),
    "MaxUnpool3d": ((2,), {}, None),
    "Mish": ((), {}, [NAMES]),
    "Module": ((), {}, None),
    "ModuleDict": (({"first": nn.Linear(5, 4), "second": nn.ReLU()},), {}, None),
    "ModuleList": (([nn.Linear(5, 4), nn.ReLU()],), {}, None),
    "MultiLabelMarginLoss": ((), {}, None),
    "MultiLabelSoftMarginLoss": ((), {"weight": torch.ones(5)}, PAIR),
    "MultiMarginLoss": ((), {"p": 2}, None),
    "MultiheadAttention": ((8, 2), {"kdim": 8, "add_bias_kv": True, "batch_first": True}, [X1, X1, X1]),
    "NLLLoss": ((torch.ones(5),), {"ignore_index": 3}, None),
    "NLLLoss2d": ((), {}, None),
    "PReLU": ((4,), {"init": 0.1}, [X1]),
    "PairwiseDistance": ((), {"p": 1.0, "keepdim": True}, PAIR),
    "ParameterDict": (({"a": torch.ones(2), "n": 3},), {}, None),
    "ParameterList": (([torch.ones(2), torch.zeros(3), 4],), {}, None),
    "PixelShuffle": ((2,), {}, [X2]),
    "PixelUnshuffle": ((2,), {}, [X2]),
    "PoissonNLLLoss": ((), {"full": True}, PAIR),
    "RMSNorm": ((8,), {"eps": 1e-5}, [X1]),
    "RNN": ((8, 3), {"nonlinearity": "relu"}, [X1]),
    "RNNBase": (("LSTM", 8, 3), {}, None),
    "RNNCell": ((5, 4), {"nonlinearity": "relu"}, [NAMES]),
    "RNNCellBase": ((5, 4, True, 4), {}, None),
    "RReLU": ((), {"lower": 0.1}, [NAMES]),
    "ReLU": ((), {"inplace": True}, [NAMES]),
    "ReLU6": ((), {}, [NAMES]),
    "ReflectionPad1d": ((2,), {}, [X1]),
    "ReflectionPad2d": ((2,), {}, [X2]),
    "ReflectionPad3d": ((1,), {}, [X3]),
    "ReplicationPad1d": ((2,), {}, [X1]),
    "ReplicationPad2d": ((2,), {}, [X2]),
    "ReplicationPad3d": ((1,), {}, [X3]),
    "SELU": ((), {}, [NAMES]),
    "Sequential": ((nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)), {}, [NAMES]),
    "SiLU": ((), {}, [NAMES]),
    "Sigmoid": ((), {}, [NAMES]),
    "SmoothL1Loss": ((), {"beta": 0.3}, PAIR),
    "SoftMarginLoss": ((), {}, PAIR),
    "Softmax": ((1,), {}, [NAMES]),
    "Softmax2d": ((), {}, [X2]),
    "Softmin": ((1,), {}, [NAMES]),
    "Softplus": ((), {"beta": 2.0}, [NAMES]),
    "Softshrink": ((0.1,), {}, [NAMES]),
    "Softsign": ((), {}, [NAMES]),
    "SyncBatchNorm": ((4,), {}, None),
    "Tanh": ((), {}, [NAMES]),
    "Tanhshrink": ((), {}, [NAMES]),
    "Threshold": ((0.1, 20), {}, [NAMES]),
    "Transformer": ((8, 2, 1, 2, 16), {"batch_first": True, "activation": F.gelu}, [X1, X1]),
    "TransformerDecoder": ((nn.TransformerDecoderLayer(8, 2, 16, activation="gelu"), 2), {}, [X1, X1]),
    "TransformerDecoderLayer": ((8, 2, 16), {"norm_first": True, "activation": torch.tanh}, [X1, X1]),
    "TransformerEncoder": ((nn.TransformerEncoderLayer(8, 2, 16), 2, nn.LayerNorm(8)), {}, [X1]),
    "TransformerEncoderLayer": ((8, 2, 16), {"activation": nn.SiLU()}, [X1]),
    "TripletMarginLoss": ((), {"swap": True}, [NAMES, NAMES, NAMES]),
    "TripletMarginWithDistanceLoss": ((), {"distance_function": F.pairwise_distance}, [NAMES, NAMES, NAMES]),
    "Unflatten": ((1, (2, 2)), {}, [X1]),
    "Unfold": ((2,), {}, [X2]),
    "Upsample": ((), {"scale_factor": (2.0, 3.0), "mode": "bilinear", "align_corners": True}, [X2]),
    "UpsamplingBilinear2d": ((), {"scale_factor": 2}, [X2]),
    "UpsamplingNearest2d": (((5, 6),), {}, [X2]),
    "ZeroPad1d": ((2,), {}, [X1]),
    "ZeroPad2d": ((2,), {}, [X2]),
    "ZeroPad3d": ((1,), {}, [X3]),
}
"""How to make one of each. A test asserts that none is missing."""


def make(name: str) -> nn.Module:
    torch.manual_seed(1)
    arguments, options, _ = BUILDERS[name]
    module: nn.Module = getattr(nn, name)(*copy.deepcopy(arguments), **copy.deepcopy(options))
    for number, parameter in enumerate(module.parameters()):
        nn.init.normal_(parameter.data, std=0.5 + number)
    return module


def same(a: Any, b: Any) -> bool:
    """Equal in type and value, tensors bit for bit, modules part for part."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        bits = (a.dtype, a.shape, a.stride(), a.requires_grad) == (b.dtype, b.shape, b.stride(), b.requires_grad)
        return bits and torch.equal(a, b)
    if isinstance(a, nn.Module):
        a, b = vars(a), vars(b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a).__name__ == "ReferenceType":
        return same(a(), b())
    return bool(a == b)


def inner(module: nn.Module) -> dict[str, Any]:
    """All that a module keeps, by name: the order of attributes is no part of it."""
    return dict(sorted(vars(module).items()))


def outputs(module: nn.Module, shapes: Any) -> Any:
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(5)
    return module(*(torch.rand(shape, generator=generator) for shape in shapes))


def test_the_table_is_complete() -> None:
    public = {name.removeprefix("torch.nn.") for name in CLASSES if name.count(".") == 2}
    lazy = {name for name in nn.modules.__all__ if name.startswith("Lazy")}
    others = {"LinearCrossEntropyOptions"}
    assert public == set(nn.modules.__all__) - lazy - others
    assert public <= set(BUILDERS)


@pytest.mark.parametrize("name", sorted(name for name in BUILDERS if hasattr(nn, name)))
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_every_module(name: str) -> None:
    module = make(name)
    loaded = again(module)
    assert repr(loaded) == repr(module)
    assert same(inner(loaded), inner(module))
    assert list(loaded.state_dict()) == list(module.state_dict())
    shapes = BUILDERS[name][2]
    if shapes is not None:
        assert same(outputs(loaded, shapes), outputs(module, shapes))
        loaded.eval(), module.eval()
        assert same(outputs(loaded, shapes), outputs(module, shapes))
    assert same(inner(copy.deepcopy(loaded)), inner(copy.deepcopy(module)))
