"""HDF5 and the weights of Keras: arrays by path, as nested dictionaries.

Strategy: the structures of HDF5 are read here, in Python alone. HDF5's own library, which is written in C, believes what a
file says of itself, and ends the process of whoever opens a file that lies. Each place is held against the file's size, each
checksum that there is against what it is of; arrays stay where they are in the mapped file. Nothing that leads out of the
file is followed. What JLD2 has of HDF5, too, is read by the code of ``formats/jld2``.

superblock.py  the first structure
headers.py     the header of an object
datatypes.py   the datatypes in it
links.py       the links of a group
dense.py       links and attributes in HDF5's form for many
heaps.py       texts of any length
attributes.py  plain attributes
datasets.py    what the header of a dataset says
chunks.py      the parts of an array that is stored in parts
arrays.py      datasets as documents
tree.py        groups as nested dictionaries
"""

from os import fspath

from holdfast.errors import ChecksumError, FormatError
from holdfast.formats.document.ondemand import OnDemand
from holdfast.formats.file import File, Path, in_file, unchecked
from holdfast.formats.hdf5 import superblock
from holdfast.formats.hdf5.arrays import Arrays
from holdfast.formats.hdf5.headers import Headers
from holdfast.formats.hdf5.tree import Tree
from holdfast.formats.jld2.cursor import UNDEFINED
from holdfast.storage import local

__all__ = ["open_file"]


def open_file(path: Path, *, mmap: bool = True) -> File:
    """Map or read ``path`` and find the names at its root.

    Raises FormatError for a file that HDF5 did not write so, ChecksumError for a changed header. What is wrong with one
    value is said when that value is asked for.
    """
    source = local.open_bytes(path, mmap=mmap)
    data = memoryview(source.data)
    try:
        first = superblock.check(data)
        headers = Headers(data, first.start)
        if first.extension != UNDEFINED:
            list(headers.checked(first.extension))
        arrays = Arrays(headers)
        tree = Tree(first.root, arrays)
        names = tree.names()
    except FormatError as error:
        raise in_file(error, fspath(path)) from None
    except ChecksumError as error:
        raise ChecksumError(f"{fspath(path)}: {error}") from None
    document = OnDemand(names, lambda name: tree.at(names[name]), source.path)
    return File(source.path, source.data, document, False, False, [], ".h5", digest=unchecked, ready=arrays.fill)
