"""The values of a file, each verified when it is first handed out.

Strategy: everything is built at once, for that touches no array and keeps what is one object in several places one
object. Only the checksums wait: a name's arrays are compared when the name is first asked for, each array once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.wire.values import Blob

Reached = Sequence[tuple[str, Blob]]
"""Blobs, each with a name that reaches it."""


class LazyValues(Mapping[str, Any]):
    """The values of a file by name: ``values["model"]`` raises ChecksumError when an array of ``model`` was damaged.

    values   what the names stand for, built and not verified
    reached  the blobs that a name reaches, those it shares with others too
    verify   compares checksums; raises for what has changed

    >>> blob = Blob(memoryview(b"weights"))
    >>> values = LazyValues({"a": 1, "b": 2}, lambda name: [(name, blob)], lambda blobs: print([n for n, _ in blobs]))
    >>> values["a"], values["a"], values["b"]  # the blob is one and the same, so it is compared once
    ['a']
    []
    (1, 1, 2)
    """

    def __init__(
        self, values: Mapping[str, Any], reached: Callable[[str], Reached], verify: Callable[[Reached], None]
    ) -> None:
        self._values = values
        self._reached = reached
        self._verify = verify
        self._names: set[str] = set()
        self._blobs: set[int] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if name not in self._names:
            found = [(of, blob) for of, blob in self._reached(name) if id(blob) not in self._blobs]
            self._verify(found)
            self._blobs.update(id(blob) for _, blob in found)
            self._names.add(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """Shows the names alone, for no value is handed out unverified."""
        return f"<values of a file: {', '.join(self)}>"
