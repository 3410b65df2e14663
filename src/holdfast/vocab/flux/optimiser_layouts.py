"""The structs of ``Flux.Optimise`` and of Optimisers.jl, as tables.

Strategy: as for layers, a row says what the fields of a struct are by their number. ``table`` is the field that holds the
state, an IdDict by parameter; the rules of Optimisers.jl have none, their state is a tree beside the model's. Sources:
Flux.jl, src/optimise/optimisers.jl, 0.8 to 0.16; Optimisers.jl, src/rules.jl, 0.1 to 0.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast import flux
from holdfast.flux import decay, rules
from holdfast.flux import optimisers as today
from holdfast.flux.optimise import FluxOptimiser
from holdfast.vocab.flux.eras import Choice, span

Sets = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One optimiser.

    kind     the Python class
    names    the names that its struct had, newest last
    fields   number of fields -> their names; ``table`` is the state
    typed    whether the fields' types are the type's parameters
    choices  attributes by which versions computed differently
    """

    kind: type[FluxOptimiser]
    names: tuple[str, ...]
    fields: Mapping[int, tuple[str, ...]]
    typed: bool = False
    choices: tuple[Choice[Sets], ...] = field(default=())

    @property
    def today(self) -> tuple[str, ...]:
        return list(self.fields.values())[-1]


def _rows(kind: type[FluxOptimiser], names: str, *fields: str, typed: bool = False, choices: Any = ()) -> Rows:
    rows = {len(row.split()): tuple(row.split()) for row in fields}
    return Rows(kind, tuple(names.split()), rows, typed, tuple(choices))


def _moments(kind: type[FluxOptimiser], names: str, choices: Any = ()) -> Rows:
    return _rows(kind, names, "eta beta table", "eta beta epsilon table", choices=choices)


CLASSIC: Final = (
    _rows(rules.Descent, "Descent", "eta"),
    _rows(rules.Momentum, "Momentum", "eta rho table"),
    _rows(rules.Nesterov, "Nesterov", "eta rho table"),
    _rows(rules.RMSProp, "RMSProp", "eta rho table", "eta rho epsilon table"),
    _moments(rules.ADAM, "ADAM Adam"),
    _moments(rules.RADAM, "RADAM RAdam"),
    _moments(rules.AdaMax, "AdaMax"),
    _moments(rules.OADAM, "OADAM OAdam"),
    _moments(rules.AMSGrad, "AMSGrad"),
    _moments(
        rules.NADAM,
        "NADAM NAdam",
        (Choice(span("0.7.0", "0.8.3"), {"formula": "0.8"}), Choice(span("0.9.0"), {"formula": ""})),
    ),
    _moments(
        rules.AdaBelief,
        "AdaBelief",
        (Choice(span("0.11.2", "0.12.10"), {"corrected": False}), Choice(span("0.13.0"), {"corrected": True})),
    ),
    _rows(rules.ADAGrad, "ADAGrad AdaGrad", "eta table", "eta epsilon table"),
    _rows(
        rules.ADADelta,
        "ADADelta AdaDelta",
        "rho table",
        "rho epsilon table",
        choices=(Choice(span("0.7.0", "0.11.0"), {"formula": "0.8"}), Choice(span("0.11.1"), {"formula": ""})),
    ),
    _rows(decay.InvDecay, "InvDecay", "gamma table"),
    _rows(
        decay.ExpDecay,
        "ExpDecay",
        "eta decay every clip table",
        "eta decay every clip begin table",
        choices=(
            Choice(span("0.9.0", "0.10.4"), {"formula": "0.9"}),
            Choice(span("0.7.0", "0.8.3"), {"formula": "0.8"}),  # likelier than the one before, where both may be
            Choice(span("0.11.0"), {"formula": ""}),
        ),
    ),
    _rows(decay.WeightDecay, "WeightDecay", "wd"),
    _rows(decay.ClipValue, "ClipValue", "thresh", typed=True),
    _rows(decay.ClipNorm, "ClipNorm", "thresh", typed=True),
    _rows(flux.Optimiser, "Optimiser", "os"),
)
"""Flux.Optimise."""


def _today(kind: type[FluxOptimiser], names: str, *fields: str) -> Rows:
    return _rows(kind, names, *fields, typed=True)


TODAY: Final = (
    _today(today.Descent, "Descent", "eta"),
    _today(today.Momentum, "Momentum", "eta rho"),
    _today(today.Nesterov, "Nesterov", "eta rho"),
    _today(today.RMSProp, "RMSProp", "eta rho epsilon", "eta rho epsilon centred"),
    _today(today.Rprop, "Rprop", "eta ell gamma"),
    _today(today.Adam, "ADAM Adam", "eta beta epsilon"),
    _today(today.Lion, "Lion", "eta beta"),
    _today(today.RAdam, "RADAM RAdam", "eta beta epsilon"),
    _today(today.AdaMax, "AdaMax", "eta beta epsilon"),
    _today(today.OAdam, "OADAM OAdam", "eta beta epsilon"),
    _today(today.AdaGrad, "ADAGrad AdaGrad", "eta epsilon"),
    _today(today.AdaDelta, "ADADelta AdaDelta", "rho epsilon"),
    _today(today.AMSGrad, "AMSGrad", "eta beta epsilon"),
    _today(today.NAdam, "NADAM NAdam", "eta beta epsilon"),
    _today(today.AdamW, "AdamW", "eta beta lambda_ epsilon couple"),
    _today(today.AdaBelief, "AdaBelief", "eta beta epsilon"),
    _today(today.WeightDecay, "WeightDecay", "lambda_"),
    _today(today.SignDecay, "SignDecay", "lambda_"),
    _today(today.ClipGrad, "ClipGrad", "delta_"),
    _today(today.ClipNorm, "ClipNorm", "omega p throw"),
    _today(today.OptimiserChain, "OptimiserChain", "os"),
)
"""Optimisers.jl."""

UNTYPED: Final = frozenset({"couple", "throw", "centred"})
"""Fields of Optimisers.jl that are Bool whatever the type's parameters."""

WHOLE: Final = frozenset({today.Descent, today.Rprop, today.OptimiserChain})
"""Rules that were types of one parameter in Optimisers.jl 0.3, too; all others had Float64 fields and no parameters."""
LATE: Final = frozenset({today.AdamW})
"""Rules that are structs since Optimisers.jl 0.4, which came with Flux 0.15. AdamW was an OptimiserChain before."""

PACKAGES: Final = {"Flux.Optimise": CLASSIC, "Optimisers": TODAY}
BY_KIND: Final[dict[type[FluxOptimiser], tuple[str, Rows]]] = {
    rows.kind: (package, rows) for package, table in PACKAGES.items() for rows in table
}
BY_NAME: Final[dict[str, Rows]] = {
    f"{package}.{name}": rows for package, table in PACKAGES.items() for rows in table for name in rows.names
}
