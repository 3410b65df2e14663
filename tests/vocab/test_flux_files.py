"""Every model that Flux 0.8.3, 0.12.1 and 0.16.9 saved: the same output, the same weights, and the same file again.

``pytest -rP -k remedies`` prints the files that needed a word, with the reasons.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from documents import difference
from holdfast import load, loadparams, params, save
from holdfast.flux import Chain, Dense, Recur, reset, testmode, trainmode
from holdfast.formats import bson
from holdfast.vocab.flux.params import SavedParams
from reference import JULIA, needs_julia_files
from vocab.flux_files import FILES, FLUX, REMEDIES, as_input, error, facts, name_of, remedy_for, same_array, worst

pytestmark = needs_julia_files

MODELS = [path for path in FILES if facts(path).get("outputs")]
WITH_STATE = [path for path in FILES if facts(path).get("state")]


def file(version: str, name: str) -> Path:
    return JULIA / f"flux-{version}" / f"{name}.bson"


def model_of(path: Path) -> Any:
    model = load(path, "model")
    remedy = remedy_for(path)
    return model if remedy is None else remedy.apply(model)


@pytest.mark.parametrize("path", [path for path in MODELS if "chain_empty" not in path.stem], ids=name_of)
def test_the_same_output(path: Path) -> None:
    model, said = model_of(path), facts(path)
    assert worst(model, said) < 1
    if isinstance(model, nn.Module):
        assert not model.training
        assert worst(reset(model), said) < 1  # recurrent ones start again


@pytest.mark.parametrize("version", FLUX)
def test_an_empty_chain_gives_its_input_back(version: str) -> None:
    x = torch.arange(3.0)
    assert load(file(version, "chain_empty"), "model")(x) is x  # Julia's 0.16 gives nothing


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_same_parameters(path: Path) -> None:
    entries = facts(path).get("params")
    if entries is None:
        assert path.stem in SILENT or path.stem.startswith(("optonly", "dropout"))
        return
    if name_of(path) in UNTRACKED:
        assert entries == []
        return
    found = load(path)
    ours = weights_of(found.get("model", next(iter(found.values()))))
    assert len(ours) == len(entries)
    assert all(same_array(value, entry) for value, entry in zip(ours, entries, strict=True))


SILENT = {"doc_model_literal_save", "onehot", "bare_function", "params_object", "doc_weights", "custom_param_struct"}
"""Files of which the JSON says nothing about parameters, beside optimisers and a Dropout."""

UNTRACKED = {f"0.8.3-{name}" for name in ("dense_transposed_weight", "dense_untracked", "tied_plain")}
"""Flux 0.8 trained tracked arrays only. Nothing in these files says that they are of that time, so here all is trained."""


def weights_of(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    return params(value[1]) if not isinstance(value, nn.Module) and hasattr(value, "data") else params(value)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_same_document_again(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.bson"
    first = bson.open_file(path)
    values = load(path)
    save(again, values if not first.whole else {bson.ROOT: values})
    second = bson.open_file(again)
    assert difference(second.document, first.document) == ""
    third = tmp_path / "third.bson"
    save(third, load(again))
    assert difference(bson.open_file(third).document, first.document) == ""


@pytest.mark.parametrize("path", WITH_STATE, ids=name_of)
def test_the_state_that_a_file_holds(path: Path) -> None:
    model, said = load(path, "model"), facts(path)["state"]
    assert isinstance(model, Recur)
    entries = [part["array"] for part in said.get("tuple", [said])]
    for ours, entry in zip(parts(model.state), entries, strict=True):
        assert same_array(ours, entry)
    if len(facts(path)["inputs"]) > 1:  # run again from the start, the state comes out the same
        run(reset(model), path)
        for ours, entry in zip(parts(model.state), entries, strict=True):
            assert error(ours.detach(), entry) < 1


def run(model: nn.Module, path: Path) -> None:
    for given in facts(path)["inputs"]:
        model(as_input(given))


def parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", ["batchnorm", "batchnorm_conv", "instancenorm", "groupnorm"])
def test_statistics_after_training(name: str) -> None:
    """Flux 0.8.3 ran the fresh layer twice, on x and on 2x + 1, before it saved it again."""
    layer, theirs = (
        load(file("0.8.3", f"{name}_fresh"), "model"),
        load(file("0.8.3", f"{name}_trained_active"), "model"),
    )
    x = as_input(facts(file("0.8.3", f"{name}_trained_active"))["inputs"][0])
    assert layer.active is True
    assert layer.trains
    layer(x), layer(x * 2 + 1)
    for ours, wanted in ((layer.mean, theirs.mean), (layer.var, theirs.var)):
        assert torch.allclose(ours, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("version", FLUX)
def test_train_and_test_mode(version: str) -> None:
    """What the file fixes stays so; ``auto`` follows torch's switch."""
    fixed = load(file(version, "dropout_testmode"), "model")
    x = torch.ones(64, 4)
    assert torch.equal(fixed.train()(x), fixed.eval()(x))
    free = testmode(fixed, "auto")
    assert torch.equal(free.eval()(x), free(x))
    assert not torch.equal(free.train()(x), free.eval()(x))
    assert not torch.equal(trainmode(free)(x), testmode(free)(x))


@pytest.mark.parametrize("version", FLUX)
def test_tied_weights_stay_tied(version: str) -> None:
    model = load(file(version, "tied_weights"), "model")
    assert model[0].weight is model[1].weight is model[2].weight
    assert len(params(model)) == 4
    with torch.no_grad():
        model[0].weight.zero_()
    assert not model[2].weight.any()


@pytest.mark.parametrize("version", ["0.12.1", "0.16.9"])
def test_a_transposed_weight_shares_its_memory(version: str, tmp_path: Path) -> None:
    model = load(file(version, "dense_transposed_weight"), "model")
    with torch.no_grad():
        model.weight += 1
    save(tmp_path / "m.bson", model=model)
    again = load(tmp_path / "m.bson", "model")
    assert torch.equal(again.weight, model.weight)
    assert "Adjoint" in repr(again._julia.fields["weight"].was)
    model.double()  # no longer the memory of what stood in the file
    save(tmp_path / "m.bson", model=model)
    assert load(tmp_path / "m.bson", "model").weight.dtype == torch.float64


@pytest.mark.parametrize(("version", "name"), [("0.8.3", "params_object"), ("0.12.1", "doc_weights_params")])
def test_params_are_a_list_of_weights(version: str, name: str) -> None:
    (weights,) = load(file(version, name)).values()
    assert isinstance(weights, SavedParams)
    assert {type(weight).__name__ for weight in weights} == {"Struct" if version == "0.8.3" else "ndarray"}
    shapes = [np.asarray(weight).shape for weight in weights]
    model = Chain(*(Dense(*size[::-1]) for size in shapes[::2]))
    loadparams(model, weights)
    assert torch.equal(model[0].weight, torch.from_numpy(np.array(np.asarray(weights[0]))))


def test_params_beside_a_model_are_its_own() -> None:
    """The page's ``ADAM(params(model))`` was a closure over the parameters in Flux 0.8."""
    model, opt = load(file("0.8.3", "doc_model_opt_closure"), "model", "opt")
    (weights,) = [value for value in opt.data if isinstance(value, SavedParams)]
    assert [a is b for a, b in zip(weights, params(model), strict=True)] == [True] * 4


def test_the_page_s_model() -> None:
    for version in FLUX:
        assert repr(load(file(version, "doc_model"), "model")) == "Chain(Dense(10, 5, relu), Dense(5, 2), softmax)"


def test_remedies_are_needed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Each file in the list fails without its remedy; the list is printed."""
    listed = [path for path in MODELS if remedy_for(path) is not None]
    assert {path.stem for path in listed} == {name.rpartition("/")[2] for name in REMEDIES}
    for path in listed:
        remedy = remedy_for(path)
        assert remedy is not None
        print(f"{name_of(path)}: {remedy.reason}")
        try:
            assert worst(load(path, "model"), facts(path)) > 1
        except Exception as problem:
            print(f"    {type(problem).__name__}: {problem}")
    assert isinstance(load(file("0.12.1", "anon_layer"), "model"), Chain)


UNRUN = {
    "alphadropout dropout_active dropout_dims": "it draws numbers; test_train_and_test_mode and tests/flux/test_dropout.py",
    "_fresh _trained_active batchnorm_noaffine batchnorm_notrack": "it trains; test_statistics_after_training",
    "_state _state_truncated _state_tracked": "what it remembers counts; test_the_state_that_a_file_holds",
    "doc_weights doc_weights_params params_object": "weights without a model; test_params_are_a_list_of_weights",
    "doc_model_literal_save": "the JSON is doc_model's; test_the_page_s_model",
    "custom_param_struct onehot bare_function": "no model; test_the_same_document_again",
    "optonly_": "an optimiser alone; tests/vocab/test_flux_optimisers.py",
}
"""Files without outputs in their JSON, by name or by a part of it -> why, and the test that looks at them."""


def test_every_file_is_run_or_listed() -> None:
    """The list is printed; nothing in it is there for nothing."""
    silent = {path.stem for path in FILES if not facts(path).get("outputs")}
    listed: set[str] = set()
    for words, reason in UNRUN.items():
        parts = words.split()
        found = {
            stem for stem in silent if any(stem == part or (part[0] == "_" and stem.endswith(part)) for part in parts)
        }
        found |= {stem for stem in silent if "optonly_" in parts and stem.startswith("optonly_")}
        print(f"{reason}: {' '.join(sorted(found))}")
        assert found
        listed |= found
    assert silent == listed
