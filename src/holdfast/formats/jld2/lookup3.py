"""The checksum of HDF5's headers: Bob Jenkins' ``lookup3``, as the HDF5 File Format Specification 3.0 asks for.

Strategy: whole groups of 12 bytes go through one loop of plain integer steps; headers are a few hundred bytes each.
"""

from struct import unpack_from
from typing import Final

WORD: Final = 0xFFFFFFFF
START: Final = 0xDEADBEEF


def lookup3(data: memoryview | bytes) -> int:
    """The checksum of ``data``, as an unsigned 32-bit number.

    Source: Bob Jenkins, lookup3.c, ``hashlittle`` with the initial value 0 (public domain).

    >>> hex(lookup3(b"")), hex(lookup3(b"Four score and seven years ago"))
    ('0xdeadbeef', '0x17770551')
    """
    length = len(data)
    a = b = c = (START + length) & WORD
    if not length:
        return c
    whole = (length - 1) // 12 * 12
    words = unpack_from(f"<{whole // 4}I", data)
    for at in range(0, whole // 4, 3):
        a, b, c = _mixed((a + words[at]) & WORD, (b + words[at + 1]) & WORD, (c + words[at + 2]) & WORD)
    x, y, z = unpack_from("<3I", bytes(data[whole:]).ljust(12, b"\0"))
    return _final((a + x) & WORD, (b + y) & WORD, (c + z) & WORD)


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c & WORD) ^ (c << 4 & WORD | c >> 28)
    c = c + b & WORD
    b = (b - a & WORD) ^ (a << 6 & WORD | a >> 26)
    a = a + c & WORD
    c = (c - b & WORD) ^ (b << 8 & WORD | b >> 24)
    b = b + a & WORD
    a = (a - c & WORD) ^ (c << 16 & WORD | c >> 16)
    c = c + b & WORD
    b = (b - a & WORD) ^ (a << 19 & WORD | a >> 13)
    a = a + c & WORD
    c = (c - b & WORD) ^ (b << 4 & WORD | b >> 28)
    b = b + a & WORD
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = (c ^ b) - (b << 14 & WORD | b >> 18) & WORD
    a = (a ^ c) - (c << 11 & WORD | c >> 21) & WORD
    b = (b ^ a) - (a << 25 & WORD | a >> 7) & WORD
    c = (c ^ b) - (b << 16 & WORD | b >> 16) & WORD
    a = (a ^ c) - (c << 4 & WORD | c >> 28) & WORD
    b = (b ^ a) - (a << 14 & WORD | a >> 18) & WORD
    return (c ^ b) - (b << 24 & WORD | b >> 8) & WORD
