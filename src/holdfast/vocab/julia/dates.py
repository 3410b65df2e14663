"""Julia's Dates and UUIDs: whole milliseconds without a zone are the same in both languages.

Source: the layouts of the standard library Dates as Julia 1.5 writes them.
"""

from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import FormatError
from holdfast.julia.values import Struct, UInt128
from holdfast.vocab.julia.tags import struct
from holdfast.vocab.keys import shown
from holdfast.vocab.types import base, datatype

EPOCH: Final = datetime(1, 1, 1)
WRAPPED: Final = 2
"""Structs around the number of a date at most."""
DAY_MILLISECONDS: Final = 86_400_000
"""Julia counts days so that 0001-01-01 is day 1, as ``date.toordinal`` does, and DateTime in milliseconds likewise."""


def period(name: str, value: int) -> Fields:
    return struct(datatype("Dates", name), value)


def _instant(name: str, value: int) -> Fields:
    return struct(datatype("Dates", "UTInstant", params=[datatype("Dates", name)]), period(name, value))


def _count(level: Fields) -> int:
    """The number inside ``Date(UTInstant(Day(n)))`` and its like."""
    inner = level["data"][0]
    for _ in range(WRAPPED):
        inner = inner[0] if isinstance(inner, Struct) else inner
    if type(inner) is not int:
        raise FormatError(f"the number of a date or time is {shown(inner)}")
    return inner


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


def lift_uuid(level: Fields) -> UUID:
    """Its number, which Python takes whatever it is, as long as it lies between the right ones."""
    number = level["data"][0]
    if not isinstance(number, int) or isinstance(number, bool):
        raise FormatError(f"the number of a UUID is {shown(number)}")
    return UUID(int=number)


TIMES: Final = [
    Rule("struct", "Dates.Date", (date,), lower_date, lift_date, identity=False),
    Rule("struct", "Dates.DateTime", lift=lift_datetime),
    Rule("struct", "Dates.Time", lift=lift_time),
    Rule(
        "struct",
        "Base.UUID",
        (UUID,),
        lower=lambda value: struct(base("UUID"), UInt128(value.int)),
        lift=lift_uuid,
        identity=False,
    ),
]
