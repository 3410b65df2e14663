"""Julia's values in Python: what has no Python type of its own, inert and readable.

Strategy: values that Python has (texts, ints, lists, NumPy arrays …) come back as those. The rest are the small classes
below: they can be looked at, changed and saved again as the same Julia value. Nothing here runs Julia code, and nothing
is looked up by a name from a file.
"""

from collections.abc import Iterable, Iterator, Sequence
from reprlib import Repr
from typing import Any

import numpy as np

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
    "Struct",
    "Symbol",
    "SimpleVector",
    "UInt128",
    "UnionAll",
    "bottom",
    "missing",
]


class Symbol(str):
    """A Julia Symbol: a ``str`` that is written as ``:name``.

    >>> Symbol("relu"), Symbol("relu") == "relu"
    (:relu, True)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f":{self}" if self.isidentifier() else f'Symbol("{self}")'


class Char(str):
    """A Julia Char: a ``str`` of one character."""

    __slots__ = ()


class Int128(int):
    """A Julia Int128."""

    __slots__ = ()


class UInt128(int):
    """A Julia UInt128."""

    __slots__ = ()


class SimpleVector(tuple[Any, ...]):
    """Julia's ``svec``: a tuple that only Julia's own structures use."""

    __slots__ = ()


class _Single:
    """A value of which there is one."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __bool__(self) -> bool:
        return False


missing = _Single("missing")
bottom = _Single("Union{}")


class DataType:
    """A Julia type: a dotted name as Julia wrote it, and parameters (types, ints, symbols, tuples).

    >>> DataType(["Core", "Array"], [DataType(["Core", "Float32"]), 2])
    Array{Float32, 2}
    """

    __slots__ = ("name", "params")

    def __init__(self, name: Sequence[str] = (), params: Any = ()) -> None:
        self.name = tuple(name)
        self.params: Any = params if isinstance(params, np.ndarray) else list(params)

    def __eq__(self, other: object) -> bool:
        pairs: list[tuple[Any, Any]] = [(self, other)]
        met = set[tuple[int, int]]()
        while pairs:  # a type may stand many times in another, and in itself
            a, b = pairs.pop()
            if a is b or (id(a), id(b)) in met:
                continue
            met.add((id(a), id(b)))
            if not (isinstance(a, DataType) and isinstance(b, DataType)):
                if isinstance(a, DataType) or isinstance(b, DataType) or a != b:
                    return False
            elif a.name != b.name or len(a.params) != len(b.params):
                return False
            else:
                pairs.extend(zip(a.params, b.params, strict=True))
        return True

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        name = self.name[-1] if self.name else "?"
        if name.startswith("#") and not len(self.params):
            return f"typeof({name[1:]})"
        if isinstance(self.params, Array):
            return f"{name}{{{_short(self.params)}}}"
        return name + ("{" + ", ".join(_short(p) for p in self.params) + "}" if len(self.params) else "")


class UnionAll:
    """``body where var``."""

    __slots__ = ("body", "var")

    def __init__(self, var: Any = None, body: Any = None) -> None:
        self.var, self.body = var, body

    def __repr__(self) -> str:
        return f"{_short(self.body)} where {_short(self.var)}"


class AnonymousType:
    """The type of a closure, with the whole method table that the file holds: Julia code, which stays inert."""

    __slots__ = ("params", "typename")

    def __init__(self, typename: Any = None, params: Any = ()) -> None:
        self.typename, self.params = typename, params

    @property
    def name(self) -> str:
        """The closure's name, such as ``#3#4``."""
        return str(self.typename.data[1]) if isinstance(self.typename, Struct) and len(self.typename.data) > 1 else "#?"

    @property
    def source(self) -> tuple[str, int] | None:
        """The Julia source file and the line where the closure was written, if the file says so."""
        return next(_methods(self.typename), None)

    def __repr__(self) -> str:
        place = self.source
        return f"closure {self.name}" + (f" from {place[0]}:{place[1]}" if place else "")


def _methods(typename: Any) -> Iterator[tuple[str, int]]:
    """(source file, line) of each method that a closure's TypeName holds."""
    stack = list(typename.data) if isinstance(typename, Struct) and isinstance(typename.data, list) else []
    for _ in range(10_000):
        if not stack:
            return
        item = stack.pop(0)
        if isinstance(item, list):
            stack[:0] = item
        elif isinstance(item, Struct) and item.name.endswith("Method") and len(item.data) > 3:
            yield str(item.data[2]), int(item.data[3])


class Struct:
    """A Julia struct of a type that Python does not know: its type and its fields by position.

    ``data`` is a list of fields, or ``bytes`` for a primitive type. ``struct[i]`` is field i. ``names`` are those of the
    fields, where the file has them (JLD2's do); ``struct["x"]`` is then the field ``x``. Julia's array wrappers
    (Adjoint, SubArray …) become NumPy arrays with ``numpy.asarray(struct)``.

    >>> Struct(DataType(["Main", "Point"]), [1.0, 2.0])
    Point(1.0, 2.0)
    >>> Struct(DataType(["Main", "Point"]), [1.0, 2.0], ["x", "y"])["y"]
    2.0
    """

    __slots__ = ("__weakref__", "data", "names", "type")

    def __init__(self, type: Any = None, data: Any = (), names: Iterable[str] = ()) -> None:
        self.type = type
        self.data: Any = data if isinstance(data, bytes) else list(data)
        self.names = tuple(names)

    @property
    def name(self) -> str:
        """The type's full name, such as ``Main.Point``."""
        return ".".join(self.type.name) if isinstance(self.type, DataType) else str(self.type)

    def __getitem__(self, index: int | str) -> Any:
        return self.data[self._place(index)]

    def __setitem__(self, index: int | str, value: Any) -> None:
        self.data[self._place(index)] = value

    def _place(self, index: int | str) -> int:
        if not isinstance(index, str):
            return index
        if index not in self.names:
            raise KeyError(index)
        return self.names.index(index)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        """A struct without fields, such as a function, is something too."""
        return True

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        from holdfast.julia.arrays import as_array

        array = as_array(self)
        return array if dtype is None else array.astype(dtype)

    def __repr__(self) -> str:
        if isinstance(self.type, DataType) and self.type.name and self.type.name[-1].startswith("#") and not self.data:
            return ".".join([*self.type.name[:-1], self.type.name[-1][1:]])
        if isinstance(self.data, bytes):
            return f"{_short(self.type)}(0x{self.data[::-1].hex()})"
        head = repr(self.type) if isinstance(self.type, AnonymousType) else _short(self.type)
        names = [f"{name}=" for name in self.names] if len(self.names) == len(self.data) else [""] * len(self.data)
        return f"{head}({', '.join(n + _short(value) for n, value in zip(names, self.data, strict=True))})"


class Ref:
    """A Julia module or global, by its path: ``Ref("Main.Base")``."""

    __slots__ = ("path",)

    def __init__(self, path: Iterable[str] | str = ()) -> None:
        self.path = tuple(path.split(".")) if isinstance(path, str) else tuple(path)

    def __repr__(self) -> str:
        return ".".join(self.path)


class Array:
    """A Julia array whose elements NumPy has no type for: element type, size in Julia's order, column-major elements.

    ``data`` is a list of values, or the raw ``bytes`` of bits types.
    """

    __slots__ = ("data", "size", "type")

    def __init__(self, type: Any = None, size: Sequence[int] = (), data: Any = ()) -> None:
        self.type, self.size, self.data = type, tuple(size), data

    def __len__(self) -> int:
        return self.size[0] if self.size else 1

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        from holdfast.julia.arrays import as_array

        array = as_array(self)
        return array if dtype is None else array.astype(dtype)

    def __repr__(self) -> str:
        return f"Array{{{_short(self.type)}}}({'×'.join(map(str, self.size)) or 'scalar'})"


class NamedTuple(tuple[Any, ...]):
    """A Julia NamedTuple: a tuple whose fields have names. ``type`` is Julia's, when the file said it.

    >>> point = NamedTuple(["x", "y"], [1, 2.5])
    >>> point, point.x, point["y"], point[0]
    ((x = 1, y = 2.5), 1, 2.5, 1)
    """

    names: tuple[str, ...]
    type: Any

    def __new__(cls, names: Iterable[str], values: Iterable[Any], type: Any = None) -> "NamedTuple":
        self = super().__new__(cls, values)
        self.names, self.type = tuple(map(str, names)), type
        if len(self.names) != len(self):
            raise ValueError(f"{len(self.names)} names for {len(self)} values")
        return self

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("names", ()):
            return self[self.names.index(name)]
        raise AttributeError(name)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self.names.index(key) if isinstance(key, str) else key)

    def items(self) -> list[tuple[str, Any]]:
        return list(zip(self.names, self, strict=True))

    def __repr__(self) -> str:
        inner = ", ".join(f"{name} = {_short(value)}" for name, value in self.items())
        return f"({inner}{',' if len(self) == 1 else ''})"


class Dict(dict[Any, Any]):
    """A Julia Dict whose key and value types are not both ``Any``; ``type`` is Julia's."""

    type: Any = None


class IdDict(dict[Any, Any]):
    """A Julia IdDict: keys that Python cannot hash stand in ``ByIdentity``; ``type`` is Julia's."""

    type: Any = None


class Set(set[Any]):
    """A Julia Set whose element type is not ``Any``; ``type`` is Julia's."""

    type: Any = None


class ByIdentity:
    """A dictionary key that stands for one object, hashable or not."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        return _short(self.value)


class _Brief(Repr):
    """``repr`` that stays short in wide, deep and cyclic values."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxtuple, self.maxlist, self.maxdict = 3, 8, 8, 8
        self.maxstring = self.maxother = 200
        self.depth = 0

    def repr_instance(self, x: Any, level: int) -> str:
        if isinstance(x, np.ndarray):
            return f"{x.dtype}[{'×'.join(map(str, x.shape))}]"
        if self.depth >= self.maxlevel:
            return "…"
        self.depth += 1
        try:
            text = repr(x)
        finally:
            self.depth -= 1
        return text if len(text) <= self.maxother else text[: self.maxother - 1] + "…"


_BRIEF = _Brief()


def _short(value: Any) -> str:
    return _BRIEF.repr(value)
