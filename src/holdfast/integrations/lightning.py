"""Lightning: ``Trainer`` saves and loads our files, and resumes exactly.

    trainer = Trainer(plugins=[HoldfastIO()], callbacks=[ModelCheckpoint(every_n_train_steps=100), ExactResume()])
    trainer.fit(model, resumable(loader), ckpt_path="last")

Strategy: the interface decides what is in a checkpoint, and we write that dictionary as it is, one value per name, so
that ``load(path, "state_dict")`` reads no more than the weights. What Lightning leaves out (random numbers, the place in
the data, gradients within an accumulation) is one more entry, ``holdfast``, that a callback adds and puts back. It puts
them back where nothing of Lightning's own draws any more: right before the data is read on.
"""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, TypeVar

import torch

from holdfast import api
from holdfast.checkpoint import exact, random
from holdfast.checkpoint.folder import make_folder
from holdfast.checkpoint.walk import knows_its_place
from holdfast.errors import MismatchError, MissingError, UnsupportedError, UntrustedError
from holdfast.storage.folder import Folder

__all__ = ["ExactResume", "HoldfastIO", "ModelCheckpoint", "load_from_checkpoint"]

ENTRY: Final = "holdfast"
"""The name in a checkpoint under which stands what Lightning leaves out."""
VERSION: Final = 1

Path = str | os.PathLike[str]
Module = TypeVar("Module")


def _lightning() -> tuple[Any, ...]:
    """The package as the program calls it: classes of ``lightning`` and ``pytorch_lightning`` are not the same."""
    names = [("lightning.pytorch", "lightning.fabric"), ("pytorch_lightning", "lightning_fabric")]
    for pytorch, fabric in sorted(names, key=lambda pair: pair[0] not in sys.modules):
        with contextlib.suppress(ModuleNotFoundError):
            data, parsing = f"{fabric}.utilities.data", f"{pytorch}.utilities.parsing"
            modules = f"{pytorch}.callbacks", f"{fabric}.plugins", data, parsing
            return tuple(map(import_module, modules))
    raise MissingError("holdfast.integrations.lightning", "holdfast[lightning]")


_callbacks, _plugins, _data, _parsing = _lightning()
CheckpointIO: Any = _plugins.CheckpointIO
Callback: Any = _callbacks.Callback
TheirCheckpoint: Any = _callbacks.ModelCheckpoint


# -- files ------------------------------------------------------------------------------------------------------------


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
        self.classes = _allowed(classes)
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
        api.save(place, _without_omegaconf(checkpoint))

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
        return _with_omegaconf(found)

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


# -- hyper-parameters: classes of libraries ----------------------------------------------------------------------------

DICTIONARIES: Final = {
    **dict.fromkeys(
        ("lightning.pytorch.utilities.parsing", "pytorch_lightning.utilities.parsing"), _parsing.AttributeDict
    ),
    **dict.fromkeys(("lightning.fabric.utilities.data", "lightning_fabric.utilities.data"), _data.AttributeDict),
}
"""Lightning's dictionaries for hyper-parameters, by the modules that they may have been saved from."""
TYPE: Final = "hparams_type"
"""Where Lightning keeps the class of OmegaConf's hyper-parameters; we keep its name, for a file names no class of theirs."""
MARK: Final = "omegaconf.OmegaConf"
"""The one key of a dictionary in which a container of OmegaConf's stands."""
CONTAINERS: Final = ("DictConfig", "ListConfig")


def _allowed(classes: api.Classes) -> dict[str, type]:
    """``classes`` by name, and Lightning's own dictionaries."""
    theirs = (
        classes if isinstance(classes, Mapping) else {f"{one.__module__}.{one.__qualname__}": one for one in classes}
    )
    return {**{f"{module}.AttributeDict": one for module, one in DICTIONARIES.items()}, **theirs}


def _without_omegaconf(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """``checkpoint`` with plain containers in place of OmegaConf's, interpolations as they were written."""
    conf: Any = sys.modules.get("omegaconf")
    if conf is None:
        return dict(checkpoint)

    def plain(value: Any) -> Any:
        return {MARK: conf.OmegaConf.to_container(value)} if isinstance(value, conf.Container) else value

    changed: dict[str, Any] = _changed(dict(checkpoint), plain)
    if isinstance(changed.get(TYPE), type):
        changed[TYPE] = changed[TYPE].__name__
    return changed


def _with_omegaconf(checkpoint: dict[str, Any]) -> dict[str, Any]:
    def made(value: Any) -> Any:
        if type(value) is dict and value.keys() == {MARK}:
            return _omegaconf().OmegaConf.create(value[MARK])
        return value

    changed: dict[str, Any] = _changed(checkpoint, made)
    if changed.get(TYPE) in CONTAINERS:
        changed[TYPE] = getattr(_omegaconf(), changed[TYPE])
    return changed


def _omegaconf() -> Any:
    try:
        return import_module("omegaconf")
    except ModuleNotFoundError:
        raise MissingError("this checkpoint's hyper-parameters", "omegaconf") from None


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """``value`` with ``change`` made to it and, where that makes none, to all that is in its plain containers."""
    new = change(value)
    if new is not value:
        return new
    if type(value) is dict:
        return {key: _changed(item, change) for key, item in value.items()}
    return type(value)(_changed(item, change) for item in value) if type(value) in (list, tuple) else value


# -- what Lightning leaves out ----------------------------------------------------------------------------------------


class ExactResume(Callback):
    """Keeps in every checkpoint what makes a resume exact: random numbers, the place in the data, gradients.

    Give the Trainer a loader that knows its place (``resumable(loader)``, torchdata's ``StatefulDataLoader``, anything
    with ``state_dict``) to go on within an epoch. With another loader a resume is exact between two epochs.

    Validation during training does not move the training's random numbers: they go on afterwards as if it had not been.
    Lightning does not repeat a validation that was due right after a checkpoint.

    A checkpoint that was saved without this callback is resumed as Lightning does it. What is kept is the state of one
    process: where several train together, a resume warns that it is not exact.
    """

    def __init__(self) -> None:
        self._saved: Mapping[str, Any] | None = None
        self._before: random.State | None = None

    # -- saving ---

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        place = _place(trainer)
        accumulating = place == WITHIN and _batches(trainer) % trainer.accumulate_grad_batches
        checkpoint[ENTRY] = {
            "version": VERSION,
            "random": random.capture(),
            "place": place,
            "loaders": [loader.state_dict() for loader in _loaders(trainer)],
            "gradients": exact.gradients(pl_module) if accumulating else {},
        }

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.enable_validation:
            self._before = random.capture()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._before is not None:
            random.put_back(self._before)

    # -- going on ---

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        self._saved = checkpoint.get(ENTRY)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._before = None
        if self._saved is None:
            return
        if self._saved["place"] == WITHIN:
            self._go_on(trainer, pl_module)
        else:
            # A checkpoint after the last batch and before the epoch's end: Lightning counts that epoch as done, and would
            # go on with the next one as if it had begun.
            trainer.fit_loop.reset_restart_stage()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._saved is not None:
            self._go_on(trainer, pl_module)

    def _go_on(self, trainer: Any, pl_module: Any) -> None:
        """Put back what the checkpoint holds; from the first batch on everything is as it was."""
        saved, self._saved = self._saved or {}, None
        if trainer.world_size > 1:
            warnings.warn(
                "all processes go on with the random numbers of the first: this resume is not exact", stacklevel=2
            )
        loaders = _loaders(trainer)
        if len(loaders) != len(saved["loaders"]):
            raise MismatchError(
                f"the checkpoint holds the places of {len(saved['loaders'])} loaders, and this Trainer has "
                f"{len(loaders)} that know their place: use the same loaders, with resumable(loader) where they had it"
            )
        for loader, state in zip(loaders, saved["loaders"], strict=True):
            _go_to(loader, state, saved["place"])
        if saved["gradients"]:
            exact.set_gradients(pl_module, saved["gradients"])
        random.put_back(saved["random"])
        # The Trainer has begun to read already, from where the loaders were before. To begin once more draws what a new
        # epoch draws; within an epoch that is long done.
        fetcher = iter(trainer.fit_loop._data_fetcher)
        state = saved["random"] if saved["place"] == WITHIN else random.capture()
        fetcher.iterator = Reading(fetcher.iterator, state)


class Reading:
    """``batches``, and a state of the random generators that is put back before the first one is read."""

    def __init__(self, batches: Iterator[Any], state: random.State) -> None:
        self.batches = batches
        self.state: random.State | None = state

    def __iter__(self) -> "Reading":
        return self

    def __next__(self) -> Any:
        state, self.state = self.state, None
        if state is not None:
            random.put_back(state)
        return next(self.batches)


FRESH, WITHIN, OVER = "fresh", "within", "over"
"""Where a checkpoint stands: no batch of an epoch is done, some are, all are."""


def _place(trainer: Any) -> str:
    if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
        return OVER
    return WITHIN if _batches(trainer) else FRESH


def _batches(trainer: Any) -> int:
    """The batches of this epoch that were read."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


def _go_to(loader: Any, state: Mapping[str, Any], place: str) -> None:
    loader.load_state_dict(state)
    if place != OVER:
        return
    if hasattr(loader, "next_epoch"):
        loader.next_epoch()
    else:
        iter(loader)  # the epoch that is over; the next one begins with the next call


def _loaders(trainer: Any) -> list[Any]:
    """The Trainer's loaders that know their place, in the order in which it has them."""
    return [loader for loader in _leaves(trainer.train_dataloader) if knows_its_place(loader)]


def _leaves(loaders: Any) -> Iterator[Any]:
    inner: Iterable[Any] | None = None
    if isinstance(loaders, Mapping):
        inner = loaders.values()
    elif isinstance(loaders, list | tuple):
        inner = loaders
    if inner is None:
        yield loaders
        return
    for one in inner:
        yield from _leaves(one)
