"""Whether two documents say the same: what BSON.jl would build from them is equal, and shared in the same places.

Strategy: both are walked together from the top. Back-references are followed, so that it does not matter where a shared
part stands. What is one array, vector or mutable struct in several places of one document must be one in the other;
types, tuples and immutable structs are copied freely, by BSON.jl too. Keys that BSON.jl does not know are Holdfast's own
and are passed over. The order of sets and dictionaries is free.
"""

from typing import Any

from holdfast.codec.audit import backrefs_of, resolve
from holdfast.julia.types import short_name
from holdfast.wire.values import Blob

KNOWN = {
    "struct": ("type", "data"),
    "array": ("type", "size", "data"),
    "tuple": ("data",),
    "svec": ("data",),
    "symbol": ("name",),
    "datatype": ("name", "params"),
    "unionall": ("var", "body"),
    "ref": ("path",),
    "jl_anonymous": ("typename", "params"),
    "jl_bottom_type": (),
}
"""Tag -> the keys that BSON.jl reads."""

COPIED = frozenset({"tuple", "svec", "symbol", "datatype", "unionall", "ref", "jl_anonymous", "jl_bottom_type"})
"""Tags of values of which it does not matter whether two are one."""

IMMUTABLE = ("TrackedArray", "Dense", "Chain", "Conv", "typeof", "Call", "Adjoint", "Transpose", "PermutedDimsArray")
"""Structs that BSON.jl copies too, where they stand twice."""

UNORDERED = frozenset({"Base.Dict", "Base.IdDict"})
OWN = frozenset({"_backrefs", "_holdfast"})


class Differ(Exception):
    """Where two documents part."""


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """The first place in which the documents differ, or nothing.

    >>> difference({"a": 1}, {"a": 1, "_backrefs": []}), difference({"a": [1]}, {"a": [2]})
    ('', '$.a[0]: 1, not 2')
    """
    try:
        Walk(ours, theirs).run()
    except Differ as found:
        return str(found)
    return ""


class Walk:
    """Two documents side by side. ``twins`` are pairs of nodes that were found to be, or are taken to be, the same."""

    def __init__(self, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
        self.documents = ours, theirs
        self.backrefs = backrefs_of(ours), backrefs_of(theirs)
        self.twins: set[tuple[int, int]] = set()
        self.partner: dict[int, int] = {}
        self.origin: dict[int, int] = {}

    def run(self) -> None:
        ours, theirs = ({k: v for k, v in document.items() if k not in OWN} for document in self.documents)
        if isinstance(ours.get("tag"), str):
            self.walk([("$", ours, theirs)])
        else:
            self.walk(list(keyed("$", ours, theirs)))

    def walk(self, stack: list[tuple[str, Any, Any]]) -> None:
        while stack:
            path, a, b = stack.pop()
            a, b = resolve(a, self.backrefs[0]), resolve(b, self.backrefs[1])
            if isinstance(a, dict | list) and isinstance(b, dict | list):
                if (id(a), id(b)) not in self.twins:
                    self.pair(path, a, b)
                    stack.extend(reversed(list(self.parts(path, a, b))))
            elif plain(a) != plain(b):
                raise Differ(f"{path}: {brief(a)}, not {brief(b)}")

    def pair(self, path: str, a: Any, b: Any) -> None:
        """Note that ``a`` is ``b``: what is shared on one side is shared on the other."""
        self.twins.add((id(a), id(b)))
        if not self.shared(a, 0) and not self.shared(b, 1):
            return
        if self.partner.setdefault(id(a), id(b)) != id(b):
            raise Differ(f"{path}: one object in ours, two in theirs ({brief(a)})")
        if self.origin.setdefault(id(b), id(a)) != id(a):
            raise Differ(f"{path}: two objects in ours, one in theirs ({brief(a)})")

    def shared(self, node: Any, side: int) -> bool:
        """Whether it matters that ``node`` is this very object."""
        if isinstance(node, list) or node.get("tag") in (None, "array"):
            return True
        if node["tag"] in COPIED:
            return False
        name = self.name(node, side)
        return not isinstance(node.get("data"), Blob) and "#" not in name and name.rpartition(".")[2] not in IMMUTABLE

    def name(self, node: Any, side: int) -> str:
        type_ = resolve(node.get("type"), self.backrefs[side])
        return short_name(type_["name"]) if isinstance(type_, dict) and type_.get("tag") == "datatype" else ""

    def parts(self, path: str, a: Any, b: Any) -> list[tuple[str, Any, Any]]:
        """The children of two nodes that belong together."""
        if isinstance(a, list) and isinstance(b, list):
            return elements(path, a, b)
        if not isinstance(a, dict) or not isinstance(b, dict) or a.get("tag") != b.get("tag"):
            raise Differ(f"{path}: {brief(a)}, not {brief(b)}")
        keys = KNOWN.get(a.get("tag"))
        if keys is None:
            return list(keyed(path, a, b))
        if a["tag"] == "struct" and self.name(a, 0) == self.name(b, 1) and self.name(a, 0) in UNORDERED:
            return [(f"{path}.type", a["type"], b["type"]), *self.entries(path, a["data"], b["data"])]
        found = []
        for key in keys:
            x, y = a.get(key), b.get(key)
            if key == "name" and a["tag"] == "datatype":
                x, y = short_name(x), short_name(y)
            if key in ("params", "size"):
                x, y = numbers(x), numbers(y)
            inner = isinstance(x, list) and isinstance(y, list)  # the document's own list, no vector of Julia's
            found += elements(f"{path}.{key}", x, y) if inner else [(f"{path}.{key}", x, y)]
        return found

    def entries(self, path: str, a: list[Any], b: list[Any]) -> list[tuple[str, Any, Any]]:
        """The entries of two dictionaries, those with equal keys side by side."""
        if not isinstance(a[0], list) or not isinstance(b[0], list):
            return elements(path, a, b)
        ours, theirs = ([list(pair) for pair in zip(*spread(part), strict=True)] for part in (a, b))
        if len(ours) != len(theirs):
            raise Differ(f"{path}: {len(ours)} entries, not {len(theirs)}")
        found = []
        for key, value in ours:
            twin = next((entry for entry in theirs if self.would_do(key, entry[0])), None)
            if twin is None:
                raise Differ(f"{path}: no key {brief(key)} on the other side")
            theirs.remove(twin)
            found += [(f"{path}.keys", key, twin[0]), (f"{path}[{brief(key)}]", value, twin[1])]
        return found

    def would_do(self, a: Any, b: Any) -> bool:
        """Whether two keys are the same, on trial."""
        trial = Walk(*self.documents)
        trial.twins, trial.partner, trial.origin = set(self.twins), dict(self.partner), dict(self.origin)
        try:
            trial.walk([("", a, b)])
        except Differ:
            return False
        return True


def keyed(path: str, a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    if a.keys() != b.keys():
        raise Differ(f"{path}: the names {sorted(a.keys() ^ b.keys())} stand on one side only")
    return [(f"{path}.{key}", a[key], b[key]) for key in a]


def elements(path: str, a: list[Any], b: list[Any]) -> list[tuple[str, Any, Any]]:
    if len(a) != len(b):
        raise Differ(f"{path}: {len(a)} elements, not {len(b)}")
    return [(f"{path}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]


def spread(part: list[Any]) -> list[list[Any]]:
    """Keys and values; a vector of numbers stands as one array for all."""
    keys, values = part
    return [keys, values if isinstance(values, list) else [values] * len(keys)]


def numbers(value: Any) -> Any:
    """A list of whole numbers, which BSON.jl may write as an array of Int64."""
    if isinstance(value, dict) and value.get("tag") == "array" and isinstance(value.get("data"), Blob):
        raw = bytes(value["data"].data)
        return [int.from_bytes(raw[i : i + 8], "little", signed=True) for i in range(0, len(raw), 8)]
    return [int(n) if type(n) is not bool and isinstance(n, int) else n for n in value]


def plain(value: Any) -> Any:
    """A wire value that can be compared: bytes by content, NaN equal to itself, 1 different from 1.0 and True."""
    if isinstance(value, Blob):
        return "bytes", bytes(value.data)
    if isinstance(value, float):
        return "float", value.hex()
    return type(value).__name__, value if isinstance(value, str | int | type(None)) else repr(value)


def brief(value: Any) -> str:
    if isinstance(value, Blob):
        return f"{value.nbytes} bytes"
    text = f"a {value['tag']}" if isinstance(value, dict) and "tag" in value else repr(value)
    return text if len(text) < 60 else text[:59] + "…"
