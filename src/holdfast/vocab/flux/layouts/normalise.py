"""Normalisation and dropout. Source: Flux.jl, src/layers/normalise.jl, 0.5 to 0.16.

The rows tell apart what computed differently on the same fields: BatchNorm held deviations, not variances, until 0.6,
and LayerNorm's ``eps`` stood in four places (see ``holdfast.flux.layernorm``).
"""

from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from holdfast import flux
from holdfast.flux.basic import Diagonal
from holdfast.vocab.flux.layouts.rows import Layout, row

SEVEN: Final = "activation beta gamma mean var eps momentum"
EIGHT: Final = f"{SEVEN} active"
ALL: Final = f"{SEVEN} affine track_stats active channels"
OLD: Final = "activation beta mean eps"
NEW: Final = "activation beta eps mean"
STATISTICS: Final = {
    "activation": "function",
    "beta": "image",
    "gamma": "image",
    "mean": "buffer",
    "var": "buffer",
    "eps": "real",
    "momentum": "real",
    "affine": "plain",
    "track_stats": "plain",
    "active": "plain",
    "channels": "number",
}


def _deviations(fields: Mapping[str, Any]) -> bool:
    """Until Flux 0.6 the default of ``eps`` was 1e-8, and 1e-5 ever since."""
    return 0 < float(fields["eps"]) < 1e-7


def _of_diagonal(fields: Mapping[str, Any]) -> bool:
    """Flux 0.12: a Diagonal, or nothing."""
    return fields["diag"] is None or isinstance(fields["diag"], Diagonal)


def _of_scale(fields: Mapping[str, Any]) -> bool:
    """Since Flux 0.13: a Scale, or the activation by itself."""
    return not _of_diagonal(fields)


def _untracked(fields: Mapping[str, Any]) -> bool:
    return fields["mean"] is None and fields["var"] is None


def build_layernorm(diag: Any, **fields: Any) -> flux.LayerNorm:
    """Until 0.11 a LayerNorm was nothing but its diagonal. Where it has no array, ``diag`` may be the activation."""
    if "size" not in fields:
        fields = {"activation": flux.identity, "eps": 1e-5, "size": tuple(diag.scale.shape[::-1])}
    return flux.LayerNorm.of(diag=diag if isinstance(diag, nn.Module) else None, **fields)


def diagonal_of(layer: flux.LayerNorm) -> Any:
    """What stands in the field ``diag``."""
    return layer.activation if layer.diag is None else layer.diag


NORMALISATION: Final = (
    Layout(
        "Flux.BatchNorm",
        flux.BatchNorm,
        (
            row(SEVEN, OLD, "0.10.0", "0.10.1"),
            row(EIGHT, OLD, "0.5.2", "0.6.10", likely=_deviations, deviations=True),
            row(EIGHT, OLD, "0.7.0", "0.11.6", deviations=False),
            row(ALL, NEW, "0.12.0"),
        ),
        STATISTICS,
        python=("deviations",),
    ),
    Layout(
        "Flux.InstanceNorm",
        flux.InstanceNorm,
        (
            row(SEVEN, OLD, "0.10.0", "0.10.1"),
            row(EIGHT, OLD, "0.8.0", "0.11.6"),
            row(ALL, NEW, "0.12.0"),
        ),
        STATISTICS,
    ),
    Layout(
        "Flux.GroupNorm",
        flux.GroupNorm,
        (
            row(f"groups {SEVEN}", f"{OLD} groups", "0.10.0", "0.10.1"),
            row(f"groups {EIGHT}", f"{OLD} groups", "0.8.2", "0.11.6"),
            row(f"groups {ALL}", NEW, "0.12.0", "0.13.17"),
            row(f"groups {ALL}", "activation beta eps", "0.14.0", fits=_untracked),
        ),
        {"groups": "count", **STATISTICS},
    ),
    Layout(
        "Flux.LayerNorm",
        flux.LayerNorm,
        (
            row("diag", "scale", until="0.10.4", eps_rule="none"),
            row("diag", "scale", "0.11.0", "0.11.6", eps_rule="deviation"),
            row(
                "activation diag eps size affine",
                "activation diag eps N",
                "0.12.0",
                "0.12.10",
                fits=_of_diagonal,
                eps_rule="deviation",
            ),
            row(
                "activation diag eps size affine",
                "activation diag eps N",
                "0.13.0",
                "0.14.25",
                fits=_of_scale,
                eps_rule="deviation",
            ),
            row(
                "activation diag eps size affine",
                "activation diag eps N",
                "0.15.0",
                "0.16.10",
                fits=_of_scale,
                likely=lambda fields: True,
                eps_rule="squared",
            ),
            row(
                "activation diag eps size affine",
                "activation diag eps N",
                "0.16.11",
                fits=_of_scale,
                eps_rule="variance",
            ),
        ),
        {"activation": "function", "diag": "diagonal", "eps": "real", "size": "sizes", "affine": "plain"},
        build_layernorm,
        read={"diag": diagonal_of},
        parts={"N": lambda layer: len(layer.size), "scale": lambda layer: layer.diag},
        python=("eps_rule",),
    ),
)

MODES: Final = {"p": "plain", "dims": "dims", "active": "plain", "rng": "rng"}

DROPOUT: Final = (
    Layout(
        "Flux.Dropout",
        flux.Dropout,
        (
            row("p active", "p", until="0.8.3"),
            row("p dims active", "p", "0.9.0", "0.9.0"),
            row("p dims", "p dims", "0.10.0", "0.10.1"),
            row("p dims active", "p dims", "0.10.2", "0.12.10"),
            row("p dims active rng", "p dims rng", "0.13.0"),
        ),
        MODES,
        python=("rng",),
    ),
    Layout(
        "Flux.AlphaDropout",
        flux.AlphaDropout,
        (
            row("p active", "p", "0.8.0", "0.12.10"),
            row("p", "p", "0.10.0", "0.10.1"),
            row("p active rng", "p rng", "0.13.0"),
        ),
        {name: kind for name, kind in MODES.items() if name != "dims"},
        python=("rng",),
    ),
)
