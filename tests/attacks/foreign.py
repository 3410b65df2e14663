"""Other formats: pickles under other names, and archives that lie."""

import io
import pickle
import struct
import zipfile
from functools import partial
from typing import Any

import numpy as np
import torch

from attacks.case import EITHER, FORMAT, READ, REFUSED, case
from attacks.case import give as give_case

MAGIC = "formats/choose.py: the file's own bytes choose its reader, and no other is tried"
TORCH = "formats/torch.py: torch's own unpickler that calls nothing, and no other"
ZIP = "formats/foreign/archive.py: both halves of a zip agree, members stand in order, nothing follows"
HEADER = "formats/npy.py: shape and dtype say exactly as many bytes as there are"

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


SYSTEM = b"cposix\nsystem\n(S'id'\ntR."

# -- pickles ----------------------------------------------------------------------------------------------------------

for protocol in range(2, 6):
    bad(
        f"pickle_protocol_{protocol}",
        "a pickle that runs a command, under a name of ours",
        pickled(Exploit(print, "id"), protocol),
        check=MAGIC,
        every=True,
    )
bad("pickle_text", "a pickle of protocol 0, which has no magic", SYSTEM, check=MAGIC, every=True)
bad(
    "torch_legacy_magic",
    "the old file of torch.save, a row of pickles",
    pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + SYSTEM,
    check=MAGIC,
    every=True,
)
bad(
    "torch_legacy_tar",
    "the oldest file of torch.save, a tar that went round the safe unpickler",
    b"sys_info".ljust(257, b"\0") + b"ustar\0".ljust(300, b"\0"),
    check=MAGIC,
    every=True,
)
bad(
    "torch_runs_command",
    "a torch file whose pickle runs a command",
    lambda: torch_file(SYSTEM),
    check=TORCH,
    every=True,
)
bad(
    "torch_eval",
    "a torch file that names eval",
    lambda: torch_file(b"c__builtin__\neval\n(S'1'\ntR."),
    check=TORCH,
    every=True,
)
bad(
    "torch_walks_to_os",
    "a torch file that walks from torch to os",
    lambda: torch_file(b"\x80\x02ctorch.nn.parameter\ntorch.os.system\n(S'id'\ntR."),
    check=TORCH,
    every=True,
)
bad(
    "torch_set_item",
    "SETITEM on what is no dictionary, the crash of torch before 2.10",
    lambda: torch_file(b"\x80\x02]K\x00K\x01s."),
    check=TORCH,
    every=True,
)
give(
    "torch_storage_size",
    "a storage that says more than it has",
    lambda: torch_file(rebuilt(10**12), **{"data/0": bytes(16)}),
    must=EITHER,
    check=TORCH,
)
bad(
    "torch_storage_missing",
    "a storage that is not in the archive",
    lambda: torch_file(rebuilt(4)),
    check=TORCH,
    every=True,
)
bad(
    "torch_stride_outside",
    "a tensor that reaches outside of its storage",
    lambda: torch_file(rebuilt(4, size=(1000,)), **{"data/0": bytes(16)}),
    check=TORCH,
    every=True,
)
bad("torch_pickle_endless", "a pickle that is cut", lambda: torch_file(b"\x80\x02]"), check=TORCH, every=True)
bad("torch_pickle_empty", "a pickle of no bytes", lambda: torch_file(b""), check=TORCH, every=True)
give(
    "torch_pickle_memo",
    "a memo of 2^31 places in 9 bytes",
    lambda: torch_file(b"\x80\x02K\x01r\xff\xff\xff\x7f."),
    must=EITHER,
    check=TORCH,
)
give(
    "torch_pickle_deep",
    "10,000 lists in each other",
    lambda: torch_file(b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b"."),
    must=EITHER,
    check=TORCH,
)
bad(
    "torch_script",
    "a TorchScript program",
    lambda: archive({"m/data.pkl": b"", "m/code/__torch__.py": b"import os", "m/constants.pkl": b""}),
    check="formats/torch.py: what only TorchScript has is refused",
    every=True,
)
bad(
    "torch_compressed",
    "a torch file that is compressed: a bomb",
    lambda: archive({"m/data.pkl": bytes(1 << 20)}, zipfile.ZIP_DEFLATED),
    check="formats/torch.py: torch.save never compresses",
    every=True,
)
bad(
    "torch_two_tops",
    "two pickles in one archive",
    lambda: archive({"a/data.pkl": b"N.", "b/data.pkl": SYSTEM}),
    check="formats/torch.py: one folder, one pickle",
    every=True,
)
give(
    "torch_good",
    "a torch file as it should be, for comparison",
    good_torch,
    must=READ,
    check=TORCH,
    good=lambda v: v["w"].shape == (4,),
)


def rebuilt(count: int, size: tuple[int, ...] = (4,)) -> bytes:
    """A pickle of one tensor on a storage of ``count`` numbers."""
    sizes = b"".join(b"J" + struct.pack("<i", n) for n in size)
    storage = (
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"
        b"\x8a\x08" + struct.pack("<q", count) + b"tQ"
    )
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\x00("
        + sizes
        + b"t(K\x01t\x89ccollections\nOrderedDict\n)RtR."
    )


# -- archives ---------------------------------------------------------------------------------------------------------


def npy(array: np.ndarray[Any, Any], pickle_: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickle_)
    return stream.getvalue()


def npz(**members: bytes) -> bytes:
    return archive({f"{name}.npy": data for name, data in members.items()})


def twice(first: bytes, second: bytes) -> bytes:
    """A member that stands twice: readers that take the first and readers that take the last see two files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(zipfile.ZipInfo("a.npy"), first)
        file.writestr(zipfile.ZipInfo("b.npy"), second)
    return stream.getvalue().replace(b"b.npy", b"a.npy")


ONES = npy(np.ones(4))
give(
    "npz_good",
    "an npz as it should be, for comparison",
    npz(a=ONES),
    must=READ,
    check=ZIP,
    good=lambda v: v["a"].sum() == 4,
)
bad(
    "npz_objects",
    "an array of objects: a pickle inside an array",
    npz(a=npy(np.array([{}], dtype=object), True)),
    check="formats/npz.py: no array of objects",
    every=True,
)
bad(
    "npz_object_exploit",
    "the same with a command in it",
    npz(a=npy(np.array([Exploit(print, "id")], dtype=object), True)),
    check="formats/npz.py: no array of objects",
    every=True,
)
bad("npz_member_twice", "a member twice", twice(ONES, npy(np.zeros(4))), check=ZIP, every=True)
refused(
    "npz_crc_wrong",
    "a member whose CRC is another's",
    npz(a=ONES).replace(np.ones(4).tobytes(), np.full(4, 2.0).tobytes()),
    check="formats/npz.py: the CRC of each member",
)
bad(
    "npz_header_mismatch",
    "a member that is one thing in front and another in the directory",
    npz(a=ONES).replace(b"a.npy", b"z.npy", 1),
    check=ZIP,
    every=True,
)
bad("npz_trailing", "bytes behind the archive", npz(a=ONES) + b"#!/bin/sh", check=ZIP, every=True)
bad("npz_prefixed", "a program in front of the archive", b"MZ" + npz(a=ONES), check=MAGIC, every=True)
bad("npz_cut", "half of an archive", npz(a=ONES)[:100], check=ZIP, every=True)
give(
    "npz_dotdot",
    "a member called ../../x: a name, never a path",
    archive({"../../x.npy": ONES}),
    must=EITHER,
    check="formats/npz.py: names are keys; nothing is unpacked to the disk",
)
give(
    "npz_absolute",
    "a member called /etc/x",
    archive({"/etc/x.npy": ONES}),
    must=EITHER,
    check="formats/npz.py: names are keys; nothing is unpacked to the disk",
)
case(
    "npz_bomb",
    "a gigabyte of nothing in a megabyte",
    REFUSED,
    "formats/foreign/archive.py: no more than an honest archive holds",
)(lambda: bomb())
bad(
    "npz_size_2_60",
    "a shape of 2^60 in a header",
    npz(a=ONES.replace(b"(4,), }", b"(1152921504606846976,), }")),
    check=HEADER,
    every=True,
)
bad("zip_of_nothing", "an archive of no members", archive({}), check=MAGIC, every=True)
bad("zip_of_text", "an archive of a text", archive({"readme.txt": b"hello"}), check=MAGIC, every=True)
bad(
    "zip_keras",
    "a Keras archive, whose configuration names code",
    archive({"config.json": b'{"class_name": "Lambda"}', "model.weights.h5": b""}),
    check=MAGIC,
    every=True,
)
bad(
    "zip_npz_and_torch",
    "an archive that is an npz and a torch file at once",
    archive({"m/data.pkl": SYSTEM, "a.npy": ONES}),
    check="formats/choose.py: exactly one format must claim a file",
    every=True,
)
bad("zip_end_lies", "a directory that stands elsewhere", npz(a=ONES)[:-6] + b"\0\0\0\0\0\0", check=ZIP, every=True)


def bomb() -> bytes:
    """An npz whose one member inflates 1,000 times."""
    head = npy(np.zeros(1, np.uint8)).replace(b"(1,)", b"(9,)")[:-1]
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a.npy", "w", force_zip64=True) as member,
    ):
        member.write(head)
        for _ in range(300):
            member.write(bytes(1 << 22))
    return stream.getvalue()
