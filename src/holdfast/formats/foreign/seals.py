"""The checksum of what Holdfast adds to a format that has none: a text of 16 digits in a place that others pass over.

Strategy: where such a seal stands and is wrong, the file is damaged, or another program has written it anew and kept what
it did not know; nobody can tell which, so the error says both. A seal that is almost one is a damaged one: else one
flipped bit in its name would switch every check off.
"""

from typing import Final

DIGITS: Final = 16
"""Of an XXH3-64 in hexadecimal."""
FLIPS: Final = 3
"""Bytes that may differ in the name of a seal that is still taken for a damaged one."""
STALE: Final = (
    "the {} of the file is not the one that Holdfast wrote: it is damaged, or another program has written the file anew "
    "and kept Holdfast's notes. load(path, verify=False) takes it as it is"
)


def text_of(sum_: int) -> str:
    """A checksum as text.

    >>> text_of(255), text_of(-1)
    ('00000000000000ff', 'ffffffffffffffff')
    """
    return f"{sum_ & (1 << 64) - 1:0{DIGITS}x}"


def sum_of(text: str) -> int:
    """The checksum that ``text`` is, as ``wire.checksum`` gives it."""
    value = int(text, 16)
    return value - (1 << 64) if value >> 63 else value


def is_sum(text: object) -> bool:
    """Whether ``text`` is what ``text_of`` gives."""
    return isinstance(text, str) and len(text) == DIGITS and set(text) <= set("0123456789abcdef")


def sealed(text: bytes, sum_: int) -> bytes:
    """``text`` with the checksum in place of its last digits."""
    return text[:-DIGITS] + text_of(sum_).encode()


def resembles(found: bytes, right: bytes, name: bytes) -> bool:
    """Whether ``found`` is ``right`` or was once: as long as it, and with its ``name`` but for a few bytes.

    >>> resembles(b"holdfasu 12", b"holdfast 34", b"holdfast "), resembles(b"some text", b"holdfast ", b"holdfast ")
    (True, False)
    """
    return len(found) == len(right) and sum(a != b for a, b in zip(found, name, strict=False)) <= FLIPS
