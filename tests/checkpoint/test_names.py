"""Names of checkpoints: what they say, that they sort by step and time, and that nothing else is taken for one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkpoint.names import DIGITS, MARKS, MAX_RUN, MAX_STEP, Name, run_name, step_text, time_text

TIME = datetime(2026, 11, 23, 2, 57, 10, 410_000, UTC)

NAMES = [
    ("digits-000120-2026-11-23T02-57-10.410.bson", Name("digits", 120, TIME)),
    ("digits-000120-2026-11-23T02-57-10.410.pinned.bson", Name("digits", 120, TIME, frozenset({"pinned"}))),
    ("digits-000120-2026-11-23T02-57-10.410.unhealthy.bson", Name("digits", 120, TIME, frozenset({"unhealthy"}))),
    (
        "digits-000120-2026-11-23T02-57-10.410.pinned.unhealthy.interrupted.bson",
        Name("digits", 120, TIME, frozenset(MARKS)),
    ),
    ("a b-ü-a1000000-2026-11-23T02-57-10.410.bson", Name("a b-ü", 1_000_000, TIME)),
    ("x-000001-000002-2026-11-23T02-57-10.410.bson", Name("x-000001", 2, TIME)),
    ("x-m9223372036854775807-2026-11-23T02-57-10.410.bson", Name("x", MAX_STEP, TIME)),
]

NOT_OURS = [
    "",
    ".bson",
    "model.bson",
    "model-2026-11-23T02-57-10.410.bson",
    "digits-120-2026-11-23T02-57-10.410.bson",
    "digits-0000120-2026-11-23T02-57-10.410.bson",
    "digits-1000000-2026-11-23T02-57-10.410.bson",
    "digits-a0000120-2026-11-23T02-57-10.410.bson",
    "digits-b1000000-2026-11-23T02-57-10.410.bson",
    "digits-m9223372036854775808-2026-11-23T02-57-10.410.bson",
    "digits-٠٠٠١٢٠-2026-11-23T02-57-10.410.bson",
    "digits-000120-2026-11-23T02-57-10.410.BSON",
    "digits-000120-2026-11-23T02-57-10.410.bson.bad",
    "digits-000120-2026-11-23T02-57-10.410.bson.tmp",
    ".digits-000120-2026-11-23T02-57-10.410.bson.holdfast-01234567-0123456789abcdef.tmp",
    "digits-000120-2026-11-23T02-57-10.410.mine.bson",
    "digits-000120-2026-11-23T02-57-10.410.unhealthy.pinned.bson",
    "digits-000120-2026-11-23T02-57-10.410.pinned.pinned.bson",
    "digits-000120-2026-13-23T02-57-10.410.bson",
    "digits-000120-2026-11-23T02:57:10.410.bson",
    "digits-000120-2026-11-23T02-57-10.41.bson",
    "-000120-2026-11-23T02-57-10.410.bson",
]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_a_name_and_its_parts(text: str, name: Name) -> None:
    assert str(name) == text
    assert Name.of(text) == name


@pytest.mark.parametrize("text", NOT_OURS)
def test_what_is_not_ours(text: str) -> None:
    assert Name.of(text) is None


@pytest.mark.parametrize("text", [text for text, _ in NAMES])
def test_no_part_of_a_name_is_a_name(text: str) -> None:
    assert all(Name.of(text[:cut]) is None for cut in range(len(text)))


steps = st.integers(0, MAX_STEP) | st.integers(0, 2_000_000) | st.integers(1, 18).map(lambda n: 10**n)
times = st.datetimes(datetime(2000, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
names = st.builds(Name, st.just("run"), steps, times, st.sets(st.sampled_from(MARKS)).map(frozenset))


@given(names)
def test_every_name_comes_back(name: Name) -> None:
    assert Name.of(str(name)) == name


@given(st.lists(names, max_size=20, unique_by=lambda name: name.order))
def test_sorting_by_name_is_sorting_by_step_and_time(found: list[Name]) -> None:
    assert sorted(found, key=str) == sorted(found, key=lambda name: name.order)


@given(steps, steps)
def test_steps_sort_as_texts(a: int, b: int) -> None:
    assert (step_text(a) < step_text(b)) == (a < b)


@pytest.mark.parametrize("step", [-1, MAX_STEP + 1])
def test_steps_that_there_are_not(step: int) -> None:
    with pytest.raises(ValueError, match="a step is a number from 0 to"):
        step_text(step)


def test_the_width_is_six_digits_and_grows_by_letters() -> None:
    assert [len(step_text(10**n)) for n in range(9)] == [DIGITS] * 6 + [8, 9, 10]


def test_times_are_utc_wherever_the_clock_stands() -> None:
    there = TIME.astimezone(timezone(timedelta(hours=9)))
    assert time_text(there) == "2026-11-23T02-57-10.410"


@pytest.mark.parametrize("mark", MARKS)
def test_marks_come_and_go(mark: str) -> None:
    name = NAMES[0][1]
    assert name.marked(mark).marked(mark, False) == name
    assert name.marked(mark).order == name.order
    assert name.marked(mark).good == (mark == "pinned")


@pytest.mark.parametrize("text", ["", ".hidden", "a/b", "a\\b", "a\0b", "a\nb", "x" * (MAX_RUN + 1), "ü" * MAX_RUN])
def test_names_that_a_run_cannot_have(text: str) -> None:
    with pytest.raises(ValueError, match="name="):
        run_name(text)


def test_longest_name_fits_a_file_system() -> None:
    name = str(Name(run_name("x" * MAX_RUN), MAX_STEP, TIME, frozenset(MARKS)))
    assert len(f".{name}.holdfast-01234567-0123456789abcdef.tmp") <= 255
