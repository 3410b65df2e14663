"""JLD2 files: what Julia itself wrote, what today's JLD2 writes, and models from public repositories."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from holdfast import inspect, load, restore, save
from holdfast.cli import main
from holdfast.errors import FormatError
from holdfast.flux import Chain, Dense, relu
from holdfast.formats import bson, jld2
from holdfast.formats.jld2.type_text import datatype_of, path_of
from holdfast.julia import Struct
from jld2_files import HEAP_TEXT, REFERENCE, JldFile, compound
from reference import CORPUS, VECTORS, needs_corpus

h5py = pytest.importorskip("h5py")

FILES = VECTORS / "jld2"
PUBLIC = sorted((CORPUS / "jld2").glob("*.jld2"))


def names_in(file: str) -> list[str]:
    return jld2.open_file(FILES / f"{file}.jld2").names


def same(a: Any, b: Any, path: str, met: set[tuple[int, int]]) -> None:
    """Fails, with the path, unless two loaded values are equal, down to types and identity of their parts."""
    if (id(a), id(b)) in met:
        return
    met.add((id(a), id(b)))
    assert type(a) is type(b), path
    if isinstance(a, torch.nn.Module):
        ours, theirs = a.state_dict(), b.state_dict()
        assert list(ours) == list(theirs), path
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), path
        assert repr(a) == repr(b), path
    elif isinstance(a, np.ndarray) and a.dtype != object:
        assert (a.dtype, a.shape) == (b.dtype, b.shape), path
        assert a.tobytes() == b.tobytes(), path
    elif isinstance(a, dict):
        assert {str(key) for key in a} == {str(key) for key in b}, path
        assert repr(getattr(a, "type", None)) == repr(getattr(b, "type", None)), path
        others = {str(key): value for key, value in b.items()}
        for key, value in a.items():
            same(value, others[str(key)], f"{path}[{key}]", met)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{path}[{place}]", met)
    elif isinstance(a, Struct):
        assert bare(a.type) == bare(b.type), path
        same(a.data, b.data, f"{path}.data", met)
    elif hasattr(a, "__dict__") and not isinstance(a, type):
        same(vars(a), vars(b), path, met)
    else:
        assert bare(a) == bare(b), path


def bare(value: Any) -> str:
    """The text of a value without what the two formats write differently: the names of fields, the width of numbers."""
    text = repr(value)
    for name in ("name=", "lb=", "ub="):
        text = text.replace(name, "")
    return text.replace("np.int64(", "").replace("),", ",").replace(")}", "}") if "np.int64" in text else text


class TestWhatJuliaWrote:
    """The same values, written by JLD2 0.4.15 and by BSON.jl in one run of Julia."""

    @pytest.mark.parametrize("name", names_in("values"))
    def test_value(self, name: str) -> None:
        ours, theirs = (load(FILES / f"values.{ending}", name) for ending in ("jld2", "bson"))
        same(ours, theirs, name, set())

    @pytest.mark.parametrize("name", [name for name in names_in("models") if name != "adam"])
    def test_model(self, name: str) -> None:
        ours, theirs = (load(FILES / f"models.{ending}", name) for ending in ("jld2", "bson"))
        same(ours, theirs, name, set())

    def test_an_optimiser_drives_its_model(self) -> None:
        model, opt = load(FILES / "models.jld2", "trained", "adam")
        _, theirs = load(FILES / "models.bson", "trained", "adam")
        ours, others = opt.state_dict(), theirs.state_dict()
        assert len(ours["state"]) == len(others["state"]) == 2
        for mine, other in zip(ours["state"].values(), others["state"].values(), strict=True):
            same(mine, other, "state", set())
        held = {id(parameter) for group in opt.param_groups for parameter in group["params"]}
        assert held == {id(parameter) for parameter in model.parameters()}

    def test_a_ring_is_one(self) -> None:
        node = load(FILES / "values.jld2", "node")
        assert node["next"]["next"] is node

    def test_what_was_one_array_is_one(self) -> None:
        first, second = load(FILES / "values.jld2", "twice")
        assert first is second

    def test_only_in_jld2(self) -> None:
        value = load(FILES / "alone.jld2")
        assert value["big"] == 2**200
        assert value["negative"] == -(2**70)
        assert [(point["x"], point["y"]) for point in value["points"]] == [(1.0, 2), (3.0, 4)]
        assert value["closure"]["a"] == 2
        assert value["group"]["a"] == 1
        assert value["group"]["deeper"]["b"].tolist() == [1.0]
        assert (value["tag"], value["odd"]) == (5, {"tag": 6})

    def test_a_struct_keeps_its_names_in_bson(self, tmp_path: Path) -> None:
        save(tmp_path / "p.bson", point=load(FILES / "values.jld2", "point"))
        assert load(tmp_path / "p.bson", "point").names == ("x", "y")

    def test_saved_as_bson_it_is_the_same_model(self, tmp_path: Path) -> None:
        model = load(FILES / "models.jld2", "conv")
        save(tmp_path / "m.bson", model=model)
        same(load(tmp_path / "m.bson", "model"), load(FILES / "models.bson", "conv"), "conv", set())


def flux_file() -> tuple[JldFile, dict[str, int], np.ndarray, np.ndarray]:
    """A Chain as JLD2 0.6 writes it: every field named, the functions in types of one value."""
    file = JldFile()
    weight, bias = np.arange(6, dtype="f4").reshape(3, 2), np.array([1, 2, 3], "f4")
    function = file.singleton("NNlib.#relu")
    number, two, one = file.type_value("Core.Float32"), file.integer(2), file.integer(1)
    matrix, vector = (file.type_value("Core.Array", [number, axes]) for axes in (two, one))
    fields = compound(("weight", REFERENCE, 8), ("bias", REFERENCE, 8))
    dense = file.struct_type(
        "Flux.Dense", fields, [function, matrix, vector], [("weight", 0), ("bias", 0), ("σ", function)]
    )
    places = file.array(weight), file.array(bias)
    layers = file.struct_type(
        "Core.Tuple", compound(("1", fields, 16)), [dense, function], [("1", dense), ("2", function)]
    )
    inner = compound(("1", fields, 16))
    chain = file.struct_type("Flux.Chain", compound(("layers", inner, 16)), [layers], [("layers", layers)])
    model = file.value(struct.pack("<QQ", *places), committed=chain)
    return file, {"model": model, "weight": places[0]}, weight, bias


class TestWhatTodaysJld2Writes:
    def test_a_model(self, tmp_path: Path) -> None:
        file, names, weight, bias = flux_file()
        model = load(file.save(tmp_path / "m.jld2", **names), "model")
        assert repr(model) == repr(Chain(Dense(2, 3, relu), relu))
        x = torch.tensor([[1.0, -2.0]])
        expected = np.maximum(np.maximum(x.numpy() @ weight.T + bias, 0), 0)
        assert np.array_equal(model(x).detach().numpy(), expected)

    def test_what_was_one_array_is_one_memory(self, tmp_path: Path) -> None:
        file, names, _, _ = flux_file()
        model, weight = load(file.save(tmp_path / "m.jld2", **names), "model", "weight")
        assert np.shares_memory(weight, model.layers[0].weight.detach().numpy())

    def test_fields_that_are_not_flux_are_refused(self, tmp_path: Path) -> None:
        file = JldFile()
        function = file.singleton("NNlib.#relu")
        number, two = file.type_value("Core.Float32"), file.integer(2)
        matrix = file.type_value("Core.Array", [number, two])
        odd = file.struct_type(
            "Flux.Dense", compound(("weight", REFERENCE, 8), ("speed", REFERENCE, 8)), [function, matrix, matrix]
        )
        at = file.array(np.ones((2, 2), "f4"))
        path = file.save(tmp_path / "m.jld2", model=file.value(struct.pack("<QQ", at, at), committed=odd))
        with pytest.raises(FormatError, match="fields weight, speed is none of Flux's layouts"):
            load(path)

    def test_a_dictionary(self, tmp_path: Path) -> None:
        file = JldFile()
        text, whole = file.type_value("Core.String"), file.type_value("Core.Int64")
        pair = file.struct_type("Base.Pair", compound(("first", REFERENCE, 8), ("second", REFERENCE, 8)), [text, whole])
        pairs = [
            file.value(struct.pack("<QQ", file.text(key), file.integer(n)), committed=pair)
            for n, key in enumerate("ab")
        ]
        kind = file.struct_type(
            "Base.Dict", compound(("kvvec", REFERENCE, 8)), [text, whole], written="JLD2.SerializedDict"
        )
        vector = file.references(pairs, pair)
        path = file.save(tmp_path / "d.jld2", d=file.value(struct.pack("<Q", vector), committed=kind))
        assert load(path, "d") == {"a": 0, "b": 1}

    @pytest.mark.parametrize("shuffle", [False, True])
    @pytest.mark.parametrize("wide", [False, True])
    def test_compressed_arrays(self, tmp_path: Path, shuffle: bool, wide: bool) -> None:
        array = np.arange(1200, dtype="f8").reshape(20, 60)
        file = JldFile()
        path = file.save(tmp_path / "c.jld2", a=file.array(array, deflate=True, shuffle=shuffle, wide=wide))
        found = load(path, "a")
        assert np.array_equal(found, array)
        if not wide:  # the form that HDF5's library reads, too
            with h5py.File(path) as opened:
                assert np.array_equal(opened["a"][()].T, array)

    def test_hdf5_agrees_on_the_files_of_these_tests(self, tmp_path: Path) -> None:
        file, names, weight, _ = flux_file()
        with h5py.File(file.save(tmp_path / "m.jld2", **names)) as opened:
            assert np.array_equal(opened["weight"][()].T, weight)
            assert sorted(opened) == ["_types", "model", "weight"]

    def test_arrays_are_mapped_and_the_file_stays(self, tmp_path: Path) -> None:
        file, names, weight, _ = flux_file()
        path = file.save(tmp_path / "m.jld2", **names)
        before = path.read_bytes()
        load(path, "weight")[:] = 9
        assert path.read_bytes() == before
        assert np.array_equal(load(path, "weight", mmap=False), weight)

    def test_only_what_is_asked_for_is_read(self, tmp_path: Path) -> None:
        file, names, weight, _ = flux_file()
        bad = file.add(b"no header here")
        path = file.save(tmp_path / "m.jld2", bad=bad, **names)
        assert np.array_equal(load(path, "weight"), weight)
        with pytest.raises(FormatError, match=r"m\.jld2: bad: "):
            load(path, "bad")


class TestWithTheRest:
    def test_a_state_tree_fills_a_model(self, tmp_path: Path) -> None:
        """The tree of ``Flux.state``, in named tuples."""
        file = JldFile()
        weight, bias = np.arange(6, dtype="f4").reshape(3, 2), np.array([1, 2, 3], "f4")
        empty = file.singleton("Core.Tuple")
        number, two, one = file.type_value("Core.Float32"), file.integer(2), file.integer(1)
        matrix, vector = (file.type_value("Core.Array", [number, axes]) for axes in (two, one))
        symbol = file._commit("Core.Symbol", HEAP_TEXT, ())

        def named(members: bytes, fields: list[tuple[str, int]], **types: int) -> int:
            words = compound(*((str(n + 1), HEAP_TEXT, 16) for n in range(len(types))))
            kinds = [(str(n + 1), symbol) for n in range(len(types))]
            tuple_ = file.struct_type("Core.Tuple", words, [file.type_value("Core.Symbol")] * len(types), kinds)
            names = file.value(b"".join(map(file.text_id, types)), committed=tuple_)
            inner = file.type_value("Core.Tuple", list(types.values()))
            return file.struct_type("Core.NamedTuple", members, [names, inner], fields)

        fields = compound(("weight", REFERENCE, 8), ("bias", REFERENCE, 8))  # σ = () takes no bytes: until 0.4.53
        layer = named(fields, [], weight=matrix, bias=vector, σ=empty)
        layers = file.struct_type("Core.Tuple", compound(("1", fields, 16)), [layer], [("1", layer)])
        whole = compound(("layers", compound(("1", fields, 16)), 16))
        root = named(whole, [("layers", layers)], layers=layers)
        tree = file.value(struct.pack("<QQ", file.array(weight), file.array(bias)), committed=root)
        path = file.save(tmp_path / "s.jld2", model=tree)
        model = Chain(Dense(2, 3, relu))
        restore(path, model=model)
        assert np.array_equal(model.layers[0].weight.detach().numpy(), weight)
        assert np.array_equal(model.layers[0].bias.detach().numpy(), bias)

    def test_show_and_diff(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["show", str(FILES / "models.jld2"), "mlp"])
        assert ended.value.code == 0
        assert "Flux.Dense" in capsys.readouterr().out

    def test_inspect_names_the_fields(self) -> None:
        entry = inspect(FILES / "values.jld2")
        assert entry.find("point.x").value == 1.0
        assert entry.find("matrix").shape == (2, 3)

    def test_the_document_is_the_one_of_bson(self) -> None:
        ours, theirs = jld2.open_file(FILES / "values.jld2"), bson.open_file(FILES / "values.bson")
        assert set(ours.names) == set(theirs.names)
        assert ours.document["tuple"] == theirs.document["tuple"]


@needs_corpus
@pytest.mark.skipif(not PUBLIC, reason="the collection has no JLD2 files")
class TestModelsOfOthers:
    @pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.name[:40])
    def test_loads_and_has_the_arrays_that_hdf5_has(self, path: Path) -> None:
        tree = inspect(path)
        assert tree.children
        gpu = any(entry.type == "CUDA.CuArray" for entry in tree.walk())
        if gpu:  # its arrays are addresses on a GPU that is long gone: nothing is in the file
            with pytest.raises(FormatError, match="before saving: model = cpu"):
                load(path)
            return
        found = sorted(fingerprint(array) for array in arrays_in(load(path)))
        with h5py.File(path) as opened:
            theirs = sorted(set(map(fingerprint, datasets_of(opened))))
        assert set(found) <= set(theirs)
        rest = set(theirs) - set(found)
        tracked = any(
            entry.type == "Tracker.TrackedArray" for entry in tree.walk()
        )  # each with its gradient, 0 at rest
        assert rest == {array for array in rest if tracked and not any(array[2])}
        assert found


def fingerprint(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.name, array.shape, array.tobytes(order="F")


def arrays_in(value: Any) -> list[np.ndarray]:
    """Every array of numbers in a loaded value, in Julia's shape."""
    found, stack, met = [], [value], set[int]()
    while stack:
        item = stack.pop()
        if id(item) in met:
            continue
        met.add(id(item))
        if isinstance(item, np.ndarray):
            found.append(item)
        elif isinstance(item, torch.nn.Module):
            found += [tensor.detach().numpy() for tensor in item.state_dict().values()]
        elif isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list | tuple):
            stack += item
        elif isinstance(item, Struct):
            stack += item.data if isinstance(item.data, list) else []
    return found


def datasets_of(opened: Any) -> list[np.ndarray]:
    """Every array of numbers that HDF5 finds in a file, through links and through references, in Julia's shape."""
    found, stack, met = [], [opened[name] for name in opened if name != "_types"], set[Any]()
    while stack:
        item = stack.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in met:
            continue
        met.add(address)
        if isinstance(item, h5py.Group):
            stack += [item[name] for name in item]
        elif isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and item.shape:
            found.append(item[()].T)
        elif isinstance(item, h5py.Dataset) and item.shape is not None:
            stack += [opened[ref] for ref in references(item)]
    return found


def references(dataset: Any) -> list[Any]:
    """The references in a dataset, read field by field, since h5py has no types for the others."""
    value = dataset[()]
    parts, refs = [value], []
    while parts:
        part = parts.pop()
        if isinstance(part, h5py.Reference):
            refs += [part] if part else []
        elif isinstance(part, np.ndarray) and part.dtype.names is None:
            parts += list(part.reshape(-1)) if part.dtype.kind in "OV" else []
        elif isinstance(part, np.void | np.ndarray) and part.dtype.names:
            parts += [part[name] for name in part.dtype.names]
    return refs


NO_TYPES = ("A{", "A}", "A{B", "A{,}", "A{B}{C}", "{A}", "A B", "", "A{B},C", "typeof(", "3{4}")


class TestTypesAsText:
    @pytest.mark.parametrize(
        ("text", "path"),
        [
            ("Core.Float32", ["Core", "Float32"]),
            ("NNlib.#relu", ["NNlib", "#relu"]),
            ("Base.#.+", ["Base", "#.+"]),
            ("Core.Core.Bool", ["Core", "Bool"]),
            ("Tuple", ["Core", "Tuple"]),
            ("#3#4", ["#3#4"]),
            ("a..b", ["a..b"]),
        ],
    )
    def test_names(self, text: str, path: list[str]) -> None:
        assert path_of(text) == path

    def test_parameters(self) -> None:
        found = datatype_of("Flux.Dense{typeof(NNlib.relu), Core.Array{Core.Float32,2}, :a, true, -3}")
        assert found["name"] == ["Flux", "Dense"]
        function, array, symbol, true, number = found["params"]
        assert function["name"] == ["NNlib", "#relu"]
        assert array["params"] == [{"tag": "datatype", "name": ["Core", "Float32"], "params": []}, 2]
        assert (symbol, true, number) == ({"tag": "symbol", "name": "a"}, True, -3)

    @pytest.mark.parametrize(
        "text", ["A{", "A}", "A{B", "A{,}", "A{B}{C}", "{A}", "A B", "", "A{B},C", "typeof(", "3{4}", "A{" * 99]
    )
    def test_what_is_no_type_is_a_name(self, text: str) -> None:
        assert datatype_of(text) == {"tag": "datatype", "name": [text], "params": []}
