"""A document whose values are read when they are asked for.

Strategy: the names are there at once, each value on its first look, and then it stays the same object: the engine knows
the parts of a document by their identity.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from holdfast.errors import ChecksumError, FormatError, HoldfastError
from holdfast.formats.file import in_file
from holdfast.wire.values import Document

RESERVED: Final = "_backrefs"
"""A name that documents need for themselves."""


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
        return super().__getitem__(name)

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
