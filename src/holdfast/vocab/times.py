"""Dates and times: Julia's DateTime and Time where they say the same, Python's own otherwise.

Strategy: a naive time of whole milliseconds is Julia's; one with a zone, a fold or microseconds is the tuple of its
parts. A zone goes by its key and comes from the machine's own database, never from a path that a file made up.
"""

import re
from datetime import datetime, time, timedelta, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import TZPATH, ZoneInfo

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError, MissingError, UnsupportedError
from holdfast.vocab import julia
from holdfast.vocab.keys import shown

KEY: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}")
"""What the keys of the IANA database look like: no dot, so that none leads out of its folder."""

MICROSECOND: Final = timedelta(microseconds=1)


def lower_datetime(value: datetime) -> Fields:
    if value.tzinfo is None and not value.fold and value.microsecond % 1000 == 0:
        return julia.lower_datetime(value)
    parts = [value.year, value.month, value.day, *_clock(value)]
    return Fields(tag="python", type="datetime.datetime", state=Items([*parts, value.fold, value.tzinfo]))


def lower_time(value: time) -> Fields:
    if value.tzinfo is None and not value.fold:
        return julia.lower_time(value)
    return Fields(tag="python", type="datetime.time", state=Items([*_clock(value), value.fold, value.tzinfo]))


def _clock(value: datetime | time) -> tuple[int, int, int, int]:
    return value.hour, value.minute, value.second, value.microsecond


def lift_datetime(level: Fields) -> datetime:
    year, month, day, hour, minute, second, microsecond = integers(level["state"][:-2], 7)
    fold, zone = _fold_and_zone(level)
    return datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def lift_time(level: Fields) -> time:
    hour, minute, second, microsecond = integers(level["state"][:-2], 4)
    fold, zone = _fold_and_zone(level)
    return time(hour, minute, second, microsecond, zone, fold=fold)


def _fold_and_zone(level: Fields) -> tuple[int, tzinfo | None]:
    fold, zone = level["state"][-2:]
    if not isinstance(zone, tzinfo | None):
        raise FormatError(f"the zone of a time is a {type(zone).__name__}")
    return integers([fold], 1)[0], zone


def integers(values: Any, count: int) -> list[int]:
    """``values`` if they are ``count`` ints. Raises FormatError otherwise."""
    if type(values) is not list or len(values) != count or any(type(value) is not int for value in values):
        raise FormatError(f"{shown(values)} is not {count} whole numbers")
    return values


def lower_timezone(value: timezone) -> Fields:
    offset, name = value.utcoffset(None), value.tzname(None)
    given = None if name == timezone(offset).tzname(None) else name
    return Fields(tag="python", type="datetime.timezone", state=Items([offset // MICROSECOND, given]))


def lift_timezone(level: Fields) -> timezone:
    offset, name = level["state"]
    (offset,) = integers([offset], 1)
    return timezone(offset * MICROSECOND) if name is None else timezone(offset * MICROSECOND, name)


def lower_zone(value: ZoneInfo) -> Fields:
    if value.key is None:
        raise UnsupportedError("a ZoneInfo that was made from a file has no key: use ZoneInfo(key)")
    if not is_key(value.key):
        raise UnsupportedError(f"{shown(value.key, 80)} is not the key of a time zone")
    return Fields(tag="python", type="zoneinfo.ZoneInfo", state=value.key)


def lift_zone(level: Fields) -> ZoneInfo:
    key = level["state"]
    if not is_key(key):
        raise FormatError(f"{shown(key, 80)} is not the key of a time zone")
    if not any((Path(folder) / key).is_file() for folder in TZPATH) and key not in packaged_zones():
        raise MissingError(f"the time zone {key}", "tzdata")
    return ZoneInfo(key)


def is_key(key: Any) -> bool:
    return isinstance(key, str) and len(key) <= 100 and KEY.fullmatch(key) is not None


@cache
def packaged_zones() -> frozenset[str]:
    """The keys in the package ``tzdata``, which is there where the system has no database."""

    from importlib.resources import files

    try:
        return frozenset((files("tzdata") / "zones").read_text().split())
    except ModuleNotFoundError:
        return frozenset()


RULES: Final = [
    Rule("python", "datetime.datetime", (datetime,), lower_datetime, lift_datetime, identity=False),
    Rule("python", "datetime.time", (time,), lower_time, lift_time, identity=False),
    Rule(
        "python",
        "datetime.timedelta",
        (timedelta,),
        lower=lambda value: Fields(
            tag="python", type="datetime.timedelta", state=Items([value.days, value.seconds, value.microseconds])
        ),
        lift=lambda level: timedelta(*integers(level["state"], 3)),
        identity=False,
    ),
    Rule("python", "datetime.timezone", (timezone,), lower_timezone, lift_timezone, identity=False),
    Rule("python", "zoneinfo.ZoneInfo", (ZoneInfo,), lower_zone, lift_zone, identity=False),
]
