"""JLD2: objects that refer outside or to themselves, types that lie, counts and texts without an end."""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from attacks.case import EITHER, READ, REFUSED
from attacks.case import give as give_case
from jld2_files import (
    BASE,
    FLOAT64,
    HEAP_TEXT,
    INT64,
    NULL,
    OPAQUE1,
    REFERENCE,
    START,
    JldFile,
    attribute,
    compound,
    layout,
    link,
    message,
    simple,
)

OBJECTS = "formats/jld2/objects.py: each header against its checksum, each place against the file's size"
TYPES = "formats/jld2/types.py: a committed type is what its fields are, or it is refused"
TEXTS = "formats/jld2/type_text.py: a type's text is read with limits, and never looked up"
VALUES = "formats/jld2/values.py: a value is made once, on a stack of its own, as deep as a document may be"
STORED = "formats/jld2/storage.py: as many bytes as it says, and no more than they can hold"
ROOT = "formats/jld2/values.py: the first structure and the root must be there whole"
Make = Callable[[JldFile], int]

give: Any = partial(give_case, module=__name__)


def made(make: Make) -> bytes:
    """A file that holds what ``make`` adds to it as ``x``."""
    file = JldFile()
    return file.bytes_of(x=make(file))


def enter(must: Any, check: str, cases: dict[str, tuple[str, Make]]) -> None:
    for name, (idea, make) in cases.items():
        give(f"jld2_{name}", idea, partial(made, make), must=must, check=check)


give(
    "jld2_good",
    "a JLD2 file as it should be, for comparison",
    partial(made, lambda f: f.integer(5)),
    must=READ,
    check=OBJECTS,
    good=lambda value: value["x"] == 5,
)

# -- types as texts ---------------------------------------------------------------------------------------------------

SHORT = struct.pack("<q", 1)


def typed(name: str, *params: int) -> Make:
    """A struct of one number, of a type of this name."""
    return lambda file: file.value(SHORT, committed=file.struct_type(name, compound(("a", INT64, 8)), params))


enter(
    EITHER,
    TEXTS,
    {
        "type_text_10mb": ("the name of a type has 10 MB", typed("Main." + "A" * 10_000_000)),
        "type_text_dots": ("a name of a million parts", typed(".".join(["A"] * 1_000_000))),
        "type_text_deep": ("a type in a type, 100,000 times", typed("Main.A{" * 100_000 + "}" * 100_000)),
        "type_text_open": ("100,000 braces that open", typed("Main.A" + "{" * 100_000)),
        "type_text_wide": ("a type of a million parameters", typed("Main.A{" + "1," * 1_000_000 + "1}")),
        "type_text_quotes": ("a text that never ends, in a type", typed('Main.A{"' + "\\" * 100_001)),
        "type_text_number": ("a parameter of 100,000 digits", typed("Main.A{" + "9" * 100_000 + "}")),
        "type_text_calls": ("a type that calls", typed("Main.A{Base.run(`id`)}")),
        "type_text_include": ("a type that includes a file", typed('Main.A{include("/etc/passwd")}')),
        "type_text_module": ("a type of Python's modules", typed("os.system")),
        "type_text_empty": ("a type without a name", typed("")),
        "type_text_nul": ("a NUL in a name", typed("Main.\0A")),
        "type_text_escapes": ("a name that steers a terminal", typed("Main.\x1b[2JA")),
        "type_text_ours": ("a type called as a tag of ours", typed("Core.backref")),
        "type_params_many": (
            "a type of 1,000 references to itself",
            lambda f: f.value(SHORT, committed=f.struct_type("Main.A", compound(("a", INT64, 8)), [f.datatype] * 1000)),
        ),
    },
)
enter(
    EITHER,
    TYPES,
    {
        "flux_with_number": ("a Flux layer that is a number", typed("Flux.Dense")),
        "dict_with_number": ("a Dict that is a number", typed("Base.Dict")),
        "array_as_struct": ("an Array that is a struct", typed("Core.Array")),
        "symbol_as_struct": ("a Symbol that is a struct", typed("Core.Symbol")),
        "big_int_as_struct": ("a BigInt that is a struct", typed("Base.GMP.BigInt")),
        "method_as_struct": ("a Method", typed("Core.Method")),
        "code_info": ("Julia's code", typed("Core.CodeInfo")),
        "ptr": ("a pointer", typed("Core.Ptr")),
        "task": ("a task that would run", typed("Core.Task")),
        "io_stream": ("an open file", typed("Base.IOStream")),
        "ntuple_huge": (
            "a tuple of 2^40 in eight bytes",
            lambda f: f.value(
                SHORT,
                committed=f.struct_type(
                    "NTuple", compound(("1", INT64, 8)), [f.integer(1 << 40), f.type_value("Core.Int64")]
                ),
            ),
        ),
        "ntuple_negative": (
            "a tuple of -1",
            lambda f: f.value(
                SHORT,
                committed=f.struct_type(
                    "NTuple", compound(("1", INT64, 8)), [f.integer(-1), f.type_value("Core.Int64")]
                ),
            ),
        ),
        "union_of_nothing": ("a union of no types", lambda f: f.value(f.type_raw("Union"), committed=f.datatype)),
        "written_as_other": (
            "a type that was written as another",
            lambda f: f.value(SHORT, committed=f.struct_type("Main.A", compound(("a", INT64, 8)), written="Base.Dict")),
        ),
        "fields_more": (
            "more names of fields than fields",
            lambda f: f.value(
                SHORT,
                committed=f.struct_type("Main.A", compound(("a", INT64, 8)), fields=[("a", 0), ("b", 0), ("c", 0)]),
            ),
        ),
        "fields_twice": (
            "a field twice",
            lambda f: f.value(SHORT * 2, committed=f.struct_type("Main.A", compound(("a", INT64, 8), ("a", INT64, 8)))),
        ),
        "fields_of_python": (
            "a field called __class__",
            lambda f: f.value(SHORT, committed=f.struct_type("Main.A", compound(("__class__", INT64, 8)))),
        ),
    },
)

# -- datatypes --------------------------------------------------------------------------------------------------------


def of(datatype: bytes, raw: bytes = bytes(8), space: bytes | None = None) -> Make:
    """A value of this datatype."""
    return lambda file: file.value(raw, datatype, **({} if space is None else {"space": space}))


def fixed(kind: int, size: int, rest: bytes = b"", bits: int = 0) -> bytes:
    return struct.pack("<BI", kind, 0)[:1] + bits.to_bytes(3, "little") + struct.pack("<I", size) + rest


def member_at(offset: int) -> bytes:
    return struct.pack("<BHBI", 0x36, 1, 0, 8) + b"a\0" + bytes([offset]) + INT64


enter(
    REFUSED,
    "formats/jld2/datatypes.py: only the datatypes that JLD2 writes, with sizes that fit",
    {
        "datatype_time": ("a time", of(fixed(0x32, 8))),
        "datatype_unknown": ("a class of datatypes that is none", of(fixed(0x3F, 8))),
        "datatype_version_0": ("a datatype of version 0", of(fixed(0x00, 8, INT64[8:]))),
        "datatype_integer_0": ("an integer of no bytes", of(fixed(0x30, 0, struct.pack("<HH", 0, 0)))),
        "datatype_integer_huge": ("an integer of 2 GiB", of(fixed(0x30, 0x7FFFFFFF, struct.pack("<HH", 0, 64)))),
        "datatype_integer_bits": (
            "an integer with bits in other places",
            of(fixed(0x30, 8, struct.pack("<HH", 7, 99))),
        ),
        "datatype_float_3": ("a float of three bytes", of(fixed(0x31, 3, FLOAT64[8:]))),
        "datatype_text_huge": ("a text of 2 GiB", of(fixed(0x33, 0x7FFFFFFF, bits=0x11))),
        "datatype_member_outside": ("a field behind the end of its struct", of(member_at(200))),
        "datatype_member_over": ("a field over the end of its struct", of(member_at(5))),
        "datatype_members_many": ("65,535 fields in no bytes", of(struct.pack("<BHBI", 0x36, 0xFFFF, 0, 8))),
        "datatype_member_no_end": (
            "a name of a field without an end",
            of(struct.pack("<BHBI", 0x36, 1, 0, 8) + b"a" * 60),
        ),
        "datatype_cut": ("a datatype that is cut", of(INT64[:5])),
        "datatype_shared_outside": (
            "a datatype that stands outside of the file",
            lambda f: f.value(SHORT, committed=1 << 50),
        ),
        "datatype_shared_dataset": ("a datatype that is a number", lambda f: f.value(SHORT, committed=f.integer(3))),
        "datatype_shared_itself": (
            "a value that is its own datatype",
            lambda f: f.value(SHORT, committed=len(f.body) + START - BASE),
        ),
    },
)
enter(
    EITHER,
    "formats/jld2/datatypes.py: only the datatypes that JLD2 writes, with sizes that fit",
    {
        "datatype_vlen_of_vlen": ("lists of lists", of(fixed(0x39, 16, fixed(0x39, 16, INT64)), bytes(16))),
        "datatype_struct_0": ("a struct of no bytes", of(struct.pack("<BHBI", 0x36, 0, 0, 0), b"")),
        "datatype_opaque_0": ("2^40 things of no bytes", of(fixed(0x35, 0), b"", simple(1 << 40))),
        "datatype_overlap": (
            "two fields in one place",
            of(struct.pack("<BHBI", 0x36, 2, 0, 8) + b"a\0\0" + INT64 + b"b\0\0" + INT64),
        ),
        "datatype_bool_2": ("a truth that is neither", of(fixed(0x34, 1, struct.pack("<HH", 0, 8)), b"\2")),
        "null_of_number": ("a number of no space", of(INT64, b"", NULL)),
        "singleton_unknown": (
            "a type of one value that nobody knows",
            lambda f: f.value(b"\1", committed=f.singleton("Main.#evil")),
        ),
        "function_run": ("the function run", lambda f: f.value(b"\1", committed=f.singleton("Base.#run"))),
        "function_relu": ("a function of Flux's", lambda f: f.value(b"\1", committed=f.singleton("NNlib.#relu"))),
        "opaque_bytes": ("a byte of no kind", of(OPAQUE1, b"\1")),
    },
)

# -- sizes and places -------------------------------------------------------------------------------------------------


def chunked(
    size: int, raw: bytes, *, dims: tuple[int, ...] | None = None, told: int | None = None, at: int | None = None
) -> Make:
    """Numbers in one compressed chunk that says what it is told."""

    def make(file: JldFile) -> int:
        place = file.add(raw)
        axes = (size, 8) if dims is None else dims
        head = struct.pack("<BBBBB", 4, 2, 2, len(axes), 8) + struct.pack(f"<{len(axes)}Q", *axes)
        index = struct.pack("<BQIQ", 1, len(raw) if told is None else told, 0, place if at is None else at)
        steps = struct.pack("<BBHHHI", 2, 1, 1, 0, 1, 5)
        return file.header(message(1, simple(size)), message(3, FLOAT64), message(11, steps), message(8, head + index))

    return make


PACKED = zlib.compress(bytes(64))
enter(
    REFUSED,
    STORED,
    {
        "chunk_outside": ("a chunk outside of the file", chunked(8, PACKED, at=1 << 50)),
        "chunk_over_end": ("a chunk over the end of the file", chunked(8, PACKED, told=1 << 40)),
        "chunk_wraps": ("a chunk whose end wraps", chunked(8, PACKED, at=(1 << 64) - 16, told=1 << 62)),
        "chunk_bomb": ("16 GiB in 64 bytes", chunked(1 << 31, PACKED)),
        "chunk_2_60": ("2^60 numbers in a chunk", chunked(1 << 57, PACKED)),
        "chunk_short": ("a chunk that holds less than it says", chunked(64, PACKED)),
        "chunk_long": ("a chunk that holds more than it says", chunked(4, PACKED)),
        "chunk_cut": ("a chunk that is cut", chunked(8, PACKED[:-5])),
        "chunk_axes": ("a chunk of other axes than its array", chunked(8, PACKED, dims=(4, 2, 8))),
        "chunk_axis_0": ("a chunk that is no element long", chunked(8, PACKED, dims=(0, 8))),
        "chunk_element": ("a chunk of other elements", chunked(8, PACKED, dims=(8, 3))),
    },
)


def placed(address: int, length: int, size: int = 8) -> Make:
    return lambda f: f.header(
        message(1, simple(size)), message(3, FLOAT64), message(8, struct.pack("<BBQQ", 4, 1, address, length))
    )


enter(
    REFUSED,
    OBJECTS,
    {
        "array_outside": ("an array outside of the file", placed(1 << 50, 64)),
        "array_over_end": ("an array over the end of the file", placed(48, 1 << 30, 1 << 27)),
        "array_wraps": ("an array whose end wraps", placed((1 << 64) - 64, 64)),
        "array_length_less": ("fewer bytes than elements", placed(48, 8)),
        "array_length_more": ("more bytes than elements", placed(48, 80)),
        "shape_wraps": ("a shape of 2^96", lambda f: f.value(bytes(8), INT64, space=simple(1 << 48, 1 << 48))),
        "shape_255_axes": ("an array of 255 axes", lambda f: f.value(bytes(8), INT64, space=simple(*[1] * 255))),
        "no_space": ("a value without a shape", lambda f: f.header(message(3, INT64), layout(SHORT))),
        "no_datatype": ("a value without a datatype", lambda f: f.header(message(1, simple(1)), layout(SHORT))),
        "two_layouts": (
            "a value with two places",
            lambda f: f.header(message(1, simple(1)), message(3, INT64), layout(SHORT), layout(SHORT * 2)),
        ),
        "message_unknown": (
            "a message that must be known and is not",
            lambda f: f.header(message(99, b"x", 8), message(1, simple(1)), message(3, INT64), layout(SHORT)),
        ),
        "message_over_end": (
            "a message over the end of its header",
            lambda f: f.header(struct.pack("<BHB", 1, 0xFFFF, 0)),
        ),
        "header_empty": ("an object without messages", lambda f: f.header()),
        "object_outside": ("a name that leads outside of the file", lambda f: 1 << 50),
        "object_wraps": ("a name that leads in front of the file", lambda f: (1 << 64) - 512),
        "object_in_text": ("a name that leads into a text", lambda f: f.add(b"OHDR" * 8) + 4),
        "object_unaligned": ("a name that leads into an object", lambda f: f.integer(5) + 1),
        "object_is_heap": ("a name that leads to a heap", lambda f: struct.unpack("<Q", f.heap(b"abc")[:8])[0]),
        "texts_outside": (
            "a text outside of its heap",
            lambda f: f.value(struct.pack("<IQI", 1 << 30, 48, 1), HEAP_TEXT),
        ),
        "texts_index": (
            "the entry 2^32 - 1 of a heap",
            lambda f: f.value(struct.pack("<I", 3) + f.heap(b"abc")[:8] + b"\xff" * 4, HEAP_TEXT),
        ),
    },
)
enter(
    EITHER,
    VALUES,
    {
        "no_layout": (
            "a datatype with a shape, and no place",
            lambda f: f.header(message(1, simple(1)), message(3, INT64)),
        ),
        "reference_to_itself": (
            "a list that holds itself",
            lambda f: f.references([len(f.body) + START - BASE], f.type_value("Core.Any")),
        ),
        "references_outside": (
            "a list that leads outside of the file",
            lambda f: f.references([1 << 50] * 10, f.type_value("Core.Any")),
        ),
        "references_many": (
            "a list of 8,000 times one number",
            lambda f: f.references([f.integer(1)] * 8000, f.type_value("Core.Any")),
        ),
        "references_null": ("a list of nothing", lambda f: f.references([0] * 10, f.type_value("Core.Any"))),
        "deep": ("2,000 lists in each other", lambda f: deep(f, 2000)),
        "wide_group": ("5,000 names", lambda f: f.group(**{f"n{n}": f.datatype for n in range(5000)})),
        "name_long": (
            "a name of 255 characters that steers a terminal",
            lambda f: f.header(link("\x1b[2J" + "x" * 200, f.integer(1))),
        ),
        "names_of_ours": ("names that documents need", lambda f: f.group(tag=f.text("backref"), ref=f.integer(1))),
        "doubling": ("a list of two of the list before, thirty times", lambda f: doubling(f, 30)),
        "types_group_lies": ("a name _types that is a number", lambda f: f.group(_types=f.integer(1))),
        "attribute_huge": (
            "an attribute of 60 kB",
            lambda f: f.value(SHORT, INT64, extra=attribute("x", INT64, simple(7000), bytes(56_000))),
        ),
        "attribute_type_lies": (
            "a julia_type that is a number",
            lambda f: f.value(SHORT, INT64, extra=attribute("julia_type", INT64, simple(1), SHORT)),
        ),
        "attribute_type_outside": (
            "a julia_type outside of the file",
            lambda f: f.value(
                SHORT, INT64, extra=attribute("julia_type", REFERENCE, simple(1), struct.pack("<Q", 1 << 50))
            ),
        ),
        "text_bad_utf8": ("a text that is not UTF-8", lambda f: f.value(b"\xff\xfe", fixed(0x33, 2, bits=0x11))),
        "texts_million": ("a million times no text", lambda f: f.value(b"", HEAP_TEXT, space=simple(1 << 20))),
    },
)


def deep(file: JldFile, depth: int) -> int:
    any_ = file.type_value("Core.Any")
    at = file.integer(1)
    for _ in range(depth):
        at = file.references([at], any_)
    return at


def doubling(file: JldFile, times: int) -> int:
    any_ = file.type_value("Core.Any")
    at = file.integer(1)
    for _ in range(times):
        at = file.references([at, at], any_)
    return at


# -- the first structure ----------------------------------------------------------------------------------------------


def whole(root: Make | None = None, head: bytes | None = None) -> bytes:
    file = JldFile() if head is None else JldFile(head)
    return file.finished(file.group(x=file.integer(5)) if root is None else root(file))


for name, (idea, data) in {
    "root_outside": ("a root outside of the file", whole(lambda f: 1 << 50)),
    "root_is_number": ("a root that is a number", whole(lambda f: f.integer(5))),
    "version_far": ("a version that is not yet", whole(head=b"HDF5-based Julia Data Format, version 9.9.9\0")),
    "version_none": ("no version", whole(head=b"HDF5-based Julia Data Format\0")),
    "text_only": ("the text and nothing else", b"HDF5-based Julia Data Format, version 0.2.0\0".ljust(512, b"\0")),
    "signature_missing": ("no signature behind the text", whole().replace(b"\x89HDF", b"\x88HDF", 1)),
    "superblock_flip": ("a bit of the first structure", whole()[:540] + b"\1" + whole()[541:]),
    "appended": ("bytes behind its end", whole() + b"#!/bin/sh\nid\n"),
}.items():
    give(
        f"jld2_first_{name}",
        idea,
        data,
        must=EITHER if name in ("version_none", "version_far", "appended") else REFUSED,
        check=ROOT,
    )
