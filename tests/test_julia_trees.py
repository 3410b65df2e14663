"""State trees of ``Flux.setup``: what Optimisers.jl began goes on in Python, and the other way round.

Each Flux here trains in one start, by tests/julia/update_tree.jl: a weight x has the gradient cos(5x + step), in Julia and
in Python, so that both sides can go on from the same file and must meet. Skipped where there is no Julia.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast import UnsupportedError, load, params, restore, save, tree_from
from holdfast.flux import BatchNorm, Chain, Conv, Dense, LayerNorm, flatten, optimisers, relu
from holdfast.vocab.flux.today import for_flux
from julia_runner import julia_or_skip, run_julia

VERSIONS = ("0.14.25", "0.16.9")

RULES: dict[str, Any] = {
    "Descent(0.1)": optimisers.Descent(0.1),
    "Momentum(0.05, 0.8)": optimisers.Momentum(0.05, 0.8),
    "Nesterov(0.05)": optimisers.Nesterov(0.05),
    "RMSProp(0.01)": optimisers.RMSProp(0.01),
    "RMSProp(0.01, centred = true)": optimisers.RMSProp(0.01, centred=True),
    "Rprop(0.01)": optimisers.Rprop(0.01),
    "Adam(0.01)": optimisers.Adam(0.01),
    "Lion(0.01)": optimisers.Lion(0.01),
    "RAdam(0.01)": optimisers.RAdam(0.01),
    "AdaMax(0.01)": optimisers.AdaMax(0.01),
    "OAdam(0.01)": optimisers.OAdam(0.01),
    "AdaGrad(0.1)": optimisers.AdaGrad(0.1),
    "AdaDelta(0.9)": optimisers.AdaDelta(0.9),
    "AMSGrad(0.01)": optimisers.AMSGrad(0.01),
    "NAdam(0.01)": optimisers.NAdam(0.01),
    "AdamW(0.01, (0.9, 0.999), 0.1)": optimisers.AdamW(0.01, lambda_=0.1),
    "AdaBelief(0.01)": optimisers.AdaBelief(0.01),
    "OptimiserChain(WeightDecay(0.1), ClipGrad(0.5), Adam(0.01))": optimisers.OptimiserChain(
        optimisers.WeightDecay(0.1), optimisers.ClipGrad(0.5), optimisers.Adam(0.01)
    ),
    "OptimiserChain(SignDecay(0.1), ClipNorm(0.5), Momentum(0.1))": optimisers.OptimiserChain(
        optimisers.SignDecay(0.1), optimisers.ClipNorm(0.5), optimisers.Momentum(0.1)
    ),
}
"""A rule in Julia -> the same in Python."""

LACKING = {("0.14.25", "AdamW(0.01, (0.9, 0.999), 0.1)")}
"""Rules that a Flux does not have: there, AdamW makes an OptimiserChain."""


def fresh() -> Chain:
    torch.manual_seed(3)
    return Chain(Conv((2, 3), (1, 2), relu), BatchNorm(2), flatten, Dense(2, 3), LayerNorm(3))


def train(model: nn.Module, opt: Any, first: int, last: int) -> None:
    for step in range(first, last + 1):
        for weight in params(model):
            weight.grad = torch.cos(5 * weight.detach() + step)
        opt.step()


def weights(model: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in params(model)]


def close(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=2e-6) for a, b in pairs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of one Flux, if it is here: what Julia began and went on with, and what it made of a file from Python."""

    @functools.cache
    def folder(version: str) -> Path:
        place = tmp_path_factory.mktemp(version)
        begun: list[str | Path] = []
        further: list[str | Path] = []
        for number, (text, rule) in enumerate(RULES.items()):
            begun += [text, place / f"{number}-julia.bson", "1", "2"]
            further += [place / f"{number}-julia.bson", place / f"{number}-julia-on.bson", "3", "5"]
            model, opt = fresh(), type(rule)(*rule.fields())
            if (version, text) in LACKING:
                continue
            opt.bind(params(model))
            train(model, opt, 1, 2)
            save(place / f"{number}-python.bson", model=for_flux(model, version), opt=tree_from(opt, model, version))
            further += [place / f"{number}-python.bson", place / f"{number}-python-on.bson", "3", "5"]
        done = run_julia("update_tree.jl", *begun, *further, flux=version)
        (place / "errors").write_text(done.stderr if done.returncode else "")
        return place

    def without_errors(version: str) -> Path:
        julia_or_skip(flux=version)
        place = folder(version)  # one start of Julia, even when it failed
        assert "ERROR" not in (place / "errors").read_text(), (place / "errors").read_text()[-9000:]
        return place

    return without_errors


CASES = pytest.mark.parametrize("number", range(len(RULES)), ids=list(RULES))


@CASES
@pytest.mark.parametrize("version", VERSIONS)
def test_julia_s_training_goes_on_here(version: str, number: int, trained: Callable[[str], Path]) -> None:
    folder = trained(version)
    model, opt = load(folder / f"{number}-julia.bson", "model", "opt")
    lacking = (version, list(RULES)[number]) in LACKING
    assert type(opt) is (optimisers.OptimiserChain if lacking else type(list(RULES.values())[number]))
    train(model, opt, 3, 5)
    assert close(weights(model), weights(load(folder / f"{number}-julia-on.bson", "model")))


@CASES
@pytest.mark.parametrize("version", VERSIONS)
def test_restored_into_a_live_run(version: str, number: int, trained: Callable[[str], Path]) -> None:
    folder = trained(version)
    text, rule = list(RULES.items())[number]
    if (version, text) in LACKING:
        rule = optimisers.OptimiserChain(optimisers.Adam(), optimisers.WeightDecay())
    model = for_flux(fresh(), version)
    opt = type(rule)(*rule.fields())
    opt.bind(params(model))
    train(model, opt, 1, 1)
    restore(folder / f"{number}-julia.bson", model=model, opt=opt)
    train(model, opt, 3, 5)
    assert close(weights(model), weights(load(folder / f"{number}-julia-on.bson", "model")))


@CASES
@pytest.mark.parametrize("version", VERSIONS)
def test_our_training_goes_on_there(version: str, number: int, trained: Callable[[str], Path]) -> None:
    folder = trained(version)
    if (version, list(RULES)[number]) in LACKING:
        opt = list(RULES.values())[number]
        with pytest.raises(UnsupportedError, match="no rule of its own before Flux"):
            tree_from(type(opt)(*opt.fields()), fresh(), version)
        return
    model, opt = load(folder / f"{number}-python.bson", "model", "opt")
    before = weights(model)
    train(model, opt, 3, 5)
    assert not close(weights(model), before)
    assert close(weights(model), weights(load(folder / f"{number}-python-on.bson", "model")))
