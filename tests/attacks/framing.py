"""Bytes that are no document: lengths that lie, ends that are missing, other formats around or behind, deep and wide."""

import struct
from functools import partial
from typing import Any

from attacks.build import binary, element, nested, plain, raw, sealed, text
from attacks.case import FORMAT, LIMIT, READ, case
from attacks.case import give as give_case
from holdfast.wire import values
from holdfast.wire.values import Int32, Opaque, RawText

READER = "wire/read.py: "
LENGTH = READER + "a document's length must fit in the bytes that are left, and be true when it ends"
TEXT = READER + "a text's length must fit, and its last byte be NUL"
SIZE = READER + "a binary's length must fit in the bytes that are left"
NAME = READER + "a name ends with a NUL, is UTF-8 and at most MAX_KEY long"
KIND = READER + "a table of the known types"
ENDS = READER + "a value of fixed size must be there whole"
TRAILING = READER + "nothing may follow the document"
ROOM = READER + "at least the five bytes of an empty document"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT, every=True)

GOOD = plain({"a": 1, "s": "text", "d": {"n": None}})

bad("empty", "a file of no bytes", b"", check=ROOM)
for count in range(1, 5):
    bad(f"bytes_{count}", f"a file of {count} bytes", GOOD[:count], check=ROOM)
bad("doclen_0", "the document says that it has no bytes", raw(length=0), check=LENGTH)
bad("doclen_4", "the document ends before its end", raw(length=4), check=LENGTH)
bad("doclen_neg", "a negative length", raw(length=-1), check=LENGTH)
bad("doclen_max_tiny_file", "five bytes that say 2 GiB", raw(length=2**31 - 1), check=LENGTH)
bad(
    "doclen_short_trailing", "the document ends, the file goes on", raw(length=5) + b"\x10a\0\0\0\0\0\0", check=TRAILING
)
bad("doclen_one_less", "a length one too small", struct.pack("<I", len(GOOD) - 1) + GOOD[4:], check=LENGTH)
bad("doclen_one_more", "a length one too large", struct.pack("<I", len(GOOD) + 1) + GOOD[4:], check=LENGTH)
bad("inner_len_short", "an inner document's length is too small", raw(element(3, b"d", raw(length=4))), check=LENGTH)
bad(
    "inner_len_long",
    "an inner document reaches over its parent's end",
    raw(element(3, b"d", raw(length=99))),
    check=LENGTH,
)
bad("inner_len_0", "an inner document of no bytes", raw(element(3, b"d", raw(length=0))), check=LENGTH)
bad("inner_len_neg", "an inner document of a negative length", raw(element(4, b"l", raw(length=-5))), check=LENGTH)
bad(
    "inner_len_swallows_sibling",
    "an inner document claims what stands after it",
    raw(element(3, b"d", raw(length=8)), element(10, b"n")),
    check=LENGTH,
)
bad(
    "no_eoo",
    "the last NUL is missing",
    raw(element(10, b"a"), end=b""),
    check=READER + "the end of the bytes is met as an error",
)
bad(
    "eoo_early", "a NUL in the middle ends the document", raw(element(10, b"a"), b"\0", element(10, b"b")), check=LENGTH
)
for other, start in {
    "zip": b"PK\3\4\x14\0\0\0\0\0",
    "pdf": b"%PDF-1.7\n",
    "elf": b"\x7fELF\2\1\1\0",
    "pickle": b"\x80\4\x95\0\0",
    "gzip": b"\x1f\x8b\x08\0",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "shebang": b"#!/bin/sh\nid\n",
    "safetensors": struct.pack("<Q", 2) + b"{}",
}.items():
    bad(f"prepend_{other}", f"starts as a {other} file: two readers, two meanings", start + GOOD, check=LENGTH)
    bad(f"append_{other}", f"a {other} file behind the document", GOOD + start, check=TRAILING)
bad("append_nul", "one NUL behind the document", GOOD + b"\0", check=TRAILING)
bad("append_second_document", "two documents in one file", GOOD + GOOD, check=TRAILING)
bad("strlen_0", "a text of no bytes, not even its NUL", raw(element(2, b"s", text(b"", 0))), check=TEXT)
bad("strlen_neg", "a text of negative length", raw(element(2, b"s", text(b"", -1))), check=TEXT)
bad("strlen_min", "the smallest int32 as a length", raw(element(2, b"s", text(b"", -(2**31)))), check=TEXT)
bad("strlen_gt_file", "a text that reaches over the end", raw(element(2, b"s", text(b"a", 99))), check=TEXT)
bad("strlen_max", "a text of 2 GiB in 14 bytes", raw(element(2, b"s", text(b"a", 2**31 - 1))), check=TEXT)
bad("str_no_nul", "a text without its NUL", raw(element(2, b"s", struct.pack("<i", 2) + b"ab")), check=TEXT)
bad("utf8_invalid_key", "a name that is not UTF-8", raw(element(10, b"\xff\xfe")), check=NAME)
bad("utf8_overlong_key", "a NUL in two bytes, in a name", raw(element(10, b"a\xc0\x80")), check=NAME)
bad("utf8_surrogate_key", "half of a surrogate pair, in a name", raw(element(10, b"\xed\xa0\x80")), check=NAME)
bad("key_unterminated", "a name without an end", raw(element(10, b"abc")[:-1], end=b""), check=NAME)
bad(
    "dup_key_top",
    "a name twice: the last wins in one reader, the first in another",
    raw(element(10, b"a"), element(8, b"a", b"\1")),
    check=READER + "a name stands once in a document",
)
bad(
    "dup_key_inner",
    "the same, one level down",
    raw(element(3, b"d", raw(element(10, b"a"), element(10, b"a")))),
    check=READER + "a name stands once in a document",
)
for kind in (0x0F, 0x14, 0x77, 0x80, 0xFE):
    bad(
        f"type_0x{kind:02x}",
        "a type that is not known, or runs code with its scope",
        raw(element(kind, b"a", bytes(8))),
        check=KIND,
    )
bad(
    "type_0x00",
    "type 0 is the end; what follows must not leak into the message",
    raw(element(0, b"a", b"secret" * 9)),
    check=LENGTH,
)
bad("bool_2", "a boolean that is neither", raw(element(8, b"a", b"\2")), check=READER + "a boolean is 0 or 1")
bad("bool_255", "a boolean of all bits", raw(element(8, b"a", b"\xff")), check=READER + "a boolean is 0 or 1")
bad("binlen_neg", "a binary of negative length", raw(element(5, b"b", binary(b"", -1))), check=SIZE)
bad("binlen_gt_rest", "a binary that reaches over the end", raw(element(5, b"b", binary(b"a", 99))), check=SIZE)
bad("binlen_max", "a binary of 2 GiB in 15 bytes", raw(element(5, b"b", binary(b"a", 2**31 - 1))), check=SIZE)
bad(
    "binlen_swallows_end",
    "a binary that takes the document's own end",
    raw(element(5, b"b", binary(b"a", 2))),
    check=READER + "the end of the bytes is met as an error",
)
for kind, size, name in (
    (1, 8, "double"),
    (16, 4, "int32"),
    (18, 8, "int64"),
    (7, 12, "objectid"),
    (9, 8, "datetime"),
    (19, 16, "decimal"),
    (17, 8, "timestamp"),
):
    bad(f"{name}_cut", f"the file ends within a {name}", raw(element(kind, b"a", bytes(size - 1)), end=b""), check=ENDS)
bad(
    "regex_unterminated",
    "a regular expression without an end",
    raw(element(11, b"r", b"a+"), end=b""),
    check=READER + "texts that are only carried are measured too",
)
bad("code_length_lies", "JavaScript that is longer than the file", raw(element(13, b"c", text(b"x", 500))), check=TEXT)
bad(
    "dbpointer_cut",
    "a database pointer that is cut",
    raw(element(12, b"p", text(b"x") + bytes(11)), end=b""),
    check=ENDS,
)
bad(
    "depth_10k",
    "10,000 documents in each other: recursion ends a process",
    nested(10_000),
    check=READER + "depth is counted, on a stack of our own",
    must=LIMIT,
)
bad(
    "depth_1m",
    "a million of them",
    lambda: nested(1_000_000),
    check=READER + "depth is counted, on a stack of our own",
    must=LIMIT,
)
bad(
    "depth_one_too_many",
    "one more than the limit",
    nested(values.MAX_DEPTH),
    check=READER + "depth is counted, on a stack of our own",
    must=LIMIT,
)
bad("key_100kb", "a name of 100 kB", lambda: raw(element(10, b"k" * 100_000)), check=NAME, must=LIMIT)
bad("key_30mb", "a name of 30 MB", lambda: raw(element(10, b"k" * 30_000_000)), check=NAME, must=LIMIT)
bad("zeros_1mb", "a megabyte of NULs", lambda: bytes(1 << 20), check=LENGTH)
bad("ones_1mb", "a megabyte of 0xff", lambda: b"\xff" * (1 << 20), check=LENGTH)
bad(
    "array_keys_shuffled_sealed",
    "elements of an array under wrong names, in a file with checksums",
    sealed({"a": [1, 2]}).replace(b"\x120\0", b"\x127\0", 1),
    check=READER + "what Holdfast wrote is held to the letter",
)

read: Any = partial(give, must=READ)
read("depth_at_limit", "as deep as it may be", nested(values.MAX_DEPTH - 1), check=READER + "depth is counted")
read(
    "str_embedded_nul",
    "a NUL inside a text is a character like any other",
    raw(element(2, b"s", text(b"a\0b"))),
    check=TEXT,
    good=lambda v: v == {"s": "a\0b"},
)
read(
    "utf8_invalid_text",
    "Julia's texts are bytes: kept, as surrogates",
    raw(element(2, b"s", text(b"\xff"))),
    check=READER + "RawText keeps every byte",
    good=lambda v: v["s"] == "\udcff",
)
read(
    "utf8_overlong_text",
    "an overlong NUL never becomes a NUL",
    raw(element(2, b"s", text(b"\xc0\x80"))),
    check=READER + "RawText keeps every byte",
    good=lambda v: "\0" not in v["s"],
)
read(
    "code_0x0d",
    "JavaScript is carried, never run",
    raw(element(13, b"c", text(b"while(1);"))),
    check=READER + "Opaque: bytes and a number",
    good=lambda v: type(v["c"]) is Opaque,
)
read(
    "regex_0x0b",
    "a regular expression that takes for ever is never compiled",
    raw(element(11, b"r", b"(a+)+$\0i\0")),
    check=READER + "Opaque: bytes and a number",
    good=lambda v: type(v["r"]) is Opaque,
)
read(
    "undefined_0x06",
    "a type that is no more",
    raw(element(6, b"u")),
    check=READER + "Opaque: bytes and a number",
    good=lambda v: type(v["u"]) is Opaque,
)
read(
    "dbpointer_0x0c",
    "a pointer into a database is not followed",
    raw(element(12, b"p", text(b"admin") + bytes(12))),
    check=READER + "Opaque: bytes and a number",
    good=lambda v: type(v["p"]) is Opaque,
)
read(
    "bin_subtype2_inner_lie",
    "the old binary's second length is data",
    raw(element(5, b"b", binary(struct.pack("<i", 999) + b"a", subtype=2))),
    check=SIZE,
    good=lambda v: len(v["b"]) == 5,
)
read(
    "bin_subtype_255",
    "a subtype of somebody's own",
    raw(element(5, b"b", binary(b"a", subtype=255))),
    check=SIZE,
    good=lambda v: v["b"] == b"a",
)
read(
    "array_keys_shuffled",
    "an array's elements count in the order of the file, as in BSON.jl",
    raw(element(4, b"l", raw(element(18, b"1", struct.pack("<q", 5)), element(18, b"0", struct.pack("<q", 6))))),
    check=READER + "order, not names",
    good=lambda v: v == {"l": [5, 6]},
)
read(
    "array_keys_no_numbers",
    "elements without numbers for names",
    raw(element(4, b"l", raw(element(10, b""), element(10, b"x")))),
    check=READER + "order, not names",
    good=lambda v: v == {"l": [None, None]},
)
read("key_empty", "a name of no characters", raw(element(10, b"")), check=NAME, good=lambda v: v == {"": None})
read(
    "int_edges",
    "the ends of int32 and int64",
    plain({"a": Int32(-(2**31)), "b": Int32(2**31 - 1), "c": -(2**63), "d": 2**63 - 1}),
    check=READER + "exact widths",
    good=lambda v: [int(n) for n in v.values()] == [-(2**31), 2**31 - 1, -(2**63), 2**63 - 1],
)
read(
    "double_edges",
    "minus zero, infinity, a NaN with a message",
    raw(
        *(
            element(1, name, bits)
            for name, bits in (
                (b"z", bytes(7) + b"\x80"),
                (b"i", bytes(6) + b"\xf0\x7f"),
                (b"n", b"\1\2\3\4\5\6\xf8\x7f"),
            )
        )
    ),
    check=READER + "eight bytes are eight bytes",
    good=lambda v: (
        struct.pack("<3d", *v.values()) == bytes(7) + b"\x80" + bytes(6) + b"\xf0\x7f" + b"\1\2\3\4\5\6\xf8\x7f"
    ),
)
read(
    "terminal_escapes",
    "names and texts that steer a terminal",
    plain({"\x1b]0;owned\x07\x1b[2J": "\x1b[31m\r\n\u202e", "[bold]x[/]": 1}),
    check="cli/screen.py: only printable characters get through",
)
read(
    "rich_markup",
    "names that are markup for the library that prints",
    plain({"[link=file:///etc/passwd]a[/link]": "[blink]"}),
    check="cli/screen.py: markup is off",
)
read(
    "raw_text_everywhere",
    "lone surrogates wherever a text may stand, and must be printed",
    plain({"x": [RawText("\udcff"), {"k": RawText("\udc80")}]}),
    check="cli/screen.py: only printable characters get through",
)


@case(
    "wide_nulls",
    "40,000 names: time and memory grow with the file, no faster",
    READ,
    READER + "one step for each value",
)
def wide() -> bytes:
    return plain({"x": dict.fromkeys(map(str, range(40_000)))})


@case(
    "wide_empty_documents",
    "the most Python for the fewest bytes: seven for each empty dictionary",
    READ,
    READER + "one step for each value",
)
def wide_documents() -> bytes:
    return raw(element(4, b"x", raw(b"\x03\0\5\0\0\0\0" * 20_000)))


@case(
    "wide_beyond_limit",
    "more values than a file may have (the limit is lowered for this)",
    LIMIT,
    READER + "values are counted",
    every=True,
    lower=("holdfast.wire.read", "MAX_VALUES", 20_000),
)
def wide_beyond() -> bytes:
    return raw(element(4, b"x", raw(b"\x0a\0" * 30_000)))
