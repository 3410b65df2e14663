"""Accelerate: ``save_state`` writes our file, ``load_state`` restores from it.

    files = register(accelerator, data=loader, progress=progress)
    accelerator.save_state("runs/digits/7")          # runs/digits/7/state.bson
    accelerator.load_state("runs/digits/7")
    files.save("runs/digits-7.bson")                 # or one file, and no folder with files of other kinds
    files.load("runs/digits-7.bson")

Strategy: one file holds all that was prepared and what is given by name, with the random numbers, as one checkpoint of a
``Series`` does. The hooks take the models from Accelerate's hands, which is all that its hooks may; what it still writes
beside (optimisers, schedulers, random numbers) says the same, and is read only after ours was found to be whole.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from holdfast.checkpoint import Position, record
from holdfast.checkpoint.folder import make_folder
from holdfast.errors import MissingError, UnsupportedError
from holdfast.formats import bson
from holdfast.integrations.unwrapped import tracked, unwrapped
from holdfast.vocab import vocabulary

try:
    from accelerate.utils import DistributedType
except ModuleNotFoundError as error:
    raise MissingError("holdfast.integrations.accelerate", "holdfast[accelerate]") from error

__all__ = ["Files", "prepared", "register"]

FILE: Final = "state.bson"
"""Our file in a folder of Accelerate's."""

SHARDED: Final = ("FSDP", "DEEPSPEED", "MEGATRON_LM")
"""Ways to train in which no process has the whole model."""


def register(accelerator: Any, **objects: Any) -> "Files":
    """Have ``accelerator.save_state`` and ``load_state`` use our files from now on.

    objects  what is to be kept beside models, optimisers, schedulers and scaler that were prepared and objects that were
             registered for checkpointing, by name: a loader that knows its place, a dictionary that counts

    Raises UnsupportedError where the model is sharded over processes.
    """
    kind = accelerator.distributed_type
    if kind in [getattr(DistributedType, name) for name in SHARDED]:
        raise UnsupportedError(f"{kind.value}: no process has the whole model, and a file of ours holds whole ones")
    files = Files(accelerator, objects)
    files.handles = [
        accelerator.register_save_state_pre_hook(files.on_save),
        accelerator.register_load_state_pre_hook(files.on_load),
    ]
    return files


class Files:
    """The files of one Accelerator; see ``register``, which makes it."""

    def __init__(self, accelerator: Any, objects: Mapping[str, Any]) -> None:
        self.accelerator = accelerator
        self.objects = dict(objects)
        self.handles: list[Any] = []

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save everything in one file, atomic and on the disk when this returns; only the main process writes.

        Raises UnsupportedError for what cannot be saved.
        """
        if self.accelerator.is_main_process:
            values = record.capture(prepared(self.accelerator, **self.objects), position=Position())
            make_folder(os.path.dirname(os.path.abspath(path)))
            bson.write(path, values, vocabulary())
        self.accelerator.wait_for_everyone()

    def load(self, path: str | os.PathLike[str]) -> None:
        """Fill everything from a file: all of it, or nothing and a MismatchError that lists every difference.

        Raises ChecksumError or FormatError for a file that is damaged; nothing has changed then.
        """
        things = prepared(self.accelerator, **self.objects)
        record.put_back(path, things)
        # What cannot change in place, such as a number, is a new value under the same name.
        self.objects.update({name: things[name] for name in self.objects})

    def remove(self) -> None:
        """Have Accelerate use its own files again."""
        for handle in self.handles:
            handle.remove()

    # -- what Accelerate calls ---

    def on_save(self, models: list[Any], weights: list[Any], output_dir: str) -> None:
        self.save(os.path.join(output_dir, FILE))
        weights.clear()

    def on_load(self, models: list[Any], input_dir: str) -> None:
        """A folder without a file of ours is Accelerate's own, and left to it."""
        path = os.path.join(input_dir, FILE)
        if os.path.exists(path):
            self.load(path)
            models.clear()


def prepared(accelerator: Any, **objects: Any) -> dict[str, Any]:
    """All that an Accelerator has prepared, by name, and ``objects``: ``series.track(**prepared(accelerator, data=loader))``.

    ``model``, ``opt``, ``schedule`` and ``custom`` (what was registered for checkpointing), the second ones ``model_1`` and
    so on, without Accelerate's wrappers; ``scaler`` where there is one; and ``accelerator``, how far it has accumulated.
    What ``objects`` name goes by that name only.

    Raises UnsupportedError for a name that is another thing's.
    """
    found = {
        **_numbered("model", accelerator._models),
        **_numbered("opt", accelerator._optimizers),
        **_numbered("schedule", accelerator._schedulers),
        **_numbered("custom", accelerator._custom_objects),
        "scaler": accelerator.scaler,
        "accelerator": Steps(accelerator),
    }
    named = {id(unwrapped(thing)) for thing in objects.values()}
    rest = {name: thing for name, thing in found.items() if id(unwrapped(thing)) not in named}
    clash = sorted(objects.keys() & rest.keys())
    if clash:
        raise UnsupportedError(f"{', '.join(clash)}: names of what is prepared; give yours others")
    return tracked(**rest, **objects)


class Steps:
    """The count that gradient accumulation goes by."""

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator

    def state_dict(self) -> dict[str, int]:
        return {"step": self.accelerator.step}

    def load_state_dict(self, saved: Mapping[str, int]) -> None:
        self.accelerator.step = saved["step"]


def _numbered(name: str, things: Iterable[Any]) -> dict[str, Any]:
    """``things`` by name: ``model``, ``model_1``, ``model_2`` … as Accelerate calls its files."""
    return {name if number == 0 else f"{name}_{number}": thing for number, thing in enumerate(things)}
