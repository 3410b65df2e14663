"""Every row runs at a tiny size, and its figures mean what the table says, so that the bench never rots."""

import math
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from bench import measure, memory, rows, states
from bench.child import MEANS, apart
from bench.contender import Contender
from bench.peers import OURS, holdfast_, torch_

TINY = 0.001


@pytest.fixture(autouse=True)
def unsettled(monkeypatch):
    """No sync of the whole machine, and nobody else's page cache dropped: nothing here is a measurement."""
    monkeypatch.setattr(measure, "settle", lambda *written: None)
    monkeypatch.setattr(measure, "chill", lambda path: "nothing")


@pytest.mark.filterwarnings("default", "ignore:torch.distributed is disabled")  # warnings of the peers are theirs
@pytest.mark.parametrize("name", rows.ROWS)
def test_every_row_runs(name, tmp_path):
    row = rows.ROWS[name]
    if row.how == "memory":  # a few processes for each contender
        row = replace(row, contenders=row.contenders[:2])
    result = MEANS[row.how](row, 1, str(tmp_path), TINY)
    assert result.row == name
    for contender, figures in result.figures.items():
        assert len(figures) == 1, contender
        assert math.isfinite(figures[0]), contender
    absent = sum("left out" in note for note in result.notes)
    assert len(result.figures) + absent >= max(1, len(row.contenders))
    assert not list(tmp_path.iterdir())


def test_goals_and_limits_name_contenders_of_their_row():
    for row in (row for row in rows.TABLE if row.contenders):
        names = {each.name for each in row.contenders}
        assert {goal.ours for goal in row.goals} | {goal.peer for goal in row.goals} <= names
        assert {limit.ours for limit in row.limits} <= names
        assert len(names) == len(row.contenders)


def test_each_other_contender_is_shown_beside_the_first():
    shown = rows.ROWS["open-one"].comparisons([OURS, "safetensors", "torch, mmap=True", "one more"])
    assert [(goal.peer, goal.at_least) for goal in shown] == [
        ("safetensors", 1),
        ("torch, mmap=True", 2),
        ("one more", None),
    ]


@pytest.mark.parametrize("how", ["save", "load"])
def test_a_peer_that_gives_back_something_else_ends_the_row(how, tmp_path):
    def wrong(path):
        loaded = holdfast_.load(path)
        loaded["block.0.weight"][0, 0] += 1
        return loaded

    row = rows.Row("wrong", "", how, contenders=(Contender("wrong", holdfast_.save, wrong),))
    with pytest.raises(AssertionError, match="wrong did not give back what was saved"):
        measure.measure(row, 1, str(tmp_path), TINY)


def test_a_peer_that_is_not_installed_is_left_out_with_a_line():
    absent = Contender("absent", holdfast_.save, holdfast_.load, needs=("no_such_package",))
    row = rows.Row("some", "", "save", contenders=(holdfast_, absent))
    result = measure.measure(row, 1, None, TINY)
    assert list(result.figures) == [OURS]
    assert result.notes == ["absent is left out: no_such_package not installed (pip install 'holdfast[bench]')"]


def test_a_row_that_could_not_be_made_cold_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "chill", lambda path: "")
    row = rows.Row("cold", "", "load", contenders=(holdfast_,), cold=True)
    result = measure.measure(row, 1, str(tmp_path), TINY)
    assert result.notes == ["the page cache could not be dropped: not cold"]


def test_everyone_is_first_once():
    orders = [measure.rotated(["a", "b", "c"], turn) for turn in range(3)]
    assert [order[0] for order in orders] == ["a", "b", "c"]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)


def test_memory_counts_what_is_read_into_memory_and_not_what_is_mapped(monkeypatch, tmp_path):
    if not memory.now(1):
        pytest.skip("no /proc/PID/status here")
    row, path, scale = rows.ROWS["memory-save"], str(tmp_path / "torch"), 0.03
    memory.one(row, torch_, path, scale, "save")
    read = memory.one(row, torch_, path, scale, "load")
    mapped_row, mapped = rows.ROWS["memory-load"], str(tmp_path / "holdfast")
    memory.one(mapped_row, holdfast_, mapped, scale, "save")
    size = sum(tensor.nbytes for tensor in states.arrays(scale).values())
    assert read > 0.8 * size
    assert memory.one(mapped_row, holdfast_, mapped, scale, "load") < 0.2 * size


def test_a_row_in_a_process_of_its_own(tmp_path):
    result = apart("load-ints", 2, TINY, str(tmp_path))
    assert result.row == "load-ints"
    assert {len(figures) for figures in result.figures.values()} == {2}
