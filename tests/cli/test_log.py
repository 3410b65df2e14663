"""``holdfast log``: the table, the curve, JSON and the picture of a run that has seen everything."""

import builtins
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from holdfast.checkpoint import Series
from holdfast.cli.curve import columns, curve, is_wide
from runs import damage, fill, state

LOSSES = [4.0, 3.0, 2.0, 1.0, 1.5, 1.2, 0.9, 1.1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight steps, of which 5 are kept; one pinned, one set aside, one unhealthy, and two that a rollback left behind."""
    path, tracked = tmp_path / "digits", state()
    options = {"keep_last": 2, "keep_best": 1, "best": "loss", "health": True, "background": False}
    with Series(path, every_steps=1, **options) as series:
        series.track(**tracked).resume()
        for step, loss in enumerate(LOSSES):
            fill(tracked, step)
            series.step(step, loss=loss, accuracy=1 / (1 + loss), epoch=step // 4)
            if step == 1:
                series.pin()
        series.rollback(before=7)
        fill(tracked, 7)
        series.step(7, loss=1.05)
        with pytest.warns(UserWarning, match="unhealthy"):
            series.step(8, loss=math.nan)
        damage(series.checkpoints[-2].path)
        series._folder.set_aside(series._folder.names()[-2], "one bit")
    return path


def test_the_table(run, folder):
    result = run("log", folder)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{folder}: 3 checkpoints, ")
    heading = lines[1].split()
    assert heading == ["step", "when", "(UTC)", "loss", "accuracy", "size", "kept", "because"]
    rows = [line.split() for line in lines[2:5]]
    assert [(row[0], row[3]) for row in rows] == [("1", "3"), ("6", "0.9"), ("8", "nan")]
    assert [row[-1] for row in rows] == ["pinned", "best", "unhealthy"]
    assert lines[5] == "step 8: the loss is nan"
    assert lines[6] == "abandoned by going back: step 7"
    assert lines[7].startswith("damaged and set aside: digits-000007-")
    assert lines[8] == "loss: 4 at step 0, 1.05 at step 7, least 0.9 at step 6"
    assert len(lines) == 9


def test_verify(run, folder):
    assert run("log", folder, "--verify").exit_code == 0
    damage(sorted(folder.glob("*.bson"))[0])
    result = run("log", folder, "--verify")
    assert result.exit_code == 1
    assert "DAMAGED: " in result.stdout
    assert result.stdout.count(" ok\n") == 2
    assert run("log", folder).exit_code == 0  # nobody has looked


def test_json(run, folder):
    [found] = json.loads(run("log", folder, "--json").stdout)["runs"]
    assert found["run"] == "digits"
    assert [one["step"] for one in found["checkpoints"]] == [1, 6, 8]
    assert found["checkpoints"][0]["kept"] == ["last", "pinned"]
    assert found["checkpoints"][1]["metrics"]["loss"] == 0.9
    assert found["checkpoints"][2]["note"] == "the loss is nan"
    assert found["checkpoints"][1]["epoch"] == 1
    assert "verified" not in found["checkpoints"][0]
    assert found["history"]["step"] == list(range(9))
    assert found["history"]["metrics.loss"][:8] == [*LOSSES[:7], 1.05]
    assert found["history"]["metrics.accuracy"][7:] == ["nan", "nan"]
    assert [one["step"] for one in found["abandoned"]] == [7]
    assert len(found["damaged"]) == 1
    assert found["policy"]["metric"] == "loss"
    damage(Path(found["checkpoints"][0]["path"]))
    [found] = json.loads(run("log", folder, "--json", "--verify").stdout)["runs"]
    assert [one["verified"] for one in found["checkpoints"]] == [False, True, True]
    assert found["checkpoints"][0]["damage"]


def test_the_curve_on_a_terminal(run, folder, monkeypatch):
    monkeypatch.setattr(sys.modules["holdfast.cli.log"], "on_terminal", lambda: True)
    lines = run("log", folder).stdout.splitlines()
    drawn = lines[lines.index("loss") + 1 :]
    assert len(drawn) == 6
    assert drawn[0].startswith("  4 ┤█")
    assert drawn[4].startswith("0.9 ┤█")
    assert drawn[5].strip() == "4 at step 0, 1.05 at step 7, least 0.9 at step 6"


def test_another_metric(run, folder):
    assert "accuracy: 0.2 at step 0" in run("log", folder, "--metric", "accuracy").stdout
    result = run("log", folder, "--metric", "nonsense")
    assert result.exit_code == 2
    assert "has no metric 'nonsense' to draw; it has loss, accuracy" in result.stderr


def test_several_runs_and_strangers(run, folder):
    with Series(folder, name="letters", background=False) as series:
        series.track(**state()).save(3)
    (folder / "notes.txt").write_text("mine")
    text = run("log", folder).stdout
    assert f"{folder / 'letters'}: 1 checkpoint, " in text
    assert f"{folder / 'digits'}" not in text


@pytest.mark.parametrize("what", ["empty", "file", "nothing"])
def test_where_there_is_no_run(run, tmp_path, what):
    if what == "file":
        (tmp_path / "file").write_text("")
    path = tmp_path if what == "empty" else tmp_path / what
    result = run("log", path)
    assert result.exit_code == (0 if what == "empty" else 2)
    assert ("no checkpoints" in result.stdout) == (what == "empty")
    assert len(result.stderr.splitlines()) == (0 if what == "empty" else 1)


def test_no_framework_is_loaded(command, folder):
    done = command("log", folder, "--verify")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_log_in_a_folder_that_is_written_to(run, tmp_path):
    with Series(tmp_path, every_steps=1, background=False) as series:
        series.track(**state()).step(0)
        assert run("log", tmp_path).exit_code == 0


# -- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "begin"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("A.PDF", b"%PDF")])
def test_the_picture(run, folder, tmp_path, name, begin):
    pytest.importorskip("matplotlib")
    result = run("log", folder, "--plot", tmp_path / name)
    assert result.exit_code == 0, result.stderr
    picture = (tmp_path / name).read_bytes()
    assert picture.startswith(begin)
    assert len(picture) > 5000
    run("log", folder, "--plot", tmp_path / name)
    assert (tmp_path / name).read_bytes() == picture or name != "a.svg"


def test_names_are_texts_in_the_picture(run, tmp_path):
    pytest.importorskip("matplotlib")
    with Series(tmp_path / "run", name="$x^{$ frac_ 字", every_steps=1, background=False) as series:
        series.track(**state())
        for step in range(3):
            series.step(step, **{"$loss_{": 1 / (step + 1)})
    assert run("log", tmp_path / "run", "--plot", tmp_path / "a.svg").exit_code == 0


def test_what_cannot_be_drawn(run, folder, tmp_path, monkeypatch):
    result = run("log", folder, "--plot", tmp_path / "a.jpg")
    assert (result.exit_code, "pictures are .png, .svg, .pdf" in result.stderr) == (2, True)
    (tmp_path / "empty").mkdir()
    result = run("log", tmp_path / "empty", "--plot", tmp_path / "a.png")
    assert (result.exit_code, "nothing to draw" in result.stderr) == (2, True)
    importing = builtins.__import__

    def without(name: str, *arguments: object, **options: object) -> object:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return importing(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("log", folder, "--plot", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "pip install 'holdfast[plot]'" in result.stderr
    assert not list(tmp_path.glob("a.*"))


# -- the curve --------------------------------------------------------------------------------------------------------


def test_a_curve_falls_where_the_values_do():
    lines = curve([(0, 3.0), (10, 0.0)], width=10, height=3)
    assert [len(line) for line in lines] == [10] * 3
    heights = [sum(" ▁▂▃▄▅▆▇█".index(line[at]) for line in lines) for at in range(10)]
    assert heights == sorted(heights, reverse=True)
    assert (heights[0], heights[-1]) == (24, 1)


def test_what_is_not_there_lies_on_the_line_between():
    assert columns([(0, 0.0), (8, 8.0)], 9) == pytest.approx(list(range(9)))
    assert columns([(0, 0.0), (1, 2.0), (100, 5.0)], 2) == [1.0, 5.0]
    assert columns([(0, math.nan), (1, 2.0), (2, math.inf), (3, 4.0)], 3) == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("points", [[(5, 1.0)], [(0, 1.0), (1, 1.0)], [(i, -1.0) for i in range(500)]])
def test_flat_curves(points):
    assert len(set(curve(points, 20, 2)[1])) == 1


def test_wide_ranges_are_logarithmic():
    assert is_wide([1e-3, 1.0])
    assert not is_wide([0.1, 1.0])
    assert not is_wide([-1.0, 1000.0])
    assert columns([(0, 0.01), (1, 100.0)], 2) == pytest.approx([-2, 2])


def test_many_points_are_quickly_drawn():
    values = np.random.default_rng(0).random(100_000).tolist()
    assert len(curve(list(enumerate(values)), 60, 5)) == 5
