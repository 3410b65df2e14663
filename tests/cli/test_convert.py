"""``holdfast convert``: the same values in another format, dtype or under other names."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from format_samples import READ_HERE
from holdfast import load, save
from holdfast.cli import main
from holdfast.cli.contents import look_into
from holdfast.cli.differences import differences
from holdfast.errors import UnsupportedError
from holdfast.formats.bson import open_file
from holdfast.formats.document.change import Change
from holdfast.formats.document.for_bson import as_bson
from holdfast.wire.plan import plan_document
from reference import ROOT

Run = Callable[..., int]
JLD2 = ROOT / "tests" / "vectors" / "jld2"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The exit code of the command; what it printed is in ``run.out`` and ``run.err``."""

    def command(*args: object) -> int:
        with pytest.raises(SystemExit) as end:
            main([str(arg) for arg in args])
        command.out, command.err = capsys.readouterr()  # type: ignore[attr-defined]
        return end.value.code if isinstance(end.value.code, int) else 1

    return command


def numbers(path: Path) -> dict[str, object]:
    found = load(path)
    return {
        name: np.asarray(value).tolist()
        for name, value in (found if isinstance(found, dict) else {"value": found}).items()
    }


@pytest.mark.parametrize("b", [".bson", ".safetensors", ".npz"])
@pytest.mark.parametrize("a", READ_HERE)
def test_every_format_becomes_every_other(a: str, b: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / f"a{a}").write_bytes(READ_HERE[a](tmp_path))
    assert run("convert", tmp_path / f"a{a}", tmp_path / f"b{b}") == 0
    assert numbers(tmp_path / f"a{a}") == numbers(tmp_path / f"b{b}")
    assert run("verify", tmp_path / f"b{b}") == 0
    kinds = {type(value) for value in load(tmp_path / f"b{b}").values()}
    assert kinds == {np.ndarray} if a.endswith(("npz", "npy")) else kinds == {torch.Tensor}


@pytest.mark.parametrize("a", READ_HERE)
def test_one_array_alone(a: str, run: Run, tmp_path: Path) -> None:
    """Who asks for an npy file asks for NumPy's array."""
    (tmp_path / f"a{a}").write_bytes(READ_HERE[a](tmp_path))
    only = () if a == ".npy" else ("--only", "a.weight")
    assert run("convert", tmp_path / f"a{a}", tmp_path / "b.npy", *only) == 0
    assert np.load(tmp_path / "b.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert run("convert", tmp_path / f"a{a}", tmp_path / "b.npy", "--force", *only, "--dtype", "bfloat16") == 2
    assert "npy has no bfloat16" in run.err  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ["ls", "show", "verify"])
@pytest.mark.parametrize("ending", READ_HERE)
def test_every_command_takes_every_format(ending: str, command: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / f"a{ending}").write_bytes(READ_HERE[ending](tmp_path))
    assert run(command, tmp_path / f"a{ending}") == 0
    assert run("diff", tmp_path / f"a{ending}", tmp_path / f"a{ending}") == 0
    assert run("show", "--values", tmp_path / f"a{ending}") == 0
    assert "max 5" in run.out or "5.0" in run.out or "[4, 5]" in run.out or "4, 5" in run.out  # type: ignore[attr-defined]


def test_values_that_are_compressed_are_there_for_every_command(run: Run, tmp_path: Path) -> None:
    """A reader that unpacks what is wanted, and nothing before that, is told by each command what is wanted."""
    import h5py

    arrays = {"a": np.arange(1000.0), "b": np.arange(6, dtype="i2").reshape(2, 3)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip")
    for a in (tmp_path / "a.npz", tmp_path / "a.h5"):
        for ending in (".bson", ".npz", ".safetensors"):
            assert run("convert", a, tmp_path / f"b{ending}", "--force") == 0
            assert numbers(tmp_path / f"b{ending}") == {name: array.tolist() for name, array in arrays.items()}
            assert run("diff", a, tmp_path / f"b{ending}") == 0
        save(tmp_path / "other.bson", a=arrays["a"] + 1, b=arrays["b"])
        assert run("diff", a, tmp_path / "other.bson") == 1
        assert run("show", "--values", a) == 0
        assert "max 999" in run.out  # type: ignore[attr-defined]


def test_a_whole_model_stays_one(run: Run, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3).to(memory_format=torch.channels_last), torch.nn.BatchNorm2d(2))
    save(tmp_path / "a.bson", model=net, opt=torch.optim.Adam(net.parameters()), tied=net[0].weight, epoch=3)
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.bson") == 0
    assert list(differences(look_into(str(tmp_path / "a.bson")), look_into(str(tmp_path / "b.bson")))) == []
    found = load(tmp_path / "b.bson")
    assert found["tied"] is found["model"][0].weight
    assert found["opt"].param_groups[0]["params"][0] is found["tied"]


def test_a_part_under_other_names(run: Run, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    save(tmp_path / "a.bson", state=state, epoch=3)
    flags = ("--only", "state", "--prefix-strip", "module.", "--rename", "1=head", "--rename", "0.bias=b")
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.safetensors", *flags) == 0
    found = load(tmp_path / "b.safetensors")
    assert list(found) == ["0.weight", "b", "head.weight", "head.bias"]
    assert found["head.weight"].equal(net[1].weight)
    assert run("convert", tmp_path / "a.bson", tmp_path / "c.npz", "--only", "state['module.0.bias']") == 0
    assert list(load(tmp_path / "c.npz")) == ["module.0.bias"]
    assert run("convert", tmp_path / "a.bson", tmp_path / "d.bson", "--only", "state") == 0
    assert list(load(tmp_path / "d.bson")) == list(state)


def test_what_is_wrong_with_names(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.bson", a=np.ones(1), b=np.ones(2))
    for flags, words in (
        (("--rename", "c=d"), "no name 'c'"),
        (("--rename", "a=b"), "one name: 'b'"),
        (("--rename", "a"), "OLD=NEW"),
        (("--rename", "a=tag"), "cannot be a new name"),
        (("--prefix-strip", "module."), "no name 'module.'"),
        (("--only", "c"), "has no 'c'"),
        (("--dtype", "int8"), "is not a dtype to change to"),
    ):
        assert run("convert", tmp_path / "a.bson", tmp_path / "b.bson", *flags) == 2
        assert words in run.err  # type: ignore[attr-defined]
        assert not (tmp_path / "b.bson").exists()


def test_a_dtype_for_all_that_has_a_point(run: Run, tmp_path: Path) -> None:
    weight, turned = torch.randn(4, 6), torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    values = {
        "weight": weight,
        "same": weight,
        "t": weight.t(),
        "rows": weight[1:3],
        "turned": turned,
        "model": torch.nn.Linear(2, 3),
        "count": torch.tensor(3),
        "array": np.asfortranarray(np.random.default_rng(0).random((3, 4))),
        "list": [np.ones(3, np.float16)],
    }
    save(tmp_path / "a.bson", values)
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.bson", "--dtype", "bfloat16") == 0
    found = load(tmp_path / "b.bson")
    assert found["same"] is found["weight"]
    for name in ("weight", "t", "rows", "turned"):
        assert found[name].equal(values[name].bfloat16()), name  # type: ignore[attr-defined]
        assert found[name].stride() == values[name].stride()  # type: ignore[attr-defined]
    found["weight"][1, 0] = 7
    assert (found["rows"][0, 0], found["t"][0, 1]) == (7, 7)
    assert found["model"].weight.dtype is torch.bfloat16
    assert type(found["model"].weight) is torch.nn.Parameter
    assert found["count"].dtype is torch.int64
    assert found["array"].dtype.name == found["list"][0].dtype.name == "bfloat16"
    assert run("convert", tmp_path / "b.bson", tmp_path / "c.bson", "--dtype", "float32") == 0
    assert load(tmp_path / "c.bson", "weight").equal(weight.bfloat16().float())


def test_numbers_that_grow_too_large_are_told(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.npz", a=np.array([1e30, 1.0, np.inf], np.float32))
    assert run("convert", tmp_path / "a.npz", tmp_path / "b.npz", "--dtype", "float16") == 0
    assert "1 numbers are too large for float16" in run.err  # type: ignore[attr-defined]


def test_what_is_there_stays_there(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.bson", a=np.ones(1))
    save(tmp_path / "b.bson", a=np.zeros(1))
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.bson") == 2
    assert load(tmp_path / "b.bson", "a")[0] == 0
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.bson", "--force") == 0
    assert load(tmp_path / "b.bson", "a")[0] == 1
    assert run("convert", tmp_path / "a.bson", tmp_path / "a.bson", "--force") == 0


def test_a_damaged_file_is_not_converted(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.bson", a=np.arange(100.0))
    data = bytearray((tmp_path / "a.bson").read_bytes())
    data[data.index(np.float64(50).tobytes())] ^= 1
    (tmp_path / "a.bson").write_bytes(bytes(data))
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.npz") == 1
    assert not (tmp_path / "b.npz").exists()


def test_what_the_format_has_no_place_for(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.bson", weights={"a": torch.ones(1)}, opt=torch.optim.Adam([torch.ones(1)]), epoch=3)
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.safetensors") == 2
    assert "or take a part with --only (at $.opt)" in run.err  # type: ignore[attr-defined]
    assert not (tmp_path / "b.safetensors").exists()
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.safetensors", "--only", "weights") == 0
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.pt") == 2
    assert "read and not written" in run.err  # type: ignore[attr-defined]


# -- models as weights ------------------------------------------------------------------------------------------------


class Tied(torch.nn.Module):
    """A class of a user's, which no reader of the file has to know."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(4, 3), torch.nn.Linear(3, 4, bias=False)
        self.head.weight = self.embed.weight
        self.norm = torch.nn.BatchNorm1d(3)
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.scale = np.ones(2)


def same_state(found: dict[str, Any], state: dict[str, torch.Tensor]) -> bool:
    found = {name: torch.as_tensor(value) for name, value in found.items()}
    return list(found) == list(state) and all(found[name].equal(state[name]) for name in state)


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_a_models_weights_are_its_state_dictionary(ending: str, run: Run, tmp_path: Path) -> None:
    model, path = Tied(), tmp_path / f"b{ending}"
    save(tmp_path / "a.bson", {"model": model, "more": {"tag": {"ema": Tied()}}, "mean": np.zeros(3)})
    assert run("convert", tmp_path / "a.bson", path) == 0
    assert "of model, more.tag.ema only the weights go along" in run.err  # type: ignore[attr-defined]
    found = load(path)
    assert same_state(found["model"], model.state_dict())
    assert found["model"]["head.weight"] is found["model"]["embed.weight"]
    assert type(found["model"]["norm.weight"]) is torch.Tensor
    assert list(found["more"]["tag"]["ema"]) == list(model.state_dict())
    assert found["mean"].tolist() == [0, 0, 0]


def test_one_model_of_a_checkpoint(run: Run, tmp_path: Path) -> None:
    """The line that the documentation has for this."""
    from safetensors.torch import load_file

    from holdfast import Series

    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    with Series(tmp_path / "run") as series:
        series.track(model=model, opt=torch.optim.Adam(model.parameters()))
        series.save(1)
    (checkpoint,) = (tmp_path / "run").glob("*.bson")
    path = tmp_path / "weights.safetensors"
    assert run("convert", checkpoint, path, "--only", "model", "--dtype", "bfloat16", "--rename", "0=first") == 0
    names = ["first.weight", "first.bias", *(f"1.{name}" for name in model[1].state_dict())]
    assert sorted(load_file(path)) == sorted(names)
    assert load_file(path)["first.weight"].equal(model[0].weight.bfloat16())


def test_weights_of_flux_models(run: Run, tmp_path: Path) -> None:
    from holdfast.flux import BatchNorm, Chain, Conv, Dense, flatten, relu

    model = Chain(Conv((3, 3), (1, 2), relu), BatchNorm(2), flatten, Dense(8, 3))
    save(tmp_path / "a.bson", model=model)
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.npz", "--only", "model") == 0
    assert same_state(load(tmp_path / "b.npz"), model.state_dict())
    assert run("convert", JLD2 / "models.jld2", tmp_path / "c.safetensors", "--only", "conv") == 0
    assert same_state(load(tmp_path / "c.safetensors"), load(JLD2 / "models.jld2", "conv").state_dict())


def test_a_tree_of_flux_state(run: Run, tmp_path: Path) -> None:
    """What Flux's page recommends to save today: named tuples of arrays."""
    from holdfast.julia import NamedTuple

    weight, bias = np.arange(6, dtype="f4").reshape(2, 3), np.zeros(2, "f4")
    layer = NamedTuple(["weight", "bias", "σ"], [weight, bias, ()])
    state = NamedTuple(["layers"], [(layer, NamedTuple(["weight"], [weight]))])
    save(tmp_path / "a.bson", {"state": state, "numbers": {"mean": bias}})
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.safetensors", "--only", "state") == 0
    found = load(tmp_path / "b.safetensors")
    assert sorted(found) == ["layers.0.bias", "layers.0.weight", "layers.1.weight"]
    assert found["layers.1.weight"] is found["layers.0.weight"]
    assert np.array_equal(found["layers.0.weight"], weight)
    save(tmp_path / "c.bson", {"state": state, "settings": NamedTuple(["rate"], [0.1])})
    assert run("convert", tmp_path / "c.bson", tmp_path / "d.npz") == 2, "it is no model, and is not left out"
    assert "$.settings" in run.err  # type: ignore[attr-defined]


def test_a_model_that_julia_saved_alone(run: Run, tmp_path: Path) -> None:
    """What ``BSON.bson(path, model)`` writes: the root is the model, and no name stands before the weights' own."""
    source = ROOT / "tests" / "vectors" / "julia" / "doc_model_flux_0.12.1.bson"
    document = open_file(source).document
    whole = document["model"] | {"_backrefs": document["_backrefs"]}
    (tmp_path / "whole.bson").write_bytes(b"".join(map(bytes, plan_document(whole, trailer=False).buffers())))
    assert run("convert", tmp_path / "whole.bson", tmp_path / "b.npz") == 0
    assert same_state(load(tmp_path / "b.npz"), load(source, "model").state_dict())


def test_a_model_that_holds_itself_ends(run: Run, tmp_path: Path) -> None:
    node = {
        "tag": "python",
        "type": "a.Net",
        "state": {"training": True, "modules": {"a": {"tag": "backref", "ref": 1}}},
    }
    document = {"model": {"tag": "backref", "ref": 1}, "_backrefs": [node]}
    (tmp_path / "a.bson").write_bytes(b"".join(map(bytes, plan_document(document, trailer=False).buffers())))
    assert run("convert", tmp_path / "a.bson", tmp_path / "b.npz") != 0
    assert "does it hold itself?" in run.err  # type: ignore[attr-defined]


# -- what is beside arrays --------------------------------------------------------------------------------------------


def test_attributes_of_hdf5_are_left_out_where_there_is_no_place(run: Run, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.attrs["name"] = "dense"
        group["0"], group["tag"] = np.ones((2, 3), "f4"), np.zeros(3, "f4")
        group["0"].attrs["note"] = "text"
        group["0"].attrs["scale"] = np.arange(3.0)
    assert run("convert", tmp_path / "m.weights.h5", tmp_path / "b.safetensors") == 0
    assert "no place for attributes, which are left out: 0@.note, @.name" in run.err  # type: ignore[attr-defined]
    names = ["layers.dense.vars.0", "layers.dense.vars.tag", "layers.dense.vars.0@.scale"]
    from safetensors.numpy import load_file

    assert sorted(load_file(tmp_path / "b.safetensors")) == sorted(names)
    assert run("convert", tmp_path / "m.weights.h5", tmp_path / "b.bson") == 0
    assert load(tmp_path / "b.bson", "layers")["dense"]["vars"]["@"] == {"name": "dense"}
    assert "attributes" not in run.err  # type: ignore[attr-defined]
    save(tmp_path / "c.bson", {"a": np.ones(1), "a@": {"note": "text"}})
    assert run("convert", tmp_path / "c.bson", tmp_path / "d.npz") == 2, "in other files such names are values"


# -- Flux and torch ---------------------------------------------------------------------------------------------------


def test_between_flux_and_torch(run: Run, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    save(tmp_path / "a.bson", model=net, epoch=3)
    assert run("convert", tmp_path / "a.bson", tmp_path / "flux.bson", "--to-flux") == 0
    assert repr(load(tmp_path / "flux.bson", "model")) == "Chain(Dense(2, 3, relu), Dense(3, 1))"
    assert run("convert", tmp_path / "flux.bson", tmp_path / "b.bson", "--to-torch") == 0
    x, (again, epoch) = torch.randn(5, 2), load(tmp_path / "b.bson", "model", "epoch")
    assert again(x).equal(net(x))
    assert epoch == 3
    assert run("convert", tmp_path / "b.bson", tmp_path / "c.bson", "--to-flux", "--to-torch") == 2
    assert run("convert", tmp_path / "b.bson", tmp_path / "c.bson", "--to-torch") == 2
    save(tmp_path / "o.bson", model=net, opt=torch.optim.Adam(net.parameters()))
    assert run("convert", tmp_path / "o.bson", tmp_path / "c.bson", "--to-flux") == 2
    assert "would lose its model" in run.err  # type: ignore[attr-defined]


def test_metadata_goes_along_where_there_is_a_place(run: Run, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from safetensors import safe_open

    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors", {"by": "me", "format": "pt"})
    assert run("convert", tmp_path / "a.safetensors", tmp_path / "b.safetensors", "--rename", "a=b") == 0
    with safe_open(str(tmp_path / "b.safetensors"), framework="pt") as file:
        assert file.metadata()["by"] == "me"
    assert run("convert", tmp_path / "a.safetensors", tmp_path / "b.npz") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much of the memory stands on no file")
@pytest.mark.parametrize(
    ("a", "b", "flags"),
    [
        ("a.bson", "b.safetensors", ()),
        ("a.safetensors", "b.bson", ("--dtype", "bfloat16")),
        ("a.pt", "b.npz", ("--dtype", "float16")),
        ("a.npz", "b.bson", ()),
    ],
)
def test_arrays_go_one_by_one(a: str, b: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    """128 MiB in 16 arrays: the memory that grows is that of few arrays, whatever their number."""
    pattern = torch.randint(0, 3, (1, 1024)).float()
    state = {f"layer{i}": (pattern + i).repeat(2048, 1) for i in range(16)}
    if a.endswith(".pt"):
        torch.save(state, tmp_path / a)
    elif a.endswith(".npz"):
        np.savez_compressed(tmp_path / a, **{name: value.numpy() for name, value in state.items()})
    else:
        save(tmp_path / a, state)
    script = ROOT / "tests" / "formats" / "anonymous.py"
    command = [sys.executable, str(script), "convert", str(tmp_path / a), str(tmp_path / b), *flags]
    *_, most = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    array = 8 << 20
    assert int(most) < 4 * array
    assert torch.as_tensor(load(tmp_path / b, "layer7")).float().equal(state["layer7"])  # small integers: in any dtype


def test_a_change_leaves_the_document_as_it_was() -> None:
    document = {"a": {"x": 1}, "_backrefs": []}
    change = Change(document)
    change.rename({"a": "b"})
    assert (document, change.finished()) == ({"a": {"x": 1}, "_backrefs": []}, {"b": {"x": 1}})


def test_layers_that_jld2_has_in_part_are_whole_in_bson(run: Run, tmp_path: Path) -> None:
    """JLD2 0.4.15 leaves out a Dense's activation, which has no data; BSON.jl takes the fields by their places."""
    path = tmp_path / "m.bson"
    assert run("convert", JLD2 / "models.jld2", path) == 0
    assert fields_of("Dense", look_into(str(path)).file.document) == {3}
    assert repr(load(path, "mlp")) == repr(load(JLD2 / "models.jld2", "mlp"))
    assert run("convert", JLD2 / "models.jld2", path, "--force", "--only", "mlp", "--dtype", "float64") == 0
    assert load(path, "mlp").layers[0].weight.equal(load(JLD2 / "models.jld2", "mlp").layers[0].weight)


def fields_of(struct: str, document: Any) -> set[int]:
    """How many fields the structs of this name have."""
    found, stack = set(), [document]
    while stack:
        node = stack.pop()
        if isinstance(node, dict) and node.get("tag") == "struct" and isinstance(node["type"], dict):
            found |= {len(node["data"])} if node["type"].get("name", [""])[-1] == struct else set()
        stack += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return found


@pytest.mark.parametrize(
    ("struct", "names", "params", "whole"),
    [
        ("Chain", [], 1, False),
        ("Dense", ["weight", "bias", "σ"], 3, True),
        ("Conv", ["weight", "bias", "stride", "pad", "dilation", "groups"], 5, False),
        ("Conv", ["σ", "weight", "bias", "stride", "pad", "dilation"], 5, True),
        ("BatchNorm", ["β", "γ", "μ", "σ²", "ϵ", "momentum", "active"], 4, False),
        ("Unknown", ["a"], 3, True),
    ],
)
def test_whether_a_struct_is_whole(struct: str, names: list[str], params: int, whole: bool) -> None:
    type_ = {"tag": "datatype", "name": ["Flux", struct], "params": [0] * params}
    document = {"x": {"tag": "struct", "type": type_, "data": [0] * len(names), "names": names}}
    if whole:
        assert as_bson(document) is document
    else:
        with pytest.raises(UnsupportedError, match=f"a Flux.{struct} of which"):
            as_bson(document)


def test_what_is_one_value_in_jld2_is_one_in_bson(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "v.bson"
    assert run("convert", JLD2 / "values.jld2", path) == 0  # with a node that holds itself
    for twice in (load(JLD2 / "values.jld2", "twice"), load(path, "twice")):
        assert twice[0] is twice[1]
    node = load(path, "node")
    assert node.data[1].data[1] is node


def test_tied_tensors_stay_tied(run: Run, tmp_path: Path) -> None:
    weight = torch.ones(3, 4)
    save(tmp_path / "t.safetensors", {"a": weight, "b": weight, "row": weight[1:]})
    assert run("convert", tmp_path / "t.safetensors", tmp_path / "t.bson") == 0
    found = load(tmp_path / "t.bson")
    found["a"][1] = 7
    assert found["a"] is found["b"]
    assert found["row"][0].tolist() == [7] * 4


def test_whole_structs_of_jld2_go_to_bson(run: Run, tmp_path: Path) -> None:
    assert run("convert", JLD2 / "alone.jld2", tmp_path / "a.bson") == 0
