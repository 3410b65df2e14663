"""Python's own values, all of them: what the standard library has, with no Julia counterpart or more than Julia's.

Strategy: rules in tables, the two directions side by side. None, bool, float, and text and int that fit are wire values
already; complex, Fraction, range, date and UUID are in ``julia.py``, containers in ``containers.py``. A value that
Julia lacks is ``{tag: "python", type: …, state: …}``, which BSON.jl leaves alone.
"""

import sys
from array import array
from collections.abc import Callable
from datetime import date
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from functools import partial
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from random import Random
from types import BuiltinFunctionType, EllipsisType, FunctionType, NotImplementedType
from typing import Any, Final
from uuid import UUID

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab import containers, instances, named, times
from holdfast.vocab.keys import shown
from holdfast.vocab.times import integers
from holdfast.vocab.types import datatype
from holdfast.wire.values import Blob


def python(name: str, state: Any) -> Fields:
    """The document of a value that only Python has."""
    return Fields(tag="python", type=name, state=state)


def refused(advice: str) -> Callable[[Any], Any]:
    """A ``lower`` for values that no file can hold."""

    def lower(value: Any) -> Any:
        raise UnsupportedError(advice)

    return lower


# -- numbers and texts ------------------------------------------------------------------------------------------------


def lower_int(value: int) -> Fields:
    """An int beyond 64 bits: two's complement, lowest byte first."""
    return python("int", Blob(memoryview(value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))))


def lower_text(value: str) -> Fields:
    """Text that UTF-8 lacks: lone surrogates, as in file names that are not text."""
    return python("str", Blob(memoryview(value.encode("utf-8", "surrogatepass"))))


def of_bytes(read: Callable[[bytes], Any]) -> Callable[[Fields], Any]:
    def lift(level: Fields) -> Any:
        if type(level["state"]) is not bytes:
            raise FormatError(f"a {level['type']} is a {type(level['state']).__name__}, not bytes")
        return read(level["state"])

    return lift


EXACT: Final = Context(traps=[InvalidOperation])
"""The caller's own decimal context may forgive a text that is no number; this one does not."""


def lift_decimal(level: Fields) -> Decimal:
    try:
        return Decimal(level["state"], EXACT)
    except InvalidOperation:
        raise FormatError(f"{shown(level['state'], 80)} is not a Decimal") from None


NUMBERS: Final = [
    Rule(
        "python",
        "int",
        (int,),
        lower_int,
        of_bytes(lambda raw: int.from_bytes(raw, "little", signed=True)),
        identity=False,
    ),
    Rule(
        "python", "str", (str,), lower_text, of_bytes(lambda raw: raw.decode("utf-8", "surrogatepass")), identity=False
    ),
    Rule(
        "python",
        "decimal.Decimal",
        (Decimal,),
        lower=lambda value: python("decimal.Decimal", str(value)),
        lift=lift_decimal,
        identity=False,
    ),
]


# -- bytes and arrays of numbers --------------------------------------------------------------------------------------

TYPECODES: Final = {
    code: (datatype("Core", f"{kind}{8 * array(code).itemsize}"), array(code).itemsize)
    for kind, codes in (("Int", "bhilq"), ("UInt", "BHILQ"), ("Float", "fd"))
    for code in codes
}
"""The element types of ``array.array``: Julia's type, and bytes on this machine."""


def lower_bytearray(value: bytearray) -> Fields:
    return _vector("bytearray", "B", value)


def lower_array(value: "array[Any]") -> Fields:
    if value.typecode not in TYPECODES:
        raise UnsupportedError(f"an array.array of type {value.typecode!r} cannot be saved: save its tounicode()")
    fields = _vector("array.array", value.typecode, value)
    fields["typecode"] = value.typecode
    return fields


def _vector(name: str, code: str, value: Any) -> Fields:
    """The document of a Julia vector of numbers, whose bytes are not copied."""
    type_, width = TYPECODES[code]
    data = memoryview(value).cast("B")
    if width > 1 and sys.byteorder == "big":
        raise UnsupportedError(f"a {name} cannot be saved on a big-endian machine")
    return Fields(tag="array", type=type_, size=Items([len(value)]), data=Blob(data, sealed=True), python=name)


def lift_bytearray(level: Fields) -> bytearray:
    return bytearray(_bytes_of(level, 1).data)


def lift_array(level: Fields) -> "array[Any]":
    code = level["typecode"]
    if type(code) is not str or code not in TYPECODES:
        raise FormatError(f"{shown(code)} is not the type of an array.array")
    value: array[Any] = array(code)
    value.frombytes(_bytes_of(level, value.itemsize).data)
    return value


def _bytes_of(level: Fields, width: int) -> Blob:
    (count,) = integers(level["size"], 1)
    data = level["data"]
    if type(data) is not Blob or data.nbytes != count * width:
        raise FormatError(f"a {level['python']} of {count} elements of {width} bytes does not hold as many")
    return data


BYTES: Final = [
    Rule(
        "tag",
        Blob.__name__,
        (bytes,),
        lower=lambda value: Blob(memoryview(value)),
        lift=lambda blob: bytes(blob.data),
        identity=False,
    ),
    Rule("python", "bytearray", (bytearray,), lower_bytearray, lift_bytearray, raw=containers.TYPE, blobs=True),
    Rule("python", "array.array", (array,), lower_array, lift_array, raw=containers.TYPE, blobs=True),
    Rule(
        "python",
        "memoryview",
        (memoryview,),
        lower=refused("a memoryview belongs to another object: save bytes(view), or numpy.asarray(view)"),
        lift=refused("a memoryview"),
    ),
]


# -- values of which there is one, and parts of programs --------------------------------------------------------------


def single(value: Any, type_: type) -> Rule:
    name = repr(value)
    return Rule(
        "python", name, (type_,), lambda _: Fields(tag="python", type=name), lift=lambda _: value, identity=False
    )


CALLABLE: Final = (FunctionType, BuiltinFunctionType, type)
"""What a partial may stand around: functions and classes, which are in a table."""


def lower_partial(value: "partial[Any]") -> Fields:
    if not isinstance(value.func, CALLABLE):
        raise UnsupportedError(f"a partial of a {type(value.func).__name__} cannot be saved: save its parts")
    parts = {"func": value.func, "args": value.args, "keywords": dict(value.keywords)}
    return Fields(parts, tag="python", type="functools.partial")


def lift_partial(level: Fields) -> "partial[Any]":
    function, args, keywords = level["func"], level["args"], level["keywords"]
    if not isinstance(function, CALLABLE):
        raise FormatError(f"a partial of a {type(function).__name__}, which is no function")
    if type(args) is not tuple or type(keywords) is not dict:
        raise FormatError("the arguments of a partial are not a tuple and a dictionary")
    return partial(function, *args, **keywords)


def lift_slice(level: Fields) -> slice:
    start, stop, step = level["state"]
    return slice(start, stop, step)


def lift_random(level: Fields) -> Random:
    value = Random.__new__(Random)
    value.setstate(level["state"])
    return value


PARTS: Final = [
    single(Ellipsis, EllipsisType),
    single(NotImplemented, NotImplementedType),
    Rule(
        "python",
        "slice",
        (slice,),
        lower=lambda value: python("slice", Items([value.start, value.stop, value.step])),
        lift=lift_slice,
    ),
    Rule("python", "functools.partial", (partial,), lower_partial, lift_partial),
    Rule(
        "python",
        "random.Random",
        (Random,),
        lower=lambda value: python("random.Random", value.getstate()),
        lift=lift_random,
    ),
]


# -- paths ------------------------------------------------------------------------------------------------------------

PATHS: Final[dict[type[PurePath], type[PurePath]]] = {
    PurePosixPath: PurePosixPath,
    PureWindowsPath: PureWindowsPath,
    PosixPath: PurePosixPath if sys.platform == "win32" else PosixPath,
    WindowsPath: WindowsPath if sys.platform == "win32" else PureWindowsPath,
}
"""A kind of path -> what it is on this machine, which may lack the other system's."""


def path_rule(kind: type[PurePath], here: type[PurePath]) -> Rule:
    name = f"pathlib.{kind.__name__}"

    def lift(level: Fields) -> PurePath:
        if type(level["state"]) is not str:
            raise FormatError(f"a path is a {type(level['state']).__name__}")
        return here(level["state"])

    return Rule("python", name, (kind,), lambda value: python(name, str(value)), lift, identity=False)


# -- all --------------------------------------------------------------------------------------------------------------

VALUES: Final[list[Rule]] = [
    *containers.RULES,
    *instances.RULES,
    *times.RULES,
    *NUMBERS,
    *BYTES,
    *PARTS,
    *(path_rule(kind, here) for kind, here in PATHS.items()),
]

RULES: Final[list[Rule]] = [
    *named.RULES,
    *VALUES,
    *named.value_rules(
        {rule.name if rule.kind == "python" else named.class_name(cls): cls for rule in VALUES for cls in rule.types}
        | {named.class_name(cls): cls for cls in (date, Fraction, UUID)}
    ),
]
"""Python's own values. The types among them may stand as values themselves."""
