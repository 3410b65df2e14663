"""Saves and loads a value in memory: the whole way of a file, without the disk; and tells whether two values are one.

Strategy: ``saved`` and ``loaded`` are what ``save`` and ``load`` do between the object and the bytes. ``differences``
walks two values side by side: same types, same numbers to the bit, and what was one object is one object.
"""

import struct
from array import array
from collections import ChainMap, deque
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

from holdfast.codec.audit import audit
from holdfast.codec.lift import lift
from holdfast.codec.lower import lower
from holdfast.codec.rule import Options
from holdfast.vocab import vocabulary
from holdfast.wire.checksum import seal
from holdfast.wire.plan import plan_document
from holdfast.wire.read import read_document


def saved(value: Any) -> bytes:
    """The bytes of a file that holds ``value`` as ``x``."""
    plan = plan_document(lower({"x": value}, vocabulary()))
    seal(plan)
    return b"".join(plan.buffers())


def loaded(data: bytes, classes: Any = ()) -> Any:
    """What the file ``data`` holds as ``x``."""
    return lifted(read_document(data, patterns=True).document, classes)


def lifted(document: dict[str, Any], classes: Any = ()) -> Any:
    """What a document holds as ``x``."""
    rules = vocabulary(classes)
    return lift(audit(document, ["x"], rules), ["x"], rules, Options())["x"]


def written(document: dict[str, Any]) -> dict[str, Any]:
    """A document of plain dictionaries, as it is when it was read from a file."""
    plan = plan_document(document)
    seal(plan)
    return read_document(b"".join(plan.buffers())).document


def again(value: Any, classes: Any = ()) -> Any:
    """``value``, saved and loaded."""
    return loaded(saved(value), classes)


def differences(a: Any, b: Any) -> list[str]:
    """Where two values differ in type, in content, or in what is one object; empty when they are the same."""
    found: list[str] = []
    pairs, met = [(a, b, "x")], dict[int, Any]()
    while pairs:
        a, b, path = pairs.pop()
        if type(a) is not type(b):
            found.append(f"{path}: {type(a)} and {type(b)}")
            continue
        parts = _parts(a)
        if parts is None:
            if _bits(a) != _bits(b):
                found.append(f"{path}: {a!r} and {b!r}")
            continue
        if id(a) in met:
            if met[id(a)][1] is not b:
                found.append(f"{path}: one object became two")
            continue
        met[id(a)] = a, b  # ``a`` too, so that its ``id`` stays its own
        others = _parts(b) or []
        if len(parts) != len(others):
            found.append(f"{path}: {len(parts)} parts and {len(others)}")
        pairs += [(x, y, f"{path}.{i}") for i, (x, y) in enumerate(zip(parts, others, strict=False))]
    return found


WHOLE = (bytearray, array, type, Enum, FunctionType, BuiltinFunctionType)


def _parts(value: Any) -> list[Any] | None:
    """The values that ``value`` is made of; None for one that is compared as a whole."""
    if isinstance(value, WHOLE) or value is None:
        return None
    if isinstance(value, set | frozenset):
        return sorted(value, key=lambda member: (str(type(member)), repr(member)))
    if isinstance(value, ChainMap):
        return list(value.maps)
    if isinstance(value, Mapping):
        return [part for pair in value.items() for part in pair] + _attributes(value)
    if isinstance(value, str | bytes | int | float | complex):
        return [Whole(value), *_attributes(value)] if _attributes(value) else None
    if isinstance(value, list | tuple):
        return [*value, *_attributes(value)]
    if isinstance(value, deque):
        return [value.maxlen, *value]
    if isinstance(value, slice):
        return [value.start, value.stop, value.step]
    if isinstance(value, partial):
        return [value.func, list(value.args), dict(value.keywords)]
    return _attributes(value) if type(value).__eq__ is object.__eq__ else _attributes(value) or None


def _attributes(value: Any) -> list[Any]:
    return [part for pair in getattr(value, "__dict__", {}).items() for part in pair]


class Whole:
    """The number or text in an object that has attributes besides."""

    __slots__ = ("bits",)

    def __init__(self, value: Any) -> None:
        self.bits = _bits(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Whole) and self.bits == other.bits


def _bits(value: Any) -> Any:
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, complex):
        return struct.pack("<dd", value.real, value.imag)
    if isinstance(value, array):
        return value.typecode, value.tobytes()
    return str(value) if isinstance(value, Decimal) else value
