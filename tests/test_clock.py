import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from holdfast import clock


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz=None):
        moment = datetime(2026, 11, 23, 2, 57, 10, 410_999, UTC)
        return moment.astimezone(tz) if tz else moment.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (None, "2026-11-23T02-57-10.410"),
        (UTC, "2026-11-23T02-57-10.410"),
        (timezone(timedelta(hours=-5)), "2026-11-22T21-57-10.410"),
    ],
)
def test_milliseconds_and_no_zone_in_the_text(monkeypatch, zone, expected):
    monkeypatch.setattr(clock, "datetime", Noon)
    assert clock.now(zone) == expected


def test_whole_seconds_have_milliseconds_too(monkeypatch):
    class Whole(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 1)

    monkeypatch.setattr(clock, "datetime", Whole)
    assert clock.now() == "2026-01-01T00-00-00.000"


def test_the_text_can_be_a_name_everywhere():
    assert re.fullmatch(r"[0-9T.-]{23}", clock.now())
    assert clock.now() <= clock.now()
