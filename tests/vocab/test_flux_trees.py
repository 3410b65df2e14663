"""``Flux.setup``'s trees of state, as Optimisers.jl 0.4 has them, joined with their model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from documents import difference
from holdfast import FormatError, MismatchError, UnsupportedError, flux, inspect, load, params, restore, save
from holdfast.codec.rule import Fields, Options
from holdfast.flux import BatchNorm, Chain, Conv, Dense, Parallel, optimisers, relu, vcat
from holdfast.formats import bson
from holdfast.julia.values import DataType, NamedTuple, Struct
from holdfast.vocab import vocabulary
from holdfast.vocab.flux.kept_trees import lift_kept
from holdfast.vocab.flux.optimisers import lower_struct
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
    again, tree = load(tmp_path / "both.bson", "model"), load(tmp_path / "both.bson", "opt_state")
    assert isinstance(tree, NamedTuple)
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


# -- a tree beside its model ------------------------------------------------------------------------------------------


def trained(rule: Any) -> tuple[Chain, Any]:
    net, opt = model(), type(rule)(*rule.fields())
    opt.bind(params(net))
    step(net, opt)
    return net, opt


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(params(one), params(other), strict=True))


def document(path: Path, name: str = "opt") -> Any:
    """A tree as Julia sees it."""
    found = bson.open_file(path).document
    for key in ("python", "optimiser", "weights"):
        found[name].pop(key, None)
    return {name: found[name], "_backrefs": found["_backrefs"], "model": found["model"]}


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_loaded_beside_its_model_it_is_the_optimiser(rule: Any, tmp_path: Path) -> None:
    net, opt = trained(rule)
    save(tmp_path / "julia.bson", model=net, opt=tree_from(opt, net))
    again, driver = load(tmp_path / "julia.bson", "model", "opt")
    assert type(driver) is type(opt)
    assert [id(p) for p in driver.param_groups[0]["params"]] == [id(p) for p in params(again)]
    for _ in range(2):  # and saved again it is the tree, and comes back as the optimiser
        step(net, opt)
        step(again, driver)
        assert same(again, net)
        save(tmp_path / "again.bson", model=again, opt=driver)
        save(tmp_path / "wanted.bson", model=net, opt=tree_from(opt, net))
        assert difference(document(tmp_path / "again.bson"), document(tmp_path / "wanted.bson")) == ""
        again, driver = load(tmp_path / "again.bson", "model", "opt")
    assert isinstance(load(tmp_path / "again.bson", "opt"), type(opt))
    assert isinstance(load(tmp_path / "again.bson")["opt"], type(opt))
    assert optimiser_from(driver, again) is driver
    with pytest.raises(MismatchError, match="of another model"):
        optimiser_from(driver, net)


def test_where_there_is_not_one_model_it_stays_the_tree(tmp_path: Path) -> None:
    net, opt = trained(optimisers.Adam())
    other = Chain(Dense(3, 2))
    save(tmp_path / "m.bson", model=net, average=model(), opt=tree_from(opt, net), small=other, ck=None)
    assert isinstance(load(tmp_path / "m.bson", "opt"), NamedTuple)
    assert isinstance(load(tmp_path / "m.bson", "small", "opt")[1], NamedTuple)  # it does not fit that one
    assert isinstance(load(tmp_path / "m.bson", "model", "average", "opt")[2], NamedTuple)  # two that it fits
    assert isinstance(load(tmp_path / "m.bson", "model", "small", "opt")[2], optimisers.Adam)


def test_a_tree_of_a_part_of_the_model_stays_a_tree(tmp_path: Path) -> None:
    net = Chain(Dense(3, 2))
    part = tree(leaf(optimisers.Adam(), (zeros(2, 3), zeros(2, 3), (0.9, 0.99))), ())
    save(tmp_path / "m.bson", model=net, opt=part)
    assert isinstance(load(tmp_path / "m.bson")["opt"], NamedTuple)


def test_in_a_dictionary(tmp_path: Path) -> None:
    """``Dict(:model => model, :opt => opt_state)``; a model above will do as well."""
    net, opt = trained(optimisers.Adam())
    save(tmp_path / "m.bson", run={"model": net, "opt": tree_from(opt, net), "epoch": 3})
    run = load(tmp_path / "m.bson", "run")
    run["itself"] = run
    save(tmp_path / "m.bson", run=run)
    run = load(tmp_path / "m.bson", "run")
    assert run["itself"] is run
    assert isinstance(run["opt"], optimisers.Adam)
    assert run["opt"].param_groups[0]["params"][0] is params(run["model"])[0]


def test_what_is_no_tree_is_left_alone(tmp_path: Path) -> None:
    """Deep values, and values that hold themselves, beside a tree."""
    net, opt = trained(optimisers.Adam())
    deep: Any = ()
    for _ in range(3000):
        deep = (deep, 1)
    cycle: list[Any] = [1, 2]
    cycle.append(cycle)
    save(tmp_path / "m.bson", deep=deep, cycle=(cycle,), model=net, opt=tree_from(opt, net))
    found = load(tmp_path / "m.bson")
    assert found["cycle"][0][2] is found["cycle"][0]
    assert isinstance(found["opt"], optimisers.Adam)


def test_hyperparameters_and_frozen_weights_go_back_into_the_leaves(tmp_path: Path) -> None:
    net = Chain(Dense(3, 2), Dense(2, 1))
    opt = optimisers.Momentum()
    opt.bind(params(net))
    save(tmp_path / "m.bson", model=net, opt=tree_from(opt, net))
    net, opt = load(tmp_path / "m.bson", "model", "opt")
    del opt.param_groups[0]["params"][3]
    opt.eta = 0.5
    save(tmp_path / "m.bson", model=net, opt=opt)
    found = bson.open_file(tmp_path / "m.bson")
    for key in ("python", "optimiser", "weights"):
        found.document["opt"].pop(key)
    rules = vocabulary()
    seen = found.lift(found.audit(["opt"], rules), ["opt"], rules, Options())["opt"].layers
    assert [seen[0].weight[0].eta, seen[0].weight[2]] == [0.5, False]
    assert [seen[1].bias[0].eta, seen[1].bias[2]] == [0.01, True]
    again = load(tmp_path / "m.bson")
    assert [id(p) for p in again["opt"].param_groups[0]["params"]] == [id(p) for p in params(again["model"])[:3]]


def test_more_weights_than_the_tree_has_are_not_lost(tmp_path: Path) -> None:
    net, opt = trained(optimisers.Adam())
    save(tmp_path / "m.bson", model=net, opt=tree_from(opt, net))
    net, opt = load(tmp_path / "m.bson", "model", "opt")
    more = torch.nn.Parameter(torch.ones(2))
    opt.add_param_group({"params": [more], "lr": 0.1})
    save(tmp_path / "m.bson", model=net, opt=opt, more=more)
    again = load(tmp_path / "m.bson")
    assert again["opt"].param_groups[1]["params"][0] is again["more"]


def test_a_scheduler_holds_the_same_optimiser(tmp_path: Path) -> None:
    net, opt = trained(optimisers.Adam())
    save(tmp_path / "m.bson", model=net, opt=tree_from(opt, net))
    net, opt = load(tmp_path / "m.bson", "model", "opt")
    save(tmp_path / "m.bson", model=net, opt=opt, schedule=torch.optim.lr_scheduler.StepLR(opt, 10))
    again = load(tmp_path / "m.bson")
    assert again["schedule"].optimizer is again["opt"]
    assert again["opt"].param_groups[0]["initial_lr"] == opt.eta


def test_restore_fills_the_optimiser(tmp_path: Path) -> None:
    net, opt = trained(optimisers.Adam())
    save(tmp_path / "m.bson", model=net, opt=tree_from(opt, net))
    live, driver = trained(optimisers.Adam())
    step(live, driver, 3)
    restore(tmp_path / "m.bson", model=live, opt=driver)
    step(net, opt)
    step(live, driver)
    assert same(net, live)


def test_a_kernel_s_state_has_julia_s_axes(tmp_path: Path) -> None:
    net, opt = trained(optimisers.Momentum())
    save(tmp_path / "m.bson", tree=tree_from(opt, net))
    state = load(tmp_path / "m.bson", "tree").layers[0].weight[1]
    assert inspect(tmp_path / "m.bson").find("tree.layers[0].weight.state").shape == (2, 1, 3, 2)
    assert state.shape == net[0].weight.shape


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimiser", 3, "the optimiser of a tree is 3"),
        ("weights", [], "a tree of 2 leaves has 0 weights"),
        ("weights", [1, 2], "a tree of 2 leaves has 2 weights"),
    ],
)
def test_a_damaged_tree(key: str, value: Any, message: str) -> None:
    opt, leaves = optimisers.Adam(), [leaf(optimisers.Adam(), None)] * 2
    level = {"optimiser": opt, "weights": [torch.zeros(1)] * 2, "data": leaves, key: value}
    with pytest.raises(FormatError, match=message):
        lift_kept(Fields(level))


def test_a_tree_for_an_older_flux() -> None:
    """Optimisers.jl 0.3, which came with Flux 0.14, has its rules without parameters."""
    chain = optimisers.OptimiserChain(optimisers.WeightDecay(0.1), optimisers.Rprop(0.1), optimisers.Adam())
    net = Chain(Dense(3, 2))
    chain.bind(params(net))
    rule = tree_from(chain, net, "0.14").layers[0].weight[0]
    assert [repr(lower_struct(member)["type"]) for member in rule] == ["WeightDecay", "Rprop{Float64}", "Adam"]
    rule = tree_from(chain, net).layers[0].weight[0]
    assert repr(lower_struct(rule.fields()[0])["type"]) == "WeightDecay{Float64}"
    adam = optimisers.AdamW()
    adam.bind(params(net))
    with pytest.raises(UnsupportedError, match=r"use OptimiserChain\(Adam, WeightDecay\)"):
        tree_from(adam, net, "0.14")


def test_a_cell_s_bias_has_the_name_of_its_time() -> None:
    for version, name in (("0.14", "b"), ("", "bias")):
        cell, opt = flux.LSTMCell(3, 2), optimisers.Adam()
        opt.bind(params(cell))
        assert name in tree_from(opt, cell, version).names
