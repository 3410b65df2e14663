"""Other formats: headers that ask for everything, and files of nobody."""

import io
import json
import pickle
import struct
import zipfile
from functools import partial
from typing import Any

import torch

from attacks.case import FORMAT, READ, REFUSED
from attacks.case import give as give_case

MAGIC = "formats/choose.py: the file's own bytes choose its reader, and no other is tried"
HEADER = "formats/npy.py: shape and dtype say exactly as many bytes as there are"
SAFE = "formats/safetensors.py: the library judges the header, and the tensors fill the file"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
refused: Any = partial(give, must=REFUSED)


class Exploit:
    """What a pickle runs when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def pickled(value: Any, protocol: int = 2) -> bytes:
    return pickle.dumps(value, protocol)


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, compression)
        file.comment = comment
    return stream.getvalue()


def torch_file(pickle_: bytes, **members: bytes) -> bytes:
    """What torch.save writes, with a pickle of our own."""
    return archive(
        {"m/data.pkl": pickle_, "m/byteorder": b"little", "m/version": b"3\n"}
        | {f"m/{k}": v for k, v in members.items()}
    )


def good_torch() -> bytes:
    stream = io.BytesIO()
    torch.save({"w": torch.ones(4)}, stream)
    return stream.getvalue()


# -- single arrays ----------------------------------------------------------------------------------------------------


def header(text: bytes, data: bytes = bytes(32), version: bytes = b"\1\0") -> bytes:
    """An npy file with a header of our own."""
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


RIGHT = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }"
give("npy_good", "an npy as it should be, for comparison", header(RIGHT), must=READ, check=HEADER)
for label, text in {
    "code": b"{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': (4,)}",
    "lambda": b"(lambda: 5)()",
    "objects": b"{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
    "neg": b"{'descr': '<f8', 'fortran_order': False, 'shape': (-4,)}",
    "huge": b"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}",
    "wraps": b"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
    "short": b"{'descr': '<f8', 'fortran_order': False, 'shape': (9,)}",
    "no_shape": b"{'descr': '<f8', 'fortran_order': False}",
    "deep": b"(" * 100,
    "text": b"hello",
}.items():
    bad(f"npy_{label}", f"an npy whose header is {text[:60].decode()!r}", header(text), check=HEADER, every=True)
bad("npy_version_9", "an npy of a version that never was", header(RIGHT, version=b"\x09\0"), check=HEADER, every=True)
bad("npy_trailing", "bytes behind the array", header(RIGHT) + b"x", check=HEADER, every=True)
bad("npy_header_length", "a header longer than the file", b"\x93NUMPY\1\0\xff\xff", check=HEADER, every=True)

# -- safetensors ------------------------------------------------------------------------------------------------------


def safe(head: Any, data: bytes = bytes(16), length: int | None = None) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | changes}


give("safetensors_good", "a safetensors as it should be, for comparison", safe(one()), must=READ, check=SAFE)
for label, head in {
    "overlap": one() | {"v": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}},
    "hole": {"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
    "past_end": one(shape=[400], data_offsets=[0, 1600]),
    "backwards": one(data_offsets=[16, 0]),
    "size_lies": one(shape=[5]),
    "wraps": one(shape=[4194305, 4194305, 211106198978564]),
    "dtype": one(dtype="OBJ"),
    "shape_neg": one(shape=[-4]),
    "no_offsets": {"w": {"dtype": "F32", "shape": [4]}},
    "metadata_number": one() | {"__metadata__": {"a": 5}},
    "notes_garbage": one() | {"__metadata__": {"holdfast": "garbage" + "0" * 16}},
    "list": [1, 2],
}.items():
    refused(
        f"safetensors_{label}",
        f"a safetensors with a header that lies ({label.replace('_', ' ')})",
        safe(head),
        check=SAFE,
    )
bad("safetensors_header_length", "a header of 2^60 bytes", safe(one(), length=1 << 60), check=MAGIC, every=True)
bad(
    "safetensors_header_100mb",
    "a header of 100 MB in a file of 100 bytes",
    safe(one(), length=100_000_000),
    check=SAFE,
    every=True,
)
bad("safetensors_trailing", "bytes behind the tensors", safe(one()) + b"more", check=SAFE, every=True)
bad("safetensors_deep", "a header of 5,000 lists in each other", safe(b'{"a":' + b"[" * 5000), check=SAFE, every=True)
bad(
    "safetensors_name_twice",
    "a name twice",
    safe(
        b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}'
    ),
    check=SAFE,
    every=True,
)

# -- the others -------------------------------------------------------------------------------------------------------

bad("gguf", "a GGUF file of 2^64 pairs", b"GGUF\3\0\0\0" + b"\xff" * 16, check=MAGIC, every=True)
bad("script", "a shell script", b"#!/bin/sh\nid\n" * 20, check=MAGIC, every=True)
bad("json", "a JSON text", b'{"class_name": "Lambda", "config": {}}', check=MAGIC, every=True)
bad("onnx", "a protobuf", b"\x08\x07\x12\x07pytorch\x1a\x03", check=MAGIC, every=True)
