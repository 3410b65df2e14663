"""Save a model with one line, open it anywhere, resume exactly where it stopped, lose nothing.

    save("m.bson", model=model, opt=opt)              whole values under names; atomic and durable
    model, opt = load("m.bson", "model", "opt")       back again, in any process
    restore("m.bson", model=model)                    into live objects: all or nothing
    inspect("m.bson"), verify("m.bson")               look, and check, without building anything
    params(model), loadparams(model, weights)         only the weights
    now()                                             the time, for a file's name
    register                                          a class of yours that files may build

``holdfast.flux`` has Flux's layers, losses and optimisers as torch modules; it is imported on its own.
"""

from holdfast.api import inspect, load, restore, save, verify
from holdfast.clock import now
from holdfast.errors import (
    ChecksumError,
    DurabilityError,
    FormatError,
    HoldfastError,
    LimitError,
    MismatchError,
    MissingError,
    UnsupportedError,
    UntrustedError,
)
from holdfast.state.params import loadparams, params
from holdfast.vocab.classes import register

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "ChecksumError",
    "DurabilityError",
    "FormatError",
    "HoldfastError",
    "LimitError",
    "MismatchError",
    "MissingError",
    "UnsupportedError",
    "UntrustedError",
    "inspect",
    "load",
    "loadparams",
    "now",
    "params",
    "register",
    "restore",
    "save",
    "verify",
]
