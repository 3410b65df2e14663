"""The Julia types that a JLD2 file commits: name, parameters, fields, and how a value of the type stands in the file.

Strategy: a committed datatype is HDF5's datatype with Julia's beside it, in attributes. It is read once for each address;
its parameters are references to other objects and are filled in when those are read.

Source: JLD2.jl, src/data/writing_datatypes.jl.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from holdfast.codec.audit import type_name
from holdfast.errors import FormatError
from holdfast.formats.jld2.cursor import UNDEFINED
from holdfast.formats.jld2.datatypes import HEAP_ID, Datatype, is_numbers
from holdfast.formats.jld2.objects import Attribute, Object, Objects
from holdfast.formats.jld2.storage import Heap
from holdfast.formats.jld2.type_text import datatype_of, named
from holdfast.wire.values import Document

DATATYPE_SIZE: Final = 2 * HEAP_ID
"""Bytes of a type: its name and its parameters, both in the heap."""

Defer = Callable[[Any, int, int], None]
"""(list, place, address): put the object at that address there, later."""


@dataclass(slots=True, eq=False)
class JuliaType:
    """A Julia type and how its values stand in the file.

    document  the type as BSON.jl writes it; its parameters may be filled in later
    datatype  HDF5's datatype of a value
    names     the fields in Julia's order; those without data are not in ``datatype``
    fields    the address of a field's own committed type, by name
    written   the name of the type that stands for it in the file, where a package writes another; else ""
    empty     whether there is one value of the type, so that nothing is stored
    """

    document: Document
    datatype: Datatype
    names: tuple[str, ...] = ()
    fields: dict[str, int] | None = None
    written: str = ""
    empty: bool = False

    @property
    def name(self) -> str:
        """The type's name without the modules that vary."""
        return type_name(self.document)

    @property
    def stays_raw(self) -> bool:
        """Whether an array of the type is kept as bytes: numbers of other packages, and pairs of numbers."""
        if self.written or self.datatype.kind in ("opaque", "number"):
            return not self.written and not self.empty
        return self.name in ("Base.Complex", "Base.Rational") and is_numbers(self.datatype)


class Types:
    """The committed types of a file, by address."""

    def __init__(self, objects: Objects, heap: Heap, defer: Defer) -> None:
        self.objects, self.heap, self.defer = objects, heap, defer
        self.known: dict[int, JuliaType] = {}
        self.documents: list[Document] = []
        """Types that were read and are to be looked at when their parameters are there."""

    def of(self, address: int, found: Object | None = None) -> JuliaType:
        """The type that is committed at ``address``."""
        if address not in self.known:
            found = found or self.objects.read(address)
            if found.datatype is None or found.datatype.kind == "committed" or found.layout is not None:
                raise FormatError(f"what stands at address {address:,} is no type")
            self.known[address] = self._read(found, found.datatype)
        return self.known[address]

    def _read(self, found: Object, datatype: Datatype) -> JuliaType:
        said = found.attributes.get("julia_type")
        written = found.attributes.get("written_type")
        names, fields = self._fields(found, datatype)
        return JuliaType(
            self._type_in(said) if said is not None else named(["HDF5", datatype.kind]),
            datatype,
            names,
            fields,
            type_name(self._type_in(written)) if written is not None else "",
            "empty" in found.attributes,
        )

    def _type_in(self, attribute: Attribute) -> Document:
        """The type that an attribute holds: as a struct of JLD2's, or as the text of the older JLD."""
        if attribute.datatype.kind == "text":
            return datatype_of(str(attribute.raw, "utf-8", "replace").rstrip("\0"))
        return self.type_value(attribute.raw)

    def type_value(self, raw: memoryview) -> Document:
        """A type that stands as a value: its name and the addresses of its parameters."""
        if len(raw) < DATATYPE_SIZE:
            raise FormatError(f"a type of {len(raw)} bytes")
        name, params = self.heap.get(raw[:HEAP_ID]), self.heap.get(raw[HEAP_ID:DATATYPE_SIZE])
        if name is None:
            raise FormatError("a type without a name")
        document = datatype_of(str(name, "utf-8", "replace"))
        if params is not None:
            found = addresses(params)
            document["params"] = [None] * len(found)
            for place, address in enumerate(found):
                self.defer(document["params"], place, address)
        self.documents.append(document)
        return document

    def _fields(self, found: Object, datatype: Datatype) -> tuple[tuple[str, ...], dict[str, int]]:
        """The names of the fields and the types that are committed for them.

        Since JLD2 0.4.54 fields without data are named as well; before, only those which have data.
        """
        names = [name for name, _, _ in datatype.members]
        said = found.attributes.get("field_names")
        if said is not None:
            names = [self._text(said.raw[at : at + HEAP_ID]) for at in range(0, len(said.raw), HEAP_ID)]
            if len(set(names)) != len(names) or not {name for name, _, _ in datatype.members} <= set(names):
                raise FormatError("a struct's fields are not those of its type")
        types = found.attributes.get("field_types") or found.attributes.get("field_datatypes")
        places = addresses(types.raw) if types is not None else []
        if types is not None and len(places) != len(names):
            raise FormatError(f"a struct of {len(names)} fields has {len(places)} types")
        return tuple(names), {n: a for n, a in zip(names, places, strict=False) if not is_null(a)}

    def _text(self, raw: memoryview) -> str:
        found = self.heap.get(raw)
        return "" if found is None else str(found, "utf-8", "replace")


def addresses(raw: memoryview) -> list[int]:
    """References as addresses."""
    if len(raw) % 8:
        raise FormatError(f"references in {len(raw)} bytes")
    return [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]


def is_null(address: int) -> bool:
    """Whether a reference leads nowhere: a field or an element that Julia never set."""
    return address in (0, UNDEFINED)
