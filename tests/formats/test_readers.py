"""What every reader owes: laziness, devices, live objects, and one file at a time."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from format_samples import READ_HERE, WEIGHTS
from holdfast import FormatError, MismatchError, inspect, load, restore, save
from holdfast.formats import file as files
from holdfast.formats import safetensors as reader
from holdfast.formats.choose import open_file
from reference import VECTORS

NAMED = [ending for ending in READ_HERE if ending != ".npy"]


def put(ending: str, folder: Path) -> Path:
    (folder / f"m{ending}").write_bytes(READ_HERE[ending](folder))
    return folder / f"m{ending}"


@pytest.mark.parametrize("ending", NAMED)
def test_one_name_of_many(ending: str, tmp_path: Path) -> None:
    path = put(ending, tmp_path)
    assert np.asarray(load(path, "a.bias")).tolist() == [1, 2]
    assert [np.asarray(v).shape for v in load(path, "a.bias", "a.weight")] == [(2,), (2, 3)]
    with pytest.raises(KeyError, match=r"a\.weight"):
        load(path, "none")


@pytest.mark.parametrize("ending", READ_HERE)
def test_what_was_loaded_can_be_changed_and_the_file_stays(ending: str, tmp_path: Path) -> None:
    path = put(ending, tmp_path)
    before = path.read_bytes()
    for mmap in (True, False):
        found = load(path, mmap=mmap)
        array = found if ending == ".npy" else found["a.weight"]
        array[0, 0] = 100
        assert np.asarray(array)[0].tolist() == [100, 1, 2]
    assert path.read_bytes() == before


@pytest.mark.parametrize("ending", NAMED)
def test_the_tree_of_what_is_in_it(ending: str, tmp_path: Path) -> None:
    tree = inspect(put(ending, tmp_path))
    kind = "numpy.ndarray" if ending.endswith(".npz") else "torch.Tensor"
    assert [(child.name, child.type, child.shape, child.dtype, child.nbytes) for child in tree.children] == [
        (name, kind, array.shape, array.dtype.name, array.nbytes) for name, array in WEIGHTS.items()
    ]


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pt", ".bson", ".h5"])
def test_a_file_of_weights_fills_a_model(ending: str, tmp_path: Path) -> None:
    model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    path = tmp_path / f"m{ending}"
    if ending == ".pt":
        torch.save(model.state_dict(), path)
    elif ending == ".h5":
        with h5py.File(path, "w") as file:
            for name, value in model.state_dict().items():
                file[name] = value.numpy()
    else:
        save(path, model.state_dict())
    restore(path, net=other)
    assert other.weight.equal(model.weight)
    before = other.weight.clone()
    with pytest.raises(MismatchError):
        restore(path, net=torch.nn.Linear(4, 2))
    with pytest.raises(MismatchError):
        restore(path, net=other, opt=torch.optim.SGD(other.parameters()))
    assert other.weight.equal(before)


def test_a_file_with_more_than_arrays_is_no_state_dictionary(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    save(tmp_path / "m.bson", {**model.state_dict(), "epoch": 3})
    with pytest.raises(MismatchError, match="net: not in the file"):
        restore(tmp_path / "m.bson", net=model)


def test_a_name_of_the_file_comes_before_the_whole_of_it(tmp_path: Path) -> None:
    save(tmp_path / "m.safetensors", model=torch.nn.Linear(3, 2).state_dict())
    model = torch.nn.Linear(3, 2)
    restore(tmp_path / "m.safetensors", model=model)
    assert model.weight.equal(load(tmp_path / "m.safetensors", "model")["weight"])


@pytest.mark.parametrize("ending", NAMED)
def test_a_device_is_where_tensors_go(ending: str, tmp_path: Path) -> None:
    found = load(put(ending, tmp_path), "a.weight", device="meta")
    assert isinstance(found, np.ndarray) or found.device.type == "meta"


def test_what_torch_saves_beside_tensors(tmp_path: Path) -> None:
    weight = torch.randn(2, 3)
    value = {
        "state": {"w": weight},
        "tied": weight,
        "view": weight[1],
        "lr": 0.1,
        "steps": [1, 2],
        "none": None,
        3: "three",
    }
    torch.save(value, tmp_path / "m.pt")
    found = load(tmp_path / "m.pt")
    assert found["tied"] is found["state"]["w"]
    assert (found["view"].equal(weight[1]), found["lr"], found[3]) == (True, 0.1, "three")
    torch.save(weight, tmp_path / "bare.pt")
    assert load(tmp_path / "bare.pt").equal(weight)
    torch.save([1, weight], tmp_path / "list.pt")
    assert load(tmp_path / "list.pt")[1].equal(weight)
    torch.save(torch.nn.Parameter(weight), tmp_path / "parameter.pt")
    assert type(load(tmp_path / "parameter.pt")) is torch.nn.Parameter


def test_a_tensor_that_cannot_be_taken_over_is_named(tmp_path: Path) -> None:
    torch.save({"sparse": torch.eye(2).to_sparse()}, tmp_path / "m.pt")
    with pytest.raises(FormatError, match=r"\$\.sparse"):
        load(tmp_path / "m.pt")


def test_metadata_is_there_for_who_asks(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "m.safetensors", {"by": "me"})
    assert load(tmp_path / "m.safetensors", "__metadata__") == {"by": "me"}
    assert list(load(tmp_path / "m.safetensors")) == ["a"]
    save(tmp_path / "n.safetensors", load(tmp_path / "m.safetensors"), __metadata__={"by": "me"})
    assert load(tmp_path / "n.safetensors", "__metadata__")["by"] == "me"


# -- a file that is replaced while it is opened -----------------------------------------------------------------------


def test_a_file_that_is_replaced_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library and our map must not see two different files."""
    path, real, rounds = tmp_path / "m.safetensors", reader._parts, []

    def replaced(name: str) -> Any:
        if not rounds:
            save(path, b=torch.ones(5))
        rounds.append(name)
        return real(name)

    save(path, a=torch.zeros(7))
    monkeypatch.setattr(reader, "_parts", replaced)
    assert list(load(path)) == ["b"]
    assert len(rounds) == 2


def test_one_that_never_comes_to_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "m.safetensors", reader._parts

    def replaced(name: str) -> Any:
        save(path, a=torch.zeros(7))
        return real(name)

    save(path, a=torch.zeros(7))
    monkeypatch.setattr(reader, "_parts", replaced)
    with pytest.raises(FormatError, match="replaced faster"):
        open_file(path)
    assert files.TRIES > 1


def test_what_is_in_a_group_goes_by_its_path(tmp_path: Path) -> None:
    """As h5py and JLD2.jl have it; names of the root stay what they are."""
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["layers/tag/0"], file["layers/tag/1"] = np.arange(3.0), np.ones(2)
    assert load(tmp_path / "m.h5", "layers/tag/0").tolist() == [0, 1, 2]
    first, group = load(tmp_path / "m.h5", "layers/tag/1", "layers/tag")
    assert first is group["1"]
    for name in ("layers/none", "none/0", "layers/tag/0/0", "/layers", "layers/", "/"):
        with pytest.raises(KeyError, match="it has 'layers'"):
            load(tmp_path / "m.h5", name)
    assert list(load(tmp_path / "m.h5")) == ["layers"]
    assert load(VECTORS / "jld2" / "alone.jld2", "group/deeper/b").tolist() == [load_group()["deeper"]["b"].item()]


def load_group() -> Any:
    return load(VECTORS / "jld2" / "alone.jld2", "group")
