"""HDF5's indexes: trees, heaps, tables of links and of the parts of arrays that lie about where they are and how long."""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import h5py
import numpy as np

from attacks.case import EITHER, REFUSED
from attacks.case import give as give_case
from attacks.hdf5_files import chunk, made
from attacks.hdf5_headers import FAR, FORMS, LONG, TEXTS, behind, heap_place, many, patched
from fuzz.sums import mended
from holdfast.formats.jld2.lookup3 import lookup3

MANY = "formats/hdf5/dense.py: nodes and blocks are in the file, say whose they are, have a right checksum and are met once"
LINKS = "formats/hdf5/links.py: nodes are met once, level by level; names are within their heap, and each stands once"
PARTS = "formats/hdf5/chunks.py: rows are in the file, and of the size that their index says"
DATA = "formats/hdf5/datasets.py: shape, datatype, layout and fill value agree with one another"
UNPACKED = "formats/foreign/filters.py: what arrays are unpacked to is counted, for each and for all of a file"

give: Any = partial(give_case, module=__name__)

Fields = dict[bytes, dict[str, tuple[int, bytes]]]
"""A mark in the file -> by name: how far behind it something is changed, and what stands there then."""


def changed(
    group: str, where: str, table: Fields, write: Callable[..., Any], libver: str, *, may_hold: str, check: str
) -> None:
    """A case for each change of ``table`` in the file that ``write`` fills; the names ``may_hold`` may be read."""
    for mark, fields in table.items():
        for name, (offset, value) in fields.items():
            give(
                f"h5_{group}_{mark.decode().lower()}_{name}",
                f"{where}; in {mark.decode()}, {offset} bytes on, stands {value.hex()}",
                partial(behind, mark, offset, value, write, libver=libver),
                must=EITHER if name in may_hold.split() else REFUSED,
                check=check,
            )


# -- attributes in the form for many ------------------------------------------------------------------------------------

MANY_FIELDS: Fields = {
    b"BTHD": {"kind": (5, b"\1"), "node_0": (6, bytes(4)), "record_0": (10, bytes(2)), "depth": (12, b"\xff\xff")}
    | {"root_far": (16, FAR), "count": (24, b"\xff\xff"), "node_far": (6, b"\xff" * 4), "deep": (12, b"\x10\0")},
    b"FRHP": {
        "name": (5, b"\xff\xff"),
        "filters": (7, b"\x40\0"),
        "columns": (110, b"\0\0"),
        "block_0": (112, bytes(8)),
    }
    | {"block_odd": (112, b"\3"), "direct": (120, bytes(8)), "direct_far": (120, FAR), "bits": (128, b"\xff\xff")}
    | {"bits_0": (128, b"\0\0"), "root_far": (132, FAR), "rows": (140, b"\xff\xff"), "rows_1": (140, b"\1\0")},
    b"BTLF": {"another": (0, b"BTIN"), "kind": (5, b"\5"), "name_kind": (6, b"\x30"), "name_large": (6, b"\x10")}
    | {"place_far": (7, b"\xff" * 4), "length_far": (11, b"\xff\xff"), "place_0": (7, bytes(4)), "flags": (14, b"\2")},
    b"FHDB": {"version": (4, b"\1"), "another_heap": (5, FAR), "another_place": (13, b"\x55")},
}
changed("many", "attributes in the form for many", MANY_FIELDS, many, "latest", may_hold="node_far", check=MANY)


def tree_into_itself() -> bytes:
    """A tree of one node, said to be two levels deep, whose root is its only child."""
    data = made(lambda file: [file.attrs.__setitem__(f"attr{n}", n) for n in range(12)] and None, libver="latest")
    at, leaf = data.index(b"BTHD"), data.index(b"BTLF")
    data = data[: at + 12] + b"\1\0" + data[at + 14 :]
    node = b"BTIN\0\x08" + data[leaf + 6 : leaf + 23] + (struct.pack("<Q", leaf) + b"\1") * 2
    node += struct.pack("<I", lookup3(node))
    data = data[:leaf] + node + data[leaf + len(node) :]
    return mended(data[: at + 24] + b"\1\0" + data[at + 26 :])


give("h5_many_tree_into_itself", "a tree whose root is its own child", tree_into_itself, must=REFUSED, check=MANY)

# -- links ------------------------------------------------------------------------------------------------------------


def names(file: h5py.File) -> None:
    for number in range(3):
        file.create_group(f"name{number}")


NAMES_FIELDS: Fields = {
    b"TREE": {"level": (5, b"\1"), "level_255": (5, b"\xff"), "kind": (4, b"\1"), "count": (6, b"\xff\xff")}
    | {"child_far": (32, FAR), "child_itself": (32, struct.pack("<Q", 136)), "signature": (0, b"TREX")},
    b"HEAP": {"version": (4, b"\7"), "size_far": (8, FAR), "size_0": (8, bytes(8)), "data_far": (24, FAR)},
    b"SNOD": {"version": (4, b"\7"), "count": (6, b"\xff\xff"), "name_far": (8, FAR), "target_far": (16, FAR)}
    | {"kind_soft": (24, b"\2\0\0\0" + bytes(4) + b"\xff" * 4), "target_itself": (16, struct.pack("<Q", 96))},
}
changed(
    "names", "a group of the oldest form", NAMES_FIELDS, names, "earliest", may_hold="target_itself size_0", check=LINKS
)


def same_name() -> bytes:
    data = made(names, libver="earliest")
    at = data.index(b"SNOD") + 8
    return data[: at + 40] + data[at : at + 8] + data[at + 48 :]


def names_in_names() -> bytes:
    """4,000 names, each of which is the one before without its first letter."""
    data = bytearray(made(names, libver="earliest"))
    table, heap = len(data), len(data) + 8 + 40 * 4000
    for n in range(4000):
        data += (struct.pack("<4sBxH", b"SNOD", 1, 4000) if not n else b"") + struct.pack("<QQ24x", n, 800)
    data += b"n" * 1_000_000 + b"\0"
    tree, old = data.index(b"TREE"), data.index(b"HEAP")
    data[tree + 32 : tree + 40] = struct.pack("<Q", table)
    data[old + 8 : old + 16], data[old + 24 : old + 32] = struct.pack("<Q", 1_000_001), struct.pack("<Q", heap)
    data[40:48] = struct.pack("<Q", len(data))
    return bytes(data)


give(
    "h5_names_same",
    "two links of one name: the first is checked, the last is used",
    same_name,
    must=REFUSED,
    check=LINKS,
)
give("h5_names_in_names", "names of a megabyte that overlap", names_in_names, must=REFUSED, check=LINKS)

# -- arrays -----------------------------------------------------------------------------------------------------------


def in_parts(file: h5py.File, shape: Any = (6, 6), **options: Any) -> None:
    file.create_dataset("x", data=np.ones(shape, "u1"), chunks=(2, 2), **options)


for name, (mark, offset, value, options) in {
    "old_tree_level": (b"TREE\1", 5, b"\1", {"libver": "earliest"}),
    "old_tree_count": (b"TREE\1", 6, b"\xff\xff", {"libver": "earliest"}),
    "old_size_far": (b"TREE\1", 24, b"\xff" * 4, {"libver": "earliest", "compression": "gzip"}),
    "old_child_far": (b"TREE\1", 56, FAR, {"libver": "earliest"}),
    "fixed_row_0": (b"FAHD", 6, b"\0", {}),
    "fixed_row_255": (b"FAHD", 6, b"\xff", {}),
    "fixed_pages_0": (b"FAHD", 7, b"\0", {}),
    "fixed_count_far": (b"FAHD", 8, FAR, {}),
    "fixed_block_far": (b"FAHD", 16, FAR, {}),
    "fixed_filtered": (b"FAHD", 5, b"\1", {}),
    "growing_row": (b"EAHD", 6, b"\xff", {"maxshape": (None, 6)}),
    "growing_bits": (b"EAHD", 7, b"\xff", {"maxshape": (None, 6)}),
    "growing_bits_0": (b"EAHD", 7, b"\0", {"maxshape": (None, 6)}),
    "growing_direct": (b"EAHD", 8, b"\xff", {"maxshape": (None, 6)}),
    "growing_least_0": (b"EAHD", 9, b"\0", {"maxshape": (None, 6)}),
    "growing_pointers_0": (b"EAHD", 10, b"\0", {"maxshape": (None, 6)}),
    "growing_pages": (b"EAHD", 11, b"\xff", {"maxshape": (None, 6)}),
    "growing_block_far": (b"EAHD", 60, FAR, {"maxshape": (None, 6)}),
    "tree_record": (b"BTHD", 10, b"\x07\0", {"maxshape": (None, None)}),
    "tree_depth": (b"BTHD", 12, b"\xff\xff", {"maxshape": (None, None)}),
    "tree_kind": (b"BTHD", 5, b"\x0b", {"maxshape": (None, None)}),
    "tree_place_far": (b"BTLF", 14, FAR, {"maxshape": (None, None)}),
    "tree_address_far": (b"BTLF", 6, FAR, {"maxshape": (None, None)}),
}.items():
    give(
        f"h5_parts_{name}",
        f"an array in parts; in {mark[:4].decode()}, {offset} bytes on, stands {value.hex()}",
        partial(behind, mark, offset, value, partial(in_parts, **{k: v for k, v in options.items() if k != "libver"}))
        if "libver" in options
        else partial(behind, mark, offset, value, partial(in_parts, **options), libver="latest"),
        must=EITHER if name in ("tree_place_far", "growing_direct", "growing_pages", "growing_bits") else REFUSED,
        check=PARTS,
    )


def layout(mark: bytes, offset: int, value: bytes) -> bytes:
    """An array whose layout, behind ``mark``, says something else."""
    return behind(mark, offset, value, partial(in_parts, maxshape=(None, None)), libver="latest")


WAY = b"\2\0\3\1\2\2\1\5"  # in parts, no flags, three numbers of a byte, spans of 2, 2 and 1, kept in a tree
for name, (offset, value) in {
    "kind": (0, b"\x09"),
    "axes": (2, b"\4"),
    "axes_0": (2, b"\0"),
    "width_0": (3, b"\0"),
    "width_9": (3, b"\x09"),
    "span_0": (4, b"\0"),
    "span_far": (4, b"\xff"),
    "element": (6, b"\2"),
    "way": (7, b"\x63"),
    "way_single": (7, b"\1"),
    "way_implicit": (7, b"\2"),
    "way_growing": (7, b"\4"),
}.items():
    give(
        f"h5_layout_{name}",
        f"an array in parts whose layout lies; {offset} bytes on stands {value.hex()}",
        partial(layout, WAY, offset, value),
        must=EITHER if name == "span_far" else REFUSED,
        check=DATA,
    )


def filled_often() -> bytes:
    """100 arrays of 64 MB, of which nothing is written but the number that fills them."""
    return made(
        lambda file: (
            [file.create_dataset(f"x{n}", (1 << 23,), "f8", chunks=(1 << 10,), fillvalue=7.0) for n in range(100)]
            and None
        )
    )


def one_part_often() -> bytes:
    """100 arrays of 48 MB that are one and the same part, packed to 48 kB."""
    size, packed = 48 << 20, zlib.compress(bytes(48 << 20), 1)

    def write(file: h5py.File) -> None:
        for number in range(100):
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((size,))
            plist.set_deflate(1)
            space = h5py.h5s.create_simple((size,))
            array = h5py.h5d.create(file.id, b"x%d" % number, h5py.h5t.NATIVE_UINT8, space, plist)
            array.write_direct_chunk((0,), packed if not number else b"x", 0)

    data = bytearray(made(write, libver="earliest"))
    trees = [at for at in range(len(data)) if data[at : at + 5] == b"TREE\1"]
    first = max(trees, key=lambda at: int.from_bytes(data[at + 24 : at + 28], "little"))
    for at in trees:
        data[at + 24 : at + 56] = data[first + 24 : first + 56]
    return bytes(data)


give(
    "h5_one_part_often", "100 arrays of 48 MB that are one part of 200 kB", one_part_often, must=REFUSED, check=UNPACKED
)


def fill_text(**options: Any) -> bytes:
    """A text that fills an array, and says that it has 3.6 GB."""
    data = made(
        lambda file: file.create_dataset("x", (4,), h5py.string_dtype(), chunks=(2,), fillvalue="letters") and None,
        **options,
    )
    return patched(data, heap_place(data, 7), LONG)


give(
    "h5_filled_often", "100 arrays of 64 MB, filled with a number, in 60 kB", filled_often, must=REFUSED, check=UNPACKED
)
for form, options in FORMS.items():
    give(
        f"h5_fill_text_long_{form}",
        "what fills an array of texts says that it has 3.6 GB",
        partial(fill_text, **options),
        must=REFUSED,
        check=TEXTS,
    )


def within(changed: bytes) -> bytes:
    """An array within its header that says another length."""

    def write(file: h5py.File) -> None:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((7,))
        h5py.Dataset(h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, space, plist))[:] = np.arange(7) + 0xA0

    data = made(write, libver="earliest")
    at = data.index(bytes(range(0xA0, 0xA7))) - 2
    return data[:at] + changed + data[at + 2 :]


for name, value in {"more": b"\x08\0", "fewer": b"\6\0", "far": b"\xff\xff", "none": b"\0\0"}.items():
    give(
        f"h5_within_{name}",
        "an array within its header whose length is not that of its shape",
        partial(within, value),
        must=REFUSED,
        check=DATA,
    )


def odd_truths(**options: Any) -> bytes:
    """Truths of which one is 2."""
    data = made(lambda file: file.create_dataset("x", data=[True, False] * 20, **options) and None)
    at = data.index(b"\1\0" * 20)
    return data[:at] + b"\2" + data[at + 1 :]


for name, options in {"whole": {}, "in_parts": {"chunks": (40,)}}.items():
    give(
        f"h5_truths_{name}",
        "a truth that is neither",
        partial(odd_truths, **options),
        must=REFUSED,
        check="vocab/numpy.py: a Bool is 0 or 1",
    )


# -- Zstandard, where it is installed ---------------------------------------------------------------------------------


def frame(window: int, blocks: int) -> bytes:
    """A frame of Zstandard's: a window of 2^window bytes, and blocks of 128 kB of one letter each."""
    block = ((128 << 10) << 3 | 1 << 1).to_bytes(3, "little") + b"x"
    return b"\x28\xb5\x2f\xfd\0" + bytes(((window - 10) << 3,)) + block * blocks + b"\1\0\0"


for name, (idea, size, data) in {
    "bomb": ("256 MB in 8 kB, of which 16 bytes are said to be", 16, frame(20, 2048)),
    "bomb_declared": ("256 MB in 8 kB, all of which are said to be", 1 << 28, frame(20, 2048)),
    "window_31": ("a window of 2 GB for 128 kB", 128 << 10, frame(31, 1)),
    "window_41": ("a window of 2 TB for 128 kB", 128 << 10, frame(41, 1)),
    "cut": ("a frame that breaks off", 128 << 10, frame(20, 1)[:9]),
    "garbage": ("a frame that is none", 16, b"no frame"),
}.items():
    give(
        f"h5_zstd_{name}",
        f"a part packed by Zstandard: {idea}",
        partial(made, chunk((size,), data, filter_=32015)),
        must=REFUSED,
        check="formats/foreign/filters.py: unpacking stops at the declared size",
    )
