"""Julia's number types and NumPy's, side by side; and the names of types.

Strategy: one table, read in both directions. A name is compared without the prefixes that vary by era
(``Core.Float32``, ``Main.Core.Float32`` and ``Float32`` are one), see ``short_name``.
"""

from collections.abc import Iterable
from typing import Any, Final

import ml_dtypes
import numpy as np

from holdfast.julia.values import DataType

BITS: Final[dict[str, np.dtype[Any]]] = {
    "Bool": np.dtype(np.bool_),
    "Int8": np.dtype(np.int8),
    "Int16": np.dtype(np.int16),
    "Int32": np.dtype(np.int32),
    "Int64": np.dtype(np.int64),
    "UInt8": np.dtype(np.uint8),
    "UInt16": np.dtype(np.uint16),
    "UInt32": np.dtype(np.uint32),
    "UInt64": np.dtype(np.uint64),
    "Float16": np.dtype(np.float16),
    "Float32": np.dtype(np.float32),
    "Float64": np.dtype(np.float64),
}
"""Types that Julia's Core and NumPy share: the bytes are the same."""

COMPLEX: Final[dict[str, np.dtype[Any]]] = {"Float32": np.dtype(np.complex64), "Float64": np.dtype(np.complex128)}
"""``Base.Complex`` of these is NumPy's complex of twice the width."""

FOREIGN: Final[dict[str, np.dtype[Any]]] = {
    "BFloat16": np.dtype(ml_dtypes.bfloat16),
    "BFloat16s.BFloat16": np.dtype(ml_dtypes.bfloat16),
}
"""Types outside Julia's Base that are read and not written."""


def short_name(path: Iterable[str]) -> str:
    """The dotted name without ``Main`` (before another of Julia's own modules) and without ``Core``.

    >>> short_name(["Main", "Base", "Dict"]), short_name(["Core", "Float32"]), short_name(["Main", "LSTM"])
    ('Base.Dict', 'Float32', 'Main.LSTM')
    """
    parts = list(path)
    if len(parts) > 2 and parts[0] == "Main" and parts[1] in ("Base", "Core"):
        parts = parts[1:]
    if len(parts) > 1 and parts[0] == "Core":
        parts = parts[1:]
    return ".".join(parts)


def type_name(type_: Any) -> str:
    """The short name of a DataType, or nothing for another value."""
    return short_name(type_.name) if isinstance(type_, DataType) else ""


def dtype_of(type_: Any) -> np.dtype[Any] | None:
    """NumPy's dtype of a Julia type, or None where NumPy has none.

    >>> dtype_of(DataType(["Main", "Base", "Complex"], [DataType(["Core", "Float32"])]))
    dtype('complex64')
    """
    name = type_name(type_)
    if name == "Base.Complex" and len(type_.params) == 1:
        return COMPLEX.get(type_name(type_.params[0]))
    return BITS.get(name) or FOREIGN.get(name)


def is_any(type_: Any) -> bool:
    """Whether ``type_`` is Julia's ``Any``."""
    return type_name(type_) == "Any"
