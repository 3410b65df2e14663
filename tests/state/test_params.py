"""``params`` lists what a model learns; ``loadparams`` fills all of it, or nothing."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from holdfast import flux  # noqa: E402
from holdfast.errors import MismatchError  # noqa: E402
from holdfast.state.params import loadparams, params  # noqa: E402
from reference import ROOT  # noqa: E402


def model() -> Any:
    return flux.Chain(flux.Dense(10, 5, flux.relu), flux.Dense(5, 2), flux.softmax)


def values(model: Any) -> list[Any]:
    return [parameter.detach().clone() for parameter in params(model)]


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_params_in_order_and_once():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 3))
    net[2].weight = nn.Parameter(torch.zeros(3, 2))
    net.tied = net[0]
    net[0].bias.requires_grad_(False)
    found = params(net)
    expected = [net[0].weight, net[1].weight, net[1].bias, net[2].weight, net[2].bias]
    assert all(a is b for a, b in zip(found, expected, strict=True))


def test_the_page():
    saved, live = model(), model()
    weights = flux.data(params(saved))
    loadparams(live, weights)
    assert same(values(live), values(saved))
    x = torch.rand(3, 10)
    assert torch.equal(live(x), saved(x))


FORMS = {
    "tensors": values,
    "arrays": lambda net: [value.numpy() for value in values(net)],
    "double precision": lambda net: [value.double().numpy() for value in values(net)],
    "a tuple": lambda net: tuple(values(net)),
    "names": lambda net: {name: tensor.detach() for name, tensor in net.named_parameters()},
    "a state_dict": lambda net: net.state_dict(),
    "wrapped names": lambda net: {f"module.{name}": tensor for name, tensor in net.state_dict().items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_in_each_form(form):
    make = lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))  # noqa: E731
    saved, live = make(), make()
    with torch.no_grad():
        for parameter in saved.parameters():
            parameter.mul_(3).add_(1)
    held = list(live.parameters())
    loadparams(live, FORMS[form](saved))
    assert same(values(live), values(saved))
    assert all(a is b for a, b in zip(live.parameters(), held, strict=True))


def test_a_list_of_tensors_is_a_model_too():
    live = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
    loadparams(live, [np.ones(2), np.ones(3)])
    assert [parameter.sum().item() for parameter in live] == [2, 3]


MISFITS = [
    (
        lambda good: [good[0], good[0][:1]],
        ["weights[1] for 0.bias: shape (1, 3) in the weights, (2,) in the model"],
    ),
    (lambda good: good[:1], ["0.bias: no weight left for it"]),
    (lambda good: [good[0], good[1][:, 0], good[0]], ["weights[2]: shape (2, 3), nothing left to put it in"]),
    (
        lambda good: [good[0].astype(complex), good[1][:, 0]],
        ["weights[0] for 0.weight: dtype complex128 in the weights, float32 in the model"],
    ),
    (lambda good: [good[0], [0, 0]], ["weights[1]: list, not an array"]),
    (
        lambda good: {"0.weight": good[0], "0.baas": good[1][:, 0]},
        [
            "0.bias: not in the weights; did you mean '0.baas', which is there?",
            "0.baas: in the weights, not in the model",
        ],
    ),
]


@pytest.mark.parametrize(("change", "lines"), MISFITS)
def test_every_difference_is_listed_and_nothing_changed(change, lines):
    live = nn.Sequential(nn.Linear(3, 2))
    before = values(live)
    good = [np.ones((2, 3), np.float32), np.ones((2, 1), np.float32)]
    with pytest.raises(MismatchError) as found:
        loadparams(live, change(good))
    assert list(found.value.differences) == lines
    assert same(values(live), before)


@pytest.mark.parametrize("weights", [3, "text", None, {1.5}])
def test_weights_that_are_none(weights):
    with pytest.raises(MismatchError, match="pass a list of arrays"):
        loadparams(nn.Linear(1, 1), weights)


def test_a_failure_half_way_is_taken_back(monkeypatch):
    live = nn.Linear(2, 2)
    before, copy, calls = values(live), torch.Tensor.copy_, []

    def failing(self: Any, other: Any) -> Any:
        calls.append(self)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return copy(self, other)

    monkeypatch.setattr(torch.Tensor, "copy_", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        loadparams(live, [np.ones((2, 2)), np.ones(2)])
    assert same(values(live), before)


def test_torch_is_imported_when_it_is_needed():
    code = "import sys; from holdfast.state.params import params; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert done.stdout.strip() == "False"
