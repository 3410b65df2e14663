"""Layers of ``holdfast.flux`` as Flux's structs, by the rows of ``layouts``.

Strategy: a layer remembers what it came from (``Origin``). Saved again it has the same form, and its type is the file's
as long as that says what the layer holds. A fresh layer is written as today's Flux has it. What Julia has no field for
stands beside the struct, where Julia does not look.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from torch import nn

from holdfast.codec.rule import Fields, Items
from holdfast.errors import UnsupportedError
from holdfast.flux.functions import Compose
from holdfast.julia.values import DataType, NamedTuple
from holdfast.vocab.flux.code import JuliaCode, JuliaLayer
from holdfast.vocab.flux.eras import version
from holdfast.vocab.flux.fields import KINDS, Kept
from holdfast.vocab.flux.functions import lower_callable
from holdfast.vocab.flux.layouts import BY_LAYER, Layout, Row
from holdfast.vocab.flux.layouts.recurrent import is_stateless, zero_state
from holdfast.vocab.flux.types import ANY, julia_type, same_type, type_of
from holdfast.vocab.torch.documents import section
from holdfast.vocab.torch.modules import OWN
from holdfast.vocab.torch.refusals import refuse_hooks

ORIGIN: Final = "_julia"
"""Attribute of a layer that came from a file."""

STATEFUL: Final = version("0.14.25")
"""The last Flux whose cells held their first state."""


@dataclass(slots=True)
class Origin:
    """What a layer was in its file: the type, the form, and for each field what stood there and what was made of it.

    ``codes`` are the places of Julia code below the layer. Without a type it is the form that was asked for.
    """

    type: DataType | None
    row: Row
    fields: dict[str, Kept]
    codes: list[tuple[str, JuliaCode]] = field(default_factory=list)

    def __deepcopy__(self, memo: Any) -> "Origin":
        return self


def origin_of(layer: Any) -> Origin | None:
    """What ``layer`` was in its file; None for a fresh one."""
    found: Origin | None = vars(layer).get(ORIGIN)
    return found


# -- fields and types -------------------------------------------------------------------------------------------------


def lowered_fields(layout: Layout, form: Row, layer: Any) -> dict[str, Any]:
    """What stands in the fields of a row."""
    origin = origin_of(layer)
    kept = origin.fields if origin is not None else {}
    values = {name: layout.value(layer, name) for name in form.fields}
    return {name: KINDS[layout.kind(name, values)].lower(value, kept.get(name)) for name, value in values.items()}


def form_of(layout: Layout, layer: Any) -> Row:
    """The row that ``layer`` is written as."""
    origin = origin_of(layer)
    return layout.newest(layer) if origin is None else origin.row


def struct_type(layout: Layout, form: Row, layer: Any, fields: dict[str, Any]) -> Any:
    """The type of the struct with these fields: the file's own as long as it still says what the layer holds."""
    params = tuple(parameter(layout, token, layer, fields) for token in form.types)
    type_, origin = julia_type(layout.path, params), origin_of(layer)
    return origin.type if origin is not None and same_type(type_, origin.type) else type_


def parameter(layout: Layout, token: str, layer: Any, fields: dict[str, Any]) -> Any:
    """One parameter of a type."""
    if token not in layout.parts:
        return type_of(fields[token], layer_type)
    part = layout.parts[token](layer)
    return next(iter(layer_type(part).params)) if isinstance(part, nn.Module) else part


def layer_type(layer: nn.Module) -> Any:
    """The Julia type of a layer; ``Any`` for a module that Flux does not have."""
    if isinstance(layer, JuliaLayer):
        return layer.struct.type
    if isinstance(layer, Compose):
        return lower_callable(layer).type
    layout = BY_LAYER.get(type(layer))
    if layout is None:
        return ANY
    form = form_of(layout, layer)
    return struct_type(layout, form, layer, lowered_fields(layout, form, layer))


# -- documents --------------------------------------------------------------------------------------------------------


def lower_layer(layer: Any) -> Fields:
    """The document of a layer. Raises UnsupportedError for what could not be given back."""
    layout = BY_LAYER[type(layer)]
    refuse_hooks(layer)
    return document(layout, form_of(layout, layer), layer)


def document(layout: Layout, form: Row, layer: Any, **instead: Any) -> Fields:
    """The document of ``layer`` in that form; ``instead`` are values for some of its fields."""
    fields = lowered_fields(layout, form, layer) | instead
    for value in fields.values():
        if isinstance(value, NamedTuple):
            value.type = type_of(value, layer_type)
    data = Items(fields[name] for name in form.fields)
    data.label = lambda index: f".{form.fields[index]}"
    result = Fields(tag="struct", type=struct_type(layout, form, layer, fields), data=data)
    result.update(python_side(layout, layer))
    return result


def python_side(layout: Layout, layer: Any) -> dict[str, Any]:
    """What Julia has no field for: the mode, how a version computed, attributes of the user's."""
    held = {name: getattr(layer, name) for name in layout.python}
    sides: dict[str, Any] = {name: value for name, value in held.items() if value is not None and value is not False}
    if layer.training:
        sides["training"] = True
    if is_stateless(layer):
        sides["stateless"] = True
    attributes = attributes_of(layout, layer)
    return sides | {"attributes": section(attributes)} if attributes else sides


def attributes_of(layout: Layout, layer: Any) -> dict[str, Any]:
    """What the user has set on a layer. Raises UnsupportedError for further parameters, buffers or modules."""
    own = {*OWN, *layout.kinds, *layout.inner, *layout.python, ORIGIN}
    parts = {*layer._parameters, *layer._buffers} | (set() if "names" in layout.inner else {*layer._modules})
    for name in sorted(parts - own):
        raise UnsupportedError(
            f"a {type(layer).__name__} has no field {name!r} in Flux: hold it in a module of your own around the layer",
            f".{name}",
        )
    return {name: value for name, value in vars(layer).items() if name not in own}


# -- cells of Recur ---------------------------------------------------------------------------------------------------


def stateful(cell: Any) -> Any:
    """A Recur's cell, which in Julia holds its first state: itself, or where it has none its document with zeros."""
    layout = BY_LAYER.get(type(cell))
    if layout is None or cell.state0 is not None:
        return cell
    origin = origin_of(cell)
    asked = origin is not None and "state0" in origin.row.fields
    form = origin.row if origin is not None and asked else layout.newest(cell, STATEFUL)
    result = document(layout, form, cell, state0=zero_state(cell))
    return Fields(result, stateless=True)
