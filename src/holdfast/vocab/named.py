"""Functions and classes that stand as values, such as an activation or a ``default_factory``.

Strategy: an exact table, name <-> object, that only our own modules and the caller fill. A function goes by its name, a
class by its name and the word ``(class)``, so that each is a rule of its own: the audit sees it and says when it is
missing. Nothing is imported, and no attribute is looked up, for a name in a file.
"""

import builtins
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import UnsupportedError

NAMES: Final[dict[int, tuple[Any, str]]] = {}
"""By identity, the functions and classes that may stand as values, and the name that each goes by in a file."""

FUNCTIONS: Final[dict[ModuleType, str]] = {
    builtins: "abs all any ascii bin callable chr divmod format hash hex isinstance issubclass iter len max min next "
    "oct ord pow repr round sorted sum",
    math: "acos acosh asin asinh atan atan2 atanh ceil comb copysign cos cosh degrees dist erf erfc exp expm1 fabs "
    "factorial floor fmod frexp fsum gamma gcd hypot isclose isfinite isinf isnan isqrt lcm ldexp lgamma log log10 "
    "log1p log2 modf nextafter perm pow prod radians remainder sin sinh sqrt tan tanh trunc ulp",
    operator: "abs add and_ concat contains eq floordiv ge getitem gt index inv invert is_ is_not le lshift lt matmul "
    "mod mul ne neg not_ or_ pos pow rshift sub truediv truth xor",
}
"""Functions that only compute. None opens, runs, imports or looks anything up by name."""

CLASSES: Final = (
    *(object, type(None), bool, int, float, complex, str, bytes, bytearray),
    *(list, tuple, dict, set, frozenset, range, slice, enumerate, filter, map, reversed, zip),
)
"""Classes of Python's own that are values in configurations; ``python.py`` adds the other types that it can save."""


def class_name(cls: type) -> str:
    """The name that a file gives to ``cls``: as Python writes it, with the module unless that is ``builtins``.

    >>> from collections import deque
    >>> class_name(deque), class_name(int)
    ('collections.deque', 'int')
    """
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def value_name(value: Any, name: str | None = None) -> str:
    """The name that a function or class goes by as a value."""
    if isinstance(value, type):
        return f"{name or class_name(value)} (class)"
    return name or f"{value.__module__}.{value.__qualname__}"


def value_rules(values: Mapping[str, Any], theirs: Mapping[str, Any] = MappingProxyType({})) -> list[Rule]:
    """The rules that lift the functions and classes of ``values`` (name -> object). From now on they can be saved, too.

    theirs  another library's table: what ``values`` has from there is written under that one's name, so that a file does
            not need both, whichever of them was met first

    >>> [rule.name for rule in value_rules({"math.sqrt": math.sqrt, "int": int})]
    ['math.sqrt', 'int (class)']
    """
    rules = []
    names = {id(value): value_name(value, name) for name, value in theirs.items()}
    for name, value in values.items():
        known_as = value_name(value, name)
        NAMES[id(value)] = (value, names.get(id(value), known_as))
        rules.append(value_rule(known_as, value))
    return rules


def value_rule(known_as: str, value: Any) -> Rule:
    """The rule that lifts what the file calls ``known_as``."""
    return Rule("python", known_as, lift=lambda level: value)


def is_known(value: Any) -> bool:
    """Whether ``value`` is in the table."""
    return id(value) in NAMES


def lower_named(value: Any) -> Fields:
    """The document of a function or class. Raises UnsupportedError for one that no file can name."""
    if id(value) in NAMES:
        return Fields(tag="python", type=NAMES[id(value)][1])
    if isinstance(value, type):
        if "<locals>" in value.__qualname__:
            raise UnsupportedError(local_advice(value))
        return Fields(tag="python", type=value_name(value))
    raise UnsupportedError(_advice(value))


def local_advice(cls: type) -> str:
    return (
        f"{cls.__qualname__} is a class inside a function, which no other program can name: "
        "move it to the top of its module"
    )


def _advice(value: Any) -> str:
    name = getattr(value, "__qualname__", repr(value))
    if isinstance(value, MethodType) or not isinstance(getattr(value, "__self__", None), ModuleType | None):
        return f"the method {name} belongs to one object: save the object instead"
    if not isinstance(value, FunctionType | BuiltinFunctionType):
        return f"{name} is a method of a class: write a function that calls it, and call holdfast.register on that"
    if "<lambda>" in name:
        return "a lambda has no name: write it as a function at the top of a module, and call holdfast.register on it"
    if "<locals>" in name:
        return (
            f"{name} is a function inside a function, which no other program can name: move it to the top of its module"
        )
    return (
        f"the function {name} is not in the table of functions: call holdfast.register({value.__name__}), "
        "here and where the file is loaded"
    )


def _table(functions: Mapping[ModuleType, str], classes: Iterable[type]) -> dict[str, Any]:
    table: dict[str, Any] = {class_name(cls): cls for cls in classes}
    for module, names in functions.items():
        prefix = "" if module is builtins else f"{module.__name__}."
        table |= {prefix + name: getattr(module, name) for name in names.split()}
    return table


LOWERED: Final = (FunctionType, BuiltinFunctionType, MethodType, MethodDescriptorType, WrapperDescriptorType, type)
"""The types of what may stand as a named value, or is refused with advice."""

Advice = Callable[[Any], str]

RULES: Final = [
    Rule("python", "builtins.function", LOWERED, lower_named, identity=False),
    *value_rules(_table(FUNCTIONS, CLASSES)),
]
