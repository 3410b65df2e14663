"""The names of safetensors for files of Holdfast's: each case runs with both packages, and must give the same."""

import inspect
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import safetensors.numpy as real_numpy
import safetensors.torch as real_torch
import torch

import holdfast.safetensors as ours
import holdfast.safetensors.numpy as our_numpy
import holdfast.safetensors.torch as our_torch
import safetensors as real
from holdfast import ChecksumError, FormatError, HoldfastError, UnsupportedError, load, save, verify

BOTH = [("safetensors", ".safetensors"), ("holdfast.safetensors", ".bson"), ("holdfast.safetensors", ".safetensors")]


@pytest.fixture(params=BOTH, ids=lambda case: f"{case[0]}{case[1]}")
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    package, ending = request.param
    return package, tmp_path / f"m{ending}"


def module(case: tuple[str, Path], name: str = "") -> ModuleType:
    return import_module(f"{case[0]}.{name}" if name else case[0])


def state() -> dict[str, torch.Tensor]:
    return {
        "a": torch.arange(50.0).reshape(10, 5),
        "b": torch.ones(3, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 2),
    }


@pytest.mark.parametrize("name", ["save", "save_file", "load", "load_file", "save_model", "load_model"])
def test_the_arguments_are_the_same(name: str) -> None:
    pairs = [(real_torch, our_torch), (real_numpy, our_numpy)]
    if find_spec("jax"):
        pairs.append((import_module("safetensors.flax"), import_module("holdfast.safetensors.flax")))
    for a, b in pairs:
        if hasattr(a, name):
            theirs, mine = (inspect.signature(getattr(m, name)).parameters for m in (a, b))
            assert [(p.name, p.kind, p.default) for p in theirs.values()] == [
                (p.name, p.kind, p.default) for p in mine.values()
            ]


def test_every_method_is_there() -> None:
    methods = {name for name in dir(real.safe_open) if not name.startswith("_")}
    assert methods <= set(dir(ours.safe_open))
    assert set(ours.__all__) >= {"safe_open", "SafetensorError"}
    assert ours.save_file is our_torch.save_file
    with pytest.raises(AttributeError):
        ours.nothing  # noqa: B018 - the attribute is what is asked for


def test_files(case: tuple[str, Path]) -> None:
    functions, path = module(case, "torch"), case[1]
    functions.save_file(state(), path, {"by": "me"})
    found = functions.load_file(path)
    assert found.keys() == state().keys()
    assert all(found[name].equal(value) and found[name].dtype == value.dtype for name, value in state().items())
    found["a"][0, 0] = 5  # a tensor of a file can be changed, and the file stays
    assert functions.load_file(str(path), device="cpu", backend="pread")["a"][0, 0] == 0


def test_bytes(case: tuple[str, Path]) -> None:
    functions = module(case, "torch")
    data = functions.save(state())
    assert type(data) is bytes
    assert functions.load(data)["a"].equal(state()["a"])


def test_arrays(case: tuple[str, Path]) -> None:
    functions, path = module(case, "numpy"), case[1]
    arrays = {"a": np.arange(6.0).reshape(2, 3), "i": np.array([1, 2], np.int16)}
    functions.save_file(arrays, path, metadata={"by": "me"})
    for found in (functions.load_file(path), functions.load(functions.save(arrays))):
        assert {name: array.tolist() for name, array in found.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_safe_open(case: tuple[str, Path]) -> None:
    package, path = module(case), case[1]
    module(case, "torch").save_file(state(), path, {"by": "me"})
    with package.safe_open(path, framework="pt", device="cpu") as file:
        assert set(file.keys()) == set(file.offset_keys()) == state().keys()
        assert file.metadata()["by"] == "me"
        assert file.get_tensor("a").equal(state()["a"])
        assert file.get_tensors()["b"].equal(state()["b"])
        part = file.get_slice("a")
        assert (part.get_shape(), part.get_dtype()) == ([10, 5], "F32")
        assert file.get_slice("b").get_dtype() == "BF16"
        for key in (
            slice(None),
            slice(None, 2),
            (slice(None), slice(None, 2)),
            (0, slice(None, 2)),
            (slice(2, None), -1),
        ):
            assert part[key].equal(state()["a"][key])
        assert part[...].equal(state()["a"])
    with package.safe_open(str(path), framework="np") as file:
        assert file.get_tensor("a").tolist() == state()["a"].tolist()
        assert type(file.get_slice("a")[1:3, 2]) is np.ndarray


def test_what_is_not_there(case: tuple[str, Path]) -> None:
    package, path = module(case), case[1]
    with pytest.raises(FileNotFoundError):
        package.safe_open(path, framework="pt")
    module(case, "torch").save_file(state(), path)
    with package.safe_open(path, framework="pt") as file, pytest.raises(package.SafetensorError):
        file.get_tensor("none")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(package.SafetensorError):
        package.safe_open(path, framework="pt").get_tensor("a")


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(4, 3), torch.nn.Linear(3, 4, bias=False)
        self.head.weight = self.embed.weight


def test_models_with_shared_weights(case: tuple[str, Path]) -> None:
    functions, path = module(case, "torch"), case[1]
    first, second = Tied(), Tied()
    functions.save_model(first, str(path), {"by": "me"})
    missing, unexpected = functions.load_model(second, path)
    assert (list(missing), list(unexpected)) == ([], [])
    assert second.head.weight.equal(first.embed.weight)
    assert second.head.weight is second.embed.weight


def test_models_that_do_not_fit(case: tuple[str, Path]) -> None:
    functions, path = module(case, "torch"), case[1]
    functions.save_file({"weight": torch.ones(2, 3), "odd": torch.ones(1)}, path)
    layer = torch.nn.Linear(3, 2)
    with pytest.raises(RuntimeError, match=r"Missing.*bias(.|\n)*Unexpected.*odd"):
        functions.load_model(layer, path)
    missing, unexpected = functions.load_model(layer, path, strict=False)
    assert (set(missing), unexpected, layer.weight.sum()) == ({"bias"}, ["odd"], 6)
    with pytest.raises(RuntimeError, match=r"(?i)size mismatch"):
        functions.load_model(torch.nn.Linear(4, 2), path, strict=False)


def test_a_model_that_does_not_fit_is_left_alone(tmp_path: Path) -> None:
    our_torch.save_file({"weight": torch.ones(2, 3), "bias": torch.ones(5)}, tmp_path / "m.bson")
    layer = torch.nn.Linear(3, 2)
    before = layer.weight.clone()
    with pytest.raises(RuntimeError):
        our_torch.load_model(layer, tmp_path / "m.bson")
    assert layer.weight.equal(before)


def test_a_file_of_safetensors_save_model_is_loaded(tmp_path: Path) -> None:
    first, second = Tied(), Tied()
    real_torch.save_model(first, str(tmp_path / "m.safetensors"))
    our_torch.load_model(second, tmp_path / "m.safetensors")
    assert second.embed.weight.equal(first.embed.weight)


# -- what is Holdfast's own -------------------------------------------------------------------------------------------


def test_shared_tensors_need_no_clone(tmp_path: Path) -> None:
    weight = torch.randn(3, 4)
    for path in (tmp_path / "m.bson", tmp_path / "m.safetensors"):
        our_torch.save_file({"a": weight, "b": weight, "t": weight.t()}, path)
        found = our_torch.load_file(path)
        assert found["t"].equal(weight.t())
    with pytest.raises(RuntimeError):
        real_torch.save_file({"a": weight, "b": weight}, tmp_path / "theirs.safetensors")


def test_the_file_is_one_of_holdfasts(tmp_path: Path) -> None:
    our_torch.save_file(state(), tmp_path / "m.bson", {"by": "me"})
    verify(tmp_path / "m.bson")
    assert load(tmp_path / "m.bson", "a").equal(state()["a"])
    our_torch.save_file(state(), tmp_path / "m.safetensors", {"by": "me"})
    assert real_torch.load_file(tmp_path / "m.safetensors")["b"].equal(state()["b"])


def test_a_damaged_tensor_is_seen_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    our_torch.save_file(state(), path)
    data = bytearray(path.read_bytes())
    data[data.index(np.float32(7).tobytes())] ^= 1
    path.write_bytes(bytes(data))
    with ours.safe_open(path, framework="pt") as file:
        assert file.get_tensor("b").equal(state()["b"])
        part = file.get_slice("a")
        assert (part.get_shape(), part.get_dtype()) == ([10, 5], "F32")
        for _ in range(2):
            with pytest.raises(ChecksumError, match="a"):
                part[:1]


@pytest.mark.parametrize("ending", [".bson", ".safetensors", ".npz"])
def test_shapes_are_known_before_anything_is_read(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lists a large file asks each slice for its shape: its bytes are not compared for that."""
    from holdfast.formats.file import File

    values = state() | {
        "turned": torch.ones(2, 3).t(),
        "f8": torch.ones(3).to(torch.float8_e5m2),
        "one": torch.ones(()),
    }
    our_torch.save_file(values, tmp_path / f"m{ending}")
    with ours.safe_open(tmp_path / f"m{ending}", framework="pt") as file, monkeypatch.context() as patched:
        patched.setattr(File, "verify_blobs", lambda *_: pytest.fail("bytes were compared"))
        names = file.keys()
        parts = {name: file.get_slice(name) for name in names}
        assert {name: part.get_shape() for name, part in parts.items()} == {n: list(v.shape) for n, v in values.items()}
        assert (parts["f8"].get_dtype(), parts["b"].get_dtype()) == ("F8_E5M2", "BF16")


def test_only_the_part_that_is_taken_goes_to_the_device(tmp_path: Path) -> None:
    our_torch.save_file(state(), tmp_path / "m.bson")
    with ours.safe_open(tmp_path / "m.bson", framework="pt", device="meta") as file:
        part = file.get_slice("a")
        taken = part[:2]
        assert (taken.device.type, tuple(taken.shape), part._tensor.device.type) == ("meta", (2, 5), "cpu")
    for device in ("nowhere", "cuda:99"):
        with (
            ours.safe_open(tmp_path / "m.bson", framework="pt", device=device) as file,
            pytest.raises(UnsupportedError, match=f"device '{device}'"),
        ):
            file.get_tensor("a")


def test_what_is_no_tensor(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"holdfast\.save"):
        our_torch.save_file({"a": 1}, tmp_path / "m.bson")  # type: ignore[dict-item]
    with pytest.raises(UnsupportedError, match="framework"):
        ours.safe_open(tmp_path / "m.bson", framework="tf")
    with pytest.raises(UnsupportedError, match='"pread"'):
        ours.safe_open(tmp_path / "m.bson", framework="pt", backend="read")
    save(tmp_path / "m.bson", a=torch.ones(1), n=3, model=torch.nn.Linear(1, 1))
    with ours.safe_open(tmp_path / "m.bson", framework="pt") as file:
        assert file.keys() == ["a"]
        assert file.metadata() is None
        with pytest.raises(FormatError):
            file.get_tensor("model")
    assert ours.SafetensorError is HoldfastError
