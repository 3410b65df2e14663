"""HDF5 and the weights of Keras: arrays by path, as nested dictionaries.

Strategy: HDF5's library (through h5py) finds the groups and datasets, after the first structure of the file and the header
of each object have been read here; attributes, texts and the bytes of arrays are taken from our own map of the file. Nothing
that leads out of the file is followed.

superblock.py  the first structure
headers.py     the header of an object, before the library sees it
datatypes.py   the datatypes in it
heaps.py       texts of any length
dense.py       attributes in HDF5's form for many
attributes.py  plain attributes
library.py     the library, its errors as ours
tree.py        groups and links
arrays.py      datasets
"""

from os import fspath

from holdfast.errors import ChecksumError, FormatError, HoldfastError, MissingError
from holdfast.formats.document.ondemand import OnDemand
from holdfast.formats.file import File, Path, steady, unchecked
from holdfast.formats.hdf5 import superblock
from holdfast.storage import local

__all__ = ["open_file"]


def open_file(path: Path, *, mmap: bool = True) -> File:
    """Map or read ``path`` and find the names at its root.

    Raises FormatError for a file that HDF5 did not write so, ChecksumError for a changed superblock, MissingError
    without h5py. What is wrong with one value is said when that value is asked for.
    """
    try:
        return steady(path, lambda name: _opened(name, mmap))
    except ChecksumError as error:
        raise ChecksumError(f"{fspath(path)}: {error}") from None


def _opened(path: str, mmap: bool) -> File:
    source = local.open_bytes(path, mmap=mmap)
    data = memoryview(source.data)
    first = superblock.check(data)
    try:
        from holdfast.formats.hdf5.arrays import Arrays
        from holdfast.formats.hdf5.headers import Headers
        from holdfast.formats.hdf5.library import opened
        from holdfast.formats.hdf5.tree import Tree

        headers = Headers(data, first.start)
        for address in first.objects:
            headers.is_dataset(address)
        arrays = Arrays(headers)
    except ImportError as error:
        raise _missing(error) from None
    tree = Tree(opened(path), arrays)
    names = tree.names()
    document = OnDemand(names, lambda name: tree.at(names[name]), path)
    return File(path, source.data, document, False, False, [], ".h5", digest=unchecked, ready=arrays.fill)


def _missing(error: ImportError) -> HoldfastError:
    return MissingError("reading HDF5 files", "holdfast[hdf5]") if error.name == "h5py" else FormatError(str(error))
