"""Datasets as documents of arrays: mapped, or filled when they are wanted.

Strategy: the library says of a dataset what it is and where its bytes stand; the bytes are then taken from our own map
of the file. Contiguous ones are not copied. Chunks are unpacked here, each to the size that its shape says, because the
library's own unpacking goes on for as long as the data does. Only what has another form in memory than in the file is
left to the library, and only where it cannot grow far.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import ml_dtypes
import numpy as np

from holdfast.errors import FormatError, LimitError
from holdfast.formats.document.arrays import array_document, blobs_of
from holdfast.formats.foreign.filters import FREE_GROWTH, Filter, check_growth, unpacked
from holdfast.formats.hdf5.library import translated
from holdfast.storage import system
from holdfast.wire.values import MAX_VALUES, Blob

MOST_DEFLATE: Final = 1032
"""How many times its size the data of deflate can grow."""
PLAIN_FILTERS: Final = frozenset({2, 3})
"""Filters that do not make data larger."""
BFLOAT16: Final = "bfloat16"
"""What Keras notes beside arrays of that dtype, which HDF5 lacks."""

TEXT_ID: Final = 16
"""Bytes that stand for a text: its length, the address of its heap, its number there."""
FREE_TEXTS: Final = 1 << 12
"""Texts that a file may hold without a byte for each: those that nobody wrote are read one by one all the same."""

NdArray = np.ndarray[Any, Any]


class Arrays:
    """The datasets of one file, whose bytes are ``data``; ``check_heaps`` is called before a text is read, and told
    whether it is compressed."""

    def __init__(self, data: memoryview, check_heaps: Callable[[bool], None]) -> None:
        import h5py

        self.data, self.check_heaps, self.h5 = data, check_heaps, h5py
        self.size = len(data)
        self.waiting: dict[int, Callable[[], None]] = {}
        """What fills the blobs that have no values yet, by the blob's identity."""

    def fill(self, blobs: Sequence[Blob]) -> None:
        """Give the blobs their values."""
        for blob in blobs:
            act = self.waiting.pop(id(blob), None)
            if act is not None:
                act()

    def value(self, dataset: Any, name: str) -> Any:
        """The document of a dataset. Raises FormatError for values outside the file, or of no kind that is read."""
        plist = dataset.id.get_create_plist()
        layout = plist.get_layout()
        if layout == self.h5.h5d.VIRTUAL:
            raise FormatError(f"{name} is a virtual dataset, which takes its values from elsewhere: it is not followed")
        if plist.get_external_count():
            raise FormatError(f"the values of {name} stand in another file: it is not opened")
        if dataset.shape is None:
            return None
        if self.h5.check_string_dtype(dataset.dtype) is not None and dataset.dtype.kind == "O":
            return self._texts(dataset, plist, name)
        if dataset.dtype.hasobject:
            raise FormatError(f"{name} holds references or lists, which are no numbers: they are not read")
        return self._array(dataset, plist, name)

    def _array(self, dataset: Any, plist: Any, name: str) -> Any:
        shape, dtype = tuple(map(int, dataset.shape)), dataset.dtype
        nbytes = prod(shape) * dtype.itemsize
        if nbytes >= 2**63:
            raise LimitError(f"{name} is said to have {nbytes:,} bytes")
        plain = self.h5.h5t.py_create(dtype, logical=True) == dataset.id.get_type()
        place = dataset.id.get_offset() if plain and nbytes else None
        if place is not None and dataset.id.get_storage_size() == nbytes:
            if place + nbytes > self.size:
                raise FormatError(f"{name} is said to stand outside the file's {self.size:,} bytes", place)
            return self._document(np.ndarray(shape, dtype, self.data, place), dataset, place)
        with translated(name):
            check_growth(nbytes, int(dataset.id.get_storage_size()))
        array: NdArray = np.ndarray(shape, dtype, system.fresh_memory(nbytes) if nbytes else None)
        document = self._document(array, dataset, None)
        chunked = plist.get_layout() == self.h5.h5d.CHUNKED
        filters = [Filter(plist.get_filter(i)[0], plist.get_filter(i)[2]) for i in range(plist.get_nfilters())]
        if not plain or not chunked:
            self._check_library(dataset, filters, chunked, name)
        read = self._unpack if plain and chunked else self._library
        for blob in blobs_of(document, lambda node: node) if nbytes else ():
            blob.sealed = True  # so that it is asked for before it is looked at
            self.waiting[id(blob)] = lambda: read(dataset, array, filters, name)
        return document

    def _document(self, array: NdArray, dataset: Any, place: int | None) -> Any:
        if array.dtype.itemsize == 2 and _noted(dataset) == BFLOAT16:
            array = array.view(ml_dtypes.bfloat16)
        return array_document(array, offset=place, python="numpy.ndarray")

    def _unpack(self, dataset: Any, array: NdArray, filters: list[Filter], name: str) -> None:
        """Fill ``array`` from its chunks, where they stand in the file."""
        chunk = tuple(map(int, dataset.chunks))
        length = prod(chunk) * array.itemsize
        if length > max(array.nbytes, FREE_GROWTH):
            raise LimitError(f"{name} has {array.nbytes:,} bytes, in parts of {length:,}")
        parts: list[Any] = []
        with translated(name):
            dataset.id.chunk_iter(parts.append)
            fill = np.zeros((), array.dtype)
            dataset.id.get_create_plist().get_fill_value(fill)
        if fill.tobytes().strip(b"\0"):
            array[...] = fill
        for part in parts:
            if part.byte_offset is None or part.byte_offset + part.size > self.size:
                raise FormatError(f"a part of {name} stands outside the file's {self.size:,} bytes")
            raw = self.data[part.byte_offset : part.byte_offset + part.size]
            steps = [step for place, step in enumerate(filters) if not part.filter_mask >> place & 1]
            block = np.frombuffer(unpacked(raw, steps, length), array.dtype).reshape(chunk)
            ranges = list(zip(part.chunk_offset, chunk, array.shape, strict=True))
            if any(start >= whole for start, _, whole in ranges):
                continue  # what is left of an array that was made smaller
            where = tuple(slice(start, start + width) for start, width, _ in ranges)
            array[where] = block[tuple(slice(0, whole - start) for start, _, whole in ranges)]

    def _library(self, dataset: Any, array: NdArray, filters: list[Filter], name: str) -> None:
        """Fill ``array`` through HDF5's library."""
        with translated(name):
            if array.ndim:
                dataset.read_direct(array)
            else:
                array[()] = dataset[()]

    def _check_library(self, dataset: Any, filters: list[Filter], chunked: bool, name: str) -> None:
        """Raises FormatError for what the library would unpack without a bound, or with code from elsewhere."""
        numbers = {step.number for step in filters} - PLAIN_FILTERS
        if not numbers:
            return
        sizes: list[int] = []
        if chunked:
            with translated(name):
                dataset.id.chunk_iter(lambda part: sizes.append(part.size))
        if numbers != {1} or max(sizes, default=0) * MOST_DEFLATE > FREE_GROWTH:
            raise FormatError(f"{name} is compressed in a way that is not read for its type: save it uncompressed")

    def _texts(self, dataset: Any, plist: Any, name: str) -> Any:
        """Texts of any length, one by one, so that what they take together can be watched."""
        filters = [Filter(plist.get_filter(i)[0], plist.get_filter(i)[2]) for i in range(plist.get_nfilters())]
        self._check_library(dataset, filters, plist.get_layout() == self.h5.h5d.CHUNKED, name)
        count, left = prod(dataset.shape), 4 * self.size + FREE_GROWTH
        if count > min(MAX_VALUES, FREE_GROWTH):
            raise LimitError(f"{name} is said to hold {count:,} texts")
        stored = int(dataset.id.get_storage_size())
        check_growth(count * 16, stored)
        if count > max(FREE_TEXTS, stored):
            raise LimitError(f"{name} is said to hold {count:,} texts in {stored:,} bytes")
        self.check_heaps(bool(filters))
        self._check_lengths(dataset, plist, filters, name)
        if not dataset.shape:
            return _text(dataset[()])
        texts = np.empty(dataset.shape, object)
        for place in np.ndindex(*dataset.shape):
            texts[place] = _text(dataset[place])
            left -= len(texts[place])
            if left < 0:
                raise LimitError(f"the texts of {name} are larger than the file")
        return texts.tolist()

    def _check_lengths(self, dataset: Any, plist: Any, filters: list[Filter], name: str) -> None:
        """Raises FormatError for a text that is said to be longer than the file: the library takes as much memory before
        it looks for the text."""
        layout, places = plist.get_layout(), list[tuple[int | None, int, int]]()
        if layout == self.h5.h5d.CHUNKED:
            with translated(name):
                dataset.id.chunk_iter(lambda part: places.append((part.byte_offset, part.size, part.filter_mask)))
        elif layout == self.h5.h5d.CONTIGUOUS:
            # The library reads as much as the shape says, whatever is said to be stored.
            places.append((dataset.id.get_offset(), TEXT_ID * prod(dataset.shape), 0))
        else:
            raise FormatError(f"{name} holds texts whose places stand in its header: save it as h5py does")
        length = TEXT_ID * prod(dataset.chunks or dataset.shape)
        for place, size, mask in places:
            if place is None or not size:
                continue  # nobody wrote it
            if place + size > self.size:
                raise FormatError(f"{name} is said to stand outside the file's {self.size:,} bytes", place)
            steps = [step for number, step in enumerate(filters) if not mask >> number & 1]
            ids = np.frombuffer(unpacked(self.data[place : place + size], steps, length), np.uint8)
            lengths = ids[: len(ids) // TEXT_ID * TEXT_ID].view("<u4")[:: TEXT_ID // 4]
            if lengths.max(initial=0) > self.size:
                raise FormatError(f"a text of {name} is said to have {lengths.max():,} bytes", place)


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else str(raw)


def _noted(dataset: Any) -> str:
    """The dtype that is noted beside a dataset."""
    if "dtype" not in dataset.attrs:
        return ""
    found = dataset.attrs["dtype"]
    return found if isinstance(found, str) else ""
