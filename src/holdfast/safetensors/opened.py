"""``safe_open``: one tensor of a file after the other.

Strategy: the file is opened as every other; a tensor is checked and built when it is asked for. Only arrays that stand
under a name of their own are tensors here; for anything else there is ``holdfast.load``.
"""

from collections.abc import Mapping
from os import PathLike
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from holdfast.codec.audit import backrefs_of, resolve
from holdfast.codec.rule import Options
from holdfast.errors import FormatError, MissingError, UnsupportedError
from holdfast.formats.choose import open_file
from holdfast.formats.document.arrays import NdArray, array_of, names_only
from holdfast.formats.document.leaves import is_array
from holdfast.formats.look.describe import Describer
from holdfast.formats.look.seen import Seen
from holdfast.formats.safetensors import CODES, METADATA
from holdfast.vocab import vocabulary
from holdfast.vocab.dtypes import CARRIERS

FRAMEWORKS: Final[Mapping[str, str]] = {
    "pt": "torch",
    "torch": "torch",
    "pytorch": "torch",
    "np": "numpy",
    "numpy": "numpy",
    "flax": "jax",
    "jax": "jax",
}
"""Words for a framework -> the package that it means."""
BACKENDS: Final = ("mmap", "pread")


def device_name(device: str | int | Any) -> str:
    """A device as torch names it; a number is a GPU's."""
    return f"cuda:{device}" if isinstance(device, int) else str(device)


class safe_open:
    """A file whose tensors are read one by one; the arguments are those of ``safetensors.safe_open``.

    filename   any file that ``holdfast.load`` reads
    framework  "pt" for tensors, "np" for NumPy arrays, "flax" for JAX's
    device     where tensors go
    backend    "mmap", or "pread" to read the file into memory at once

    Raises FormatError and the other errors of ``holdfast.load``.

    >>> import os, tempfile
    >>> from holdfast import save
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.bson")
    >>> save(path, a=np.arange(6.0).reshape(2, 3))
    >>> with safe_open(path, framework="np") as file:
    ...     file.keys(), file.get_slice("a").get_shape(), file.get_slice("a")[:, 1]
    (['a'], [2, 3], array([1., 4.]))
    """

    def __init__(
        self,
        filename: str | PathLike[str],
        framework: str,
        device: str | int | Any = "cpu",
        *,
        backend: str = "mmap",
    ) -> None:
        if framework not in FRAMEWORKS:
            raise UnsupportedError(f'framework is "pt", "np" or "flax", not {framework!r}')
        if backend not in BACKENDS:
            raise UnsupportedError(f'backend is "mmap" or "pread", not {backend!r}')
        self._framework = FRAMEWORKS[framework]
        self._device = device_name(device)
        self._file = open_file(filename, mmap=backend != "pread")
        self._file.verify_frame()
        self._backrefs = backrefs_of(self._file.document)
        self._checked: set[str] = set()
        self._names: dict[str, None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is to be closed: a map goes when the last tensor on it does."""

    def keys(self) -> list[str]:
        """The names of the tensors, in the order of the file."""
        return list(self._listed())

    offset_keys = keys

    def metadata(self) -> dict[str, str] | None:
        """The texts that were saved beside the tensors, or None."""
        found = self._at(self._file.document.get(METADATA))
        return dict(found) if isinstance(found, dict) else None

    def get_tensor(self, name: str) -> Any:
        """The tensor ``name``. Raises FormatError when there is none, ChecksumError when its bytes changed."""
        return self._moved(self._tensor(name))

    def _tensor(self, name: str) -> Any:
        """The tensor ``name`` where it can be cut: of PyTorch's, on the CPU; for the others, an array of NumPy's."""
        self._check_name(name)
        audited = self._file.audit([name], vocabulary())
        if name not in self._checked:
            self._file.verify_blobs(audited.blobs)
            self._checked.add(name)
        if self._framework != "torch":
            return array_in(self._node(name), self._backrefs, name)
        if kind_of(self._node(name)) == "jax.Array":
            return tensor_of(array_in(self._node(name), self._backrefs, name))
        return tensor_of(self._file.lift(audited, [name], vocabulary(), Options())[name])

    def _moved(self, part: Any) -> Any:
        """A tensor, or a part of one, in the framework and on the device that were asked for."""
        if self._framework == "torch":
            try:
                return part.to(self._device)
            except (RuntimeError, AssertionError) as error:  # of torch: no such device, or none here
                raise UnsupportedError(f"device {self._device!r}: {str(error).partition(chr(10))[0]:.200}") from None
        return part if self._framework == "numpy" else jax_array(np.asarray(part), self._device)

    def _check_name(self, name: str) -> None:
        if name not in self._listed():
            raise FormatError(f"{self._file.path} has no tensor {name!r}")

    def _seen(self, name: str) -> Seen:
        """Shape and dtype of a tensor, of which no element is read."""
        self._check_name(name)
        return Describer(self._backrefs, names_only(), sealed=self._file.sealed).describe(self._node(name))

    def get_tensors(self) -> dict[str, Any]:
        """All tensors by name."""
        return {name: self.get_tensor(name) for name in self.keys()}

    def get_slice(self, name: str) -> "Slice":
        """The tensor ``name``, of which parts can be taken: ``file.get_slice("a")[:, 2]``."""
        return Slice(self, name)

    def _listed(self) -> dict[str, None]:
        """The names of the tensors, looked for once: whoever reads them one by one asks for each."""
        if self._names is None:
            names = [name for name in self._file.names if name != METADATA]
            self._names = dict.fromkeys(name for name in names if is_array(self._node(name), self._at))
        return self._names

    def _at(self, node: Any) -> Any:
        return resolve(node, self._backrefs)

    def _node(self, name: str) -> Any:
        return self._at(self._file.document[name])


class Slice:
    """A tensor of a file that is read when a part of it is taken; only that part goes to the device."""

    def __init__(self, opened: safe_open, name: str) -> None:
        self._opened, self._name = opened, name
        self._seen = opened._seen(name)
        self._tensor: Any = None

    def get_shape(self) -> list[int]:
        """Its elements along each axis."""
        return list(self._seen.shape or ())

    def get_dtype(self) -> str:
        """Its dtype in safetensors' word (``"F32"``), or by its own name where safetensors has none."""
        name = str(self._seen.dtype)
        return CODES.get(name, name)

    def __getitem__(self, key: Any) -> Any:
        if self._tensor is None:
            self._tensor = self._opened._tensor(self._name)
        return self._opened._moved(self._tensor[key])


def kind_of(node: Any) -> Any:
    """The class that an array's document names, if it names one."""
    return node.get("type") if node.get("tag") == "python" else node.get("python")


def jax_array(array: NdArray, device: str) -> Any:
    """``array`` as one of JAX's."""
    try:
        from holdfast.vocab.jax.arrays import placed
    except ImportError:
        raise MissingError("arrays of JAX's", "holdfast[jax]") from None
    return placed(array, Options(device=device))


def array_in(node: Any, backrefs: list[Any], name: str) -> NdArray:
    """The NumPy array of a document, whichever framework's it was."""
    dtype = node.get("dtype")
    array = array_of(
        node, dtype if isinstance(dtype, str) and "shape" not in node else None, _resolving(backrefs), backrefs
    )
    if array is None:
        raise FormatError(f"{name!r} is an array of {dtype}, which NumPy does not have")
    return array


def _resolving(backrefs: list[Any]) -> Any:
    return lambda node: resolve(node, backrefs)


def tensor_of(value: Any) -> Any:
    """``value`` as a tensor on the CPU without a history."""
    try:
        import torch
    except ImportError:
        raise MissingError("tensors of PyTorch's", "holdfast[torch]") from None
    if not isinstance(value, np.ndarray):
        return value.detach()
    array = np.ascontiguousarray(value)
    if array.dtype.isbuiltin == 1 and array.dtype.kind in "biufc":
        return torch.from_numpy(array)
    from holdfast.vocab.torch.tensors import dtype_named

    dtype = dtype_named(array.dtype.name)  # before all else: it refuses what is no tensor's
    return torch.from_numpy(array.view(CARRIERS[array.itemsize])).view(dtype)
