"""Rules made from a class: its instances by their contents and attributes.

Strategy: contents show as what Julia has for them, and the attributes stand beside them:
``{tag: "python", type: "module.Net", state: {…}}``, ``{tag: "struct", type: Dict, data: …, python: "module.Table"}``.
An object exists before its attributes do, so it may hold itself. A value that is made with its contents (a tuple, a
text) may hold itself in an attribute only; there the attributes wait for it.
"""

from collections import ChainMap, Counter, OrderedDict
from collections.abc import Callable
from dataclasses import MISSING, is_dataclass
from dataclasses import fields as dataclass_fields
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from holdfast.codec.rule import Fields, Filling, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import CONTENTS, Anatomy, Contents, anatomy
from holdfast.vocab.containers import TYPE, are_names, dict_struct, is_name


def attribute_label(name: str) -> str:
    return f".{name}"


def attribute_fields(attributes: dict[str, Any]) -> Fields:
    """The document of an object's attributes: ``.name`` in a path."""
    if not are_names(attributes):
        return dict_struct("dict", attributes.items())
    fields = Fields(attributes)
    fields.label = attribute_label
    return fields


def state_rule(cls: type, name: str) -> Rule | None:
    """The rule of a class by its contents and attributes; None when it has no anatomy."""
    body = anatomy(cls)
    if body is None:
        return None
    contents = CONTENTS[body.base]
    if contents is None:
        return Rule("python", name, (cls,), object_lower(body, name), object_lift(body))
    if contents.fill is not None:
        lower, lift = filled_lower(body, contents, name), filled_lift(body, contents)
        return Rule("python", name, (cls,), lower, lift, raw=TYPE)
    return Rule("python", name, (cls,), made_lower(body, contents, name), made_lift(body, contents), raw=TYPE)


def object_lower(body: Anatomy, name: str) -> Callable[[Any], Fields]:
    return lambda value: Fields(tag="python", type=name, state=attribute_fields(body.attributes(value)))


def object_lift(body: Anatomy) -> Callable[[Fields], Filling]:
    new, cls = body.base.__new__, body.cls

    def lift(_: Fields) -> Filling:
        value = new(cls)
        level = yield value
        body.give(value, with_defaults(cls, level["state"]))

    return lift


def with_defaults(cls: type, attributes: Any) -> Any:
    """``attributes``, and the defaults of the fields that a dataclass got after the file was written."""
    if not is_dataclass(cls) or type(attributes) is not dict:
        return attributes
    missing = [item for item in dataclass_fields(cls) if item.name not in attributes]
    plain = {item.name: item.default for item in missing if item.default is not MISSING}
    made = {item.name: item.default_factory() for item in missing if item.default_factory is not MISSING}
    return attributes | plain | made


def filled_lower(body: Anatomy, contents: Contents, name: str) -> Callable[[Any], Fields]:
    def lower(value: Any) -> Fields:
        fields, attributes = contents.write(name, value), body.attributes(value)
        if attributes:
            fields["state"] = attribute_fields(attributes)
        return fields

    return lower


def filled_lift(body: Anatomy, contents: Contents) -> Callable[[Fields], Filling]:
    new, cls, fill = body.base.__new__, body.cls, contents.fill
    assert fill is not None

    def lift(_: Fields) -> Filling:
        value = new(cls)
        level = yield value
        items = contents.read(level)
        fill(value, items)
        if body.base.__len__(value) != len(items):
            raise FormatError(f"two keys of a {cls.__qualname__} are equal")
        body.give(value, level.get("state", {}))

    return lift


# -- attributes of values that are made with their contents -----------------------------------------------------------


class Attributes:
    """Attributes that wait for their owner, or the owner for them: an attribute of a tuple may hold that tuple."""

    __slots__ = ("found", "give")

    def __init__(self) -> None:
        self.found: dict[str, Any] | None = None
        self.give: Callable[[dict[str, Any]], None] | None = None

    def settle(self) -> None:
        if self.found is not None and self.give is not None:
            self.give(self.found)


def lift_attributes(_: Fields) -> Filling:
    value = Attributes()
    level = yield value
    value.found = {name[1:]: item for name, item in level.items() if name.startswith(".")}
    value.settle()


def made_lower(body: Anatomy, contents: Contents, name: str) -> Callable[[Any], Fields]:
    def lower(value: Any) -> Fields:
        fields, attributes = contents.write(name, value), body.attributes(value)
        if attributes:
            dotted = {f".{key}": item for key, item in attributes.items() if is_name(key)}
            if len(dotted) < len(attributes):
                raise UnsupportedError(f"an attribute of a {body.cls.__qualname__} has a name that no file can hold")
            fields["state"] = Fields(dotted, tag="python", type=ATTRIBUTES)
            fields["state"].label = str
        return fields

    return lower


def made_lift(body: Anatomy, contents: Contents) -> Callable[[Fields], Any]:
    make, cls = contents.make, body.cls
    assert make is not None

    def lift(level: Fields) -> Any:
        value = make(cls, contents.read(level))
        if "state" in level:
            attributes = level["state"]
            if type(attributes) is not Attributes or attributes.give is not None:
                raise FormatError(f"the attributes of a {cls.__qualname__} are not its own")
            attributes.give = partial(body.give, value)
            attributes.settle()
        return value

    return lift


ATTRIBUTES: Final = "instance.attributes"

STANDARD: Final[dict[str, type]] = {
    "object": object,
    "collections.ChainMap": ChainMap,
    "collections.Counter": Counter,
    "collections.OrderedDict": OrderedDict,
    "types.SimpleNamespace": SimpleNamespace,
}
"""Classes of the standard library that are no different from a user's: contents, and attributes besides."""

RULES: Final = [
    Rule("python", ATTRIBUTES, lift=lift_attributes),
    *(rule for name, cls in STANDARD.items() if (rule := state_rule(cls, name)) is not None),
]
