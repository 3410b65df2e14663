"""Files that were good: bits flip, ends are lost, parts of two files are put together."""

import struct
from functools import partial
from typing import Any

from attacks.build import FLOAT32, array, array_blob, blob, plain, sealed, x
from attacks.case import CHECKSUM, EITHER, FORMAT, READ, REFUSED
from attacks.case import give as give_case
from holdfast.wire.plan import HASH_AT, TRAILER

BLOB = "formats/bson.py: verify_blobs compares the checksum of each array"
FRAME = "formats/bson.py: verify_frame compares the checksum of all other bytes"
TAIL = "wire/read.py: a trailer that is nearly right is a damaged one"
STRIPPED = "wire/read.py: an array with a checksum in a file without a trailer is damaged"
ALIGNED = "wire/read.py: padding and alignment are exact in what Holdfast wrote"

DATA = struct.pack("<16f", *range(16))
OTHER = struct.pack("<16f", *range(100, 116))
GOOD = sealed({"x": array(FLOAT32, [16], array_blob(DATA)), "y": array(FLOAT32, [16], array_blob(OTHER)), "s": "text"})
TWIN = sealed({"x": array(FLOAT32, [16], array_blob(OTHER)), "y": array(FLOAT32, [16], array_blob(DATA)), "s": "tex!"})
AT = GOOD.index(DATA)

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=REFUSED)


def flipped(position: int, bit: int = 0, data: bytes = GOOD) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


def spliced(position: int, new: bytes, data: bytes = GOOD) -> bytes:
    return data[:position] + new + data[position + len(new) :]


def shorn(data: bytes = GOOD) -> bytes:
    """``data`` without its trailer, with a right length: the checksums are to be forgotten."""
    body = data[: -len(TRAILER)] + b"\0"
    return struct.pack("<I", len(body)) + body[4:]


give(
    "good",
    "the file that the others are made from",
    GOOD,
    READ,
    check=FRAME,
    good=lambda v: v["s"] == "text" and v["x"][1] == 1,
)
give("flip_array_first", "the first bit of an array", flipped(AT), CHECKSUM, check=BLOB)
give("flip_array_last", "the last bit of an array", flipped(AT + len(DATA) - 1, 7), CHECKSUM, check=BLOB)
give("flip_array_checksum", "a bit of an array's checksum", flipped(GOOD.index(b"xxh3\0") + 6), CHECKSUM, check=FRAME)
give("flip_text", "a bit of a text", flipped(GOOD.index(b"text")), CHECKSUM, check=FRAME)
give("flip_key", "a bit of a name", flipped(GOOD.index(b"\2s\0") + 1), CHECKSUM, check=FRAME)
give(
    "flip_padding",
    "a bit of the padding, which nobody reads",
    flipped(AT - len(b"\5data\0") - 4 - 1 - 2),
    CHECKSUM,
    check=FRAME,
)
give("flip_size", "a bit of an array's size", flipped(GOOD.index(b"\x120\0") + 3), REFUSED, check=FRAME)
bad("flip_type_name", "a bit of a type's name", flipped(GOOD.index(b"Float32")), check=FRAME)
bad("flip_first_byte", "the first bit of the file", flipped(0), check="wire/read.py: a document's length must fit")
bad(
    "flip_trailer_name",
    "a bit of the trailer's name: every check would be off",
    flipped(len(GOOD) - len(TRAILER) + 3),
    check=TAIL,
)
bad("flip_trailer_key", "a bit of the trailer's kind", flipped(len(GOOD) - len(TRAILER)), check=TAIL)
bad("flip_trailer_version", "a bit of the version", flipped(GOOD.rindex(b"version\0") + 8, 3), check=TAIL)
bad("flip_trailer_hash", "a bit of the frame's checksum", flipped(len(GOOD) - len(TRAILER) + HASH_AT), check=FRAME)
bad("flip_last_byte", "the last bit of the file", flipped(len(GOOD) - 1), check=TAIL)
bad("trailer_removed", "the trailer cut off, the length made right", shorn(), check=STRIPPED)
bad(
    "trailer_zeroed",
    "the trailer's bytes all NUL",
    GOOD[: -len(TRAILER)] + bytes(len(TRAILER)),
    check="wire/read.py: nothing may follow the document",
)
bad("trailer_half_zeroed", "half of the trailer NUL", GOOD[:-20] + bytes(20), check=TAIL)
bad(
    "trailer_renamed",
    "the trailer under another name, so that no one finds it",
    GOOD.replace(b"_holdfast", b"_holdfasu"),
    check=TAIL,
)
bad(
    "trailer_of_other_file",
    "the trailer of another file of ours",
    GOOD[: -len(TRAILER)] + TWIN[-len(TRAILER) :],
    check=FRAME,
)
bad("trailer_version_0", "version 0, which never was", spliced(GOOD.rindex(b"version\0") + 8, b"\0\0\0\0"), check=TAIL)
bad(
    "trailer_version_2",
    "a version that this reader does not know",
    spliced(GOOD.rindex(b"version\0") + 8, b"\2\0\0\0"),
    check=TAIL,
)
bad("trailer_version_neg", "version -1", spliced(GOOD.rindex(b"version\0") + 8, b"\xff\xff\xff\xff"), check=TAIL)
bad(
    "trailer_twice",
    "two trailers",
    struct.pack("<I", len(GOOD) + len(TRAILER) - 1) + GOOD[4:-1] + GOOD[-len(TRAILER) :],
    check="wire/read.py: a name stands once in a document",
)
bad(
    "trailer_then_more",
    "a value after the trailer",
    struct.pack("<I", len(GOOD) + 3) + GOOD[4:-1] + b"\x0aq\0\0",
    check=STRIPPED,
)
bad(
    "arrays_swapped",
    "two arrays' bytes exchanged",
    GOOD.replace(DATA, b"D" * 64).replace(OTHER, DATA).replace(b"D" * 64, OTHER),
    check=BLOB,
)
bad(
    "arrays_and_checksums_swapped",
    "the arrays of one file in the frame of another",
    spliced(AT, TWIN[AT : AT + 64]),
    check=BLOB,
)
bad("array_zeroed", "an array of nothing but NULs, as a lost page is", GOOD.replace(DATA, bytes(64)), check=BLOB)
bad(
    "second_half_lost",
    "the second half is NULs: a write that never reached the disk",
    GOOD[: len(GOOD) // 2] + bytes(len(GOOD) - len(GOOD) // 2),
    check="wire/read.py: a document's length must fit, and be true when it ends",
)
bad(
    "first_sector_lost",
    "the first 512 bytes are NULs",
    bytes(512) + GOOD[512:],
    check="wire/read.py: a document's length must fit",
)
bad("cut_in_half", "half of the file", GOOD[: len(GOOD) // 2], check="wire/read.py: a document's length must fit")
bad("cut_by_one", "all but the last byte", GOOD[:-1], check="wire/read.py: a document's length must fit")
bad("cut_trailer", "all but the trailer", GOOD[: -len(TRAILER)], check="wire/read.py: a document's length must fit")
bad(
    "byte_inserted",
    "one byte more in the middle, the length made right",
    struct.pack("<I", len(GOOD) + 1) + GOOD[4:AT] + b"\0" + GOOD[AT:],
    check=ALIGNED,
)
bad(
    "byte_removed",
    "one byte less in the middle, the length made right",
    struct.pack("<I", len(GOOD) - 1) + GOOD[4 : AT - 20] + GOOD[AT - 19 :],
    check=ALIGNED,
)
NULLS = sealed({"n": [None, None, 10]})
bad(
    "crlf",
    "line ends exchanged, as a transfer in text mode does",
    NULLS.replace(b"\n", b"\r\n"),
    check="wire/read.py: a document's length must fit, and be true when it ends",
)
bad(
    "checksum_is_text",
    "an array whose checksum is a text",
    x({"tag": "array", "xxh3": "a", "pad": blob(b"")}),
    check=STRIPPED,
)
bad(
    "checksum_missing_in_one",
    "one array of ours without its checksum: the frame's does not agree",
    GOOD.replace(b"\x12xxh3\0", b"\x12xxh4\0", 1),
    check=FRAME,
)
give(
    "boast",
    "a file of BSON.jl's with a trailer of ours: it must be right then",
    plain({"a": 1, "_holdfast": {"version": 1, "xxh3": 5}}),
    must=EITHER,
    check=TAIL,
)
give(
    "holdfast_in_the_middle",
    "our name in the middle of a file of others is a name like any",
    plain({"_holdfast": 5, "a": 1}),
    must=READ,
    check=TAIL,
    good=lambda v: v["a"] == 1,
)
give(
    "sealed_lies_about_alignment",
    "right checksums, wrong place",
    sealed({"x": array(FLOAT32, [16], array_blob(DATA))}).replace(b"\5pad\0", b"\5pax\0"),
    must=FORMAT,
    check=ALIGNED,
)
