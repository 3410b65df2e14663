"""Python's own values: what is saved comes back, to the bit, with its sharing and its cycles."""

import argparse
import decimal
import math
import operator
import random
from array import array
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from fractions import Fraction
from functools import partial
from pathlib import PosixPath, PurePosixPath, PureWindowsPath
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.wire.read import read_document
from holdfast.wire.values import Blob
from through_memory import again, differences, lifted, saved

# -- every kind, once -------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "None": None,
    "bool": [True, False],
    "int": [0, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64, 255 << 64, -(128 << 120), 10**400],
    "float": [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308],
    "complex": [1j, complex(-0.0, math.nan), complex(math.inf, -0.0)],
    "str": ["", "é", "a\0b", "\U0001f600", "\ud800", "a\udcffb", "tag"],
    "bytes": [b"", b"\0", bytes(range(256))],
    "bytearray": [bytearray(), bytearray(b"abc"), bytearray(100_000)],
    "list": [[], [[]], [1, "a", None]],
    "tuple": [(), ((),), (1, (2, [3]))],
    "dict": {"": 1, "a.b": 2, "é": {}, "$": [], "data": {"type": "struct", "size": [1]}},
    "dict of reserved names": [{name: 1} for name in ("tag", "_backrefs", "_holdfast", "xxh3", "python")],
    "dict of odd names": [{"a\0b": 1}, {"\ud800": 1}, {"n" * 70_000: 1}],
    "dict of anything": {1: "a", None: "b", (1, (2,)): [], 1.5: {}, b"x": 3, frozenset({1}): 4, True + 1: 5, "k": 6},
    "dict in its order": {3: 0, 1: 0, 2: 0},
    "set": [set(), {1, "a", None, (1, 2)}, {"b", "a"}],
    "frozenset": [frozenset(), frozenset({1, frozenset({2})})],
    "range": [range(3), range(0), range(5, 1), range(0, 10, 3), range(10, 0, -1), range(2**70, 2**70 + 5)],
    "slice": [slice(None), slice(1, "a", [2])],
    "singles": [Ellipsis, NotImplemented],
    "Decimal": [decimal.Decimal(t) for t in ("0", "-0", "1.50", "1E+999999", "NaN", "-sNaN123", "Infinity")],
    "Fraction": [Fraction(1, 3), Fraction(-5), Fraction(2**70, 3)],
    "date": [date.min, date.max, date(2019, 5, 1)],
    "datetime": [datetime.min, datetime.max, datetime(2019, 5, 1, 12, 30, 15, 250_000), datetime(2019, 5, 1, fold=1)],
    "datetime with a zone": [
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, microseconds=1), "X")),
    ],
    "time": [time.min, time.max, time(1, 2, fold=1), time(1, 2, 3, 4, tzinfo=UTC)],
    "timedelta": [timedelta.min, timedelta.max, timedelta(-1, 2, 3), timedelta(0)],
    "timezone": [UTC, timezone(timedelta(hours=1)), timezone(timedelta(0), "GMT")],
    "ZoneInfo": [
        ZoneInfo("UTC"),
        ZoneInfo("America/Argentina/Ushuaia"),
        ZoneInfo("Etc/GMT+3"),
        ZoneInfo("America/Indiana/Knox"),
    ],
    "UUID": UUID(int=2**127 + 1),
    "paths": [PurePosixPath("a/b"), PosixPath("/tmp/\udcff"), PureWindowsPath("c:\\x"), PurePosixPath()],
    "deque": [deque(), deque([1, 2], 5), deque(maxlen=0)],
    "defaultdict": [defaultdict(list, {1: [2]}), defaultdict(None, a=1), defaultdict(int)],
    "OrderedDict": [OrderedDict(), OrderedDict(b=1, a=2)],
    "Counter": Counter("abca"),
    "ChainMap": ChainMap({"a": 1}, {"b": 2}),
    "namespaces": [SimpleNamespace(a=1, tag=2), argparse.Namespace(lr=0.1, layers=[1, 2])],
    "mappingproxy": MappingProxyType({"a": [1]}),
    "partial": [partial(math.pow, 2), partial(int, base=2), partial(sorted, key=len)],
    "array": [array(code, [1, 2, 3]) for code in "bBhHiIlLqQfd"] + [array("d"), array("f", [math.nan])],
    "functions": [len, math.sqrt, operator.add, abs],
    "classes": [int, str, object, type(None), OrderedDict, datetime, Fraction, PosixPath],
}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_saved_comes_back(name: str) -> None:
    value = VALUES[name]
    assert differences(value, again(value)) == []


@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"set", "frozenset"}))  # those have no order
def test_saved_again_it_is_the_same_file(name: str) -> None:
    first = saved(VALUES[name])
    assert saved(again(VALUES[name])) == first


def test_the_order_of_a_dictionary_is_kept() -> None:
    value = OrderedDict(b=1, a=2)
    value.move_to_end("b")
    assert list(again(value)) == ["a", "b"]
    assert list(again({3: 0, 1: 0, "x": 0})) == [3, 1, "x"]


def test_attributes_of_the_standard_containers_are_kept() -> None:
    value = OrderedDict(weight=1)
    value._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    assert again(value)._metadata == {"": {"version": 1}}


@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF])
def test_the_bits_of_a_nan_are_kept(bits: int) -> None:
    value = np.uint64(bits).view(np.float64).item()
    for form in (value, [value], {"a": value}, (value,), complex(0, value)):
        assert differences(form, again(form)) == []


def test_a_random_generator_goes_on_where_it_was() -> None:
    value = random.Random(3)
    value.gauss(0, 1)
    other = again(value)
    assert [other.random() for _ in range(700)] == [value.random() for _ in range(700)]
    assert other.gauss(0, 1) == value.gauss(0, 1)


def test_a_windows_path_is_pure_elsewhere() -> None:
    document = {"x": {"tag": "python", "type": "pathlib.WindowsPath", "state": "c:\\x"}}
    assert lifted(document) == PureWindowsPath("c:\\x")


def test_a_set_of_texts_is_the_same_file_in_every_process() -> None:
    keys = read_document(saved({"b", "c", "a"})).document["x"]["data"][0]["data"][0]
    assert keys == ["a", "b", "c"]


def test_julia_sees_its_own_types() -> None:
    def shape(value: Any) -> Any:
        document = read_document(saved(value)).document
        type_ = document["x"].get("type")
        return document["x"]["tag"], type_ if not isinstance(type_, dict) else type_["name"][-1]

    assert shape({1: 2}) == ("struct", "Dict")
    assert shape({1}) == ("struct", "Set")
    assert shape((1,)) == ("tuple", None)
    assert shape(OrderedDict()) == ("struct", "Dict")
    assert shape(bytearray(b"a")) == ("array", "UInt8")
    assert shape(array("d", [1.0])) == ("array", "Float64")
    assert shape(datetime(2019, 5, 1)) == ("struct", "DateTime")
    assert shape(timedelta(1)) == ("python", "datetime.timedelta")
    assert read_document(saved(b"abc")).document["x"] == Blob(memoryview(b"abc"))


# -- sharing and cycles -----------------------------------------------------------------------------------------------


def test_what_was_one_object_is_one_object() -> None:
    shared: list[Any] = [
        [],
        {},
        (1, [2]),
        {3},
        frozenset({4}),
        deque(),
        OrderedDict(),
        bytearray(b"x"),
        SimpleNamespace(),
    ]
    value = [shared, {"again": list(shared)}, tuple(shared), {1: shared}]
    assert differences(value, again(value)) == []


def test_what_was_two_objects_is_two() -> None:
    a, b = again([[], []])
    assert a is not b


def cycles() -> dict[str, Any]:
    """Values that hold themselves, one through each kind that can."""
    a: list[Any] = []
    a.append(a)
    b: dict[str, Any] = {}
    b["b"] = b
    c: dict[Any, Any] = {}
    c[1] = c
    d: deque[Any] = deque(maxlen=3)
    d.append(d)
    e: defaultdict[Any, Any] = defaultdict(list)
    e[0] = e
    f: OrderedDict[Any, Any] = OrderedDict()
    f["f"] = f
    g = SimpleNamespace()
    g.g = g
    h: ChainMap[Any, Any] = ChainMap({})
    h["h"] = h
    i = OrderedDict(x=1)
    i.own = (i,)  # type: ignore[attr-defined]
    return dict(zip("abcdefghi", (a, b, c, d, e, f, g, h, i), strict=True))


def tuple_cycles() -> dict[str, Any]:
    """Tuples that hold themselves, through something that is filled later."""
    a: list[Any] = []
    ta = (a, 1)
    a += [ta, 2]
    b: dict[Any, Any] = {1: 0, 2: 3}
    tb = (b,)
    b[1] = tb
    c = SimpleNamespace(n=1)
    tc = (c, (c,))
    c.parts = [tc, tc[1]]
    d = SimpleNamespace(n=1)
    td = ({"k": (d,)},)
    d.up = td
    e: dict[str, Any] = {}
    te = (((e,),),)
    e["up"] = te[0]
    f: dict[Any, Any] = {}
    proxy = MappingProxyType(f)
    tf = (proxy, f)
    f["t"] = tf
    g: list[Any] = []
    tg = (partial(max, g), slice(g))
    g.append(tg)
    return {"list": ta, "dict": tb, "object": tc, "nested": td, "inner": te, "partial": tg}


@pytest.mark.parametrize("name", cycles())
def test_cycles_close(name: str) -> None:
    value = cycles()[name]
    assert differences(value, again(value)) == []
    assert differences([value, value], again([value, value])) == []


@pytest.mark.parametrize("name", tuple_cycles())
def test_cycles_through_tuples_close(name: str) -> None:
    value = tuple_cycles()[name]
    assert differences(value, again(value)) == []
    assert differences([value[0], value], again([value[0], value])) == []


def test_a_chain_of_twenty_thousand_links() -> None:
    value: Any = None
    for i in range(20_000):
        value = [i, value]
    value, count = again(value), 0
    while value is not None:
        value, count = value[1], count + 1
    assert count == 20_000


# -- properties -------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec=None, categories=None), max_size=8)
keys = st.one_of(
    texts,
    st.sampled_from(["tag", "python", "data", "type", "_backrefs", ""]),
    st.integers(),
    st.binary(max_size=4),
    st.tuples(st.integers(), texts),
    st.frozensets(st.integers(0, 3), max_size=2),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=True),
    st.complex_numbers(),
    texts,
    st.binary(max_size=20),
    st.decimals(),
    st.fractions(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 4)),
)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.tuples(inner, inner),
        st.builds(deque, st.lists(inner, max_size=3), st.sampled_from([None, 3, 10])),
        st.builds(OrderedDict, st.dictionaries(keys, inner, max_size=3)),
        st.builds(slice, inner, inner),
        st.builds(lambda value: [value, value, {"again": value}], inner),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
    ),
    max_leaves=15,
)


@given(nested)
@settings(max_examples=150, deadline=None)
def test_nested_values_come_back(value: Any) -> None:
    assert differences(value, again(value)) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_graph_of_lists_and_dictionaries_comes_back(edges: list[tuple[int, int, bool]]) -> None:
    nodes: list[Any] = [[], {}, deque(), {0: 0}, SimpleNamespace(), []]
    for start, end, in_tuple in edges:
        node, part = nodes[start], (nodes[end], start) if in_tuple else nodes[end]
        if isinstance(node, list | deque):
            node.append(part)
        elif isinstance(node, dict):
            node[f"k{len(node)}" if start == 1 else len(node)] = part
        else:
            setattr(node, f"a{len(vars(node))}", part)
    assert differences(nodes, again(nodes)) == []
    assert differences((nodes,), again((nodes,))) == []
