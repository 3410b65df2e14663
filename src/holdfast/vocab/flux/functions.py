"""Julia's functions by name, as the Python functions that compute the same.

Strategy: a function in a file is a struct without fields whose type is ``Module.#name``. ``BY_NAME`` says which Python
function that is, under every name that it had; ``HOMES`` says where it lives today, which is what is written. Partly
applied functions (``Base.Fix1``, ``Base.Fix2``) and ``∘`` are made of these. All else that a layer calls is Julia code
(see ``code.py``). Nothing is ever looked up in a module by a name from the file.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from holdfast.codec.rule import Fields, Items, Options, Rule
from holdfast.errors import FormatError
from holdfast.flux import activations
from holdfast.flux.activations import ACTIVATIONS
from holdfast.flux.functions import FUNCTIONS, SAME, Compose, Fix1, Fix2
from holdfast.julia.types import short_name
from holdfast.julia.values import AnonymousType, DataType, Ref, Struct
from holdfast.vocab.flux.code import JuliaCode, code_in, julia_code
from holdfast.vocab.flux.eras import Choice, Version, span
from holdfast.vocab.flux.julia_functions import JULIA_ONLY
from holdfast.vocab.flux.types import julia_type, type_of

Function = Callable[..., Any]

# -- names ------------------------------------------------------------------------------------------------------------

BASE: Final = frozenset(
    "identity abs abs2 exp expm1 log log1p sqrt sin cos tan sinh cosh tanh atan sign inv + - * / ^ max min hcat vcat vec "
    "sum maximum minimum first last reshape permutedims map transpose".split()
)
"""Names of Julia's own; the other activations are NNlib's."""

ELSEWHERE: Final = {
    "broadcast": ("Main", "Base", "Broadcast"),
    "flatten": ("Flux",),
    "mean": ("Statistics",),
    "tuple": ("Core",),
    "unsqueeze": ("MLUtils",),
    "_unsqueeze": ("MLUtils",),
    "cpu": ("Flux",),
    "gpu": ("Flux",),
}
"""Functions that are neither Base's nor NNlib's today."""

KNOWN: Final[dict[str, Function]] = {**ACTIVATIONS, **FUNCTIONS, **JULIA_ONLY}
"""Every function by its own name."""


def home(name: str) -> tuple[str, ...]:
    """The module in which a function lives today."""
    return ELSEWHERE.get(name) or (("Main", "Base") if name in BASE else ("NNlib",))


FORMER: Final = ("NNlib", "Flux", "Flux.NNlib", "Base", "Statistics", "MLUtils", "Base.Broadcast", "Core", "")
"""Modules in which files of other versions place the same functions. ``Core`` is left out of a short name."""

BY_NAME: Final[dict[str, Function]] = {
    f"{module}.#{name}".lstrip("."): function for name, function in KNOWN.items() for module in FORMER
}
"""What a file calls a function -> the function."""

BY_FUNCTION: Final[dict[Function, str]] = {
    function: name for name, function in reversed(KNOWN.items()) if name == getattr(function, "__name__", "")
}
"""A function -> its own name in Julia; functions with another name in Python go by the first that they have there."""
for _name, _function in [*FUNCTIONS.items(), *JULIA_ONLY.items()]:
    BY_FUNCTION.setdefault(_function, _name)

VARIANTS: Final[dict[Function, tuple[Choice[Function], ...]]] = {
    activations.hardσ: (
        Choice(span("0.10.0", "0.11.6"), activations.hardsigmoid_slope),
        Choice(span("0.12.0"), activations.hardσ),
    ),
}
"""Functions whose formula changed under the same name, with the versions of Flux that brought each."""

RENAMED: Final[dict[Function, Choice[str]]] = {activations.gelu: Choice(span("", "0.16.3"), "gelu")}
"""Functions that have another name today -> the versions of Flux that came before it, and the name then.

NNlib 0.9.28 (2025) made ``gelu`` another name for ``gelu_tanh``, so no type there is called ``#gelu``.
"""


# -- functions by themselves ------------------------------------------------------------------------------------------


class JuliaFunction:
    """A function that stands by itself in a file: callable, and written as it was.

    >>> JuliaFunction(struct_of(activations.relu), activations.relu)
    relu
    """

    __slots__ = ("__weakref__", "function", "struct")

    def __init__(self, struct: Struct, function: Function) -> None:
        self.struct, self.function = struct, function

    def __call__(self, *inputs: Any) -> Any:
        return self.function(*inputs)

    @property
    def __name__(self) -> str:
        return str(getattr(self.function, "__name__", "?"))

    def __repr__(self) -> str:
        return self.__name__


def lift_function(function: Function) -> Callable[[Fields], Any]:
    def lift(level: Fields) -> Any:
        struct = Struct(level["type"], level["data"])
        return struct if struct.data else JuliaFunction(struct, function)

    return lift


# -- what a layer calls -----------------------------------------------------------------------------------------------


def function_name(struct: Struct) -> str:
    """``NNlib.#relu``, or the closure's own name such as ``#3#4``."""
    if isinstance(struct.type, AnonymousType):
        return struct.type.name
    return short_name(struct.type.name) if isinstance(struct.type, DataType) else ""


def callable_of(value: Any, options: Options) -> Any:
    """``value`` of a field that Julia calls: a layer as it is, a function as the one that Python has, else Julia code."""
    if isinstance(value, JuliaFunction):
        return value.function
    if not isinstance(value, Struct):
        return value
    name = function_name(value)
    given = _given(name, options)
    if given is not None:
        return given
    if name in COMBINED and len(value) == 2:
        return COMBINED[name](value, options)
    if name in BY_NAME and not len(value):
        return BY_NAME[name]
    if is_composition(value):
        return _composed(value, options)
    return julia_code(value)


def _given(name: str, options: Options) -> Any:
    """The caller's own function for this one: ``functions={"#3#4": f}``, or ``{"Main.swish2": f}``."""
    last = name.rpartition(".")[2]
    plain = {name, last, name.replace("#", ""), last.removeprefix("#")}
    return next((options.functions[key] for key in plain if key in options.functions), None)


def _fixed(kind: type[Fix1] | type[Fix2]) -> Callable[[Struct, Options], Any]:
    def build(struct: Struct, options: Options) -> Any:
        function = callable_of(struct[0], options)
        if isinstance(function, JuliaCode):
            return JuliaCode(struct)
        return kind(function, plain_number(callable_of(struct[1], options)))

    return build


def plain_number(value: Any) -> Any:
    """A Julia number as Python's, so that it does not change the dtype of a tensor."""
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


def _composed(struct: Struct, options: Options) -> Any:
    outer, inner = (callable_of(part, options) for part in struct.data)
    return Compose(outer, inner)


COMBINED: Final[dict[str, Callable[[Struct, Options], Any]]] = {
    "Base.Fix1": _fixed(Fix1),
    "Base.Fix2": _fixed(Fix2),
    "Base.ComposedFunction": _composed,
}
"""Structs of Base that are functions made of functions."""


def is_composition(struct: Struct) -> bool:
    """Whether a closure is Base's ``f ∘ g``, as it was until Julia 1.5: the only one there with these two fields."""
    type_ = struct.type
    if not isinstance(type_, AnonymousType) or not isinstance(type_.typename, Struct) or len(struct) != 2:
        return False
    about = type_.typename.data
    source = type_.source
    fields = tuple(map(str, about[2])) if len(about) > 2 and isinstance(about[2], Iterable) else ()
    return fields == ("f", "g") and source is not None and source[0] == "operators.jl" and _in_base(about)


def _in_base(about: list[Any]) -> bool:
    """Whether the closure's first method was defined in Julia's Base."""
    stack = list(about)
    for _ in range(1000):
        if not stack:
            return False
        item = stack.pop(0)
        if isinstance(item, list):
            stack[:0] = item
        elif isinstance(item, Struct) and item.name.endswith("Method"):
            return isinstance(item[0], Ref) and item[0].path in (("Base",), ("Main", "Base"))
    return False


# -- to the file ------------------------------------------------------------------------------------------------------


def julia_name(function: Any) -> str | None:
    """The name of a Python function in Julia, or None where Julia has no such function."""
    try:
        known = activations.EQUIVALENT.get(function) or SAME.get(function) or function
        return BY_FUNCTION.get(known)
    except TypeError:  # a callable object that cannot be hashed is none of ours
        return None


def struct_of(function: Function) -> Struct | None:
    """The Julia struct of a function that Julia has, or None."""
    name = julia_name(function)
    return None if name is None else Struct(julia_type((*home(name), f"#{name}")))


def former_struct(function: Any, wanted: Version) -> Struct | None:
    """The struct of a function that had another name in Flux ``wanted``, or None."""
    former = RENAMED.get(function) if isinstance(function, type(former_struct)) else None
    if former is None or wanted > former.span.until:
        return None
    return Struct(julia_type((*home(former.value), f"#{former.value}")))


def lower_callable(value: Any) -> Any:
    """What stands in a file for what a layer calls: a struct for a function that Julia has, else the value itself."""
    code = code_in(value)
    if code is not None:
        return code.struct
    if isinstance(value, Fix1 | Fix2):
        return combined(f"Base.{type(value).__name__}", value.f, value.x)
    if isinstance(value, Compose):
        return combined("Base.ComposedFunction", value.outer, value.inner)
    return struct_of(value) or value


def combined(name: str, *parts: Any) -> Struct:
    """A struct of Base's whose type has the types of its parts."""
    from holdfast.vocab.flux.lowering import layer_type

    fields = [lower_callable(part) if callable(part) else part for part in parts]
    types = tuple(type_of(part, layer_type) for part in fields)
    return Struct(julia_type(("Main", *name.split(".")), types), fields)


# -- rules ------------------------------------------------------------------------------------------------------------


def lower_function(value: JuliaFunction) -> Fields:
    return Fields(tag="struct", type=value.struct.type, data=Items())


def lower_combined(value: Fix1 | Fix2 | Compose) -> Fields:
    """Outside of a layer; the Python name is there because Julia's may stand for any function."""
    struct = lower_callable(value)
    return Fields(
        tag="struct", type=struct.type, data=Items(struct.data), python=f"holdfast.flux.{type(value).__name__}"
    )


def lift_combined(name: str) -> Callable[[Fields, Options], Any]:
    def lift(level: Fields, options: Options) -> Any:
        if not isinstance(level["data"], list) or len(level["data"]) != 2:
            raise FormatError(f"a {name} has {level['data']!r:.60}, not two fields")
        return COMBINED[name](Struct(level["type"], level["data"]), options)

    return lift


PACKAGES: Final = ("NNlib.", "Flux.", "MLUtils.")
"""Functions of these packages are functions wherever they stand; Base's only where a layer calls them."""

RULES: Final = [
    Rule("struct", "NNlib.#identity", (JuliaFunction,), lower_function, lift_function(activations.identity)),
    *(Rule("struct", name, lift=lift_function(f)) for name, f in BY_NAME.items() if name.startswith(PACKAGES)),
    *(
        Rule("python", f"holdfast.flux.{kind.__name__}", (kind,), lower_combined, lift_with=lift_combined(name))
        for kind, name in ((Fix1, "Base.Fix1"), (Fix2, "Base.Fix2"), (Compose, "Base.ComposedFunction"))
    ),
]
