"""Every layout that Flux's structs had, as data.

Strategy: BSON.jl writes a struct's fields by position, without names. A row says which Python layer a Julia type is, and for
each number of fields the names that they have; the newest stands last and is what fresh layers are written as. ``KINDS``
says what a name means in both directions (see ``fields.py``). Sources: Flux.jl 0.5 to 0.16; the files seen in the wild.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast import flux


@dataclass(frozen=True, slots=True)
class Layout:
    """One Julia struct.

    name     the type's path in Julia
    layer    the Python class
    fields   number of fields -> their names, oldest first
    types    the type's parameters: names of fields whose types they are, or functions of the layer
    kinds    name of a field -> what it is, a key of ``fields.KINDS``
    """

    name: tuple[str, ...]
    layer: type[Any]
    fields: dict[int, tuple[str, ...]]
    types: tuple[str | Callable[[Any], Any], ...]
    kinds: dict[str, str]
    build: Callable[..., Any] | None = None
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def today(self) -> tuple[str, ...]:
        return list(self.fields.values())[-1]


MATRIX: Final = {"weight": "matrix", "bias": "bias", "activation": "function"}

LAYOUTS: Final[tuple[Layout, ...]] = (
    Layout(("Flux", "Chain"), flux.Chain, {1: ("layers",)}, ("layers",), {"layers": "members"}),
    Layout(
        ("Flux", "Dense"),
        flux.Dense,
        {3: ("weight", "bias", "activation")},
        ("activation", "weight", "bias"),
        MATRIX,
    ),
)

BY_NAME: Final = {".".join(layout.name): layout for layout in LAYOUTS}
BY_LAYER: Final = {layout.layer: layout for layout in LAYOUTS}
