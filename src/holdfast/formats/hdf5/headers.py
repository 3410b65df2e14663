"""The headers of objects, in every form.

Strategy: an object is where its address says. Its messages are taken one by one, in HDF5's older form and in the newer,
whose checksum is held against them; each must be whole, and every datatype and shape among them readable. What all headers
of a file take together is counted, so that a thousand names cannot lead into the same long one.

Source: HDF5 File Format Specification 3.0, IV.A.1.
"""

from collections.abc import Iterator
from typing import Final

from holdfast.errors import FormatError, LimitError
from holdfast.formats.hdf5.datatypes import Element, read_element
from holdfast.formats.jld2.cursor import Cursor
from holdfast.formats.jld2.datatypes import read_shared
from holdfast.formats.jld2.objects import CONTINUATION, MAX_CHUNKS, Objects, read_space

SPACE, LINK_INFO, DATATYPE = 1, 2, 3
OLD_FILL, FILL, LINK, ELSEWHERE = 4, 5, 6, 7
LAYOUT, GROUP_INFO, FILTERS, ATTRIBUTE = 8, 10, 11, 12
TABLE, ATTRIBUTES, CACHE = 17, 21, 24
"""Kinds of messages: the shape; where many links are; the datatype; what stands where nobody wrote, in two forms; one link;
data in another file; where the data are; what a group is like; the filters; one attribute; the links of an old group; where
many attributes are; and a picture of the library's memory."""
SHARED: Final = 2
"""Flag of a message that stands elsewhere."""
FREE: Final = 1 << 20
"""Bytes that headers and what belongs to them may take beyond a few times the file."""
TIMES: Final = 8
"""An honest header is read three times: for what it is, for its attributes, and for its links or its array."""

Message = tuple[int, int, Cursor]
"""Kind, flags, body."""


class Headers(Objects):
    """The headers of the file ``data``, in which addresses are counted from ``start``. The newer form is read as JLD2's, whose
    first structure stands elsewhere and is not looked at here."""

    def __init__(self, data: memoryview, start: int) -> None:
        self.data, self.start = data, start
        self.left = TIMES * len(data) + FREE
        self._datasets: dict[int, bool] = {}
        self.shared: dict[int, Element] = {}
        """Datatypes that stand for themselves, by address: many arrays may have the same."""

    def cursor(self, address: int, length: int | None, what: str) -> Cursor:
        """The part of the file at ``address``. Raises FormatError where it is not in the file."""
        at = address + self.start
        if at > len(self.data):
            raise FormatError(f"{what} is said to stand at byte {at:,} of {len(self.data):,}")
        return Cursor(self.data, at, len(self.data) if length is None else at + length, what)

    def spend(self, count: int) -> None:
        """Count ``count`` bytes that are read. Raises LimitError when they are many more than the file has."""
        self.left -= count
        if self.left < 0:
            raise LimitError("its headers lead into one another: they are longer than the file")

    def is_dataset(self, address: int) -> bool:
        """Whether the object at ``address`` is a dataset, and not a group.

        Raises FormatError for a datatype by itself, and for what is neither.
        """
        if address not in self._datasets:
            kinds = {kind for kind, _, _ in self.checked(address)}
            if kinds >= {SPACE, LAYOUT}:
                self._datasets[address] = True
            elif kinds & {TABLE, LINK_INFO, LINK, GROUP_INFO}:
                self._datasets[address] = False
            else:
                what = (
                    "a datatype by itself, which has no value" if DATATYPE in kinds else "neither a group nor an array"
                )
                raise FormatError(f"the object at address {address:,} is {what}")
        return self._datasets[address]

    def checked(self, address: int) -> Iterator[Message]:
        """Each message of the object at ``address``. Raises FormatError for a datatype or shape that is none."""
        for kind, flags, body in self.messages(address):
            copy = Cursor(body.data, body.at, body.end, body.what)
            if kind == DATATYPE and not flags & SHARED:
                read_element(copy)
            elif kind == SPACE and not flags & SHARED:
                read_space(copy)
            elif kind == CACHE:
                raise FormatError("the file holds a picture of the memory of HDF5's library: it is not read", body.at)
            yield kind, flags, body

    def messages(self, address: int) -> Iterator[Message]:
        """Each message of the object at ``address``, through all parts of its header."""
        head = self.cursor(address, None, "an object's header")
        if bytes(head.data[head.at : head.at + 4]) == b"OHDR":
            return self._messages(address)
        return self._old(head)

    def _old(self, head: Cursor) -> Iterator[Message]:
        """The same in the older form, which has no checksums."""
        at = head.at
        if head.number(1) != 1:
            raise FormatError("no object of HDF5's stands here", at)
        head.take(7)
        length = head.number(4)
        head.take(4)
        parts, done = [head.part(length)], set[int]()
        while parts:
            part = parts.pop(0)
            self.spend(part.left)
            if part.at in done or len(done) > MAX_CHUNKS:
                raise LimitError("an object's header goes on in itself or in too many places", part.at)
            done.add(part.at)
            while part.left >= 8:
                kind, size, flags = part.number(2), part.number(2), part.number(1)
                part.take(3)
                body = part.part(size)
                if kind == CONTINUATION:
                    parts.append(self.cursor(body.number(8), body.number(8), "an object's header"))
                else:
                    yield kind, flags, body

    def _check(self, start: int, end: Cursor) -> None:
        self.spend(end.at - start)
        super()._check(start, end)


def shared_element(headers: Headers, said: Cursor) -> Element:
    """The datatype that stands in the file for itself, at the address that the cursor says."""
    address = read_shared(said).address
    if address not in headers.shared:
        found = [body for kind, flags, body in headers.messages(address) if kind == DATATYPE and not flags & SHARED]
        if not found:
            raise FormatError(f"no datatype stands at address {address:,}", said.at)
        headers.shared[address] = read_element(found[0])
    return headers.shared[address]
