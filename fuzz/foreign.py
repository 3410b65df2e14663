"""Files of other formats: what is tried with them, and what it starts from.

Strategy: other formats are read by path, some by a library of their own, so each input is a file in memory, through ``load``
and ``inspect`` as everybody calls them. Where a checksum stands before what is to be tried (the CRC of a zip, the sum of
HDF5's headers), it is made right first, or no change would ever come behind it: bytes that are no zip become what a zip
holds.
"""

import io
import os
import pickle
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from fuzz.sums import mended
from holdfast import inspect, load, save
from holdfast.errors import HoldfastError

MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
VECTORS: Final = Path(__file__).resolve().parent.parent / "tests" / "vectors"
STORAGE: Final = 32
"""Bytes of each storage that stands beside a pickle."""


def place() -> Path:
    """The file of this process. What is mapped of the one before stays whole: it is taken away, and not written over."""
    return Path(MEMORY, f"fuzz-{os.getpid()}")


def through(data: bytes) -> None:
    """``load`` and ``inspect`` of a file of these bytes, mapped or read."""
    path = place()
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    try:
        for look in (lambda: load(path, mmap=len(data) % 2 == 0), lambda: str(inspect(path))):
            try:
                look()
            except HoldfastError:
                continue
    finally:
        path.unlink()


# -- what stands behind a checksum ------------------------------------------------------------------------------------


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def arrays(data: bytes) -> None:
    """A zip as it is; a single array as it is, or in a zip."""
    through(data)
    if not data.startswith(b"PK"):
        through(zipped(("a.npy", data), method=zipfile.ZIP_DEFLATED if len(data) % 3 else zipfile.ZIP_STORED))


def pickles(data: bytes) -> None:
    """A zip as it is; anything else as the pickle of a file of torch's."""
    if data.startswith(b"PK"):
        through(data)
        return
    storages = [(f"m/data/{number}", bytes(STORAGE)) for number in range(2)]
    through(zipped(("m/data.pkl", data), ("m/byteorder", b"little"), ("m/version", b"3\n"), *storages))


def headers(data: bytes) -> None:
    """A file of HDF5's kind whose sums are right."""
    through(mended(data))


# -- what it starts from ----------------------------------------------------------------------------------------------


def ours(ending: str, *values: Any) -> list[bytes]:
    """Files that Holdfast writes of ``values``."""
    path = place().with_suffix(ending)
    found = []
    for value in values:
        save(path, value)
        found.append(path.read_bytes())
    path.unlink(missing_ok=True)
    return found


def safetensors_seeds() -> list[bytes]:
    from safetensors.torch import save as theirs

    base = torch.arange(6.0)
    weights = {"a.weight": base.clone().view(2, 3), "a.bias": torch.ones(2, dtype=torch.bfloat16)}
    named = {"a": {"w": base, "v": base[::2], "n": np.ones(3, "i2")}, "b": base.view(2, 3).t()}
    return [theirs(weights), theirs({"t": torch.zeros(0, 2)}, {"format": "pt"}), *ours(".safetensors", weights, named)]


def array_seeds() -> list[bytes]:
    found = []
    for array in (
        np.arange(4.0),
        np.asfortranarray(np.ones((2, 3), "f4")),
        np.zeros((), ">i2"),
        np.zeros(2, [("x", "f4"), ("n", "i8", (2,))]),
        np.array(["ab", "c"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros((0, 3), "?"),
    ):
        stream = io.BytesIO()
        np.save(stream, array)
        found.append(stream.getvalue())
    packed = zipped(("a.npy", found[0]), ("b.npy", found[1]), method=zipfile.ZIP_DEFLATED)
    base = torch.arange(6.0)
    return [*found, packed, zipped(("a.npy", found[0])), *ours(".npz", {"w": base, "v": base[1:], "a": np.ones(2)})]


def torch_values() -> Iterator[Any]:
    """What torch.save writes as a pickle of its own kinds of tensors."""
    base = torch.arange(8.0)
    yield from (
        {"w": base, "v": base[::2], "t": base.view(2, 4).t()},
        {"p": torch.nn.Parameter(torch.ones(2)), "h": torch.ones(2, dtype=torch.bfloat16), "n": [1, (2.5, None, "x")]},
        {"s": torch.eye(2).to_sparse(), "size": torch.Size([1]), "dtype": torch.float16, "set": {1}, "b": b"ab"},
        torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather not have them any more
        yield torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)


def torch_seeds() -> list[bytes]:
    found = []
    for value in torch_values():
        stream = io.BytesIO()
        torch.save(value, stream)
        with zipfile.ZipFile(stream) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
            found.append(archive.read(name))
    return [*found, stream.getvalue(), pickle.dumps({"a": [1, 2.5, "x"]}, 2)]


def jld2_seeds() -> list[bytes]:
    return [(VECTORS / "jld2" / "alone.jld2").read_bytes()]


def hdf5_seeds() -> list[bytes]:
    import h5py

    writers: tuple[Callable[[Any], None], ...] = (plain_groups, links_and_attributes, chunks, many_attributes, texts)
    found = []
    for write, libver, number in (
        (write, libver, n) for write in writers for n, libver in enumerate(("earliest", "latest"))
    ):
        with h5py.File(f"seed{number}", "w", driver="core", backing_store=False, libver=libver) as file:
            write(file)
            file.flush()
            found.append(file.id.get_file_image())
    return found


def plain_groups(file: Any) -> None:
    file["a/b"], file["n"], file["text"] = np.arange(4, dtype="f4"), 5, "abc"


def links_and_attributes(file: Any) -> None:
    import h5py

    file["w"] = np.ones(2)
    file["w"].attrs["units"], file.attrs["names"] = "m", [b"a", b"bc"]
    file["soft"], file["hard"] = h5py.SoftLink("/w"), file["w"]


def chunks(file: Any) -> None:
    file.create_dataset(
        "z", data=np.arange(8, dtype="i2"), chunks=(4,), compression="gzip", shuffle=True, fletcher32=True
    )
    file["r"] = np.zeros(2, [("x", "f4"), ("y", "i8")])
    for name, most in {"fixed": (3, 3), "grows": (None, 3), "tree": (None, None)}.items():
        file.create_dataset(name, data=np.ones((3, 3), "i1"), chunks=(2, 2), maxshape=most)


def many_attributes(file: Any) -> None:
    for number in range(9):
        file.attrs[f"a{number}"] = [number] * 2


def texts(file: Any) -> None:
    import h5py

    kind = h5py.string_dtype()
    file.create_dataset("t", (4,), kind, chunks=(2,), fillvalue="f")[0] = "abc"
    file.attrs["b"], file.attrs["c"] = [True, False], 1j


def warm() -> None:
    """Open one file of each kind, so that what is loaded on first use is there."""
    for data in (*safetensors_seeds()[:1], *array_seeds()[:1], *jld2_seeds()[:1], *hdf5_seeds()[:1]):
        through(data)
    pickles(torch_seeds()[0])
