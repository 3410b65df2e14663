"""JAX's values, and those of the libraries on it. Each is imported when a value or a name of its own is first met.

arrays.py     ``jax.Array``: out through the host, back on the memory of the file
devices.py    where an array goes, and JAX's 64-bit mode
keys.py       typed keys of random numbers
values.py     shapes without values, partition specs, partials, ``Precision``
functions.py  functions and scalar types that stand as values
refusals.py   tracers, devices and other things that cannot be in a file: what to do instead
optax.py      the states of Optax's optimisers
equinox.py    ``equinox.nn``
flax.py       FrozenDict, TrainState, boxes, and modules of Linen
nnx.py        Flax NNX: variables, modules, states
"""

from functools import cache

from holdfast.codec.rule import Vocabulary
from holdfast.vocab.jax import arrays, functions, keys, refusals, values
from holdfast.vocab.named import value_rules

__all__ = ["vocabulary"]


@cache
def vocabulary() -> Vocabulary:
    """The rules of JAX's own values; made once."""
    rules = [arrays.RULE, keys.RULE, *values.RULES, functions.RULE, *value_rules(functions.NAMED)]
    return Vocabulary(rules, class_rules=[refusals.tracer_rule, keys.key_rule, arrays.array_rule, refusals.jax_rule])
