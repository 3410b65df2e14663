"""One small file of each format, as bytes: made by the library of the format's own field, not by Holdfast."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import save as safetensors_bytes

from holdfast import save

WEIGHTS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.array([1, 2], np.int16)}
"""What is in each, but in an npy, which holds the first alone."""


def tensors() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in WEIGHTS.items()}


def bson(folder: Path) -> bytes:
    save(folder / "sample.bson", tensors())
    return (folder / "sample.bson").read_bytes()


def safetensors(folder: Path) -> bytes:
    return safetensors_bytes(tensors())


def npz(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **WEIGHTS)
    return stream.getvalue()


def packed_npz(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **WEIGHTS)
    return stream.getvalue()


def npy(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, WEIGHTS["a.weight"])
    return stream.getvalue()


def pt(folder: Path) -> bytes:
    stream = io.BytesIO()
    torch.save(tensors(), stream)
    return stream.getvalue()


def hdf5(folder: Path, block: int = 0) -> bytes:
    with h5py.File(folder / "sample.h5", "w", userblock_size=block) as file:
        for name, array in WEIGHTS.items():
            file[name] = array
    return (folder / "sample.h5").read_bytes()


def jld2(folder: Path) -> bytes:
    text = b"HDF5-based Julia Data Format, version 0.1.1"
    return text + hdf5(folder, 512)[len(text) :]


SAMPLES: dict[str, Callable[[Path], bytes]] = {
    "BSON": bson,
    "safetensors": safetensors,
    "NumPy's npz": npz,
    "NumPy's npy": npy,
    "PyTorch": pt,
    "HDF5": hdf5,
    "JLD2": jld2,
}
"""Name of a format -> what makes a file of it."""

READ_HERE = {
    ".bson": bson,
    ".safetensors": safetensors,
    ".npz": npz,
    ".packed.npz": packed_npz,
    ".npy": npy,
    ".pt": pt,
}
"""Ending -> a file that this folder's readers read."""


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of ``members``."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()
