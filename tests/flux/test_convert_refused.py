"""What cannot be converted between torch.nn and Flux's layers is refused, with its path and what to do."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flux.torch_modules import numbers
from holdfast import flux
from holdfast.errors import UnsupportedError
from holdfast.flux import (
    AdaptiveMeanPool,
    BatchNorm,
    Bilinear,
    Chain,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Embedding,
    EmbeddingBag,
    GlobalMeanPool,
    GroupNorm,
    LayerNorm,
    Maxout,
    MaxPool,
    MeanPool,
    MultiHeadAttention,
    Parallel,
    Recur,
    Scale,
    SkipConnection,
    add,
    from_torch,
    relu,
    to_torch,
    vcat,
)


def run(model: Callable[..., Any], *inputs: Any) -> Any:
    with torch.no_grad():
        return model(*inputs)


class Own(nn.Module):
    """A class of the user's own, with a list and a dictionary of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.several = nn.ModuleList([nn.Linear(2, 2)])

    def forward(self, x: Tensor) -> Tensor:
        return self.several[0](x)


class Louder(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def hooked(module: nn.Module) -> nn.Module:
    module.register_forward_hook(lambda module, inputs, output: output)
    return module


def with_more(module: nn.Module) -> nn.Module:
    module.extra = nn.Parameter(torch.zeros(2))
    return module


def nested(module: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), module))


REFUSED: list[tuple[Callable[[], nn.Module], str]] = [
    (Own, "Own is a class of your own"),
    (lambda: nn.ModuleList([nn.Linear(2, 2)]), "a list does not say"),
    (lambda: nn.ModuleDict({"a": nn.Linear(2, 2)}), "a dictionary does not say"),
    (lambda: Louder(2, 2), "Louder is a class of your own"),
    (lambda: hooked(nn.Linear(2, 2)), "this Linear has hooks"),
    (lambda: torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), "is parametrised"),
    (nn.PReLU, "slope that is trained"),
    (nn.RReLU, r"LeakyReLU\(\(lower"),
    (nn.Hardshrink, "Flux has no Hardshrink"),
    (nn.GLU, "Flux has no GLU"),
    (lambda: nn.Softmax(dim=2), "dim=2 may be another"),
    (nn.Softmax2d, "along the features"),
    (lambda: nn.Softplus(beta=2), "no beta"),
    (lambda: nn.Softplus(threshold=5), "no beta and no threshold"),
    (lambda: nn.Hardtanh(-2, 2), "goes from -1 to 1"),
    (lambda: nn.Threshold(0.1, 7.0), "puts 0 below"),
    (lambda: nn.Flatten(2), "joins 2 to -1"),
    (lambda: nn.Unflatten(1, (2, 2)), "Flux has no Unflatten"),
    (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
    (lambda: nn.ZeroPad2d(1), "just before one"),
    (lambda: nn.ReflectionPad2d(1), "Flux has no ReflectionPad2d"),
    (lambda: nn.MaxPool2d(2, dilation=2), "no dilation"),
    (lambda: nn.MaxPool2d(2, return_indices=True), "no indices"),
    (lambda: nn.MaxPool2d(2, ceil_mode=True), "no ceil_mode"),
    (lambda: nn.AvgPool2d(2, padding=1, count_include_pad=False), "count_include_pad=True"),
    (lambda: nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
    (lambda: nn.AdaptiveAvgPool2d(7), r"7, 7 divides.*Give an input"),
    (lambda: nn.AdaptiveAvgPool2d((None, 7)), "size of every axis"),
    (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), "align_corners=True"),
    (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), "no mode 'bicubic'"),
    (lambda: nn.Upsample(scale_factor=1.5), "a whole number of times, not 1.5"),
    (lambda: nn.Upsample(size=9), "size of every axis"),
    (lambda: nn.BatchNorm2d(2, momentum=None), "mean over all batches"),
    (lambda: nn.SyncBatchNorm(2), "put a BatchNorm"),
    (lambda: nn.RMSNorm(2), "subtracts the mean"),
    (lambda: nn.FeatureAlphaDropout(), "single numbers only"),
    (lambda: nn.Embedding(5, 3, max_norm=1.0), "max_norm"),
    (lambda: nn.Embedding(5, 3, scale_grad_by_freq=True), "scale_grad_by_freq"),
    (lambda: nn.EmbeddingBag(5, 3, padding_idx=1), "padding_idx"),
    (lambda: nn.LSTM(2, 3), "batch_first=True"),
    (lambda: nn.LSTM(2, 3, batch_first=True, bidirectional=True), "no bidirectional layer"),
    (lambda: nn.LSTM(2, 3, batch_first=True, proj_size=2), "proj_size"),
    (lambda: nn.GRU(2, 3, batch_first=True), r"last third of bias_hh_l0"),
    (lambda: nn.GRUCell(2, 3), r"last third of bias_hh,"),
    (lambda: nn.MultiheadAttention(4, 2), "batch_first=True"),
    (lambda: nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True), "add_bias_kv"),
    (lambda: nn.TransformerDecoderLayer(4, 2, batch_first=True), "two inputs"),
    (lambda: nn.LazyLinear(3), "has no shape yet"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_modules_that_flux_does_not_have_are_named(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as raised:
        from_torch(nested(make()))
    assert raised.value.path == "1.1"


@pytest.mark.parametrize(
    ("net", "path", "message"),
    [
        (with_more(nn.Linear(2, 2)), "extra", "does not compute with this array"),
        (nn.TransformerEncoderLayer(4, 2, batch_first=False), "self_attn", "batch_first"),
        (nn.TransformerEncoderLayer(4, 2, batch_first=True, activation=F.hardshrink), ".activation", "hardshrink"),
        (nn.Sequential(nn.ZeroPad2d(-1), nn.Conv2d(1, 1, 1)), "1", "does not cut"),
        (nn.Embedding(5, 3, padding_idx=1).requires_grad_(False), "", "word 1 is padding"),
    ],
)
def test_paths_of_parts(net: nn.Module, path: str, message: str) -> None:
    if isinstance(net, nn.Embedding):
        net.weight[1] = 1
    with pytest.raises(UnsupportedError, match=message) as raised:
        from_torch(net)
    assert raised.value.path == path


def test_an_example_says_what_shapes_allow() -> None:
    for module, good, bad in [
        (nn.AdaptiveAvgPool2d(2), (1, 1, 4, 6), (1, 1, 4, 5)),
        (nn.MaxPool2d(2, ceil_mode=True), (1, 1, 4, 6), (1, 1, 4, 5)),
        (nn.Softmax(dim=1), (2, 3), (2, 3, 4)),
        (nn.Flatten(1, 2), (2, 3, 4), (2, 3, 4, 5)),
    ]:
        x = numbers(good)
        assert torch.equal(run(from_torch(module, x), x), run(module, x))
        for example in ((), (numbers(bad),)):
            with pytest.raises(UnsupportedError, match=r"from_torch\(module, x\)|divide|flatten|along the features"):
                from_torch(module, *example)


class Code(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


NOT_IN_TORCH: list[tuple[Any, str]] = [
    (Parallel(vcat, Dense(2, 2)), "no Parallel: convert its layers"),
    (SkipConnection(Dense(2, 2), add), "no SkipConnection"),
    (Maxout(Dense(2, 2), Dense(2, 2)), "no Maxout"),
    (Scale(2), "no Scale"),
    (Recur(flux.LSTMCell(2, 2)), "no Recur"),
    (flux.GRUv3(2, 2), "no GRUv3"),
    (flux.Recurrence(flux.LSTMCell(2, 2)), "no Recurrence"),
    (flux.WeightNorm(Dense(2, 2)), "remove_weight_norms"),
    (flux.Compose(relu, relu), r"Chain\(inner, outer\)"),
    (flux.LSTM(2, 2), "torch's LSTM gives its state too"),
    (flux.LSTMCell(2, 2), "torch's LSTMCell gives its state too"),
    (MultiHeadAttention(2, nheads=1), "torch's MultiheadAttention gives its scores"),
    (Bilinear(2, 2, 2, relu), "Bilinear has no activation"),
    (EmbeddingBag(2, 2, flux.minimum), "mean, sum or max only"),
    (GroupNorm(2, 1, track_stats=True), "remembers no statistics"),
    (LayerNorm(2, eps_rule="deviation"), "eps_rule = 'variance'"),
    (BatchNorm(2, active=False), r"testmode\(model, 'auto'\)"),
    (Dropout(0.1, active=True), r"testmode\(model, 'auto'\)"),
    (Dropout(0.1, dims=2), "dims=2"),
    (ConvTranspose((3,), (1, 1), pad=(1, 0)), "both sides alike"),
    (ConvTranspose((3,), (1, 1), outpad=1), "smaller than the stride"),
    (MaxPool((3,), pad=(1, 0)), "both sides alike"),
    (MeanPool((3,), pad=2), "half a window"),
    (MaxPool((3,), pad=1, clamped=True), "clamps at its padding"),
    (AdaptiveMeanPool((2, 2)), "2, 2 divides"),
    (GlobalMeanPool(), r"to_torch\(model, x\)"),
    (flux.lisht, "no module for lisht"),
    (flux.rrelu, "no module for rrelu"),
    (lambda x: x, "no module for <lambda>"),
    (flux.first, "after a MultiHeadAttention"),
    (flux.Fix1(flux.subtract, 1), "no module for Fix1"),
    (Code(), "no Code"),
    (hooked(Dense(2, 2)), "this Dense has hooks"),
]


@pytest.mark.parametrize(("layer", "message"), NOT_IN_TORCH, ids=[message for _, message in NOT_IN_TORCH])
def test_layers_that_torch_does_not_have_are_named(layer: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as raised:
        to_torch(Chain(Embedding(3, 2), Chain(inner=layer)))
    assert raised.value.path == "layers[1].layers['inner']"


ALONE = [
    (flux.LSTM(2, 3, return_state=True), "set return_state=False"),
    (flux.RNN(2, 3, relu, state0=True), "holds one of its own"),
    (flux.RNN(2, 3, flux.sin), "tanh or relu"),
    (Chain(flux.LSTM(2, 3), flux.LSTM(3, 4)), "all alike"),
    (MultiHeadAttention((4, 8, 4), nheads=2), "one width"),
    (Chain(**{"a.b": Dense(2, 2)}), "no module called 'a.b'"),
]


@pytest.mark.parametrize(("layer", "message"), ALONE, ids=[message for _, message in ALONE])
def test_layers_that_go_only_by_themselves(layer: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        to_torch(layer)


def test_axes_come_from_the_layers_before_or_from_an_example() -> None:
    model = Chain(Conv((3, 3), (1, 2)), Chain(BatchNorm(2), GlobalMeanPool()), flux.flatten, BatchNorm(2))
    kinds = [type(part).__name__ for part in to_torch(model).modules()][1:]
    assert kinds == ["Conv2d", "Sequential", "BatchNorm2d", "AdaptiveAvgPool2d", "Flatten", "BatchNorm1d"]
    norm = BatchNorm(2)
    assert type(to_torch(norm)) is nn.BatchNorm1d
    assert type(to_torch(norm, numbers((2, 2, 3, 3, 3)))) is nn.BatchNorm3d
    assert norm.training
    assert torch.equal(norm.mean, torch.zeros(2))
