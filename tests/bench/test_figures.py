"""What figures mean: ratios within a round, their median, met and missed; and the report and plots made of them."""

import doctest
import subprocess

import pytest

pytest.importorskip("torch")

from bench import figures, growth, measure, report, stages
from bench.__main__ import main
from bench.figures import Goal, Result, compare, exponents, ratios, spread, verdict
from bench.states import equal, values

RESULT = Result("load-ints", {"holdfast": [1.0, 2.0, 4.0], "pickle": [2.0, 2.0, 2.0], "pymongo": [3.0, 9.0, 12.0]})
RUN = report.Run([RESULT], "python -m bench load-ints", 3, ["a machine"], 61.0)


def test_a_ratio_is_taken_within_its_round():
    assert ratios([1.0, 2.0], [3.0, 3.0]) == (3.0, 1.5)
    with pytest.raises(ValueError):
        ratios([1.0], [1.0, 2.0])


def test_a_goal_is_met_or_missed_by_the_median():
    met, missed = compare(RESULT, (Goal("holdfast", "pickle", 1), Goal("holdfast", "pymongo", 3.1)))
    assert (met.ratios, met.verdict) == ((2.0, 1.0, 0.5), "met")
    assert (missed.ratios, missed.verdict) == ((3.0, 4.5, 3.0), "missed")


def test_a_peer_that_was_not_measured_has_no_line():
    assert compare(RESULT, (Goal("holdfast", "orbax", 1),)) == []


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (verdict(2, at_least=2), "met"),
        (verdict(1.99, at_least=2), "missed"),
        (verdict(64, at_most=64), "met"),
        (verdict(64.1, at_most=64), "missed"),
        (verdict(1), ""),
    ],
)
def test_verdicts(judged, expected):
    assert judged == expected


def test_spread_and_exponents():
    assert spread([3.0, 1.0, 2.0]) == "1.00–3.00"
    assert exponents([10, 100, 1000], [1, 10, 1000]) == pytest.approx([1, 2])


def test_equality_sees_types_and_values():
    assert equal(values(0.0001), values(0.0001))
    assert not equal({"a": [1, 2.0]}, {"a": [1, 2]})
    assert not equal({"a": [1]}, {"a": [1, 2]})
    assert not equal({"a": (1,)}, {"a": [1]})


def test_the_report_says_ratio_goal_and_verdict(tmp_path):
    report.write(RUN, tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "| holdfast | 2.00 s | pickle | 2.00 s | 1.00 | 0.50–2.00 | 1 | met |" in text
    assert "| holdfast | 2.00 s | pymongo | 9.00 s | 3.00 | 3.00–4.50 |  |  |" in text
    assert "Goals met: 1 of 1" in text
    assert "a machine" in text
    assert "<svg" in (tmp_path / "results.svg").read_text()


def test_memory_is_judged_in_mib():
    missed = Result("memory-save", {"holdfast": [65.0, 70.0], "torch": [1.0, 1.0]})
    ours, torch = report.cells(missed)
    assert ours == ("memory-save", "holdfast", "68 MiB", "", "", "", "", "≤ 64 MiB", "missed")
    assert torch[3:5] == ("torch", "1 MiB")


def test_stages_add_up(tmp_path):
    found = stages.measure(str(tmp_path), 0.00002, rounds=1)
    assert list(found) == list(stages.STATES)
    assert all(set(saved) == set(stages.SAVE) and set(loaded) == set(stages.LOAD) for saved, loaded in found.values())
    stages.report(found, "python -m bench stages", ["a machine"], tmp_path)
    rows = [line for line in (tmp_path / "stages.md").read_text().splitlines() if line.endswith("% |")]
    assert len(rows) == len(stages.SAVE) + len(stages.LOAD)
    shares = [int(row.split("|")[2].strip(" %")) for row in rows]
    assert all(sum(part) in range(97, 104) for part in (shares[: len(stages.SAVE)], shares[len(stages.SAVE) :]))


def test_growth_runs_and_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "settle", lambda *written: None)
    found = growth.measure(str(tmp_path), 0.00002)
    assert list(found) == [kind.name for kind in growth.KINDS]
    growth.report(found, "python -m bench growth", ["a machine"], tmp_path)
    assert "<svg" in (tmp_path / "growth.svg").read_text()
    text = (tmp_path / "growth.md").read_text()
    assert all(f"| {kind.name} | save |" in text for kind in growth.KINDS)


def test_a_deep_list_is_compared_to_its_end():
    assert growth.same(growth.of_depth(5000), growth.of_depth(5000))
    assert not growth.same(growth.of_depth(5000), growth.of_depth(4999))
    assert not growth.same({"a": 1}, {"a": 2})


def test_the_command_lists_its_rows_and_refuses_others(capsys):
    assert main(["--list"]) == 0
    assert "save-durable" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["no-such-row"])
    assert "no such row: no-such-row" in capsys.readouterr().err


def test_the_command_writes_what_it_measured(tmp_path, capsys):
    words = [
        "load-ints",
        "--scale",
        "0.001",
        "--rounds",
        "1",
        "--folder",
        str(tmp_path),
        "--write",
        str(tmp_path / "out"),
    ]
    assert main(words) == 0
    assert "load-ints" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.md", "results.svg"}


def test_a_row_that_fails_is_reported_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def fails(row, *wishes):
        if row == "import":
            raise subprocess.CalledProcessError(1, row)
        return RESULT

    monkeypatch.setattr("bench.__main__.apart", fails)
    assert main(["import", "load-ints", "--write", str(tmp_path)]) == 1
    assert "import: not measured" in capsys.readouterr().out
    text = (tmp_path / "results.md").read_text()
    assert "Not measured: it failed" in text
    assert "| holdfast | 2.00 s | pickle |" in text


@pytest.mark.parametrize("module", [figures, measure, report])
def test_examples(module):
    assert doctest.testmod(module).failed == 0
