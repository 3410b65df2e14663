"""What one document of a file is: the answer of ``describe.py``, and how its members are reached."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.formats.look.nodes import MAX_TEXT
from holdfast.wire.values import Blob, Document, Int32, Opaque


@dataclass(slots=True)
class Seen:
    """What a document is; ``members`` are (name, segment of the path, document) of what it holds."""

    type: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    nbytes: int = 0
    value: Any = None
    members: Iterable[tuple[str | int, str, Any]] = ()
    length: int | None = None
    base: Any = None
    """The document whose memory this value stands on."""
    single: bool = False
    """Whether it is a value without identity, of which there may be many: a number, a text, a type."""


def plain(node: Any) -> Seen:
    if type(node) is Blob:
        return Seen("bytes", nbytes=node.nbytes, single=True)
    if type(node) is Opaque:
        return Seen("Opaque", value=f"BSON type 0x{node.kind:02x}", single=True)
    if type(node) is Int32:
        return Seen("numpy.int32", value=np.int32(node), single=True)
    if isinstance(node, str):
        return Seen("str", value=node[:MAX_TEXT], single=True)
    return Seen(type(node).__name__, value=node, single=True)


def keyed(node: Document) -> list[tuple[str | int, str, Any]]:
    """The members of a dictionary."""
    return [(key, f"[{key!r}]", value) for key, value in node.items() if key != "_backrefs"]


def attributes(values: Document) -> list[tuple[str | int, str, Any]]:
    """The members of an object: ``.name``, or ``[0]`` where the name is a number, as in ``Sequential``."""
    return [(name, segment(name), value) for name, value in values.items()]


def segment(name: str) -> str:
    """How the attribute ``name`` is reached.

    >>> segment("weight"), segment("0"), segment("my layer")
    ('.weight', '[0]', "['my layer']")
    """
    return f".{name}" if name.isidentifier() else f"[{name}]" if name.isdecimal() else f"[{name!r}]"


def type_text(value: Any) -> str:
    """The name of a value's type as Python users write it.

    >>> type_text(1.5), type_text(np.float32(1))
    ('float', 'numpy.float32')
    """
    cls = type(value)
    return (
        cls.__qualname__
        if cls.__module__ in ("builtins", "holdfast.julia.values")
        else f"{cls.__module__}.{cls.__qualname__}"
    )
