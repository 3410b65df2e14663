"""Conversion between torch.nn and Flux's layers: the same numbers, there and back, and everything else refused by path."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flux.torch_modules import ACTIVATIONS, CASES, CELLS, RECURRENT, filled, numbers
from holdfast import flux, load, save
from holdfast.errors import UnsupportedError
from holdfast.flux import (
    BatchNorm,
    Chain,
    Conv,
    CrossCor,
    Dense,
    DepthwiseConv,
    Dropout,
    GlobalMeanPool,
    LayerNorm,
    MaxPool,
    MultiHeadAttention,
    SamePad,
    SkipConnection,
    add,
    from_torch,
    leakyrelu,
    relu,
    softmax,
    to_torch,
)

TOLERANCE = 1e-6
PRODUCTS = {"linear", "mlp", "lenet", "vgg", "encoder", "layer_norm", "global_avg2d"}
"""Beginnings of the names of cases whose sums torch may take in another order: equal to rounding, not bit for bit."""


def error(ours: Any, theirs: Any) -> float:
    """The largest difference, relative to the largest number; over all tensors of tuples."""
    if isinstance(ours, tuple):
        return max(error(*pair) for pair in zip(ours, theirs, strict=True))
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    return float(((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)).detach())


def arrays(model: Any) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else []


def assert_same_model(one: Any, other: Any) -> None:
    """The same layers, and bit-equal arrays in the same order of memory."""
    assert repr(one) == repr(other)
    for ours, theirs in zip(arrays(one), arrays(other), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()
        assert (type(ours), ours.requires_grad) == (type(theirs), theirs.requires_grad)


def run(model: Callable[..., Any], *inputs: Any) -> Any:
    with torch.no_grad():
        return model(*inputs)


def case(name: str) -> tuple[nn.Module, Tensor]:
    make, shape = CASES[name]
    return filled(make()), numbers(shape)


# -- every kind of module ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_torchs(name: str) -> None:
    module, x = case(name)
    module.eval()
    ours, theirs = run(from_torch(module, x), x), run(module, x)
    assert error(ours, theirs) < TOLERANCE
    if not name.startswith(tuple(PRODUCTS)):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("encoder")])
def test_training_moves_the_same_numbers(name: str) -> None:
    """Outputs, gradients and statistics in train mode and double precision, where no random number is drawn."""
    module, x = case(name)
    module, x = module.double().train(), x.double().requires_grad_()
    for part in module.modules():
        if hasattr(part, "p"):
            part.p = 0.0
    model = from_torch(module, x)
    for side in (model, module):
        side(x).square().sum().backward()
    for ours, theirs in zip(to_torch(model, x).buffers(), module.buffers(), strict=True):
        assert ours.dtype == torch.int64 or torch.allclose(ours, theirs, rtol=1e-12)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.grad)
    for parameter, gradient in zip(model.parameters(), from_torch(module, x).parameters(), strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name: str) -> None:
    module, x = case(name)
    model = from_torch(module.eval(), x)
    back = to_torch(model, x)
    assert error(run(back, x), run(module, x)) < TOLERANCE
    assert_same_model(from_torch(back, x), model)
    for part in back.modules():
        assert type(part).__module__.startswith("torch.nn")
        assert not part.training
    assert [p.shape for p in arrays(back)] == [p.shape for p in arrays(module)]


@pytest.mark.parametrize("name", CASES)
def test_through_a_file(name: str, tmp_path: Path) -> None:
    module, x = case(name)
    model = from_torch(module.eval(), x)
    save(tmp_path / "m.bson", model=model)
    opened = load(tmp_path / "m.bson", "model")
    assert_same_model(opened, model)
    assert torch.equal(run(opened, x), run(model, x))
    assert error(run(to_torch(opened, x), x), run(module, x)) < TOLERANCE


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_activations(activation: nn.Module, dtype: torch.dtype, tmp_path: Path) -> None:
    """By itself, in a Linear, and where no layer takes it."""
    x = torch.cat([torch.linspace(-30, 30, 20, dtype=dtype), numbers((20,)).to(dtype)]).view(5, 8)
    assert error(run(from_torch(activation), x), run(activation, x)) < TOLERANCE
    for net in (
        nn.Sequential(nn.Linear(8, 8), activation, nn.Linear(8, 2)),
        nn.Sequential(activation, nn.Dropout(0.2), activation),
    ):
        net = filled(net).to(dtype).eval()
        model = from_torch(net)
        save(tmp_path / "m.bson", model=model)
        for same in (model, to_torch(model), load(tmp_path / "m.bson", "model")):
            assert error(run(same, x), run(net, x)) < 10 * TOLERANCE
        assert_same_model(from_torch(to_torch(model)), model)


# -- more than one input or output ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name: str, tmp_path: Path) -> None:
    module, x = filled(RECURRENT[name]()).eval(), numbers((4, 6, 3))
    model = from_torch(module)
    outputs, _ = run(module, x)
    assert error(run(model, x), outputs) < TOLERANCE
    back = to_torch(model)
    assert type(back) is type(module)
    assert error(run(back, x)[0], outputs) < TOLERANCE
    assert_same_model(from_torch(back), model)
    save(tmp_path / "m.bson", model=model)
    assert torch.equal(run(load(tmp_path / "m.bson", "model"), x), run(model, x))


@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str) -> None:
    module, x, h = filled(CELLS[name]()), numbers((4, 3)), numbers((4, 5), 2)
    state: Any = (h, numbers((4, 5), 3)) if name == "lstm_cell" else h
    model = from_torch(module)
    assert error(run(model, x, state)[1], run(module, x, state)) < TOLERANCE
    assert error(run(to_torch(model), x, state), run(module, x, state)) < TOLERANCE
    assert_same_model(from_torch(to_torch(model)), model)


def test_a_language_models_parts_make_a_chain(tmp_path: Path) -> None:
    """An Embedding, an LSTM of two layers and a Linear, whose class is the user's own."""
    parts = [nn.Embedding(30, 6, padding_idx=2), nn.LSTM(6, 7, 2, dropout=0.3, batch_first=True), nn.Linear(7, 30)]
    embed, lstm, out = (filled(part).eval() for part in parts)
    words = torch.randint(0, 30, (4, 9), generator=torch.Generator().manual_seed(1))
    model = Chain(embed=from_torch(embed), lstm=from_torch(lstm), out=from_torch(out)).eval()
    theirs = run(out, run(lstm, run(embed, words))[0])
    assert error(run(model, words), theirs) < TOLERANCE
    save(tmp_path / "m.bson", model=model)
    opened = load(tmp_path / "m.bson", "model")
    assert torch.equal(run(opened, words), run(model, words))
    back = [to_torch(part) for part in opened]
    assert error(run(back[2], run(back[1], run(back[0], words))[0]), theirs) < TOLERANCE


@pytest.mark.parametrize("options", [{}, {"bias": False, "dropout": 0.2}, {"kdim": 3, "vdim": 5}])
def test_attention(options: dict[str, Any], tmp_path: Path) -> None:
    module = filled(nn.MultiheadAttention(8, 2, batch_first=True, **options)).eval()
    inputs = numbers((3, 4, 8)), numbers((3, 6, options.get("kdim", 8))), numbers((3, 6, options.get("vdim", 8)))
    model = from_torch(module)
    theirs = module(*inputs, average_attn_weights=False)
    assert error(run(model, *inputs), theirs) < TOLERANCE
    back = to_torch(model)
    assert isinstance(back, nn.MultiheadAttention)
    assert error(back(*inputs, average_attn_weights=False), theirs) < TOLERANCE
    assert_same_model(from_torch(back), model)
    save(tmp_path / "m.bson", model=model)
    assert_same_model(load(tmp_path / "m.bson", "model"), model)


def test_bilinear() -> None:
    module, x, y = filled(nn.Bilinear(3, 4, 5)), numbers((6, 3)), numbers((6, 4))
    model = from_torch(module)
    assert error(run(model, x, y), run(module, x, y)) < TOLERANCE
    assert_same_model(from_torch(to_torch(model)), model)


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_embedding_bag(mode: str) -> None:
    module = filled(nn.EmbeddingBag(9, 4, mode=mode))
    model = from_torch(module)
    words = torch.tensor([[1, 8, 3], [0, 2, 2]])
    assert error(run(model, words), run(module, words)) < TOLERANCE
    flat, at = words.flatten(), torch.tensor([0, 2])
    assert error(run(model, flat, at), run(module, flat, at)) < TOLERANCE
    assert_same_model(from_torch(to_torch(model)), model)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_an_odd_same_padding_is_on_torchs_side() -> None:
    module, x = filled(nn.Conv2d(3, 4, (4, 2), padding="same")), numbers((2, 3, 9, 8))
    model = from_torch(module)
    assert repr(model) == "Conv((2, 4), (3, 4), pad=(0, 1, 1, 2))"
    assert error(run(model, x), run(module, x)) < TOLERANCE


# -- how they are written ---------------------------------------------------------------------------------------------

LINES = [
    (nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Tanh()), "Chain(Dense(4, 3, tanh), tanh_fast)"),
    (nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)), "Chain(Dense(4, 3), softmax)"),
    (nn.Sequential(), "Chain()"),
    (nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.ReLU()), "Chain(Chain(Dense(2, 2)), relu)"),
    (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "Chain(Conv((3, 3), (1, 4)), BatchNorm(4, relu), GlobalMeanPool(), flatten)",
    ),
    (nn.Sequential(nn.Flatten(), nn.Softmax(dim=1)), "Chain(flatten, softmax)"),
    (nn.Sequential(nn.LayerNorm(4), nn.GELU()), "Chain(LayerNorm(4, gelu_erf))"),
    (nn.Sequential(nn.ZeroPad2d((1, 0, 2, 0)), nn.Conv2d(1, 2, 3, padding=1)),
     "Chain(Conv((3, 3), (1, 2), pad=(2, 1, 3, 1)))"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "line"), LINES, ids=[line for _, line in LINES])
def test_it_reads_as_flux(module: nn.Module, line: str) -> None:
    assert repr(from_torch(module)) == line


BACK = [
    Dense(4, 3, relu),
    Chain(Dense(4, 3, relu)),
    Chain(encoder=Dense(4, 3, relu), middle=relu, decoder=Chain(Dense(3, 4), softmax)),
    Conv((3, 3), (1, 2), pad=(1, 0, 2, 1)),
    Chain(Conv((3, 5), (1, 2), relu, pad=SamePad()), BatchNorm(2, relu), GlobalMeanPool(), flux.flatten),
    Chain(Conv((4, 4), (1, 2), relu, pad=SamePad()), MaxPool((2, 2))),
    Chain(Dense(4, 3, flux.Fix2(leakyrelu, 0.2)), flux.Fix2(leakyrelu, 0.2)),
    LayerNorm(4, relu),
    Chain(SkipConnection(Chain(MultiHeadAttention(4, nheads=2), flux.first, Dropout(0.1)), add), LayerNorm(4),
          SkipConnection(Chain(Dense(4, 6, relu), Dropout(0.2), Dense(6, 4), Dropout(0.3)), add), LayerNorm(4)),
]  # fmt: skip


@pytest.mark.parametrize("model", BACK, ids=repr)
def test_a_flux_model_comes_back(model: Any) -> None:
    assert_same_model(from_torch(to_torch(model)), model)


SAME_NUMBERS = [
    (CrossCor((3,), (2, 4)), (2, 2, 9)),
    (DepthwiseConv((3, 3), (2, 6)), (2, 2, 9, 8)),
    (LayerNorm(6, eps=0.1, eps_rule="squared"), (3, 6)),
    (LayerNorm(6, eps_rule="none"), (3, 6)),
    (Chain(Conv((2, 2), (1, 2), pad=(1, 2)), relu), (1, 1, 5, 5)),
    (Chain(flux.gelu_sigmoid, flux.sigmoid_fast, flux.flatten), (3, 2, 2)),
]


@pytest.mark.parametrize(("model", "shape"), SAME_NUMBERS, ids=[repr(model) for model, _ in SAME_NUMBERS])
def test_what_torch_writes_in_another_way(model: Any, shape: tuple[int, ...]) -> None:
    x = numbers(shape)
    module = to_torch(model)
    assert error(run(module, x), run(model, x)) < TOLERANCE
    assert error(run(from_torch(module), x), run(model, x)) < TOLERANCE


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_a_copy_shares_nothing_and_changes_nothing() -> None:
    module, x = case("vgg")
    module.train()
    before = [array.clone() for array in arrays(module)]
    state = torch.get_rng_state()
    model = from_torch(module, x)
    back = to_torch(model, x)
    assert torch.equal(torch.get_rng_state(), state)
    memory = [{array.untyped_storage().data_ptr() for array in arrays(each)} for each in (module, model, back)]
    assert not memory[0] & memory[1]
    assert not memory[1] & memory[2]
    assert all(map(torch.equal, arrays(module), before))
    assert all(part.training for part in [*module.modules(), *model.modules(), *back.modules()])
    assert not any(part._forward_pre_hooks for part in [*module.modules(), *model.modules()])


def test_each_layers_mode_is_kept() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Sequential(nn.Dropout(0.1)))
    net.train()[1].eval()
    net[3].eval()[0].train()
    model = from_torch(net)
    assert [part.training for part in model.modules()] == [True, True, False, False, True]
    back = to_torch(model)
    assert [part.training for part in back.modules()] == [True, True, False, False, False, True]
    frozen = BatchNorm(2, relu).eval()
    assert not from_torch(to_torch(frozen)).training


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_kept(dtype: torch.dtype) -> None:
    module, x = case("mlp")
    model = from_torch(module.to(dtype).eval(), x.to(dtype))
    assert {array.dtype for array in arrays(model)} == {dtype}
    assert {array.dtype for array in arrays(to_torch(model, x.to(dtype)))} == {dtype, torch.int64}
    assert error(run(model, x.to(dtype)), run(module, x.to(dtype))) < 3 * torch.finfo(dtype).eps


def test_what_is_frozen_stays_frozen() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    net[0].weight.requires_grad_(False)
    model = from_torch(net)
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert [p.requires_grad for p in to_torch(model).parameters()] == [False, True, True, True]


def test_tied_layers_stay_tied(tmp_path: Path) -> None:
    tied = nn.Linear(3, 3)
    other = nn.Linear(3, 3)
    other.weight = tied.weight
    net = nn.Sequential(tied, nn.ReLU(), tied, other, nn.ReLU(), tied, nn.ReLU())
    model = from_torch(net)
    assert repr(model) == "Chain(Dense(3, 3, relu), Dense(3, 3), Dense(3, 3, relu), Dense(3, 3, relu))"
    weights = {id(layer.weight) for layer in model}
    biases = [id(layer.bias) for layer in model]
    assert len(weights) == 1
    assert biases[0] == biases[1] == biases[3] != biases[2]
    save(tmp_path / "m.bson", model=model)
    for same in (model, load(tmp_path / "m.bson", "model"), to_torch(model), from_torch(to_torch(model))):
        assert len(list(same.parameters())) == 3
    model = from_torch(nn.Sequential(tied, tied))
    assert model[0] is model[1]
    back = to_torch(model)
    assert isinstance(back, nn.Sequential)
    assert back[0] is back[1]


def test_a_shared_batchnorm_keeps_one_statistic() -> None:
    norm = nn.BatchNorm1d(3)
    model = from_torch(nn.Sequential(norm, nn.ReLU(), norm))
    assert model[0] is not model[1]
    assert model[0].mean is model[1].mean


@pytest.mark.parametrize(
    ("module", "shape"), [(nn.BatchNorm2d(3), (2, 3, 4, 4)), (nn.GroupNorm(1, 3), (2, 3, 4)), (nn.LayerNorm(3), (2, 3))]
)
def test_a_norm_may_have_a_weight_and_no_bias(module: nn.Module, shape: tuple[int, ...]) -> None:
    module.register_parameter("bias", None)
    module, x = filled(module).eval(), numbers(shape)
    model = from_torch(module)
    assert error(run(model, x), run(module, x)) < TOLERANCE
    assert sum(parameter.requires_grad for parameter in model.parameters()) == 1
    assert error(run(to_torch(model, x), x), run(module, x)) < TOLERANCE


def test_an_embedding_tied_to_a_linear_is_refused_by_path() -> None:
    net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    net[1].weight = net[0].weight
    with pytest.raises(UnsupportedError, match=r"shares a weight of shape \(5, 3\) with the one at 0.*\(at 1\)"):
        from_torch(net)


def test_a_class_that_only_makes_its_members_is_a_sequential() -> None:
    class Block(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(3, 2), nn.ReLU())

    assert repr(from_torch(Block())) == "Chain(Dense(3, 2, relu))"


def test_functions_go_too() -> None:
    assert from_torch(torch.relu) is relu
    assert from_torch(F.gelu) is flux.gelu_erf
    with pytest.raises(UnsupportedError, match="neither a module"):
        from_torch(print)
    with pytest.raises(UnsupportedError, match="neither a layer"):
        to_torch(3)
