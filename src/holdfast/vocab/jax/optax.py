"""The states of Optax's optimisers, and why the optimisers themselves are not saved.

Strategy: a state is a named tuple of arrays and trees, in an exact table made by listing Optax's modules; a program
without Optax gets plain tuples. An optimiser is two functions that close over its numbers, which is code: it is made
again by the same line.
"""

import sys
from functools import cache
from types import ModuleType
from typing import Final

import optax

from holdfast.codec.rule import Rule, Vocabulary
from holdfast.vocab.instances import state_rule
from holdfast.vocab.jax.functions import NAMED as JAXS
from holdfast.vocab.jax.functions import functions_of
from holdfast.vocab.jax.refusals import refused
from holdfast.vocab.named import class_name, value_rules

CODE: Final = "is made of functions, which no file holds: make it again by the same line, and save its state alone"

OPTIMISERS: Final[tuple[type, ...]] = tuple(
    value
    for name, value in vars(optax).items()
    if name.startswith("GradientTransformation") and isinstance(value, type)
)


def _modules() -> dict[str, ModuleType]:
    """Optax itself and its public parts, by name; what stands in several goes by the shortest name."""
    parts = {
        name: item
        for name, item in vars(optax).items()
        if isinstance(item, ModuleType) and item.__name__ == f"optax.{name}"
    }
    return {**{f"optax.{name}": parts[name] for name in sorted(parts)}, "optax": optax}


def _states() -> dict[str, type]:
    found = {state: class_name(state) for module in _inner() for state in _named_tuples(module).values()}
    for prefix, module in _modules().items():
        found |= {state: f"{prefix}.{name}" for name, state in _named_tuples(module).items()}
    return {name: cls for cls, name in found.items() if cls not in OPTIMISERS}


def _inner() -> list[ModuleType]:
    """The modules that Optax is made of, where a few states stand that it does not show."""
    return [module for name, module in list(sys.modules.items()) if name.startswith("optax.")]


def _named_tuples(module: ModuleType) -> dict[str, type]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, tuple)
        and hasattr(value, "_fields")
        and value.__module__.startswith("optax.")
    }


STATES: Final = _states()
"""Name in a file -> class."""


def optimiser_rule(cls: type) -> Rule | None:
    """The rule that refuses an optimiser."""
    return refused(cls, f"a {cls.__qualname__} of Optax's {CODE}") if issubclass(cls, OPTIMISERS) else None


@cache
def vocabulary() -> Vocabulary:
    """The rules of Optax's values; made once."""
    rules = [rule for name, cls in STATES.items() if (rule := state_rule(cls, name)) is not None]
    losses = functions_of(optax.losses, "optax.losses") if hasattr(optax, "losses") else {}
    return Vocabulary([*rules, *value_rules(losses | STATES, JAXS)], class_rules=[optimiser_rule])
