"""Julia's values: BSON.jl's tags and the structs of Julia's Base that have a Python counterpart.

Strategy: a struct comes back as the Python value that is written as the very same Julia type (Int64 pairs as Fraction,
``Dict{Any,Any}`` as dict); where the Julia type says more, as a subclass that remembers it, and otherwise as an inert
``Struct``. Sources: BSON.jl 0.3.9's ``extensions.jl``; the layouts as Julia 1.5 writes them.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import numpy as np

from holdfast.codec.rule import Fields, Filling, Items, Ready, Rule
from holdfast.errors import FormatError
from holdfast.julia.arrays import char
from holdfast.julia.types import dtype_of, type_name
from holdfast.julia.values import (
    AnonymousType,
    Array,
    ByIdentity,
    Char,
    DataType,
    Dict,
    IdDict,
    Int128,
    NamedTuple,
    Ref,
    Set,
    SimpleVector,
    Struct,
    Symbol,
    UInt128,
    UnionAll,
    bottom,
    missing,
)
from holdfast.vocab.keys import hashed, shown
from holdfast.vocab.types import ANY, INT64, NOTHING, base, datatype, symbol
from holdfast.wire.values import INT64_MAX, INT64_MIN, Blob, Opaque, RawText


def struct(type_: Any, *data: Any) -> Fields:
    """The document of a Julia struct with these fields."""
    return Fields(tag="struct", type=type_, data=Items(data))


def primitive(type_: Any, raw: bytes) -> Fields:
    """The document of a Julia primitive value with these bytes."""
    return Fields(tag="struct", type=type_, data=Blob(memoryview(raw)))


# -- BSON.jl's tags ---------------------------------------------------------------------------------------------------


def lower_struct(value: Struct) -> Fields:
    data = Blob(memoryview(value.data)) if isinstance(value.data, bytes) else Items(value.data)
    return Fields(tag="struct", type=value.type, data=data)


def lift_struct(_: Fields) -> Filling:
    value = Struct()
    level = yield value
    value.type, value.data = level["type"], level["data"]
    if not isinstance(value.data, (list, bytes)):
        raise FormatError(f"the fields of a {value.name} are a {type(value.data).__name__}")


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
        lift=lambda level: Symbol(level["name"]),
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


# -- Numbers and texts ------------------------------------------------------------------------------------------------


def _fits(*numbers: int) -> bool:
    return all(INT64_MIN <= number <= INT64_MAX for number in numbers)


def lift_complex(level: Fields) -> Any:
    real, imag = level["data"]
    if type(real) is float and type(imag) is float:
        return complex(real, imag)
    if type(real) is np.float32 and type(imag) is np.float32:
        value = np.empty((), np.complex64)
        value.real, value.imag = real, imag
        return value[()]
    return Struct(level["type"], level["data"])


def lift_rational(level: Fields) -> Any:
    numerator, denominator = level["data"]
    if type(numerator) is int and type(denominator) is int and denominator > 0:
        value = Fraction(numerator, denominator)
        if value.numerator == numerator:
            return value
    return Struct(level["type"], level["data"])


def lower_fraction(value: Fraction) -> Fields:
    if _fits(value.numerator, value.denominator):
        return struct(base("Rational", INT64), value.numerator, value.denominator)
    return Fields(tag="python", type="fractions.Fraction", state=Items([value.numerator, value.denominator]))


def lift_fraction(level: Fields) -> Fraction:
    numerator, denominator = level["state"]
    if type(numerator) is not int or type(denominator) is not int or denominator == 0:
        raise FormatError("a Fraction is not two whole numbers")
    return Fraction(numerator, denominator)


def lift_unit_range(level: Fields) -> Any:
    start, stop = level["data"]
    if type(start) is int and type(stop) is int and stop >= start - 1:
        return range(start, stop + 1)
    return Struct(level["type"], level["data"])


def lower_range(value: range) -> Fields:
    if value.step == 1 and value.stop >= value.start and _fits(value.start, value.stop):
        return struct(base("UnitRange", INT64), value.start, value.stop - 1)
    return Fields(tag="python", type="range", state=Items([value.start, value.stop, value.step]))


def lift_range(level: Fields) -> range:
    start, stop, step = level["state"]
    return range(int(start), int(stop), int(step))


def lower_char(value: Char) -> Fields:
    return primitive(datatype("Core", "Char"), value.encode("utf-8", "surrogateescape").ljust(4, b"\0")[::-1])


def lift_wide(kind: type[int], signed: bool) -> Callable[[Fields], Any]:
    return lambda level: kind(int.from_bytes(level["data"], "little", signed=signed))


def lower_wide(name: str, signed: bool) -> Callable[[Any], Fields]:
    return lambda value: primitive(datatype("Core", name), value.to_bytes(16, "little", signed=signed))


NUMBERS: Final = [
    Rule(
        "struct",
        "Base.Complex",
        (complex,),
        lower=lambda value: struct(base("Complex", datatype("Core", "Float64")), value.real, value.imag),
        lift=lift_complex,
        identity=False,
    ),
    Rule("struct", "Base.Rational", (Fraction,), lower_fraction, lift_rational, identity=False),
    Rule("python", "fractions.Fraction", lift=lift_fraction),
    Rule("struct", "Base.UnitRange", (range,), lower_range, lift_unit_range, identity=False),
    Rule("python", "range", lift=lift_range),
    Rule("struct", "Char", (Char,), lower_char, lambda level: char(level["data"]), identity=False),
    Rule("struct", "Int128", (Int128,), lower_wide("Int128", True), lift_wide(Int128, True), identity=False),
    Rule("struct", "UInt128", (UInt128,), lower_wide("UInt128", False), lift_wide(UInt128, False), identity=False),
    Rule("struct", "Base.Missing", lift=lambda level: missing),
]


# -- Times and identifiers --------------------------------------------------------------------------------------------

EPOCH: Final = datetime(1, 1, 1)
DAY_MILLISECONDS: Final = 86_400_000
"""Julia counts days so that 0001-01-01 is day 1, as ``date.toordinal`` does, and DateTime in milliseconds likewise."""


def period(name: str, value: int) -> Fields:
    return struct(datatype("Dates", name), value)


def _instant(name: str, value: int) -> Fields:
    return struct(datatype("Dates", "UTInstant", params=[datatype("Dates", name)]), period(name, value))


def _count(level: Fields) -> int:
    """The number inside ``Date(UTInstant(Day(n)))`` and its like."""
    inner = level["data"][0]
    while isinstance(inner, Struct):
        inner = inner[0]
    return int(inner)


def lower_date(value: date) -> Fields:
    return struct(datatype("Dates", "Date"), _instant("Day", value.toordinal()))


def lift_date(level: Fields) -> Any:
    days = _count(level)
    return date.fromordinal(days) if 1 <= days <= date.max.toordinal() else Struct(level["type"], level["data"])


def lower_datetime(value: datetime) -> Fields:
    """A naive datetime of whole milliseconds is Julia's DateTime; see ``python.py`` for the others."""
    since = value - EPOCH
    milliseconds = (since.days + 1) * DAY_MILLISECONDS + since.seconds * 1000 + since.microseconds // 1000
    return struct(datatype("Dates", "DateTime"), _instant("Millisecond", milliseconds))


def lift_datetime(level: Fields) -> Any:
    milliseconds = _count(level) - DAY_MILLISECONDS
    if 0 <= milliseconds <= (datetime.max - EPOCH) // timedelta(milliseconds=1):
        return EPOCH + timedelta(milliseconds=milliseconds)
    return Struct(level["type"], level["data"])


def lower_time(value: time) -> Fields:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return struct(datatype("Dates", "Time"), period("Nanosecond", (seconds * 1_000_000 + value.microsecond) * 1000))


def lift_time(level: Fields) -> Any:
    microseconds, rest = divmod(_count(level), 1000)
    if rest or not 0 <= microseconds < DAY_MILLISECONDS * 1000:
        return Struct(level["type"], level["data"])
    return (EPOCH + timedelta(microseconds=microseconds)).time()


TIMES: Final = [
    Rule("struct", "Dates.Date", (date,), lower_date, lift_date, identity=False),
    Rule("struct", "Dates.DateTime", lift=lift_datetime),
    Rule("struct", "Dates.Time", lift=lift_time),
    Rule(
        "struct",
        "Base.UUID",
        (UUID,),
        lower=lambda value: struct(base("UUID"), UInt128(value.int)),
        lift=lambda level: UUID(int=level["data"][0]),
        identity=False,
    ),
]


# -- Dictionaries and sets --------------------------------------------------------------------------------------------


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
    keys = _elements(raw_keys)
    if isinstance(raw_values, Array) and type_name(raw_values.type) == "Nothing" and len(raw_values) == len(keys):
        values = [None] * len(keys)  # an array of nothings takes no bytes, so its size alone says nothing
    else:
        values = _elements(raw_values) if len(raw_values) == len(keys) else []
    if len(keys) != len(values):
        raise FormatError(f"a dictionary has {len(keys)} keys and {len(raw_values)} values")
    value.update(zip(map(_key, keys), values, strict=True))
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


TABLES: Final = [
    Rule("struct", "Base.Dict", (Dict,), lower_dict_struct, lift_dict_of(Dict)),
    Rule("struct", "Base.IdDict", (IdDict,), lower_dict_struct, lift_dict_of(IdDict)),
    Rule("struct", "Base.Set", (Set,), lower_set, lift_set),
]


# -- Named tuples, and what is refused --------------------------------------------------------------------------------


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


def _lost(what: str, advice: str) -> Callable[[Fields], Any]:
    def lift(level: Fields) -> Any:
        raise FormatError(
            f"a {type_name(level['type'])} was saved as {what}: its values are not in the file. {advice}",
        )

    return lift


_CUDA: Final = _lost("the address of memory on a GPU", "In Julia, save cpu(model) instead of model")
_BIG: Final = _lost("the address of memory in the process that wrote it", "In Julia, save string(x) instead of x")

OTHERS: Final = [
    Rule("struct", "NamedTuple", (NamedTuple,), lower_named_tuple, lift_named_tuple),
    Rule("struct", "CuArrays.CuArray", lift=_CUDA),
    Rule("struct", "CUDA.CuArray", lift=_CUDA),
    Rule("struct", "CuArray", lift=_CUDA),
    Rule("struct", "Base.GMP.BigInt", lift=_BIG),
]

RULES: Final = [*TAGS, *NUMBERS, *TIMES, *TABLES, *OTHERS]
