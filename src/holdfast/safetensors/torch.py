"""The functions of ``safetensors.torch``, with its arguments, for files of Holdfast's.

Strategy: a file holds each tensor under its name, and the metadata under ``__metadata__``. Tensors that share memory are
written once and share it again, so nothing has to be cloned first, and ``save_model`` keeps every name.
"""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from holdfast.safetensors.bytes import as_bytes, from_bytes, write
from holdfast.safetensors.opened import safe_open

__all__ = ["load", "load_file", "load_model", "safe_open", "save", "save_file", "save_model"]

Path = str | PathLike[str]


def save_file(tensors: Mapping[str, Tensor], filename: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Save ``tensors`` by name, whole and on the disk when it returns; ``metadata`` are texts beside them.

    Raises UnsupportedError for what is no tensor, and what ``holdfast.save`` raises.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "m.bson")
    >>> save_file({"a": torch.ones(2)}, path, {"by": "me"})
    >>> load_file(path)
    {'a': tensor([1., 1.])}
    """
    write(tensors, filename, metadata, Tensor)


def load_file(filename: Path, device: str | int | torch.device = "cpu", *, backend: str = "mmap") -> dict[str, Tensor]:
    """All tensors of a file, on ``device``. Raises what ``holdfast.load`` raises."""
    with safe_open(filename, framework="pt", device=device, backend=backend) as file:
        return file.get_tensors()


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of the file that ``save_file`` writes to a path that ends in ``.bson``."""
    return as_bytes(tensors, metadata, Tensor)


def load(data: bytes) -> dict[str, Tensor]:
    """All tensors of a file that is given as its bytes, on the CPU."""
    with from_bytes(data, "pt") as file:
        return file.get_tensors()


def save_model(
    model: torch.nn.Module, filename: Path, metadata: Mapping[str, str] | None = None, force_contiguous: bool = True
) -> None:
    """Save the state dictionary of ``model``. ``force_contiguous`` changes nothing: any layout is kept."""
    save_file(model.state_dict(), filename, metadata)


def load_model(
    model: torch.nn.Module,
    filename: Path,
    strict: bool = True,
    device: str | int | torch.device = "cpu",
    *,
    backend: str = "mmap",
) -> tuple[set[str], list[str]]:
    """Copy the tensors of a file into ``model``; gives the names that were missing, and those that it has no place for.

    A name whose tensor another name of the file fills is not missing. Raises RuntimeError, as ``load_state_dict`` does,
    for names with ``strict`` and for shapes in any case; nothing has changed then.
    """
    state, own = load_file(filename, device, backend=backend), model.state_dict()
    filled = {_memory(own[name]) for name in state if name in own}
    missing = {name for name in own if name not in state and _memory(own[name]) not in filled}
    unexpected = [name for name in state if name not in own]
    wrong = [name for name in state if name in own and state[name].shape != own[name].shape]
    lines = [f"Size mismatch for {n}: {tuple(state[n].shape)} in the file, {tuple(own[n].shape)} here" for n in wrong]
    if strict and missing:
        lines.append("Missing key(s) in state_dict: " + ", ".join(f'"{name}"' for name in sorted(missing)))
    if strict and unexpected:
        lines.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{name}"' for name in sorted(unexpected)))
    if lines:
        listed = "".join(f"\n    {line}" for line in lines)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(model).__name__}:{listed}")
    model.load_state_dict(state, strict=False)
    return missing, unexpected


def _memory(tensor: Tensor) -> Any:
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
