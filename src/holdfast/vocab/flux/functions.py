"""Julia's functions by name, as the Python functions that compute the same.

Strategy: a function in a file is a struct without fields whose type is ``Module.#name``. ``HOMES`` says in which Julia
module each function of ``holdfast.flux`` lives today; that name is written, and read back as the function. Names that a
function had at other times (``ALIASES``) stay inert structs that save back as they were; a layer that holds one calls
``callable_of``. Nothing is ever looked up in a module by a name from the file.
"""

from collections.abc import Callable
from typing import Any, Final

from holdfast.codec.rule import Options
from holdfast.flux import activations
from holdfast.flux.activations import ACTIVATIONS
from holdfast.julia.types import short_name
from holdfast.julia.values import AnonymousType, DataType, Struct

BASE_NAMES: Final = frozenset(
    "identity abs abs2 exp expm1 log log1p sqrt sin cos tan sinh cosh tanh atan sign inv".split()
)
"""Activations that are Julia's own; all others are NNlib's."""

HOMES: Final[dict[str, tuple[str, ...]]] = {
    name: ("Main", "Base") if name in BASE_NAMES else ("NNlib",) for name, f in ACTIVATIONS.items() if f.__name__ == name
}
"""Julia name -> the module that a file names before it."""

BY_NAME: Final[dict[str, Callable[..., Any]]] = {
    short_name((*home, f"#{name}")): ACTIVATIONS[name] for name, home in HOMES.items()
}
"""What a file calls a function today -> the function."""

ALIASES: Final[dict[str, Callable[..., Any]]] = {
    f"{module}.#{name}": function
    for name, function in ACTIVATIONS.items()
    for module in ("NNlib", "Flux", "Base", "Flux.NNlib")
    if f"{module}.#{name}" not in BY_NAME
}
"""What files called the same functions in other versions."""


def type_of_function(function: Any) -> DataType | None:
    """The Julia type of a function that Julia has, or None."""
    name = activations.julia_name(function)
    return DataType((*HOMES[name], f"#{name}")) if name in HOMES else None


class JuliaCode:
    """A Julia function that Python does not have, in the place of a layer: it can be saved, and calling it says what to do."""

    def __init__(self, struct: Struct) -> None:
        self.struct = struct

    def __call__(self, *inputs: Any) -> Any:
        from holdfast.errors import UnsupportedError

        raise UnsupportedError(
            f"{self.struct!r} is Julia code, which a file may hold and Python does not run. Put a Python function in its "
            "place, as in model.layers[3] = lambda x: …, or load with functions={…}"
        )

    def __repr__(self) -> str:
        return repr(self.struct)


def callable_of(value: Any, options: Options) -> Any:
    """``value`` of a field that Julia calls: a layer or function as it is, a function under an old name as the function."""
    if not isinstance(value, Struct):
        return value
    name = function_name(value)
    given = options.functions.get(name) or options.functions.get(name.rpartition(".")[2])
    return given or ALIASES.get(name) or BY_NAME.get(name) or JuliaCode(value)


def function_name(struct: Struct) -> str:
    """``NNlib.#relu``, or the closure's own name such as ``#3#4``."""
    if isinstance(struct.type, AnonymousType):
        return struct.type.name
    return short_name(struct.type.name) if isinstance(struct.type, DataType) else ""


