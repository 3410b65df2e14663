"""Files that are of two formats: each format's whole file behind each other's, and its magic in front of it."""

import io
from functools import partial
from itertools import permutations
from typing import Any

import h5py
import numpy as np

from attacks.build import plain, sealed
from attacks.case import EITHER, REFUSED
from attacks.case import give as give_case
from attacks.foreign import ONES, SYSTEM, good_torch, npz, pickled
from attacks.headers import one, safe
from jld2_files import JldFile

MAGIC = "formats/choose.py: the file's own bytes choose its reader, exactly one may claim it, and no other is tried"
BEHIND = "formats/choose.py: bytes behind a file's end are refused, or belong to no value"

give: Any = partial(give_case, module=__name__)


def hdf5() -> bytes:
    with h5py.File("made", "w", driver="core", backing_store=False) as file:
        file["x"] = np.ones(4)
        file.flush()
        return bytes(file.id.get_file_image())


def jld2() -> bytes:
    file = JldFile()
    return file.bytes_of(x=file.integer(5))


def tar() -> bytes:
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        file.addfile(tarfile.TarInfo("sys_info"))
    return stream.getvalue()


WHOLE: dict[str, bytes] = {
    "bson": plain({"x": 1}),
    "sealed": sealed({"x": 1}),
    "safetensors": safe(one()),
    "npz": npz(a=ONES),
    "npy": ONES,
    "torch": good_torch(),
    "jld2": jld2(),
    "hdf5": hdf5(),
    "pickle": pickled({"x": 1}),
    "code": SYSTEM,
    "tar": tar(),
}
"""A good file of each format that is read, and of some that are not."""
READ_HERE = ("bson", "sealed", "safetensors", "npz", "npy", "torch", "jld2", "hdf5")
HEADS: dict[str, bytes] = {
    "bson": WHOLE["bson"][:8],
    "safetensors": WHOLE["safetensors"][:16],
    "zip": b"PK\3\4",
    "npy": b"\x93NUMPY\1\0",
    "jld2": b"HDF5-based Julia Data Format, version 0.2.0\0",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "pickle": b"\x80\2",
}
ENDS_ANYWHERE = ("jld2", "hdf5")
"""HDF5 says where its file ends, and leaves open what is behind."""

for first, second in permutations(WHOLE, 2):
    if first in READ_HERE or second in READ_HERE:
        open_end = first in ENDS_ANYWHERE
        give(
            f"two_{first}_then_{second}",
            f"a whole file of {second} behind one of {first}"
            + (", which may have bytes behind its end" if open_end else ""),
            WHOLE[first] + WHOLE[second],
            must=EITHER if open_end else REFUSED,
            check=BEHIND,
            every=not open_end,
        )
for head, start in HEADS.items():
    for name in READ_HERE:
        give(
            f"two_magic_{head}_on_{name}",
            f"the magic of {head} over the start of a {name} file",
            start + WHOLE[name][len(start) :],
            must=EITHER,
            check=MAGIC,
        )
        give(
            f"two_magic_{head}_before_{name}",
            f"the magic of {head} in front of a {name} file",
            start + WHOLE[name],
            must=REFUSED,
            check=MAGIC,
            every=True,
        )
for name in READ_HERE:
    behind = WHOLE["hdf5"][:8]
    give(
        f"two_hdf5_at_512_in_{name}",
        f"HDF5's signature at byte 512 of a {name} file",
        WHOLE[name][:512].ljust(512, b"\0") + behind + WHOLE[name][520:],
        must=EITHER,
        check=MAGIC,
    )
