"""Save a model with one line, open it anywhere, resume exactly where it stopped, lose nothing.

    save("m.bson", model=model, opt=opt)              whole values under names; atomic and durable
    model, opt = load("m.bson", "model", "opt")       back again, in any process
    restore("m.bson", model=model)                    into live objects: all or nothing
    inspect("m.bson"), verify("m.bson")               look, and check, without building anything
    params(model), loadparams(model, weights)         only the weights
    for_flux(model, "0.14")                           a model for another version of Flux than its file's
    optimiser_from(tree, model), tree_from(opt, model)  an optimiser for and from the state tree of Flux.setup
    Series("runs/digits", every=30)                   the checkpoints of one run, resumed exactly where it stopped
    now()                                             the time, for a file's name
    register                                          a class of yours that files may build

``holdfast.flux`` has Flux's layers, losses and optimisers as torch modules; it is imported on its own.
Names are imported when they are first used, so that ``import holdfast`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from holdfast.errors import (
    ChecksumError,
    DriftError,
    DurabilityError,
    FormatError,
    HoldfastError,
    LimitError,
    MismatchError,
    MissingError,
    UnsupportedError,
    UntrustedError,
)

if TYPE_CHECKING:
    from holdfast.api import for_flux, inspect, load, loadparams, params, restore, save, verify
    from holdfast.checkpoint import Position, Series
    from holdfast.clock import now
    from holdfast.vocab.classes import register
    from holdfast.vocab.flux.trees import optimiser_from, tree_from

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "ChecksumError",
    "DriftError",
    "DurabilityError",
    "for_flux",
    "FormatError",
    "HoldfastError",
    "inspect",
    "LimitError",
    "load",
    "loadparams",
    "MismatchError",
    "MissingError",
    "now",
    "optimiser_from",
    "params",
    "Position",
    "register",
    "restore",
    "save",
    "Series",
    "tree_from",
    "UnsupportedError",
    "UntrustedError",
    "verify",
]

_HOMES = {
    "Series": "holdfast.checkpoint",
    "Position": "holdfast.checkpoint",
    **dict.fromkeys(
        ("for_flux", "inspect", "load", "loadparams", "params", "restore", "save", "verify"), "holdfast.api"
    ),
    "now": "holdfast.clock",
    "optimiser_from": "holdfast.vocab.flux.trees",
    "tree_from": "holdfast.vocab.flux.trees",
    "register": "holdfast.vocab.classes",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
