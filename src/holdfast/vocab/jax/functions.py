"""JAX's functions and scalar types that stand as values: an activation, ``param_dtype=jnp.float32``.

Strategy: an exact table, made when the vocabulary is imported by listing JAX's public modules; see ``vocab/named.py``.
Most of JAX's functions are objects that ``jit`` or ``custom_jvp`` made. What reads or writes files is not in it.
"""

from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

import jax
import jax.numpy as jnp

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import UnsupportedError
from holdfast.vocab.named import is_known, lower_named

TRANSFORMED: Final = tuple({type(jax.nn.silu), type(jax.jit(lambda x: x)), jax.custom_jvp, jax.custom_vjp, jnp.ufunc})
"""What JAX makes of a function."""

KINDS: Final = (FunctionType, BuiltinFunctionType, *TRANSFORMED)

LEFT_OUT: Final = frozenset(
    "load save savez savez_compressed fromfile frombuffer frompyfunc printoptions set_printoptions get_printoptions "
    "infeed outfeed".split()
)


def functions_of(module: Any, name: str) -> dict[str, Any]:
    """The public functions of ``module``, each under ``name`` and its own."""
    return {
        f"{name}.{key}": value
        for key, value in vars(module).items()
        if not key.startswith("_") and key not in LEFT_OUT and isinstance(value, KINDS)
    }


NAMED: Final = {
    **functions_of(jnp, "jax.numpy"),
    **functions_of(jax.lax, "jax.lax"),
    **functions_of(jax.nn, "jax.nn"),
    **functions_of(jax.nn.initializers, "jax.nn.initializers"),
    **{
        f"jax.numpy.{key}": value
        for key, value in vars(jnp).items()
        if isinstance(value, type(jnp.float32)) and not key.startswith("_")
    },
}
"""Name in a file -> function or scalar type. Of two names for one object the later is written."""


def lower_function(value: Any) -> Fields:
    if is_known(value):
        return lower_named(value)
    name = getattr(value, "__name__", "function")
    raise UnsupportedError(
        f"{name} is a function that JAX transformed (jit, custom_jvp …), which is code: save the plain function, after "
        f"holdfast.register, and transform it again after loading"
    )


RULE: Final = Rule("python", "jax.function", TRANSFORMED, lower_function, identity=False)
