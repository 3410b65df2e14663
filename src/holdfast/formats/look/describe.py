"""What one document of a file is, read off the document itself.

Strategy: the name comes from the choice of rules that ``load`` makes (``codec.audit.rule_of``); the rest is in the
document's keys, one small function a tag. Nothing is built but single numbers, dates and the like, by rules of our own.
A document that is not what its tag says is shown as the plain dictionary that it also is.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from holdfast.codec.audit import rule_of, type_name
from holdfast.codec.rule import Vocabulary
from holdfast.errors import FormatError
from holdfast.formats.look.flux_fields import FIELDS, TURNED
from holdfast.formats.look.objects import Objects
from holdfast.formats.look.seen import Seen, keyed, plain, type_text
from holdfast.julia.types import BITS
from holdfast.julia.values import Struct
from holdfast.vocab.dtypes import dtype_from
from holdfast.wire.values import Blob, Document

PERMUTED: Final = "Base.PermutedDimsArrays.PermutedDimsArray"
TRACKED: Final = "Tracker.TrackedArray"
DICTS: Final = frozenset({"Base.Dict", "Base.IdDict"})
SCALARS: Final = frozenset(
    {*BITS, "Char", "Int128", "UInt128", "Dates.Date", "Dates.DateTime", "Dates.Time"}
    | {f"Base.{name}" for name in ("Complex", "Rational", "UnitRange", "UUID", "Missing")}
)
"""Julia structs that are one value in Python."""

MISFITS: Final = (
    *(FormatError, RecursionError),
    *(TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError),
)
"""What looking at a document raises that is not what its tag says."""


class Describer(Objects):
    """Describes the documents of one file. ``sealed``: Holdfast wrote it, so its plain arrays were NumPy's."""

    def __init__(self, backrefs: list[Any], vocabulary: Vocabulary, *, sealed: bool) -> None:
        super().__init__(backrefs, vocabulary)
        self.sealed, self.dictionary = sealed, vocabulary.named("tag", "dict")
        self.turned: set[int] = set()  # arrays of Flux's layers that Python has with their axes reversed
        self.by_name: set[int] = set()  # NamedTuples of layers, which Python reaches as ``layers['name']``

    def describe(self, node: Any) -> Seen:
        """What ``node`` is, which is no back-reference."""
        if type(node) is list:
            return self._listed("list", node)
        if type(node) is not dict:
            return plain(node)
        try:
            rule, name = rule_of(node, self.vocabulary, self.backrefs)
            read = READERS.get(node.get("tag", "")) if rule is not self.dictionary else None
            return read(self, node, name) if read else Seen("dict", members=keyed(node), length=len(node))
        except MISFITS:
            return Seen("dict", members=keyed(node), length=len(node))

    # -- arrays -------------------------------------------------------------------------------------------------------

    def _array(self, node: Document, name: str) -> Seen:
        """A Julia Array, with Python's own shape and dtype where it says them."""
        dtype, size, data = self.dtype(node), self.size(node), node["data"]
        if type(data) is list:
            seen = self._listed(self._array_type(node, len(size)), data)
            seen.shape, seen.length = size, len(data)
            return seen
        type_ = name if name != "array" else self._array_type(node, len(size))
        return self._python_array(node, Seen(type_, size, dtype and dtype.name, data.nbytes))

    def _python_array(self, node: Document, seen: Seen) -> Seen:
        """The array as Python sees it, where that differs from Julia."""
        if node.get("python") == "bytearray":
            return Seen("bytearray", nbytes=seen.nbytes)
        if node.get("python") == "list":  # of numbers, which travels as a vector
            return Seen("list", nbytes=seen.nbytes, length=sum(seen.shape or ()))
        if isinstance(node.get("dtype"), str | list):
            seen.dtype = node["dtype"] if isinstance(node["dtype"], str) else str(dtype_from(node["dtype"]))
        if "shape" in node:
            seen.shape = tuple(int(n) for n in self.items(node["shape"]))
        elif seen.shape is not None and (id(node) in self.turned or is_turned(node.get("attributes"))):
            seen.shape = seen.shape[::-1]
        return seen

    def _array_type(self, node: Document, ndim: int) -> str:
        if self.sealed and self.dtype(node) is not None:
            return "numpy.ndarray"
        return f"Array{{{self.julia_type(node['type'])},{ndim}}}"

    # -- structs ------------------------------------------------------------------------------------------------------

    def _struct(self, node: Document, name: str) -> Seen:
        """A Julia struct, or a Python value that stands as one."""
        type_ = self.resolve(node["type"])
        julia = type_name(type_)
        if julia == PERMUTED:
            return self._permuted(node, name)
        if julia in DICTS:
            return self._beside(node, self._table(node, self._table_type(node, name, "dict")))
        if julia == "Base.Set":
            return self._beside(node, self._set(node, self._table_type(node, name, "set")))
        if name in SCALARS:
            seen = self._scalar(node)
            if seen:
                return seen
        if type(node["data"]) is Blob:
            return Seen(name, value=f"0x{bytes(node['data'].data[:16])[::-1].hex()}", single=True)
        fields = self.items(node["data"])
        if name == TRACKED and len(fields) == 3:
            return self._tracked(node, name, fields)
        if not fields and "#" in name:
            return Seen(name.replace("#", ""), single=True)
        names = self._field_names(type_, julia, fields) or self.items(node.get("names", []))
        known_as = "closure" if type(type_) is dict and type_.get("tag") == "jl_anonymous" else name or "struct"
        if names and len(names) == len(fields):
            reach = "[{!r}]" if julia == "NamedTuple" and id(node) in self.by_name else ".{}"
            members = [(name, reach.format(name), field) for name, field in zip(names, fields, strict=True)]
            return Seen(known_as, members=members, length=len(names))
        return self._listed(known_as, fields)

    def _table_type(self, node: Document, name: str, python: str) -> str:
        """``dict`` or ``set`` where that is what Julia's type comes back as; Julia's type where it says more."""
        if name not in (*DICTS, "Base.Set"):
            return name
        julia = self.julia_type(node["type"])
        return python if julia in ("Dict{Any,Any}", "Set{Any}") else julia

    def _field_names(self, type_: Any, julia: str, fields: Sequence[Any]) -> list[str]:
        """The names of a NamedTuple's fields, and of those of Flux's structs. Their arrays are known as turned then."""
        if julia == "NamedTuple":
            names = self.resolve(self.items(type_["params"])[0])
            return [str(self.small(self.resolve(name))) for name in self.items(names["data"])]
        forms = FIELDS.get(julia, {})
        found = (forms.get((len(fields), count)) for count in (len(self.elements(type_["params"])), -1) if forms)
        names = next((each.split() for each in found if each is not None), [])
        turned = TURNED.get(julia, "").split()
        for name, field in zip(names, fields, strict=False):
            if name in turned:
                inner = self.resolve(field)
                state = type(inner) is dict and inner.get("tag") == "tuple"  # an LSTM's, of two arrays
                self.turned.update(
                    id(self.resolve(part)) for part in (self.items(inner["data"]) if state else (inner,))
                )
            elif name == "layers":
                self.by_name.add(id(self.resolve(field)))
        return names

    def _tracked(self, node: Document, name: str, fields: list[Any]) -> Seen:
        """A parameter of Tracker's time: (history, values, gradient)."""
        inner, gradient = map(self.resolve, fields[1:])
        if id(node) in self.turned:
            self.turned.update((id(inner), id(gradient)))
        values = self.describe(inner)
        return Seen(
            name, values.shape, values.dtype, members=[("data", ".data", fields[1]), ("grad", ".grad", fields[2])]
        )

    def _permuted(self, node: Document, name: str) -> Seen:
        """Axes in reverse order are NumPy's C order."""
        params = self.items(self.resolve(node["type"])["params"])
        inner = self.resolve(self.items(node["data"])[0])
        size, dtype = self.size(inner), self.dtype(inner)
        order = self.small(self.resolve(params[2]))
        whole = type(order) is tuple and sorted(order) == [axis + 1 for axis in range(len(size))]
        if (
            not whole
            or type(inner["data"]) is not Blob
            or (name == PERMUTED and order != tuple(range(len(size), 0, -1)))
        ):
            return self._listed(name, self.items(node["data"]))
        type_ = "numpy.ndarray" if name == PERMUTED else name
        shape = tuple(size[axis - 1] for axis in order)
        return self._python_array(node, Seen(type_, shape, dtype and dtype.name, inner["data"].nbytes))

    # -- values -------------------------------------------------------------------------------------------------------

    def _scalar(self, node: Document) -> Seen | None:
        value = self.small(node)
        if value is None or isinstance(value, Struct):
            return None
        return Seen(type_text(value), value=value, single=True)

    def _named(self, node: Document, name: str) -> Seen:
        """A symbol, a reference to a module, a type: one value."""
        value = self.small(node)
        types = {"symbol": "Symbol", "ref": "Ref", "jl_bottom_type": "Union{}", "jl_anonymous": "closure"}
        if name in ("datatype", "unionall"):
            return Seen("DataType", value=self.julia_type(node), single=True)
        return Seen(
            types[name], value=value if isinstance(value, str) else None if value is None else repr(value), single=True
        )

    # -- Python's own --------------------------------------------------------------------------------------------------

    def _python(self, node: Document, name: str) -> Seen:
        """An object with no Julia counterpart: its state is its attributes, its items, or one value."""
        if "slabs" in node:
            return self._slabs(node, name)
        if "base" in node and "strides" in node:
            return self._view(node, name)
        if node.keys() == {"tag", "type"}:  # a function or class that stands as a value
            return Seen(name, single=True)
        return self._alone(node, name) or self._object(node, name)

    def _view(self, node: Document, name: str) -> Seen:
        """A tensor on the memory of another."""
        return Seen(name, self.size(node), str(node["dtype"]), base=node["base"])

    def _slabs(self, node: Document, name: str) -> Seen:
        """An array in pieces, because it is too large for one binary."""
        size, pieces = self.size(node), [self.resolve(piece) for piece in self.items(node["slabs"])]
        nbytes = sum(piece["data"].nbytes for piece in pieces)
        return self._python_array(node, Seen(name, size, dtype_from(node["carrier"]).name, nbytes))


READERS: Final[dict[Any, Callable[[Describer, Document, str], Seen]]] = {
    "array": Describer._array,
    "struct": Describer._struct,
    "python": Describer._python,
    "tuple": Describer._sequence,
    "svec": Describer._sequence,
    **dict.fromkeys(("symbol", "ref", "datatype", "unionall", "jl_anonymous", "jl_bottom_type"), Describer._named),
}
"""Tag -> how a document that has it is read."""


def is_turned(attributes: Any) -> bool:
    """Whether an array says itself that its axes are Julia's reversed: what Python saved of a Flux layer does."""
    return type(attributes) is dict and attributes.get("julia_axes") == "reversed"
