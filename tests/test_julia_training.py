"""Models and optimisers that Flux saved, trained a step in Python and saved again, open in that Flux as they are here.

Skipped where there is no Julia; see tests/julia.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast import load, params, save
from holdfast.flux import reset
from julia_runner import julia_or_skip, opened_all, run_models
from julia_values import said_array
from reference import JULIA, array, described, needs_julia_files

pytestmark = needs_julia_files

VERSIONS = ("0.8.3", "0.12.1", "0.16.9")
MODELS = ("doc_model", "conv_basic", "batchnorm_chain_testmode", "tied_weights", "lstm", "float64")
"""Files to be trained; ``conv_net`` and others need a closure's replacement first, which Julia would not know."""
OPTIMISERS = ("ADAM", "AMSGrad", "Momentum", "RMSProp", "Optimiser_ExpDecay")


def flux_file(version: str, name: str) -> Path:
    return JULIA / f"flux-{version}" / f"{name}.bson"


def first_input(path: Path) -> np.ndarray:
    return array(described(path)["inputs"][0])


def step(model: nn.Module, x: Tensor, opt: Any) -> None:
    """One step towards zero outputs."""
    y = model(x)
    (y[0] if isinstance(y, tuple) else y).square().sum().backward()
    opt.step()


def here(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.T))


def output(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        y = model(here(x))
    return np.asarray((y[0] if isinstance(y, tuple) else y).numpy().T)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_trained_here_goes_on_there(version: str, tmp_path: Path) -> None:
    julia_or_skip(flux=version)
    jobs, wanted, before = [], [], []
    for path in (flux_file(version, name) for name in MODELS):
        model, x = load(path, "model"), first_input(path)
        before.append(output(model, x))
        reset(model)
        step(model, here(x), torch.optim.SGD(model.parameters(), lr=0.02))
        reset(model)
        wanted.append(output(model, x))
        reset(model)
        save(tmp_path / path.name, model=model)
        jobs.append((tmp_path / path.name, "model", x))
    for name, found, ours, old in zip(MODELS, run_models(jobs, tmp_path, flux=version), wanted, before, strict=True):
        np.testing.assert_allclose(found, ours, rtol=1e-5, atol=1e-6, err_msg=name)
        assert not np.allclose(ours, old, rtol=1e-3, atol=1e-4), name


def arrays_of(value: Any) -> list[np.ndarray]:
    """Every array of numbers in a description of Julia's, in order; the same one once."""
    if isinstance(value, list):
        return [found for part in value for found in arrays_of(part)]
    if not isinstance(value, dict):
        return []
    if str(value.get("eltype")).startswith(("Float", "Int")):
        return [said_array(value)]
    return [found for part in value.values() for found in arrays_of(part)]


def numbers_of(value: Any) -> list[float]:
    """Every number in a description that stands by itself."""
    if isinstance(value, list):
        return [found for part in value for found in numbers_of(part)]
    if not isinstance(value, dict) or "eltype" in value:
        return []
    if isinstance(value.get("value"), float | int) and not isinstance(value["value"], bool):
        return [float(value["value"])]
    return [found for part in value.values() for found in numbers_of(part)]


def state_by_key(opt: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The entries of the IdDicts in an optimiser: (parameter, what is kept of it)."""
    if "pairs" in opt:
        return [(key, value) for key, value in opt["pairs"]]
    inner = [*opt.get("fields", {}).values(), *opt.get("data", [])]
    return [pair for part in inner if isinstance(part, dict) for pair in state_by_key(part)]


def kept_parts(kept: Any) -> list[Any]:
    """Tensors and numbers of what an optimiser keeps of a parameter."""
    if isinstance(kept, dict):
        kept = list(kept.values())
    return (
        [part for each in kept for part in kept_parts(each)]
        if isinstance(kept, tuple | list)
        else [kept]
        if kept is not None
        else []
    )


def same(ours: Tensor, theirs: np.ndarray) -> bool:
    mine = ours.detach().numpy()
    return any(x.shape == theirs.shape and np.array_equal(x, theirs) for x in (mine, mine.T))


@pytest.mark.parametrize("version", ["0.8.3", "0.12.1"])
def test_an_optimiser_used_here_goes_on_there(version: str, tmp_path: Path) -> None:
    """Its state there is the one that it has here, by the very parameters of the model that stands beside it."""
    julia_or_skip(flux=version)
    kept, paths = [], []
    for name in OPTIMISERS:
        model, opt = load(flux_file(version, f"opt_{name}"), "model", "opt")
        opt.bind(params(model))
        step(model, here(first_input(flux_file(version, f"opt_{name}"))), opt)
        path = tmp_path / f"{name}.bson"
        save(path, a_model=model, opt=opt)  # Julia names what is shared where it meets it first: in the model
        paths.append(path)
        kept.append([(p.detach(), kept_parts(opt.kept(p))) for p in params(model)])
    for name, found, ours in zip(OPTIMISERS, opened_all(paths, "Flux", flux=version), kept, strict=True):
        check_state(name, found["opt"], found["a_model"], ours)


def check_state(name: str, opt: dict[str, Any], model: dict[str, Any], ours: list[tuple[Tensor, list[Any]]]) -> None:
    entries = state_by_key(opt)
    assert len(entries) >= len(ours), name
    known = {each["id"]: each for each in below(model) if "id" in each}
    for parameter, parts in ours:
        arrays = [part for part in parts if isinstance(part, Tensor)]
        numbers = [float(part) for part in parts if not isinstance(part, Tensor)]
        mine = [
            value for key, value in entries if any(same(parameter, x) for x in arrays_of(known[key["same"]]))
        ]  # a key that was not the model's own array would have no "same"
        assert mine, name
        theirs = arrays_of(mine)
        assert all(any(same(part, x) for x in theirs) for part in arrays), name
        flat = [*numbers_of(mine), *(float(x) for each in theirs if each.dtype == np.float64 for x in each.flat)]
        assert set(numbers) <= set(flat), name


def below(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [each for part in value for each in below(part)]
    return [value, *(each for part in value.values() for each in below(part))] if isinstance(value, dict) else []
