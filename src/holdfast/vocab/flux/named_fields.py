"""A layer's fields by name, as JLD2 has them, in the positions that a layout's rows give them.

Strategy: JLD2 names the fields and, until 0.4.54, leaves out those without data: a function is in the type alone. So the
names are held against each row: they must be that row's in its order, and each field that is not there must be one whose
type is a parameter of the struct's, from which its one value follows.

Source: Flux.jl, src/layers/, 0.5 to 0.16.
"""

from collections.abc import Sequence
from typing import Any, Final

from holdfast.errors import FormatError
from holdfast.julia.types import type_name
from holdfast.julia.values import DataType, Struct
from holdfast.vocab.flux.layouts import Layout, Row

JULIA: Final[dict[str, tuple[str, ...]]] = {
    "activation": ("σ", "λ"),
    "weight": ("W",),
    "bias": ("b", "β"),
    "scale": ("α",),
    "gamma": ("γ",),
    "beta": ("β",),
    "mean": ("μ",),
    "var": ("σ²", "σ"),
    "eps": ("ϵ", "ε"),
    "channels": ("chs",),
    "groups": ("G",),
    "h0": ("h",),
    "c0": ("c",),
    "state0": ("h",),
    "Wh_h": ("Wh_h̃",),
    "layers": ("over",),
}
"""A field in the tables -> what Flux calls it, or has called it, where that is another name."""

LIKE: Final = {"gamma": "beta", "var": "mean", "Wh": "Wi"}
"""A field -> another of the same type, where one parameter of the struct's stands for both."""

ABSENT: Final = object()


def by_position(layout: Layout, names: Sequence[str], data: list[Any], params: list[Any]) -> list[Any]:
    """The fields in the order of one of the layout's rows, with those that only the type says.

    Raises FormatError when the names are those of no row.
    """
    found = [placed for row in layout.rows if (placed := _placed(row, names, data, params)) is not None]
    if not found:
        known = "; ".join(dict.fromkeys(" ".join(row.fields) for row in layout.rows))
        raise FormatError(f"{layout.name} with the fields {', '.join(names)} is none of Flux's layouts: {known}")
    return min(found, key=len)


def _placed(row: Row, names: Sequence[str], data: list[Any], params: list[Any]) -> list[Any] | None:
    """The fields of ``row``; None when ``names`` are not those of this row."""
    if len(row.types) != len(params):
        return None
    placed: list[Any] = []
    at = 0
    for name in row.fields:
        if at < len(names) and (names[at] == name or names[at] in JULIA.get(name, ())):
            placed.append(data[at])
            at += 1
        elif (value := _only(row, name, params)) is not ABSENT:
            placed.append(value)
        else:
            return None
    return placed if at == len(names) else None


def _only(row: Row, name: str, params: list[Any]) -> Any:
    """The one value that a field of the row can have; ABSENT where its type leaves a choice."""
    known = next((each for each in (name, LIKE.get(name)) if each in row.types), None)
    return ABSENT if known is None else single(params[row.types.index(known)])


def single(type_: Any) -> Any:
    """The one value of a type without data: a function, ``nothing``, an empty tuple; ABSENT where there are more.

    >>> single(DataType(["NNlib", "#relu"])), single(DataType(["Core", "Nothing"])) is None
    (NNlib.relu, True)
    """
    if not isinstance(type_, DataType):
        return ABSENT
    name = type_name(type_)
    if name == "Nothing":
        return None
    if name == "Tuple":
        parts = [single(param) for param in type_.params]
        return ABSENT if any(part is ABSENT for part in parts) else tuple(parts)
    if name in WITH_DATA or name.endswith("Array"):
        return ABSENT
    return Struct(type_)


WITH_DATA: Final = frozenset(
    {"Bool", "Float16", "Float32", "Float64", "Int32", "Int64", "Any", "NamedTuple", "Vector", "Matrix"}
)
"""Types of more than one value, of which a field in the file would have data."""
