"""``holdfast verify`` and ``holdfast diff``."""

import json
from datetime import date

import numpy as np
import pytest

from holdfast import save
from holdfast.julia import Symbol
from reference import VECTORS

JULIAS = VECTORS / "julia" / "doc_model_flux_0.12.1.bson"


# -- verify -----------------------------------------------------------------------------------------------------------


def test_verify_says_a_line_for_each_file(run, file, damaged):
    result = run("verify", file, damaged, JULIAS)
    assert result.exit_code == 1
    good, bad, julias = result.stdout.splitlines()
    assert good == f"{file}: ok, 2 arrays, {file.stat().st_size:,} B"
    assert bad == f"{damaged}: damaged: model['weight']"
    assert julias.startswith(f"{JULIAS}: whole, 3,512 B, but without checksums")


def test_verify_names_every_bad_value(run, tmp_path):
    path = tmp_path / "m.bson"
    arrays = {f"w{i}": np.full(100, i, np.float64) for i in range(4)}
    save(path, state=arrays)
    data = bytearray(path.read_bytes())
    for i in (1, 3):
        data[data.index(arrays[f"w{i}"].tobytes())] ^= 128
    path.write_bytes(data)
    assert run("verify", path).stdout == f"{path}: damaged: state['w1'], state['w3']\n"


def test_verify_of_a_damaged_structure(run, file):
    data = bytearray(file.read_bytes())
    data[data.index(b"first")] ^= 1
    file.write_bytes(data)
    result = run("verify", file)
    assert result.exit_code == 1
    assert "damaged: the structure of the file" in result.stdout


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_verify_of_a_file_cut_short(run, file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    result = run("verify", file)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{file}: damaged: ")


def test_verify_goes_on_after_a_file_that_is_missing(run, file, tmp_path):
    result = run("verify", tmp_path / "nowhere.bson", file)
    assert result.exit_code == 2
    assert result.stdout.startswith(f"{file}: ok")
    assert result.stderr == f"holdfast: {tmp_path / 'nowhere.bson'}: No such file or directory\n"


def test_verify_of_a_folder(run, file, tmp_path):
    """Orbax and zarr write folders: one is no damaged file, but nothing that is read."""
    result = run("verify", tmp_path, file)
    assert result.exit_code == 2
    assert result.stdout.startswith(f"{file}: ok")
    assert "the folders of Orbax and zarr are not read now" in result.stderr


def test_verify_json(run, file, damaged):
    result = run("verify", file, damaged, "--json")
    assert result.exit_code == 1
    good, bad = json.loads(result.stdout)
    assert (good["ok"], good["checksums"], good["arrays"], good["damaged"]) == (True, True, 2, [])
    assert (bad["ok"], bad["damaged"]) == (False, ["model['weight']"])


def test_verify_batch_by_batch(run, file, damaged, monkeypatch):
    monkeypatch.setattr("holdfast.cli.contents.BATCH", 1)
    assert run("verify", file).exit_code == 0
    assert run("verify", damaged).stdout == f"{damaged}: damaged: model['weight']\n"


# -- diff -------------------------------------------------------------------------------------------------------------

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def changed(array, index, value):
    copy = array.copy()
    copy[index] = value
    return copy


CASES = [
    ({"a": 1}, {"a": 1}, []),
    ({"a": 1}, {"a": 2}, ["~ a: 1 -> 2"]),
    ({"a": 1.0}, {"a": float("nan")}, ["~ a: 1.0 -> nan"]),
    ({"a": float("nan")}, {"a": float("nan")}, []),
    ({"a": "x" * 2000 + "a"}, {"a": "x" * 2000 + "b"}, ["~ a"]),
    ({"a": 1}, {"b": 1}, ["- a: int = 1", "+ b: int = 1"]),
    ({"a": 1}, {"a": "1"}, ["~ a: type int -> str", "~ a: 1 -> '1'"]),
    ({"a": None}, {"a": 0}, ["~ a: type NoneType -> int", "~ a: None -> 0"]),
    ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3, "z": 4}}, ["- a['x']", "~ a['y']: 2 -> 3", "+ a['z']"]),
    ({"a": [1, 2, 3]}, {"a": [1, 2]}, ["- a[2]: int = 3"]),
    ({"a": list(range(500))}, {"a": [*range(499), 0]}, ["~ a: other contents"]),
    ({"a": list(range(500))}, {"a": list(range(501))}, ["~ a: other contents"]),
    ({"a": list(range(500))}, {"a": [0, 1]}, ["~ a: other contents", "+ a[0]", "+ a[1]"]),
    ({"a": []}, {"a": [5]}, ["+ a[0]: int = 5"]),
    ({"a": Symbol("x")}, {"a": Symbol("y")}, ["~ a: :x -> :y"]),
    ({"a": date(2026, 1, 1)}, {"a": date(2026, 1, 2)}, ["~ a: datetime.date(2026, 1, 1) -> "]),
    ({"a": date(2026, 1, 1), "b": date(2026, 1, 1)}, {"b": date(2026, 1, 1)}, ["- a: datetime.date"]),
    ({"a": np.float32("nan")}, {"a": np.float32("nan")}, []),
    ({"a": 2**100}, {"a": 2**100 + 1}, ["~ a: "]),
    ({"a": b"123"}, {"a": b"124"}, ["~ a"]),
    ({"a": WEIGHT}, {"a": WEIGHT.copy()}, []),
    ({"a": WEIGHT}, {"a": np.asfortranarray(WEIGHT)}, []),
    ({"a": WEIGHT}, {"a": changed(WEIGHT, (1, 1), 5.5)}, ["~ a: 1 of 12 elements differ, by at most 0.5"]),
    (
        {"a": WEIGHT},
        {"a": np.asfortranarray(changed(WEIGHT, (2, 3), 0))},
        ["~ a: 1 of 12 elements differ, by at most 11"],
    ),
    ({"a": WEIGHT}, {"a": WEIGHT.reshape(4, 3)}, ["~ a: shape (3, 4) -> (4, 3)"]),
    ({"a": WEIGHT}, {"a": WEIGHT.astype(np.float64)}, ["~ a: dtype float32 -> float64"]),
    (
        {"a": WEIGHT},
        {"a": 3},
        ["~ a: type numpy.ndarray -> int", "~ a: shape (3, 4) -> None", "~ a: dtype float32 -> None"],
    ),
    ({"a": WEIGHT}, {"a": changed(WEIGHT, 0, np.nan)}, ["~ a: 4 of 12 elements differ, by at most nan"]),
    ({"a": np.array(["a", "b"])}, {"a": np.array(["a", "c"])}, ["~ a: 1 of 2 elements differ"]),
    ({"a": WEIGHT, "b": WEIGHT}, {"a": WEIGHT, "b": WEIGHT.copy()}, ["~ b: the same as a -> an object of its own"]),
    (
        {"a": WEIGHT, "b": WEIGHT},
        {"a": WEIGHT + 1, "b": WEIGHT + 1},
        ["~ a: 12", "~ b: the same as a -> an object", "~ b: 12"],
    ),
    (
        {"a": [WEIGHT], "b": {"x": WEIGHT}},
        {"a": [WEIGHT + 1], "b": {"x": WEIGHT}},
        ["~ a[0]: 12 of", "~ b['x']: the same as a[0] -> an object of its own"],
    ),
]


@pytest.mark.parametrize(("before", "after", "lines"), CASES)
def test_diff(run, tmp_path, before, after, lines):
    a, b = tmp_path / "a.bson", tmp_path / "b.bson"
    save(a, before)
    save(b, after)
    result = run("diff", a, b)
    assert result.stderr == ""
    assert result.exit_code == (1 if lines else 0)
    found = result.stdout.splitlines()
    assert len(found) == len(lines), found
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True)), found
    assert run("diff", a, a).output == run("diff", b, b).output == ""


def test_shared_on_both_sides_is_compared_once(run, tmp_path):
    for name, extra in (("a", 0), ("b", 1)):
        weight = WEIGHT + extra
        save(tmp_path / f"{name}.bson", {"model": [weight], "again": {"x": weight}, "tied": weight})
    assert run("diff", tmp_path / "a.bson", tmp_path / "b.bson").stdout.splitlines() == [
        "~ model[0]: 12 of 12 elements differ, by at most 1"
    ]


def test_a_list_that_holds_itself(run, tmp_path):
    for name in ("a", "b"):
        value: list[object] = [name]
        value.append(value)
        save(tmp_path / f"{name}.bson", loop=value)
    assert run("diff", tmp_path / "a.bson", tmp_path / "b.bson").stdout == "~ loop[0]: 'a' -> 'b'\n"


def test_diff_json(run, tmp_path):
    save(tmp_path / "a.bson", w=WEIGHT, gone=1)
    save(tmp_path / "b.bson", w=WEIGHT * 2)
    result = run("diff", tmp_path / "a.bson", tmp_path / "b.bson", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["same"] is False
    changed, removed = report["differences"]
    assert (changed["path"], changed["what"], changed["elements"], changed["of"], changed["max"]) == (
        "w",
        "elements",
        11,
        12,
        11.0,
    )
    assert (removed["path"], removed["what"], removed["after"]) == ("gone", "removed", None)
    same = run("diff", tmp_path / "a.bson", tmp_path / "a.bson", "--json")
    assert (same.exit_code, json.loads(same.stdout)["same"]) == (0, True)


def test_diff_does_not_trust_a_damaged_file(run, file, damaged):
    result = run("diff", file, damaged)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "damaged values: model['weight']" in result.stderr


def test_tensors_are_compared_without_torch_being_needed(run, tmp_path):
    torch = pytest.importorskip("torch")
    memory = torch.arange(10.0)
    for name in ("a", "b"):
        images = torch.arange(120).reshape(2, 3, 4, 5).to(torch.bfloat16).to(memory_format=torch.channels_last)
        save(tmp_path / f"{name}.bson", head=memory[:5], tail=memory[5:], images=images)
        memory[9] = -1
    result = run("diff", tmp_path / "a.bson", tmp_path / "b.bson")
    assert result.stdout == "~ tail: 1 of 5 elements differ, by at most 10\n"
