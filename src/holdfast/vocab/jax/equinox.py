"""Equinox's own modules. A user's is an ordinary class and goes by the rule of those: ``load(path, classes=[Net])``.

Strategy: a module is its attributes, in an exact table made by listing ``equinox.nn``. No ``__init__`` runs, no field is
converted again. Functions that Equinox itself gives to a module (``MLP`` ends in a lambda that changes nothing) go by the
names of the argument that they are the default of.
"""

from functools import cache
from inspect import signature
from types import FunctionType
from typing import Any, Final

import equinox
import equinox.nn

from holdfast.codec.rule import Vocabulary
from holdfast.vocab.instances import state_rule
from holdfast.vocab.named import value_rules


def _modules() -> dict[str, type]:
    found = {f"equinox.nn.{name}": value for name, value in vars(equinox.nn).items() if not name.startswith("_")}
    marks = vars(getattr(equinox.nn, "_stateful", equinox.nn))
    found |= {"equinox.Partial": equinox.Partial, "equinox.nn.StateIndex.Sentinel": marks.get("_Sentinel")}
    return {name: value for name, value in found.items() if isinstance(value, type)}


MODULES: Final = _modules()
"""Name in a file -> class."""


def _defaults() -> dict[str, Any]:
    """The functions that are defaults of the modules' arguments."""
    return {
        f"{name}.{parameter}": item.default
        for name, cls in MODULES.items()
        for parameter, item in signature(cls).parameters.items()
        if isinstance(item.default, FunctionType) and item.default.__module__.startswith("equinox.")
    }


@cache
def vocabulary() -> Vocabulary:
    """The rules of Equinox's modules; made once."""
    rules = [rule for name, cls in MODULES.items() if (rule := state_rule(cls, name)) is not None]
    return Vocabulary([*rules, *value_rules(_defaults() | MODULES)])
