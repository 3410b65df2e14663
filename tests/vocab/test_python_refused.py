"""What of Python's own values cannot be saved is refused by path; a file that lies about them is refused, too."""

import decimal
import io
import math
import re
import sys
import threading
import weakref
from array import array
from collections import OrderedDict, defaultdict, deque
from functools import partial
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from holdfast.errors import FormatError, LimitError, MissingError, UnsupportedError, UntrustedError
from holdfast.wire.values import Blob
from through_memory import again, lifted, saved, written

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
    "array of characters": (array("w" if sys.version_info >= (3, 13) else "u", "a"), "tounicode"),
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
