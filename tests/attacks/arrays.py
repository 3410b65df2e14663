"""NumPy's arrays: headers with everything in them but a header, and archives of them that lie."""

import struct
import zipfile
from functools import partial
from typing import Any

from attacks.case import EITHER, FORMAT, READ, REFUSED
from attacks.case import give as give_case
from attacks.foreign import ONES, archive, npz

HEADER = "formats/npy.py: shape and dtype say exactly as many bytes as there are"
MEMBERS = "formats/npz.py: names are keys; each member is one whole array"

give: Any = partial(give_case, module=__name__)


def header(text: str, data: bytes = bytes(32), version: bytes = b"\1\0", length: int | None = None) -> bytes:
    """An npy with a header of our own, as long as it likes."""
    raw = text.encode("latin-1") + b"\n"
    size = len(raw) if length is None else length
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", size) + raw + data


def fields(descr: str = "'<f8'", order: str = "False", shape: str = "(4,)", more: str = "") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {more}}}"


HOSTILE = {
    "import": "__import__('os').system('id')",
    "walrus": "(x := 5)",
    "comprehension": "{k: v for k, v in ()}",
    "call": "dict(descr='<f8')",
    "fstring": fields(descr="f'{1}<f8'"),
    "attribute": "().__class__.__bases__",
    "power": fields(shape="(9**9**9,)"),
    "product": fields(shape="(2*2,)"),
    "multiplied_text": fields(descr="'<f8'*999999999"),
    "class": "type('x', (), {})",
    "bytes_keys": "{b'descr': '<f8', b'fortran_order': False, b'shape': (4,)}",
    "key_twice": "{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (8,)}",
    "key_more": fields(more="'evil': 1"),
    "set": "{'descr', 'fortran_order', 'shape'}",
    "list": "['<f8', False, (4,)]",
    "none": "None",
    "object_in_record": fields(descr="[('a', '|O')]"),
    "object_deep": fields(descr="[('a', [('b', [('c', '|O')])])]"),
    "object_subarray": fields(descr="[('a', '|O', (2,))]"),
    "object_letter": fields(descr="'O8'"),
    "object_comma": fields(descr="'f4,O'"),
    "comma": fields(descr="'f4,f4'"),
    "void_huge": fields(descr="'|V2147483647'"),
    "text_huge": fields(descr="'<U536870911'"),
    "text_wraps": fields(descr="'<U1073741824'"),
    "dtype_number": fields(descr="5"),
    "dtype_none": fields(descr="None"),
    "dtype_tuple": fields(descr="('<f8', (2**3,))"),
    "dtype_subarray": fields(descr="('<f8', (1000000, 1000000))"),
    "dtype_dict": fields(descr="{'names': ['a'], 'formats': ['<f8'], 'offsets': [2147483640]}"),
    "dtype_negative_offset": fields(descr="{'names': ['a'], 'formats': ['<f8'], 'offsets': [-8]}"),
    "dtype_record_twice": fields(descr="[('a', '<f4'), ('a', '<f4')]"),
    "dtype_record_many": fields(descr="[" + ",".join(f"('a{n}','<i1')" for n in range(400)) + "]"),
    "dtype_python": fields(descr="'os.system'"),
    "dtype_date": fields(descr="'<M8[1000000000000Y]'"),
    "dtype_unit": fields(descr="'<M8[evil]'"),
    "order_number": fields(order="1"),
    "order_text": fields(order="'True'"),
    "order_none": fields(order="None"),
    "order_list": fields(order="[]"),
    "shape_text": fields(shape="'4'"),
    "shape_number": fields(shape="4"),
    "shape_list": fields(shape="[4]"),
    "shape_float": fields(shape="(4.0,)"),
    "shape_true": fields(shape="(True, 4)"),
    "shape_nested": fields(shape="((4,),)"),
    "shape_negatives": fields(shape="(-2, -2)"),
    "shape_zero_times_huge": fields(shape="(0, 9223372036854775807, 9223372036854775807)"),
    "shape_2_64": fields(shape="(18446744073709551616,)"),
    "shape_70_axes": fields(shape="(" + "1," * 70 + "4)"),
    "shape_underscore": fields(shape="(1_0,)"),
    "shape_digits": fields(shape="(" + "9" * 5000 + ",)"),
    "shape_octal": fields(shape="(0o7,)"),
    "shape_python_2": fields(shape="(5L,)"),
    "nul": "{'descr': '<f8'\0}",
    "newline": "{'descr':\n'<f8'}",
    "comment": "# {'descr'}",
    "deep_lists": "[" * 3000 + "]" * 3000,
    "deep_minus": fields(shape="(" + "-" * 3000 + "4,)"),
    "deep_dicts": "{1:" * 300 + "1" + "}" * 300,
    "escape": fields(descr="'\\x3cf8\\N{BULLET}'"),
    "long": " " * 60_000,
}
SAME_SIZE = {"shape_true", "shape_list", "key_twice", "fstring", "comma"}
"""What NumPy itself may take for a header, and which says what is there."""
for name, text in HOSTILE.items():
    give(
        f"npy_header_{name}",
        f"an npy whose header has {name.replace('_', ' ')}",
        header(text),
        must=EITHER if name in SAME_SIZE else REFUSED,
        check=HEADER,
        every=name not in SAME_SIZE,
    )
    give(
        f"npz_header_{name}",
        f"an npz with an array whose header has {name.replace('_', ' ')}",
        npz(a=header(text)),
        must=EITHER if name in SAME_SIZE else REFUSED,
        check=HEADER,
    )
for version in (b"\1\0", b"\2\0", b"\3\0"):
    give(
        f"npy_version_{version[0]}_1mb",
        f"a header of 1 MB in version {version[0]}",
        header(fields().ljust(60_000 if version[0] == 1 else 1 << 20), version=version),
        must=REFUSED,
        check="formats/npy.py: a header has 64 kB at most",
        every=True,
    )
    give(
        f"npy_version_{version[0]}_length",
        f"a header that says it is longer than the file, in version {version[0]}",
        header(fields(), version=version, length=0xFFFF),
        must=FORMAT,
        check=HEADER,
        every=True,
    )
for version in (b"\0\0", b"\1\1", b"\4\0", b"\xff\xff"):
    give(
        f"npy_version_{version.hex()}",
        "a version that never was",
        b"\x93NUMPY" + version + header(fields())[8:],
        must=FORMAT,
        check=HEADER,
        every=True,
    )
give(
    "npy_bools",
    "truths that are neither",
    header(fields(descr="'|b1'", shape="(4,)"), b"\2\xff\0\1"),
    must=EITHER,
    check=HEADER,
)
give(
    "npy_nan_dates",
    "dates that are none",
    header(fields(descr="'<M8[s]'"), b"\0" * 7 + b"\x80" * 25),
    must=READ,
    check=HEADER,
)
give(
    "npy_huge_letters",
    "texts beyond what a character may be",
    header(fields(descr="'<U1'", shape="(8,)"), b"\xff" * 32),
    must=EITHER,
    check=HEADER,
)

for name, members in {
    "no_ending": {"a": ONES},
    "other_members": {"a.npy": ONES, "run.sh": b"#!/bin/sh"},
    "empty_name": {".npy": ONES},
    "tree_and_leaf": {"a.npy": ONES, "a/b.npy": ONES},
    "nested_paths": {"a/../../b.npy": ONES},
    "drive": {"C:\\x.npy": ONES},
    "device": {"/dev/null.npy": ONES},
    "file_too": {"file.npy": ONES},
    "backrefs": {"_backrefs.npy": ONES},
    "tag": {"tag.npy": ONES},
    "escapes": {"\x1b[2J.npy": ONES},
    "right_to_left": {"a\u202eb.npy": ONES},
    "empty_member": {"a.npy": b""},
    "magic_only": {"a.npy": b"\x93NUMPY"},
    "trailing_in_member": {"a.npy": ONES + b"x"},
    "pickle_member": {"a.npy": b"\x80\x02cos\nsystem\n(X\2\0\0\0idtR."},
    "npz_in_npz": {"a.npy": npz(a=ONES)},
    "keras_too": {"a.npy": ONES, "config.json": b"{}"},
    "many": {f"a{n}.npy": ONES for n in range(1000)},
}.items():
    for kind, method in (("stored", zipfile.ZIP_STORED), ("packed", zipfile.ZIP_DEFLATED)):
        give(
            f"npz_{name}_{kind}",
            f"an archive of arrays with {name.replace('_', ' ')}, {kind}",
            partial(archive, members, method),
            must=EITHER,
            check=MEMBERS,
        )
give(
    "npz_note_lies",
    "a note of ours that says anything",
    archive({"a.npy": ONES}, comment=b"holdfast " + b"0" * 16),
    must=REFUSED,
    check="formats/npz.py: the seal of the directory",
)
give(
    "npz_comment", "a comment of somebody's", archive({"a.npy": ONES}, comment=b"x" * 60_000), must=READ, check=MEMBERS
)
