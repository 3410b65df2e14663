"""Datasets as documents of arrays: mapped, or filled when they are wanted.

Strategy: the library says of a dataset what it is and where its bytes stand; the bytes are then taken from our own map
of the file. Contiguous ones are not copied. Chunks are unpacked here, each to the size that its shape says, because the
library's own unpacking goes on for as long as the data does. Texts of any length are taken from their heaps, by the places
that stand in the dataset. Only what has another form in memory than in the file is left to the library, and only where it
cannot grow far.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import ml_dtypes
import numpy as np

from holdfast.errors import FormatError, LimitError
from holdfast.formats.document.arrays import array_document, blobs_of
from holdfast.formats.foreign.filters import FREE_GROWTH, Filter, check_growth, unpacked
from holdfast.formats.hdf5.attributes import Attributes
from holdfast.formats.hdf5.headers import COMPACT, FILL, LAYOUT, SHARED, Headers
from holdfast.formats.hdf5.heaps import PLACE, Heaps
from holdfast.formats.hdf5.library import translated
from holdfast.formats.jld2.cursor import Cursor
from holdfast.storage import system
from holdfast.wire.values import MAX_VALUES, Blob

MOST_DEFLATE: Final = 1032
"""How many times its size the data of deflate can grow."""
PLAIN_FILTERS: Final = frozenset({2, 3})
"""Filters that do not make data larger."""
BFLOAT16: Final = "bfloat16"
"""What Keras notes beside arrays of that dtype, which HDF5 lacks."""

FREE_TEXTS: Final = 1 << 12
"""Texts that a file may hold without a byte for each: those that nobody wrote are read one by one all the same."""

PLACE_TYPE: Final = np.dtype(f"V{PLACE.size}")
"""The place of a text, as NumPy's bytes of no kind."""

NdArray = np.ndarray[Any, Any]


class Arrays:
    """The datasets of one file, and what stands beside them."""

    def __init__(self, headers: Headers) -> None:
        import h5py

        self.data, self.headers, self.h5 = headers.data, headers, h5py
        self.heaps = Heaps(headers)
        self.attributes = Attributes(headers, self.heaps)
        self.size = len(self.data)
        self.waiting: dict[int, Callable[[], None]] = {}
        """What fills the blobs that have no values yet, by the blob's identity."""

    def fill(self, blobs: Sequence[Blob]) -> None:
        """Give the blobs their values."""
        for blob in blobs:
            act = self.waiting.pop(id(blob), None)
            if act is not None:
                act()

    def value(self, dataset: Any, address: int, name: str) -> Any:
        """The document of the dataset at ``address``. Raises FormatError for values outside the file, or of no kind that
        is read."""
        is_text = self._is_text(dataset, name)
        fill = self._fill(address) if is_text else b""
        plist = dataset.id.get_create_plist()
        layout = plist.get_layout()
        if layout == self.h5.h5d.VIRTUAL:
            raise FormatError(f"{name} is a virtual dataset, which takes its values from elsewhere: it is not followed")
        if plist.get_external_count():
            raise FormatError(f"the values of {name} stand in another file: it is not opened")
        if dataset.shape is None:
            return None
        if is_text:
            return self._texts(dataset, plist, address, fill, name)
        return self._array(dataset, plist, address, name)

    def _is_text(self, dataset: Any, name: str) -> bool:
        """Whether it holds texts of any length. Raises FormatError for what is neither that nor numbers."""
        if self.h5.check_string_dtype(dataset.dtype) is not None and dataset.dtype.kind == "O":
            return True
        if dataset.dtype.hasobject:
            raise FormatError(f"{name} holds references or lists, which are no numbers: they are not read")
        return False

    def _array(self, dataset: Any, plist: Any, address: int, name: str) -> Any:
        shape, dtype = tuple(map(int, dataset.shape)), dataset.dtype
        nbytes = prod(shape) * dtype.itemsize
        if nbytes >= 2**63:
            raise LimitError(f"{name} is said to have {nbytes:,} bytes")
        plain = self.h5.h5t.py_create(dtype, logical=True) == dataset.id.get_type()
        place = dataset.id.get_offset() if plain and nbytes else None
        if place is not None and dataset.id.get_storage_size() == nbytes:
            if place + nbytes > self.size:
                raise FormatError(f"{name} is said to stand outside the file's {self.size:,} bytes", place)
            return self._document(np.ndarray(shape, dtype, self.data, place), address, place)
        with translated(name):
            check_growth(nbytes, int(dataset.id.get_storage_size()))
        array: NdArray = np.ndarray(shape, dtype, system.fresh_memory(nbytes) if nbytes else None)
        document = self._document(array, address, None)
        chunked = plist.get_layout() == self.h5.h5d.CHUNKED
        filters = [Filter(plist.get_filter(i)[0], plist.get_filter(i)[2]) for i in range(plist.get_nfilters())]
        if not plain or not chunked:
            self._check_library(dataset, filters, chunked, name)
        read = self._unpack if plain and chunked else self._library
        for blob in blobs_of(document, lambda node: node) if nbytes else ():
            blob.sealed = True  # so that it is asked for before it is looked at
            self.waiting[id(blob)] = lambda: read(dataset, array, filters, name)
        return document

    def _document(self, array: NdArray, address: int, place: int | None) -> Any:
        if array.dtype.itemsize == 2 and self.attributes.of(address).get("dtype") == BFLOAT16:
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
            if array.dtype != PLACE_TYPE:
                self._fill_numbers(dataset, array)
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

    def _fill_numbers(self, dataset: Any, array: NdArray) -> None:
        fill = np.zeros((), array.dtype)
        dataset.id.get_create_plist().get_fill_value(fill)
        if fill.tobytes().strip(b"\0"):
            array[...] = fill

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

    def _texts(self, dataset: Any, plist: Any, address: int, fill: bytes, name: str) -> Any:
        """Texts of any length, from where the dataset says that they are."""
        count, stored = prod(dataset.shape), int(dataset.id.get_storage_size())
        if count > min(MAX_VALUES, FREE_GROWTH):
            raise LimitError(f"{name} is said to hold {count:,} texts")
        check_growth(count * PLACE.size, stored)
        if count > max(FREE_TEXTS, stored):
            raise LimitError(f"{name} is said to hold {count:,} texts in {stored:,} bytes")
        places = np.full(dataset.shape, np.void(fill), PLACE_TYPE)
        self._place(places, dataset, plist, address, name)
        texts = np.empty(dataset.shape, object)
        for where in np.ndindex(*dataset.shape):
            texts[where] = self.heaps.text(places[where].tobytes())
        return texts.tolist()

    def _place(self, places: NdArray, dataset: Any, plist: Any, address: int, name: str) -> None:
        """Fill in where the texts are, as far as they were written."""
        layout = plist.get_layout()
        if layout == self.h5.h5d.CHUNKED:
            filters = [Filter(plist.get_filter(i)[0], plist.get_filter(i)[2]) for i in range(plist.get_nfilters())]
            self._unpack(dataset, places, filters, name)
            return
        if layout == self.h5.h5d.CONTIGUOUS:
            start = dataset.id.get_offset()
            if start is None:
                return
            if start + places.nbytes > self.size:
                raise FormatError(f"{name} is said to stand outside the file's {self.size:,} bytes", start)
            raw = self.data[start : start + places.nbytes]
        else:
            raw = self._compact(address, name)
            if len(raw) != places.nbytes:
                raise FormatError(f"{name} has {len(raw):,} bytes, not {places.nbytes:,}")
        places[...] = np.frombuffer(raw, PLACE_TYPE).reshape(places.shape)

    def _compact(self, address: int, name: str) -> memoryview:
        """The data that stand in a dataset's header."""
        for kind, _, body in self.headers.messages(address):
            if kind == LAYOUT and (body.number(1), body.number(1)) in COMPACT:
                return body.take(body.number(2))
        raise FormatError(f"{name} holds texts whose places stand in its header in an old form: save it as h5py does")

    def _fill(self, address: int) -> bytes:
        """The place of the text that stands where nobody wrote one. Raises FormatError for one that is not there: the
        library looks for it, and takes as much memory as it says."""
        for kind, flags, body in self.headers.messages(address):
            if kind == FILL and not flags & SHARED and (fill := _filling(body)):
                self.heaps.text(fill)
                return fill
        return bytes(PLACE.size)


def _filling(body: Cursor) -> bytes:
    """The place of a text in a message of what fills a dataset; none where it says nothing of it.

    Source: HDF5 File Format Specification 3.0, IV.A.2.f.
    """
    at = body.at
    version, bits = body.number(1), body.number(1)
    if version == 3:
        size = body.number(4) if bits & 0x20 else 0
    else:
        body.take(1)
        size = body.number(4) if body.number(1) else 0
    if size not in (0, PLACE.size):
        raise FormatError(f"what fills an array of texts has {size:,} bytes, not {PLACE.size}", at)
    return bytes(body.take(size))
