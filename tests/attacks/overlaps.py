"""JLD2 and HDF5: short files in which many values stand on the same bytes. Each value is in the file, and all of them together
would be hours of work, or all of the memory."""

import struct
from functools import partial
from typing import Any

from attacks.case import LIMIT
from attacks.case import give as give_case
from jld2_files import HEAP_TEXT, INT64, REFERENCE, SCALAR, JldFile, attribute, compound, message, simple

ONCE = "formats/jld2/storage.py: values that are made one by one take no more bytes, all together, than the file has"
TEXTS = "formats/hdf5/heaps.py: texts, and the places that name them, take no more than a few times the file"

give: Any = partial(give_case, module=__name__, must=LIMIT)


def array_at(
    file: JldFile, place: int, count: int, width: int, datatype: bytes, extra: bytes = b"", shared: int = 0
) -> int:
    """An array of ``count`` elements whose bytes stand at ``place``; of the datatype at ``shared``, if that is given."""
    kind = message(3, struct.pack("<BBQ", 3, 2, shared), 3) if shared else message(3, datatype, 1)
    where = message(8, struct.pack("<BBQQ", 4, 1, place, count * width))
    return file.header(message(5, b"\3\x09", 1), message(1, simple(count)), extra, kind, where)


def heaps(count: int) -> bytes:
    """Each heap begins 32 bytes behind the last one and goes on to the end: its first entry takes what is left of the heads,
    and all entries behind those are its own."""
    file = JldFile()
    heads, tail = 32 * count, 2 * count
    region = b""
    for at in range(0, heads, 32):
        region += b"GCOL\1\0\0\0" + struct.pack("<Q", heads + 16 * tail - at - 16)
        region += struct.pack("<HHIQ", 7, 1, 0, heads - at - 32)
    base = file.add(region + struct.pack("<HHIQ", 1, 1, 0, 0) * tail)
    texts = b"".join(struct.pack("<IQI", 0, base + at, 1) for at in range(0, heads, 32))
    return file.bytes_of(x=array_at(file, file.add(texts), count, 16, HEAP_TEXT))


def parameters(count: int) -> bytes:
    """Types that have the same list of parameters."""
    file = JldFile()
    raw = file.text_id("Core.Tuple") + file.refs_id([file.type_value("Core.Any")] * 4 * count)
    return file.bytes_of(x=array_at(file, file.add(raw * count), count, len(raw), b"", shared=file.datatype))


def references(count: int) -> bytes:
    file = JldFile()
    kind = attribute("julia_type", REFERENCE, SCALAR, struct.pack("<Q", file.type_value("Core.Any")))
    place = file.add(struct.pack("<Q", file.integer(3)) * 20 * count)
    return file.bytes_of(**{f"x{n}": array_at(file, place, 20 * count, 8, REFERENCE, kind) for n in range(count)})


def structs(count: int) -> bytes:
    file = JldFile()
    kind = file.struct_type("Main.A", compound(("a", INT64, 8)))
    place = file.add(bytes(8) * 20 * count)
    return file.bytes_of(**{f"x{n}": array_at(file, place, 20 * count, 8, b"", shared=kind) for n in range(count)})


def texts(count: int) -> bytes:
    """Arrays of the same texts."""
    file = JldFile()
    place = file.add((struct.pack("<I", 3) + file.heap(b"abc")) * 20 * count)
    return file.bytes_of(**{f"x{n}": array_at(file, place, 20 * count, 16, HEAP_TEXT) for n in range(count)})


def plain_texts(count: int, number: int) -> bytes:
    """Arrays of the same texts, entry ``number`` of a heap or nowhere (0), in an HDF5 file that nobody has claimed."""
    file = JldFile(b"of nobody")
    heap = file.add(b"GCOL\1\0\0\0" + struct.pack("<QHHIQ", 40, 1, 1, 0, 3) + b"abc".ljust(8, b"\0"))
    place = file.add(struct.pack("<IQI", 3, heap, number) * 20 * count)
    names = {f"x{n}": array_at(file, place, 20 * count, 16, HEAP_TEXT) for n in range(count)}
    return file.finished(file.group(**names))


for name, idea, make, check in (
    (
        "jld2_overlaps_heaps",
        "4,000 heaps that begin in one another, and 8,000 entries in each",
        partial(heaps, 4000),
        ONCE,
    ),
    ("jld2_overlaps_parameters", "2,000 types on one list of 8,000 parameters", partial(parameters, 2000), ONCE),
    ("jld2_overlaps_references", "1,000 lists on the same 20,000 references", partial(references, 1000), ONCE),
    ("jld2_overlaps_structs", "1,000 arrays on the same 20,000 structs", partial(structs, 1000), ONCE),
    ("jld2_overlaps_texts", "1,000 arrays on the same 20,000 texts", partial(texts, 1000), ONCE),
    ("h5_overlaps_texts", "1,000 arrays on the same 20,000 texts", partial(plain_texts, 1000, 1), TEXTS),
    ("h5_overlaps_no_texts", "1,000 arrays on the same 20,000 texts of no bytes", partial(plain_texts, 1000, 0), TEXTS),
):
    give(name, idea, make, check=check)
