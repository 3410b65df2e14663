"""Hyper-parameters of classes that libraries bring: dictionaries of Lightning's, containers of OmegaConf's.

Strategy: Lightning's are allowed by name, as a user's class would be. OmegaConf's go into a file as plain containers, marked,
and are made again from those; interpolations stay as they were written.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from holdfast import api
from holdfast.errors import MissingError
from holdfast.integrations.lightning.package import DICTIONARIES

TYPE: Final = "hparams_type"
"""Where Lightning keeps the class of OmegaConf's hyper-parameters; we keep its name, for a file names no class of theirs."""
MARK: Final = "omegaconf.OmegaConf"
"""The one key of a dictionary in which a container of OmegaConf's stands."""
CONTAINERS: Final = ("DictConfig", "ListConfig")


def allowed(classes: api.Classes) -> dict[str, type]:
    """``classes`` by name, and Lightning's own dictionaries."""
    theirs = (
        classes if isinstance(classes, Mapping) else {f"{one.__module__}.{one.__qualname__}": one for one in classes}
    )
    return {**{f"{module}.AttributeDict": one for module, one in DICTIONARIES.items()}, **theirs}


def without_omegaconf(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
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


def with_omegaconf(checkpoint: dict[str, Any]) -> dict[str, Any]:
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
