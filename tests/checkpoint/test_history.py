"""The metrics at all saves: kept in every header, short however long the run is, and gone back with the run."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkpoint import Series
from holdfast.checkpoint.history import MOST, History
from holdfast.checkpoint.names import Name
from runs import run, state


def history(*saves: tuple[int, dict[str, float]]) -> History:
    found = History()
    for step, metrics in saves:
        found.add(step, metrics)
    return found


def test_metrics_come_and_go() -> None:
    found = history((0, {"loss": 2}), (5, {}), (9, {"accuracy": 0.5, "loss": 1}), (12, {"loss": math.inf}))
    assert found.points("loss") == [(0, 2.0), (9, 1.0), (12, math.inf)]
    assert found.points("accuracy") == [(9, 0.5)]
    assert found.points("nothing") == []
    assert found.values("loss") == [2.0, 1.0, math.inf]


def test_a_step_said_again_replaces_what_came_after_it() -> None:
    assert history((0, {"a": 1}), (3, {"a": 2}), (7, {"a": 3}), (3, {"a": 4})).points("a") == [(0, 1.0), (3, 4.0)]


def test_it_stays_short_and_keeps_its_ends() -> None:
    found = History()
    for step in range(20 * MOST):
        found.add(step, {"loss": step})
    assert len(found.steps) <= MOST
    assert found.steps[0] == 0
    assert found.steps[-100:] == list(range(20 * MOST - 100, 20 * MOST))
    assert found.points("loss") == [(step, float(step)) for step in found.steps]


SAVES = st.lists(
    st.tuples(st.integers(0, 5), st.dictionaries(st.sampled_from(["a", "b", "ü"]), st.floats(allow_nan=False))),
    max_size=20,
)


@given(SAVES)
def test_it_comes_back_from_a_header(saves: list[tuple[int, dict[str, float]]]) -> None:
    found, step = History(), 0
    for more, metrics in saves:
        step += more
        found.add(step, metrics)
    again = History.of(found.document())
    assert again.steps == found.steps
    assert {name: again.points(name) for name in "abü"} == {name: found.points(name) for name in "abü"}


@pytest.mark.parametrize(
    "document",
    [None, 3, {}, {"steps": [1], "names": [], "values": []}, {"steps": np.arange(2), "names": ["a"], "values": [3]}],
)
def test_what_is_none_is_an_empty_one(document: object) -> None:
    assert not History.of(document).points("a")


def test_a_short_column_is_filled_up() -> None:
    document = {"steps": np.arange(3), "names": ["a"], "values": [np.array([1.0])]}
    assert History.of(document).points("a") == [(0, 1.0)]


def test_it_goes_on_with_the_run_and_back_with_it(tmp_path: Path) -> None:
    def saved(series: Series) -> list[int]:
        [*_, newest] = series.checkpoints
        name = Name.of(newest.path.name)
        assert name is not None
        return [step for step, _ in series._folder.history(name).points("loss")]

    with Series(tmp_path, every_steps=1, keep_last=2, background=False) as series:
        run(series, 5)
        assert saved(series) == [0, 1, 2, 3, 4]
    tracked = state()
    with Series(tmp_path, every_steps=1, keep_last=2, background=False) as series:
        run(series, 7, tracked)
        assert saved(series) == [0, 1, 2, 3, 4, 5, 6]
        series.rollback(5)
        series.step(9, loss=0.5)
        assert saved(series) == [0, 1, 2, 3, 4, 5, 9]
