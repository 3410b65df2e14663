"""NumPy's dtypes as values, those of ``ml_dtypes`` among them: ``Config(dtype=np.dtype("float32"))``.

Strategy: a dtype is what the document of an array says of it, and is read by the same exact table.
"""

from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.vocab.numpy import NAMED, describe, dtype_from

NAME: Final = "numpy.dtype"
SWAPPED: Final = "swapped"
"""The byte order that is not this machine's."""


def lower(dtype: "np.dtype[Any]") -> Fields:
    fields = Fields(tag="python", type=NAME, state=_level(describe(dtype)))
    return fields if dtype.isnative else Fields(fields, byteorder=SWAPPED)


def _level(description: Any) -> Any:
    return Items(map(_level, description)) if isinstance(description, list) else description


def lift(level: Fields) -> "np.dtype[Any]":
    dtype = dtype_from(level["state"])
    return dtype.newbyteorder("S") if level.get("byteorder") == SWAPPED else dtype


OTHERS: Final = ("S1", "U1", "V1", "O", "g", "G")
"""dtypes without a name of their own, and those that ``describe`` refuses with advice."""

TYPES: Final = tuple({type(dtype) for dtype in (*NAMED.values(), *map(np.dtype, OTHERS))})

RULES: Final = [Rule("python", NAME, TYPES, lower, lift, identity=False)]
