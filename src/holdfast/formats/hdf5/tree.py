"""Groups and datasets as nested dictionaries of arrays.

Strategy: links are followed by hand, one name at a time, with a stack of our own: a hard link to what its address says,
a soft link within the file a few steps at most, every other kind not at all. The header at an address is read here before
the library opens what stands there. An object is made once for each address, so what has two names is one object, and a
group that contains itself ends the walk.
"""

from typing import Any, Final

from holdfast.errors import FormatError, LimitError
from holdfast.formats.document.tables import table
from holdfast.formats.hdf5.arrays import Arrays
from holdfast.formats.hdf5.library import translated
from holdfast.wire.values import MAX_VALUES

MAX_STEPS: Final = 16
"""Soft links that lead on to one another."""
MAX_SHOWN: Final = 200
"""Bytes of a name that an error repeats."""
MARK: Final = "@"
"""Attributes stand beside what they belong to: those of a group under ``@`` in it, those of ``weight`` under
``weight@``."""


class Tree:
    """The values of one file, each once."""

    def __init__(self, file: Any, arrays: Arrays) -> None:
        import h5py

        self.file, self.arrays, self.h5 = file, arrays, h5py
        self.left = MAX_VALUES
        self._made: dict[int, Any] = {}
        self._steps = 0

    def names(self) -> dict[str, Any]:
        """The names at the root; the attributes of the root and of what is in it among them."""
        with translated("the names at its root"):
            return self._names(self.file.id)

    def at(self, source: Any) -> Any:
        """The whole value that ``source`` (from ``names``) stands for."""
        holder: list[Any] = [None]
        stack = [(holder, 0, source)]
        while stack:
            values, place, wanted = stack.pop()
            if not isinstance(wanted, tuple):
                values[place] = wanted
                continue
            group, name = wanted
            with translated(_shown(name)):
                found = self._target(group, name, 0)
                values[place] = self._value(found, name, stack)
        return holder[0]

    def _value(self, found: Any, name: bytes, stack: list[Any]) -> Any:
        address = int(self.h5.h5o.get_info(found).addr)
        if address in self._made:
            return self._made[address]
        if isinstance(found, self.h5.h5d.DatasetID):
            self._made[address] = self.arrays.value(self.h5.Dataset(found), address, _shown(name))
        elif isinstance(found, self.h5.h5g.GroupID):
            sources = self._names(found)
            document, values = table(sources)
            self._made[address] = document
            for place, (key, source) in enumerate(sources.items()):
                stack.append((values, key if values is document else place, source))
        else:
            raise FormatError(f"{_shown(name)} is a datatype by itself, which has no value")
        return self._made[address]

    def _names(self, group: Any) -> dict[str, Any]:
        """The names in a group -> where their values are; attributes, which are at hand, -> their values."""
        found: dict[str, Any] = {}
        for name in group:
            self.left -= 1
            if self.left < 0:
                raise LimitError(f"the file holds more than {MAX_VALUES:,} values")
            found[_text(name)] = (group, name)
        for key, target in [(MARK, group)] + [(f"{_text(name)}{MARK}", (group, name)) for name in group]:
            if key not in found and (attributes := self._attributes(target)):
                found[key] = attributes
        return found

    def _attributes(self, target: Any) -> dict[str, Any]:
        """The plain attributes of a group, or of the dataset that a name leads to."""
        if isinstance(target, tuple):
            group, name = target
            if group.links.get_info(name).type != self.h5.h5l.TYPE_HARD:
                return {}
            address = int(group.links.get_info(name).u)
            return self.arrays.attributes.of(address) if self.arrays.headers.is_dataset(address) else {}
        return self.arrays.attributes.of(int(self.h5.h5o.get_info(target).addr))

    def _target(self, group: Any, name: bytes, steps: int) -> Any:
        """The object that a name in a group leads to, within the file."""
        kind = group.links.get_info(name).type
        if kind == self.h5.h5l.TYPE_HARD:
            self.arrays.headers.is_dataset(int(group.links.get_info(name).u))
            return self.h5.h5o.open(group, name)
        if kind != self.h5.h5l.TYPE_SOFT:
            raise FormatError(f"{_shown(name)} is a link to another file: it is not followed")
        if steps >= MAX_STEPS:
            raise FormatError(f"{_shown(name)} is a link that leads through more than {MAX_STEPS} others, or in a ring")
        path = group.links.get_val(name)
        found = self.file.id if path.startswith(b"/") else group
        for word in path.split(b"/"):
            if word in (b"", b"."):
                continue
            if not isinstance(found, self.h5.h5g.GroupID | self.h5.h5f.FileID) or not found.links.exists(word):
                raise FormatError(f"{_shown(name)} is a link to {_shown(path)}, which is not in the file")
            self._step()
            found = self._target(found, word, steps + 1)
        return found

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_VALUES:
            raise LimitError("the links of the file lead on without an end")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _shown(name: bytes) -> str:
    return repr(name[:MAX_SHOWN].decode("utf-8", "backslashreplace")) + "…" * (len(name) > MAX_SHOWN)
