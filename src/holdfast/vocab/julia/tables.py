"""Julia's dictionaries, sets and named tuples, each as a Python one that remembers Julia's types.

Strategy: keys that Python cannot hash stand in ``ByIdentity``. Vectors of bits types go out and come in as arrays, as
Julia has them.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Filling, Items, Ready, Rule
from holdfast.errors import FormatError
from holdfast.julia.types import dtype_of, type_name
from holdfast.julia.values import Array, ByIdentity, DataType, Dict, IdDict, NamedTuple, Set
from holdfast.vocab.julia.tags import struct
from holdfast.vocab.keys import hashed, shown, spread
from holdfast.vocab.types import ANY, NOTHING, datatype, symbol
from holdfast.wire.values import Blob


def _elements(values: Any) -> list[Any]:
    """The keys or values of a dictionary: Julia writes a vector of bits types as an array."""
    if isinstance(values, np.ndarray):
        return values.tolist() if values.dtype in (np.int64, np.float64, np.bool_) else list(values)
    if isinstance(values, Array):
        return list(np.asarray(values))
    return list(values)


def _vector(values: list[Any], type_: Any) -> Any:
    """``values`` as Julia writes a vector of ``type_``."""
    dtype = dtype_of(type_)
    if dtype is not None and type_name(type_) != "UInt8":
        return np.array(values, dtype)
    if type_name(type_) == "Nothing":
        return nothings(len(values))
    return Items(values)


def nothings(count: int) -> Fields:
    """A vector of ``count`` times ``nothing``, which takes no bytes."""
    return Fields(tag="array", type=NOTHING, size=Items([count]), data=Blob(memoryview(b"")))


def _key(key: Any) -> Any:
    try:
        hash(hashed(key))
    except TypeError:
        return ByIdentity(key)
    return key


def fill_dict(value: dict[Any, Any], level: Fields) -> None:
    raw_keys, raw_values = level["data"]
    if isinstance(raw_keys, Array) and not raw_keys.data and raw_keys.size != (1,) and 0 not in raw_keys.size:
        raise FormatError(f"a dictionary has keys of size {raw_keys.size} which take no bytes: all are one")
    keys = _elements(raw_keys)
    if isinstance(raw_values, Array) and type_name(raw_values.type) == "Nothing" and len(raw_values) == len(keys):
        values = [None] * len(keys)  # an array of nothings takes no bytes, so its size alone says nothing
    else:
        values = _elements(raw_values) if len(raw_values) == len(keys) else []
    if len(keys) != len(values):
        raise FormatError(f"a dictionary has {len(keys)} keys and {len(raw_values)} values")
    value.update(zip(spread(list(map(_key, keys))), values, strict=True))
    if len(value) != len(keys):
        raise FormatError("two keys of a dictionary are equal in Python")


def lift_dict_of(kind: type[Dict] | type[IdDict]) -> Callable[[Fields], Filling]:
    def lift(_: Fields) -> Filling:
        value = kind()
        level = yield value
        value.type = level["type"]
        fill_dict(value, level)

    return lift


def lower_dict_struct(value: Dict | IdDict) -> Fields:
    keys = [key.value if isinstance(key, ByIdentity) else key for key in value]
    types = value.type.params
    data = Items([_vector(keys, types[0]), _vector(list(value.values()), types[1])])
    labels = [f"[{shown(key)}]" for key in keys]
    for part in data:
        if isinstance(part, Items):
            part.label = labels.__getitem__
    data.label = lambda index: "" if index else ".keys()"
    return Fields(tag="struct", type=value.type, data=data)


def lower_set(value: Set) -> Fields:
    """A Julia Set is a struct around a Dict whose values are nothing."""
    element = value.type.params[0]
    inner = DataType(("Main", "Base", "Dict"), [element, DataType(("Core", "Nothing"))])
    keys = _vector([key.value if isinstance(key, ByIdentity) else key for key in value], element)
    return struct(value.type, struct(inner, keys, nothings(len(value))))


def lift_set(_: Fields) -> Filling:
    value = Set()
    level = yield value
    value.type = level["type"]
    value.update(level["data"][0])


def lift_named_tuple(level: Fields) -> Any:
    names = level["type"].params[0]
    if not isinstance(names, tuple) or len(names) != len(level["data"]):
        raise FormatError(f"a NamedTuple of {len(level['data'])} values has the names {shown(names)}")
    return NamedTuple(names, level["data"], level["type"])


def lower_named_tuple(value: NamedTuple) -> Fields:
    type_ = value.type
    if type_ is None:
        names = Ready(tag="tuple", data=[symbol(name) for name in value.names])
        types = datatype("Core", "Tuple", params=[ANY] * len(value))
        type_ = datatype("Core", "NamedTuple", params=[names, types])
    fields = struct(type_, *value)
    fields["data"].label = lambda index: f".{value.names[index]}"
    return fields


TABLES: Final = [
    Rule("struct", "NamedTuple", (NamedTuple,), lower_named_tuple, lift_named_tuple),
    Rule("struct", "Base.Dict", (Dict,), lower_dict_struct, lift_dict_of(Dict)),
    Rule("struct", "Base.IdDict", (IdDict,), lower_dict_struct, lift_dict_of(IdDict)),
    Rule("struct", "Base.Set", (Set,), lower_set, lift_set),
]
