"""Julia's values in Python.

values.py  what has no Python type of its own: Symbol, Struct, DataType …
types.py   Julia's number types and NumPy's, side by side
arrays.py  Julia's arrays and array wrappers as NumPy arrays
"""

from holdfast.julia.values import (
    AnonymousType,
    Array,
    ByIdentity,
    Char,
    DataType,
    Dict,
    IdDict,
    Int128,
    NamedTuple,
    Ref,
    Set,
    SimpleVector,
    Struct,
    Symbol,
    UInt128,
    UnionAll,
    bottom,
    missing,
)

__all__ = [
    "AnonymousType",
    "Array",
    "ByIdentity",
    "Char",
    "DataType",
    "Dict",
    "IdDict",
    "Int128",
    "NamedTuple",
    "Ref",
    "Set",
    "SimpleVector",
    "Struct",
    "Symbol",
    "UInt128",
    "UnionAll",
    "bottom",
    "missing",
]
