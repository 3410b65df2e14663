"""Documents changed as documents: a part of one, other names, another dtype; nothing is built.

Strategy: a copy of the document's containers around the same arrays is changed in place, so that what was shared stays
so. Names are those in dictionaries, from the top of the file down to where something else begins. A dtype is changed
array by array, in pieces, into memory that the caller provides.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from holdfast.codec.audit import backrefs_of, resolve
from holdfast.errors import FormatError, UnsupportedError
from holdfast.formats.document.arrays import NdArray, array_document, array_of, blobs_of, containers, plain
from holdfast.formats.document.leaves import is_array, items_of
from holdfast.vocab.dtypes import NAMED
from holdfast.wire.values import Document

FLOATS: Final = frozenset(
    name for name in NAMED if name.startswith(("float", "bfloat")) and NAMED[name].itemsize * 8 >= 8
)
"""dtypes that an array of numbers with a point may be changed to and from."""
PIECE: Final = 4 << 20
"""Elements that are converted at once."""
WORDS: Final = frozenset({"tag", "python", "xxh3", "_backrefs", "_holdfast"})
"""Keys that a plain dictionary of a BSON file cannot have."""
Empty = Callable[[tuple[int, ...], np.dtype[Any]], NdArray]
"""Gives an array to fill."""


def part_of(document: Document, node: Any, name: str) -> Document:
    """``node`` of ``document`` alone: what is in it when it is a dictionary, otherwise itself under ``name``."""
    backrefs = backrefs_of(document)
    pairs = items_of(node, lambda part: resolve(part, backrefs))
    chosen = dict(pairs) if pairs and all(type(key) is str for key, _ in pairs) else {name: node}
    return chosen | ({"_backrefs": backrefs} if backrefs else {})


class Change:
    """A document that is being changed.

    >>> change = Change(part_of(file := {"model": {"module.a": 1, "module.b": 2}, "epoch": 3}, file["model"], "model"))
    >>> change.strip("module.")
    >>> change.rename({"b": "bias"})
    >>> change.finished()
    {'a': 1, 'bias': 2}
    """

    def __init__(self, document: Document) -> None:
        self.document: Document = plain(document)
        self.backrefs = backrefs_of(self.document)

    def at(self, node: Any) -> Any:
        """What ``node`` stands for."""
        return resolve(node, self.backrefs)

    # -- names --------------------------------------------------------------------------------------------------------

    def strip(self, prefix: str) -> None:
        """Take ``prefix`` off all names that begin with it. Raises UnsupportedError when none does."""
        self._name(lambda name: name[len(prefix) :] if name.startswith(prefix) else name, f"{prefix!r}…")

    def rename(self, names: Mapping[str, str]) -> None:
        """Give names anew, and the same part to all names that begin with one and a dot."""
        for old, new in names.items():
            self._name(lambda name, old=old, new=new: _renamed(name, old, new), repr(old))  # type: ignore[misc]

    def _name(self, called: Callable[[str], str], what: str) -> None:
        """Give all names anew. Raises UnsupportedError when that changes none, or makes two of one."""
        changed = [self._name_in(node, called) for node in list(self._dictionaries())]
        if not any(changed):
            raise UnsupportedError(f"the file has no name {what}")

    def _name_in(self, node: Document, called: Callable[[str], str]) -> bool:
        """Give the names of one dictionary anew; whether that changed any."""
        tagged = isinstance(node.get("tag"), str)
        keys = self.at(self.at(node["data"])[0]) if tagged else [key for key in node if key != "_backrefs"]
        new = [called(key) if type(key) is str else key for key in keys]
        if new == keys:
            return False
        if len(set(map(str, new))) < len(new):
            raise UnsupportedError(f"two values would have one name: {_twice(new)!r}")
        if tagged:
            keys[:] = new
            return True
        if WORDS & set(new):
            raise UnsupportedError(f"{next(name for name in new if name in WORDS)!r} cannot be a new name")
        values = [node.pop(key) for key in keys]
        rest = dict(node)
        node.clear()
        node.update(zip(new, values, strict=True))
        node.update(rest)
        return True

    def _dictionaries(self) -> Iterator[Document]:
        """The document itself and the dictionaries in it, each once."""
        stack, seen = [self.document], set[int]()
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            children = [self.at(value) for key, value in items_of(node, self.at) or () if key != "_backrefs"]
            stack.extend(child for child in reversed(children) if items_of(child, self.at) is not None)

    def places(self, node: Document) -> list[tuple[Any, Any, Any]]:
        """The keys of a dictionary's document; what holds the value of each, and under which key or at which place."""
        if not isinstance(node.get("tag"), str):
            return [(key, node, key) for key in node if key != "_backrefs"]
        keys, values = (self.at(part) for part in node["data"])
        return [(self.at(key), values, place) for place, key in enumerate(keys)]

    def take(self, document: Document) -> None:
        """Let the shared values of ``document`` be some of this one's, to which its references lead from now on."""
        before = len(self.backrefs)
        for node in containers(document):
            if isinstance(node, dict) and node.get("tag") == "backref":
                node["ref"] += before
        self.backrefs += backrefs_of(document)

    def drop_attributes(self, mark: str) -> list[str]:
        """Take away the attributes that HDF5 has beside groups and datasets, but for arrays; gives their names.

        mark  what the name of a group's attributes is, and what those of a dataset end in
        """
        dropped: list[str] = []
        for node in list(self._dictionaries()):
            names = {key for key, _, _ in self.places(node)}
            for key, holder, place in reversed(self.places(node)):
                value = self.at(holder[place])
                if type(key) is str and key.endswith(mark) and key[: -len(mark)] in {"", *names}:
                    dropped += self._drop_from(value, key)
                    if not items_of(value, self.at):
                        self._delete(node, holder, place)
        return dropped

    def _drop_from(self, attributes: Any, key: str) -> list[str]:
        """Take away all but the arrays of one set of attributes."""
        unwanted = [
            (name, holder, place)
            for name, holder, place in (self.places(attributes) if items_of(attributes, self.at) else [])
            if not is_array(self.at(holder[place]), self.at)
        ]
        for _, holder, place in reversed(unwanted):
            self._delete(attributes, holder, place)
        return [f"{key}.{name}" for name, _, _ in unwanted]

    def _delete(self, node: Document, holder: Any, place: Any) -> None:
        """Take a key out of a dictionary's document."""
        del holder[place]
        if holder is not node:
            del self.at(node["data"][0])[place]

    # -- arrays -------------------------------------------------------------------------------------------------------

    def arrays(self) -> Iterator[tuple[Document, bool]]:
        """Every array's document, each once, and whether it is a value of Python's and not a part of a struct."""
        free = {id(node) for node in self._free()}
        stack: list[Any] = [*self.backrefs, self.document]
        seen: set[int] = set()
        while stack:
            node = stack.pop()
            if not isinstance(node, dict | list) or id(node) in seen:
                continue
            seen.add(id(node))
            children = list(node) if isinstance(node, list) else list(node.values())
            if isinstance(node, dict) and is_array(node, self.at):
                yield node, "python" in node or node["tag"] == "python" or id(node) in free
                children = [node.get("base")]
            stack.extend(reversed(children))

    def _free(self) -> Iterator[Any]:
        """What dictionaries and lists hold, without anything around it that gives it a meaning."""
        stack, seen = [self.document], set[int]()
        while stack:
            node = self.at(stack.pop())
            if id(node) in seen or not isinstance(node, dict | list):
                continue
            seen.add(id(node))
            yield node
            pairs = list(enumerate(node)) if isinstance(node, list) else items_of(node, self.at) or []
            stack.extend(value for key, value in pairs if key != "_backrefs")

    def cast(self, name: str, empty: Empty, advance: Callable[[int], None] = lambda done: None) -> int:
        """Change arrays of numbers with a point to the dtype ``name``; gives how many numbers that were finite have no
        finite counterpart.

        Tensors on the memory of another go with it. Raises UnsupportedError for another kind of dtype.
        """
        if name not in FLOATS:
            raise UnsupportedError(f"{name!r} is not a dtype to change to: {', '.join(sorted(FLOATS))}")
        found = list(self.arrays())
        views = [(node, self.at(node["base"])) for node, _ in found if "base" in node]
        mixed = {id(base) for node, base in views if node["dtype"] != self._dtype(base)}
        lost, done = 0, set[int]()
        for node, free in found:
            if "base" in node or not free or id(node) in mixed or self._dtype(node) not in FLOATS - {name}:
                continue
            lost += self._cast(node, name, empty)
            done.add(id(node))
            advance(sum(blob.nbytes for blob in blobs_of(node, self.at)))
        for node, base in views:
            if id(base) in done:
                was = NAMED[node["dtype"]].itemsize
                node["offset"], node["dtype"] = node["offset"] // was * NAMED[name].itemsize, name
        return lost

    def _cast(self, node: Document, name: str, empty: Empty) -> int:
        """Give one array the dtype ``name``, with its axes in the order in memory that they had."""
        inner = node if node["tag"] != "struct" else self.at(node["data"][0])
        old = self._array({**inner, **{key: node[key] for key in ("python", "dtype") if key in node}})
        turned = old.flags.f_contiguous
        new = empty(old.shape[::-1] if turned else old.shape, NAMED[name])
        new = new.T if turned else new
        lost = _converted(old, new)
        made = array_document(new)
        extra = {"dtype": made.pop("dtype")} if "dtype" in made else {}
        made.pop("python", None)
        python = node["type"] if node["tag"] == "python" else node.get("python")
        if python or extra:
            extra["python"] = python or "numpy.ndarray"
        kept = {key: node[key] for key in ("requires_grad", "attributes", "strides") if key in node}
        if node["tag"] == "struct":
            made = {"tag": "struct", "type": self._permuted(node, made), "data": [made]}
        node.clear()
        node.update(made | extra | kept)
        return lost

    def _permuted(self, node: Document, inner: Document) -> Document:
        """The type of ``node``, an array with its axes in another order, around the new ``inner`` one."""
        element, (_, ndim, order, back, array) = inner["type"], self.at(self.at(node["type"])["params"])
        array = plain(self.at(array))
        array["params"] = [element, ndim]
        return {**self.at(node["type"]), "params": [element, ndim, order, back, array]}

    def _dtype(self, node: Document) -> str | None:
        """The name of an array's dtype; None where it has none of its own."""
        if "byteorder" in node or "shape" in node:
            return None
        if "dtype" in node or "carrier" in node:
            named = node.get("dtype", node.get("carrier"))
            return named if isinstance(named, str) else None
        array = array_of(node, None, self.at, self.backrefs)
        return array.dtype.name if array is not None else None

    def _array(self, node: Document) -> NdArray:
        array = array_of(node, self._dtype(node), self.at, self.backrefs)
        if array is None:
            raise FormatError("an array of the file is not what it says")
        return array

    # -- the end ------------------------------------------------------------------------------------------------------

    def finished(self) -> Document:
        """The document, without the shared values that nothing leads to any more."""
        top = {name: node for name, node in self.document.items() if name != "_backrefs"}
        reached: dict[int, int] = {}
        stack, seen = [top], set[int]()
        while stack:
            node: Any = stack.pop()
            if id(node) in seen or not isinstance(node, dict | list):
                continue
            seen.add(id(node))
            if isinstance(node, dict) and node.get("tag") == "backref" and isinstance(node.get("ref"), int):
                target, number = self.at(node), node["ref"]
                reached.setdefault(number, len(reached) + 1)
                node["ref"] = reached[number]
                stack.append(target)
                continue
            stack.extend(reversed(list(node.values() if isinstance(node, dict) else node)))
        entries = [self.backrefs[number - 1] for number in reached]
        return top | ({"_backrefs": entries} if entries else {})


def _renamed(name: str, old: str, new: str) -> str:
    if name == old:
        return new
    return new + name[len(old) :] if name.startswith(f"{old}.") else name


def _twice(names: list[Any]) -> Any:
    return next(name for name in names if names.count(name) > 1)


def _converted(old: NdArray, new: NdArray) -> int:
    """Fill ``new`` with the values of ``old``; gives how many finite ones have no finite counterpart."""
    lost = 0
    flat, filled = old.reshape(-1, order="A"), new.reshape(-1, order="A")
    for start in range(0, flat.size, PIECE):
        piece = flat[start : start + PIECE]
        with np.errstate(over="ignore", invalid="ignore"):
            made = piece.astype(new.dtype)
        filled[start : start + PIECE] = made
        lost += int(np.count_nonzero(np.isfinite(piece) & ~np.isfinite(made)))
    return lost
