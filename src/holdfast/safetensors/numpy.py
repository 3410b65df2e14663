"""The functions of ``safetensors.numpy``, with its arguments, for files of Holdfast's.

Strategy: as ``torch.py``, for arrays. A tensor of a file comes as an array, bfloat16 and float8 in the dtypes of
``ml_dtypes``. Neither needs PyTorch, but files of PyTorch's own.
"""

from collections.abc import Mapping
from os import PathLike

import numpy as np

from holdfast.formats.document.arrays import NdArray
from holdfast.safetensors.bytes import as_bytes, from_bytes, write
from holdfast.safetensors.opened import safe_open

__all__ = ["load", "load_file", "safe_open", "save", "save_file"]

Path = str | PathLike[str]


def save_file(tensor_dict: Mapping[str, NdArray], filename: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Save arrays by name, whole and on the disk when it returns; ``metadata`` are texts beside them.

    Raises UnsupportedError for what is no array, and what ``holdfast.save`` raises.
    """
    write(tensor_dict, filename, metadata, np.ndarray)


def load_file(filename: Path, *, backend: str = "mmap") -> dict[str, NdArray]:
    """All arrays of a file. Raises what ``holdfast.load`` raises."""
    with safe_open(filename, framework="np", backend=backend) as file:
        return file.get_tensors()


def save(tensor_dict: Mapping[str, NdArray], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of the file that ``save_file`` writes to a path that ends in ``.bson``.

    >>> load(save({"a": np.ones(2)}))
    {'a': array([1., 1.])}
    """
    return as_bytes(tensor_dict, metadata, np.ndarray)


def load(data: bytes) -> dict[str, NdArray]:
    """All arrays of a file that is given as its bytes."""
    with from_bytes(data, "np") as file:
        return file.get_tensors()
