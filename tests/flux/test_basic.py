"""Dense, Scale, Bilinear, Embedding: against Julia's outputs, against a formula, and what they refuse."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flux.julia_files import VERSIONS, error, model, outputs, reference
from holdfast.errors import MismatchError
from holdfast.flux import (
    Bilinear,
    Chain,
    Dense,
    Diagonal,
    Embedding,
    EmbeddingBag,
    Scale,
    identity,
    maximum,
    ones32,
    params,
    relu,
    tanh,
)

NAMES = [
    *("doc_model", "dense_nobias", "dense_vector_input", "diagonal"),
    *("float64", "bilinear", "scale", "dense_untracked", "float16"),
]

LINES = [
    "Dense(10, 5, relu)",
    "Dense(10, 5)",
    "Dense(5, 2, bias=False)",
    "Dense(5, 2, tanh, bias=False)",
    "Scale(4, tanh)",
    "Scale(3, 2, bias=False)",
    "Diagonal(4)",
    "Bilinear(4, 5, 3, relu)",
    "Bilinear(4, 5, 3, bias=False)",
    "Embedding(26, 4)",
    "EmbeddingBag(26, 4)",
    "EmbeddingBag(26, 4, maximum)",
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_julias_outputs(version: str, name: str) -> None:
    case = reference(version, name)
    tolerance = {torch.float64: 1e-12, torch.float16: 2e-3}.get(case["outputs"][0].dtype, 1e-6)
    layer = model(version, name)
    for ours, theirs in zip(outputs(layer, case["inputs"]), case["outputs"], strict=True):
        assert error(ours, theirs) < tolerance
        assert ours.dtype == theirs.dtype
    for ours, theirs in zip(params(layer), case["params"], strict=False):
        assert torch.equal(ours.detach().permute(*reversed(range(ours.dim()))), theirs) or ours.shape == theirs.shape


def test_julias_embedding_counts_from_one() -> None:
    case = reference("0.16.9", "embedding")
    assert error(outputs(model("0.16.9", "embedding"), [case["inputs"][0] - 1])[0], case["outputs"][0]) == 0


@pytest.mark.parametrize("line", LINES)
def test_repr_is_the_call_that_makes_it(line: str) -> None:
    layer = eval(line)
    assert repr(layer) == line
    assert [p.shape for p in eval(repr(layer)).parameters()] == [p.shape for p in layer.parameters()]


def test_the_page() -> None:
    assert repr(Dense((10, 5), relu)) == "Dense(10, 5, relu)"
    assert repr(Bilinear((4, 5), 3)) == "Bilinear(4, 5, 3)"
    assert repr(Bilinear((4, 3))) == "Bilinear(4, 4, 3)"
    assert repr(Dense(3, 2, nn.ReLU())) == "Dense(3, 2, ReLU())"


def test_weights_are_julias_memory() -> None:
    layer = Dense(10, 5)
    assert (tuple(layer.weight.shape), layer.weight.stride()) == ((5, 10), (1, 5))
    assert Bilinear(4, 5, 3).weight.stride() == (1, 3, 12)
    assert Embedding(26, 4).weight.stride() == (1, 4)
    for moved in (layer.double(), layer.to("cpu"), layer.float()):
        assert moved.weight.stride() == (1, 5)
    assert layer.weight.dtype == layer.bias.dtype == torch.float32
    assert layer.bias.tolist() == [0.0] * 5


def test_first_weights_are_glorots() -> None:
    torch.manual_seed(0)
    weight = Dense(200, 100).weight
    bound = (6 / 300) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert weight.mean().abs() < 0.002


def test_generator_and_init() -> None:
    one, other = (Dense(10, 5, generator=torch.Generator().manual_seed(3)).weight for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(Dense(3, 2, init=ones32).weight, torch.ones(2, 3))
    assert torch.equal(Dense(3, 2, init=lambda *size: torch.full(size, 7.0)).weight, torch.full((2, 3), 7.0))
    assert Dense(3, 2, bias=torch.tensor([1.0, 2.0])).bias.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Dense, (torch.randn(2, 3), torch.randn(2), relu)),
        (Dense, (torch.randn(2, 3), False, identity)),
        (Scale, (torch.randn(3), torch.randn(3), tanh)),
        (Diagonal, (torch.randn(3), torch.randn(3))),
        (Bilinear, (torch.randn(2, 3, 4), torch.randn(2), relu)),
        (Embedding, (torch.randn(2, 3),)),
        (EmbeddingBag, (torch.randn(2, 3), maximum)),
    ],
)
def test_of_takes_what_exists(kind: Any, fields: tuple[Any, ...]) -> None:
    before = torch.get_rng_state()
    layer = kind.of(*fields)
    assert torch.equal(torch.get_rng_state(), before)
    given = [field for field in fields if isinstance(field, Tensor)]
    assert [p.data_ptr() for p in layer.parameters()] == [field.data_ptr() for field in given]
    assert all(p.requires_grad for p in layer.parameters())
    again = kind.of(*[nn.Parameter(field) if isinstance(field, Tensor) else field for field in fields])
    assert repr(again) == repr(layer)


def test_of_keeps_a_parameter_that_is_shared() -> None:
    weight = nn.Parameter(torch.randn(3, 3))
    model = Chain(Dense.of(weight, torch.zeros(3)), Dense.of(weight, False))
    assert model[0].weight is model[1].weight
    assert [tuple(p.shape) for p in params(model)] == [(3, 3), (3,)]


def test_no_bias_is_false_and_not_in_the_state() -> None:
    layer = Dense(3, 2, bias=False)
    assert layer.bias is False
    assert list(layer.state_dict()) == ["weight"]
    assert torch.allclose(layer(torch.ones(3)), layer.weight.sum(1))
    layer.bias = nn.Parameter(torch.ones(2))
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_batches_vectors_and_dtypes() -> None:
    layer = Dense(4, 3, tanh)
    x = torch.randn(2, 5, 4)
    assert layer(x).shape == (2, 5, 3)
    assert torch.allclose(layer(x)[1, 2], layer(x[1, 2]), atol=1e-6)
    assert layer(x.double()).dtype == torch.float32
    assert layer(torch.ones(4, dtype=torch.int64)).dtype == torch.float32
    assert layer(torch.zeros(0, 4)).shape == (0, 3)
    assert torch.allclose(layer(x), torch.tanh(x @ layer.weight.T + layer.bias), atol=1e-6)


def test_dense_learns_and_loads() -> None:
    one, other = Dense(3, 2), Dense(3, 2)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.weight, other.weight)
    one(torch.ones(3)).sum().backward()
    assert one.weight.grad is not None


def test_scale_has_julias_sizes_reversed() -> None:
    layer = Scale(3, 2, relu)
    assert tuple(layer.scale.shape) == (2, 3)
    x = torch.randn(7, 2, 3)
    assert torch.equal(layer(x), x.clamp_min(0))
    assert torch.equal(Scale.of(torch.tensor([1.0, 2, 3, 4]), False)(torch.ones(4)), torch.tensor([1.0, 2, 3, 4]))


def test_bilinear_is_its_formula() -> None:
    layer = Bilinear(4, 5, 3, tanh)
    x, y = torch.randn(6, 4), torch.randn(6, 5)
    expected = torch.tanh(torch.einsum("ni,oij,nj->no", x, layer.weight, y) + layer.bias)
    assert torch.allclose(layer(x, y), expected, atol=1e-6)
    assert torch.equal(layer((x, y)), layer(x, y))
    assert torch.allclose(layer(x[0], y[0]), expected[0], atol=1e-6)
    square = Bilinear(4, 4, 3)
    assert torch.equal(square(x), square(x, x))


def test_embedding_by_number_and_by_row() -> None:
    layer = Embedding(5, 3)
    words = torch.tensor([[0, 4], [2, 2]])
    assert torch.equal(layer(words), layer.weight.T[words])
    assert torch.equal(layer(torch.eye(5, dtype=torch.bool)), layer.weight.T)
    assert torch.equal(layer(2), layer.weight[:, 2])


def test_embedding_bags() -> None:
    layer = EmbeddingBag(5, 3)
    table = layer.weight.T
    bags = torch.tensor([[0, 1], [2, 2]])
    assert torch.allclose(layer(bags), torch.stack([(table[0] + table[1]) / 2, table[2]]))
    assert torch.allclose(layer([[0, 1], [2, 2, 2]]), layer(bags))
    assert torch.allclose(layer(torch.tensor([0, 1, 2, 2, 2]), torch.tensor([0, 2])), layer(bags))
    assert torch.allclose(layer(torch.eye(5, dtype=torch.bool)[bags]), layer(bags), atol=1e-6)
    largest, added = EmbeddingBag.of(layer.weight, maximum), EmbeddingBag(5, 3, sum)
    assert torch.equal(largest(bags)[0], torch.maximum(table[0], table[1]))
    assert torch.allclose(added(bags)[1], 2 * added.weight[:, 2])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dense(10), "two sizes"),
        (lambda: Dense(10, 5, "relu"), "'relu' is no size and no activation"),
        (lambda: Dense(10, relu, 5), "is no size and no activation"),
        (lambda: Dense(10, -5), "-5 is no size"),
        (lambda: Dense(10, 5, bias=torch.zeros(4)), r"the bias has shape \(4,\), it needs \(5,\)"),
        (
            lambda: Dense(10, 5, relu)(torch.zeros(3, 9)),
            r"Dense\(10, 5, relu\) needs 10 features, last; got .*\(3, 9\)",
        ),
        (lambda: Dense(10, 5)(torch.tensor(1.0)), "needs 10 features"),
        (lambda: Bilinear(4), "three sizes"),
        (lambda: Bilinear(4, 5, 3)(torch.zeros(4)), "features last"),
        (lambda: Embedding(4), "two sizes"),
        (lambda: EmbeddingBag(4), "two sizes"),
    ],
)
def test_refusals_say_what_to_do(make: Any, words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        make()


def test_state_dict_is_plain() -> None:
    assert json.dumps({k: v.tolist() for k, v in Dense(2, 1, init=ones32).state_dict().items()}) == (
        '{"weight": [[1.0, 1.0]], "bias": [0.0]}'
    )
