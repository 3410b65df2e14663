"""The documents of Julia's types, ready to stand in a file; written once, used by every vocabulary.

The names are as Julia 1.x writes them itself (``Main`` before ``Base``), so that a file that is loaded and saved again
says the same.
"""

from typing import Any, Final

from holdfast.codec.rule import Ready, Shared
from holdfast.julia.types import BITS, COMPLEX


def datatype(*name: str, params: Any = ()) -> Shared:
    """The document of the type ``name``: a constant, to be made once and used in many places.

    >>> datatype("Core", "Float32")
    {'tag': 'datatype', 'params': [], 'name': ['Core', 'Float32']}
    """
    return Shared(tag="datatype", params=list(params), name=list(name))


def base(name: str, *params: Any) -> Shared:
    """A type of Julia's Base."""
    return datatype("Main", "Base", name, params=params)


ANY: Final = datatype("Core", "Any")
NOTHING: Final = datatype("Core", "Nothing")
INT64: Final = datatype("Core", "Int64")
UINT8: Final = datatype("Core", "UInt8")
DICT: Final = base("Dict", ANY, ANY)
SET: Final = base("Set", ANY)

BY_DTYPE: Final = {dtype: datatype("Core", name) for name, dtype in BITS.items()} | {
    dtype: base("Complex", datatype("Core", part)) for part, dtype in COMPLEX.items()
}
"""NumPy dtype -> the Julia type with the same bytes."""


def array_type(element: Ready, ndim: int) -> Shared:
    """``Array{element, ndim}``."""
    return datatype("Core", "Array", params=[element, ndim])


def tuple_of(values: Any) -> Ready:
    """A finished tuple of ints or symbols."""
    return Ready(tag="tuple", data=list(values))


def symbol(name: str) -> Ready:
    return Ready(tag="symbol", name=name)
