"""NumPy's npy: one array, mapped and not copied. Never a pickle.

Strategy: NumPy reads and writes the header; what follows it must be exactly the bytes that the header asks for, and
they are the array. The file has one value, which stands under ``ROOT`` as in a file of one Julia value. There is no
place for a note: what is not NumPy's own (bfloat16, a torch tensor that is to come back as one) needs another format.

Source: NumPy's ``numpy.lib.format``, versions 1.0, 2.0 and 3.0.
"""

import io
import warnings
from collections.abc import Mapping
from os import fspath
from struct import error as StructError
from struct import unpack_from
from tokenize import TokenError
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy

from holdfast.codec.lower import lower
from holdfast.codec.rule import Vocabulary
from holdfast.errors import FormatError, UnsupportedError
from holdfast.formats.document.arrays import NdArray, array_document, plain
from holdfast.formats.document.leaves import ADVICE, Keep, Leaf, as_it_is, leaves, path_of
from holdfast.formats.file import ROOT, File, Path, in_file, unchecked
from holdfast.storage import local
from holdfast.wire.values import Document

NAME: Final = "npy"
MAX_HEADER: Final = 1 << 16
"""Bytes of a header; NumPy itself takes 10,000 characters."""
VERSIONS: Final = ((1, 0), (2, 0), (3, 0))
"""Those that NumPy writes."""
MISFITS: Final = (
    *(ValueError, TypeError, SyntaxError, KeyError, IndexError, AttributeError, OverflowError),
    *(RecursionError, MemoryError, EOFError, TokenError, StructError),
)
"""What NumPy raises for a header that is none."""

Header = tuple[tuple[int, ...], bool, np.dtype[Any], int]
"""Shape, whether in Fortran order, dtype, and the bytes of the header itself."""


# -- reading ----------------------------------------------------------------------------------------------------------


def open_file(path: Path, *, mmap: bool = True) -> File:
    """Map or read ``path``; raises FormatError when it is not one whole array."""
    name, source = fspath(path), local.open_bytes(path, mmap=mmap)
    try:
        array, start = array_in(memoryview(source.data), "the array")
        document = {ROOT: array_document(array, offset=start, python="numpy.ndarray")}
    except FormatError as error:
        raise in_file(error, name) from None
    return File(name, source.data, document, False, True, [], format=".npy", digest=unchecked)


def array_in(data: memoryview, what: str) -> tuple[NdArray, int]:
    """The array that ``data`` is, on its memory, and where that starts."""
    shape, fortran, dtype, start = header(bytes(data[:MAX_HEADER]), what)
    return laid(data[start:], shape, fortran, dtype, what), start


def header(head: bytes, what: str) -> Header:
    """What the first bytes of an npy say.

    Raises FormatError for what NumPy does not write, and for arrays of objects, which are pickles.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2 are read all the same
            version = npy.read_magic(io.BytesIO(head))
            if version not in VERSIONS:
                raise ValueError(f"version {version[0]}.{version[1]}")
            size = 10 + unpack_from("<H", head, 8)[0] if version[0] == 1 else 12 + unpack_from("<I", head, 8)[0]
            if size > len(head):
                raise EOFError("the header goes on behind the end")
            stream = io.BytesIO(head[8:size] if version[0] < 3 else _without_utf8(head[12:size]))
            read = npy.read_array_header_1_0 if version[0] == 1 else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream)
    except MISFITS as error:
        raise FormatError(f"the header of {what} is not NumPy's: {error!s:.200}", 0) from None
    if dtype.hasobject:
        raise FormatError(
            f"{what} is an array of Python objects, which is a pickle, a program and not data, and is never read. Where "
            "you know the file, save its values again with holdfast.save to a .bson file"
        )
    if any(n < 0 for n in shape):
        raise FormatError(f"{what} has {min(shape)} elements along one dimension")
    return shape, fortran, dtype, size


def _without_utf8(text: bytes) -> bytes:
    """A header of version 3.0 as one of 2.0, whose text is not UTF-8: what is not ASCII is escaped."""
    plain = text.decode("utf-8").encode("ascii", "backslashreplace")
    return len(plain).to_bytes(4, "little") + plain


def laid(data: memoryview, shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any], what: str) -> NdArray:
    """An array on ``data``, which must be as long as the header says."""
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= n
    if nbytes != data.nbytes:
        raise FormatError(f"the header of {what} asks for {nbytes:,} bytes, and {data.nbytes:,} follow")
    try:
        return np.ndarray(shape, dtype, data if nbytes else None, order="F" if fortran else "C")
    except MISFITS as error:
        raise FormatError(f"{what} is more than NumPy can have: {error}") from None


# -- writing ----------------------------------------------------------------------------------------------------------


def write(path: Path, values: Mapping[str, Any], vocabulary: Vocabulary) -> None:
    """Write the one array of ``values``. Raises UnsupportedError for more than one, for what NumPy does not have, and for
    what would not come back as what it is."""
    leaf = _only(plain(lower(values, vocabulary)), as_it_is)
    kind = leaf.note["python"]
    if kind != "numpy.ndarray":
        raise UnsupportedError(
            f"a {kind} would come back from npy as an array: save its .numpy(), or {ADVICE}", path_of(leaf.keys)
        )
    local.publish(path, list(pieces(leaf.array)))


def write_document(path: Path, document: Document, keep: Keep = as_it_is) -> None:
    """Write the one array of ``document`` as NumPy's, whichever framework's it was; see ``write`` and ``leaves``."""
    local.publish(path, list(pieces(_only(document, keep).array)))


def _only(document: Document, keep: Keep) -> Leaf:
    """The one array of a document."""
    found = leaves(document, NAME, keep)
    if len(found) != 1 or found[0].note.get("aliases"):
        count = sum(1 + len(leaf.note.get("aliases", [])) for leaf in found)
        raise UnsupportedError(f"an npy file holds one array, and these are {count}: save to .npz or .bson", "$")
    (leaf,) = found
    if leaf.dtype != leaf.array.dtype.name or not is_numpys(leaf.array.dtype):
        raise UnsupportedError(f"npy has no {leaf.dtype}: save to .npz, or {ADVICE}", path_of(leaf.keys))
    return leaf


def is_numpys(dtype: np.dtype[Any]) -> bool:
    """Whether NumPy alone knows ``dtype``, so that its header says all of it."""
    return npy.descr_to_dtype(npy.dtype_to_descr(dtype)) == dtype if dtype.isbuiltin != 2 else False


def pieces(array: NdArray) -> tuple[bytes, memoryview]:
    """Header and bytes of an array."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    array = array if array.flags.forc else np.ascontiguousarray(array)
    said = {"shape": array.shape, "fortran_order": fortran, "descr": npy.dtype_to_descr(array.dtype)}
    stream = io.BytesIO()
    try:
        npy.write_array_header_1_0(stream, said)
    except ValueError:
        stream = io.BytesIO()
        npy.write_array_header_2_0(stream, said)
    flat = array.reshape(-1, order="F" if fortran else "C")
    return stream.getvalue(), flat.view(np.uint8).data if flat.nbytes else memoryview(b"")
