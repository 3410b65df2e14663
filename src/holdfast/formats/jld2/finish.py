"""What is said of a value when all its parts are there: fields without data, dictionaries, written-out numbers.

Strategy: JLD2 leaves out what a type alone says. A tuple's and a named tuple's type names all its fields, so the missing
ones are put back; a struct of somebody's keeps the names of the fields that it has, and who knows the struct fills the
rest (``vocab.flux``). All of it works in place, because others hold the same document already.
"""

from collections.abc import Callable
from itertools import zip_longest
from typing import Any, Final

from holdfast.codec.audit import type_name
from holdfast.errors import FormatError, LimitError
from holdfast.formats.jld2.numbers import elements
from holdfast.formats.jld2.type_text import core
from holdfast.vocab.containers import is_name
from holdfast.wire.values import INT64_MAX, INT64_MIN, Blob, Document

MAX_REPEATS: Final = 10_000
"""Elements of an ``NTuple``, whose type is written as one type and a number."""
MAX_DIGITS: Final = 10_000
"""Digits of a BigInt."""
MAX_NESTING: Final = 60
DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

TUPLES: Final = ("Tuple", "NTuple")
"""A tuple's type, and its short form in JLD2."""

PARTS: Final = {
    "Base.Fix1": ("f", "x"),
    "Base.Fix2": ("f", "x"),
    "Base.ComposedFunction": ("outer", "inner"),
    "Base.Pair": ("first", "second"),
    "Flux.Tracker.Call": ("func", "args"),
    "Tracker.Call": ("func", "args"),
    "Optimisers.Leaf": ("rule", "state", "frozen"),
}
"""Structs whose type parameters are the types of their first fields, in order."""


# -- types ------------------------------------------------------------------------------------------------------------


def type_document(document: Document) -> None:
    """``NTuple{3,T}``, as JLD2 abbreviates it, becomes ``Tuple{T,T,T}``."""
    params = document["params"]
    if type_name(document) == "NTuple" and len(params) == 2 and type(params[0]) is int:
        if not 0 <= params[0] <= MAX_REPEATS:
            raise LimitError(f"a tuple of {params[0]:,} elements")
        document["name"] = ["Core", "Tuple"]
        document["params"] = [params[1]] * params[0]


def fields_of(type_: Any) -> list[tuple[str, Any]] | None:
    """Name and type of each field, where the type itself says them."""
    name = type_name(type_)
    params = type_.get("params") if type(type_) is dict else None
    if type(params) is not list:
        return None
    if name in TUPLES:
        return [(str(place + 1), param) for place, param in enumerate(params)]
    if name == "NamedTuple" and len(params) == 2:
        names, types = params
        if type(names) is dict and type(types) is dict and type(names.get("data")) is list:
            words = [symbol.get("name") for symbol in names["data"] if type(symbol) is dict]
            inner = types.get("params")
            if type(inner) is list and len(words) == len(inner) == len(names["data"]):
                return list(zip(map(str, words), inner, strict=True))
        return None
    parts = PARTS.get(name)
    return list(zip_longest(parts, params)) if parts is not None and len(parts) >= len(params) else None


# -- structs ----------------------------------------------------------------------------------------------------------


def blank(type_: Document) -> Document:
    """A value without fields, so far."""
    if type_name(type_) in TUPLES:
        return {"tag": "tuple", "data": []}
    return {"tag": "struct", "type": type_, "data": []}


def fields(document: Document, type_: Document, names: list[str], depth: int = 0) -> None:
    """Put the fields that have no data in their places, and keep the names where only the file knows them."""
    known = fields_of(type_)
    data = document["data"]
    if known is not None and len(known) >= len(data) and {name for name, _ in known} >= set(names):
        present = dict(zip(names, data, strict=True))
        data[:] = [present[name] if name in present else single(inner, depth + 1) for name, inner in known]
    elif document["tag"] == "struct":
        document["names"] = names


def single(type_: Any, depth: int = 0) -> Any:
    """The one value of a type without data."""
    name = type_name(type_)
    if name == "Nothing":
        return None
    if name == "TypeofBottom":
        return {"tag": "jl_bottom_type"}
    if type(type_) is not dict or depth > MAX_NESTING:
        raise FormatError("a field without data is of no type that says its value")
    document = blank(type_)
    fields(document, type_, [], depth)
    return document


# -- values that stand as another -------------------------------------------------------------------------------------


def rewritten(document: Document, name: str, parts: list[Any]) -> None:
    """The value of a type of which ``parts`` were written."""
    first = parts[0] if len(parts) == 1 else None
    if name == "SimpleVector" and type(first) is list:
        _replace(document, {"tag": "svec", "data": first})
    elif name in TUPLES and len(parts) == 1:
        _replace(document, {"tag": "tuple", "data": elements(first)})
    elif name.endswith("Dict") and (pairs := _pairs(first)) is not None:
        _replace(document, _table(document["type"], name, pairs))
    else:
        document["data"] = parts


def _replace(document: Document, other: Document) -> None:
    document.clear()
    document.update(other)


def _pairs(value: Any) -> list[tuple[Any, Any]] | None:
    """Keys and values of a vector of pairs; None for what is none."""
    if type(value) is not list:
        return None
    if not all(type(pair) is dict and pair.get("tag") == "struct" and len(pair["data"]) == 2 for pair in value):
        return None
    return [(pair["data"][0], pair["data"][1]) for pair in value]


def _table(type_: Document, name: str, pairs: list[tuple[Any, Any]]) -> Document:
    """A dictionary as BSON.jl writes it: one of symbols is a bare document, any other a struct."""
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    names = [key["name"] for key in keys if type(key) is dict and key.get("tag") == "symbol"]
    symbols = type(type_["params"]) is list and type_["params"] and type_name(type_["params"][0]) == "Symbol"
    if name == "Base.Dict" and symbols and len(names) == len(set(names)) == len(keys) and all(map(is_name, names)):
        return dict(zip(names, values, strict=True))
    return {"tag": "struct", "type": type_, "data": [keys, values]}


ROUGH: Final = ("Base.IdDict",)
"""Dictionaries that JLD2 has written as Julia keeps them, until 0.4.16."""
OPTIMISERS: Final = "Flux.Optimise."
"""Structs of Flux whose dictionaries JLD2 has written as vectors of pairs without saying so, until 0.4.50."""
IDDICT: Final = {"tag": "datatype", "name": ["Base", "IdDict"], "params": [core("Any"), core("Any")]}


def tables_in(document: Document, name: str, names: list[str]) -> None:
    """Put dictionaries in the places where JLD2 left what they are made of."""
    if name in ROUGH:
        slots = document["data"][names.index("ht")] if "ht" in names else None
        if type(slots) is list:
            pairs = [pair for pair in zip(slots[::2], slots[1::2], strict=False) if not is_undefined(pair[0])]
            _replace(document, _table(document["type"], name, [p for p in pairs if not is_undefined(p[1])]))
        return
    for place, value in enumerate(document["data"]):
        found = _pairs(value) if place >= len(names) or names[place] != "os" else None
        if found is not None:
            document["data"][place] = _table(IDDICT, "Base.IdDict", found)


UNDEFINED: Final = {"tag": "struct", "type": {"tag": "datatype", "name": ["BSON", "Undef"], "params": []}, "data": []}
"""What BSON.jl writes where Julia has not set a field."""


def is_undefined(value: Any) -> bool:
    return value is UNDEFINED


def _module(text: str) -> Document:
    return {"tag": "ref", "path": text.split(".")}


def _big_int(text: str) -> Any:
    """A BigInt, which is written with the digits 0-9, A-Z, a-z."""
    digits = text.removeprefix("-")
    if not digits or len(digits) > MAX_DIGITS or not set(digits) <= set(DIGITS):
        raise FormatError(f"a BigInt is {text[:40]!r}")
    number = 0
    for digit in digits:
        number = number * len(DIGITS) + DIGITS.index(digit)
    number = -number if text.startswith("-") else number
    if INT64_MIN <= number <= INT64_MAX:
        return number
    raw = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return {"tag": "python", "type": "int", "state": Blob(memoryview(raw))}


DIRECT: Final[dict[str, Callable[[str], Any]]] = {
    "Module": _module,
    "Base.GMP.BigInt": _big_int,
}
"""Types that are written as a text -> the value of the text."""
