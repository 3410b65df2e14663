"""What a file holds becomes names and arrays, without building a class and without an end that a file could avoid."""

from typing import Any

import numpy as np
import pytest

from holdfast.codec.rule import Options
from holdfast.errors import LimitError
from holdfast.formats import bson
from holdfast.julia import NamedTuple
from holdfast.state.records import Record, Records, is_array, module_tensors, spec_of, tree_name, weights_of

A, B, C = (np.full(2, number, np.float32) for number in (1, 2, 3))


def module(parameters: Any = None, buffers: Any = None, modules: Any = None, non_persistent: Any = ()) -> Record:
    """A module's record as it comes from a file, which leaves out what is empty."""
    parts = {"parameters": parameters, "buffers": buffers, "modules": modules, "non_persistent": list(non_persistent)}
    state = {"training": True} | {name: part for name, part in parts.items() if part}
    return Record("net.Net", {"state": state})


def lifted(file: bson.File) -> Any:
    rules = Records()
    names = file.names
    return file.lift(file.audit(names, rules), names, rules, Options())


def test_module_tensors_in_the_order_of_a_state_dict():
    leaf = module({"weight": A, "bias": None}, {"mean": B, "passing": C}, non_persistent=["passing"])
    net = module({"scale": C}, modules={"0": leaf, "1": None, "2": module(), "again": leaf})
    names = ["scale", "0.weight", "0.mean", "again.weight", "again.mean"]
    assert [name for name, _ in module_tensors(net)] == names
    assert list(weights_of(net).by_name) == names


TREES = [
    ({"a": A, "b": {"c": B, "d": [C, C]}}, ["a", "b.c", "b.d.0", "b.d.1"], []),
    ({"a": A, "epoch": 3, "note": None}, ["a"], ["epoch: int", "note: NoneType"]),
    ({"net": module({"w": A})}, ["net.w"], []),
    (NamedTuple(["layers"], [(NamedTuple(["weight", "bias"], [A, False]), ())]), ["layers.0.weight"], []),
    (Record("x.Conf", {"state": {"rate": 0.1, "table": A}}), ["table"], ["rate: float"]),
    (Record("x.Empty", {}), [], []),
    (3, [], [": int"]),
]


@pytest.mark.parametrize(("value", "names", "strangers"), TREES, ids=lambda value: str(type(value).__name__))
def test_trees(value, names, strangers):
    weights = weights_of(value)
    assert (list(weights.by_name), weights.strangers) == (names, strangers)


def test_a_list_of_arrays_has_an_order():
    assert weights_of([A, B]).ordered
    assert not weights_of([A, 3]).ordered
    assert not weights_of([]).ordered
    assert not weights_of(NamedTuple(["a"], [A])).ordered


@pytest.mark.parametrize(
    ("julia", "python"),
    [("layers.1.weight", "1.weight"), ("layers.layers.0.σ²", "0.var"), ("module.γ", "gamma"), ("a.μ", "a.mean")],
)
def test_tree_names(julia, python):
    assert tree_name(julia) == python


def test_a_module_in_itself():
    net = module({"w": A}, modules={})
    net.attributes["modules"] = {"self": net}
    with pytest.raises(LimitError, match="does it hold itself"):
        weights_of(net)


def test_a_list_in_itself():
    value: list[Any] = [A, 1]
    value.append(value)
    with pytest.raises(LimitError, match="does it hold itself"):
        weights_of(value)


def test_a_module_that_stands_in_ever_more_places():
    net = module({"w": A})
    for _ in range(40):
        net = module(modules={"a": net, "b": net})
    with pytest.raises(LimitError):
        weights_of(net)


ARRAYS = [(A, True), (np.float32(1), True), (1.5, False), ([1], False), (None, False)]


@pytest.mark.parametrize(("value", "is_one"), ARRAYS)
def test_is_array(value, is_one):
    assert is_array(value) is is_one
    if is_one:
        assert spec_of(value).dtype == "float32"


# -- from a file ------------------------------------------------------------------------------------------------------


class Config:
    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.self = self

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("a class of the file was built")

    @classmethod
    def __new__(cls, *arguments: Any) -> "Config":
        return object.__new__(cls)


class Table(dict):  # type: ignore[type-arg]
    pass


def test_classes_of_a_file_are_records(file):
    value = lifted(file(c=Config(0.5), t=Table(a=1), n=[1, "x", A]))
    assert type(value["c"]) is Record
    assert (value["c"].class_name, value["c"].attributes["rate"]) == ("Config", 0.5)
    assert value["c"].attributes["self"] is value["c"]
    assert value["t"] == {"a": 1}
    assert value["n"][:2] == [1, "x"]


def test_a_registered_class_is_a_record_too(file):
    from holdfast.vocab.classes import REGISTERED, register

    register(Config, name="tests.Config")
    try:
        assert type(lifted(file(c=Config(0.5)))["c"]) is Record
    finally:
        del REGISTERED["tests.Config"]


def test_torch_values_stay_values(file):
    torch = pytest.importorskip("torch")
    value = lifted(
        file(t=torch.ones(2), p=torch.nn.Parameter(A := torch.ones(2)), d=torch.float32, m=torch.nn.Linear(2, 1))
    )
    assert (type(value["t"]), type(value["p"])) == (torch.Tensor, torch.nn.Parameter)
    assert value["d"] is torch.float32
    assert A.sum() == 2
    assert value["m"].is_module
    assert value["m"].attributes["attributes"] == {"in_features": 2, "out_features": 1}
