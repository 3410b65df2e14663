"""HDF5's own structures: headers, attributes, links and indexes that lie about where they are and how long."""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import h5py
import numpy as np

from attacks.case import EITHER, READ, REFUSED
from attacks.case import give as give_case
from attacks.hdf5_files import made, set_
from fuzz.sums import mended
from holdfast.formats.jld2.lookup3 import lookup3

HEADER = "formats/hdf5/headers.py: each message is within its header, each header met once, all together no longer than the file"
TYPES = "formats/hdf5/datatypes.py: each class takes the bytes that it has, not deeper than MAX_NESTING"
PLAIN = "formats/hdf5/attributes.py: an attribute has the bytes that its datatype and shape say"
TEXTS = "formats/hdf5/heaps.py: a text is within its entry, that in its heap, that in the file, and no two heaps on the same bytes"
MANY = "formats/hdf5/dense.py: nodes and blocks are in the file, say whose they are, have a right checksum and are met once"
LINKS = "formats/hdf5/links.py: nodes are met once, level by level; names are within their heap, and each stands once"
PARTS = "formats/hdf5/chunks.py: rows are in the file, and of the size that their index says"
DATA = "formats/hdf5/datasets.py: shape, datatype, layout and fill value agree with one another"
UNPACKED = "formats/foreign/filters.py: what arrays are unpacked to is counted, for each and for all of a file"

FAR = struct.pack("<Q", 1 << 50)
LONG = struct.pack("<I", 0xD8000000)
give: Any = partial(give_case, module=__name__)


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """``data`` with ``value`` at a place, and right checksums."""
    return mended(data[:at] + value + data[at + len(value) :])


def behind(mark: bytes, offset: int, value: bytes, write: Callable[[h5py.File], Any], **options: Any) -> bytes:
    """The file that ``write`` fills, in which ``value`` stands ``offset`` bytes behind the first ``mark``."""
    data = made(write, **options)
    return patched(data, data.index(mark) + offset, value)


FORMS: dict[str, dict[str, Any]] = {"old": {"libver": "earliest"}, "new": {"libver": "latest"}}

# -- attributes -------------------------------------------------------------------------------------------------------


def attribute(value: Any) -> Callable[[h5py.File], Any]:
    return lambda file: file.attrs.__setitem__("attr", value)


def heap_place(data: bytes, length: int) -> int:
    """Where the place of a text of that length stands."""
    heaps = [at for at in range(0, len(data), 8) if data[at : at + 5] == b"GCOL\1"]
    return max(data.find(struct.pack("<IQ", length, at)) for at in heaps)


def text(value: Any, offset: int, changed: bytes, **options: Any) -> bytes:
    """An attribute of texts, the first of which has seven letters, with something else in its place."""
    data = made(attribute(value), **options)
    return patched(data, heap_place(data, 7) + offset, changed)


for form, options in FORMS.items():
    for name, (idea, offset, changed) in {
        "long": ("says that it has 3.6 GB, for which HDF5's library takes the memory first", 0, LONG),
        "over": ("is one byte longer than its entry", 0, struct.pack("<I", 8)),
        "heap_far": ("is in a heap outside the file", 4, FAR),
        "heap_nowhere": ("is in a heap where none is", 4, struct.pack("<Q", 8)),
        "entry_missing": ("is an entry that is not there", 12, struct.pack("<I", 9)),
    }.items():
        for one, value in {"": "letters", "_of_many": ["letters", "x"]}.items():
            give(
                f"h5_attribute_text{one}_{name}_{form}",
                f"a text of an attribute {idea}",
                partial(text, value, offset, changed, **options),
                must=REFUSED,
                check=TEXTS,
            )


def of_numbers(offset: int, changed: bytes, **options: Any) -> bytes:
    """An attribute of seven numbers, with something else ``offset`` bytes behind its name."""
    return behind(b"attr\0", offset, changed, attribute(np.arange(7, dtype="<u8")), **options)


# Behind the name: in the old form three zeros, a datatype of 16 bytes, a shape of 8 and twice 8; in the new one a datatype
# of 12 bytes, a shape of 4 and 8.
for form, kind, shape in (("old", 8, 32), ("new", 5, 21)):
    for name, (idea, offset, changed) in {
        "shape_far": ("2^40 numbers", shape, struct.pack("<Q", 1 << 40)),
        "shape_wraps": ("2^61 numbers of eight bytes: none, in 64 bits", shape, struct.pack("<Q", 1 << 61)),
        "shape_one_more": ("one number more than there are", shape, struct.pack("<Q", 8)),
        "type_far": ("numbers of 4 GB each", kind + 4, LONG),
        "type_none": ("a datatype of no class", kind, b"\x1f"),
        "type_version": ("a datatype of version 9", kind, b"\x90"),
        "type_list": ("lists of any length inside lists", kind, b"\x19\0\0\0" * 3),
    }.items():
        give(
            f"h5_attribute_{name}_{form}",
            f"an attribute of {idea}",
            partial(of_numbers, offset, changed, **FORMS[form]),
            must=REFUSED if not name.startswith("type_far") else EITHER,
            check=TYPES if name.startswith("type") else PLAIN,
        )
    for name, offset in {"name": 2, "type": 4, "shape": 6}.items():
        give(
            f"h5_attribute_{name}_size_{form}",
            f"an attribute whose {name} takes 65,535 bytes",
            partial(of_numbers, offset - (8 if form == "old" else 9), b"\xff\xff", **FORMS[form]),
            must=REFUSED,
            check=PLAIN,
        )


def nested(depth: int, where: str) -> bytes:
    """A datatype of lists of lists of lists."""
    kind = h5py.h5t.NATIVE_INT8.copy()
    for _ in range(depth):
        kind = h5py.h5t.vlen_create(kind)
    space = h5py.h5s.create_simple((1,))
    make = h5py.h5a.create if where == "attribute" else h5py.h5d.create
    return made(lambda file: make(file.id, b"deep", kind, space) and None)


def one_text_often(count: int, size: int) -> bytes:
    """A text as large as most of the file, named again and again."""
    data = made(
        lambda file: file.attrs.__setitem__("attr", ["x" * size, *("y" for _ in range(count))]), libver="earliest"
    )
    at = heap_place(data, size)
    return patched(data, at, data[at : at + 16] * (count + 1))


def shared_type(offset: int, changed: bytes) -> bytes:
    def write(file: h5py.File) -> None:
        file["kind"] = np.dtype("<f4")
        file.attrs.create("attr", np.ones(2, "f4"), dtype=file["kind"])

    return behind(b"attr\0", offset, changed, write, libver="latest")


for where in ("attribute", "dataset"):
    give(
        f"h5_{where}_nested_6000",
        f"the datatype of an {where.replace('dataset', 'array')} is 6,000 deep: recursion ends a process",
        partial(nested, 6000, where),
        must=REFUSED,
        check=TYPES,
    )
give(
    "h5_attribute_one_text_often",
    "3,000 times the same text of 1 MB",
    partial(one_text_often, 3000, 1 << 20),
    must=REFUSED,
    check=TEXTS,
)
for name, value in {"far": FAR, "root": struct.pack("<Q", 48), "nowhere": b"\xff" * 8}.items():
    give(
        f"h5_attribute_type_elsewhere_{name}",
        f"the datatype of an attribute stands for itself, where none is: {name}",
        partial(shared_type, 7, value),
        must=REFUSED,
        check=HEADER,
    )


def many(file: h5py.File) -> None:
    for number in range(12):
        file.attrs[f"attr{number}"] = number


for mark, fields in {
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
}.items():
    for name, (offset, value) in fields.items():
        give(
            f"h5_many_{mark.decode().lower()}_{name}",
            f"attributes in the form for many; in {mark.decode()}, {offset} bytes on, stands {value.hex()}",
            partial(behind, mark, offset, value, many, libver="latest"),
            must=EITHER if name == "node_far" else REFUSED,
            check=MANY,
        )


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

# -- headers ----------------------------------------------------------------------------------------------------------


def old_header(count: int, length: int, *messages: bytes) -> bytes:
    """A file whose root has a header of the oldest form, of these messages and this length."""
    data = bytearray(made(lambda file: None, libver="earliest"))
    body = b"".join(messages)
    data += struct.pack("<BxHIIxxxx", 1, count, 1, length if length >= 0 else len(body)) + body
    data[64:72] = struct.pack("<Q", len(data) - 16 - len(body))
    data[72:80] = bytes(8)  # nothing about its table is at hand
    data[40:48] = struct.pack("<Q", len(data))
    return bytes(data)


def message(kind: int, body: bytes = b"", size: int = -1, flags: int = 0) -> bytes:
    return struct.pack("<HHBxxx", kind, len(body) if size < 0 else size, flags) + body


def goes_on(address: int, length: int) -> bytes:
    return message(16, struct.pack("<QQ", address, length))


EMPTY = len(made(lambda file: None, libver="earliest"))
TABLE = message(17, FAR + FAR)
for name, (idea, made_of) in {
    "length_far": ("says that it has 4 GB", (1, 0xFFFFFFFF, TABLE)),
    "length_0": ("has no message", (0, 0)),
    "message_over": ("has a message that reaches over its end", (1, -1, message(17, b"", 65535))),
    "goes_on_in_itself": ("goes on in itself", (1, -1, goes_on(EMPTY + 16, 24))),
    "goes_on_far": ("goes on outside the file", (1, -1, goes_on(1 << 50, 24))),
    "goes_on_long": ("goes on for 2^63 bytes", (1, -1, goes_on(0, 1 << 63))),
    "goes_on_wraps": ("goes on at an address that wraps", (1, -1, goes_on((1 << 64) - 8, 16))),
    "goes_on_nowhere": ("goes on, and does not say where", (1, -1, message(16, b"\1"))),
    "table_far": ("has its names outside the file", (1, -1, TABLE)),
    "table_cut": ("has half the place of its names", (1, -1, message(17, FAR))),
    "memory": ("has a picture of the library's memory", (1, -1, message(24, bytes(17)))),
    "attribute_elsewhere": ("has an attribute in a table for many objects", (1, -1, message(12, bytes(10), flags=2))),
    "attribute_empty": ("has an attribute of no bytes", (1, -1, message(12))),
    "attribute_version": ("has an attribute of version 9", (1, -1, message(12, b"\x09" + bytes(40)))),
    "many_version": ("has many attributes in a form of version 9", (1, -1, message(21, b"\x09" + bytes(40)))),
    "link_version": ("has a link of version 9", (2, -1, message(6, b"\x09" + bytes(40)))),
    "link_name": ("has a link with a name of 2^63 bytes", (2, -1, message(6, b"\1\3" + b"\xff" * 8))),
    "links_far": ("has its many links outside the file", (1, -1, message(2, b"\0\0" + FAR + FAR))),
    "link_to_itself": (
        "is an array and a group",
        (2, -1, message(8, b"\3\0\0\0"), message(1, b"\2\0\0\0"), message(6, b"\1\0\1a" + bytes(8))),
    ),
}.items():
    give(
        f"h5_header_{name}",
        f"a header that {idea}",
        partial(old_header, *made_of),
        must=REFUSED,
        check=HEADER,
    )


def many_in_one() -> bytes:
    """4,000 names, each of which leads a little further into one header that is as long as the file."""
    data = bytearray(old_header(1, -1))
    zeros = struct.pack("<HHBxxx", 0x1000, 0, 0) * 20_000
    start = len(data)
    # Each is a head that is a message of no kind to those before it.
    heads = b"".join(b"\1\x10\0\0\1\0\0\0" + struct.pack("<IHH", 100_000, 0, 0) for _ in range(4000))
    data += heads + zeros
    links = b"".join(message(6, b"\1\0\4" + b"%04d" % n + struct.pack("<Q", start + 16 * n)) for n in range(4000))
    at = len(data)
    data += struct.pack("<BxHIIxxxx", 1, 4000, 1, len(links)) + links
    data[64:72], data[40:48] = struct.pack("<Q", at), struct.pack("<Q", len(data))
    return bytes(data)


give("h5_header_many_in_one", "4,000 names that lead into one long header", many_in_one, must=REFUSED, check=HEADER)
for form, options in FORMS.items():
    give(
        f"h5_header_good_{form}",
        "attributes, links and texts as they should be, for comparison",
        partial(made, lambda file: (many(file), set_("t", "abc")(file), set_("x", np.ones(3))(file)), **options),
        must=READ,
        check=HEADER,
        good=lambda value: value["@"]["attr11"] == 11 and value["t"] == "abc" and value["x"].sum() == 3,
    )

# -- links ------------------------------------------------------------------------------------------------------------


def names(file: h5py.File) -> None:
    for number in range(3):
        file.create_group(f"name{number}")


for mark, fields in {
    b"TREE": {"level": (5, b"\1"), "level_255": (5, b"\xff"), "kind": (4, b"\1"), "count": (6, b"\xff\xff")}
    | {"child_far": (32, FAR), "child_itself": (32, struct.pack("<Q", 136)), "signature": (0, b"TREX")},
    b"HEAP": {"version": (4, b"\7"), "size_far": (8, FAR), "size_0": (8, bytes(8)), "data_far": (24, FAR)},
    b"SNOD": {"version": (4, b"\7"), "count": (6, b"\xff\xff"), "name_far": (8, FAR), "target_far": (16, FAR)}
    | {"kind_soft": (24, b"\2\0\0\0" + bytes(4) + b"\xff" * 4), "target_itself": (16, struct.pack("<Q", 96))},
}.items():
    for name, (offset, value) in fields.items():
        give(
            f"h5_names_{mark.decode().lower()}_{name}",
            f"a group of the oldest form; in {mark.decode()}, {offset} bytes on, stands {value.hex()}",
            partial(behind, mark, offset, value, names, libver="earliest"),
            must=EITHER if name in ("target_itself", "size_0") else REFUSED,
            check=LINKS,
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
