"""Attributes that are plain values: texts, numbers, and short arrays of either."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from holdfast.formats.document.arrays import array_document
from holdfast.formats.hdf5.library import translated

MAX_BYTES: Final = 1 << 24
"""Bytes of one attribute."""
MAX_TEXTS: Final = 1 << 30
"""Bytes that the texts of one attribute could take together, were each as long as the file."""


def plain_attributes(target: Any, size: int, check_heaps: Callable[[bool], None]) -> dict[str, Any]:
    """The attributes of an object of HDF5's whose values are plain, as wire values; ``size`` is the file's, and
    ``check_heaps`` is called before a text is read."""
    import h5py

    found: dict[str, Any] = {}
    with translated("an attribute"):
        for number in range(h5py.h5a.get_num_attrs(target)):
            attribute = h5py.h5a.open(target, index=number)
            if _is_plain(h5py, attribute, size):
                if attribute.dtype.kind == "O":
                    check_heaps(False)
                name = attribute.name.decode("utf-8", "surrogateescape")
                found[name] = _value(h5py.AttributeManager(_Owner(target))[name])
    return {name: value for name, value in found.items() if value is not SKIPPED}


class _Owner:
    """What h5py's attribute manager asks for."""

    def __init__(self, target: Any) -> None:
        self.id = target


SKIPPED: Final = object()


def _is_plain(h5py: Any, attribute: Any, size: int) -> bool:
    """Whether an attribute can be read at all, without its type leading elsewhere or its size being absurd."""
    try:
        dtype, shape = attribute.dtype, attribute.shape
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return False
    count = int(np.prod(shape, dtype=object)) if shape is not None else 0
    if dtype.kind == "O":
        return h5py.check_string_dtype(dtype) is not None and (count == 1 or count * size <= MAX_TEXTS)
    return not dtype.hasobject and dtype.kind in "biufcS" and count * dtype.itemsize <= MAX_BYTES


def _value(value: Any) -> Any:
    """An attribute as a wire value."""
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.generic):
        plain = value.item()
        return (
            plain
            if isinstance(plain, bool | float) or (isinstance(plain, int) and -(2**63) <= plain < 2**63)
            else SKIPPED
        )
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return [_value(text) for text in value.reshape(-1).tolist()]
    return array_document(value, python="numpy.ndarray") if isinstance(value, np.ndarray) else SKIPPED
