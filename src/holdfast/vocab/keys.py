"""Keys of dictionaries and members of sets, which Python hashes; and how a value is shown in an error.

Strategy: hashing and ``repr`` both go down into tuples, without a limit of their own. A small file can say a tuple that
is a million deep (a stack overflow) or one that doubles fifty times over (a hash that never ends), so keys are looked
at first, and only plain values are ever shown. Python's hash of a number is known to all: thousands of numbers that share
one make a dictionary of them quadratic, so they are counted.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from holdfast.errors import LimitError, UnsupportedError

MAX_KEY_DEPTH: Final = 100
"""Tuples inside tuples in one key."""
MAX_KEY_PARTS: Final = 10_000
"""Elements in one key, all its tuples taken together."""

MAX_ALIKE: Final = 500
"""Keys of one hash in one dictionary. Texts and bytes have a secret in their hash, so that nobody can choose it."""

SHOWN: Final = frozenset({str, int, float, bool, bytes, type(None)})


SALTED: Final = frozenset({str, bytes})
"""Types whose hash has a secret of the process in it."""

NESTED: Final = (tuple, slice)
"""Types whose hash goes down into their parts (a slice's does from Python 3.12 on)."""


def burden(key: Any) -> str | None:
    """Why ``key`` is too much to be hashed, or None.

    >>> burden(("layer", (1, 2))), burden((0,) * 20_000)
    (None, 'a key of more than 10,000 parts')
    """
    if not isinstance(key, NESTED):
        return None
    tuples, parts = [_parts(key)], 0
    for _ in range(MAX_KEY_DEPTH):
        parts += sum(map(tuple.__len__, tuples))
        if parts > MAX_KEY_PARTS:
            return f"a key of more than {MAX_KEY_PARTS:,} parts"
        tuples = [_parts(part) for outer in tuples for part in tuple.__iter__(outer) if isinstance(part, NESTED)]
        if not tuples:
            return None
    return f"a key of tuples more than {MAX_KEY_DEPTH} deep"


def _parts(key: Any) -> tuple[Any, ...]:
    return (key.start, key.stop, key.step) if isinstance(key, slice) else key


def spread(keys: Sequence[Any]) -> Sequence[Any]:
    """``keys`` of one dictionary from a file, unless so many have the same hash that it would take for ever.

    >>> len(spread(range(1000)))
    1000
    """
    if len(keys) > MAX_ALIKE and not SALTED.issuperset(map(type, keys)):
        alike = Counter(hash(key) for key in keys if type(key) not in SALTED)
        if alike and max(alike.values()) > MAX_ALIKE:
            raise LimitError(f"the file has more than {MAX_ALIKE} keys of one hash in one dictionary")
    return keys


def savable(key: Any) -> Any:
    """``key``, unless ``load`` would refuse it."""
    reason = burden(key)
    if reason:
        raise UnsupportedError(f"{reason} cannot be saved")
    return key


def hashed(key: Any) -> Any:
    """``key`` from a file, unless it is more than one should hash."""
    reason = burden(key)
    if reason:
        raise LimitError(f"the file has {reason}")
    return key


def shown(value: Any, limit: int = 40) -> str:
    """``value`` as it may stand in a path or an error: a plain value as Python writes it, of others the type.

    >>> shown("weight"), shown((1, 2)), shown("a" * 100, 8)
    ("'weight'", '<tuple>', "'aaaaaa…")
    """
    if type(value) not in SHOWN:
        return f"<{type(value).__qualname__}>"
    if type(value) is int and abs(value) >= 10**limit:
        return "<int>"
    text = repr(value[:limit] if isinstance(value, str | bytes) else value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
