"""How an instance of a class keeps its state: in a built-in base (``dict``, ``str`` …), in slots, in ``__dict__``.

Strategy: an ``Anatomy`` says where, worked out once per class. State is read and written through the built-in base and
the class's own slots, so no ``__init__``, ``__new__``, ``__setstate__``, ``__setattr__`` or property of the class runs.
A class that keeps something elsewhere (made in C) has no anatomy.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partialmethod, singledispatchmethod
from types import BuiltinFunctionType, GetSetDescriptorType, MappingProxyType, MemberDescriptorType, SimpleNamespace
from typing import Any, Final

from holdfast.codec.rule import Fields, Items
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.containers import dict_struct, elements_of, members_of, pairs_of, set_struct

POINTER: Final = tuple.__itemsize__
"""Bytes of one slot."""

MANY: Final = 4096
"""Names of attributes that are remembered as good, so that a file cannot fill the memory with names."""

PASSED_OVER: Final = frozenset({"__orig_class__"})
"""Attributes that say nothing about the value: typing's note of the parameters that ``Box[int](…)`` was made with."""


# -- what a built-in base keeps ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contents:
    """What instances of a built-in type hold besides attributes.

    write   (name, instance) -> its document without the attributes
    read    the document's level -> the contents
    make    (class, contents) -> instance, for values that never change; None for those that are filled afterwards
    fill    (instance, contents)
    """

    write: Callable[[str, Any], Fields]
    read: Callable[[Fields], Any]
    make: Callable[[type, Any], Any] | None = None
    fill: Callable[[Any, Any], None] | None = None


def _scalar(kind: Any, plain: Callable[[Any], Any]) -> Contents:
    """A number or text; ``plain`` gives it without the subclass."""

    def read(level: Fields) -> Any:
        if type(level["data"]) is not kind:
            raise FormatError(f"a {level['type']} holds a {type(level['data']).__name__}, not a {kind.__name__}")
        return level["data"]

    return Contents(
        write=lambda name, value: Fields(tag="python", type=name, data=plain(value)),
        read=read,
        make=lambda cls, contents: kind.__new__(cls, contents),
    )


def _write_tuple(name: str, value: Any) -> Fields:
    data = Items(tuple.__iter__(value))
    names = getattr(type(value), "_fields", None)
    if isinstance(names, tuple):
        data.label = lambda index: f".{names[index]}"
    return Fields(tag="tuple", data=data, python=name)


def _make_tuple(cls: type, contents: list[Any]) -> Any:
    names = getattr(cls, "_fields", None)
    if isinstance(names, tuple) and len(names) != len(contents):
        raise FormatError(
            f"{cls.__qualname__} has the fields {', '.join(names)}; the file holds {len(contents)} values"
        )
    return tuple.__new__(cls, contents)


def _in_order(value: Any) -> Iterable[tuple[Any, Any]]:
    return [(key, dict.__getitem__(value, key)) for key in OrderedDict.__iter__(value)]


def _set_in_order(value: Any, pairs: list[tuple[Any, Any]]) -> None:
    for key, item in pairs:
        OrderedDict.__setitem__(value, key, item)


CONTENTS: Final[dict[type, Contents | None]] = {
    object: None,
    SimpleNamespace: None,
    int: _scalar(int, int.__int__),
    float: _scalar(float, float.__float__),
    complex: _scalar(complex, complex.__pos__),
    str: _scalar(str, str.__str__),
    bytes: _scalar(bytes, lambda value: bytes(memoryview(value))),
    tuple: Contents(_write_tuple, lambda level: elements_of(level["data"]), make=_make_tuple),
    frozenset: Contents(
        lambda name, value: set_struct(name, frozenset.__iter__(value)),
        members_of,
        make=lambda cls, contents: frozenset.__new__(cls, contents),
    ),
    set: Contents(lambda name, value: set_struct(name, set.__iter__(value)), members_of, fill=set.update),
    list: Contents(
        lambda name, value: Fields(tag="python", type=name, data=Items(list.__iter__(value))),
        lambda level: elements_of(level["data"]),
        fill=list.extend,
    ),
    dict: Contents(lambda name, value: dict_struct(name, dict.items(value)), pairs_of, fill=dict.update),
    OrderedDict: Contents(lambda name, value: dict_struct(name, _in_order(value)), pairs_of, fill=_set_in_order),
}
"""The built-in types that a class may stand on, each read and written through its own methods only."""


# -- where a class keeps its attributes -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """Where instances of ``cls`` keep what they hold."""

    cls: type
    base: Any
    slots: dict[str, MemberDescriptorType]
    dictionary: Any
    accepted: set[str] = field(default_factory=set)

    def attributes(self, value: Any, given: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
        """The attributes of ``value``, but for those that its class itself has ``given`` it.

        Raises UnsupportedError for one that could not be given back.
        """
        found = dict(self.dictionary.__get__(value)) if self.dictionary is not None else {}
        for name in PASSED_OVER & found.keys():
            del found[name]
        for name, slot in self.slots.items():
            try:
                found[name] = slot.__get__(value)
            except AttributeError:
                found.pop(name, None)
        for name in given.keys() & found.keys():
            if found[name] is given[name]:
                del found[name]
        for name in found:
            reason = self.obstacle(name)
            if reason:
                raise UnsupportedError(
                    f"an attribute of a {self.cls.__qualname__} cannot be saved: {reason}", f".{name}"
                )
        return found

    def give(self, value: Any, attributes: Any) -> None:
        """Set ``attributes`` on ``value`` as they are. Raises FormatError for what is none of this class."""
        if type(attributes) is not dict:
            raise FormatError(f"the attributes of a {self.cls.__qualname__} are a {type(attributes).__name__}")
        for name in attributes:
            reason = self.obstacle(name)
            if reason:
                raise FormatError(f"an attribute of a {self.cls.__qualname__} cannot be set: {reason}")
        for name, item in attributes.items():
            if name in self.slots:
                self.slots[name].__set__(value, item)
        rest = {name: item for name, item in attributes.items() if name not in self.slots}
        if rest:
            self.dictionary.__get__(value).update(rest)

    def obstacle(self, name: Any) -> str | None:
        """Why ``name`` cannot be an attribute, or None when it can."""
        if type(name) is not str:
            return f"its name is a {type(name).__name__}"
        if name in self.accepted:
            return None
        reason = self._obstacle(name)
        if reason is None and len(self.accepted) < MANY:
            self.accepted.add(name)
        return reason

    def _obstacle(self, name: str) -> str | None:
        if name in self.slots:
            return None
        if self.dictionary is None:
            return f"the class has no place for {name!r:.80}"
        if name.startswith("__") and name.endswith("__"):
            return f"{name!r:.80} is one of Python's own names"
        if name not in getattr(self.cls, "__dataclass_fields__", ()) and _is_method(static_attribute(self.cls, name)):
            return f"{name!r:.80} is a method of the class"
        return None


def static_attribute(cls: type, name: str) -> Any:
    """What stands under ``name`` in the class or its bases, without running anything."""
    return next((vars(ancestor)[name] for ancestor in cls.__mro__ if name in vars(ancestor)), None)


def _is_method(value: Any) -> bool:
    wrapped = isinstance(value, classmethod | staticmethod | partialmethod | singledispatchmethod)
    return wrapped or (callable(value) and hasattr(type(value), "__get__"))


def anatomy(cls: type) -> Anatomy | None:
    """Where instances of ``cls`` keep what they hold; None when some of it is out of reach of Python."""
    base = built_in_base(cls)
    own = [ancestor for ancestor in cls.__mro__ if ancestor not in base.__mro__]
    places = [(name, item) for ancestor in reversed(own) for name, item in vars(ancestor).items()]
    slots = {name: item for name, item in places if isinstance(item, MemberDescriptorType)}
    dictionary = static_attribute(cls, "__dict__")
    pointers = len([item for _, item in places if isinstance(item, MemberDescriptorType)])
    pointers += bool(cls.__dictoffset__) + bool(cls.__weakrefoffset__)
    reachable = cls.__basicsize__ <= base.__basicsize__ + POINTER * pointers and cls.__itemsize__ == base.__itemsize__
    if base not in CONTENTS or not reachable:
        return None
    if not isinstance(dictionary, GetSetDescriptorType | MemberDescriptorType | None):
        return None
    return Anatomy(cls, base, slots, dictionary)


def built_in_base(cls: type) -> Any:
    """The class, ``cls`` itself or one of its bases, whose instances C makes.

    >>> built_in_base(OrderedDict), built_in_base(type("Net", (), {}))
    (<class 'collections.OrderedDict'>, <class 'object'>)
    """
    for ancestor in cls.__mro__:
        new = vars(ancestor).get("__new__")
        if ancestor in CONTENTS or (isinstance(new, BuiltinFunctionType) and new.__self__ is ancestor):
            return ancestor
    return object
