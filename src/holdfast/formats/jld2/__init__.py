"""JLD2, Julia's own storage on HDF5's ground: the document of its values.

Strategy: JLD2 writes a small part of HDF5, always the same. These few structures are read here, without HDF5's library
and without a package: each place is held against the file's size, each header against its checksum. The values become
the documents that BSON.jl would have written of them, so the engine and Flux's layouts do the rest. A name's value is
read when it is asked for; arrays stay where they are in the mapped file.

lookup3.py    the checksum of headers
cursor.py     bytes under a cursor that stays in its part
datatypes.py  HDF5's datatypes
objects.py    datasets, groups and committed datatypes, by their headers
storage.py    the bytes of arrays and heaps, plain or compressed
type_text.py  Julia's types as texts
types.py      the Julia types that a file commits
finish.py     what is said of a value when its parts are there
values.py     objects -> documents
"""

from holdfast.errors import ChecksumError, FormatError
from holdfast.formats.document.ondemand import OnDemand
from holdfast.formats.file import File, Path, in_file
from holdfast.formats.jld2.values import Values
from holdfast.storage import local

__all__ = ["open_file"]


def open_file(path: Path, *, mmap: bool = True) -> File:
    """Map or read ``path`` and find its names; no value is read yet.

    Raises FormatError (which byte) when it is not a whole file of JLD2's, ChecksumError when one of its headers changed.
    """
    source = local.open_bytes(path, mmap=mmap)
    try:
        values = Values(memoryview(source.data))
        names = values.names()
    except FormatError as error:
        raise in_file(error, source.path) from None
    except ChecksumError as error:
        raise ChecksumError(f"{source.path}: {error}") from None
    document = OnDemand(names, lambda name: values.at(names[name]), source.path)
    return File(source.path, source.data, document, False, False, [], format=".jld2")
