"""What the functions for both frameworks do: write tensors of one kind, and go by way of a file to bytes and back."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any, Final

from holdfast import api
from holdfast.errors import UnsupportedError
from holdfast.formats.safetensors import METADATA
from holdfast.safetensors.opened import safe_open

Path = str | os.PathLike[str]
NAME: Final = "tensors.bson"


def write(tensors: Mapping[str, Any], path: Path, metadata: Mapping[str, str] | None, kind: type) -> None:
    """Save ``tensors``, all of them of ``kind``, and what is beside them."""
    for name, value in tensors.items():
        if not isinstance(value, kind):
            raise UnsupportedError(
                f"it is a {type(value).__name__} and no {kind.__name__}: holdfast.save takes it", name
            )
    beside = {METADATA: dict(metadata)} if metadata else {}
    api.save(path, {**tensors, **beside})


def as_bytes(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None, kind: type) -> bytes:
    """The bytes of a file, by way of one."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, NAME)
        write(tensors, path, metadata, kind)
        with open(path, "rb") as file:
            return file.read()


def from_bytes(data: bytes, framework: str) -> safe_open:
    """An open file whose bytes are ``data``; it is gone from the disk, and stays mapped."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, NAME)
        with open(path, "wb") as file:
            file.write(data)
        return safe_open(path, framework=framework)
