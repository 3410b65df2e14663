"""Files open in a real Julia, with ``BSON.load``, and hold the same values there. Skipped where there is no Julia."""

from pathlib import Path
from typing import Any

import bson
import numpy as np
import pytest

from julia_runner import julia_or_skip, opened, opened_all, run_julia, run_models
from julia_values import said_array, to_document
from reference import JULIA, array, described, needs_julia_files

# what pymongo writes → what Julia says of it
SCALARS: dict[str, tuple[Any, dict[str, Any]]] = {
    "nothing": (None, {"type": "Nothing"}),
    "yes": (True, {"type": "Bool", "value": True}),
    "small": (bson.Int64(-7), {"type": "Int64", "value": -7}),
    "large": (bson.Int64(2**63 - 1), {"type": "Int64", "value": 2**63 - 1}),
    "half": (0.5, {"type": "Float64", "value": 0.5}),
    "infinite": (float("-inf"), {"type": "Float64", "value": "-Infinity"}),
    "nan": (float("nan"), {"type": "Float64", "value": "NaN"}),
    "text": ('a"\\\n∀😀', {"type": "String", "value": 'a"\\\n∀😀'}),
}

ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5,
    "cube": np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 7,
    "half": np.array([1.5, -0.0, np.inf], np.float16),
    "complex": np.array([1 + 2j, -0.5j], np.complex64),
    "counts": np.array([[2**64 - 1, 0], [1, 2]], np.uint64),
    "flags": np.array([True, False, True]),
    "bytes": np.array([0, 255], np.uint8),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(2.5),
}


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_bytes(bson.encode(document))
    return path


def test_plain_values_open(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.bson", {name: value for name, (value, _) in SCALARS.items()})
    assert opened(path) == {name: said for name, (_, said) in SCALARS.items()}


def test_arrays_open(tmp_path: Path) -> None:
    path = write(tmp_path / "arrays.bson", {name: to_document(value) for name, value in ARRAYS.items()})
    found = opened(path)
    assert found.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        got = said_array(found[name])
        assert (got.dtype, got.shape, got.tobytes()) == (value.dtype, value.shape, value.tobytes()), name


def test_shared_arrays_stay_shared(tmp_path: Path) -> None:
    back = {"tag": "backref", "ref": bson.Int64(1)}
    document = {"a": back, "b": back, "_backrefs": [to_document(np.zeros(2))]}
    found = opened(write(tmp_path / "shared.bson", document))
    assert found["b"] == {"type": found["a"]["type"], "same": found["a"]["id"]}


def test_many_files_in_one_start(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.bson", {"n": bson.Int64(n)} if n else {}) for n in range(3)]
    assert [list(values) for values in opened_all(paths)] == [[], ["n"], ["n"]]


def test_a_file_that_julia_refuses_fails_the_test(tmp_path: Path) -> None:
    unknown = {"tag": "datatype", "name": ["Main", "Nowhere"], "params": []}
    path = write(tmp_path / "unknown.bson", {"a": {"tag": "struct", "type": unknown, "data": []}})
    with pytest.raises(AssertionError, match=r"unknown\.bson.*Nowhere"):
        opened(path)


def test_a_script_that_ends_badly_says_so() -> None:
    done = run_julia("open.jl", "--using", "Nowhere")
    assert done.returncode != 0
    assert "Nowhere" in done.stderr


@needs_julia_files
@pytest.mark.parametrize("version", ["0.8.3", "0.12.1", "0.16.9"])
def test_flux_models_run(version: str, tmp_path: Path) -> None:
    """The runner itself: what Flux saved gives in Julia what Flux said it gives."""
    julia_or_skip(flux=version)
    paths = [JULIA / f"flux-{version}" / f"{name}.bson" for name in ("doc_model", "conv_basic", "lstm")]
    said = [described(path) for path in paths]
    inputs = [_one_or_steps(each["inputs"]) for each in said]
    jobs = [(path, "model", x) for path, x in zip(paths, inputs, strict=True)]
    for got, each in zip(run_models(jobs, tmp_path, flux=version), said, strict=True):
        np.testing.assert_allclose(np.array(got), np.array(_one_or_steps(each["outputs"])), rtol=1e-5, atol=1e-6)


def _one_or_steps(descriptions: list[dict[str, Any]]) -> Any:
    arrays = [array(each) for each in descriptions]
    return arrays if len(arrays) > 1 else arrays[0]
