"""Lightning's checkpoints as our files.

Strategy: Lightning decides what is in a checkpoint, and we write that dictionary as it is, one value per name, so that
``load(path, "state_dict")`` reads no more than the weights.
"""

import contextlib
import io
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import torch

from holdfast import api
from holdfast.checkpoint.folder import make_folder
from holdfast.errors import UnsupportedError, UntrustedError
from holdfast.integrations.lightning.hyperparameters import allowed, with_omegaconf, without_omegaconf
from holdfast.integrations.lightning.package import CheckpointIO, TheirCheckpoint
from holdfast.storage.folder import Folder

Path = str | os.PathLike[str]
Module = TypeVar("Module")


class HoldfastIO(CheckpointIO):
    """Lightning's checkpoints as our files: ``Trainer(plugins=[HoldfastIO()])``, or ``Fabric`` likewise.

    classes  classes of yours that a checkpoint may hold, in hyper-parameters say, as for ``load``
    mmap     False reads files into memory, for those that someone may truncate

    Every save is atomic, on the disk when it returns, and checksummed. Loading runs no code of the file's, whatever
    ``weights_only`` says.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "epoch=1.bson")
    >>> HoldfastIO().save_checkpoint({"epoch": 1, "state_dict": {"weight": torch.ones(2)}}, path)
    >>> HoldfastIO().load_checkpoint(path)["state_dict"]["weight"]
    tensor([1., 1.])
    """

    def __init__(self, classes: api.Classes = (), *, mmap: bool = True) -> None:
        self.classes = allowed(classes)
        self.mmap = mmap

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Path, storage_options: Any = None) -> None:
        """Save ``checkpoint``; its folder is made where it is missing.

        Raises UnsupportedError, with the path in the checkpoint, for what cannot be saved, or for an address that is no
        path on this machine; TypeError for ``storage_options``, of which there are none.
        """
        if storage_options is not None:
            raise TypeError("HoldfastIO has no storage_options: leave them out of save_checkpoint")
        place = _local(path)
        make_folder(os.path.dirname(os.path.abspath(place)))
        api.save(place, without_omegaconf(checkpoint))

    def load_checkpoint(self, path: Path, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """The checkpoint, every checksum of which is compared.

        map_location  where tensors go: a device, its name, or what ``torch.load`` takes; the CPU by default, from where
                      the Trainer moves them

        Raises what ``load`` raises; of an UntrustedError the note says how to allow the classes here.
        """
        try:
            found = api.load(_local(path), device=_device(map_location), classes=self.classes, mmap=self.mmap)
        except UntrustedError as error:
            error.add_note("in Lightning, allow them with Trainer(plugins=[HoldfastIO(classes=[…])])")
            raise
        return with_omegaconf(found)

    def remove_checkpoint(self, path: Path) -> None:
        """Remove the file at ``path``; nothing where there is none. Raises UnsupportedError for what is no file."""
        place = _local(path)
        if os.path.isdir(place) and not os.path.islink(place):
            raise UnsupportedError(f"{place!r} is a folder, and checkpoints of ours are files: remove it yourself")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
            with Folder(os.path.dirname(os.path.abspath(place))) as folder:
                folder.sync()


class ModelCheckpoint(TheirCheckpoint):
    """Lightning's own ``ModelCheckpoint``, whose files end in ``.bson``."""

    FILE_EXTENSION = ".bson"


def load_from_checkpoint(cls: type[Module], path: Path, *, classes: api.Classes = (), **options: Any) -> Module:
    """A LightningModule or DataModule from its checkpoint, as ``cls.load_from_checkpoint`` does with torch's files.

    classes  as for ``load``
    options  those of ``cls.load_from_checkpoint``: ``map_location``, ``strict``, hyper-parameters by name …
    """
    # Lightning reads torch's files only, and takes them from memory too. These bytes are our own, so they may be anything.
    copied = io.BytesIO()
    torch.save(HoldfastIO(classes).load_checkpoint(path), copied)
    copied.seek(0)
    made: Any = cls
    return made.load_from_checkpoint(copied, weights_only=False, **options)  # type: ignore[no-any-return]


def _local(path: Path) -> str:
    place = os.fspath(path).removeprefix("file://")
    if "://" in place:
        raise UnsupportedError(f"{place!r} is not a path on this machine: save to a folder, and copy from there")
    return place


def _device(map_location: Any) -> str:
    """The device that ``map_location`` sends tensors of the CPU to, which those of a file are.

    >>> _device(None), _device(torch.device("meta")), _device({"cpu": "cuda:1"}), _device(lambda storage, place: storage)
    ('cpu', 'meta', 'cuda:1', 'cpu')
    """
    if isinstance(map_location, Mapping):
        return str(map_location.get("cpu", "cpu"))
    if callable(map_location):
        moved = map_location(torch.empty(0).untyped_storage(), "cpu")
        return "cpu" if moved is None else str(moved.device)
    return "cpu" if map_location is None else str(map_location)
