"""Modules of torch.nn with inputs, for the tests of conversion: one of each kind, small and with odd numbers.

Each row is a name, what makes the module, and the shape of its input. ``filled`` draws every array at random, so that one
that gets lost shows.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Case = tuple[Callable[[], nn.Module], tuple[int, ...]]


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with every parameter and statistic drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for array in [*module.parameters(), *module.buffers()]:
            if array.is_floating_point():
                array.copy_(torch.rand(array.shape, generator=generator) * 0.8 - 0.3)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.add_(0.6)
        for part in module.modules():
            if isinstance(part, nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx] = 0
            if isinstance(part, nn.GRU | nn.GRUCell) and part.bias:
                for name, array in part.named_parameters():
                    if name.startswith("bias_hh"):
                        array[2 * part.hidden_size :] = 0
    return module


def numbers(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


CASES: dict[str, Case] = {
    "linear": (lambda: nn.Linear(7, 5), (3, 7)),
    "linear_no_bias": (lambda: nn.Linear(7, 5, bias=False), (3, 2, 7)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 5, stride=2, padding=3), (2, 3, 17)),
    "conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=2), (2, 4, 9, 8)),
    "conv2d_same": (lambda: nn.Conv2d(3, 4, (5, 3), padding="same", bias=False), (2, 3, 9, 8)),
    "conv2d_valid": (lambda: nn.Conv2d(3, 4, 3, padding="valid"), (2, 3, 9, 8)),
    "conv2d_depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4), (2, 4, 9, 8)),
    "conv3d": (lambda: nn.Conv3d(2, 3, (1, 2, 3), padding=1), (2, 2, 4, 5, 6)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(3, 4, 5, stride=3, padding=1, output_padding=2), (2, 3, 7)),
    "conv_transpose2d": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 4), (2, 3), (1, 2), (1, 0), groups=2, dilation=(1, 2)),
        (2, 4, 5, 6),
    ),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, stride=2, bias=False), (1, 2, 3, 3, 3)),
    "max_pool1d": (lambda: nn.MaxPool1d(3, 2, 1), (2, 3, 11)),
    "max_pool2d": (lambda: nn.MaxPool2d((3, 2), padding=(1, 0)), (2, 3, 11, 8)),
    "max_pool3d": (lambda: nn.MaxPool3d(2), (2, 3, 4, 6, 5)),
    "avg_pool1d": (lambda: nn.AvgPool1d(3, 2, 1), (2, 3, 11)),
    "avg_pool2d": (lambda: nn.AvgPool2d((3, 2), padding=(1, 0)), (2, 3, 11, 8)),
    "avg_pool2d_uncounted": (lambda: nn.AvgPool2d(2, count_include_pad=False), (2, 3, 11, 8)),
    "avg_pool3d": (lambda: nn.AvgPool3d(2, 1), (2, 3, 4, 6, 5)),
    "global_avg2d": (lambda: nn.AdaptiveAvgPool2d(1), (2, 3, 5, 7)),
    "global_max1d": (lambda: nn.AdaptiveMaxPool1d(1), (2, 3, 5)),
    "adaptive_avg2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (2, 3, 4, 9)),
    "adaptive_max3d": (lambda: nn.AdaptiveMaxPool3d(2), (2, 3, 4, 2, 6)),
    "batch_norm1d": (lambda: nn.BatchNorm1d(5), (4, 5)),
    "batch_norm1d_length": (lambda: nn.BatchNorm1d(5, eps=1e-3, momentum=0.3), (4, 5, 3)),
    "batch_norm2d": (lambda: nn.BatchNorm2d(3, affine=False), (4, 3, 5, 6)),
    "batch_norm3d": (lambda: nn.BatchNorm3d(3, track_running_stats=False), (4, 3, 2, 3, 4)),
    "instance_norm1d": (lambda: nn.InstanceNorm1d(3), (4, 3, 6)),
    "instance_norm2d": (lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (4, 3, 5, 6)),
    "group_norm": (lambda: nn.GroupNorm(2, 6, eps=1e-4), (4, 6, 5, 5)),
    "group_norm_plain": (lambda: nn.GroupNorm(3, 6, affine=False), (4, 6, 5)),
    "layer_norm": (lambda: nn.LayerNorm((5, 6)), (4, 3, 5, 6)),
    "layer_norm_no_bias": (lambda: nn.LayerNorm(6, bias=False, eps=1e-3), (4, 6)),
    "layer_norm_plain": (lambda: nn.LayerNorm(6, elementwise_affine=False), (4, 6)),
    "dropout": (lambda: nn.Dropout(0.3), (4, 6)),
    "dropout1d": (lambda: nn.Dropout1d(0.3), (4, 6, 5)),
    "dropout2d": (lambda: nn.Dropout2d(0.3), (4, 6, 5, 3)),
    "dropout3d": (lambda: nn.Dropout3d(0.3), (4, 6, 5, 3, 2)),
    "alpha_dropout": (lambda: nn.AlphaDropout(0.3), (4, 6)),
    "upsample_nearest": (lambda: nn.Upsample(scale_factor=2), (2, 3, 4, 5)),
    "upsample_size": (lambda: nn.Upsample(size=(8, 15)), (2, 3, 4, 5)),
    "upsample_bilinear": (
        lambda: nn.Upsample(scale_factor=(2.0, 1.5), mode="bilinear", align_corners=True),
        (2, 3, 4, 5),
    ),
    "upsample_linear": (lambda: nn.Upsample(scale_factor=3, mode="linear", align_corners=True), (2, 3, 4)),
    "upsample_trilinear": (
        lambda: nn.Upsample(size=(4, 5, 6), mode="trilinear", align_corners=True),
        (2, 3, 2, 3, 4),
    ),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), (2, 12, 3, 4)),
    "mlp": (
        lambda: nn.Sequential(
            *(nn.Flatten(), nn.Linear(12, 7), nn.BatchNorm1d(7), nn.LeakyReLU(0.2), nn.Dropout(0.2)),
            *(nn.Linear(7, 5), nn.ELU(0.7), nn.Linear(5, 3), nn.LogSoftmax(dim=1)),
        ),
        (4, 3, 2, 2),
    ),
    "lenet": (
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh()),
            *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 10)),
        ),
        (2, 1, 28, 28),
    ),
    "vgg": (
        lambda: nn.Sequential(
            *(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(True), nn.MaxPool2d(2)),),
            *(nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(True), nn.MaxPool2d(2)),),
            *(nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(24, 8), nn.ReLU(True), nn.Dropout(), nn.ReLU6()),
        ),
        (2, 3, 16, 16),
    ),
    "generator": (
        lambda: nn.Sequential(
            *(nn.ConvTranspose2d(5, 8, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Upsample(scale_factor=2)),
            *(nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(8, 3, 3, padding=1), nn.Tanh()),
        ),
        (2, 5, 2, 2),
    ),
    "encoder_layer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, activation="gelu"),
        (3, 5, 8),
    ),
    "encoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 12, 0.2, batch_first=True, norm_first=True, bias=False),
            2,
            nn.LayerNorm(8),
            enable_nested_tensor=False,
        ),
        (3, 5, 8),
    ),
    "encoder_silu": (
        lambda: nn.Sequential(
            nn.Linear(4, 8),
            nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, activation=nn.SiLU()),
            nn.Linear(8, 2),
        ),
        (3, 5, 4),
    ),
}

ACTIVATIONS: list[nn.Module] = [
    nn.Identity(),
    nn.ReLU(),
    nn.ReLU6(),
    nn.SELU(),
    nn.SiLU(),
    nn.Mish(),
    nn.Sigmoid(),
    nn.LogSigmoid(),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.Hardtanh(),
    nn.Tanh(),
    nn.Tanhshrink(),
    nn.Softsign(),
    nn.Softplus(),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.LeakyReLU(),
    nn.LeakyReLU(0.3),
    nn.ELU(),
    nn.ELU(0.5),
    nn.CELU(),
    nn.CELU(2.0),
    nn.Softshrink(),
    nn.Softshrink(0.1),
    nn.Threshold(1.0, 0.0),
    nn.Threshold(0.2, 0.0),
    nn.Softmax(-1),
    nn.LogSoftmax(-1),
    nn.Flatten(),
]

RECURRENT: dict[str, Callable[[], nn.Module]] = {
    "rnn": lambda: nn.RNN(3, 5, batch_first=True),
    "rnn_relu": lambda: nn.RNN(3, 5, nonlinearity="relu", batch_first=True, bias=False),
    "rnn_deep": lambda: nn.RNN(3, 5, num_layers=3, batch_first=True),
    "lstm": lambda: nn.LSTM(3, 5, batch_first=True),
    "lstm_no_bias": lambda: nn.LSTM(3, 5, batch_first=True, bias=False),
    "lstm_deep": lambda: nn.LSTM(3, 5, num_layers=2, dropout=0.4, batch_first=True),
    "gru": lambda: nn.GRU(3, 5, batch_first=True, bias=False),
    "gru_bias": lambda: nn.GRU(3, 5, num_layers=2, batch_first=True),
}

CELLS: dict[str, Callable[[], nn.Module]] = {
    "rnn_cell": lambda: nn.RNNCell(3, 5),
    "rnn_cell_relu": lambda: nn.RNNCell(3, 5, bias=False, nonlinearity="relu"),
    "lstm_cell": lambda: nn.LSTMCell(3, 5),
    "gru_cell": lambda: nn.GRUCell(3, 5),
}
