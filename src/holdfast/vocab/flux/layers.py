"""Flux's structs as the layers of ``holdfast.flux``, by the rows of ``layouts``.

Strategy: a struct is one of the rows with as many fields and type parameters. Its fields are made by their kinds, the
layer by its class's ``of``; what the file had is kept beside (``lowering.Origin``). What the versions computed
differently follows from the era of the whole file.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from holdfast.codec.rule import Fields, Items, Options, Rule
from holdfast.errors import FormatError, HoldfastError
from holdfast.flux.layernorm import EPS_RULES
from holdfast.flux.recurrent import Cell
from holdfast.flux.sequence import Recur
from holdfast.julia.values import DataType, Symbol
from holdfast.vocab.flux.code import JuliaCode, JuliaLayer, code_in
from holdfast.vocab.flux.eras import Choice, Era, Span, load_of
from holdfast.vocab.flux.fields import KINDS, Kept
from holdfast.vocab.flux.functions import VARIANTS
from holdfast.vocab.flux.layouts import LAYOUTS, Layout, Row
from holdfast.vocab.flux.lowering import ORIGIN, Origin, lower_layer, origin_of
from holdfast.vocab.flux.named_fields import by_position
from holdfast.vocab.julia import tags
from holdfast.vocab.torch.attributes import Attributes, body_of
from holdfast.vocab.torch.documents import named_parts
from holdfast.vocab.torch.modules import OWN


def lift_layer(layout: Layout) -> Callable[[Fields, Options], Any]:
    def lift(level: Fields, options: Options) -> Any:
        try:
            return layer_from(layout, level, options)
        except HoldfastError as error:
            message = str(getattr(error, "message", error))
            named = message if message.startswith(layout.name) else f"{layout.name}: {message}"
            raise FormatError(named) from None

    return lift


def layer_from(layout: Layout, level: Fields, options: Options) -> Any:
    """The layer of one struct. Raises FormatError for a form that Flux never had, MismatchError for wrong shapes."""
    type_, data = level["type"], level["data"]
    if not isinstance(type_, DataType) or not isinstance(data, list):
        raise FormatError(f"its fields are a {type(data).__name__}")
    if level.get("names"):
        data = by_position(layout, tags.field_names(level), data, list(type_.params))
    forms = layout.forms(len(data), len(type_.params))
    names = forms[0].fields
    made: dict[str, Any] = {}
    for name, value in zip(names, data, strict=True):
        made[name] = KINDS[layout.kind(name, made)].lift(value, options)
    forms = [form for form in forms if form.fits is None or form.fits(made)] or forms
    given = given_by_type(layout, list(type_.params))
    layer = (layout.build or layout.layer.of)(**made, **given)
    kept = {n: Kept(value, made[n]) for n, value in zip(names, data, strict=True)}
    vars(layer)[ORIGIN] = Origin(type_, forms[-1], kept)
    layer.training = False
    era = load_of(options).era
    settle_form(era, layer, forms, made, level)
    settle_functions(era, layout, layer)
    take_python_side(layout, layer, level)
    place_code(layout, layer)
    return layer


def given_by_type(layout: Layout, params: list[Any]) -> dict[str, Any]:
    """What only the type says: a mode as a text, a switch as a bool."""
    found = {name: params[place] for name, place in layout.given.items() if len(params) >= -place}
    return {name: str(value) if isinstance(value, Symbol) else bool(value) for name, value in found.items()}


def places(layout: Layout) -> Callable[[Any], Sequence[str]]:
    """How the fields of a struct in a file are reached in Python."""

    def names(document: Any) -> Sequence[str]:
        data, named = document.get("data"), document.get("names")
        if isinstance(named, list):
            return [f".{name}" for name in named]
        count = len(data) if isinstance(data, list) else 0
        form = next((form for form in reversed(layout.rows) if len(form.fields) == count), None)
        return [f".{name}" for name in form.fields] if form is not None else []

    return names


# -- versions ---------------------------------------------------------------------------------------------------------


def settle_form(era: Era, layer: Any, forms: Sequence[Row], made: Mapping[str, Any], level: Fields) -> None:
    """Give the layer the row of the file's era, and with it how that version computed."""

    def take(form: Row) -> None:
        vars(layer)[ORIGIN].row = form
        for name, value in form.sets.items():
            if name not in level:  # what Holdfast wrote says it itself
                setattr(layer, name, value)

    era.narrow(Span(min(form.span.since for form in forms), max(form.span.until for form in forms)))
    era.settle([Choice(f.span, f, f.likely is not None and f.likely(made)) for f in forms], take)


def settle_functions(era: Era, layout: Layout, layer: Any) -> None:
    """Take the formula of the file's era for functions that changed under their name."""
    origin = vars(layer)[ORIGIN]
    for name, kept in origin.fields.items():
        if layout.kinds[name] == "function" and _changed(kept.made):
            era.settle(VARIANTS[kept.made], _attribute_setter(layer, name, origin))
        elif layout.kinds[name] == "members":
            for place, member in zip(layer.names, list(layer.layers), strict=True):
                if _changed(member):
                    era.settle(VARIANTS[member], _member_setter(layer, place, origin))


def _changed(function: Any) -> bool:
    return isinstance(function, type(_changed)) and function in VARIANTS


def _attribute_setter(layer: Any, name: str, origin: Origin) -> Callable[[Any], None]:
    def take(function: Any) -> None:
        setattr(layer, name, function)
        origin.fields[name] = Kept(origin.fields[name].was, function)

    return take


def _member_setter(layer: Any, place: str, origin: Origin) -> Callable[[Any], None]:
    def take(function: Any) -> None:
        layer.put(place, function)
        origin.fields["layers"] = Kept(origin.fields["layers"].was, list(layer.layers))

    return take


# -- what Julia does not see ------------------------------------------------------------------------------------------

PYTHON: Final[dict[str, Callable[[Any], bool]]] = {
    "eps_rule": lambda value: value in EPS_RULES,
    "clamped": lambda value: type(value) is bool,
    "deviations": lambda value: type(value) is bool,
    "rng": lambda value: isinstance(value, torch.Generator),
}
"""Attributes that stand beside the struct -> whether a value from a file is one."""


def take_python_side(layout: Layout, layer: Any, level: Fields) -> None:
    """The mode and attributes that Holdfast wrote beside the struct."""
    layer.training = level.get("training") is True
    for name in layout.python:
        if name in level:
            if not PYTHON[name](level[name]):
                raise FormatError(f"its {name} is {level[name]!r:.40}")
            setattr(layer, name, level[name])
    if level.get("stateless") is True:
        forget_state(layer)
    if "attributes" in level:
        attributes_for(layout).give(layer, named_parts(dict(level), "attributes"))


def forget_state(layer: Any) -> None:
    """Until 0.14 a cell had to hold its first state; this one did not in Python."""
    if isinstance(layer, Recur):
        layer.remembered = None
    elif isinstance(layer, Cell):
        for name in layer.states:
            setattr(layer, name, None)


def attributes_for(layout: Layout) -> Attributes:
    body = body_of(layout.layer)
    assert not isinstance(body, Rule)
    return Attributes(body, {*OWN, *layout.kinds, *layout.inner, *layout.python, ORIGIN})


# -- the places of Julia code -----------------------------------------------------------------------------------------


def place_code(layout: Layout, layer: Any) -> None:
    """Tell the Julia code below a layer where it stands, as seen from here; the outermost layer comes last."""
    codes = vars(layer)[ORIGIN].codes
    for name in vars(layer)[ORIGIN].fields:
        members = _members(layer, name, layout.kinds[name])
        for place, member in members:
            codes += [(place + inner, code) for inner, code in codes_below(member)]
    for place, code in codes:
        code.place = place


def _members(layer: Any, name: str, kind: str) -> list[tuple[str, Any]]:
    if kind != "members":
        value = getattr(layer, name, None)
        return [] if value is None or isinstance(value, Tensor) else [(f".{name}", value)]
    keys = layer.names if layer.named else range(len(layer.names))
    return [(f".layers[{key!r}]", member) for key, member in zip(keys, layer.layers, strict=True)]


def codes_below(value: Any) -> list[tuple[str, JuliaCode]]:
    """Julia code in a member of a layer, with its place in that member."""
    code = code_in(value)
    if code is not None:
        return [("", code)]
    origin = origin_of(value) if hasattr(value, "__dict__") else None
    return origin.codes if origin is not None else []


# -- rules ------------------------------------------------------------------------------------------------------------


def lower_code(value: JuliaCode | JuliaLayer) -> Fields:
    return Fields(tag="struct", type=value.struct.type, data=Items(value.struct.data))


RULES: Final = [
    *(
        Rule("struct", layout.name, (layout.layer,), lower_layer, lift_with=lift_layer(layout), places=places(layout))
        for layout in LAYOUTS
    ),
    Rule("python", "holdfast.flux.JuliaCode", (JuliaCode, JuliaLayer), lower_code),
]
