"""The functions of ``safetensors.flax``, with its arguments, for files of Holdfast's.

Strategy: as ``numpy.py``, for arrays of JAX's. Tensors that PyTorch saved come as arrays of JAX's, bit for bit; PyTorch
is needed for that only to read files of its own format.
"""

from collections.abc import Mapping
from os import PathLike

import jax

from holdfast.safetensors.bytes import as_bytes, from_bytes, write
from holdfast.safetensors.opened import safe_open

__all__ = ["load", "load_file", "safe_open", "save", "save_file"]

Path = str | PathLike[str]


def save_file(tensors: Mapping[str, jax.Array], filename: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Save arrays by name, whole and on the disk when it returns; ``metadata`` are texts beside them.

    Raises UnsupportedError for what is no array of JAX's, and what ``holdfast.save`` raises.
    """
    write(tensors, filename, metadata, jax.Array)


def load_file(filename: Path, *, backend: str = "mmap") -> dict[str, jax.Array]:
    """All arrays of a file. Raises what ``holdfast.load`` raises."""
    with safe_open(filename, framework="flax", backend=backend) as file:
        return file.get_tensors()


def save(tensors: Mapping[str, jax.Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of the file that ``save_file`` writes to a path that ends in ``.bson``.

    >>> load(save({"a": jax.numpy.ones(2)}))
    {'a': Array([1., 1.], dtype=float32)}
    """
    return as_bytes(tensors, metadata, jax.Array)


def load(data: bytes) -> dict[str, jax.Array]:
    """All arrays of a file that is given as its bytes."""
    with from_bytes(data, "flax") as file:
        return file.get_tensors()
