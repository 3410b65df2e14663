"""Flux's structs as the layers of ``holdfast.flux``, by the rows of ``layouts.py``.

Strategy: a layer remembers what it came from (type, layout, fields as the file had them). Saved again, a field that
still has the value that was made of it goes back as it was, so an old file keeps its layout; a fresh layer is written as
today's Flux has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor

from holdfast.codec.rule import Fields, Items, Options, Rule
from holdfast.errors import FormatError, HoldfastError
from holdfast.julia.values import DataType
from holdfast.vocab.flux.fields import KINDS
from holdfast.vocab.flux.layouts import LAYOUTS, Layout
from holdfast.vocab.flux.types import layer_type

ORIGIN: Final = "_julia"


@dataclass(slots=True)
class Origin:
    """What a layer was in its file: the type, the names of its fields, and (field as it was, attribute made of it)."""

    type: DataType
    names: tuple[str, ...]
    fields: dict[str, tuple[Any, Any]]

    def __deepcopy__(self, memo: Any) -> "Origin":
        return self


def lift_layer(layout: Layout) -> Callable[[Fields, Options], Any]:
    def lift(level: Fields, options: Options) -> Any:
        data = level["data"]
        names = layout.fields.get(len(data)) if isinstance(data, list) else None
        if names is None:
            known = ", ".join(map(str, layout.fields))
            raise FormatError(f"a {'.'.join(layout.name)} has {len(data)} fields; layouts with {known} are known")
        try:
            made = {n: KINDS[layout.kinds[n]].lift(value, options) for n, value in zip(names, data, strict=True)}
            given = {name: value for name, value in made.items() if name in layout.kinds}
            layer = (layout.build or layout.layer.of)(**{**layout.defaults, **given})
        except FormatError as error:
            raise FormatError(f"{'.'.join(layout.name)}: {error.message}") from None
        except HoldfastError as error:
            raise FormatError(f"{'.'.join(layout.name)}: {error}") from None
        kept = {n: (value, made[n]) for n, value in zip(names, data, strict=True) if not isinstance(made[n], Tensor)}
        layer.__dict__[ORIGIN] = Origin(level["type"], names, kept)
        layer.eval()
        return layer

    return lift


def lower_layer(layout: Layout) -> Callable[[Any], Fields]:
    def lower(layer: Any) -> Fields:
        origin: Origin | None = layer.__dict__.get(ORIGIN)
        names = origin.names if origin else layout.today
        data = Items(_field(layout, layer, name, origin) for name in names)
        data.label = lambda index: f".{names[index]}"
        return Fields(tag="struct", type=_type(layout, layer, origin), data=data)

    return lower


def _field(layout: Layout, layer: Any, name: str, origin: Origin | None) -> Any:
    value = getattr(layer, name)
    if origin and name in origin.fields and layout.kinds[name] != "members":
        was, made = origin.fields[name]
        if value is made or (isinstance(made, int | float | tuple) and value == made):
            return was
    return KINDS[layout.kinds[name]].lower(value)


def _type(layout: Layout, layer: Any, origin: Origin | None) -> Any:
    """The file's own type as long as it still says what the layer holds."""
    return origin.type if origin else layer_type(layer)


RULES: Final = [
    Rule(
        "struct",
        ".".join(layout.name),
        (layout.layer,),
        lower=lower_layer(layout),
        lift_with=lift_layer(layout),
    )
    for layout in LAYOUTS
]
