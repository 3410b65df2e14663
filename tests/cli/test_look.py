"""``holdfast ls`` and ``holdfast show``."""

import json

import ml_dtypes
import numpy as np
import pytest

from holdfast import save
from reference import VECTORS

JULIAS = VECTORS / "julia" / "doc_model_flux_0.12.1.bson"


def columns(text):
    return [line.split() for line in text.splitlines()]


def test_ls_lists_the_names_at_the_top(run, file):
    heading, *rows = columns(run("ls", file).stdout)
    assert heading == ["name", "type", "shape", "dtype", "size"]
    assert rows == [
        ["model", "dict", "of", "3", "72", "B"],
        ["tied", "numpy.ndarray", "(3,", "4)", "float32", "=", "model['weight']"],
        ["loss", "float", "=", "0.25"],
    ]


def test_ls_all_lists_every_value_by_its_path(run, file):
    names = [row[0] for row in columns(run("ls", "--all", file).stdout)[1:]]
    assert names == ["model['weight']", "model['bias']", "model['name']", "tied", "loss"]


def test_ls_json(run, file):
    listed = json.loads(run("ls", file, "--json").stdout)
    assert listed["file"] == str(file)
    model, tied, loss = listed["entries"]
    assert (model["path"], model["nbytes"], model["length"]) == ("model", 72, 3)
    assert (tied["shape"], tied["dtype"], tied["shared"]) == ([3, 4], "float32", "model['weight']")
    assert (loss["type"], loss["value"]) == ("float", 0.25)


def test_show_is_a_tree(run, file):
    assert run("show", file).stdout.splitlines()[1:] == [
        "model: dict, 72 B",
        "  weight: numpy.ndarray float32 (3, 4), 48 B",
        "  bias: numpy.ndarray float64 (3,), 24 B",
        "  name: str = 'first'",
        "tied: numpy.ndarray float32 (3, 4), the same as model['weight']",
        "loss: float = 0.25",
    ]


def test_show_says_who_wrote_it(run, file):
    assert run("show", file).stdout.splitlines()[0].endswith("with checksums")
    assert "not written by Holdfast" in run("show", JULIAS).stdout.splitlines()[0]


@pytest.mark.parametrize(("path", "lines"), [("model", 4), ("model['weight']", 1), ("tied", 1), ("loss", 1)])
def test_show_from_a_path_down(run, file, path, lines):
    result = run("show", file, path)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == lines


@pytest.mark.parametrize(("depth", "lines"), [(0, 4), (1, 7), (9, 7)])
def test_show_to_a_depth(run, file, depth, lines):
    assert len(run("show", file, "--depth", depth).stdout.splitlines()) == lines


def test_values_are_read_only_when_asked_for(run, file, damaged):
    assert "min" not in run("show", file).stdout
    assert "min 0, mean 5.5, max 11" in run("show", file, "--values").stdout
    assert run("show", damaged).exit_code == 0


def test_values_that_changed_are_not_shown(run, damaged):
    result = run("show", damaged, "--values")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"holdfast: {damaged}: damaged values: model['weight']\n"


def test_shared_values_are_shown_once(run, file):
    assert run("show", file, "--values").stdout.count("min 0") == 1


def test_values_in_json(run, tmp_path):
    save(tmp_path / "m.bson", a=np.array([np.nan, np.inf, 1.0] * 5), b=np.float32(2), c=np.zeros((2, 0)))
    a, b, c = json.loads(run("show", tmp_path / "m.bson", "--values", "--json").stdout)["entries"]
    assert (a["min"], a["max"], a["not finite"]) == (1.0, 1.0, 10)
    assert b["value"] == 2.0
    assert c["values"] == []


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.arange(9).astype(ml_dtypes.bfloat16), "min 0, mean 4, max 8"),
        (np.arange(9).astype(ml_dtypes.int4).reshape(3, 3), "min -8, mean"),
        (np.array(["a", "bc"]), "values ['a', 'bc']"),
        (np.array([True, False]), "values [True, False]"),
        (np.arange(20, dtype=">i4"), "min 0, mean 9.5, max 19"),
        (np.asfortranarray(np.arange(20.0).reshape(4, 5)), "min 0, mean 9.5, max 19"),
        (np.arange(40.0).reshape(2, 4, 5).transpose(1, 0, 2), "min 0, mean 19.5, max 39"),
        (np.array(3.5), "values [3.5]"),
        (np.arange("2020-01-01", "2020-01-09", dtype="M8[D]"), "first [datetime.date(2020, 1, 1)"),
        (np.zeros(8, [("x", "f4"), ("n", "i8", (2,))]), "first ["),
    ],
)
def test_values_of_every_kind(run, tmp_path, array, text):
    save(tmp_path / "m.bson", a=array)
    assert text in run("show", tmp_path / "m.bson", "--values").stdout


def test_a_model_of_julias(run):
    shown = run("show", JULIAS, "--values").stdout
    assert "float32 (5, 10), 200 B; min -0.56093, mean" in shown
    assert "values [1.24029, -0.0556471]" in shown


def test_a_deep_file(run, tmp_path):
    value: list[object] = []
    for _ in range(200):
        value = [value]
    save(tmp_path / "m.bson", deep=value)
    for arguments in (["show"], ["show", "--json"], ["ls", "-a"]):
        assert run(*arguments, tmp_path / "m.bson").exit_code == 0
    assert len(run("show", tmp_path / "m.bson").stdout.splitlines()) == 202
