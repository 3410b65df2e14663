"""Which checkpoints stay: tables of small folders, and laws that hold for every history of a run.

Complaint 14 (retention surprises: the best deleted, all of them deleted, more kept than asked for) is answered here.
"""

import itertools
import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.checkpoint.retention import Candidate, Policy, kept, outlived, ranked


def run(*losses: float | None, seconds: float = 10, **others: dict[int, object]) -> list[Candidate]:
    """A checkpoint for each loss, at steps 0, 1, 2 …"""
    return [
        Candidate(
            str(step),
            step,
            step * seconds,
            {} if loss is None else {"loss": loss},
            **{name: values[step] for name, values in others.items() if step in values},  # type: ignore[arg-type]
        )
        for step, loss in enumerate(losses)
    ]


FIVE = run(5, 4, 3, 2, 1)
NAN, INF = math.nan, math.inf

TABLE = [
    ("nothing", [], Policy(), {}),
    ("fewer than n", run(1, 1), Policy(last=3), {"0": ["last"], "1": ["last"]}),
    ("last", FIVE, Policy(last=2), {"3": ["last"], "4": ["last"]}),
    ("all", FIVE, Policy(last=None), {str(step): ["last"] for step in range(5)}),
    (
        "last and best",
        run(3, 1, 2, 9, 9),
        Policy(last=1, best=2, metric="loss"),
        {"1": ["best"], "2": ["best"], "4": ["last"]},
    ),
    ("the last is the best", FIVE, Policy(last=1, best=1, metric="loss"), {"4": ["last", "best"]}),
    (
        "the greatest is best",
        FIVE,
        Policy(last=1, best=1, metric="loss", mode="max"),
        {"0": ["best"], "4": ["last"]},
    ),
    (
        "equal ones: the first",
        run(1, 1, 1, 1),
        Policy(last=1, best=2, metric="loss"),
        {"0": ["best"], "1": ["best"], "3": ["last"]},
    ),
    (
        "NaN, infinite and missing are never best",
        run(NAN, -INF, None, 7, 8, NAN),
        Policy(last=1, best=4, metric="loss"),
        {"3": ["best"], "4": ["best"], "5": ["last"]},
    ),
    (
        "NaN is never greatest",
        run(NAN, INF, 1, 8),
        Policy(last=1, best=1, metric="loss", mode="max"),
        {"3": ["last", "best"]},
    ),
    ("a metric that nobody gave", FIVE, Policy(last=1, best=2, metric="accuracy"), {"4": ["last"]}),
    (
        "every 25 s",
        run(*[1] * 8),
        Policy(last=1, every=25),
        {"0": ["every 25 s"], "3": ["every 25 s"], "6": ["every 25 s"], "7": ["last"]},
    ),
    (
        "every 3 steps: with at least 3, 6, 9 done",
        run(*[1] * 10),
        Policy(last=1, every_steps=3),
        {"2": ["every 3 steps"], "5": ["every 3 steps"], "8": ["every 3 steps"], "9": ["last"]},
    ),
    (
        "every 100 steps, saved by the clock",
        [Candidate(str(step), step, step) for step in (40, 90, 120, 160, 230, 350, 380)],
        Policy(last=1, every_steps=100),
        {"120": ["every 100 steps"], "230": ["every 100 steps"], "350": ["every 100 steps"], "380": ["last"]},
    ),
    (
        "pinned",
        run(1, 1, 1, pinned={0: True, 2: True}),
        Policy(last=1),
        {"0": ["pinned"], "2": ["last", "pinned"]},
    ),
    (
        "unhealthy ones are neither last nor best",
        run(5, 4, 0, 0, flag={2: "unhealthy", 3: "unhealthy"}),
        Policy(last=2, best=1, metric="loss"),
        {"0": ["last"], "1": ["last", "best"], "3": ["unhealthy"]},
    ),
    (
        "what a good one has left behind goes",
        run(5, 4, 3, flag={1: "unhealthy"}),
        Policy(last=1),
        {"2": ["last"]},
    ),
    (
        "one of each flag",
        run(5, 4, 3, 2, flag={1: "unhealthy", 2: "interrupted", 3: "interrupted"}),
        Policy(last=1),
        {"0": ["last"], "1": ["unhealthy"], "3": ["interrupted"]},
    ),
    (
        "nothing but unhealthy ones",
        run(1, 1, 1, flag=dict.fromkeys(range(3), "unhealthy")),
        Policy(last=2),
        {"1": ["last"], "2": ["last", "unhealthy"]},
    ),
    (
        "a step saved twice counts once",
        [Candidate("a", 0, 0), Candidate("b", 1, 1), Candidate("c", 1, 2), Candidate("d", 1, 3, pinned=True)],
        Policy(last=2),
        {"a": ["last"], "d": ["last", "pinned"]},
    ),
    (
        "an unhealthy one does not replace a good one of its step",
        [Candidate("a", 1, 1), Candidate("b", 1, 2, flag="interrupted")],
        Policy(last=1),
        {"a": ["last"]},
    ),
    (
        "all there is",
        [Candidate("a", 0, 0), Candidate("b", 0, 1), Candidate("c", 1, 2, flag="unhealthy"), Candidate("d", 2, 3)],
        Policy(last=None),
        {"a": ["last"], "b": ["last"], "c": ["unhealthy"], "d": ["last"]},
    ),
    (
        "none of the last, but the best",
        FIVE,
        Policy(last=0, best=1, metric="loss", mode="max"),
        {"0": ["best"]},
    ),
    (
        "the only verified one",
        run(1, 2, 3, verified={1: True}),
        Policy(last=0, best=1, metric="loss"),
        {"0": ["best"], "1": ["the only verified one"]},
    ),
    (
        "the only verified one, unhealthy",
        run(1, 2, 3, verified={0: True}, flag={0: "unhealthy"}),
        Policy(last=1),
        {"0": ["the only verified one"], "2": ["last"]},
    ),
]


@pytest.mark.parametrize(
    ("candidates", "policy", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_kept(candidates: list[Candidate], policy: Policy, expected: dict[str, list[str]]) -> None:
    assert kept(candidates, policy) == expected
    assert kept(reversed(candidates), policy) == expected


policies = st.builds(
    Policy,
    st.none() | st.integers(1, 4),
    st.integers(0, 3),
    st.just("loss"),
    st.sampled_from(["min", "max"]),
    st.none() | st.sampled_from([0.0, 5.0, 25.0, 100.0]),
    st.none() | st.integers(1, 20),
)


LOSSES = st.sampled_from([None, 1.0, 2.0, NAN, INF, -INF]) | st.floats(-10, 10)
SAVE = st.tuples(st.integers(1, 9), st.floats(0, 60), LOSSES, st.sampled_from(range(10)), st.sampled_from(range(6)))
FLAGS = {0: "unhealthy", 1: "interrupted"}


def history_of(saves: list[tuple], flags: bool = True) -> list[Candidate]:
    """The checkpoints of a run in the order of their saves: steps and times grow, losses are anything."""
    step, time, found = 0, 0.0, []
    for number, (steps, seconds, loss, luck, flag) in enumerate(saves):
        step, time = step + steps, time + seconds
        metrics = {} if loss is None else {"loss": loss}
        marks = {"pinned": luck == 0, "verified": luck % 2 == 1, "flag": FLAGS.get(flag, "") if flags else ""}
        found.append(Candidate(str(number), step, time, metrics, **marks))
    return found


def histories(flags: bool = True) -> st.SearchStrategy[list[Candidate]]:
    return st.lists(SAVE, min_size=1, max_size=25).map(lambda saves: history_of(saves, flags))


def survivors(candidates: Iterable[Candidate], policy: Policy) -> list[Candidate]:
    stay, all_of_them = kept(candidates, policy), list(candidates)
    return [one for one in all_of_them if one.key in stay]


@given(histories(), policies)
def test_judging_again_changes_nothing(history: list[Candidate], policy: Policy) -> None:
    once = survivors(history, policy)
    assert survivors(once, policy) == once


@given(histories(flags=False), policies)
def test_after_each_save_or_all_at_once(history: list[Candidate], policy: Policy) -> None:
    """A long run that lets files go as it runs ends with those that judging all of them at its end would keep."""
    folder: list[Candidate] = []
    for one in history:
        folder = survivors([*folder, one], policy)
    at_once = kept(history, policy)
    plain = {key for key, reasons in at_once.items() if reasons != ["the only verified one"]}
    assert plain <= {one.key for one in folder}
    assert {one.key for one in folder} - plain <= {one.key for one in folder if one.verified}


@given(histories(), policies)
def test_the_newest_good_one_stays(history: list[Candidate], policy: Policy) -> None:
    newest = [one for one in history if not one.flag] or history
    assert {"last", newest[-1].flag} & set(kept(history, policy)[newest[-1].key])


@given(histories(), policies)
def test_what_is_pinned_stays(history: list[Candidate], policy: Policy) -> None:
    assert {one.key for one in history if one.pinned} <= kept(history, policy).keys()


@given(histories(), policies)
def test_a_verified_one_stays(history: list[Candidate], policy: Policy) -> None:
    folder: list[Candidate] = []
    for one in history:
        verified = any(other.verified for other in [*folder, one])
        folder = survivors([*folder, one], policy)
        assert any(other.verified for other in folder) or not verified


@given(histories(), policies)
def test_the_best_stays_as_long_as_it_is_best(history: list[Candidate], policy: Policy) -> None:
    stay = kept(history, policy)
    best = ranked(history, policy)[: policy.best]
    assert all("best" in stay[one.key] for one in best)
    assert sum("best" in reasons for reasons in stay.values()) == len(best)
    assert not any("best" in stay[one.key] for one in history if one.flag and one.key in stay)


@given(histories(), policies)
def test_no_more_stay_than_were_asked_for(history: list[Candidate], policy: Policy) -> None:
    if policy.last is None:
        return
    reasons = kept(history, policy).values()
    assert sum("last" in one for one in reasons) <= policy.last
    assert sum("best" in one for one in reasons) <= policy.best
    assert all(reasons)


@given(histories(flags=False), st.floats(1, 100))
def test_those_kept_for_good_lie_apart(history: list[Candidate], seconds: float) -> None:
    stay = kept(history, Policy(last=1, every=seconds))
    times = [one.time for one in history if any(r.startswith("every") for r in stay.get(one.key, []))]
    assert all(b - a >= seconds for a, b in itertools.pairwise(times))
    assert times[0] == history[0].time


WRONG = [
    ({"keep_last": 0}, "keep_last=0 alone would keep nothing"),
    ({"keep_last": -1}, "keep_last is a whole number from 0"),
    ({"keep_last": 1.5}, "keep_last is a whole number from 0"),
    ({"keep_last": True}, "keep_last is a whole number from 0"),
    ({"keep_best": -2, "best": "loss"}, "keep_best is a whole number from 0"),
    ({"keep_best": 2}, "keep_best needs to know by which metric"),
    ({"mode": "low"}, 'mode is "min" or "max"'),
    ({"keep_every": -1}, "keep_every is a number of seconds"),
    ({"keep_every_steps": 0}, "keep_every_steps is a whole number from 1"),
]
USUAL = {"keep_last": 3, "keep_best": 0, "best": None, "mode": "min", "keep_every": None, "keep_every_steps": None}


@pytest.mark.parametrize(("wish", "text"), WRONG)
def test_what_cannot_be_meant(wish: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Policy.of(**(USUAL | wish))


@pytest.mark.parametrize(
    "wish",
    [{}, {"keep_last": None}, {"keep_last": 0, "keep_every": 60}, {"keep_last": 0, "keep_best": 1, "best": "loss"}],
)
def test_what_can_be(wish: dict) -> None:
    policy = Policy.of(**(USUAL | wish))
    assert Policy.from_document(policy.document()) == policy


@given(policies)
def test_a_policy_stands_in_a_header(policy: Policy) -> None:
    assert Policy.from_document(policy.document()) == policy


@pytest.mark.parametrize(
    ("saved", "last", "gone"),
    [(0, 3, False), (2, 3, False), (3, 3, True), (0, 0, False), (1, 0, True), (99, None, False)],
)
def test_what_a_rollback_moved_away(saved: int, last: int | None, gone: bool) -> None:
    assert outlived(saved, Policy(last=last)) is gone


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=30))
def test_a_clock_that_goes_back_does_not_stop_keeping(times: list[float]) -> None:
    history = [Candidate(str(step), step, time) for step, time in enumerate(times)]
    stay = kept(history, Policy(last=1, every=0))
    assert len(stay) == len(history)
