"""HDF5's headers: attributes, datatypes and messages that lie about where they are and how long."""

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import h5py
import numpy as np

from attacks.case import EITHER, READ, REFUSED
from attacks.case import give as give_case
from attacks.hdf5_files import made, set_
from fuzz.sums import mended

HEADER = "formats/hdf5/headers.py: each message is within its header, each header met once, all together no longer than the file"
TYPES = "formats/hdf5/datatypes.py: each class takes the bytes that it has, not deeper than MAX_NESTING"
PLAIN = "formats/hdf5/attributes.py: an attribute has the bytes that its datatype and shape say"
TEXTS = "formats/hdf5/heaps.py: a text is within its entry, that in its heap, that in the file, and no two heaps on the same bytes"

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
