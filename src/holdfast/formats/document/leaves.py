"""A document as formats for weights see it: arrays by name, and nothing else.

Strategy: one walk through the dictionaries of a document gives its arrays, each with the keys that lead to it; whatever
else is met is an error with its path. Names are the keys with dots between them. What such a format has no place for
(which framework an array was of, on whose memory it lies, where the dots of its name are) is a small note beside the
name, which the format keeps as text: with the notes the same document comes back, without them a dictionary of arrays.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from holdfast.codec.audit import backrefs_of, resolve, type_name
from holdfast.errors import FormatError, UnsupportedError
from holdfast.formats.document.arrays import NdArray, array_document, array_of, blobs_of
from holdfast.vocab.dtypes import CARRIERS, NAMED
from holdfast.vocab.keys import shown
from holdfast.wire.values import Blob, Document

Note = dict[str, Any]
"""What the format has no place for, in words of JSON: python, dtype, keys, requires_grad, attributes, aliases."""
Keys = tuple[str, ...]

Keep = Callable[[NdArray], NdArray]
"""Takes an array that was made anew, and gives the same one to be held on to."""

ADVICE: Final = "save to a path that ends in .bson, which holds any value"
KINDS: Final = frozenset({"torch.Tensor", "torch.nn.Parameter", "numpy.ndarray", "jax.Array"})
"""What an array in a note may be."""
DICTS: Final = frozenset({None, "dict", "collections.OrderedDict"})
"""Classes of dictionaries that are nothing but their items (of an ``OrderedDict``, torch's own ``_metadata`` aside)."""
ASIDE: Final = frozenset({"_metadata"})
VIEW: Final = ("offset", "size", "strides", "dtype")
"""What says how a tensor lies on the memory of another."""
MAX_DEPTH: Final = 100
"""Dictionaries in dictionaries that have a name; far beyond any model."""


def as_it_is(array: NdArray) -> NdArray:
    """Holds on to the array itself."""
    return array


@dataclass(slots=True)
class Leaf:
    """An array that a file is to hold: where it stands, its values, and its note."""

    keys: Keys
    array: NdArray
    dtype: str
    """Its own name for its dtype: the array's, but where NumPy has none and ``array`` only carries the bytes."""
    note: Note = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ".".join(self.keys)

    @property
    def path(self) -> str:
        return path_of(self.keys)


def path_of(keys: Keys) -> str:
    """The place of a value as Python would write it: ``$.model['0.weight']``."""
    first = f".{keys[0]}" if keys[0].isidentifier() else f"[{keys[0]!r}]"
    return f"${first}" + "".join(f"[{key!r}]" for key in keys[1:])


# -- out: document to leaves ------------------------------------------------------------------------------------------


def leaves(document: Document, format: str, keep: Keep = as_it_is) -> list[Leaf]:
    """The arrays of ``document`` in its order. A tensor that is another's memory is an alias in that one's note.

    format  the name of the format that is to hold them
    keep    where an array goes that had to be made anew, so that not all of them are in memory at once

    Raises UnsupportedError, with the path, for whatever is not an array in dictionaries with text for keys, and for two
    arrays of one name.
    """
    return _Search(document, format, keep).run()


class _Search:
    """The walk through one document."""

    def __init__(self, document: Document, format: str, keep: Keep) -> None:
        self.document, self.format, self.keep = document, format, keep
        self.backrefs = backrefs_of(document)
        self.found: dict[int, Leaf] = {}
        self.views: list[tuple[Keys, Document]] = []

    def run(self) -> list[Leaf]:
        for keys, node in self._arrays():
            if id(node) in self.found:
                self.found[id(node)].note.setdefault("aliases", []).append({"keys": list(keys)})
            elif "base" in node:
                self.views.append((keys, node))
            else:
                self.found[id(node)] = self._leaf(keys, node)
        for keys, node in self.views:
            self._put_view(keys, node)
        return self._distinct()

    def at(self, node: Any) -> Any:
        """What ``node`` stands for."""
        return resolve(node, self.backrefs)

    def _refused(self, what: str, keys: Keys) -> UnsupportedError:
        return UnsupportedError(f"{what} has no place in {self.format}: {ADVICE}", path_of(keys))

    def _arrays(self) -> Iterator[tuple[Keys, Document]]:
        """Each array's document with its keys."""
        top = [((name,), value) for name, value in self.document.items() if name != "_backrefs"]
        stack: list[tuple[Keys, Any]] = list(reversed(top))
        while stack:
            keys, reference = stack.pop()
            node = self.at(reference)
            if is_array(node, self.at):
                yield keys, node
                continue
            pairs = items_of(node, self.at)
            if not pairs or len(keys) >= MAX_DEPTH:
                raise self._refused(words_for(node, pairs), keys)
            if any(type(key) is not str for key, _ in pairs):
                raise self._refused("a key that is no text", keys)
            stack.extend(((*keys, key), value) for key, value in reversed(pairs))

    def _leaf(self, keys: Keys, node: Document) -> Leaf:
        named = node.get("dtype") if isinstance(node.get("dtype"), str) and "shape" not in node else None
        array = array_of(node, named if named in NAMED else None, self.at, self.backrefs)
        if array is None:
            raise self._refused(f"an array of {shown(named)}", keys)
        if "byteorder" in node and "shape" not in node:
            array = array.astype(array.dtype.newbyteorder("S"))
        return Leaf(keys, self.keep(array), named or array.dtype.name, self._note(keys, node))

    def _note(self, keys: Keys, node: Document) -> Note:
        kind = node.get("type") if node.get("tag") == "python" else node.get("python")
        note: Note = {"python": kind or "numpy.ndarray"}
        if len(keys) > 1:
            note["keys"] = list(keys)
        if "requires_grad" in node:
            note["requires_grad"] = node["requires_grad"]
        if "attributes" in node:
            attributes = self.at(node["attributes"])
            if not isinstance(attributes, dict) or any(type(v) not in (str, bool, int) for v in attributes.values()):
                raise self._refused("a tensor with such attributes", keys)
            note["attributes"] = dict(attributes)
        return note

    def _put_view(self, keys: Keys, node: Document) -> None:
        """A tensor on the memory of another: an alias of that one, or, alone on memory that nobody has, its values."""
        base = self.at(node["base"])
        owner = self.found.get(id(base))
        if owner is not None and owner.array.flags.c_contiguous:
            view = {key: _plain_list(self.at(node[key])) for key in VIEW}
            owner.note.setdefault("aliases", []).append(self._note(keys, node) | view | {"keys": list(keys)})
            return
        others = [other for other, view in self.views if other != keys and self.at(view["base"]) is base]
        if owner is not None or others:
            other = owner.path if owner is not None else path_of(others[0])
            what = f"a tensor that shares memory with {other} in such a way"
            raise UnsupportedError(
                f"{what} has no place in {self.format}: save a clone() of it, or {ADVICE}", path_of(keys)
            )
        array = array_of(node, None, self.at, self.backrefs)
        if array is None:
            raise self._refused(f"a tensor of {shown(node['dtype'])}", keys)
        self.found[id(node)] = Leaf(keys, array, array.dtype.name, self._note(keys, node))

    def _distinct(self) -> list[Leaf]:
        by_name: dict[str, Leaf] = {}
        for leaf in self.found.values():
            other = by_name.setdefault(leaf.name, leaf)
            if other is not leaf:
                raise UnsupportedError(
                    f"the name {leaf.name!r} would stand for {other.path} too; rename one, or {ADVICE}", leaf.path
                )
        return list(by_name.values())


def is_array(node: Any, node_at: Callable[[Any], Any]) -> bool:
    """Whether a document is an array of NumPy's, torch's or JAX's, or a plain one of Julia's."""
    if not isinstance(node, dict):
        return False
    kind = node.get("type") if node.get("tag") == "python" else node.get("python", "numpy.ndarray")
    if not isinstance(kind, str) or kind not in KINDS or node.get("tag") not in ("array", "struct", "python"):
        return False
    if node["tag"] == "struct":
        return type_name(node_at(node.get("type"))) == "Base.PermutedDimsArrays.PermutedDimsArray"
    return node["tag"] == "array" or "slabs" in node or "base" in node


def items_of(node: Any, node_at: Callable[[Any], Any]) -> list[tuple[Any, Any]] | None:
    """The keys and values of a dictionary's document; None for any other document."""
    if not isinstance(node, dict):
        return None
    if not isinstance(node.get("tag"), str):
        return list(node.items())
    if node["tag"] != "struct" or type_name(node_at(node.get("type"))) != "Base.Dict":
        return None
    state = node_at(node.get("state", {}))
    if node.get("python") not in DICTS or not (isinstance(state, dict) and state.keys() <= ASIDE):
        return None
    keys, values = (node_at(part) for part in node["data"])
    if not isinstance(keys, list) or not isinstance(values, list) or len(keys) != len(values):
        return None
    return list(zip(map(node_at, keys), values, strict=True))


def words_for(node: Any, pairs: Any) -> str:
    """A document that is no array, in words; ``pairs`` are the items of a dictionary."""
    if pairs is not None:
        return "an empty dictionary" if not pairs else "a value so deep in dictionaries"
    if isinstance(node, dict):
        name = node.get("python") or (node.get("type") if node.get("tag") == "python" else node.get("tag"))
        return f"a {name}" if isinstance(name, str) else "such a value"
    return f"a {type(node).__name__}"


def _plain_list(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


# -- back: entries to a document --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Held:
    """An array that a file holds: its name, its memory, its note if Holdfast wrote it, and where it lies.

    dtype  its name, where the memory does not say it
    blob   of the document that was made of it
    """

    name: str
    array: NdArray
    note: Note | None = None
    dtype: str | None = None
    checksum: int | None = None
    offset: int | None = None
    blob: Blob = field(default_factory=lambda: Blob(memoryview(b"")))


def document_of(held: Iterable[Held], default: str) -> Document:
    """The document whose ``leaves`` were ``held``. ``default`` is what an array without a note is.

    Raises FormatError for notes that contradict each other or are none that ``leaves`` makes.
    """
    document: Document = {}
    backrefs: list[Any] = []
    for entry in held:
        note = _checked(entry)
        array, extra = in_dtype(entry.array, entry.dtype)
        extra |= {"python": default} if entry.note is None else _keys(note)
        node = array_document(array, checksum=entry.checksum, offset=entry.offset, **extra)
        (entry.blob,) = blobs_of(node, lambda part: part)
        aliases = note.get("aliases", [])
        if aliases:
            backrefs.append(node)
            node = {"tag": "backref", "ref": len(backrefs)}
        _put(document, note.get("keys") or [entry.name], node)
        for alias in aliases:
            _put(document, alias["keys"], _alias(alias, dict(node)))
    if backrefs:
        document["_backrefs"] = backrefs
    return document


def is_flat(document: Document) -> bool:
    """Whether a document is one state dictionary: arrays by name, and no dictionaries in it."""
    return all(isinstance(node.get("tag"), str) for name, node in document.items() if name != "_backrefs")


def in_dtype(array: NdArray, name: str | None) -> tuple[NdArray, Document]:
    """``array`` under the dtype ``name`` of the same width; where NumPy lacks it, as integers and with the key that
    says so. Raises FormatError when there is none of that width."""
    if name is None:
        return array, {}
    dtype = NAMED.get(name, CARRIERS.get(array.itemsize))
    if dtype is None or dtype.itemsize != array.itemsize:
        raise FormatError(f"elements of {array.itemsize} bytes are {shown(name)}")
    return array.view(dtype), {} if name in NAMED else {"dtype": name}


def _checked(entry: Held) -> Note:
    note = entry.note if entry.note is not None else {}
    aliases = note.get("aliases", []) if isinstance(note, dict) else None
    parts = [note, *aliases] if isinstance(aliases, list) else [None]
    right = all(isinstance(part, dict) and _is_note(part) for part in parts)
    if not right or not all(alias and "keys" in alias for alias in parts[1:]):
        raise FormatError(f"what Holdfast noted beside {entry.name!r} is not what it writes")
    return note


def _is_note(part: Mapping[str, Any]) -> bool:
    keys = part.get("keys", [""])
    named = isinstance(keys, list) and 0 < len(keys) <= MAX_DEPTH and all(type(key) is str for key in keys)
    kind: Any = part.get("python", "numpy.ndarray")
    return named and isinstance(kind, str) and kind in KINDS


def _keys(note: Note) -> Document:
    return {key: note[key] for key in ("python", "requires_grad", "attributes") if key in note}


def _alias(alias: Note, base: Document) -> Document:
    if "offset" not in alias:
        return base
    if not alias.keys() >= {"python", *VIEW}:
        raise FormatError("what Holdfast noted beside a tensor is not what it writes")
    kind = {"tag": "python", "type": alias["python"], "base": base, **{key: alias[key] for key in VIEW}}
    return kind | {key: alias[key] for key in ("requires_grad", "attributes") if key in alias}


def _put(document: Document, keys: list[str], node: Document) -> None:
    """Put ``node`` where ``keys`` lead, through dictionaries that are made on the way."""
    if keys[0] == "_backrefs":
        raise FormatError("an array has the name '_backrefs', which a file needs for itself")
    for key in keys[:-1]:
        document = document.setdefault(key, {})
        if "tag" in document and isinstance(document["tag"], str):
            raise FormatError(f"{key!r} is an array and a dictionary at once")
    if keys[-1] in document:
        raise FormatError(f"two arrays have the name {'.'.join(keys)!r}")
    document[keys[-1]] = node


def memory_of(array: NdArray, keep: Keep = as_it_is) -> memoryview:
    """The bytes of ``array`` in C order; made anew where it lies otherwise."""
    if not array.flags.c_contiguous:
        array = keep(np.ascontiguousarray(array))
    return array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b"")
