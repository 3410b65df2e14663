"""Documents of named parts, as modules, optimisers and schedulers are made of them."""

from collections.abc import Mapping
from typing import Any

from holdfast.codec.rule import Fields
from holdfast.errors import FormatError
from holdfast.vocab.containers import are_names, dict_struct


def section(values: Mapping[str, Any]) -> Fields:
    """A document of named parts: ``.weight`` and ``[2]`` in a path."""
    fields = Fields(values) if are_names(values) else dict_struct("dict", values.items())
    if "python" not in fields:
        fields.label = part_label
    return fields


def part_label(name: str) -> str:
    """How a part is reached: ``part_label("0")`` is ``[0]``.

    >>> part_label("weight"), part_label("0"), part_label("a b")
    ('.weight', '[0]', "['a b']")
    """
    if name.isdigit():
        return f"[{name}]"
    return f".{name}" if name.isidentifier() else f"[{name!r}]"


def structure(**parts: Any) -> Fields:
    """A document of sections, which are no part of a path themselves. Empty ones are left out."""
    fields = Fields({name: part for name, part in parts.items() if part or type(part) is bool})
    fields.label = lambda name: ""
    return fields


def named_parts(state: Any, name: str) -> dict[str, Any]:
    """The section ``name`` of a lifted ``structure``."""
    part = state.get(name, {}) if type(state) is dict else None
    if type(part) is not dict or not all(type(key) is str for key in part):
        raise FormatError(f"the {name} of an object are a {type(part).__name__}")
    return part
