"""Numbers of Julia's Base as Python's, where the very same Julia type is written back."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError
from holdfast.julia.arrays import char
from holdfast.julia.values import Char, Int128, Struct, UInt128, missing
from holdfast.vocab.julia.tags import primitive, struct
from holdfast.vocab.keys import shown
from holdfast.vocab.types import INT64, base, datatype
from holdfast.wire.values import INT64_MAX, INT64_MIN


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
    return lambda level: kind(int.from_bytes(_raw(level, 16), "little", signed=signed))


def _raw(level: Fields, size: int) -> bytes:
    """The bytes of a primitive value."""
    raw = level["data"]
    if type(raw) is not bytes or len(raw) != size:
        raise FormatError(f"a number of {size} bytes is {shown(raw)}")
    return raw


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
    Rule("struct", "Char", (Char,), lower_char, lambda level: char(_raw(level, 4)), identity=False),
    Rule("struct", "Int128", (Int128,), lower_wide("Int128", True), lift_wide(Int128, True), identity=False),
    Rule("struct", "UInt128", (UInt128,), lower_wide("UInt128", False), lift_wide(UInt128, False), identity=False),
    Rule("struct", "Base.Missing", lift=lambda level: missing),
]
