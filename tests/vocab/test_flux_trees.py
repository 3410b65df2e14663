"""``Flux.setup``'s trees of state, as Optimisers.jl 0.4 has them, joined with their model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from holdfast import MismatchError, UnsupportedError, flux, load, params, save
from holdfast.flux import BatchNorm, Chain, Conv, Dense, Parallel, optimisers, relu, vcat
from holdfast.formats import bson
from holdfast.julia.values import DataType, NamedTuple, Struct
from holdfast.vocab.flux.trees import optimiser_from, tree_from


def model() -> Chain:
    torch.manual_seed(4)
    side = Parallel(vcat, a=Dense(3, 2), b=Dense(3, 1, bias=False))
    return Chain(Conv((2, 3), (1, 2), relu), BatchNorm(2), flux.flatten, Dense(2, 3), side)


def step(net: torch.nn.Module, opt: Any, count: int = 2) -> None:
    for number in range(count):
        for place, parameter in enumerate(params(net)):
            torch.manual_seed(100 * number + place)
            parameter.grad = torch.randn(parameter.shape)
        opt.step()


RULES = [
    optimisers.Descent(0.1), optimisers.Momentum(), optimisers.RMSProp(), optimisers.RMSProp(centred=True), optimisers.Adam(),
    optimisers.AdamW(0.01, lambda_=0.1), optimisers.RAdam(), optimisers.OAdam(), optimisers.AMSGrad(), optimisers.Rprop(),
    optimisers.OptimiserChain(optimisers.WeightDecay(0.1), optimisers.Adam()),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_training_goes_on(rule: Any, tmp_path: Path) -> None:
    net, opt = model(), type(rule)(*rule.fields())
    opt.bind(params(net))
    step(net, opt)
    save(tmp_path / "both.bson", model=net, opt_state=tree_from(opt, net))
    again, tree = load(tmp_path / "both.bson", "model", "opt_state")
    driver = optimiser_from(tree, again)
    assert type(driver) is type(opt)
    assert [id(p) for p in driver.param_groups[0]["params"]] == [id(p) for p in params(again)]
    step(net, opt)
    step(again, driver)
    assert all(torch.equal(a, b) for a, b in zip(params(again), params(net), strict=True))


def test_the_tree_is_julia_s(tmp_path: Path) -> None:
    net, opt = Chain(Dense(3, 2), BatchNorm(2)), optimisers.Adam()
    opt.bind(params(net))
    tree = tree_from(opt, net)
    assert tree.names == ("layers",)
    assert tree.layers[0].names == ("weight", "bias", "σ")
    assert tree.layers[1].names == ("λ", "β", "γ", "μ", "σ²", "ϵ", "momentum", "affine", "track_stats", "active", "chs")
    assert tree.layers[0].σ == ()
    leaf = tree.layers[0].weight
    assert repr(leaf.type) == (
        "Leaf{Adam{Float64, Tuple{Float64, Float64}, Float64}, "
        "Tuple{Array{Float32, 2}, Array{Float32, 2}, Tuple{Float32, Float32}}}"
    )
    save(tmp_path / "tree.bson", tree=tree)
    assert bson.open_file(tmp_path / "tree.bson").document["tree"]["type"]["name"] == ["Core", "NamedTuple"]


def leaf(rule: Any, state: Any, frozen: bool = False) -> Struct:
    return Struct(DataType(["Optimisers", "Leaf"], [DataType(["X"])] * 2), [rule, state, frozen])


def zeros(*size: int) -> np.ndarray:
    return np.zeros(size, np.float32, order="F")


def tree(weight: Any, bias: Any) -> NamedTuple:
    return NamedTuple(["layers"], [(NamedTuple(["weight", "bias", "σ"], [weight, bias, ()]),)])


def test_groups_and_frozen_weights() -> None:
    """``adjust!`` of a part, and ``freeze!``."""
    net = Chain(Dense(3, 2))
    slow, fast = optimisers.Momentum(0.1), optimisers.Momentum(0.5)
    opt = optimiser_from(tree(leaf(slow, zeros(2, 3)), leaf(fast, zeros(2))), net)
    assert [(group["lr"], group["params"]) for group in opt.param_groups] == [
        (0.1, [net[0].weight]),
        (0.5, [net[0].bias]),
    ]
    opt = optimiser_from(tree(leaf(slow, zeros(2, 3), True), leaf(slow, zeros(2))), net)
    assert [group["params"] for group in opt.param_groups] == [[net[0].bias]]


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (tree((), ()), MismatchError, "no state of a weight"),
        (
            tree(leaf(Struct(DataType(["Main", "Mine"]), [1]), None), ()),
            UnsupportedError,
            r"Mine.*\.layers\[0\]\.weight",
        ),
        (
            NamedTuple(["layers"], [((), tree((), ()), leaf(optimisers.Adam(), None))]),
            MismatchError,
            "3 layers at .layers",
        ),
        (NamedTuple(["encoder"], [leaf(optimisers.Adam(), None)]), MismatchError, "'encoder' at the top"),
        (tree((), leaf(optimisers.Momentum(), zeros(3))), Exception, r"shape \(2,\)"),
    ],
)
def test_a_tree_of_another_model(broken: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optimiser_from(broken, Chain(Dense(3, 2)))


def test_only_rules_of_today() -> None:
    with pytest.raises(UnsupportedError, match=r"holdfast\.flux\.optimisers"):
        tree_from(flux.ADAM(), Dense(2, 1))
