"""Long lists of numbers, as Julia's vectors: eight bytes a number, checksummed, in one piece.

Strategy: only a list that is all ``int`` (of 64 bits) or all ``float``, and long enough to gain from it, goes this way;
every other list is a bare BSON array. Julia sees a ``Vector{Int64}`` or ``Vector{Float64}``, Python gets its list back.
"""

from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError
from holdfast.vocab.keys import shown
from holdfast.vocab.numpy import array_fields, lift_array

LONG: Final = 64
"""Elements from which a vector takes fewer bytes than a BSON array."""

DTYPES: Final[dict[type, np.dtype[Any]]] = {int: np.dtype(np.int64), float: np.dtype(np.float64)}


def lower_list(value: list[Any]) -> Fields | Items:
    """A list as a vector of numbers, or as a BSON array."""
    kind = type(value[0]) if len(value) >= LONG else None
    if kind not in DTYPES or [*map(type, value)].count(kind) < len(value):
        return Items(value)
    try:
        return array_fields(np.fromiter(value, DTYPES[kind], len(value)), python="list")
    except OverflowError:
        return Items(value)  # an int beyond 64 bits has a document of its own


def lift_vector(level: Fields) -> list[Any]:
    array = lift_array(level)
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype not in DTYPES.values():
        raise FormatError(f"a list of numbers is {shown(array)}")
    values: list[Any] = array.tolist()
    return values


RULES: Final = [Rule("python", "list", lift=lift_vector, blobs=True)]
