"""One element of a document: the code of its type, its name, and the bytes of a plain value.

Strategy: tables. ``SCALARS`` says of each Python type whose values are a code and some bytes what they are; all else is
laid out by ``plan.py``. Names are made once: an array's first ones here, those that every document repeats when they are
first met, and those of a large dictionary, which nothing repeats, all in one step.

Source: bsonspec.org 1.1.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any, Final

from holdfast.errors import LimitError, UnsupportedError
from holdfast.wire.values import MAX_BLOB, MAX_KEY, Document, Int32, RawText

DOUBLE, TEXT, DOCUMENT, ARRAY, BINARY, BOOL, NULL, INT32, INT64 = 0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x0A, 0x10, 0x12

U32: Final = Struct("<I")
I64: Final = Struct("<q")
F64: Final = Struct("<d")

END: Final = b"\0"
"""Closes a name, and a document."""

MANY: Final = 16
"""Elements from which a container is looked at as a whole before it is written."""


# -- names ------------------------------------------------------------------------------------------------------------

INDICES: Final = tuple(b"%d\0" % index for index in range(1000))
"""The names of an array's first elements."""


def indices(count: int) -> Iterable[bytes]:
    """The names of an array's ``count`` elements, or more.

    >>> list(indices(1002))[999:]
    [b'999\\x00', b'1000\\x00', b'1001\\x00']
    """
    return chain(INDICES, map(b"%d\0".__mod__, range(len(INDICES), count)))


def names(document: Document) -> Iterable[bytes]:
    """The names of ``document``'s elements, each with the zero that ends it.

    >>> list(names({"a": 1, "né": 2}))
    [b'a\\x00', b'n\\xc3\\xa9\\x00']
    """
    if len(document) >= MANY:
        raw = "\0".join(document).encode().split(END)
        if len(raw) == len(document) and max(map(len, raw)) <= MAX_KEY:
            return [name + END for name in raw]
    return map(_name, document)


@lru_cache(maxsize=4096)
def _name(name: str) -> bytes:
    raw = name.encode()
    if END in raw:
        raise UnsupportedError(f"the name {name!r} holds a NUL, which BSON's names cannot")
    if len(raw) > MAX_KEY:
        raise LimitError(f"a name of {len(raw):,} bytes is longer than {MAX_KEY:,}")
    return raw + END


# -- plain values -----------------------------------------------------------------------------------------------------


def _text(value: str) -> bytes:
    return _sized(value.encode())


def _raw_text(value: RawText) -> bytes:
    return _sized(value.encode("utf-8", "surrogateescape"))


def _sized(text: bytes) -> bytes:
    if len(text) >= MAX_BLOB:
        raise LimitError(f"a text of {len(text):,} bytes does not fit in BSON")
    return U32.pack(len(text) + 1) + text + END


def _int32(value: Int32) -> bytes:
    return U32.pack(value & 0xFFFFFFFF)


def _nothing(_: None) -> bytes:
    return b""


Encode = Callable[[Any], bytes]

SCALARS: Final[dict[type, tuple[bytes, Encode]]] = {
    kind: (bytes([code]), encode)
    for kind, code, encode in (
        (int, INT64, I64.pack),
        (float, DOUBLE, F64.pack),
        (str, TEXT, _text),
        (bool, BOOL, (b"\0", b"\1").__getitem__),
        (type(None), NULL, _nothing),
        (Int32, INT32, _int32),
        (RawText, TEXT, _raw_text),
    )
}
"""Exact type -> its code, and what gives a value's bytes."""
