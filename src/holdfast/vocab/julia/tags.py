"""BSON.jl's tags: structs, types, symbols, references. What Python does not know stays inert and saves back as it was.

Source: BSON.jl 0.3.9's ``extensions.jl``.
"""

from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Filling, Items, Rule
from holdfast.errors import FormatError
from holdfast.julia.values import AnonymousType, Array, DataType, Ref, SimpleVector, Struct, Symbol, UnionAll, bottom
from holdfast.vocab.types import base
from holdfast.wire.values import Blob, Opaque, RawText


def struct(type_: Any, *data: Any) -> Fields:
    """The document of a Julia struct with these fields."""
    return Fields(tag="struct", type=type_, data=Items(data))


def primitive(type_: Any, raw: bytes) -> Fields:
    """The document of a Julia primitive value with these bytes."""
    return Fields(tag="struct", type=type_, data=Blob(memoryview(raw)))


def lower_struct(value: Struct) -> Fields:
    data = Blob(memoryview(value.data)) if isinstance(value.data, bytes) else Items(value.data)
    fields = Fields(tag="struct", type=value.type, data=data)
    if value.names and len(value.names) == len(value.data):
        fields["names"] = Items(value.names)
    return fields


def lift_struct(_: Fields) -> Filling:
    value = Struct()
    level = yield value
    value.type, value.data = level["type"], level["data"]
    if not isinstance(value.data, (list, bytes)):
        raise FormatError(f"the fields of a {value.name} are a {type(value.data).__name__}")
    value.names = field_names(level)


def field_names(level: Fields) -> tuple[str, ...]:
    """The names of a struct's fields, which BSON.jl does not write and JLD2 does."""
    names = level.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FormatError("the names of a struct's fields are no texts")
    if names and len(names) != len(level["data"]):
        raise FormatError(f"a struct of {len(level['data'])} fields has {len(names)} names")
    return tuple(names)


def lift_symbol(level: Fields) -> Symbol:
    if not isinstance(level["name"], str):
        raise FormatError(f"the name of a symbol is a {type(level['name']).__name__}")
    return Symbol(level["name"])


def lower_datatype(value: DataType) -> Fields:
    params = Items(value.params) if isinstance(value.params, list) else value.params
    return Fields(tag="datatype", params=params, name=Items(value.name))


def lift_datatype(_: Fields) -> Filling:
    value = DataType()
    level = yield value
    value.name, value.params = tuple(level["name"]), level["params"]
    if not all(isinstance(part, str) for part in value.name) or not isinstance(value.params, (list, np.ndarray, Array)):
        raise FormatError("a Julia type has no name or no list of parameters")


def lift_unionall(_: Fields) -> Filling:
    value = UnionAll()
    level = yield value
    value.var, value.body = level["var"], level["body"]


def lift_anonymous(_: Fields) -> Filling:
    value = AnonymousType()
    level = yield value
    value.typename, value.params = level["typename"], level["params"]


def lower_array(value: Array) -> Fields:
    data = Items(value.data) if isinstance(value.data, list) else Blob(memoryview(value.data))
    return Fields(tag="array", type=value.type, size=Items(value.size), data=data)


TAGS: Final = [
    Rule("tag", "tuple", lift=lambda level: tuple(level["data"])),
    Rule(
        "tag",
        "svec",
        (SimpleVector,),
        lower=lambda value: Fields(tag="svec", data=Items(value)),
        lift=lambda level: SimpleVector(level["data"]),
    ),
    Rule(
        "tag",
        "symbol",
        (Symbol,),
        lower=lambda value: Fields(tag="symbol", name=str(value)),
        lift=lift_symbol,
        identity=False,
        needs=frozenset({"name"}),
    ),
    Rule(
        "tag",
        "ref",
        (Ref,),
        lower=lambda value: Fields(tag="ref", path=Items(value.path)),
        lift=lambda level: Ref(level["path"]),
        needs=frozenset({"path"}),
    ),
    Rule("tag", "datatype", (DataType,), lower_datatype, lift_datatype, needs=frozenset({"name", "params"})),
    Rule(
        "tag",
        "unionall",
        (UnionAll,),
        lower=lambda value: Fields(tag="unionall", var=value.var, body=value.body),
        lift=lift_unionall,
        needs=frozenset({"var", "body"}),
    ),
    Rule(
        "tag",
        "jl_anonymous",
        (AnonymousType,),
        lower=lambda value: Fields(tag="jl_anonymous", typename=value.typename, params=_plain_list(value.params)),
        lift=lift_anonymous,
        needs=frozenset({"typename", "params"}),
    ),
    Rule(
        "tag",
        "jl_bottom_type",
        (type(bottom),),
        lower=lambda value: Fields(tag="jl_bottom_type") if value is bottom else struct(base("Missing")),
        lift=lambda level: bottom,
        identity=False,
    ),
    Rule("tag", "struct", (Struct,), lower_struct, lift_struct, needs=frozenset({"type", "data"})),
    Rule("tag", "julia.Array", (Array,), lower_array),
    Rule("tag", Opaque.__name__, lift=lambda value: value),
    Rule("tag", RawText.__name__, lift=lambda value: value),
]


def _plain_list(params: Any) -> Any:
    return Items(params) if isinstance(params, list) else params
