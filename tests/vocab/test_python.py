"""Python's own values: what is saved comes back, to the bit and with its sharing; what cannot be is refused by path."""

import argparse
import decimal
import io
import math
import operator
import random
import re
import sys
import threading
import weakref
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

from holdfast.errors import FormatError, LimitError, MissingError, UnsupportedError, UntrustedError
from holdfast.wire.read import read_document
from holdfast.wire.values import Blob
from through_memory import again, differences, lifted, saved, written

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


# -- refused ----------------------------------------------------------------------------------------------------------


def _generator() -> Any:
    yield 1


async def _coroutine() -> None: ...


def _top_level() -> None: ...


def _deep(depth: int) -> Any:
    value: Any = ()
    for _ in range(depth):
        value = (value,)
    return value


class Ticker:
    def tick(self) -> None: ...


TZIF = b"TZif" + bytes(36 - 4) + b"\0\0\0\1" + b"\0\0\0\4" + bytes(6) + b"UTC\0"
"""The smallest file of a time zone."""

REFUSED: dict[str, tuple[Any, str]] = {
    "lock": (threading.Lock(), "lock"),
    "reentrant lock": (threading.RLock(), "lock"),
    "thread": (threading.Thread(), "thread"),
    "event": (threading.Event(), "lock"),
    "open file": (sys.__stdout__, "file"),
    "text in memory": (io.StringIO("a"), "what is in it"),
    "generator": (_generator(), "list"),
    "module": (math, "import it"),
    "lambda": (lambda: 1, "lambda"),
    "function": (_top_level, r"register\(_top_level\)"),
    "method": (Ticker().tick, "save the object"),
    "built-in method": ([].append, "save the object"),
    "method of a class": (str.lower, "write a function"),
    "system": (__import__("os").system, "register"),
    "eval": (eval, "register"),
    "open": (open, "register"),
    "weak reference": (weakref.ref(Ticker), "the object itself"),
    "pattern": (re.compile("a"), "pattern"),
    "exception": (ValueError("a"), r"str\(error\)"),
    "type hint": (list[int], "text"),
    "memoryview": (memoryview(b"a"), r"bytes\(view\)"),
    "iterator": (iter([1]), "made in C"),
    "map": (map(len, []), "made in C"),
    "property": (property(), "made in C"),
    "factory": (defaultdict(lambda: 1), "default_factory"),
    "zone from a file": (ZoneInfo.from_file(io.BytesIO(TZIF)), r"ZoneInfo\(key\)"),
    "array of characters": (array("u", "a"), "tounicode"),
    "partial of an object": (partial(Ticker().tick), "parts"),
    "partial of a lambda": (partial(lambda: 1), "lambda"),
    "deep key": ({_deep(101): 1}, "deep"),
    "deep member": ({_deep(101)}, "deep"),
    "wide key": ({(0,) * 10_001: 1}, "parts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_path_and_what_to_do(name: str) -> None:
    value, advice = REFUSED[name]
    with pytest.raises(UnsupportedError, match=advice) as caught:
        saved({"model": [0, (SimpleNamespace(act=value),)]})
    assert caught.value.path.startswith("$.x['model'][1][0].act"), caught.value.path


PATHS = {
    "$.x[1]": [0, ...],
    "$.x['a b']": {"a b": ...},
    "$.x[3]": {3: ...},
    "$.x[<tuple>]": {(1,): ...},
    "$.x[2].a": [0, 0, SimpleNamespace(a=...)],
    "$.x.layers['k'][1]": SimpleNamespace(layers=OrderedDict(k=(0, ...))),
    "$.x.args[0]": partial(max, ...),
    "$.x[1][0]": deque([0, [...]]),
}


def _with_lock(value: Any) -> Any:
    """``value`` with a lock where it has an ellipsis."""
    lock = threading.Lock()
    match value:
        case OrderedDict():
            return OrderedDict((k, _with_lock(v)) for k, v in value.items())
        case dict():
            return {k: _with_lock(v) for k, v in value.items()}
        case list() | tuple() | deque():
            return type(value)(map(_with_lock, value))
        case SimpleNamespace():
            return SimpleNamespace(**{k: _with_lock(v) for k, v in vars(value).items()})
        case partial():
            return partial(value.func, *map(_with_lock, value.args))
    return lock if value is ... else value


@pytest.mark.parametrize("path", PATHS)
def test_the_path_is_what_python_would_write(path: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        saved(_with_lock(PATHS[path]))
    assert caught.value.path == path


# -- hostile files ----------------------------------------------------------------------------------------------------


def python(name: str, state: Any, **more: Any) -> dict[str, Any]:
    return {"tag": "python", "type": name, "state": state, **more}


def struct(name: str, *data: Any, **more: Any) -> dict[str, Any]:
    return {"tag": "struct", "type": None, "python": name, "data": list(data), **more}


def blob(data: bytes) -> Blob:
    return Blob(memoryview(data))


def vector(name: str, data: bytes, size: Any, **more: Any) -> dict[str, Any]:
    return {"tag": "array", "type": None, "size": size, "data": blob(data), "python": name, **more}


def part(func: Any, args: Any) -> dict[str, Any]:
    return {"tag": "python", "type": "functools.partial", "func": func, "args": args, "keywords": {}}


MEMBERS = {"tag": "struct", "type": None, "python": "set.members", "data": [[[]], None]}

HOSTILE: dict[str, Any] = {
    "int of text": python("int", "12"),
    "text that is none": python("str", blob(b"\xff")),
    "decimal": python("decimal.Decimal", "1 or 2"),
    "decimal of a float": python("decimal.Decimal", [1]),
    "fraction by zero": python("fractions.Fraction", [1, 0]),
    "datetime out of range": python("datetime.datetime", [2020, 13, 1, 0, 0, 0, 0, 0, None]),
    "datetime of floats": python("datetime.datetime", [2020.0, 1, 1, 0, 0, 0, 0, 0, None]),
    "datetime of too few": python("datetime.datetime", [2020]),
    "datetime with a zone that is none": python("datetime.datetime", [2020, 1, 1, 0, 0, 0, 0, 0, "UTC"]),
    "time of nothing": python("datetime.time", None),
    "fold": python("datetime.time", [1, 1, 1, 1, 7, None]),
    "timedelta": python("datetime.timedelta", [10**18, 0, 0]),
    "timezone": python("datetime.timezone", [86_400_000_000, None]),
    "zone that leads away": python("zoneinfo.ZoneInfo", "../../../etc/passwd"),
    "zone of a file": python("zoneinfo.ZoneInfo", "/etc/localtime"),
    "zone of dots": python("zoneinfo.ZoneInfo", ".."),
    "zone that is none": python("zoneinfo.ZoneInfo", "leapseconds"),
    "zone of a list": python("zoneinfo.ZoneInfo", []),
    "path": python("pathlib.PosixPath", ["a"]),
    "deque too full": python("collections.deque", [1, 2], maxlen=1),
    "deque of negative length": python("collections.deque", [], maxlen=-1),
    "deque of a length that is a list": python("collections.deque", [], maxlen=[]),
    "deque of text": python("collections.deque", "abc", maxlen=None),
    "factory that is a class": struct(
        "collections.defaultdict", [], [], default_factory={"tag": "python", "type": "int (class)"}
    ),
    "factory by name": struct("collections.defaultdict", [], [], default_factory="os.system"),
    "factory missing": struct("collections.defaultdict", [], []),
    "dict of one list": struct("dict", []),
    "dict of two lengths": struct("dict", [1, 2], [1]),
    "dict of equal keys": struct("dict", [1, 1.0], [1, 2]),
    "dict of texts": struct("dict", "ab", "cd"),
    "key that cannot be one": struct("dict", [[]], [1]),
    "Counter of two lengths": struct("collections.Counter", [1], []),
    "OrderedDict of equal keys": struct("collections.OrderedDict", ["a", "a"], [1, 2]),
    "member that cannot be one": struct("set", MEMBERS),
    "set of text": struct("set", "abc"),
    "set of equals": struct("set", {**MEMBERS, "data": [[1, True], None]}),
    "frozenset of nothing": struct("frozenset"),
    "slice": python("slice", [1]),
    "mappingproxy of a list": python("types.MappingProxyType", [[1]]),
    "partial of text": part("len", {"tag": "tuple", "data": []}),
    "partial of a list": part({"tag": "python", "type": "len"}, []),
    "random": python("random.Random", [3, [], None]),
    "bytearray too long": vector("bytearray", b"ab", [3]),
    "bytearray of no size": vector("bytearray", b"ab", []),
    "bytearray of text": {**vector("bytearray", b"", [1]), "data": "a"},
    "array of another type": vector("array.array", b"ab", [2], typecode="u"),
    "array of no type": vector("array.array", b"ab", [2]),
    "array too short": vector("array.array", b"ab", [2], typecode="q"),
    "tuple of text": {"tag": "tuple", "data": "abc"},
    "tuple of nothing": {"tag": "tuple"},
    "namespace of a list": python("types.SimpleNamespace", [1]),
    "namespace with a class": python("types.SimpleNamespace", {"__class__": 1}),
    "namespace with odd names": python("types.SimpleNamespace", struct("dict", [1], [1])),
    "attributes by themselves": python("argparse.Namespace", {"tag": "python", "type": "instance.attributes", ".a": 1}),
    "method of a Namespace": python("argparse.Namespace", {"_get_kwargs": 1}),
    "attributes of a Counter": struct("collections.Counter", [], [], state={"update": 1}),
    "python named by a number": {"tag": "python", "type": 1},
    "python without a name": {"tag": "python"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_lies_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        lifted(written({"x": HOSTILE[name]}))


def _tuples(parts: Any, count: int) -> dict[str, Any]:
    """A dictionary whose key is tuples in tuples: the last of ``count`` that hold each other ``parts`` times."""
    held = [[], *([{"tag": "backref", "ref": i}] * parts for i in range(1, count))]
    backrefs = [{"tag": "tuple", "data": data} for data in held]
    return {"x": struct("dict", [{"tag": "backref", "ref": count}], [1]), "_backrefs": backrefs}


@pytest.mark.parametrize(("parts", "count"), [(1, 5_000), (2, 60)])
@pytest.mark.parametrize("kind", ["dict", "set", "frozenset", "collections.Counter"])
def test_keys_that_would_take_the_stack_or_for_ever_are_refused(kind: str, parts: int, count: int) -> None:
    document = _tuples(parts, count)
    if "set" in kind:
        document["x"] = struct(kind, {**MEMBERS, "data": [document["x"]["data"][0], None]})
    document["x"]["python"] = kind
    with pytest.raises(LimitError):
        lifted(written(document))


def test_errors_do_not_show_what_has_no_end() -> None:
    document = _tuples(2, 60)
    for name in ("datetime.timedelta", "decimal.Decimal", "zoneinfo.ZoneInfo", "int", "datetime.datetime"):
        document["x"] = python(name, {"tag": "backref", "ref": 60})
        with pytest.raises(FormatError):
            lifted(written(document))


def test_a_zone_that_this_machine_lacks_says_what_to_install() -> None:
    with pytest.raises(MissingError, match="tzdata"):
        lifted({"x": python("zoneinfo.ZoneInfo", "Europe/Nowhere")})


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "eval", "exec", "open", "getattr", "subprocess.Popen"])
def test_functions_and_classes_come_from_the_table_only(name: str) -> None:
    for form in (name, f"{name} (class)"):
        with pytest.raises(UntrustedError) as caught:
            lifted({"x": [{"tag": "python", "type": form}]})
        assert caught.value.names == (form,)


def test_the_callers_decimal_context_does_not_count() -> None:
    with decimal.localcontext(decimal.Context(prec=3, traps=[])):
        assert str(again(decimal.Decimal("1.23456789"))) == "1.23456789"
        with pytest.raises(FormatError):
            lifted({"x": python("decimal.Decimal", "no number")})
