"""The values of a JLD2 file as the documents that BSON.jl would have written of them.

Strategy: an object is made once for each address, so what was one object is one document. References are not followed
while a value is made: they are put on a list and followed afterwards, one by one, so neither depth nor a cycle costs a
recursion. What can only be said when all parts are there (fields without data, dictionaries) is finished at the end.

Source: JLD2.jl, src/data/, of 0.1 to 0.6.
"""

from collections.abc import Callable
from math import prod
from typing import Any, Final
from weakref import ref

import numpy as np

from holdfast.errors import FormatError, LimitError
from holdfast.formats.document.tables import table
from holdfast.formats.jld2 import finish
from holdfast.formats.jld2.datatypes import HEAP_ID, MAX_NESTING, Datatype
from holdfast.formats.jld2.numbers import bits, element_of, number
from holdfast.formats.jld2.objects import Object, Objects
from holdfast.formats.jld2.storage import Heap, Once, elements, stored
from holdfast.formats.jld2.type_text import core
from holdfast.formats.jld2.types import JuliaType, Types, addresses, is_null
from holdfast.julia.types import BITS
from holdfast.wire.values import MAX_VALUES, Blob, Document

TYPES: Final = "_types"
"""The group of the root in which a file keeps its types."""


class Reference(int):
    """The address of an object that is to stand here."""

    __slots__ = ()


class Later:
    """A value that is known when its type's parameters are; ``make`` gives it."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def _there(weak: "ref[Values]") -> "Values":
    found = weak()
    assert found is not None, "types are read for values only"
    return found


class Values:
    """Makes the values of one file, each once."""

    def __init__(self, data: memoryview) -> None:
        self.objects = Objects(data)
        self.heap = Heap(self.objects)
        weak = ref(self)  # a ring would keep the file mapped until the collector comes by
        self.types = Types(self.objects, self.heap, lambda *wanted: _there(weak)._defer(*wanted))
        self.left, self.once = MAX_VALUES, Once(len(data), "the values")
        self._made: dict[int, Any] = {}
        self._texts: dict[bytes, str] = {}
        self._wanted: list[tuple[Any, Any, int]] = []
        self._open: list[Callable[[], None]] = []
        self._tables: list[Callable[[], None]] = []

    def names(self) -> dict[str, int]:
        """The top-level names and the addresses of their values."""
        root = self.objects.read(self.objects.root)
        if not root.group:
            raise FormatError("the file has no group of names at its root")
        return {name: address for name, address in root.links.items() if name != TYPES}

    def at(self, address: int) -> Any:
        """The whole value at ``address``, with all that it refers to."""
        holder: list[Any] = [None]
        self._defer(holder, 0, address)
        try:
            self._complete()
        except BaseException:
            for kept in (self._made, self.types.known):
                kept.clear()  # half of it is made: the next call begins anew
            for waiting in (self._wanted, self._open, self._tables, self.types.documents):
                waiting.clear()
            self.once.restart()
            self.heap.named.restart()
            raise
        return holder[0]

    def _defer(self, holder: Any, place: Any, address: int) -> None:
        self._count()
        self._wanted.append((holder, place, address))

    def _count(self, number: int = 1) -> None:
        self.left -= number
        if self.left < 0:
            raise LimitError(f"the file holds more than {MAX_VALUES:,} values")

    def _complete(self) -> None:
        """Follow all references, then finish what waited for them: types, then structs, then dictionaries."""
        while self._wanted:
            holder, place, address = self._wanted.pop()
            holder[place] = self._object(address)
        for document in self.types.documents:
            finish.type_document(document)
        for waiting in (self._open, self._tables):
            for act in waiting:
                act()
            waiting.clear()
        self.types.documents.clear()

    def _put(self, holder: Any, place: Any, value: Any) -> None:
        """``holder[place] = value``, now or when the object that is meant has been read."""
        self._count()
        if type(value) is Reference:
            if is_null(value):
                holder[place] = finish.UNDEFINED
            else:
                self._defer(holder, place, value)
        elif type(value) is Later:
            self._open.append(lambda: holder.__setitem__(place, value.make()))
        else:
            holder[place] = value

    # -- objects ------------------------------------------------------------------------------------------------------

    def _object(self, address: int) -> Any:
        if address not in self._made:
            found = self.objects.read(address)
            if found.group:
                self._made[address] = self._group(found)
            elif found.layout is None:
                self._made[address] = self.types.of(address, found).document
            else:
                self._made[address] = self._dataset(found)
        return self._made[address]

    def _group(self, found: Object) -> Any:
        """A group is a dictionary of its names."""
        document, values = table(found.links)
        for name, address in found.links.items():
            self._defer(values, name if values is document else list(found.links).index(name), address)
        return document

    def _dataset(self, found: Object) -> Any:
        if found.datatype is None or found.space is None:
            raise FormatError(f"the value at address {found.address:,} has no type or no shape")
        size = self._size(found)
        if size is not None:
            return self._array(found, found.datatype, size)
        datatype_, julia = self._resolved(found.datatype)
        if julia is not None and julia.empty:
            return self._empty(julia)
        if found.space.size is None:
            return {"tag": "jl_bottom_type"} if julia is None else self._empty(julia)
        value = self._value(datatype_, julia, elements(self.objects, found, 1, datatype_.size, self.once), 0)
        if type(value) is Reference:
            raise FormatError("a reference stands where a value should", found.address)
        return value

    def _resolved(self, said: Datatype) -> tuple[Datatype, JuliaType | None]:
        """HDF5's datatype, and Julia's where it is committed."""
        if said.kind != "committed":
            return said, None
        julia = self.types.of(said.address)
        return julia.datatype, julia

    def _size(self, found: Object) -> list[int] | None:
        """The size of an array in Julia's order; None for what is none.

        Arrays of no axes, and arrays of values that take no bytes, have it in an attribute.
        """
        assert found.space is not None
        said = found.attributes.get("dimensions")
        if said is not None:
            size = addresses(said.raw)
        elif found.space.scalar or found.space.size is None:
            return None
        else:
            size = list(found.space.size)
        if prod(size) >= 2**63:
            raise LimitError(f"an array of size {size[::-1]}")
        return size[::-1]

    # -- arrays -------------------------------------------------------------------------------------------------------

    def _array(self, found: Object, said: Datatype, size: list[int]) -> Any:
        datatype_, julia = self._resolved(said)
        element = julia.document if julia is not None else element_of(datatype_)
        if found.space is not None and found.space.size is None:
            return bits(element, size, memoryview(b""))
        count = prod(size)
        if datatype_.kind == "number" or (julia is not None and julia.stays_raw):
            raw = stored(self.objects, found, count * datatype_.size)
            return Blob(raw) if datatype_.julia == "UInt8" and len(size) == 1 else bits(element, size, raw)
        self._count(count)
        raw = elements(self.objects, found, count, datatype_.size, self.once)
        items: list[Any] = [None] * count
        step = datatype_.size
        for place in range(count):
            self._put(items, place, self._value(datatype_, julia, raw[place * step : (place + 1) * step], 0))
        if len(size) == 1:
            return items
        document = {"tag": "array", "type": element, "size": size, "data": items}
        kind = found.attributes.get("julia_type")
        if kind is not None and kind.datatype.kind == "reference":
            self._put(document, "type", Reference(addresses(kind.raw)[0]))
        return document

    # -- values -------------------------------------------------------------------------------------------------------

    def _value(self, said: Datatype, julia: JuliaType | None, raw: memoryview, depth: int) -> Any:
        """One value of the bytes ``raw``: a wire value, or the reference that stands for it."""
        self._count()
        if depth > MAX_NESTING:
            raise LimitError(f"structs stand inside one another more than {MAX_NESTING} deep")
        if julia is None:
            return self._plain(said, raw, depth)
        if julia.empty:
            return self._empty(julia)
        if julia.written:
            return self._rewritten(julia, self._unnamed(julia, raw, depth))
        if said.kind == "compound":
            make = COMPOUNDS.get(julia.name)
            return make(self, julia, raw) if make else self._struct(julia, raw, depth)
        if said.kind == "opaque" and BITS.get(julia.name, NONE).itemsize == said.size:
            return number(julia.name, raw)
        if said.kind == "opaque":
            return {"tag": "struct", "type": julia.document, "data": Blob(memoryview(bytearray(raw)))}
        value = self._plain(said, raw, depth)
        if julia.name == "Symbol" and isinstance(value, str):
            return {"tag": "symbol", "name": value}
        return value

    def _plain(self, said: Datatype, raw: memoryview, depth: int) -> Any:
        """A value that Julia's type is not committed for."""
        if said.kind == "number":
            return number(said.julia, raw)
        if said.kind == "text":
            return str(raw, "utf-8", "surrogateescape")
        if said.kind == "heap text":
            return self._text(bytes(raw))
        if said.kind == "reference":
            return Reference(int.from_bytes(raw, "little"))
        if said.kind == "opaque":
            return Blob(memoryview(bytearray(raw)))
        if said.kind == "compound":
            return self._members(said, raw, depth)
        return self._list(said, raw, depth)

    def _text(self, raw: bytes) -> Any:
        """A text in the heap; the same text for the same place."""
        if raw not in self._texts:
            found = self.heap.get(raw)
            if found is None:
                return finish.UNDEFINED
            self._texts[raw] = str(found, "utf-8", "surrogateescape")
        return self._texts[raw]

    def _list(self, said: Datatype, raw: memoryview, depth: int) -> list[Any]:
        """Values of any number in the heap."""
        found, base = self.heap.get(raw), said.base
        assert base is not None
        count = len(found) // base.size if found is not None and base.size else 0
        items: list[Any] = [None] * count
        for place in range(count):
            part = (found or raw)[place * base.size : (place + 1) * base.size]
            self._put(items, place, self._plain(base, part, depth + 1))
        return items

    def _members(self, said: Datatype, raw: memoryview, depth: int) -> Any:
        """A struct without a Julia type: a dictionary of its fields."""
        document, values = table([name for name, _, _ in said.members])
        for place, (name, offset, member) in enumerate(said.members):
            value = self._plain(member, raw[offset : offset + member.size], depth + 1)
            self._put(values, name if values is document else place, value)
        return document

    def _fields(self, julia: JuliaType, raw: memoryview, depth: int) -> dict[str, Any]:
        """The fields that are in the file, by name, in Julia's order."""
        members = {name: (offset, member) for name, offset, member in julia.datatype.members}
        fields: dict[str, Any] = {}
        for name in julia.names:
            address = (julia.fields or {}).get(name)
            own = self.types.of(address) if address is not None else None
            if name in members:
                offset, member = members[name]
                if own is not None and own.datatype.size != member.size:
                    raise FormatError(f"the field {name!r} of a {julia.name} is not of its type")
                said = own.datatype if own is not None else member
                fields[name] = self._value(said, own, raw[offset : offset + member.size], depth + 1)
            elif own is not None:
                fields[name] = self._empty(own)
        return fields

    def _struct(self, julia: JuliaType, raw: memoryview, depth: int) -> Any:
        """A struct, tuple or named tuple, with the fields that the file has."""
        fields = self._fields(julia, raw, depth)
        if julia.name == "JLD2.InlineUnionEl":
            return self._either(julia, fields)
        data: list[Any] = [None] * len(fields)
        document: Document = {"tag": "struct", "type": julia.document, "data": data}
        if julia.name == "UnionAll" and fields.keys() == {"var", "body"}:
            document = {"tag": "unionall", "var": None, "body": None}
            for name in fields:
                self._put(document, name, fields[name])
            return document
        if julia.name in finish.TUPLES:
            document = {"tag": "tuple", "data": data}
        for place, name in enumerate(fields):
            self._put(data, place, fields[name])
        names = list(fields)
        self._open.append(lambda: finish.fields(document, julia.document, names))
        if julia.name in finish.ROUGH or julia.name.startswith(finish.OPTIMISERS):
            self._tables.append(lambda: finish.tables_in(document, julia.name, names))
        return document

    def _either(self, julia: JuliaType, fields: dict[str, Any]) -> Any:
        """An element of an array of a Union: which of two types it is, and a value of each."""
        second = bool(fields["mask"]["data"].data[0])
        name = "t2" if second else "t1"
        if name in fields:
            return fields[name]
        return Later(lambda: finish.single(julia.document["params"][int(second)]))

    def _empty(self, julia: JuliaType) -> Any:
        """The one value of a type that has no data."""
        if julia.name == "Nothing":
            return None
        if julia.name == "TypeofBottom":
            return {"tag": "jl_bottom_type"}
        document = finish.blank(julia.document)
        self._open.append(lambda: finish.fields(document, julia.document, []))
        return document

    # -- values that stand as another -----------------------------------------------------------------------------------

    def _unnamed(self, julia: JuliaType, raw: memoryview, depth: int) -> Any:
        """What a package wrote in place of a value."""
        if julia.datatype.kind != "compound":
            return self._plain(julia.datatype, raw, depth)
        return list(self._fields(julia, raw, depth).values())

    def _rewritten(self, julia: JuliaType, inner: Any) -> Any:
        """A value of which another was written: the vector of a dictionary's pairs, the text of a large number …"""
        holder: list[Any] = [None]
        if type(inner) is list:
            holder = [None] * len(inner)
            for place, item in enumerate(inner):
                self._put(holder, place, item)
        else:
            self._put(holder, 0, inner)
        if julia.name in finish.DIRECT and isinstance(inner, str):
            return finish.DIRECT[julia.name](inner)
        document: Document = {"tag": "struct", "type": julia.document, "data": []}
        self._tables.append(lambda: finish.rewritten(document, julia.name, holder))
        return document

    # -- types as values ------------------------------------------------------------------------------------------------

    def _type(self, julia: JuliaType, raw: memoryview) -> Document:
        return self.types.type_value(raw)

    def _union(self, julia: JuliaType, raw: memoryview) -> Document:
        """``Union{A,B,C}``: Julia has it as A and Union{B,C}."""
        if len(raw) != 3 * HEAP_ID:
            raise FormatError(f"a Union of {len(raw)} bytes")
        lists = [self.heap.get(raw[at : at + HEAP_ID]) for at in (HEAP_ID, 2 * HEAP_ID)]
        found = [address for part in lists if part is not None for address in addresses(part)]
        if not found:
            return {"tag": "jl_bottom_type"}
        whole: Document = {"tag": "struct", "type": UNION, "data": [None, None]}
        document = whole
        for address in found[:-2]:
            self._put(document["data"], 0, Reference(address))
            document["data"][1] = {"tag": "struct", "type": UNION, "data": [None, None]}
            document = document["data"][1]
        for place, address in enumerate(found[-2:]):
            self._put(document["data"], place, Reference(address))
        return whole


NONE: Final = np.dtype("V0")
"""The dtype of what is no number of NumPy's."""

UNION: Final = core("Union")

COMPOUNDS: Final[dict[str, Callable[[Values, JuliaType, memoryview], Any]]] = {
    "DataType": Values._type,
    "Union": Values._union,
}
"""Types whose values are types."""
