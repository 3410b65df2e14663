"""Lists, tables and Python's own objects, read off their documents.

Strategy: an object's state is its attributes, its items, or one value. The parts that torch's modules, optimisers and
schedulers are saved in are no attributes: what is in them is.
"""

import sys
from collections.abc import Collection, Sequence
from typing import Any, Final

from holdfast.formats.look.nodes import PLAIN, Nodes
from holdfast.formats.look.seen import Seen, attributes
from holdfast.vocab.instances import ATTRIBUTES
from holdfast.wire.values import Blob, Document

MAX_LISTED: Final = 100
"""Plain values in a list up to which each is an entry of its own."""
MAX_SHORT: Final = 8
"""Plain values in a tuple (a stride, a size) up to which they are one value."""

STANDARD: Final = sys.stdlib_module_names
ENGINE: Final = frozenset({"tag", "type", "python", "state", "data"})
"""Keys that are no attributes."""
MODULE: Final = {
    "parameters": True,
    "buffers": True,
    "modules": True,
    "attributes": True,
    "training": False,
    "non_persistent": False,
}
"""The parts of a saved torch module, and whether the names in them are its attributes. Empty parts are left out."""

OPTIMISER: Final = frozenset({"defaults", "param_groups", "state", "attributes"})
"""The parts of a saved optimiser, of which a scheduler has the last."""


class Objects(Nodes):
    """Describes the documents of one file that hold others by position, by key or as attributes."""

    # -- sequences and tables -----------------------------------------------------------------------------------------

    def _listed(self, type_: str, items: Sequence[Any]) -> Seen:
        long = len(items) > MAX_LISTED and all(type(item) in PLAIN for item in items)
        members = () if long else [(index, f"[{index}]", item) for index, item in enumerate(items)]
        return Seen(type_, members=members, length=len(items))

    def _sequence(self, node: Document, name: str) -> Seen:
        type_ = "SimpleVector" if name == "svec" else name
        items = self.items(node["data"])
        if name == "tuple" and len(items) <= MAX_SHORT and all(type(item) in PLAIN for item in items):
            return Seen(type_, value=tuple(items), single=True)
        return self._beside(node, self._listed(type_, items))

    def _beside(self, node: Document, seen: Seen) -> Seen:
        """With the attributes of an instance of a class that Julia sees as a Dict, Set or tuple."""
        if "python" in node:
            seen.members = [*seen.members, *attributes(self._attributes(node))]
        return seen

    def _table(self, node: Document, type_: str) -> Seen:
        """A Julia Dict: a list of keys (or an array of numbers) and one of values."""
        raw_keys, raw_values = self.items(node["data"])
        keys = self.elements(raw_keys)
        values = self.elements(raw_values, len(keys))
        pairs = [(self._key(key), value) for key, value in zip(keys, values, strict=True)]
        return Seen(type_, members=[(key, f"[{key!r}]", value) for key, value in pairs], length=len(pairs))

    def _set(self, node: Document, type_: str) -> Seen:
        inner = self.resolve(self.items(node["data"])[0])
        return self._listed(type_, self.elements(self.items(inner["data"])[0]))

    def _key(self, node: Any) -> str | int:
        value = self.small(self.resolve(node))
        return value if isinstance(value, str | int) else repr(value)

    # -- objects -------------------------------------------------------------------------------------------------------

    def _alone(self, node: Document, name: str) -> Seen | None:
        """A date, a path, a number: one value of a class of Python's own."""
        if name.partition(".")[0] not in STANDARD and "." in name:
            return None
        value = self.small(node)
        many = isinstance(value, Collection) and not isinstance(value, str | bytes | tuple | range)
        return None if value is None or many or hasattr(value, "__dict__") else Seen(name, value=value, single=True)

    def _object(self, node: Document, name: str) -> Seen:
        """An instance: what its built-in base holds (``data``), and its attributes."""
        contents = self.resolve(node.get("data", node.get("state")))
        if type(contents) is list:
            seen = self._listed(name, contents)
        elif type(contents) in PLAIN and contents is not None:
            seen = Seen(name, value=contents)
        elif type(contents) is Blob:
            seen = Seen(name, nbytes=contents.nbytes)
        else:
            seen = Seen(name)
        seen.members = [*seen.members, *attributes(self._attributes(node))]
        return seen

    def _attributes(self, node: Document) -> Document:
        """All that stands beside the contents of an instance."""
        state = self.resolve(node.get("state"))
        rest = {key: value for key, value in node.items() if key not in ENGINE}
        if type(state) is dict and state.get("type") == ATTRIBUTES:
            return rest | {key[1:]: value for key, value in state.items() if key.startswith(".")}
        if type(state) is dict and (not isinstance(state.get("tag"), str) or state.get("python") == "dict"):
            return self._flat(dict(self._pairs(state))) | rest
        alone = "state" not in node or type(state) in (list, Blob) or type(state) in PLAIN
        return rest if alone else {"state": state} | rest

    def _flat(self, state: Document) -> Document:
        """The attributes of an object; those of torch's modules, optimisers and schedulers stand in sections."""
        module = type(state.get("training")) is bool and state.keys() <= MODULE.keys()
        if not module and not ("attributes" in state and state.keys() <= OPTIMISER):
            return state
        sections = [name for name in state if MODULE.get(name)]
        if not all(type(self.resolve(state[name])) is dict for name in sections):
            return state
        flat = [pair for name in sections for pair in self._pairs(self.resolve(state[name]))]
        rest = {name: part for name, part in state.items() if name not in MODULE or name == "training"}
        return {**rest, **dict(flat)} if not module else dict(flat) | rest

    def _pairs(self, node: Document) -> list[tuple[str, Any]]:
        """Names and values of a dictionary, which is a Julia Dict where a name is reserved."""
        if node.get("tag") != "struct":
            return list(node.items())
        return [(str(name), child) for name, _, child in self._table(node, "").members]
