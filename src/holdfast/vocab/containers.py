"""Python's containers, as Julia's where Julia has them: list, tuple, Dict and Set.

Strategy: a ``list`` is a bare BSON array and a ``dict`` of plain names a bare document. Every other dictionary is a
Julia ``Dict{Any,Any}`` and a set a ``Set{Any}``, with Python's name in the key ``python``; the order of a dictionary is
kept. What may contain itself is lifted in two steps.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from holdfast.codec.rule import Fields, Filling, Items, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab import vectors
from holdfast.vocab.julia import nothings, struct
from holdfast.vocab.keys import hashed, savable, shown, spread
from holdfast.vocab.types import ANY, DICT, NOTHING, SET, base
from holdfast.wire.elements import MANY
from holdfast.wire.values import MAX_KEY

RESERVED: Final = frozenset({"tag", "_backrefs", "_holdfast", "xxh3", "python"})
"""Keys that make a document something else than a plain dictionary."""

LONG: Final = MAX_KEY // 4
"""Characters that are sure to fit in one name, four bytes each."""

TYPE: Final = frozenset({"type"})
"""The key of Julia's type, of which Python has no need."""

MEMBERS: Final = base("Dict", ANY, NOTHING)
"""What a Julia Set keeps its members in."""


# -- dictionaries -----------------------------------------------------------------------------------------------------


class Keyed(Fields):
    """A plain dictionary: its children are ``['key']`` in a path."""

    label = staticmethod(lambda key: f"[{key!r}]")


def is_name(key: Any) -> bool:
    """Whether ``key`` can be the name of an element of a document.

    >>> [is_name(key) for key in ("weight", "", "tag", 1, "a\\0b", "\\ud800")]
    [True, True, False, False, False, False]
    """
    return type(key) is str and len(key) <= LONG and _is_name(key)


@lru_cache(maxsize=4096)
def _is_name(key: str) -> bool:
    return key not in RESERVED and "\0" not in key and (key.isascii() or key.encode("utf-8", "ignore").decode() == key)


def are_names(keys: Collection[Any]) -> bool:
    """Whether all ``keys`` can be names; many ordinary ones are looked at as one text.

    >>> are_names(["weight", "bias"]), are_names(["weight", "tag"]), are_names([])
    (True, False, True)
    """
    if len(keys) >= MANY and set(map(type, keys)) == {str} and RESERVED.isdisjoint(keys):
        text = "".join(keys)
        if text.isascii() and "\0" not in text and max(map(len, keys)) <= LONG:
            return True
    return all(map(is_name, keys))


def lower_dict(value: dict[Any, Any]) -> Fields:
    return Keyed(value) if are_names(value) else dict_struct("dict", value.items())


def dict_struct(python: str, pairs: Iterable[tuple[Any, Any]]) -> Fields:
    """The document of a Julia ``Dict{Any,Any}`` of ``pairs``, in their order."""
    keys, values = Items(), Items()
    for key, value in pairs:
        keys.append(savable(key))
        values.append(value)
    labels = list(keys)  # the walk replaces what is in ``keys``
    keys.label = lambda index: f".keys()[{index}]"
    values.label = lambda index: f"[{shown(labels[index])}]"
    fields = struct(DICT, keys, values)
    fields["data"].label = _no_label
    fields["python"] = python
    return fields


def _no_label(_: Any) -> str:
    return ""


def pairs_of(level: Fields) -> list[tuple[Any, Any]]:
    """The keys and values of what ``dict_struct`` wrote."""
    keys, values = level["data"]
    if type(keys) is not list or type(values) is not list or len(keys) != len(values):
        raise FormatError("the keys and values of a dictionary are not two lists of one length")
    return list(zip(spread(list(map(hashed, keys))), values, strict=True))


def filled(value: Any, level: Fields) -> None:
    """Fill a dictionary, or refuse keys that fall together."""
    pairs = pairs_of(level)
    value.update(pairs)
    if len(value) != len(pairs):
        raise FormatError("two keys of a dictionary are equal")


def lift_plain_dict(_: Fields) -> Filling:
    value: dict[str, Any] = {}
    level = yield value
    value.update(level)


def lift_dict(_: Fields) -> Filling:
    value: dict[Any, Any] = {}
    level = yield value
    filled(value, level)


FACTORIES: Final[dict[str, Callable[[], Any]]] = {
    kind.__name__: kind for kind in (list, dict, set, tuple, int, float, complex, str, bytes, bool)
}
"""What a ``defaultdict`` from a file may make its values with."""


def lower_defaultdict(value: defaultdict[Any, Any]) -> Fields:
    factory = value.default_factory
    names = [name for name, known in FACTORIES.items() if known is factory]
    if factory is not None and not names:
        raise UnsupportedError(
            f"a defaultdict is saved with one of {', '.join(FACTORIES)} or None as its default_factory; "
            "set it to None or save dict(…)"
        )
    fields = dict_struct("collections.defaultdict", value.items())
    fields["default_factory"] = names[0] if names else None
    return fields


def lift_defaultdict(_: Fields) -> Filling:
    value: defaultdict[Any, Any] = defaultdict()
    level = yield value
    factory = level["default_factory"]
    if factory is not None and (type(factory) is not str or factory not in FACTORIES):
        raise FormatError(f"{shown(factory)} is not what a defaultdict from a file may make its values with")
    value.default_factory = None if factory is None else FACTORIES[factory]
    filled(value, level)


def lift_mapping_proxy(level: Fields) -> MappingProxyType[Any, Any]:
    (shows,) = level["state"]
    if type(shows) is not dict:
        raise FormatError(f"a mappingproxy shows a {type(shows).__name__}")
    return MappingProxyType(shows)


# -- sequences --------------------------------------------------------------------------------------------------------


def lift_list(value: list[Any]) -> Filling:
    # The level of a list is a fresh list that the engine fills: it can be the value itself.
    level = yield value
    if level is not value:
        value[:] = level


def lift_tuple(level: Fields) -> tuple[Any, ...]:
    return tuple(elements_of(level["data"]))


def elements_of(data: Any) -> list[Any]:
    if type(data) is not list:
        raise FormatError(f"the elements of a sequence are a {type(data).__name__}")
    return data


def lower_deque(value: deque[Any]) -> Fields:
    return Fields(tag="python", type="collections.deque", state=Items(value), maxlen=value.maxlen)


def lift_deque(early: Fields) -> Filling:
    # The length must be known to make the deque at all: it is a raw child, here before the others.
    maxlen = early.get("maxlen")
    if maxlen is not None and type(maxlen) is not int:
        raise FormatError("the maxlen of a deque is not a number")
    value: deque[Any] = deque(maxlen=maxlen)
    level = yield value
    items = elements_of(level["state"])
    if maxlen is not None and len(items) > maxlen:
        raise FormatError(f"a deque of at most {maxlen} holds {len(items)}")
    value.extend(items)


# -- sets -------------------------------------------------------------------------------------------------------------


def set_struct(python: str, value: Iterable[Any]) -> Fields:
    """The document of a Julia ``Set{Any}``: a struct around a ``Dict{Any,Nothing}``."""
    members = list(map(savable, value))
    # Texts in order: a set of texts has another order in every process, and the same value should be the same file.
    keys = Items(sorted(members) if all(type(member) is str for member in members) else members)
    keys.label = lambda index: f"{{{index}}}"
    inner = struct(MEMBERS, keys, nothings(len(keys)))
    inner["python"] = "set.members"
    fields = struct(SET, inner)
    for level in (fields["data"], inner["data"]):
        level.label = _no_label
    fields["python"] = python
    return fields


def members_of(level: Fields) -> list[Any]:
    """The members of what ``set_struct`` wrote."""
    (members,) = level["data"]
    return list(spread(list(map(hashed, elements_of(members)))))


def lift_set(_: Fields) -> Filling:
    value: set[Any] = set()
    level = yield value
    members = members_of(level)
    value.update(members)
    if len(value) != len(members):
        raise FormatError("two members of a set are equal")


def lift_frozenset(level: Fields) -> frozenset[Any]:
    members = members_of(level)
    value = frozenset(members)
    if len(value) != len(members):
        raise FormatError("two members of a set are equal")
    return value


RULES: Final = [
    Rule("tag", "list", (list,), vectors.lower_list, lift_list, plain=list),
    *vectors.RULES,
    Rule("tag", "tuple", (tuple,), lambda value: Fields(tag="tuple", data=Items(value)), lift_tuple),
    Rule("tag", "dict", (dict,), lower_dict, lift_plain_dict, plain=dict),
    Rule("python", "dict", lift=lift_dict, raw=TYPE),
    Rule("python", "collections.defaultdict", (defaultdict,), lower_defaultdict, lift_defaultdict, raw=TYPE),
    Rule(
        "python",
        "types.MappingProxyType",
        (MappingProxyType,),
        lower=lambda value: Fields(tag="python", type="types.MappingProxyType", state=Items([dict(value)])),
        lift=lift_mapping_proxy,
    ),
    Rule("python", "collections.deque", (deque,), lower_deque, lift_deque, raw=frozenset({"maxlen"})),
    Rule("python", "set", (set,), lambda value: set_struct("set", value), lift_set, raw=TYPE),
    Rule("python", "frozenset", (frozenset,), lambda value: set_struct("frozenset", value), lift_frozenset, raw=TYPE),
    Rule("python", "set.members", lift=lambda level: level["data"][0], raw=TYPE),
]
