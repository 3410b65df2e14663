"""Groups and datasets as nested dictionaries of arrays.

Strategy: links are followed by hand, one name at a time, with a stack of our own: a hard link to what its address says,
a soft link within the file a few steps at most, every other kind not at all. An object is made once for each address, so
what has two names is one object, and a group that contains itself ends the walk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from holdfast.errors import ChecksumError, FormatError, LimitError
from holdfast.formats.document.tables import table
from holdfast.formats.hdf5.arrays import Arrays
from holdfast.formats.hdf5.links import Link, links
from holdfast.wire.values import MAX_VALUES

MAX_STEPS: Final = 16
"""Soft links that lead on to one another."""
MAX_SHOWN: Final = 200
"""Bytes of a name that an error repeats."""
MARK: Final = "@"
"""Attributes stand beside what they belong to: those of a group under ``@`` in it, those of ``weight`` under
``weight@``."""

Source = tuple[int, Link]
"""Where a value comes from: the group, and the link in it."""


class Tree:
    """The values of one file, each once; ``root`` is the address of the first group."""

    def __init__(self, root: int, arrays: Arrays) -> None:
        self.root, self.arrays, self.headers = root, arrays, arrays.headers
        self.left = MAX_VALUES
        self._made: dict[int, Any] = {}
        self._links: dict[int, dict[bytes, Link]] = {}
        self._steps = 0

    def names(self) -> dict[str, Any]:
        """The names at the root; the attributes of the root and of what is in it among them."""
        if self.headers.is_dataset(self.root):
            raise FormatError("its root is an array, and no group")
        return self._names(self.root)

    def at(self, source: Any) -> Any:
        """The whole value that ``source`` (from ``names``) stands for."""
        holder: list[Any] = [None]
        stack = [(holder, 0, source)]
        while stack:
            values, place, wanted = stack.pop()
            if not isinstance(wanted, tuple):
                values[place] = wanted
                continue
            group, link = wanted
            with _named(link.name):
                values[place] = self._value(self._target(group, link, 0), link.name, stack)
        return holder[0]

    def _value(self, address: int, name: bytes, stack: list[Any]) -> Any:
        if address in self._made:
            return self._made[address]
        if self.headers.is_dataset(address):
            self._made[address] = self.arrays.value(address, _shown(name))
        else:
            sources = self._names(address)
            document, values = table(sources)
            self._made[address] = document
            for place, (key, source) in enumerate(sources.items()):
                stack.append((values, key if values is document else place, source))
        return self._made[address]

    def _names(self, group: int) -> dict[str, Any]:
        """The names in a group -> where their values are; attributes, which are at hand, -> their values."""
        found: dict[str, Any] = {}
        for link in self._of(group).values():
            self.left -= 1
            if self.left < 0:
                raise LimitError(f"the file holds more than {MAX_VALUES:,} values")
            found[_text(link.name)] = (group, link)
        sources = list(found.items())
        if MARK not in found and (attributes := self.arrays.attributes.of(group)):
            found[MARK] = attributes
        for name, (_, link) in sources:
            if f"{name}{MARK}" not in found and (attributes := self._beside(link)):
                found[f"{name}{MARK}"] = attributes
        return found

    def _beside(self, link: Link) -> dict[str, Any]:
        """The plain attributes of the dataset that a link leads to at once."""
        with _named(link.name):
            if link.address is None or not self._is_dataset(link.address):
                return {}
            return self.arrays.attributes.of(link.address)

    def _is_dataset(self, address: int) -> bool:
        """Whether there is one; what is wrong with what is none is said when it is asked for."""
        try:
            return self.headers.is_dataset(address)
        except (FormatError, ChecksumError):
            return False

    def _of(self, group: int) -> dict[bytes, Link]:
        """The links of a group, by name."""
        if group not in self._links:
            self._links[group] = {link.name: link for link in links(self.headers, group)}
        return self._links[group]

    def _target(self, group: int, link: Link, steps: int) -> int:
        """The address of the object that a link in a group leads to, within the file."""
        if link.address is not None:
            return link.address
        if link.path is None:
            raise FormatError(f"{_shown(link.name)} is a link to another file: it is not followed")
        if steps >= MAX_STEPS:
            raise FormatError(
                f"{_shown(link.name)} is a link that leads through more than {MAX_STEPS} others, or in a ring"
            )
        found = self.root if link.path.startswith(b"/") else group
        for word in link.path.split(b"/"):
            if word in (b"", b"."):
                continue
            next_link = None if self.headers.is_dataset(found) else self._of(found).get(word)
            if next_link is None:
                raise FormatError(f"{_shown(link.name)} is a link to {_shown(link.path)}, which is not in the file")
            self._step()
            found = self._target(found, next_link, steps + 1)
        return found

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_VALUES:
            raise LimitError("the links of the file lead on without an end")


@contextmanager
def _named(name: bytes) -> Iterator[None]:
    """Says in an error of a changed part what was being read."""
    try:
        yield
    except ChecksumError as error:
        raise ChecksumError(f"{_shown(name)}: {error}") from None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _shown(name: bytes) -> str:
    return repr(name[:MAX_SHOWN].decode("utf-8", "backslashreplace")) + "…" * (len(name) > MAX_SHOWN)
