"""The package itself, by the name that the program calls it by.

Strategy: ``lightning`` and ``pytorch_lightning`` have the same classes twice, and the Trainer of the one refuses plugins of
the other. The one that is imported already is taken.
"""

import contextlib
import sys
from importlib import import_module
from typing import Any, Final

from holdfast.errors import MissingError


def installed() -> tuple[Any, ...]:
    """The package as the program calls it: classes of ``lightning`` and ``pytorch_lightning`` are not the same."""
    names = [("lightning.pytorch", "lightning.fabric"), ("pytorch_lightning", "lightning_fabric")]
    for pytorch, fabric in sorted(names, key=lambda pair: pair[0] not in sys.modules):
        with contextlib.suppress(ModuleNotFoundError):
            data, parsing = f"{fabric}.utilities.data", f"{pytorch}.utilities.parsing"
            modules = f"{pytorch}.callbacks", f"{fabric}.plugins", data, parsing
            return tuple(map(import_module, modules))
    raise MissingError("holdfast.integrations.lightning", "holdfast[lightning]")


_callbacks, _plugins, _data, _parsing = installed()
CheckpointIO: Any = _plugins.CheckpointIO
Callback: Any = _callbacks.Callback
TheirCheckpoint: Any = _callbacks.ModelCheckpoint

DICTIONARIES: Final = {
    **dict.fromkeys(
        ("lightning.pytorch.utilities.parsing", "pytorch_lightning.utilities.parsing"), _parsing.AttributeDict
    ),
    **dict.fromkeys(("lightning.fabric.utilities.data", "lightning_fabric.utilities.data"), _data.AttributeDict),
}
"""Lightning's dictionaries for hyper-parameters, by the modules that they may have been saved from."""
