"""Users' classes: state comes back without running the class, and only classes that the caller gave are ever built."""

import builtins
import enum
import functools
import sys
import threading
from abc import ABC
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import FormatError, UnsupportedError, UntrustedError
from holdfast.vocab import classes
from holdfast.vocab.classes import class_rule, register, registered, rules_for
from holdfast.wire.read import read_document
from through_memory import again, differences, lifted, loaded, saved, written

HERE = __name__
T = TypeVar("T")


class Trap:
    """Whatever runs when it should not."""

    sprung: ClassVar[list[str]] = []

    @classmethod
    def spring(cls, name: str) -> Any:
        cls.sprung.append(name)
        raise AssertionError(f"{name} ran")


@pytest.fixture(autouse=True)
def _nothing_ran() -> Iterator[None]:
    Trap.sprung.clear()
    yield
    assert Trap.sprung == []


# -- classes of every kind --------------------------------------------------------------------------------------------


class Plain:
    pass


class Slotted:
    __slots__ = ("__private", "a", "unset")

    def private(self, *value: Any) -> Any:
        if value:
            (self.__private,) = value
        return self.__private


class Both(Slotted):
    __slots__ = ("__dict__", "b")


class Weak:
    __slots__ = ("__weakref__", "a")


class Box(Generic[T]):
    def __init__(self, content: T) -> None:
        self.content = content


@dataclass
class Config:
    lr: float
    layers: list[int] = field(default_factory=list)
    act: Callable[..., Any] = len
    tag: str = "x"


@dataclass(frozen=True)
class Frozen:
    a: int
    b: Any = None


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    a: int
    b: Any = None


class Point(NamedTuple):
    x: Any
    y: Any = 0


class Table(dict[Any, Any]):
    pass


class Row(list[Any]):
    __slots__ = ("name",)


class Pair(tuple[Any, ...]):
    pass


class Tags(set[Any]):
    pass


class FrozenTags(frozenset[Any]):
    pass


class Ordered(OrderedDict[Any, Any]):
    pass


class Tally(Counter[str]):
    pass


class Text(str):
    pass


class Raw(bytes):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Wave(complex):
    pass


class Color(enum.Enum):
    RED = 1
    BLUE = "b"
    CRIMSON = 1  # noqa: PIE796
    PAIR = (1, [2])
    CALL = object()


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2
    BOTH = 3


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Word(enum.StrEnum):
    A = enum.auto()


class Hostile:
    """Every hook that a class has; none may run when it is loaded."""

    def __new__(cls, *args: Any) -> "Hostile":
        return Trap.spring("__new__") if not args else super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        if not args:
            Trap.spring("__init__")

    def __setattr__(self, name: str, value: Any) -> None:
        Trap.spring("__setattr__")

    def __setstate__(self, state: Any) -> None:
        Trap.spring("__setstate__")

    def __getstate__(self) -> Any:
        Trap.spring("__getstate__")

    def __reduce_ex__(self, protocol: Any) -> Any:
        Trap.spring("__reduce_ex__")

    def __getattr__(self, name: str) -> Any:
        Trap.spring("__getattr__")

    def __del__(self) -> None:
        return None

    @property
    def shown(self) -> Any:
        return Trap.spring("property")

    @shown.setter
    def shown(self, value: Any) -> None:
        Trap.spring("setter")


class HostileDict(dict[Any, Any]):
    def __init__(self, *args: Any) -> None:
        if not args:
            Trap.spring("__init__")
        dict.update(self, args[0])

    def __setitem__(self, key: Any, value: Any) -> None:
        Trap.spring("__setitem__")

    def __getitem__(self, key: Any) -> Any:
        Trap.spring("__getitem__")

    def __iter__(self) -> Any:
        Trap.spring("__iter__")

    def items(self) -> Any:
        Trap.spring("items")

    def update(self, *args: Any, **more: Any) -> None:
        Trap.spring("update")

    def __len__(self) -> int:
        return Trap.spring("__len__")


class Own:
    """A class that gives its own two directions."""

    def __init__(self, items: Any) -> None:
        self.items, self.lock = items, threading.Lock()

    def __lower__(self) -> Any:
        return {"items": self.items}

    @classmethod
    def __lift__(cls, state: Any) -> "Own":
        return cls(state["items"])


class OwnChild(Own):
    pass


class OwnCycle:
    def __lower__(self) -> Any:
        return [self.other]

    @classmethod
    def __lift__(cls, state: Any) -> Iterator[Any]:
        value = cls()
        state = yield value
        value.other = state[0]


class Half:
    def __lower__(self) -> Any:
        return 1


class Shadow:
    def method(self) -> None: ...

    @functools.cached_property
    def cached(self) -> int:
        return 5

    default: ClassVar[Any] = 3


class WithMeta(ABC):  # noqa: B024
    pass


class Zone(tzinfo):
    pass


def make(cls: type, *args: Any, **attributes: Any) -> Any:
    value = cls(*args)
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def _slotted(cls: type) -> Any:
    value = make(cls, a=[1])
    value.private("p")
    return value


VALUES: dict[str, Any] = {
    "plain": make(Plain, a=1, b=[2], weight={"c": ()}),
    "without attributes": Plain(),
    "odd attributes": make(Plain, tag="struct", type="t", data=[1], state=0, python="x", _backrefs=[]),
    "cached": make(Shadow, cached=7, default=4),
    "dataclass": Config(0.1, [1, 2]),
    "frozen": Frozen(1, Frozen(2)),
    "frozen with slots": FrozenSlots(1, [2]),
    "named tuple": [Point(1, [2]), Point(None)],
    "dict": make(Table, {1: 2, "a": [3], "tag": 0}, name="t"),
    "list": make(Row, [1, [2]], name="r"),
    "list without name": Row([1]),
    "tuple": make(Pair, (1, 2), name="p"),
    "set": make(Tags, {1, 2}, name="s"),
    "frozenset": make(FrozenTags, [1], name="f"),
    "ordered": make(Ordered, {"b": 1, "a": 2}, name="o"),
    "tally": make(Tally, "abca", name="c"),
    "str": make(Text, "a\ud800", lang="en"),
    "bytes": make(Raw, b"\0a", kind=1),
    "int": [make(Number, 5, unit="m"), Number(2**70), Number(-1)],
    "float": [make(Real, -0.0, unit="m"), Real("nan")],
    "complex": make(Wave, complex(-0.0, 2), unit="m"),
    "enum": [Color.RED, Color.CRIMSON, Color.BLUE, Color.PAIR, Color.CALL, Level.LOW, Word.A],
    "flags": [Mode.READ, Mode.READ | Mode.WRITE, Mode(0), Bits.A | Bits.B, Bits(0), Bits(8), Bits.A | Bits(16)],
    "class": [Plain, WithMeta, Color, Point],
}
ALLOWED = [Plain, Shadow, Box, Config, Frozen, FrozenSlots, Point, Table, Row, Pair, Tags, FrozenTags, Ordered, Tally]
ALLOWED += [Text, Raw, Number, Real, Wave, Color, Level, Mode, Bits, Word, WithMeta]


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
    a, b = _slotted(Slotted), _slotted(Both)
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


# -- refused ----------------------------------------------------------------------------------------------------------


def _local() -> Any:
    class Net:
        pass

    return Net


class Locked:
    def __init__(self) -> None:
        self.pool = [threading.Lock()]


class MyError(Exception):
    pass


class MyThread(threading.Thread):
    pass


REFUSED: dict[str, tuple[Any, str, str]] = {
    "local class": (_local()(), "inside a function", ""),
    "a local class itself": (_local(), "inside a function", ""),
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


# -- hostile files ----------------------------------------------------------------------------------------------------


def python(cls: type, state: Any) -> dict[str, Any]:
    return {"tag": "python", "type": f"{HERE}.{cls.__qualname__}", "state": state}


def carried(cls: type, tag: str, data: Any, **more: Any) -> dict[str, Any]:
    return {
        "tag": tag,
        "type": f"{HERE}.{cls.__qualname__}",
        "python": f"{HERE}.{cls.__qualname__}",
        "data": data,
        **more,
    }


HOSTILE: dict[str, Any] = {
    "class": python(Plain, {"__class__": 1}),
    "dict": python(Plain, {"__dict__": {}}),
    "call": python(Plain, {"__call__": {"tag": "python", "type": "len"}}),
    "method": python(Shadow, {"method": {"tag": "python", "type": "len"}}),
    "state of a list": python(Plain, [1]),
    "state of text": python(Plain, "a"),
    "no state": {"tag": "python", "type": f"{HERE}.Plain"},
    "names that are no texts": python(Plain, {"tag": "struct", "python": "dict", "type": None, "data": [[1], [1]]}),
    "slot that is none": python(FrozenSlots, {"a": 1, "c": 2}),
    "slot and dunder": python(FrozenSlots, {"__class__": 1}),
    "too many of a NamedTuple": carried(Point, "tuple", [1, 2, 3]),
    "NamedTuple of text": carried(Point, "tuple", "ab"),
    "int of text": carried(Number, "python", "5"),
    "int of a bool": carried(Number, "python", True),
    "text of a list": carried(Text, "python", []),
    "list of text": carried(Row, "python", "ab"),
    "list without a list": python(Row, {}),
    "dict of one list": carried(Table, "struct", [[1]]),
    "dict of equal keys": carried(Table, "struct", [[1, 1], [1, 1]]),
    "set of text": carried(Tags, "struct", "ab"),
    "dict's method": carried(Table, "struct", [[], []], state={"update": 1}),
    "tuple's attributes as they are not": carried(Pair, "tuple", [], state={"a": 1}),
    "tuple's dunder": carried(
        Pair, "tuple", [], state={"tag": "python", "type": "instance.attributes", ".__class__": 1}
    ),
    "no such member": python(Color, {"name": "GREEN", "value": 1}),
    "member of another value": python(Color, {"name": "RED", "value": 2}),
    "member of another type": python(Color, {"name": "RED", "value": True}),
    "member by a dunder": python(Color, {"name": "__class__"}),
    "member by a number": python(Color, {"name": 1}),
    "member by nothing": python(Color, {}),
    "member by a list": python(Color, [1]),
    "flags that are none": python(Mode, {"name": "READ|X", "value": 1}),
    "flags beyond": python(Mode, {"name": None, "value": 64}),
    "flags of text": python(Mode, {"name": "READ|WRITE", "value": "3"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_lies_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        lifted(written({"x": HOSTILE[name]}), [*ALLOWED])


def test_two_values_cannot_have_the_same_attributes() -> None:
    attributes = {"tag": "python", "type": "instance.attributes", ".a": 1}
    pair = carried(Pair, "tuple", [], state={"tag": "backref", "ref": 1})
    with pytest.raises(FormatError):
        lifted(written({"x": [pair, dict(pair)], "_backrefs": [attributes]}), [Pair])


def test_every_class_that_is_missing_is_named_with_what_to_write() -> None:
    data = saved([Plain(), Frozen(1, Color.RED), Point, {1: Row([Level.LOW])}])
    with pytest.raises(UntrustedError) as caught:
        loaded(data)
    names = ["Color", "Frozen", "Level", "Plain", "Point (class)", "Row"]
    assert caught.value.names == tuple(f"{HERE}.{name}" for name in names)
    assert "classes=[Color, Frozen, Level, Plain, Point, Row]" in str(caught.value)


def test_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = builtins.__import__

    def noted(name: str, *args: Any, **more: Any) -> Any:
        asked.append(name)
        return real(name, *args, **more)

    before = set(sys.modules)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", noted)
        for name in ("antigravity.Net", "antigravity", "os.system", "this (class)"):
            with pytest.raises(UntrustedError):
                lifted({"x": {"tag": "python", "type": name, "state": {}}})
    assert not {name for name in asked if name.split(".")[0] in ("antigravity", "os", "this")}
    assert set(sys.modules) == before


# -- classes= ---------------------------------------------------------------------------------------------------------


def renamed(data: bytes, old: str, new: str) -> bytes:
    """A file in which a class has another name of the same length."""
    assert len(old) == len(new)
    assert old.encode() in data
    return data.replace(old.encode(), new.encode())


def at_name(name: str, state: Any = None) -> dict[str, Any]:
    return {"x": {"tag": "python", "type": name, "state": {"a": 1} if state is None else state}}


def test_a_script_calls_its_classes_by_main() -> None:
    assert type(lifted(at_name("__main__.Plain"), [Plain])) is Plain
    with pytest.raises(UntrustedError):
        lifted(at_name("elsewhere.Plain"), [Plain])


def test_a_class_of_the_running_script_goes_by_the_scripts_name(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = type("Net", (), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/home/me/train.py", raising=False)
    assert type(lifted(at_name("train.Net"), [cls])) is cls
    assert type(lifted(at_name("__main__.Net"), [cls])) is cls


def test_a_class_that_moved_is_allowed_under_its_old_name() -> None:
    assert type(lifted(at_name("old.module.Net"), {"old.module.Net": Plain})) is Plain
    with pytest.raises(UntrustedError):
        lifted(at_name(f"{HERE}.Plain"), {"old.module.Net": Plain})
    assert lifted({"x": {"tag": "python", "type": "old.Net (class)"}}, {"old.Net": Plain}) is Plain


def _twin(cls: type, module: str) -> type:
    return type(cls.__name__, (), {"__module__": module})


def test_two_classes_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"two classes are called a\.Plain"):
        rules_for([_twin(Plain, "a"), _twin(Plain, "a")])
    assert rules_for([Plain, Plain])


def test_the_name_in_a_script_is_nobodys_when_two_would_share_it() -> None:
    a, b = _twin(Plain, "a"), _twin(Plain, "b")
    assert type(lifted(at_name("b.Plain"), [a, b])) is b
    with pytest.raises(UntrustedError):
        lifted(at_name("__main__.Plain"), [a, b])


@pytest.mark.parametrize("item", ["Plain", 1, None, len.__call__, eval, lambda: 1, Plain()], ids=repr)
def test_only_classes_are_allowed(item: Any) -> None:
    with pytest.raises(TypeError, match=r"not a class"):
        rules_for([item])
    with pytest.raises(TypeError, match=r"not a class"):
        rules_for({"a.b": item})


def test_names_are_texts() -> None:
    with pytest.raises(TypeError, match="int"):
        rules_for({1: Plain})  # type: ignore[dict-item]


@pytest.mark.parametrize("cls", [int, dict, list, OrderedDict, Decimal, deque, np.float64, np.ndarray, str])
def test_classes_of_our_own_tables_stay_as_they_are(cls: type) -> None:
    value = [2**70, {1: 2}, OrderedDict(a=1), Decimal("1.5"), deque([1], 2), "\ud800", cls]
    if cls not in (np.float64, np.ndarray):
        assert differences(value, again(value, [cls])) == []
    array = again([np.zeros(3), np.float64(2)], [cls])
    assert array[0].tolist() == [0, 0, 0]
    assert type(array[1]) in (float, np.float64)


def test_other_class_rules_come_first() -> None:
    def mine(cls: type) -> Any:
        asked.append(cls)

    asked: list[type] = []
    rules = rules_for([Plain], [mine, class_rule])
    assert asked == [Plain, Plain]
    assert {rule.name for rule in rules} >= {f"{HERE}.Plain", "__main__.Plain", f"{HERE}.Plain (class)"}


# -- register ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "REGISTERED", {})


@pytest.mark.usefixtures("fresh")
def test_what_is_registered_loads_without_more() -> None:
    assert register(Plain) is Plain
    register()(Frozen)
    value = [make(Plain, a=1), Frozen(2), Plain]
    assert differences(value, again(value)) == []
    assert type(lifted(at_name("__main__.Plain"))) is Plain


@pytest.mark.usefixtures("fresh")
def test_a_registered_name_is_written_and_the_old_one_still_loads() -> None:
    before = saved(make(Plain, a=1))
    register(name="net.Net")(Plain)
    register(Table, name="net.Table")
    data = saved([make(Plain, a=1), Table(a=1)])
    assert HERE.encode() not in data
    assert [type(value) for value in loaded(data)] == [Plain, Table]
    assert type(loaded(before)) is Plain


@pytest.mark.usefixtures("fresh")
def test_the_two_directions_of_a_class_made_in_c() -> None:
    register(Zone, lower=lambda zone: "here", lift=lambda state: Zone())
    assert type(again(Zone())) is Zone
    register(Locked, name="a.Locked", lower=lambda value: None, lift=lambda state: Locked())
    assert type(again(Locked())) is Locked


def _lift_ring(state: Any) -> Iterator[Any]:
    value = Plain()
    state = yield value
    value.next = state["next"]


@pytest.mark.usefixtures("fresh")
def test_a_lift_that_yields_closes_a_cycle() -> None:
    register(Plain, lower=lambda value: {"next": value.next}, lift=_lift_ring)
    value = Plain()
    value.next = value
    other = again(value)
    assert other.next is other


def act(x: Any) -> Any:
    return x


@pytest.mark.usefixtures("fresh")
def test_a_registered_function_is_saved_by_its_name() -> None:
    with pytest.raises(UnsupportedError):
        saved(act)
    register(act)
    try:
        data = saved([act, make(Plain, act=act)])
        assert loaded(data, [Plain, act])[0] is act
        classes.REGISTERED.clear()
        with pytest.raises(UntrustedError, match="act"):
            loaded(data, [Plain])
    finally:
        classes.value_rules({})
        from holdfast.vocab import named

        del named.NAMES[id(act)]


@pytest.mark.usefixtures("fresh")
def test_what_register_refuses() -> None:
    with pytest.raises(TypeError, match="class or a function"):
        register(1)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="lower and lift"):
        register(Plain, lower=str)
    with pytest.raises(TypeError, match="lower and lift"):
        register(act, lower=str, lift=str)
    for inside in (_local(), lambda: 1):
        with pytest.raises(ValueError, match="top of its module"):
            register(inside)
    register(Plain, name="a.Net")
    with pytest.raises(ValueError, match="registered already"):
        register(Frozen, name="a.Net")


@pytest.mark.usefixtures("fresh")
def test_a_cell_that_runs_twice_registers_its_class_anew() -> None:
    a, b = _twin(Plain, "cell"), _twin(Plain, "cell")
    register(a)
    register(b)
    assert type(again(b())) is b
    assert [rule for rule in registered() if a in rule.types] == []


def test_a_class_goes_by_the_name_that_it_has() -> None:
    document = read_document(saved(Plain())).document["x"]
    assert document == {"tag": "python", "type": f"{HERE}.Plain", "state": {}}
