"""A document whose values are read when they are asked for.

Strategy: the names are there at once, each value on its first look, and then it stays the same object: the engine knows
the parts of a document by their identity. What stands in groups is there by its path, too, which is no name of the root:
``layers/dense/vars/0``, as h5py and JLD2.jl have it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from holdfast.errors import ChecksumError, FormatError, HoldfastError
from holdfast.formats.document.leaves import items_of
from holdfast.formats.file import in_file
from holdfast.wire.values import Document

RESERVED: Final = "_backrefs"
"""A name that documents need for themselves."""
SLASH: Final = "/"
"""What stands between the names of a path, and in no name."""
MISSING: Final = object()


class OnDemand(Document):
    """Names -> values, made by ``make``. Errors of ``make`` name the file at ``path`` and the value.

    >>> document = OnDemand(["a", "b"], str.upper, "file")
    >>> document["a"], list(document), len(document)
    ('A', ['a', 'b'], 2)
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], Any], path: str) -> None:
        super().__init__(dict.fromkeys(names))
        if RESERVED in self:
            raise FormatError(f"{path}: a value cannot be called {RESERVED!r}")
        self._waiting = set(self)
        self._make, self._path = make, path

    def __getitem__(self, name: str) -> Any:
        if name in self._waiting:
            self[name] = self._value(name)
            self._waiting.discard(name)
        if super().__contains__(name) or (found := self._in_groups(name)) is MISSING:
            return super().__getitem__(name)
        return found

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self._in_groups(name) is not MISSING)

    def _in_groups(self, path: str) -> Any:
        """What stands at ``path``, or MISSING."""
        first, *rest = path.split(SLASH)
        node = self[first] if rest and super().__contains__(first) else MISSING
        for name in rest:
            node = dict(items_of(node, lambda part: part) or ()).get(name, MISSING)
        return node

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 (dict.get would not read the value)

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def values(self) -> Any:
        return [self[name] for name in self]

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def _value(self, name: str) -> Any:
        try:
            return self._make(name)
        except FormatError as error:
            raise in_file(type(error)(f"{name}: {error.message}", error.offset), self._path) from None
        except ChecksumError as error:
            raise ChecksumError(f"{self._path}: {name}: {error}", (name,)) from None
        except HoldfastError:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise in_file(FormatError(f"{name} is not what it says it is: {error}"), self._path) from error
