"""The tables of layouts: every form is told apart, loads, and goes back; the era of a file decides what its fields leave open."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from documents import difference
from holdfast import FormatError, MismatchError, UnsupportedError, flux, inspect, load, save
from holdfast.flux import BatchNorm, Chain, Dense, DepthwiseConv, Diagonal, LayerNorm, MaxPool, Recur, RNNCell
from holdfast.flux.activations import hardsigmoid_slope, hardσ
from holdfast.formats import bson
from holdfast.julia.values import DataType, NamedTuple, Struct, Symbol
from holdfast.vocab.flux.eras import TODAY, Choice, Era, Span, span, version
from holdfast.vocab.flux.fields import KINDS
from holdfast.vocab.flux.layouts import LAYOUTS, Layout, Row
from holdfast.vocab.flux.named_fields import by_position
from holdfast.vocab.flux.today import as_today, for_flux
from holdfast.wire.checksum import seal
from holdfast.wire.plan import plan_document

FORMS = [(layout, form) for layout in LAYOUTS for form in layout.rows]


def spelled(value: Any) -> str:
    if isinstance(value, Row):
        return f"{len(value.fields)}-{'.'.join(map(str, value.span.since))}"
    return value.name.removeprefix("Flux.") if isinstance(value, Layout) else ""


# -- the tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS, ids=spelled)
def test_a_table_is_whole(layout: Layout) -> None:
    assert [form.span for form in layout.rows] == sorted(
        (form.span for form in layout.rows), key=lambda s: s.since
    ) or (layout.name in ("Flux.AlphaDropout", "Flux.BatchNorm", "Flux.InstanceNorm", "Flux.GroupNorm"))
    for form in layout.rows:
        assert form.span.since <= form.span.until <= TODAY
        assert set(form.fields) <= set(layout.kinds)
        assert all(token in layout.kinds or token in layout.parts for token in form.types)
    assert set(layout.kinds.values()) <= set(KINDS)
    assert {name for form in layout.rows for name in form.sets} <= set(layout.python)


@pytest.mark.parametrize("layout", LAYOUTS, ids=spelled)
def test_forms_of_one_arity_have_the_same_fields(layout: Layout) -> None:
    for one, other in combinations(layout.rows, 2):
        if (len(one.fields), len(one.types)) == (len(other.fields), len(other.types)):
            assert one.fields == other.fields
            assert not one.span.overlaps(other.span) or one.fits is not other.fits
            assert one.sets or other.sets or one.fits is not other.fits or one.types != other.types


# -- every form -------------------------------------------------------------------------------------------------------


def array(*size: int) -> np.ndarray:
    return np.asfortranarray(np.random.default_rng(sum(size)).normal(size=size).astype(np.float32))


def typed(name: str, *params: Any) -> DataType:
    return DataType(name.split("."), params)


IDENTITY = Struct(typed("Main.Base.#identity"))
FLOAT, ARRAY = typed("Core.Float32"), typed("Core.Array", typed("Core.Float32"), 1)
DIAGONAL = Struct(typed("Flux.Diagonal", ARRAY), [array(4), array(4)])
SCALE = Struct(typed("Flux.Scale", IDENTITY.type, ARRAY, ARRAY), [array(4), array(4), IDENTITY])
DENSE = Struct(typed("Flux.Dense", IDENTITY.type, ARRAY, ARRAY), [array(4, 4), array(4), IDENTITY])
DROPOUT = Struct(typed("Flux.Dropout", FLOAT, FLOAT), [0.5, Struct(typed("Main.Base.Colon")), None])
SMALL = np.float32(1e-5)

FIELDS: dict[str, Any] = {
    "activation": IDENTITY, "reduction": Struct(typed("Statistics.#mean")), "connection": Struct(typed("Main.Base.#+")),
    "bias": array(4), "scale": array(4), "layers": (DENSE, DENSE), "layer": DENSE, "stride": (1, 1), "pad": (1, 1),
    "dilation": (1, 1), "outpad": (0, 0), "groups": 1, "k": (2, 2), "out": (2, 2), "size": (4,), "r": 2, "padding_idx": None,
    "beta": array(4), "gamma": array(4), "mean": array(4), "var": np.abs(array(4)), "eps": SMALL, "momentum": np.float32(0.1),
    "affine": True, "track_stats": True, "active": None, "channels": 4, "diag": SCALE, "p": 0.5,
    "dims": Struct(typed("Main.Base.Colon")), "rng": Struct(typed("Random._GLOBAL_RNG")), "Wi": array(4, 3), "Wh": array(4, 4),
    "Wh_h": array(4, 4), "state0": array(4, 1), "h0": array(1), "c0": array(1), "nheads": 2, "attn_drop": DROPOUT,
    **dict.fromkeys(("q_proj", "k_proj", "v_proj", "out_proj"), DENSE), "g": array(1, 4), "which": "weight",
}  # fmt: skip
CELL = Struct(
    typed("Flux.RNNCell", IDENTITY.type, ARRAY, ARRAY), [IDENTITY, array(4, 3), array(4, 4), array(4), array(4)]
)
OTHERS: dict[str, dict[str, Any]] = {
    "Flux.Dense": {"weight": array(4, 3)},
    "Flux.Bilinear": {"weight": array(4, 3, 2)},
    "Flux.Embedding": {"weight": array(3, 5)},
    "Flux.EmbeddingBag": {"weight": array(3, 5)},
    "Flux.ConvTranspose": {"weight": array(2, 2, 4, 3)},
    "Flux.DepthwiseConv": {"weight": array(2, 2, 2, 2)},
    "Flux.SkipConnection": {"layers": DENSE},
    "Flux.Upsample": {"scale": (2, 2), "size": None},
    "Flux.GroupNorm": {"groups": 2},
    "Flux.LSTMCell": {"bias": array(4), "state0": (array(1, 1), array(1, 1)), "Wh": array(4, 1)},
    "Flux.GRUCell": {"Wi": array(12, 3), "Wh": array(12, 4), "bias": array(12)},
    "Flux.GRUv3Cell": {"Wi": array(12, 3), "Wh": array(12, 4), "bias": array(12)},
    "Flux.WeightNorm": {"dims": 2},
    "Flux.Recur": {"cell": CELL, "init": CELL[4], "state": array(4, 2)},
    **{f"Flux.{name}": {"cell": CELL} for name in ("RNN", "LSTM", "GRU", "GRUv3", "Recurrence")},
}


def value_of(layout: Layout, form: Row, name: str) -> Any:
    if layout.name == "Flux.LayerNorm" and name == "diag" and form.span.until < version("0.13.0"):
        return DIAGONAL
    if layout.name == "Flux.GroupNorm" and len(form.types) == 3 and name in ("mean", "var", "track_stats"):
        return False if name == "track_stats" else None
    if name == "weight" and layout.name in ("Flux.Conv", "Flux.CrossCor"):
        return array(2, 2, 3, 4)
    if name == "active" and form.span.until < version("0.10.0"):
        return False
    if form.sets.get("deviations") and name == "eps":
        return 1e-8
    return OTHERS.get(layout.name, {}).get(name, FIELDS.get(name))


def parameter(layout: Layout, token: str) -> Any:
    return {"N": 2, "M": 2, "S": 4, "O": 2, "mode": typed("Core.Symbol"), "return_state": True}.get(token, FLOAT)


def struct_of(layout: Layout, form: Row) -> Struct:
    params = [parameter(layout, token) for token in form.types]
    if "mode" in form.types:
        params[0] = Symbol("bilinear")
    return Struct(typed(layout.name, *params), [value_of(layout, form, name) for name in form.fields])


@pytest.mark.parametrize(("layout", "form"), FORMS, ids=spelled)
def test_every_form_loads_and_stays(layout: Layout, form: Row, tmp_path: Path) -> None:
    save(tmp_path / "file.bson", model=struct_of(layout, form))
    layer = load(tmp_path / "file.bson", "model")
    assert type(layer) is layout.layer
    save(tmp_path / "again.bson", model=layer)
    first, second = (bson.open_file(tmp_path / f"{name}.bson").document["model"] for name in ("file", "again"))
    assert len(first["data"]) == len(second["data"]) == len(form.fields)
    assert len(second["type"]["params"]) == len(form.types)
    again = load(tmp_path / "again.bson", "model")
    assert {name: getattr(again, name) for name in layout.python} == {
        name: getattr(layer, name) for name in layout.python
    }
    for name, value in form.sets.items():
        if len(layout.forms(len(form.fields), len(form.types))) == 1:
            assert getattr(layer, name) == value


# -- eras -------------------------------------------------------------------------------------------------------------


def test_an_era_is_narrowed_and_tells_who_waits() -> None:
    era, told = Era(), []
    choices = [Choice(span("0.5.0", "0.10.4"), "old"), Choice(span("0.11.0"), "new")]
    era.settle(choices, told.append)
    era.narrow(span("0.8.0", "0.9.0"))
    era.narrow(span("0.13.0"))  # a file of two eras: the second tells nothing
    assert told == ["new", "old"]
    assert era.span == Span((0, 8, 0), (0, 9, 0))
    assert (
        era.pick(
            [Choice(span("0.5.0", "0.6.0"), 1), Choice(span("0.7.0", "0.12.0"), 2), Choice(span("0.8.0"), 3, True)]
        )
        == 3
    )


def tracked(data: np.ndarray, package: str = "Tracker") -> Struct:
    """An array that Tracker has in its hands."""
    array_type = typed("Core.Array", FLOAT, data.ndim)
    call = Struct(typed(f"{package}.Call", typed("Core.Nothing"), typed("Core.Tuple")), [None, ()])
    gradient = np.zeros_like(data)
    extra = [data] if package == "Flux.Tracker" else []
    tracker = Struct(typed(f"{package}.Tracked", array_type), [np.uint32(0), call, True, *extra, gradient])
    return Struct(typed(f"{package}.TrackedArray", FLOAT, data.ndim, array_type), [tracker, data, gradient])


def dense(*weights: Any, activation: Struct = IDENTITY) -> Struct:
    return Struct(typed("Flux.Dense", activation.type, ARRAY, ARRAY), [*weights, activation])


def pool() -> Struct:
    return Struct(typed("Flux.MaxPool", 2, 4), [(2, 2), (1, 1, 1, 1), (2, 2)])


def layer_norm() -> Struct:
    return Struct(typed("Flux.LayerNorm", ARRAY), [DIAGONAL])


OLD = dense(tracked(array(4, 4)), tracked(array(4)))
RECUR_11 = Struct(typed("Flux.Recur", ARRAY), [CELL, CELL[4], CELL[4]])
DROPOUT_10 = Struct(typed("Flux.Dropout", FLOAT, FLOAT), [0.5, Struct(typed("Main.Base.Colon"))])
ROWS_16 = Struct(typed("Flux.Embedding", ARRAY, typed("Core.Nothing")), [array(3, 5), None])


def norm_of(diag: Any) -> Struct:
    """A LayerNorm since Flux 0.12."""
    fields = [IDENTITY, diag, SMALL, (4,), isinstance(diag, Struct) and diag is not IDENTITY]
    return Struct(typed("Flux.LayerNorm", FLOAT, FLOAT, FLOAT, 1), fields)


@pytest.mark.parametrize(
    ("layers", "attribute", "wanted"),
    [
        ([pool()], "clamped", False),
        ([pool(), OLD], "clamped", True),
        ([OLD, pool()], "clamped", True),
        ([pool(), RECUR_11], "clamped", False),
        ([pool(), RECUR_11, DROPOUT_10], "clamped", True),
        ([layer_norm()], "eps_rule", "deviation"),
        ([layer_norm(), OLD], "eps_rule", "none"),
        ([norm_of(SCALE)], "eps_rule", "squared"),
        ([norm_of(SCALE), ROWS_16], "eps_rule", "variance"),
        ([norm_of(DIAGONAL)], "eps_rule", "deviation"),
        ([norm_of(IDENTITY)], "eps_rule", "squared"),
        ([norm_of(None)], "eps_rule", "deviation"),
    ],
)
def test_what_a_layer_computed_follows_from_the_whole_file(
    layers: Any, attribute: str, wanted: Any, tmp_path: Path
) -> None:
    save(tmp_path / "file.bson", model=Struct(typed("Flux.Chain", FLOAT), [tuple(layers)]))
    model = load(tmp_path / "file.bson", "model")
    (found,) = [getattr(layer, attribute) for layer in model if hasattr(layer, attribute)]
    assert found == wanted


@pytest.mark.parametrize("before", [True, False])
def test_hardσ_had_another_slope_until_0_11(before: bool, tmp_path: Path) -> None:
    hard = Struct(typed("NNlib.#hardσ"))
    layers = [dense(array(4, 4), array(4), activation=hard), hard]
    layers = [RECUR_11, *layers] if before else [*layers, RECUR_11]
    save(tmp_path / "file.bson", model=Struct(typed("Flux.Chain", FLOAT), [tuple(layers)]))
    model = load(tmp_path / "file.bson", "model")
    assert [layer.activation for layer in model if isinstance(layer, Dense)] == [hardsigmoid_slope]
    assert hardsigmoid_slope in list(model)
    save(tmp_path / "again.bson", model=model)
    assert hardsigmoid_slope in list(load(tmp_path / "again.bson", "model"))
    save(
        tmp_path / "file.bson",
        model=Struct(typed("Flux.Chain", FLOAT), [(dense(array(4, 4), array(4), activation=hard),)]),
    )
    assert load(tmp_path / "file.bson", "model")[0].activation is hardσ


@pytest.mark.parametrize(
    ("eps", "package", "deviations"),
    [
        (1e-8, "Flux.Tracker", True),
        (1e-5, "Flux.Tracker", True),
        (1e-5, "Tracker", False),
        (1e-8, "", True),
        (1e-5, "", False),
    ],
)
def test_batchnorm_held_deviations_until_0_6(eps: float, package: str, deviations: bool, tmp_path: Path) -> None:
    """(x - μ) / σ, as Flux 0.6 has it; five fields of ``Tracked`` say that it is older still."""
    weights = [tracked(array(3), package) if package else array(3) for _ in range(2)]
    mean, deviation = array(3), np.abs(array(3)) + 1
    struct = Struct(typed("Flux.BatchNorm", FLOAT, FLOAT, FLOAT, FLOAT),
                    [IDENTITY, *weights, mean, deviation, eps, 0.1, False])  # fmt: skip
    save(tmp_path / "file.bson", model=struct)
    layer = load(tmp_path / "file.bson", "model")
    assert isinstance(layer, BatchNorm)
    assert layer.deviations is deviations
    x = torch.randn(5, 3)
    divisor = layer.var if deviations else (layer.var + eps).sqrt()
    wanted = layer.gamma * (x - layer.mean) / divisor + layer.beta
    assert torch.allclose(layer(x), wanted, atol=1e-6)
    assert torch.allclose(as_today(layer)(x), wanted, atol=1e-6)
    assert layer.deviations is False


def test_deviations_are_trained_as_flux_0_6_did(tmp_path: Path) -> None:
    layer = BatchNorm(3)
    layer.deviations, layer.active = True, True
    x = torch.randn(7, 3) * 2 + 1
    y = layer(x)
    centred = x - x.mean(0)
    deviation = (centred.square().mean(0) + layer.eps).sqrt()
    assert torch.allclose(y, centred / deviation, atol=1e-5)
    assert torch.allclose(layer.mean, 0.1 * x.mean(0))
    assert torch.allclose(layer.var, 0.9 + 0.1 * deviation * 7 / 6)
    save(tmp_path / "layer.bson", layer=layer)
    assert load(tmp_path / "layer.bson", "layer").deviations is True


# -- errors -----------------------------------------------------------------------------------------------------------

BROKEN = {
    "unknown form": (
        Struct(typed("Flux.Conv", 1, 2), [1, 2, 3]),
        r"Flux\.Conv with 3 fields and 2 type parameters is none of Flux's layouts .* 5 \(4\), 6 \(4\), 6 \(5\), 7 \(5\)",
    ),
    "wrong shapes": (dense(array(4, 3), array(5)), r"Flux\.Dense: Dense: the bias has shape \(5,\), it needs \(4,\)"),
    "no array": (dense("weights", array(5)), r"Flux\.Dense: .*str is not an array"),
    "no function": (Struct(typed("Flux.Dense", 1, 2, 3), [array(2, 2), False, 3]), r"Flux\.Dense: 3 is neither"),
    "no layers": (Struct(typed("Flux.Chain", 1), [7]), r"Flux\.Chain: layers are a int, not a tuple"),
    "no layer": (Struct(typed("Flux.Chain", 1), [(DENSE, 7)]), r"Flux\.Chain: layers\[1\] is 7, which is neither"),
    "no sizes": (Struct(typed("Flux.MaxPool", 2, 4), [(2.5, 2), (0, 0), (2, 2)]), r"Flux\.MaxPool: sizes are \(2\.5"),
    "no mode": (Struct(typed("Flux.Upsample", typed("X"), 1, 2), [2, None]), r"Flux\.Upsample"),
}


@pytest.mark.parametrize(("struct", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_layer_is_named(struct: Struct, message: str, tmp_path: Path) -> None:
    save(tmp_path / "file.bson", model=Struct(typed("Flux.Chain", FLOAT), [(DENSE, struct)]))
    with pytest.raises(FormatError, match=r"file\.bson: model\.layers\[1\]: " + message):
        load(tmp_path / "file.bson")


def test_a_layer_that_no_flux_has_is_a_struct(tmp_path: Path) -> None:
    mine = Struct(typed("Flux.Brain"), [DENSE])
    save(tmp_path / "file.bson", model=Struct(typed("Flux.Chain", FLOAT), [(DENSE, mine)]))
    model = load(tmp_path / "file.bson", "model")
    with pytest.raises(UnsupportedError, match=r"Julia's Flux\.Brain is Julia code"):
        model(torch.zeros(1, 4))


@pytest.mark.parametrize("key", ["eps_rule", "attributes", "training"])
def test_what_stands_beside_a_struct_is_looked_at(key: str, tmp_path: Path) -> None:
    save(tmp_path / "file.bson", model=LayerNorm(4))
    document = bson.open_file(tmp_path / "file.bson").document
    document["model"][key] = {"forward": 1} if key == "attributes" else "always"
    plan = plan_document(document)
    seal(plan)
    (tmp_path / "bad.bson").write_bytes(b"".join(plan.buffers()))
    if key == "training":
        assert load(tmp_path / "bad.bson", "model").training is False
        return
    with pytest.raises(FormatError, match=r"Flux\.LayerNorm: .*(eps_rule|forward)"):
        load(tmp_path / "bad.bson")


# -- for another Flux -------------------------------------------------------------------------------------------------


def old_model(folder: Path) -> Chain:
    conv = Struct(typed("Flux.Conv", 2, 4, FLOAT, FLOAT, FLOAT),
                  [IDENTITY, tracked(array(2, 2, 1, 4)), tracked(array(4)), (1, 1), (0, 0, 0, 0), (1, 1)])  # fmt: skip
    chain = Struct(typed("Flux.Chain", FLOAT), [(conv, pool(), OLD)])
    save(folder / "old.bson", model=chain)
    return load(folder / "old.bson", "model")


def fields_of(path: Path) -> list[int]:
    document = bson.open_file(path).document
    backrefs = document.get("_backrefs", [])
    layers = document["model"]["data"][0]["data"]
    return [len((backrefs[n["ref"] - 1] if n["tag"] == "backref" else n)["data"]) for n in layers]


def test_an_old_model_keeps_its_layout_until_asked_for_another(tmp_path: Path) -> None:
    model = old_model(tmp_path)
    save(tmp_path / "kept.bson", model=model)
    assert fields_of(tmp_path / "kept.bson") == [6, 3, 3]
    save(tmp_path / "again.bson", model=load(tmp_path / "kept.bson", "model"))
    assert difference(*(bson.open_file(tmp_path / f"{n}.bson").document for n in ("again", "kept"))) == ""
    assert as_today(model) is model
    save(tmp_path / "new.bson", model=model)
    assert fields_of(tmp_path / "new.bson") == [7, 3, 3]
    assert b"Tracked" not in (tmp_path / "new.bson").read_bytes()
    assert load(tmp_path / "new.bson", "model")[1].clamped is True  # what it computes stays


@pytest.mark.parametrize(("flux_version", "fields"), [("0.12.5", 6), ("0.12", 7), ("0.14", 7), ("0.16.9", 7), ("", 7)])
def test_for_any_flux(flux_version: str, fields: int, tmp_path: Path) -> None:
    save(tmp_path / "new.bson", model=for_flux(old_model(tmp_path), flux_version))
    assert fields_of(tmp_path / "new.bson")[0] == fields


def test_layers_that_a_flux_lacks() -> None:
    model = Chain(DepthwiseConv((2, 2), (2, 4)), LayerNorm(3), flux.RNN(3, 2), Diagonal(2))
    with pytest.raises(UnsupportedError, match=r"2 is a RNN, which Flux 0\.15\.0 to 0\.16\.11 had"):
        for_flux(model, "0.14")
    assert isinstance(model[0], DepthwiseConv)
    model.layers[2] = Recur(RNNCell(3, 2))
    assert [type(layer).__name__ for layer in for_flux(model, "0.14")] == ["Conv", "LayerNorm", "Recur", "Scale"]
    with pytest.raises(MismatchError, match=r"flux=.0\.11."):
        for_flux(model, "0.11")
    with pytest.raises(MismatchError, match="give a version"):
        for_flux(model, "latest")


def test_replacements_compute_the_same() -> None:
    torch.manual_seed(2)
    norm = LayerNorm.of(flux.tanh, Diagonal(3), 1e-5, (3,), eps_rule="deviation")
    model = nn.Sequential(DepthwiseConv((2, 2), (2, 4), flux.relu), norm, Diagonal(3))
    x = torch.randn(2, 2, 4, 4)
    wanted = model(x)
    assert torch.allclose(as_today(model)(x), wanted, atol=1e-6)
    assert [type(m) for m in model] == [flux.Conv, LayerNorm, flux.Scale]
    assert type(model[1].diag) is flux.Scale


def test_a_changed_layer_has_a_new_type(tmp_path: Path) -> None:
    """What the file said no longer holds: the type follows, and a tracked weight stays one."""
    model = old_model(tmp_path)
    model[2].activation = flux.relu
    model.double()
    save(tmp_path / "new.bson", model=model)
    document = bson.open_file(tmp_path / "new.bson").document
    text = repr(type_text(document, document["model"]["data"][0]["data"][2]["type"]))
    tracked_types = (f"TrackedArray{{Float64, {axes}, Array{{Float64, {axes}}}}}" for axes in (2, 1))
    assert text == f"Dense{{typeof(relu), {', '.join(tracked_types)}}}"
    again = load(tmp_path / "new.bson", "model")
    assert again[2].weight.dtype == torch.float64
    assert torch.equal(again[0].weight, model[0].weight)


def type_text(document: Any, node: Any) -> DataType:
    backrefs = document.get("_backrefs", [])
    node = backrefs[node["ref"] - 1] if node.get("tag") == "backref" else node
    params = [type_text(document, part) if isinstance(part, dict) else part for part in node["params"]]
    return DataType(node["name"], params)


def test_named_layers_and_vectors(tmp_path: Path) -> None:
    """Chain's layers were an ``Any[]`` until 0.6, and may be a vector or have names today."""
    for layers, params in (
        ([DENSE, DENSE], []),
        ([DENSE, IDENTITY], [FLOAT]),
        (NamedTuple("ab", (DENSE, DENSE)), [FLOAT]),
    ):
        save(tmp_path / "file.bson", model=Struct(typed("Flux.Chain", *params), [layers]))
        model = load(tmp_path / "file.bson", "model")
        assert len(model) == 2
        assert model.named == isinstance(layers, NamedTuple)
        save(tmp_path / "again.bson", model=model)
        first, second = (bson.open_file(tmp_path / f"{n}.bson").document["model"]["data"][0] for n in ("file", "again"))
        assert type(first) is type(second)
        model.layers[1] = flux.tanh
        save(tmp_path / "again.bson", model=model)
        assert load(tmp_path / "again.bson", "model").layers[1] is flux.tanh


def test_pools_in_python_know_what_they_do(tmp_path: Path) -> None:
    for clamped in (True, False):
        save(tmp_path / "pool.bson", pool=MaxPool.of((2, 2), 1, 2, clamped))
        assert load(tmp_path / "pool.bson", "pool").clamped is clamped


@pytest.mark.parametrize("name", ["CuArrays.CuArray", "CUDA.CuArray", "AMDGPU.ROCArray", "Metal.MtlArray"])
def test_a_model_on_a_gpu_says_what_to_do_and_the_rest_of_its_file_loads(name: str, tmp_path: Path) -> None:
    pointer = Struct(DataType(name.split("."), [FLOAT, 2]), [0, (2, 3)])
    dense = Struct(typed("Flux.Dense", IDENTITY.type, FLOAT, FLOAT), [pointer, array(2), IDENTITY])
    save(tmp_path / "m.bson", model=dense, loss=0.25, epoch=3)
    with pytest.raises(FormatError, match=r"model\.weight: a .*Array was saved as .* GPU.*model = cpu\(model\)"):
        load(tmp_path / "m.bson")
    assert load(tmp_path / "m.bson", "loss", "epoch") == (0.25, 3)
    assert inspect(tmp_path / "m.bson").find("model.weight").type == name


@pytest.mark.parametrize(
    ("layer", "names", "parameters"),
    [("GRUv3Cell", "Wi Wh b Wh_h̃", 4), ("RNNCell", "σ Wi Wh b h", 3), ("GRUCell", "Wi Wh b h", 2)],
)
def test_fields_by_the_names_that_julia_gives_them(layer: str, names: str, parameters: int) -> None:
    """JLD2's files name the fields; these are the names in Flux's source (0.16, and 0.8 where a cell has ``h``)."""
    layout = next(each for each in LAYOUTS if each.name == f"Flux.{layer}")
    fields, data = names.split(), list(range(len(names.split())))
    assert by_position(layout, fields, data, [DataType(["Core", "Any"])] * parameters) == data
