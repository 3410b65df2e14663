"""The names of the ``safetensors`` package, for files of Holdfast's: a change of import is enough.

    from holdfast.safetensors import safe_open
    from holdfast.safetensors.torch import load_file, save_file

Strategy: the same arguments and the same results; the ending of a path says which format it gets (``.bson``,
``.safetensors``, ``.npz``), and any file that ``holdfast.load`` reads is read. What is new is what ``save`` promises:
a file is whole and on the disk when it returns, and checksums are compared when it is read.

opened.py  safe_open
torch.py   for tensors of PyTorch's: save_file, load_file, save, load, save_model, load_model
numpy.py   for arrays of NumPy's: save_file, load_file, save, load
flax.py    for arrays of JAX's: the same
bytes.py   what they have in common
"""

from typing import Any

from holdfast.errors import HoldfastError as SafetensorError
from holdfast.safetensors.opened import safe_open

__all__ = ["SafetensorError", "load", "load_file", "load_model", "safe_open", "save", "save_file", "save_model"]


def __getattr__(name: str) -> Any:
    """The functions for PyTorch, which is imported when one of them is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from holdfast.safetensors import torch

    return getattr(torch, name)
