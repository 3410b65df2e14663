"""JAX's small values: shapes without values, partition specs, partials, ``Precision``.

Strategy: each is its parts. What says on which devices an array lies is not among them: it belongs to one process.
"""

from enum import Enum
from typing import Any, Final

import jax
import numpy as np
from jax.sharding import PartitionSpec
from jax.tree_util import Partial

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.class_rules import member_rule
from holdfast.vocab.classes import renamed
from holdfast.vocab.dtypes import LOWER_NAMES, NAMED
from holdfast.vocab.keys import shown

SHAPE: Final = "jax.ShapeDtypeStruct"


def lower_shape(value: jax.ShapeDtypeStruct) -> Fields:
    if value.sharding is not None:
        raise UnsupportedError("where a ShapeDtypeStruct lies belongs to this process: save it without its sharding")
    if value.dtype not in LOWER_NAMES:
        raise UnsupportedError(f"a ShapeDtypeStruct of {value.dtype} cannot be saved")
    parts = {
        "shape": Items(value.shape),
        "dtype": LOWER_NAMES[value.dtype],
        "weak": bool(getattr(value, "weak_type", False)),
    }
    return Fields(parts, tag="python", type=SHAPE)


def lift_shape(level: Fields) -> Any:
    shape, dtype, weak = level["shape"], level["dtype"], level["weak"]
    shape = shape.tolist() if isinstance(shape, np.ndarray) else shape
    lengths = type(shape) is list and all(type(n) is int and n >= 0 for n in shape)
    if not lengths or type(dtype) is not str or dtype not in NAMED or type(weak) is not bool:
        raise FormatError(f"a ShapeDtypeStruct of {shown(shape)} and {shown(dtype)}")
    make: Any = jax.ShapeDtypeStruct
    return make(tuple(shape), NAMED[dtype], **({"weak_type": True} if weak else {}))


SPEC: Final = "jax.sharding.PartitionSpec"


def lift_spec(level: Fields) -> Any:
    if type(level["state"]) is not tuple:
        raise FormatError(f"a PartitionSpec of {shown(level['state'])}")
    make: Any = PartitionSpec
    return make(*level["state"])


PARTIAL: Final = "jax.tree_util.Partial"


def lower_partial(value: Any) -> Fields:
    parts = {"func": value.func, "args": tuple(value.args), "keywords": dict(value.keywords)}
    return Fields(parts, tag="python", type=PARTIAL)


def lift_partial(level: Fields) -> Any:
    function, args, keywords = level["func"], level["args"], level["keywords"]
    if not callable(function) or type(args) is not tuple or type(keywords) is not dict:
        raise FormatError(f"a Partial of {shown(function)}, {shown(args)} and {shown(keywords)}")
    make: Any = Partial
    return make(function, *args, **keywords)


ENUMS: Final = {
    f"jax.lax.{name}": value
    for name, value in vars(jax.lax).items()
    if isinstance(value, type) and issubclass(value, Enum)
}
"""``Precision`` and its like."""

RULES: Final = [
    Rule("python", SHAPE, (jax.ShapeDtypeStruct,), lower_shape, lift_shape),
    Rule(
        "python",
        SPEC,
        (PartitionSpec,),
        lambda value: Fields(tag="python", type=SPEC, state=tuple(value)),
        lift_spec,
    ),
    Rule("python", PARTIAL, (Partial,), lower_partial, lift_partial),
    *(renamed(member_rule(cls), name) for name, cls in ENUMS.items()),
]
