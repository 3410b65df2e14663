"""When a save is due: tables, and the bound on what saving may cost."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkpoint.cadence import Cadence, Moment, due, quiet_until

START = Moment(100.0, 0)

# cadence, now, last, cost, fresh -> due
TABLE = [
    (Cadence(), Moment(1e9, 10**9, 99), START, 0, True, False),
    (Cadence(every=30), Moment(100, 1), START, 0, True, True),
    (Cadence(every=30), Moment(100, 1), START, 0, False, False),
    (Cadence(every=30), Moment(129.9, 50), START, 0, False, False),
    (Cadence(every=30), Moment(130, 50), START, 0, False, True),
    (Cadence(every=0), Moment(100, 1), START, 0, False, True),
    (Cadence(every_steps=100), Moment(100, 1), START, 0, True, False),
    (Cadence(every_steps=100), Moment(100, 99), START, 0, False, False),
    (Cadence(every_steps=100), Moment(100, 100), START, 0, False, True),
    (Cadence(every_steps=100), Moment(100, 101), Moment(100, 100), 0, False, False),
    (Cadence(every_steps=100), Moment(100, 199), Moment(100, 120), 0, False, False),
    (Cadence(every_steps=100), Moment(100, 200), Moment(100, 120), 0, False, True),
    (Cadence(every_steps=100), Moment(100, 350), Moment(100, 120), 0, False, True),
    (Cadence(every_steps=1), Moment(100, 8), Moment(100, 7), 0, False, True),
    (Cadence(every_epochs=1), Moment(100, 8, 0), START, 0, True, False),
    (Cadence(every_epochs=1), Moment(100, 8, 1), Moment(100, 7, 0), 0, False, True),
    (Cadence(every_epochs=1), Moment(100, 9, 1), Moment(100, 8, 1), 0, False, False),
    (Cadence(every_epochs=2), Moment(100, 9, 1), START, 0, False, False),
    (Cadence(every_epochs=2), Moment(100, 9, 2), START, 0, False, True),
    (Cadence(every_epochs=2), Moment(100, 9, 3), Moment(100, 8, 2), 0, False, False),
    (Cadence(every_epochs=2), Moment(100, 9, None), START, 0, False, False),
    (Cadence(every=30, every_steps=10), Moment(101, 10), START, 0, False, True),
    (Cadence(every=30, every_steps=10), Moment(131, 9), START, 0, False, True),
    (Cadence(every=30, every_steps=10), Moment(129, 9), START, 0, False, False),
    (Cadence(overhead=0.02), Moment(100, 1), START, 0, True, True),
    (Cadence(overhead=0.02), Moment(149, 1), START, 1, False, False),
    (Cadence(overhead=0.02), Moment(150, 1), START, 1, False, True),
    (Cadence(every=30, overhead=0.02), Moment(130, 1), START, 1, False, False),
    (Cadence(every=30, overhead=0.02), Moment(150, 1), START, 1, False, True),
    (Cadence(every=30, overhead=0.5), Moment(120, 1), START, 1, False, False),
    (Cadence(every_steps=10, overhead=0.02), Moment(101, 10), START, 1, False, False),
    (Cadence(every_steps=10, overhead=0.02), Moment(200, 11), START, 1, False, True),
    (Cadence(every_steps=10, overhead=0.02), Moment(200, 9), START, 1, True, False),
]


@pytest.mark.parametrize(("cadence", "now", "last", "cost", "fresh", "expected"), TABLE)
def test_due(cadence: Cadence, now: Moment, last: Moment, cost: float, fresh: bool, expected: bool) -> None:
    assert due(cadence, now, last, cost=cost, fresh=fresh) is expected


maybe = lambda strategy: st.none() | strategy  # noqa: E731
cadences = st.builds(
    Cadence,
    maybe(st.floats(0, 100)),
    maybe(st.integers(1, 50)),
    maybe(st.integers(1, 4)),
    maybe(st.floats(0.001, 0.9)),
)


@given(
    cadences,
    st.builds(Moment, st.floats(0, 1000), st.integers(0, 1000), st.none() | st.integers(0, 5)),
    st.floats(0, 500),
    st.integers(0, 200),
    st.floats(0, 100),
    st.booleans(),
)
def test_nothing_is_due_while_it_is_quiet(
    cadence: Cadence, last: Moment, seconds: float, steps: int, cost: float, fresh: bool
) -> None:
    """The cheap comparison in ``step`` never hides a save that is due."""
    now = Moment(last.seconds + seconds, last.done + steps, last.epoch)
    clock, count = quiet_until(cadence, last, cost=cost, fresh=fresh)
    if due(cadence, now, last, cost=cost, fresh=fresh):
        assert now.seconds >= clock - 1e-9 * clock or now.done >= count


@given(st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.001, 3)), min_size=5, max_size=200), st.floats(0.01, 0.5))
def test_saving_never_takes_more_than_its_share(steps: list[tuple[float, float]], overhead: float) -> None:
    """Whatever the saves cost, those that are followed by another took at most the share of the time up to then."""
    cadence, last, clock, cost = Cadence(overhead=overhead), Moment(0, 0), 0.0, 0.0
    saves: list[tuple[float, float]] = []
    for done, (seconds, price) in enumerate(steps, 1):
        clock += seconds
        now = Moment(clock, done)
        if due(cadence, now, last, cost=cost, fresh=not saves):
            saves.append((clock, price))
            last, cost = now, price
            clock += price
    assert saves
    spent, began = 0.0, saves[0][0]
    for at, price in saves:
        assert spent <= overhead * (at - began) * (1 + 1e-9) + 1e-9
        spent += price


WRONG = [
    ((-1, None, None, None), "every is a number of seconds"),
    ((float("nan"), None, None, None), "every is a number of seconds"),
    (("30", None, None, None), "every is a number of seconds"),
    ((timedelta(-1), None, None, None), "every is a number of seconds"),
    ((None, 0, None, None), "every_steps is a whole number from 1"),
    ((None, 1.5, None, None), "every_steps is a whole number from 1"),
    ((None, True, None, None), "every_steps is a whole number from 1"),
    ((None, None, -1, None), "every_epochs is a whole number from 1"),
    ((None, None, None, 0), "overhead is a share of the time"),
    ((None, None, None, 2), "overhead is a share of the time"),
]


@pytest.mark.parametrize(("wishes", "text"), WRONG)
def test_what_cannot_be_meant(wishes: tuple, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Cadence.of(*wishes)


def test_a_resumed_run_saves_at_the_steps_of_one_that_was_never_stopped() -> None:
    cadence = Cadence(every_steps=7)

    def saved(begin: int, end: int) -> list[int]:
        last, found = Moment(0, begin), []
        for step in range(begin, end):
            now = Moment(step, step + 1)
            if due(cadence, now, last, cost=0, fresh=not found):
                found.append(step)
                last = now
        return found

    whole = saved(0, 60)
    assert whole == [6, 13, 20, 27, 34, 41, 48, 55]
    for stop in range(1, 59):
        assert saved(0, stop) + saved(stop, 60) == whole
