"""Instances of users' classes: state comes back without running the class, with its sharing and its cycles."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import UnsupportedError, UntrustedError
from sample_classes import (
    ALLOWED,
    HERE,
    VALUES,
    Both,
    Box,
    Config,
    Frozen,
    Half,
    Hostile,
    HostileDict,
    Locked,
    MyError,
    MyThread,
    Own,
    OwnChild,
    OwnCycle,
    Pair,
    Plain,
    Point,
    Row,
    Shadow,
    Slotted,
    Table,
    Text,
    Trap,
    Weak,
    Zone,
    local,
    make,
    slotted,
)
from through_memory import again, differences, lifted, saved, written


@pytest.fixture(autouse=True)
def _nothing_ran() -> Iterator[None]:
    Trap.sprung.clear()
    yield
    assert Trap.sprung == []


@pytest.mark.parametrize("name", VALUES)
def test_instances_come_back(name: str) -> None:
    value = VALUES[name]
    assert differences(value, again(value, ALLOWED)) == []
    assert differences([value, value], again([value, value], ALLOWED)) == []


@pytest.mark.parametrize("name", VALUES)
def test_none_is_built_unless_it_is_allowed(name: str) -> None:
    with pytest.raises(UntrustedError) as caught:
        again(VALUES[name])
    assert all(given.startswith(HERE) for given in caught.value.names)


def test_slots_come_back_and_what_was_not_set_stays_so() -> None:
    a, b = slotted(Slotted), slotted(Both)
    b.b, b.extra = 2, 3
    for other in (again(a, [Slotted]), again(b, [Both])):
        assert (other.a, other.private()) == ([1], "p")
        assert not hasattr(other, "unset")
    assert (other.b, other.extra) == (2, 3)
    assert again(make(Weak, a=1), [Weak]).a == 1


def test_the_parameters_of_a_generic_class_are_no_state() -> None:
    assert vars(again(Box[int](3), [Box])) == {"content": 3}


def test_nothing_of_the_class_runs() -> None:
    value = Hostile(1)
    vars(value).update(shown=1, a=[value])
    other = again(value, [Hostile])
    assert vars(other)["shown"] == 1
    assert vars(other)["a"][0] is other
    table = again(HostileDict({"a": 1, 2: 3}), [HostileDict])
    assert list(dict.items(table)) == [("a", 1), (2, 3)]


def test_a_field_that_a_dataclass_got_later_has_its_default() -> None:
    document = {"x": {"tag": "python", "type": f"{HERE}.Config", "state": {"lr": 0.5, "layers": [1]}}}
    assert lifted(written(document), [Config]) == Config(0.5, [1])
    del document["x"]["state"]["layers"]  # type: ignore[attr-defined]
    a, b = (lifted(written(document), [Config]) for _ in range(2))
    assert a.layers == []
    assert a.layers is not b.layers


# -- cycles -----------------------------------------------------------------------------------------------------------


def cycles() -> dict[str, Any]:
    a = Plain()
    a.own = [a]
    b = make(Pair, (1,))
    b.own = b
    c = make(Text, "c")
    c.parts = [c, {"c": c}]
    e = Plain()
    e.up = (e, (e,))
    g = Table()
    g[1] = g.own = (g,)
    h = Plain()
    h.point = Point(h, [h])
    i = OwnCycle()
    i.other = Plain()
    i.other.back = i
    return {
        "object": a,
        "tuple": b,
        "text": c,
        "in tuple": e,
        "dict": g,
        "named": h,
        "own": i,
    }


@pytest.mark.parametrize("name", cycles())
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x,), lambda x: {1: (x, x)}], ids=["bare", "tuple", "dict"])
def test_cycles_close(name: str, wrap: Any) -> None:
    value = wrap(cycles()[name])
    assert differences(value, again(value, [Plain, Pair, Text, Frozen, Table, Point, OwnCycle])) == []


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_set_holds_the_object_that_holds_it(kind: Any) -> None:
    value = Plain()
    value.members = kind([value, 1])
    (member,) = again(kind([value]), [Plain])
    for other in (again(value, [Plain]), again((value,), [Plain])[0], member):
        assert type(other.members) is kind
        assert other in other.members
        assert len(other.members) == 2


def test_a_tuple_in_its_objects_attributes_keeps_all_of_them() -> None:
    value = Plain()
    pair = (value, 1)
    value.n, value.pair = 2, pair
    other = again(pair, [Plain])
    assert vars(other[0]) == {"n": 2, "pair": other}


def test_a_long_chain_of_objects() -> None:
    value = None
    for i in range(5000):
        value = make(Plain, i=i, next=value)
    other, count = again(value, [Plain]), 0
    while other is not None:
        other, count = other.next, count + 1
    assert count == 5000


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from("lts.")), max_size=12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_graph_of_objects_comes_back(edges: list[tuple[int, int, str]], in_tuple: bool) -> None:
    nodes: list[Any] = [Plain(), Table(), Row(), Pair((1,)), Text("a"), Plain()]
    for start, end, how in edges:
        node, part = nodes[start], nodes[end]
        part = {"l": [part], "t": (part, 1), "s": {0: part}, ".": part}[how]
        if isinstance(node, Row):
            node.append(part)
        else:
            setattr(node, f"a{len(vars(node))}", part)
    value: Any = tuple(nodes) if in_tuple else nodes
    assert differences(value, again(value, [Plain, Table, Row, Pair, Text])) == []


# -- own directions ---------------------------------------------------------------------------------------------------


def test_a_class_may_give_its_own_two_directions() -> None:
    for cls in (Own, OwnChild):
        other = again(cls([1, 2]), [cls])
        assert type(other) is cls
        assert other.items == [1, 2]
        assert other.lock.acquire(blocking=False)


def test_half_of_the_two_directions_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="__lift__"):
        saved(Half())


# -- refused --------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, str, str]] = {
    "local class": (local()(), "inside a function", ""),
    "a local class itself": (local(), "inside a function", ""),
    "a lock inside": (Locked(), "lock", ".pool[0]"),
    "method of an instance": (make(Plain, act=Shadow().method), "save the object", ".act"),
    "attribute in place of a method": (make(Shadow, method=1), "method of the class", ".method"),
    "attribute of Python's": (make(Plain, __class_getitem__=1), "Python's own", ".__class_getitem__"),
    "attribute that is no text": (Plain(), "int", ".1"),
    "exception": (MyError("a"), "str", ""),
    "thread": (MyThread(), "thread", ""),
    "made in C": (Zone(), r"register\(Zone, lower=…, lift=…\)", ""),
    "made in C, of the standard library": (np.nditer(np.zeros(1)), "made in C", ""),
    "value of a NamedTuple": (Point(1, threading.Lock()), "lock", ".y"),
    "value of a Table": (Table(a=threading.Lock()), "lock", "['a']"),
    "element of a Row": (Row([0, threading.Lock()]), "lock", "[1]"),
    "attribute of a Pair": (make(Pair, own=threading.Lock()), "lock", ".own"),
}
vars(REFUSED["attribute that is no text"][0])[1] = 2  # type: ignore[index]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_path_and_what_to_do(name: str) -> None:
    value, advice, path = REFUSED[name]
    with pytest.raises(UnsupportedError, match=advice) as caught:
        saved({"m": make(Plain, net=value)})
    assert caught.value.path == f"$.x['m'].net{path}"
