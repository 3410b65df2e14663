"""Typed keys of random numbers (``jax.random.key``): the name of the algorithm, and the numbers.

Strategy: the name is looked up by the key's dtype; ``key_data`` gives the numbers and ``wrap_key_data`` takes them back.
Keys of the old kind (``PRNGKey``) are plain arrays of uint32.
"""

from functools import cache
from typing import Any, Final

import jax
import numpy as np

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.keys import shown

NAME: Final = "jax.random.key"
ALGORITHMS: Final = ("threefry2x32", "rbg", "unsafe_rbg")
"""JAX's own, by name."""


@cache
def names() -> dict[Any, str]:
    """The dtype of each algorithm's keys -> its name."""
    return {jax.random.key(0, impl=name).dtype: name for name in ALGORITHMS}


def lower(key: Any) -> Fields:
    algorithm = names().get(key.dtype)
    if algorithm is None:
        raise UnsupportedError(
            f"a {key.dtype} cannot be saved, since no other program knows its algorithm: save jax.random.key_data(key)"
        )
    return Fields(tag="python", type=NAME, algorithm=algorithm, data=jax.random.key_data(key))


def lift(level: Fields) -> Any:
    algorithm, data = level["algorithm"], level["data"]
    if algorithm not in ALGORITHMS:
        raise FormatError(f"{shown(algorithm)} is no algorithm of random numbers")
    if not isinstance(data, jax.Array) or data.dtype != np.uint32:
        raise FormatError(f"the numbers of a key are {shown(data)}")
    return jax.random.wrap_key_data(data, impl=algorithm)


RULE: Final = Rule("python", NAME, lower=lower, lift=lift)


def key_rule(cls: type) -> Rule | None:
    """The one rule, for the class that JAX's typed keys are of: it has no public name."""
    return RULE if issubclass(cls, jax.Array) and cls.__name__ == "PRNGKeyArray" else None
