"""Julia's numbers as wire values, one by one (those that a document has itself, and primitive structs for the rest), and
many at once."""

from collections.abc import Callable
from struct import unpack
from typing import Any, Final

from holdfast.codec.audit import type_name
from holdfast.errors import FormatError
from holdfast.formats.jld2.datatypes import Datatype
from holdfast.formats.jld2.type_text import core
from holdfast.julia.types import BITS
from holdfast.wire.values import Blob, Document, Int32

PLAIN: Final[dict[str, Callable[[bytes], Any]]] = {
    "Int64": lambda raw: int.from_bytes(raw, "little", signed=True),
    "Int32": lambda raw: Int32(int.from_bytes(raw, "little", signed=True)),
    "Float64": lambda raw: unpack("<d", raw)[0],
}


def number(name: str, raw: memoryview | bytes) -> Any:
    """The number of the Julia type ``name`` that stands in ``raw``.

    >>> number("Int64", b"\\2" + bytes(7)), number("Bool", b"\\1"), number("Float32", bytes(4))["type"]["name"]
    (2, True, ['Core', 'Float32'])
    """
    if name in PLAIN:
        return PLAIN[name](bytes(raw))
    if name == "Bool":
        if raw[0] > 1:
            raise FormatError("a Bool is neither 0 nor 1")
        return bool(raw[0])
    return {"tag": "struct", "type": core(name), "data": Blob(memoryview(bytearray(raw)))}


def elements(vector: Any) -> list[Any]:
    """The elements of a vector's document, each a wire value. Raises FormatError for elements that are no numbers."""
    if type(vector) is list:
        return vector
    name, data = ("UInt8", vector) if type(vector) is Blob else _of_array(vector)
    dtype = BITS.get(name)
    if dtype is None:
        raise FormatError("the elements of a tuple are not in the file")
    width = dtype.itemsize
    return [number(name, data.data[at : at + width]) for at in range(0, data.nbytes, width)]


def _of_array(vector: Any) -> tuple[str, Any]:
    if type(vector) is not dict or vector.get("tag") != "array" or type(vector["data"]) is not Blob:
        raise FormatError("a tuple was written as something that is no vector")
    return type_name(vector["type"]), vector["data"]


def bits(element: Document, size: list[int], raw: memoryview) -> Document:
    """The array whose elements of that type stand in ``raw``; ``size`` is in Julia's order."""
    return {"tag": "array", "type": element, "size": size, "data": Blob(raw)}


def element_of(said: Datatype) -> Document:
    """The type of the elements of an array that says no more than HDF5's datatype."""
    if said.kind == "number":
        return core(said.julia)
    return core("String" if said.kind in ("text", "heap text") else "Any")
