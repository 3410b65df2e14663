"""Every value that real Julia wrote equals what Julia said about it in the JSON beside it."""

import json
import math
from datetime import date, datetime, time
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import holdfast
import holdfast.julia
from documents import difference
from holdfast.errors import FormatError
from holdfast.julia import Array, Char, DataType, NamedTuple, Ref, SimpleVector, Struct, UnionAll, bottom, missing
from holdfast.julia.arrays import as_array
from holdfast.wire.read import read_document
from reference import julia_files, needs_julia_files, stem

FILES = julia_files("generic")

LOST = {"bigint", "array_bigint"}
"""BSON.jl writes a BigInt as a memory address: the value is not in the file, and loading it says so."""

MISREAD = {"dict_tag_key"}
"""A dictionary with a key "tag", which BSON.jl itself cannot read back; JSON has Julia's own value, and so have we."""


def number(value: Any) -> Any:
    return {"NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def equals(value: Any, said: dict[str, Any], path: str) -> None:
    """Assert that ``value`` is what ``said`` describes."""
    kinds = {
        "array": check_array,
        "value": check_scalar,
        "tuple": check_tuple,
        "namedtuple": check_named_tuple,
        "dict": check_dict,
        "set": check_set,
        "type": check_type,
        "function": check_function,
        "module": check_module,
        "bytes": check_bytes,
        "fields": check_fields,
    }
    if said.get("truncated"):
        return
    kind = next((kind for kind in kinds if kind in said), None)
    if kind is not None:
        kinds[kind](value, said[kind], said, path)
    elif "undef" in said:
        assert isinstance(value, Struct), path
        assert value.name == "BSON.Undef", path
    elif said["julia_type"] == "Nothing":
        assert value is None, path
    elif said["julia_type"] == "Missing":
        assert value is missing, path
    else:
        assert "repr" in said, f"{path}: nothing to compare with in {said}"


def check_array(value: Any, said: dict[str, Any], whole: dict[str, Any], path: str) -> None:
    array = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else None
    try:
        array = as_array(value) if array is None else array
    except holdfast.UnsupportedError:
        check_raw(value, said, path)
        return
    assert list(array.shape) == said["size"], path
    flat = array.reshape(-1, order="F")
    if "sum" in said:
        assert np.isclose(flat.sum(dtype=np.float64), number(said["sum"]), rtol=1e-5), path
        assert flat[0] == said["first"], path
        assert flat[-1] == said["last"], path
        return
    for index, (got, want) in enumerate(zip(flat, said["data"], strict=True)):
        if isinstance(want, dict):
            equals(got if not isinstance(got, np.generic) else got.item(), want, f"{path}[{index}]")
        else:
            check_scalar(got, want, {"julia_type": said["eltype"]}, f"{path}[{index}]")


def check_raw(value: Any, said: dict[str, Any], path: str) -> None:
    """An array of a bits type whose fields Julia does not write: its bytes are those of the fields in the JSON."""
    assert isinstance(value, Array), path
    assert list(value.size) == said["size"], path
    assert value.data == b"".join(map(raw, said["data"])), path


def raw(said: Any) -> bytes:
    sizes = {"Int64": "<i8", "Float64": "<f8", "Float32": "<f4", "Int32": "<i4", "UInt8": "<u1", "Bool": "?"}
    if "fields" in said:
        return b"".join(map(raw, said["fields"].values()))
    if "bytes" in said:
        return bytes(said["bytes"])
    if "tuple" in said:
        return b"".join(map(raw, said["tuple"]))
    return np.array(number(said["value"]), sizes[said["julia_type"]]).tobytes()


def check_scalar(value: Any, said: Any, whole: dict[str, Any], path: str) -> None:
    if whole["julia_type"] == "BigFloat":  # its digits are in the file as bytes of a text, which stay inert
        assert isinstance(value, Struct), path
    elif whole["julia_type"].startswith("SubString"):
        text, start, length = value.data
        assert text[start : start + length] == said, path
    elif isinstance(value, Struct | np.void):  # numbers that Python lacks: Complex{Int64}, Rational{Int32} …
        value = list(value.data) if isinstance(value, Struct) else list(value.item())
        assert [number(part) for part in said] == value, path
    elif isinstance(value, Char):
        assert ord(value) == (said if isinstance(said, int) else ord(said)), path
    elif isinstance(value, Fraction):
        assert [value.numerator, value.denominator] == said, path
    elif isinstance(value, complex | np.complexfloating):
        assert [np.float32(value.real), np.float32(value.imag)] == [np.float32(part) for part in said], path
    elif isinstance(value, str | bool | np.bool_):
        assert value == said, path
    elif isinstance(value, float | np.floating):
        want = np.asarray(number(said), type(value) if isinstance(value, np.floating) else np.float64)
        assert np.array_equal(np.asarray(value), want, equal_nan=True), path
    else:
        assert int(value) == int(said), path


def check_tuple(value: Any, said: list[Any], whole: dict[str, Any], path: str) -> None:
    assert isinstance(value, tuple), path
    assert len(value) == len(said), path
    for index, (got, want) in enumerate(zip(value, said, strict=True)):
        equals(got, want, f"{path}[{index}]")


def check_named_tuple(value: Any, said: dict[str, Any], whole: dict[str, Any], path: str) -> None:
    assert isinstance(value, NamedTuple), path
    assert list(value.names) == list(said), path
    for name, got in value.items():
        equals(got, said[name], f"{path}.{name}")


def check_dict(value: Any, said: list[Any], whole: dict[str, Any], path: str) -> None:
    assert isinstance(value, dict), path
    assert len(value) == len(said), path
    left = [(getattr(key, "value", key), got) for key, got in value.items()]
    for want_key, want in said:
        found = next((pair for pair in left if matches(pair[0], want_key) and matches(pair[1], want)), None)
        assert found is not None, f"{path}: no {want_key}"
        left.remove(found)


def check_set(value: Any, said: list[Any], whole: dict[str, Any], path: str) -> None:
    assert isinstance(value, set), path
    assert len(value) == len(said), path
    assert all(any(matches(got, want) for got in value) for want in said), path


def matches(value: Any, said: dict[str, Any]) -> bool:
    try:
        equals(value, said, "")
    except AssertionError:
        return False
    return True


def check_type(value: Any, said: str, whole: dict[str, Any], path: str) -> None:
    assert value is bottom or isinstance(value, DataType | UnionAll | Struct), path
    if isinstance(value, DataType):
        assert said.split("{")[0].split("(")[0].split(".")[-1] in repr(value), path


def check_function(value: Any, said: str, whole: dict[str, Any], path: str) -> None:
    assert isinstance(value, Struct), path
    assert not callable(value), f"{path}: Julia code must stay inert"


def check_module(value: Any, said: str, whole: dict[str, Any], path: str) -> None:
    assert isinstance(value, Ref), path
    assert value.path[-1] == said.split(".")[-1], path


def check_bytes(value: Any, said: list[int], whole: dict[str, Any], path: str) -> None:
    if isinstance(value, Char):
        return
    assert isinstance(value, Struct), path
    assert value.data == bytes(said), path


def check_fields(value: Any, said: dict[str, Any], whole: dict[str, Any], path: str) -> None:
    known = {date: "Date", datetime: "DateTime", time: "Time", UUID: "UUID", range: "Range"}
    if type(value) in known:
        assert known[type(value)] in whole["julia_type"], path
        return
    if isinstance(value, SimpleVector):
        return
    assert isinstance(value, Struct), f"{path}: {value!r} for {whole}"
    for index, (name, want) in enumerate(said.items()):
        if index < len(value.data):
            equals(value.data[index], want, f"{path}.{name}")
        else:
            assert "undef" in want, f"{path}.{name}"


DATES = {
    "date": date(2019, 5, 1),
    "datetime": datetime(2019, 5, 1, 12, 30, 15, 250_000),
    "time": time(1, 2, 3),
}


@needs_julia_files
@pytest.mark.parametrize("path", FILES, ids=stem)
def test_equals_what_julia_said(path: Path) -> None:
    said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if path.stem in LOST:
        with pytest.raises(FormatError, match="not in the file"):
            holdfast.load(path)
        return
    values = holdfast.load(path)
    if said.get("values") is None:
        assert values is not None
        return
    if path.stem in DATES:
        assert values["data"] == DATES[path.stem]
    if set(said["values"]) != set(values if isinstance(values, dict) else ()):
        assert len(said["values"]) == 1 or isinstance(values, dict)
        values = dict.fromkeys(said["values"], values) if len(said["values"]) == 1 else values
    if isinstance(values, holdfast.julia.Dict):
        values = {str(key).lower() if key is True else str(key): value for key, value in values.items()}
    for name, want in said["values"].items():
        equals(values[name], want, name)


NOT_AGAIN = {
    "empty_doc": "save refuses to write a file of nothing",
    "set_int": "a Python set has no order, and the members are one binary in the file",
}


@needs_julia_files
@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem not in LOST | MISREAD | NOT_AGAIN.keys()], ids=stem
)
def test_saved_again_it_is_the_same_document(path: Path, tmp_path: Path) -> None:
    """Same tags, types, values and sharing; the order of keys, of sets and of dictionaries is free."""
    values = holdfast.load(path)
    theirs = read_document(path.read_bytes()).document
    whole = isinstance(theirs.get("tag"), str)
    holdfast.save(tmp_path / "again.bson", {"value": values} if whole else values)
    ours = read_document((tmp_path / "again.bson").read_bytes()).document
    if whole:
        theirs = {"value": {key: part for key, part in theirs.items() if key != "_backrefs"}} | {
            key: part for key, part in theirs.items() if key == "_backrefs"
        }
    assert difference(ours, theirs) == ""
