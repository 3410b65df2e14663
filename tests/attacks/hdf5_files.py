"""HDF5: links and storage that lead elsewhere, sizes and filters that lie, configurations that name code."""

import json
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import h5py
import numpy as np

from attacks.case import EITHER, FORMAT, READ, REFUSED
from attacks.case import give as give_case

LINKS = "formats/hdf5/tree.py: links are followed by hand, within the file, a few steps at most"
STORED = "formats/hdf5/arrays.py: nothing outside of the file, no more than it can hold, only known filters"
TEXTS = "formats/hdf5/attributes.py: only plain values are read, and none is run"
FIRST = "formats/hdf5/superblock.py: version, widths, base, length and checksum of the first structure"
Write = Callable[[h5py.File], Any]

give: Any = partial(give_case, module=__name__)


def made(write: Write, **options: Any) -> bytes:
    """The file that ``write`` fills, made in memory."""
    with h5py.File("made", "w", driver="core", backing_store=False, **options) as file:
        write(file)
        file.flush()
        return bytes(file.id.get_file_image())


def enter(must: Any, check: str, cases: dict[str, tuple[str, Write]], **options: Any) -> None:
    for name, (idea, write) in cases.items():
        give(f"h5_{name}", idea, partial(made, write, **options), must=must, check=check)


def set_(name: str, value: Any) -> Write:
    return lambda file: file.__setitem__(name, value)


# -- links ------------------------------------------------------------------------------------------------------------


def chain(file: h5py.File) -> None:
    for number in range(40):
        file[f"s{number}"] = h5py.SoftLink(f"/s{number + 1}")
    file["s40"] = np.ones(1)


def fan(file: h5py.File) -> None:
    """Each link's path goes through the one before it many times."""
    file.create_group("g")["up"] = h5py.SoftLink("/")
    file["far"] = h5py.SoftLink("/" + "g/up/" * 5000)


enter(
    FORMAT,
    LINKS,
    {
        "external_link": ("a link to another file", set_("x", h5py.ExternalLink("/etc/passwd", "/"))),
        "external_link_beside": ("a link to a file beside it", set_("x", h5py.ExternalLink("../hostile.bson", "/"))),
        "external_link_to_itself": (
            "a link to this file, as another",
            set_("x", h5py.ExternalLink("hostile.bson", "/x")),
        ),
        "external_link_url": ("a link to an address", set_("x", h5py.ExternalLink("http://localhost/x.h5", "/"))),
        "soft_ring": (
            "two links to each other",
            lambda f: (set_("a", h5py.SoftLink("/b"))(f), set_("b", h5py.SoftLink("/a"))(f)),
        ),
        "soft_self": ("a link to itself", set_("a", h5py.SoftLink("/a"))),
        "soft_inside_itself": ("a link to what is below itself", set_("a", h5py.SoftLink("/a/a/a/a"))),
        "soft_nowhere": ("a link to nothing", set_("a", h5py.SoftLink("/b"))),
        "soft_dotdot": ("a link that goes up", set_("a", h5py.SoftLink("../../etc/passwd"))),
        "soft_long": ("a path of 60,000 characters", set_("a", h5py.SoftLink("/" + "x" * 60_000))),
        "soft_chain": ("forty links in a row", chain),
    },
)
enter(
    EITHER,
    LINKS,
    {
        "soft_fan": ("a path of ten thousand words, in a ring", fan),
        "group_in_itself": ("a group that holds itself", lambda f: f.create_group("g").__setitem__("g", f["g"])),
        "root_in_itself": ("the root under a name in the root", lambda f: f.__setitem__("r", f["/"])),
        "deep_groups": ("1,000 groups in each other", lambda f: f.create_group("/".join(["g"] * 1000))),
        "many_names": ("5,000 names", lambda f: [f.create_group(f"g{n}") for n in range(5000)] and None),
        "odd_names": (
            "names that steer a terminal, or are paths",
            lambda f: (f.create_group("\x1b[2J"), f.create_group("é\u202e"), f.create_group("..x")),
        ),
        "name_not_utf8": ("a name that is not UTF-8", lambda f: h5py.h5g.create(f.id, b"\xff\xfe")),
        "names_of_ours": (
            "names that documents need for themselves",
            lambda f: (f.create_group("tag"), f.create_group("type"), f.create_group("_holdfast"), f.create_group("@")),
        ),
        "backrefs": ("the name that a file needs", set_("_backrefs", np.ones(2))),
        "document_in_disguise": (
            "groups that look like a document of ours",
            lambda f: (set_("x/tag", "backref")(f), set_("x/ref", 1)(f)),
        ),
        "python_in_disguise": (
            "a group that looks like a class",
            lambda f: (set_("x/tag", "python")(f), set_("x/type", "os.system")(f)),
        ),
        "named_datatype": ("a datatype by itself", set_("t", np.dtype("f4"))),
        "empty": ("nothing in it", lambda f: None),
    },
)

# -- storage ----------------------------------------------------------------------------------------------------------


def virtual(source: str) -> Write:
    def write(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(source, "x", (4,))
        file.create_virtual_dataset("v", layout)

    return write


def chunk(shape: tuple[int, ...], raw: bytes, dtype: str = "u1", filter_: int = 1, mask: int = 0) -> Write:
    """One chunk of these bytes, behind a filter that may be unknown."""

    def write(file: h5py.File) -> None:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(shape)
        if filter_ == 1:
            plist.set_deflate(1)
        else:
            plist.set_filter(filter_, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(file.id, b"c", h5py.h5t.py_create(np.dtype(dtype)), space, plist)
        made.write_direct_chunk((0,) * len(shape), raw, mask)

    return write


def never_written(shape: tuple[int, ...], **options: Any) -> Write:
    return lambda file: file.create_dataset("x", shape, "f8", **options) and None


enter(
    REFUSED,
    STORED,
    {
        "external_storage": (
            "numbers that are in another file",
            lambda f: f.create_dataset("x", (8,), "u1", external=[("/etc/passwd", 0, 8)]) and None,
        ),
        "external_storage_zero": (
            "numbers that are in a device without an end",
            lambda f: f.create_dataset("x", (8,), "u1", external=[("/dev/zero", 0, 8)]) and None,
        ),
        "virtual_elsewhere": ("an array made of another file's", virtual("/tmp/other.h5")),
        "virtual_beside": ("an array made of a file beside it", virtual("hostile.bson")),
        "virtual_itself": ("an array made of itself", virtual(".")),
        "bomb": ("256 MiB of nothing in 256 kB", chunk((1 << 28,), zlib.compress(bytes(1 << 28), 1))),
        "chunk_liar": ("a chunk that unpacks to more than it says", chunk((16,), zlib.compress(bytes(1 << 26)))),
        "chunk_short": ("a chunk that unpacks to less than it says", chunk((1 << 16,), zlib.compress(bytes(16)))),
        "chunk_garbage": ("a chunk that is no deflate", chunk((16,), b"not deflate")),
        "filter_unknown": ("a filter that would be a plug-in", chunk((16,), bytes(16), filter_=32001)),
        "filter_own": ("a filter of somebody's own", chunk((16,), bytes(16), filter_=299)),
    },
)
enter(
    EITHER,
    STORED,
    {
        "huge_shape": ("2^40 numbers that nobody wrote", never_written((1 << 40,))),
        "huge_shape_wraps": ("2^60 numbers that nobody wrote", never_written((1 << 20, 1 << 20, 1 << 20))),
        "huge_chunks": ("2^40 numbers in chunks of which none is there", never_written((1 << 40,), chunks=(1 << 10,))),
        "huge_fill": ("2^40 times a value that fills", never_written((1 << 40,), chunks=(1 << 10,), fillvalue=7.0)),
        "no_limit": ("an array that may grow without an end", never_written((4,), maxshape=(None,), chunks=(2,))),
        "thirty_axes": ("an array of 30 axes", never_written((1,) * 30)),
        "no_elements": ("2^40 times nothing", never_written((1 << 40, 0))),
        "chunk_mask": ("a chunk that says it went through no filter", chunk((16,), bytes(16), mask=1)),
        "chunk_mask_short": ("the same, and it is too short", chunk((16,), bytes(3), mask=1)),
        "lzf": (
            "a filter of h5py's own",
            lambda f: f.create_dataset("x", data=np.ones(99), compression="lzf") and None,
        ),
        "scaleoffset": (
            "numbers with fewer bits",
            lambda f: f.create_dataset("x", data=np.arange(99), scaleoffset=4) and None,
        ),
    },
)


def heap(**changed: bytes) -> bytes:
    """A file of one text and one attribute, in whose heap an entry says something else."""
    data = made(lambda f: (set_("t", "abc")(f), f.attrs.__setitem__("u", "def")))
    at_ = data.index(b"GCOL\1")
    for where, value in changed.items():
        start = at_ + int(where.lstrip("at"))
        data = data[:start] + value + data[start + len(value) :]
    return data


HEAPS = "formats/hdf5/heaps.py: each entry of a heap ends within it, and it within the file"
for name, (idea, changed) in {
    "endless": ("an entry that takes nothing: HDF5's own library goes through it for ever", {"at16": bytes(16)}),
    "endless_rest": ("room that is left and takes nothing", {"at40": bytes(16)}),
    "entry_far": ("an entry of 2^62 bytes", {"at24": struct.pack("<Q", 1 << 62)}),
    "entry_wraps": ("an entry whose end wraps", {"at24": b"\xff" * 8}),
    "size_far": ("a heap of 3 GB in a small file", {"at8": struct.pack("<Q", 3 << 30)}),
    "size_far_odd_head": (
        "the same, whose head is not quite a heap's",
        {"at5": b"\1", "at8": struct.pack("<Q", 3 << 30)},
    ),
    "entry_over": ("an entry over the end of its heap", {"at24": struct.pack("<Q", 4096)}),
}.items():
    give(f"h5_heap_{name}", idea, partial(heap, **changed), must=REFUSED, check=HEAPS)


def long_text(**options: Any) -> bytes:
    """A text that says it has 3.6 GB."""
    data = made(lambda f: f.create_dataset("t", data=["abc", "defg"], dtype=h5py.string_dtype(), **options) and None)
    heap_at = struct.pack("<Q", data.index(b"GCOL\1"))
    place = data.index(struct.pack("<I", 3) + heap_at)
    return data[:place] + struct.pack("<I", 0xD8000000) + data[place + 4 :]


for name, options in {"alone": {}, "chunked": {"chunks": (2,)}}.items():
    give(
        f"h5_text_long_{name}",
        f"a text of 3.6 GB in a small file, for which HDF5's own library takes the memory first ({name})",
        partial(long_text, **options),
        must=REFUSED,
        check=STORED,
    )
for name, (idea, changed) in {
    "size_small": ("a heap of 64 bytes", {"at8": struct.pack("<Q", 64)}),
    "version": ("a heap of another version", {"at4": b"\2"}),
    "no_entry": ("an entry of another number", {"at16": b"\x09\0"}),
    "number_65535": ("an entry of the highest number", {"at16": b"\xff\xff"}),
}.items():
    give(f"h5_heap_{name}", idea, partial(heap, **changed), must=EITHER, check=HEAPS)

# -- kinds of values --------------------------------------------------------------------------------------------------


def with_references(file: h5py.File) -> None:
    file["t"] = np.ones(2)
    kind = np.dtype([("a", "f4"), ("r", h5py.ref_dtype)])
    file.create_dataset("x", (2,), kind)


def with_regions(file: h5py.File) -> None:
    file["t"] = np.ones(2)
    file.create_dataset("x", (1,), h5py.regionref_dtype)[0] = file["t"].regionref[0:1]


def to_itself(file: h5py.File) -> None:
    made = file.create_dataset("x", (1,), h5py.ref_dtype)
    made[0] = made.ref


def opaque(file: h5py.File) -> None:
    file.create_dataset("x", data=np.array([b"\x80\x02cos\n"], "V8").astype(h5py.opaque_dtype("V8")))


enter(
    EITHER,
    STORED,
    {
        "compound_references": ("records that hold references", with_references),
        "references": ("an array that refers to itself", to_itself),
        "regions": ("references to parts", with_regions),
        "vlen": ("lists of any length", lambda f: f.create_dataset("x", (3,), h5py.vlen_dtype("f8")) and None),
        "vlen_texts": ("10,000 texts", set_("x", ["a" * 99] * 10_000)),
        "vlen_texts_missing": (
            "2^20 texts that nobody wrote",
            lambda f: f.create_dataset("x", (1 << 20,), h5py.string_dtype(), chunks=(1 << 10,)) and None,
        ),
        "opaque": ("bytes of no kind", opaque),
        "enum": ("an enumeration", lambda f: f.create_dataset("x", (2,), h5py.enum_dtype({"A": 1, "B": 2})) and None),
        "array_in_record": ("arrays in records", lambda f: f.create_dataset("x", (2,), [("a", "f4", (3, 3))]) and None),
        "odd_float": ("numbers of 16 bits in big-endian", set_("x", np.ones(3, ">f2"))),
        "null": ("an array without a space", set_("x", h5py.Empty("f4"))),
        "wide_letters": (
            "a text of 2^31 letters that nobody wrote",
            lambda f: f.create_dataset("x", (1,), h5py.string_dtype("ascii", (1 << 31) - 1), chunks=(1,)) and None,
        ),
    },
)

# -- Keras ------------------------------------------------------------------------------------------------------------

LAMBDA = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "Lambda", "config": {"function": ["4wAAAA==", None, None], "module": "os"}},
            {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
            {"module": "keras.src.models.cloning", "class_name": "function", "config": "enable_unsafe_deserialization"},
        ]
    },
}


def keras(**attributes: Any) -> Write:
    def write(file: h5py.File) -> None:
        weights = file.create_group("model_weights/dense/dense")
        weights["kernel:0"] = np.ones((2, 2), "f4")
        for name, value in attributes.items():
            file.attrs[name] = value

    return write


for name, (idea, attributes) in {
    "lambda": ("a configuration whose layer is code", {"model_config": json.dumps(LAMBDA)}),
    "module": (
        "a configuration that names a module and a function",
        {"model_config": json.dumps({"module": "os", "class_name": "system"})},
    ),
    "pickle": ("an attribute that is a pickle", {"keras": np.void(b"\x80\x02cos\nsystem\n(X\2\0\0\0idtR.")}),
    "marshal": ("an attribute that is Python's code", {"function": b"\xe3\0\0\0\0".hex()}),
    "layer_names": ("names of layers that are paths", {"layer_names": [b"../../etc/passwd", b"__class__"]}),
    "number_config": ("a configuration that is a number", {"model_config": 5}),
}.items():
    give(
        f"keras_{name}",
        f"{idea}: it stays a text",
        partial(made, keras(**attributes)),
        must=READ,
        check=TEXTS,
        good=lambda value: value["model_weights"]["dense"]["dense"]["kernel:0"].sum() == 4,
    )
enter(
    EITHER,
    TEXTS,
    {
        "attribute_reference": ("an attribute that refers", lambda f: f.attrs.__setitem__("r", f.ref)),
        "attribute_texts": ("an attribute of 1,000 texts", lambda f: f.attrs.__setitem__("t", ["x" * 9] * 1000)),
        "attribute_many": (
            "2,000 attributes",
            lambda f: [f.attrs.__setitem__(f"a{n}", n) for n in range(2000)] and None,
        ),
        "attribute_long": ("an attribute of 60 kB", lambda f: f.attrs.__setitem__("t", "x" * 60_000)),
        "attribute_name": ("an attribute whose name steers a terminal", lambda f: f.attrs.__setitem__("\x1b[2J", 1)),
    },
)

# -- the first structure ----------------------------------------------------------------------------------------------

PLAIN = made(set_("x", np.ones(4)))
LATEST = made(set_("x", np.ones(4)), libver="latest")
give(
    "h5_good",
    "an HDF5 file as it should be, for comparison",
    PLAIN,
    must=READ,
    check=FIRST,
    good=lambda v: v["x"].sum() == 4,
)


def at(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


for name, data in {
    "version_9": at(PLAIN, 8, b"\x09"),
    "address_width": at(PLAIN, 13, b"\xff"),
    "length_width": at(PLAIN, 14, b"\0"),
    "base_elsewhere": at(PLAIN, 24, struct.pack("<Q", 1 << 40)),
    "end_far": at(PLAIN, 40, struct.pack("<Q", 1 << 60)),
    "driver_block": at(PLAIN, 48, bytes(8)),
    "root_far": at(PLAIN, 64, struct.pack("<Q", 1 << 50)),
    "latest_checksum": at(LATEST, 44, b"\1\2\3\4"),
    "latest_root": at(LATEST, 36, struct.pack("<Q", 1 << 50)),
    "latest_extension": at(LATEST, 20, struct.pack("<Q", 1 << 50)),
    "cut_half": PLAIN[: len(PLAIN) // 2],
    "signature_only": PLAIN[:8],
    "signature_at_512": b"\0" * 512 + PLAIN[:8],
}.items():
    give(
        f"h5_first_{name}",
        f"a first structure that lies: {name.replace('_', ' ')}",
        data,
        must=REFUSED,
        check=FIRST,
        every=True,
    )
for block, text in {"script": b"#!/bin/sh\nid\n", "elf": b"\x7fELF", "nothing": b""}.items():
    give(
        f"h5_block_{block}",
        f"a block of the user's in front: {block}",
        text.ljust(512, b"\0") + made(set_("x", np.ones(4)), userblock_size=512)[512:],
        must=EITHER,
        check="formats/choose.py: behind a block in which nothing that has a magic stands",
    )
