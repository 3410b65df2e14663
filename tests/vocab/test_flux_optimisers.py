"""Flux's optimisers in files: bound to the model beside them, with the state that Julia left, going on as Julia would.

``vectors/next_steps.json`` is what Flux 0.8.3 and 0.12.1 themselves made of three more steps (``make_next_steps.jl``).
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from holdfast import FormatError, UnsupportedError, flux, load, params, save
from holdfast.flux import (
    ADAM,
    ADAMW,
    Chain,
    Conv,
    Dense,
    Descent,
    ExpDecay,
    Momentum,
    Optimiser,
    WeightDecay,
    optimisers,
)
from holdfast.flux.optimise import FluxOptimiser
from holdfast.formats import bson
from holdfast.julia.values import DataType, IdDict, Struct
from holdfast.vocab.flux.optimiser_layouts import BY_KIND
from reference import array, described, julia_files, needs_julia_files
from vocab.flux_files import name_of, same_array

NEXT: dict[str, dict[str, list[list[float]]]] = json.loads(
    (Path(__file__).parent / "vectors" / "next_steps.json").read_text("utf-8")
)
WITH_MODEL = [path for version in NEXT for path in julia_files(f"flux-{version}") if path.stem.startswith("opt_")]
ALONE = [path for version in NEXT for path in julia_files(f"flux-{version}") if path.stem.startswith("optonly_")]


def flat(tensor: Tensor) -> Tensor:
    """The elements in Julia's order."""
    return tensor.detach().permute(*reversed(range(tensor.dim()))).flatten()


def gradient(parameter: Tensor, step: int) -> Tensor:
    """The gradients of ``make_next_steps.jl``."""
    numbers = [0.3 * math.sin(1.7 * i + step) for i in range(1, parameter.numel() + 1)]
    return (
        torch.tensor(numbers, dtype=parameter.dtype)
        .reshape(parameter.shape[::-1])
        .permute(*reversed(range(parameter.dim())))
    )


@needs_julia_files
@pytest.mark.parametrize("order", [("model", "opt"), ("opt", "model")], ids=" first".join)
@pytest.mark.parametrize("path", WITH_MODEL, ids=name_of)
def test_going_on_as_julia_would(path: Path, order: tuple[str, str]) -> None:
    loaded = dict(zip(order, load(path, *order), strict=True))
    model, opt = loaded["model"], loaded["opt"]
    opt.bind(params(model))  # what train does: a Descent knows no parameters, in Julia either
    assert [id(p) for p in opt.param_groups[0]["params"]] == [id(p) for p in params(model)]
    for step in (1, 2, 3):
        for parameter in params(model):
            parameter.grad = gradient(parameter, step)
        opt.step()
    wanted = NEXT[path.parent.name.removeprefix("flux-")][path.stem]
    for ours, theirs in zip(params(model), wanted, strict=True):
        tolerance = 1e-11 if ours.dtype == torch.float64 else 2e-6
        assert torch.allclose(flat(ours).double(), torch.tensor(theirs, dtype=torch.float64), tolerance, tolerance)


@needs_julia_files
@pytest.mark.parametrize("path", WITH_MODEL, ids=name_of)
def test_the_state_is_what_julia_said(path: Path) -> None:
    model, opt = load(path, "model", "opt")
    for states in described(path)["opt_state_by_param"].values():
        for parameter, said in zip(params(model), states, strict=True):
            if said is None:
                assert opt.kept(parameter) is None
                continue
            kept = opt.kept(parameter)
            values = kept if isinstance(kept, tuple) and "tuple" in said else (kept,)
            for value, entry in zip(values, said.get("tuple", [said]), strict=True):
                check_kept(value, entry)


def check_kept(value: Any, said: dict[str, Any]) -> None:
    if isinstance(value, Tensor):
        assert same_array(value, said["array"])
    elif "array" in said:
        assert list(value) == array(said["array"]).tolist()
    elif "tuple" in said:
        assert list(value) == [part["value"] for part in said["tuple"]]
    else:
        assert value == said.get("value", value)


@needs_julia_files
@pytest.mark.parametrize("path", ALONE, ids=name_of)
def test_optimisers_without_state(path: Path) -> None:
    opt = load(path, "opt")
    assert isinstance(opt, FluxOptimiser)
    assert not opt.state
    spelled = described(path)["expr"] if "0.12.1" in path.parent.name else ""
    if spelled.startswith("ADAM("):
        assert repr(opt) == "ADAM(0.001, (0.9, 0.999))"


def trained(opt: FluxOptimiser, model: torch.nn.Module, steps: int = 2) -> None:
    opt.bind(params(model))
    for step in range(steps):
        for parameter in params(model):
            parameter.grad = gradient(parameter, step)
        opt.step()


KINDS = [kind for kind in BY_KIND if not issubclass(kind, Optimiser)]


def tried_model() -> Chain:
    torch.manual_seed(3)
    return Chain(Dense(4, 2), Conv((2, 3), (1, 2)))


def spell(kind: type[FluxOptimiser]) -> str:
    return f"{BY_KIND[kind][0]}.{kind.__name__}"


@pytest.mark.parametrize("names", [("model", "opt"), ("opt", "model")], ids=" first".join)
@pytest.mark.parametrize("kind", KINDS, ids=spell)
def test_every_optimiser_comes_back_with_its_state(kind: type[FluxOptimiser], names: Any, tmp_path: Path) -> None:
    model, opt = tried_model(), kind()
    trained(opt, model)
    save(tmp_path / "both.bson", {name: {"model": model, "opt": opt}[name] for name in names})
    loaded = load(tmp_path / "both.bson")
    again, driver = loaded["model"], loaded["opt"]
    assert type(driver) is kind
    assert driver.fields() == opt.fields()
    assert [id(p) for p in driver.param_groups[0]["params"]] == [id(p) for p in params(again)]
    trained(opt, model)
    trained(driver, again)
    assert all(torch.equal(a, b) for a, b in zip(params(again), params(model), strict=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ADAMW(0.01, (0.9, 0.99), 0.1),
        lambda: Optimiser(WeightDecay(0.1), ExpDecay(0.1, 0.5, 1), Momentum()),
        lambda: optimisers.OptimiserChain(optimisers.ClipGrad(0.1), optimisers.Adam()),
    ],
)
def test_compositions_come_back(make: Any, tmp_path: Path) -> None:
    model, opt = tried_model(), make()
    trained(opt, model)
    save(tmp_path / "both.bson", opt=opt, model=model)
    again, driver = load(tmp_path / "both.bson", "model", "opt")
    assert repr(driver) == repr(opt)
    trained(opt, model)
    trained(driver, again)
    assert all(torch.equal(a, b) for a, b in zip(params(again), params(model), strict=True))


def test_an_optimiser_before_its_first_step_is_bound(tmp_path: Path) -> None:
    """The page's line: both saved, both loaded, one drives the other."""
    model = Chain(Dense(10, 5), Dense(5, 2))
    save(tmp_path / "both.bson", model=model, opt=ADAM(params(model)))
    again, opt = load(tmp_path / "both.bson", "model", "opt")
    assert opt.param_groups[0]["params"][0] is again[0].weight
    assert len(opt.param_groups[0]["params"]) == 4


def test_groups_come_back(tmp_path: Path) -> None:
    model = Chain(Dense(3, 2), Dense(2, 1))
    opt = ADAM([{"params": [model[0].weight]}, {"params": [model[1].weight], "lr": 0.5}])
    torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)
    save(tmp_path / "both.bson", model=model, opt=opt)
    again, driver = load(tmp_path / "both.bson", "model", "opt")
    assert [(group["lr"], group["params"]) for group in driver.param_groups] == [
        (0.001, [again[0].weight]),
        (0.5, [again[1].weight]),
    ]
    assert driver.param_groups[1]["initial_lr"] == 0.5


def test_structs_are_those_of_today_s_flux(tmp_path: Path) -> None:
    model, opt = Chain(Dense(2, 1)), ADAM()
    trained(opt, model)
    save(tmp_path / "both.bson", model=model, opt=opt)
    saved = bson.open_file(tmp_path / "both.bson").document["opt"]
    assert saved["type"]["name"] == ["Flux", "Optimise", "Adam"]
    assert len(saved["data"]) == 4
    table = saved["data"][3]
    (first, second), products = table["data"][1][0]["data"][:2], table["data"][1][0]["data"][2]
    assert first["tag"] == second["tag"] == "array"
    assert (products["tag"], products["size"]) == ("array", [2])


def test_state_of_weights_that_no_layer_has_stays(tmp_path: Path) -> None:
    """An optimiser saved without its model: the state is kept, and saved again."""
    import numpy as np

    table = IdDict()
    table.type = DataType(["Main", "Base", "IdDict"], [DataType(["Core", "Any"])] * 2)
    from holdfast.julia.values import ByIdentity

    table[ByIdentity(np.ones((2, 3), np.float32, order="F"))] = np.full((2, 3), 0.5, np.float32, order="F")
    struct = Struct(DataType(["Flux", "Optimise", "Momentum"]), [0.01, 0.9, table])
    save(tmp_path / "opt.bson", opt=struct)
    opt = load(tmp_path / "opt.bson", "opt")
    assert isinstance(opt, Momentum)
    assert not opt.state
    save(tmp_path / "again.bson", opt=opt)
    keys, values = bson.open_file(tmp_path / "again.bson").document["opt"]["data"][2]["data"]
    assert (keys[0]["size"], values[0]["size"]) == ([2, 3], [2, 3])


def flux_struct(name: str, *fields: Any) -> Struct:
    return Struct(DataType(name.split(".")), fields)


@pytest.mark.parametrize(
    ("struct", "message"),
    [
        (flux_struct("Flux.Optimise.ADAM", 0.1), "Flux.Optimise.ADAM: 1 fields; layouts with 3, 4 are known"),
        (flux_struct("Flux.Optimise.Descent", "fast"), "Flux.Optimise.Descent: a hyperparameter is 'fast'"),
        (flux_struct("Flux.Optimise.Momentum", 0.1, 0.9, 3), "Flux.Optimise.Momentum: its state is a int"),
        (flux_struct("Optimisers.Adam", 0.1, (0.9,)), "Optimisers.Adam: 2 fields; layouts with 3 are known"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_optimiser_is_named(struct: Struct, message: str, tmp_path: Path) -> None:
    save(tmp_path / "opt.bson", opt=struct)
    with pytest.raises(FormatError, match=message.replace(".", r"\.")):
        load(tmp_path / "opt.bson")


def test_a_composition_with_a_stranger_stays_inert(tmp_path: Path) -> None:
    mine = flux_struct("Main.MyRule", 0.5)
    save(
        tmp_path / "opt.bson",
        opt=flux_struct("Flux.Optimise.Optimiser", [flux_struct("Flux.Optimise.Descent", 0.1), mine]),
    )
    opt = load(tmp_path / "opt.bson", "opt")
    assert isinstance(opt, Struct)
    assert isinstance(opt[0][0], Descent)


def test_hooks_are_refused(tmp_path: Path) -> None:
    opt = ADAM(params(Dense(2, 1)))
    opt.register_step_post_hook(lambda *_: None)
    with pytest.raises(UnsupportedError, match="hook"):
        save(tmp_path / "opt.bson", opt=opt)


@pytest.mark.parametrize(
    ("fields", "lambda_", "epsilon"),
    [((0.1, (0.9, 0.999), 0.01, 1e-8, True), 0.01, 1e-8), ((0.1, (0.9, 0.999), 1e-8, 0.01, True), 0.01, 1e-8),
     ((0.1, (0.9, 0.999), 0.0, 1e-8, True), 0.0, 1e-8), ((0.1, (0.9, 0.999), 1e-8, 0.0, True), 0.0, 1e-8)],
)  # fmt: skip
def test_adamw_had_its_fields_in_two_orders(fields: Any, lambda_: float, epsilon: float, tmp_path: Path) -> None:
    save(tmp_path / "opt.bson", opt=flux_struct("Optimisers.AdamW", *fields))
    opt = load(tmp_path / "opt.bson", "opt")
    assert (opt.lambda_, opt.epsilon) == (lambda_, epsilon)


def test_the_names_of_all_are_in_the_table() -> None:
    public = {kind for kind in vars(flux).values() if isinstance(kind, type) and issubclass(kind, FluxOptimiser)}
    assert public - {FluxOptimiser} <= set(BY_KIND)
    assert set(optimisers.RULES.values()) <= set(BY_KIND)
