"""Classes as users write them, of every kind, and instances of them; and traps that say when something ran."""

import enum
import functools
import threading
from abc import ABC
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

HERE = __name__
T = TypeVar("T")


class Trap:
    """Whatever runs when it should not."""

    sprung: ClassVar[list[str]] = []

    @classmethod
    def spring(cls, name: str) -> Any:
        cls.sprung.append(name)
        raise AssertionError(f"{name} ran")


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


class Locked:
    def __init__(self) -> None:
        self.pool = [threading.Lock()]


class MyError(Exception):
    pass


class MyThread(threading.Thread):
    pass


def act(x: Any) -> Any:
    return x


def make(cls: type, *args: Any, **attributes: Any) -> Any:
    value = cls(*args)
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def local() -> Any:
    """A class that no other program can name."""

    class Net:
        pass

    return Net


def slotted(cls: type) -> Any:
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
