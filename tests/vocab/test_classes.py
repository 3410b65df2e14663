"""What a caller allows: only classes that the caller gave are ever built, and a file that lies of them is refused."""

import builtins
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from holdfast.errors import FormatError, UnsupportedError, UntrustedError
from holdfast.vocab import classes, named
from holdfast.vocab.classes import class_rule, register, registered, rules_for
from holdfast.wire.read import read_document
from sample_classes import (
    ALLOWED,
    HERE,
    Color,
    Frozen,
    FrozenSlots,
    Level,
    Locked,
    Mode,
    Number,
    Pair,
    Plain,
    Point,
    Row,
    Shadow,
    Table,
    Tags,
    Text,
    Zone,
    act,
    local,
    make,
)
from through_memory import again, differences, lifted, loaded, saved, written

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


@pytest.mark.parametrize(
    "item", ["Plain", 1, None, len.__call__, eval, lambda: 1, Plain()], ids=lambda v: type(v).__name__
)
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
        del named.NAMES[id(act)]


@pytest.mark.usefixtures("fresh")
def test_what_register_refuses() -> None:
    with pytest.raises(TypeError, match="class or a function"):
        register(1)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="lower and lift"):
        register(Plain, lower=str)
    with pytest.raises(TypeError, match="lower and lift"):
        register(act, lower=str, lift=str)
    for inside in (local(), lambda: 1):
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
