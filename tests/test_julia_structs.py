"""Flux's structs as a real Flux defines them are those of our tables: the fields, their order, the type's parameters.

Skipped where there is no Julia; tests/julia/README.md says how even Flux 0.16 is read by an old one.
"""

import functools
import json
from typing import Any

import pytest

from holdfast.vocab.flux.eras import version
from holdfast.vocab.flux.layouts import LAYOUTS, Layout, Row
from holdfast.vocab.flux.named_fields import JULIA
from holdfast.vocab.flux.optimiser_layouts import PACKAGES, UNTYPED, WHOLE, Rows
from holdfast.vocab.flux.trees import TYPED, julia_field
from julia_runner import julia_or_skip, run_julia

VERSIONS = ("0.8.3", "0.12.1", "0.14.25", "0.16.9", "0.16.11")

SPELLED = {"lambda_": ("lambda",), "delta_": ("delta",), "every": ("step",), "begin": ("start",), "os": ("opts",)}
"""Hyperparameters whose field has another name in Julia, beside those of layers."""

NO_RULES = {
    *(f"Flux.Optimise.{name}" for name in ("StopException", "SkipException", "OldOptimiser")),
    *(f"Optimisers.{name}" for name in ("Leaf", "Lazy", "Restructure", "KeyPath")),
    *(f"Optimisers.{name}" for name in ("TrainableStructWalk", "TrainableStructWalkWithPath")),
    *(f"Optimisers.{name}" for name in ("_Tangent_biwalk", "_Trainable_biwalk")),
}
"""Structs of those packages that are no optimisers."""

STRANGERS = {"Flux.Optimise.SignDecay", "Optimisers.AccumGrad", "Optimisers.MixedPrecision"}
"""Optimisers that Python does not have: in a file they are inert, and say so."""


@functools.cache
def structs(flux: str) -> dict[str, dict[str, Any]]:
    """Name → its fields and the number of its parameters, as that Flux says."""
    done = run_julia("structs.jl", flux=flux)
    assert done.returncode == 0, done.stderr[:2000]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in lines}


def rows_of(layout: Layout, flux: str) -> list[Row]:
    return [row for row in layout.rows if row.span.since <= version(flux) <= row.span.until]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("flux", VERSIONS)
def test_a_layer(flux: str, layout: Layout) -> None:
    julia_or_skip(flux=flux)
    rows, struct = rows_of(layout, flux), structs(flux).get(layout.name)
    assert (struct is None) == (not rows)
    if struct is None:
        return
    forms = {(len(row.fields), len(row.types)) for row in rows}
    assert (len(struct["fields"]), struct["parameters"]) in forms
    row = next(row for row in rows if len(row.fields) == len(struct["fields"]))
    for ours, theirs in zip(row.fields, struct["fields"], strict=True):
        assert ours == theirs or theirs in JULIA.get(ours, ()), struct["fields"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("flux", ["0.14.25", "0.16.11"])
def test_the_names_in_a_state_tree(flux: str, layout: Layout) -> None:
    """``Flux.setup`` names the fields as the struct does, and Optimisers.jl walks both together."""
    julia_or_skip(flux=flux)
    struct = structs(flux).get(layout.name)
    if struct is not None:
        row = next(row for row in rows_of(layout, flux) if len(row.fields) == len(struct["fields"]))
        assert [julia_field(layout.path[-1], name, version(flux)) for name in row.fields] == struct["fields"]


OPTIMISERS = [(package, rows) for package, table in PACKAGES.items() for rows in table]


@pytest.mark.parametrize(
    ("package", "rows"), OPTIMISERS, ids=[f"{package}.{rows.names[-1]}" for package, rows in OPTIMISERS]
)
@pytest.mark.parametrize("flux", VERSIONS)
def test_an_optimiser(flux: str, package: str, rows: Rows) -> None:
    julia_or_skip(flux=flux)
    for name in rows.names:
        struct = structs(flux).get(f"{package}.{name}")
        if struct is None:
            continue
        ours = rows.fields[len(struct["fields"])]
        for mine, theirs in zip(ours, struct["fields"], strict=True):
            assert mine == theirs or mine == "table" or theirs in SPELLED.get(mine, ()), struct["fields"]
        typed = [field for field in ours if field not in UNTYPED] if rows.typed else []
        if package == "Optimisers" and version(flux) < TYPED:
            typed = typed[: rows.kind in WHOLE]
        assert struct["parameters"] == len(typed)


def test_every_struct_is_in_some_flux() -> None:
    for flux in VERSIONS:
        julia_or_skip(flux=flux)
    known = {name for flux in VERSIONS for name in structs(flux)}
    assert {layout.name for layout in LAYOUTS} <= known
    assert all(any(f"{package}.{name}" in known for name in rows.names) for package, rows in OPTIMISERS)


def test_no_optimiser_of_theirs_is_unknown() -> None:
    for flux in VERSIONS:
        julia_or_skip(flux=flux)
        rules = {name for name in structs(flux) if name.startswith(tuple(f"{package}." for package in PACKAGES))}
        ours = {f"{package}.{name}" for package, rows in OPTIMISERS for name in rows.names}
        assert rules - ours - NO_RULES <= STRANGERS
