"""The bytes of a file under a cursor that never leaves its part.

Strategy: every read goes through ``take``, which compares with the end first. Places are counted from the start of the
file, so each error can say at which byte.
"""

from typing import Final

from holdfast.errors import FormatError

UNDEFINED: Final = 2**64 - 1
"""HDF5's address of nothing."""


class Cursor:
    """A part of ``data``, from ``at`` up to ``end``; ``what`` names it in errors."""

    __slots__ = ("at", "data", "end", "what")

    def __init__(self, data: memoryview, at: int, end: int, what: str) -> None:
        self.data, self.at, self.end, self.what = data, at, end, what
        if not 0 <= at <= end <= len(data):
            raise FormatError(f"{what} is said to stand outside the file's {len(data):,} bytes", at)

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return self.end - self.at

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes. Raises FormatError where there are fewer."""
        if count > self.end - self.at:
            raise FormatError(f"{self.what} breaks off: {count:,} bytes wanted, {self.left:,} left", self.at)
        at = self.at
        self.at = at + count
        return self.data[at : self.at]

    def number(self, width: int) -> int:
        """The next ``width`` bytes as an unsigned number, lowest byte first.

        >>> Cursor(memoryview(b"\\x02\\x01"), 0, 2, "a number").number(2)
        258
        """
        return int.from_bytes(self.take(width), "little")

    def text(self, count: int) -> str:
        """The next ``count`` bytes as UTF-8. Raises FormatError where they are none."""
        at = self.at
        try:
            return str(self.take(count), "utf-8")
        except UnicodeDecodeError:
            raise FormatError(f"a name in {self.what} is not UTF-8", at) from None

    def until_null(self) -> str:
        """The text up to the next zero byte, which is passed over."""
        raw = bytes(self.data[self.at : self.end])
        length = raw.find(b"\0")
        if length < 0:
            raise FormatError(f"a name in {self.what} has no end", self.at)
        text = self.text(length)
        self.take(1)
        return text

    def part(self, count: int, what: str = "") -> "Cursor":
        """A cursor over the next ``count`` bytes, which this one passes over."""
        at = self.at
        self.take(count)
        return Cursor(self.data, at, self.at, what or self.what)
