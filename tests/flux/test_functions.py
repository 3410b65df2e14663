"""The small parts: functions beside layers, parameters, devices, one-hot labels, first weights."""

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from flux.julia_files import reference
from holdfast import flux
from holdfast.errors import MismatchError
from holdfast.flux import (
    Chain,
    Compose,
    Dense,
    Fix1,
    Fix2,
    Params,
    cpu,
    data,
    device,
    flatten,
    glorot_normal,
    glorot_uniform,
    gpu,
    hcat,
    identity_init,
    kaiming_normal,
    kaiming_uniform,
    leakyrelu,
    maximum,
    minimum,
    nfan,
    onecold,
    onehot,
    onehotbatch,
    orthogonal,
    params,
    relu,
    truncated_normal,
    unsqueeze,
    vcat,
    vec,
)
from holdfast.flux.functions import FUNCTIONS, SAME, total


def test_flatten_keeps_julias_order() -> None:
    case = reference("0.12.1", "flatten")
    assert torch.equal(flatten(case["inputs"][0]), case["outputs"][0])


def test_shapes() -> None:
    assert flatten(torch.zeros(3)).shape == (3, 1)
    assert flatten(torch.zeros(0, 2, 3)).shape == (0, 6)
    assert vec(torch.zeros(2, 3)).shape == (6,)
    assert unsqueeze(torch.zeros(8, 5), 1).shape == (8, 5, 1)
    assert unsqueeze(torch.zeros(8, 5), 3).shape == (1, 8, 5)
    assert vcat(torch.zeros(3), torch.zeros(2)).shape == (5,)
    assert vcat(torch.zeros(4, 3), torch.zeros(4, 2)).shape == (4, 5)
    assert hcat(torch.zeros(3), torch.zeros(3)).shape == (2, 3)
    assert hcat(torch.zeros(4, 3), torch.zeros(2, 3)).shape == (6, 3)


def test_reductions() -> None:
    x = torch.tensor([[1.0, 5], [2, 3]])
    assert (maximum(x, 0).tolist(), minimum(x, 0).tolist(), total(x, 0).tolist()) == ([2, 5], [1, 3], [3, 8])


def test_tables() -> None:
    for function in FUNCTIONS.values():
        assert getattr(flux, function.__name__) is function
    assert set(SAME.values()) <= set(FUNCTIONS.values())


def test_partial_application() -> None:
    slope = Fix2(leakyrelu, 0.5)
    assert slope(torch.tensor(-2.0)).item() == -1
    assert repr(Chain(Dense(2, 2, slope), Fix1(vcat, 1))) == ("Chain(Dense(2, 2, Fix2(leakyrelu, 0.5)), Fix1(vcat, 1))")
    both = Compose(relu, Dense(3, 2))
    assert len(params(Chain(both))) == 2
    assert both(torch.ones(4, 3)).shape == (4, 2)


def test_params() -> None:
    model = Chain(Dense(3, 2), relu, Dense(2, 2))
    model[2].bias.requires_grad_(False)
    found = params(model)
    assert isinstance(found, Params)
    assert [id(p) for p in found] == [id(model[0].weight), id(model[0].bias), id(model[2].weight)]
    assert repr(found) == "Params([(2, 3), (2,), (2, 2)])"
    assert found.models == (model,)
    assert len(params(model[0], [model[0].weight, {"x": model[2]}], relu, "text", 3)) == 3


def test_data_shares_memory() -> None:
    model = Dense(3, 2)
    weights = data(params(model))
    assert [w.data_ptr() for w in weights] == [p.data_ptr() for p in params(model)]
    assert not any(w.requires_grad for w in weights)
    assert data(model)[0].data_ptr() == model.weight.data_ptr()
    assert data((model.weight, 3))[1] == 3
    assert data("text") == "text"
    assert data(model.weight).stride() == (1, 2)


def test_cpu_gives_back_what_need_not_move() -> None:
    model = Chain(Dense(3, 2), relu)
    assert cpu(model) is model
    x = torch.ones(2)
    assert cpu(x) is x
    assert cpu({"a": [x, (x, 3)]}) == {"a": [x, (x, 3)]}


def test_a_moved_model_is_a_copy_and_keeps_ties() -> None:
    layer = Dense(3, 3)
    model = Chain(layer, relu, layer, nn.BatchNorm1d(3))
    moved = device.moved(model, torch.device("meta"))
    assert moved is not model
    assert model[0].weight.device.type == "cpu"
    assert {t.device.type for t in [*moved.parameters(), *moved.buffers()]} == {"meta"}
    assert moved[0] is moved[2]
    assert moved[1] is relu
    assert moved[0].weight.stride() == (1, 3)
    assert isinstance(moved[0].weight, nn.Parameter)
    assert device.moved([model, {"x": torch.ones(1)}], torch.device("meta"))[1]["x"].device.type == "meta"


def test_gpu_without_one_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "accelerator", lambda: None)
    device._say_once.cache_clear()
    model = Dense(3, 2)
    with pytest.warns(UserWarning, match="no accelerator"):
        assert gpu(model) is model
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gpu(model) is model


def test_gpu_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "accelerator", lambda: torch.device("meta"))
    assert gpu(Dense(3, 2)).weight.device.type == "meta"


def test_onehot() -> None:
    assert onehot(3, [1, 3, 5]).tolist() == [False, True, False]
    batch = onehotbatch(torch.tensor([5, 1]), [1, 3, 5])
    assert batch.tolist() == [[False, False, True], [True, False, False]]
    assert onecold(batch).tolist() == [2, 0]
    assert onecold(batch, [1, 3, 5]) == [5, 1]
    assert onecold(torch.tensor([0.1, 0.9]), "ab") == "b"
    assert onehot("?", "abc", default="c").tolist() == [False, False, True]
    with pytest.raises(MismatchError, match=r"'\?' is none of \['a', 'b'\]"):
        onehot("?", "ab")


@pytest.mark.parametrize(("size", "fan"), [((), (1, 1)), ((4,), (1, 4)), ((5, 10), (10, 5)), ((3, 3, 2, 10), (18, 90))])
def test_nfan(size: tuple[int, ...], fan: tuple[int, int]) -> None:
    assert nfan(*size) == fan


@pytest.mark.parametrize(
    ("init", "spread", "bound"),
    [
        (glorot_uniform, (2 / 300) ** 0.5, (6 / 300) ** 0.5),
        (glorot_normal, (2 / 300) ** 0.5, None),
        (kaiming_uniform, (2 / 200) ** 0.5, (6 / 200) ** 0.5),
        (kaiming_normal, (2 / 200) ** 0.5, None),
        (truncated_normal, 0.88, 2.0),
        (orthogonal, (1 / 200) ** 0.5, 1.0),
    ],
)
def test_first_weights(init: Any, spread: float, bound: float | None) -> None:
    weight = init(100, 200, generator=torch.Generator().manual_seed(1))
    assert (tuple(weight.shape), weight.stride(), weight.dtype) == ((100, 200), (1, 100), torch.float32)
    assert weight.std().item() == pytest.approx(spread, rel=0.03)
    assert weight.mean().abs().item() < 0.05 * spread
    assert bound is None or weight.abs().max().item() <= bound + 1e-6
    assert torch.equal(weight, init(100, 200, generator=torch.Generator().manual_seed(1)))


def test_orthogonal_and_identity() -> None:
    kernel = orthogonal(3, 3, 2, 4)
    flat = kernel.permute(3, 2, 1, 0).reshape(4, -1)
    assert torch.allclose(flat @ flat.T, torch.eye(4), atol=1e-5)
    assert orthogonal(2, 6, gain=2.0).square().sum(1).tolist() == pytest.approx([4, 4], rel=1e-5)
    assert identity_init(3).tolist() == [0, 0, 0]
    assert identity_init(3, 3, 2, 2, gain=5.0)[1, 1].tolist() == [[5, 0], [0, 5]]
    assert identity_init(3, 3, 2, 2).sum() == 2


def test_everything_exported_is_there() -> None:
    assert sorted(set(flux.__all__)) == sorted(flux.__all__)
    for name in flux.__all__:
        assert getattr(flux, name) is not None
    assert copy.copy(flux.__all__) == flux.__all__
