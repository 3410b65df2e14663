"""State dictionaries of every dtype through every format that is written, bit for bit."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from holdfast import UnsupportedError, inspect, load, restore, save, verify
from holdfast.formats.safetensors import CODES
from holdfast.vocab.dtypes import NAMED
from holdfast.vocab.torch.tensors import NAMES
from reference import ROOT

ENDINGS = (".bson", ".safetensors", ".npz")
"""Formats that hold a whole state dictionary."""

HELD = {
    ".bson": set(NAMES.values()),
    ".npz": set(NAMES.values()),
    ".safetensors": set(CODES),
}
"""torch's dtypes, by name, that each holds."""
DTYPES = {name: dtype for dtype, name in NAMES.items()}


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""


def tensor(name: str, shape: tuple[int, ...], raw: bytes) -> torch.Tensor:
    """A tensor of any dtype whose bits are ``raw`` over and over."""
    dtype = DTYPES[name]
    count = int(np.prod(shape)) * dtype.itemsize
    data = (raw * (count // max(len(raw), 1) + 1))[:count] if raw else bytes(count)
    if name == "bool":
        data = bytes(byte & 1 for byte in data)
    flat = torch.frombuffer(bytearray(data), dtype=torch.uint8) if count else torch.empty(0, dtype=torch.uint8)
    if not count:
        return torch.empty(0, dtype=torch.uint8).view(dtype).reshape(shape) if name != "complex32" else torch.empty(0)
    return flat.view(dtype).reshape(shape)


shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda name: name not in ("tag", "_backrefs", "_holdfast", "__metadata__")
)


@st.composite
def states(draw: st.DrawFn, ending: str) -> dict[str, torch.Tensor]:
    keys = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    dtypes = sorted(HELD[ending] - {"complex32"})
    return {
        key: tensor(
            draw(st.sampled_from(dtypes)),
            draw(shapes if draw(st.booleans()) else st.just((3, 2))),
            draw(st.binary(max_size=16)),
        )
        for key in keys
    }


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_state_dictionary(ending: str, tmp_path: Path, data: st.DataObject) -> None:
    state = data.draw(states(ending))
    if ending == ".safetensors" and any(t.dtype == torch.float4_e2m1fn_x2 and not t.dim() for t in state.values()):
        return
    path = tmp_path / f"state{ending}"
    save(path, state)
    verify(path)
    found = load(path)
    assert list(found) == list(state)
    for name, value in state.items():
        assert type(found[name]) is torch.Tensor
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert bits(found[name]) == bits(value)


@pytest.mark.parametrize("name", sorted(DTYPES))
@pytest.mark.parametrize("ending", ENDINGS)
def test_each_dtype(ending: str, name: str, tmp_path: Path) -> None:
    value, path = tensor(name, (2, 3), bytes(range(1, 24))), tmp_path / f"state{ending}"
    if name not in HELD[ending]:
        with pytest.raises(UnsupportedError, match=rf"{name}.*\.bson.*\$\.value"):
            save(path, value=value)
        assert not path.exists()
        return
    save(path, value=value)
    found = load(path, "value")
    assert (found.dtype, found.shape, bits(found)) == (value.dtype, value.shape, bits(value))


@pytest.mark.parametrize("name", sorted(NAMED))
@pytest.mark.parametrize("ending", [*ENDINGS, ".npy"])
def test_each_dtype_of_numpys(ending: str, name: str, tmp_path: Path) -> None:
    dtype = NAMED[name]
    raw = np.arange(6, dtype=np.uint8) % 2 if name == "bool" else np.arange(6 * dtype.itemsize, dtype=np.uint8)
    value, path = raw.view(dtype).reshape(2, 3), tmp_path / f"array{ending}"
    held = {".safetensors": name in CODES, ".npy": dtype.isbuiltin != 2}.get(ending, True)
    if not held:
        with pytest.raises(UnsupportedError, match=r"\.bson"):
            save(path, value=value)
        return
    save(path, value=value)
    found = load(path) if ending == ".npy" else load(path, "value")
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape, found.tobytes()) == (dtype, value.shape, value.tobytes())


@pytest.mark.parametrize("ending", ENDINGS)
def test_shared_tensors_are_written_once_and_shared_again(ending: str, tmp_path: Path) -> None:
    weight, path = torch.randn(100, 50), tmp_path / f"tied{ending}"
    save(path, embed=weight, head=weight, turned=weight.t(), rows=weight[10:20], other=weight.clone())
    assert path.stat().st_size < 3 * 100 * 50 * 4
    found = load(path)
    assert found["head"] is found["embed"]
    found["embed"][12, 3] = 7
    assert (found["turned"][3, 12], found["rows"][2, 3], found["other"][12, 3] == 7) == (7, 7, False)
    assert [entry.shared for entry in inspect(path).children[1:4]] == ["embed"] * 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_alias_alone_is_loaded_too(ending: str, tmp_path: Path) -> None:
    weight, path = torch.randn(4, 5), tmp_path / f"tied{ending}"
    save(path, embed=weight, turned=weight.t())
    assert load(path, "turned").equal(weight.t())


@pytest.mark.parametrize("ending", ENDINGS)
def test_many_small_arrays_of_two_frameworks(ending: str, tmp_path: Path) -> None:
    """Their documents are made from the first of a kind each; one that is gone must not lend its size to another."""
    tensors = {f"{i}": torch.arange(24.0).reshape([(4, 6), (6, 4), (3, 8), (8, 3), (24,)][i % 5]) for i in range(300)}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    save(tmp_path / f"m{ending}", tensors=tensors, arrays=arrays)
    found = load(tmp_path / f"m{ending}")
    for name, tensor in tensors.items():
        assert found["tensors"][name].equal(tensor)
        assert np.array_equal(found["arrays"][name], arrays[name])


@pytest.mark.parametrize("ending", ENDINGS)
def test_dictionaries_come_back(ending: str, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    path = tmp_path / f"net{ending}"
    save(path, model=net.state_dict(), ema={"deep": {"er": torch.ones(2)}}, parameter=torch.nn.Parameter(torch.ones(1)))
    found = load(path)
    assert {name: bits(value) for name, value in found["model"].items()} == {
        name: bits(value) for name, value in net.state_dict().items()
    }
    assert found["ema"]["deep"]["er"].equal(torch.ones(2))
    assert type(found["parameter"]) is torch.nn.Parameter
    net.load_state_dict(load(path, "model"))


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".npy"])
@pytest.mark.parametrize(
    ("value", "path"),
    [
        (1.5, r"\$\.value"),
        ("text", r"\$\.value"),
        ({"a": [torch.ones(1)]}, r"\$\.value\['a'\]"),
        ({"a": {"b": None}}, r"\$\.value\['a'\]\['b'\]"),
        ({}, r"\$\.value"),
        (torch.nn.Linear(1, 1), r"\$\.value"),
        ({1: torch.ones(1)}, r"\$\.value"),
        (np.array(["text"]), r"\$\.value"),
        (np.ones(2, ">f4"), r"\$\.value"),
        (np.float32(1), r"\$\.value"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_has_no_place_is_refused_by_path(value: Any, path: str, ending: str, tmp_path: Path) -> None:
    if isinstance(value, np.ndarray) and ending != ".safetensors":
        pytest.skip("NumPy's own formats hold it")
    with pytest.raises(UnsupportedError, match=r"\.bson") as error:
        save(tmp_path / f"m{ending}", value=value)
    error.match(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_two_values_of_one_name_are_refused(ending: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"'a\.b'"):
        save(tmp_path / f"m{ending}", {"a": {"b": torch.ones(1)}, "a.b": torch.ones(2)})


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_memory_that_nobody_has_whole_is_refused_when_it_is_shared(ending: str, tmp_path: Path) -> None:
    whole = torch.randn(10)
    with pytest.raises(UnsupportedError, match="clone"):
        save(tmp_path / f"m{ending}", a=whole[:6], b=whole[4:])
    save(tmp_path / f"m{ending}", wide=torch.ones(1).expand(5))
    assert load(tmp_path / f"m{ending}", "wide").tolist() == [1] * 5


@pytest.mark.parametrize("ending", [".npz", ".npy"])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(6, dtype=">i2").reshape(2, 3).T,
        np.array([["text", "ü"]]),
        np.array([b"bytes", b""]),
        np.array([(1, [2.0, 3.0])], [("count", "i4"), ("values", "f8", (2,))]),
        np.array(["2026-11-24"], "datetime64[D]"),
        np.asfortranarray(np.random.default_rng(0).random((3, 4))),
        np.asfortranarray(np.array([["a", "b"], ["c", "d"]])),
        np.zeros((0, 3)),
        np.array(5.0),
        np.ones((2, 3))[:, ::2],
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_numpys_own_arrays(array: np.ndarray[Any, Any], ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    save(path, value=array)
    verify(path)
    other = np.load(path) if ending == ".npy" else np.load(path)["value"]
    ours = load(path) if ending == ".npy" else load(path, "value")
    for found in (other, ours):
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_an_npy_holds_one_array(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="these are 2"):
        save(tmp_path / "m.npy", a=np.ones(1), b=np.ones(1))
    with pytest.raises(UnsupportedError, match="numpy"):
        save(tmp_path / "m.npy", a=torch.ones(1))


# -- between frameworks -----------------------------------------------------------------------------------------------

PAIRS = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float8_e8m0fnu": ml_dtypes.float8_e8m0fnu,
    **{
        name: np.dtype(name).type for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    "bool": np.bool_,
    "complex64": np.complex64,
}
"""dtypes that all frameworks and formats have. (JAX's are NumPy's.)"""

WITH_NUMPY_ALONE = """
import importlib.util, sys
real, absent = importlib.util.find_spec, {"torch", "jax", "jaxlib"}
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] in absent else real(name, *rest)
from holdfast import load
for path in sys.argv[1:]:
    for name, value in load(path).items():
        print(path.rpartition(".")[2], name, value.dtype.name, value.shape, value.tobytes().hex())
assert not absent & set(sys.modules)
"""


def read_with_numpy_alone(paths: list[Path]) -> list[str]:
    """What a program without torch and JAX finds: format, name, dtype, shape and bits of each array."""
    command = [sys.executable, "-c", WITH_NUMPY_ALONE, *map(str, paths)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()


def found_in(states: dict[str, dict[str, bytes]]) -> list[str]:
    """What ``read_with_numpy_alone`` should find."""
    return [
        f"{ending[1:]} {name} {np.dtype(PAIRS[name]).name} (2, 3) {raw.hex()}"
        for ending, state in states.items()
        for name, raw in state.items()
    ]


def test_no_dtype_is_missing_here() -> None:
    """What torch, NumPy and safetensors have, JAX has as well."""
    assert set(PAIRS) == set(CODES) & set(NAMES.values()) & set(NAMED)


def test_written_with_torch_read_with_numpy(tmp_path: Path) -> None:
    state = {name: tensor(name, (2, 3), bytes(range(1, 24))) for name in PAIRS}
    paths = [tmp_path / f"m{ending}" for ending in ENDINGS]
    for path in paths:
        save(path, state)
    expected = found_in({ending: {name: bits(value) for name, value in state.items()} for ending in ENDINGS})
    assert read_with_numpy_alone(paths) == expected


@pytest.mark.parametrize("ending", ENDINGS)
def test_written_with_numpy_read_with_torch(ending: str, tmp_path: Path) -> None:
    arrays = {
        name: np.frombuffer(bits(tensor(name, (2, 3), bytes(range(1, 24)))), dtype).reshape(2, 3)
        for name, dtype in PAIRS.items()
    }
    path = tmp_path / f"m{ending}"
    save(path, arrays)
    from holdfast.safetensors import load_file as ours

    found = load_file(path) if ending == ".safetensors" else ours(path)
    for name, array in arrays.items():
        assert found[name].dtype == DTYPES[name]
        assert bits(found[name]) == array.tobytes()


@pytest.fixture
def jax() -> Iterator[Any]:
    """JAX in its 64-bit mode: a matrix of all dtypes has those of 64 bits."""
    jax = pytest.importorskip("jax", reason="needs JAX: pip install 'holdfast[jax]'")
    with jax.enable_x64(True):
        yield jax


def jax_arrays(jax: Any) -> dict[str, Any]:
    raw = {name: bits(tensor(name, (2, 3), bytes(range(1, 24)))) for name in PAIRS}
    return {name: jax.numpy.asarray(np.frombuffer(raw[name], PAIRS[name]).reshape(2, 3)) for name in PAIRS}


def raw_of(arrays: dict[str, Any]) -> dict[str, bytes]:
    return {name: np.asarray(array).tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("ending", ENDINGS)
def test_written_with_jax_read_with_jax(ending: str, tmp_path: Path, jax: Any) -> None:
    from holdfast.safetensors.flax import load_file as ours

    arrays, path = jax_arrays(jax), tmp_path / f"m{ending}"
    save(path, arrays)
    verify(path)
    for found in (load(path), ours(path)):
        assert all(isinstance(array, jax.Array) for array in found.values())
        assert {name: array.dtype for name, array in found.items()} == {n: a.dtype for n, a in arrays.items()}
        assert raw_of(found) == raw_of(arrays)


def test_written_with_jax_read_with_numpy(tmp_path: Path, jax: Any) -> None:
    arrays = jax_arrays(jax)
    paths = [tmp_path / f"m{ending}" for ending in ENDINGS]
    for path in paths:
        save(path, arrays)
    assert read_with_numpy_alone(paths) == found_in(dict.fromkeys(ENDINGS, raw_of(arrays)))


@pytest.mark.parametrize("ending", ENDINGS)
def test_written_with_jax_read_with_torch(ending: str, tmp_path: Path, jax: Any) -> None:
    from holdfast.safetensors.torch import load_file as ours

    arrays, path = jax_arrays(jax), tmp_path / f"m{ending}"
    save(path, arrays)
    readers = [ours, load_file] if ending == ".safetensors" else [ours]
    for read in readers:
        found = read(path)
        assert {name: value.dtype for name, value in found.items()} == {name: DTYPES[name] for name in PAIRS}
        assert {name: bits(value) for name, value in found.items()} == raw_of(arrays)


@pytest.mark.parametrize("framework", ["torch", "numpy"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_read_with_jax(ending: str, framework: str, tmp_path: Path, jax: Any) -> None:
    from holdfast.safetensors.flax import load_file as ours

    arrays, path = jax_arrays(jax), tmp_path / f"m{ending}"
    if framework == "torch":
        save(path, {name: tensor(name, (2, 3), bytes(range(1, 24))) for name in PAIRS})
    else:
        save(path, {name: np.asarray(array) for name, array in arrays.items()})
    found = ours(path)
    assert {name: array.dtype for name, array in found.items()} == {n: a.dtype for n, a in arrays.items()}
    assert raw_of(found) == raw_of(arrays)


def test_jaxs_arrays_fill_torchs(tmp_path: Path, jax: Any) -> None:
    path, layer = tmp_path / "m.bson", torch.nn.Linear(3, 2)
    save(path, layer={"weight": jax.numpy.ones((2, 3), "float32"), "bias": jax.numpy.arange(2, dtype="float32")})
    restore(path, layer=layer)
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([[1.0] * 3] * 2, [0.0, 1.0])


def test_the_names_of_safetensors_flax(jax: Any) -> None:
    from holdfast.safetensors import flax, safe_open

    assert raw_of(flax.load(flax.save(jax_arrays(jax)))) == raw_of(jax_arrays(jax))
    with pytest.raises(UnsupportedError, match=r"no jaxlib.*Array"):
        flax.save({"a": np.ones(2)})
    with pytest.raises(UnsupportedError, match='"flax"'):
        safe_open("m.bson", framework="tf")
