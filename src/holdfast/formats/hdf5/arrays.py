"""Datasets as documents of arrays: mapped, or filled when they are wanted.

Strategy: what stands in the file as it stands in memory is taken from our own map of the file, and not copied. Parts are
unpacked each to the size that its shape says, and no further. Texts of any length are taken from their heaps, by the places
that stand in the dataset.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import ml_dtypes
import numpy as np

from holdfast.errors import FormatError, LimitError
from holdfast.formats.document.arrays import array_document, blobs_of
from holdfast.formats.foreign.filters import FREE_GROWTH, Growth, unpacked
from holdfast.formats.hdf5.attributes import BLANKS, Attributes
from holdfast.formats.hdf5.datasets import IN_PARTS, WHOLE, WITHIN, Dataset, read_dataset
from holdfast.formats.hdf5.headers import Headers
from holdfast.formats.hdf5.heaps import PLACE, Heaps
from holdfast.formats.jld2.cursor import UNDEFINED
from holdfast.storage import system
from holdfast.wire.values import MAX_VALUES, Blob

BFLOAT16: Final = "bfloat16"
"""What Keras notes beside arrays of that dtype, which HDF5 long lacked."""
FREE_TEXTS: Final = 1 << 12
"""Texts that a file may hold without a byte for each: those that nobody wrote are made one by one all the same."""
PLACE_TYPE: Final = np.dtype(f"V{PLACE.size}")
"""The place of a text, as NumPy's bytes of no kind."""

NdArray = np.ndarray[Any, Any]


class Arrays:
    """The datasets of one file, and what stands beside them."""

    def __init__(self, headers: Headers) -> None:
        self.data, self.headers = headers.data, headers
        self.heaps = Heaps(headers)
        self.attributes = Attributes(headers, self.heaps)
        self.size = len(self.data)
        self.growth = Growth(self.size)
        self.waiting: dict[int, Callable[[], None]] = {}
        """What fills the blobs that have no values yet, by the blob's identity."""

    def fill(self, blobs: Sequence[Blob]) -> None:
        """Give the blobs their values."""
        for blob in blobs:
            act = self.waiting.pop(id(blob), None)
            if act is not None:
                act()

    def value(self, address: int, name: str) -> Any:
        """The document of the dataset at ``address``. Raises FormatError for values outside the file, or of no kind that
        is read."""
        found = read_dataset(self.headers, address)
        if found.space.size is None:
            return None
        if found.element.kind == "heap text":
            return self._texts(found, name)
        if found.element.dtype is None:
            raise FormatError(f"{name} holds references, lists, or numbers that NumPy lacks: they are not read")
        return self._array(found, found.element.dtype, address, name)

    def _array(self, found: Dataset, dtype: np.dtype[Any], address: int, name: str) -> Any:
        shape, nbytes = found.space.size or (), found.nbytes
        if nbytes >= 2**63:
            raise LimitError(f"{name} is said to have {nbytes:,} bytes")
        place = self._place(found, name) if nbytes else None
        if place is not None:
            array: NdArray = np.ndarray(shape, dtype, self.data, place)
            if found.element.kind == "text" and found.element.filled != 1:
                return self._document(_without(array, found.element.filled), address, None)
            return self._document(array, address, place)
        self.growth.check(nbytes, self._stored(found))
        array = np.ndarray(shape, dtype, system.fresh_memory(nbytes) if nbytes else None)
        document = self._document(array, address, None)
        for blob in blobs_of(document, lambda node: node) if nbytes else ():
            blob.sealed = True  # so that it is asked for before it is looked at
            self.waiting[id(blob)] = lambda: self._unpack(found, array, name)
        return document

    def _document(self, array: NdArray, address: int, place: int | None) -> Any:
        if array.dtype.itemsize == 2 and self.attributes.of(address).get("dtype") == BFLOAT16:
            array = array.view(ml_dtypes.bfloat16)
        return array_document(array, offset=place, python="numpy.ndarray")

    def _place(self, found: Dataset, name: str) -> int | None:
        """The byte at which the values stand in one piece; None where they do not."""
        layout, nbytes = found.layout, found.nbytes
        if layout.kind == WITHIN and layout.raw is not None:
            place, size = layout.raw.at, layout.raw.left
        elif layout.kind == WHOLE and layout.address != UNDEFINED:
            place, size = layout.address + self.headers.start, nbytes if layout.size is None else layout.size
        else:
            return None
        if size != nbytes:
            raise FormatError(f"{name} has {nbytes:,} bytes by its shape, and {size:,} in the file", place)
        if place + nbytes > self.size:
            raise FormatError(f"{name} is said to stand outside the file's {self.size:,} bytes", place)
        return place

    def _stored(self, found: Dataset) -> int:
        """Bytes of the file that the parts of an array take."""
        return sum(part.size for part in found.chunks(self.headers)) if found.layout.kind == IN_PARTS else 0

    def _unpack(self, found: Dataset, array: NdArray, name: str) -> None:
        """Fill ``array`` from its parts, where they stand in the file."""
        span, length, shape = found.layout.span, found.chunk_bytes, found.space.size or ()
        if found.fill.strip(b"\0"):
            array[...] = np.frombuffer(found.fill, array.dtype if array.ndim == len(shape) else found.element.dtype)[0]
        if found.layout.kind != IN_PARTS:
            return
        if length > max(found.nbytes, FREE_GROWTH):
            raise LimitError(f"{name} has {found.nbytes:,} bytes, in parts of {length:,}")
        dtype = found.element.dtype or PLACE_TYPE
        for part in found.chunks(self.headers):
            if any(start >= whole for start, whole in zip(part.at, shape, strict=True)):
                continue  # what is left of an array that was made smaller
            start = part.address + self.headers.start
            if start + part.size > self.size:
                raise FormatError(f"a part of {name} stands outside the file's {self.size:,} bytes")
            steps = [step for place, step in enumerate(found.filters) if not part.mask >> place & 1]
            raw = unpacked(self.data[start : start + part.size], steps, length)
            block: NdArray = np.ndarray(span, dtype, raw)
            ranges = list(zip(part.at, span, shape, strict=True))
            where = tuple(slice(begin, begin + width) for begin, width, _ in ranges)
            block = block[tuple(slice(0, whole - begin) for begin, _, whole in ranges)]
            is_text = found.element.kind == "text" and found.element.filled != 1
            array[where] = _without(block, found.element.filled) if is_text else block

    def _texts(self, found: Dataset, name: str) -> Any:
        """Texts of any length, from where the dataset says that they are."""
        shape, count = found.space.size or (), prod(found.space.size or ())
        place = self._place(found, name) if count else None
        stored = found.nbytes if place is not None else self._stored(found)
        if count > min(MAX_VALUES, max(FREE_TEXTS, stored)):
            raise LimitError(f"{name} is said to hold {count:,} texts in {stored:,} bytes")
        places: NdArray = np.zeros(shape, PLACE_TYPE)
        if place is not None:
            places = np.ndarray(shape, PLACE_TYPE, self.data, place)
        elif count:
            self._unpack(found, places, name)
        texts = np.empty(shape, object)
        for where in np.ndindex(*shape):
            texts[where] = self.heaps.text(places[where].tobytes())
        return texts.tolist()


def _without(array: NdArray, filled: int) -> NdArray:
    """A copy of texts of fixed length without what fills them up: blanks, or whatever stands behind a zero."""
    if filled == BLANKS:
        return np.char.rstrip(array, b" \0").astype(array.dtype)
    letters = np.ascontiguousarray(array).view(np.uint8).reshape(*array.shape, array.itemsize)
    kept = np.minimum.accumulate(letters != 0, axis=-1)
    return (letters * kept).reshape(-1).view(array.dtype).reshape(array.shape)
