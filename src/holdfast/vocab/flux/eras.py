"""Which version of Flux wrote a file, as far as its structs tell; and what waits for the answer.

Strategy: no file names its Flux. But every layout belongs to a span of versions, so each struct that is met narrows the
span of the whole file. Where one layout had several meanings (LayerNorm's ``eps``, padding in pooling), the choice is
made at once and made again whenever the span narrows. So it does not depend on the order of a file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeVar

from torch import Tensor

from holdfast.codec.rule import Options

T = TypeVar("T")

Version = tuple[int, ...]


def version(text: str) -> Version:
    """A version as numbers that can be compared.

    >>> version("0.12.10") > version("0.12.9")
    True
    """
    return tuple(map(int, text.split(".")))


FIRST: Final = version("0.5.0")
"""The oldest Flux whose structs are in the tables: BSON.jl is as old."""
TODAY: Final = version("0.16.11")
"""The newest Flux whose structs are in the tables: what is new in Python is written as its layers."""


class Span(NamedTuple):
    """Versions of Flux, both included."""

    since: Version = FIRST
    until: Version = TODAY

    def overlaps(self, other: "Span") -> bool:
        return self.since <= other.until and other.since <= self.until


def span(since: str = "", until: str = "") -> Span:
    """``span("0.12.0", "0.12.10")``; without an end it reaches until today.

    >>> span("0.13.0").overlaps(span("0.8.3", "0.12.10"))
    False
    """
    return Span(version(since) if since else FIRST, version(until) if until else TODAY)


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One of the meanings that a thing had. ``likely`` breaks a tie between versions that the file leaves open."""

    span: Span
    value: T
    likely: bool = False


class Era:
    """The versions that a file may come from, narrowed by all that was found in it."""

    def __init__(self) -> None:
        self.span = Span()
        self._waiting: list[tuple[Sequence[Choice[Any]], Callable[[Any], None]]] = []

    def narrow(self, found: Span) -> None:
        """Take in that something in the file belongs to ``found``. A file of several eras tells nothing more."""
        both = Span(max(self.span.since, found.since), min(self.span.until, found.until))
        if both == self.span or both.since > both.until:
            return
        self.span = both
        for choices, take in self._waiting:
            take(self.pick(choices))

    def pick(self, choices: Sequence[Choice[T]]) -> T:
        """The meaning in this file: of those that the span leaves, a likely one, else the last (the newest)."""
        left = [choice for choice in choices if choice.span.overlaps(self.span)] or list(choices)
        likely = [choice for choice in left if choice.likely]
        return (likely or left)[-1].value

    def settle(self, choices: Sequence[Choice[T]], take: Callable[[T], None]) -> None:
        """Call ``take`` with the meaning in this file, now and whenever more is known of the file."""
        take(self.pick(choices))
        if len(choices) > 1:
            self._waiting.append((choices, take))


@dataclass(slots=True)
class Load:
    """What one ``load`` knows beyond its values: the era, and who waits for the tensor of an array."""

    era: Era = field(default_factory=Era)
    _waiting: dict[int, tuple[Any, list[Callable[[Tensor], None]]]] = field(default_factory=dict)

    def wait(self, array: Any, take: Callable[[Tensor], None]) -> None:
        """Call ``take`` when a tensor is made of ``array``, which is kept so that its ``id`` stays its own."""
        self._waiting.setdefault(id(array), (array, []))[1].append(take)

    def made(self, array: Any, tensor: Tensor) -> None:
        """Tell those who wait for the tensor of ``array``."""
        for take in self._waiting.pop(id(array), (array, []))[1]:
            take(tensor)


def load_of(options: Options) -> Load:
    """The ``Load`` of this load, made when first asked for."""
    entry = options.made.get(id(Load))
    if entry is None:
        entry = options.made[id(Load)] = (Load, Load())
    known: Any = entry[1]
    assert isinstance(known, Load)
    return known
