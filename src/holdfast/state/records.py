"""What a file holds for a live object: its classes stay records, its arrays get names.

Strategy: to fill an object that exists, none has to be built. The file is lifted with a vocabulary in which every class
is an inert ``Record``; a module's record, a state dictionary, a Julia tree and a list of arrays all become one table of
name -> array in the order of torch's own ``state_dict``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from holdfast import vocab
from holdfast.codec.rule import Fields, Filling, Kind, Rule, Vocabulary
from holdfast.errors import LimitError
from holdfast.julia.arrays import WRAPPERS as ARRAY_WRAPPERS
from holdfast.julia.arrays import as_array
from holdfast.julia.types import type_name
from holdfast.julia.values import Array, NamedTuple, Struct
from holdfast.state.match import WRAPPERS, Spec, join, unwrapped
from holdfast.vocab import hosted

MAX_NAMES: Final = 1_000_000
"""Modules, containers and arrays in one value: a file could name one array by ever longer paths."""
MAX_NESTING: Final = 500
"""Modules or containers inside one another; one that contains itself would have no end."""

MODULE: Final = frozenset({"training", "parameters", "buffers", "modules", "attributes", "non_persistent"})
"""What the state of a saved module has; the empty ones of these are left out."""

FLUX_FIELDS: Final = {"γ": "gamma", "β": "beta", "μ": "mean", "σ²": "var"}
"""Fields of Flux's layers that have another name in Python."""


# -- records ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Record:
    """An object of a class that is not built: the class's name in the file, and what the object holds."""

    name: str = ""
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        """The object's attributes by name; of a module or optimiser, its parts."""
        state = self.parts.get("state", self.parts)
        state = state if type(state) is dict else self.parts
        inner = state.get("attributes")
        return inner if state.keys() == {"attributes"} and type(inner) is dict else state

    @property
    def is_module(self) -> bool:
        """Whether this is a torch module."""
        state = self.attributes
        return type(state.get("training")) is bool and state.keys() <= MODULE

    @property
    def class_name(self) -> str:
        """The class's own name: ``Adam`` of ``torch.optim.adam.Adam``."""
        return self.name.rpartition(".")[2]


def lift_record(_: Fields) -> Filling:
    value = Record()
    level = yield value
    value.name = str(level["type"])
    value.parts = {key: part for key, part in level.items() if key not in ("tag", "type")}


RECORD: Final = Rule("tag", "absent", lift=lift_record)


TORCH: Final = frozenset(
    f"torch.{name}"
    for name in ("Tensor", "nn.Parameter", "Size", "Generator", "dtype", "device", "layout", "memory_format")
)
"""What of torch's is a value, and no object with attributes."""


class Records(Vocabulary):
    """A vocabulary in which every Python class is a Record, save values: arrays, numbers, dates and the like."""

    def __init__(self) -> None:
        super().__init__(parent=vocab.standing())

    def named(self, kind: Kind, name: str) -> Rule | None:
        if kind == "tag" and name == RECORD.name:
            return RECORD
        if kind == "python" and name == hosted.RULE.name:
            return hosted.RULE  # as good to fill something with, and JAX is not imported for it
        if kind == "python" and name not in TORCH and name.partition(".")[0] in vocab.FRAMEWORKS:
            return None
        return super().named(kind, name)

    def is_absent(self, name: str) -> bool:
        return self.named("python", name) is None


# -- arrays by name ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Weights:
    """The arrays of a value.

    by_name    in the order of the file
    ordered    whether they only have an order: the names are their positions
    strangers  a line for each entry of a dictionary that is no array
    tree       whether it is a tree of Julia's, in which ``layers`` is a name too, and fields have Julia's names
    """

    by_name: dict[str, Any] = field(default_factory=dict)
    ordered: bool = False
    strangers: list[str] = field(default_factory=list)
    tree: bool = False

    def bare(self, name: str) -> str:
        """What is left of a name to compare when the whole one is not found."""
        return tree_name(name) if self.tree else unwrapped(name)


def weights_of(value: Any) -> Weights:
    """The arrays in a saved module, state dictionary, Julia tree or list of arrays."""
    if module_parts(value) is not None:
        return Weights(dict(module_tensors(value)))
    if isinstance(value, list | tuple) and not isinstance(value, NamedTuple) and value and all(map(is_array, value)):
        return Weights({str(index): item for index, item in enumerate(value)}, ordered=True)
    return _tree_weights(value)


def tree_name(name: str) -> str:
    """A name in ``Flux.state`` as a module of ``holdfast.flux`` has it.

    >>> tree_name("layers.1.γ")
    '1.gamma'
    """
    return ".".join(FLUX_FIELDS.get(part, part) for part in unwrapped(name, WRAPPERS | {"layers"}).split("."))


def _tree_weights(value: Any) -> Weights:
    weights = Weights()
    stack, count = [("", value, 0, False)], 0
    while stack:
        name, item, depth, inside = stack.pop()
        count += 1
        _limit(count, depth)
        array = is_array(item) and not (inside and isinstance(item, np.generic))
        members = None if array else _members(item)
        if array:
            weights.by_name[name] = item
        elif module_parts(item) is not None:
            weights.by_name |= {join(name, inner): tensor for inner, tensor in module_tensors(item)}
        elif members is not None:
            inside = inside or isinstance(item, NamedTuple)
            weights.tree = weights.tree or inside
            stack += [(join(name, str(key)), child, depth + 1, inside) for key, child in reversed(members)]
        elif not inside:
            weights.strangers.append(f"{name}: {type_text(item)}")
    return weights


def _members(value: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(value, NamedTuple):
        return value.items()
    if isinstance(value, Record):
        return list(value.attributes.items())
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return None


def type_text(value: Any) -> str:
    """What a value is, in a word."""
    return value.name if isinstance(value, Record | Struct) else type(value).__name__


def module_parts(value: Any) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any], Iterable[str]] | None:
    """Parameters, buffers, submodules and the names of buffers that are not kept, of a module or a module's record."""
    if isinstance(value, Record):
        state = value.attributes
        parts = [state.get(name, {}) for name in ("parameters", "buffers", "modules")]
        if value.is_module and all(isinstance(part, dict) for part in parts):
            return parts[0], parts[1], parts[2], state.get("non_persistent", ())
        return None
    if hasattr(type(value), "named_parameters") and isinstance(getattr(value, "_modules", None), dict):
        return value._parameters, value._buffers, value._modules, value._non_persistent_buffers_set
    return None


def module_tensors(module: Any) -> Iterator[tuple[str, Any]]:
    """Name and tensor of a module or its record, in the order of ``state_dict``: parameters, buffers, submodules."""
    stack: list[tuple[str, Any, int]] = [("", module, 0)]
    count = 0
    while stack:
        at, item, depth = stack.pop()
        parts = module_parts(item)
        if parts is None:
            continue
        parameters, buffers, modules, passing = parts
        tensors = {**parameters, **{name: b for name, b in buffers.items() if name not in set(passing)}}
        count += len(tensors) + len(modules)
        _limit(count, depth)
        yield from ((join(at, name), tensor) for name, tensor in tensors.items() if tensor is not None)
        stack += [(join(at, name), child, depth + 1) for name, child in reversed(list(modules.items()))]


def _limit(count: int, depth: int) -> None:
    if count > MAX_NAMES or depth > MAX_NESTING:
        raise LimitError(
            f"a saved object names over {MAX_NAMES:,} arrays or nests deeper than {MAX_NESTING}: does it hold itself?"
        )


# -- arrays -----------------------------------------------------------------------------------------------------------


def is_array(value: Any) -> bool:
    """Whether ``value`` is an array of NumPy's, torch's or Julia's."""
    if isinstance(value, np.ndarray | np.generic | Array) or is_tensor(value):
        return True
    return isinstance(value, Struct) and type_name(value.type) in ARRAY_WRAPPERS


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is one of torch's tensors; torch is not imported to know."""
    return any(cls.__module__ == "torch" and cls.__name__ == "Tensor" for cls in type(value).__mro__)


def plain_array(value: Any) -> Any:
    """A tensor or NumPy array of what is an array. Raises UnsupportedError for elements that NumPy lacks."""
    return value if is_tensor(value) else as_array(value) if isinstance(value, Array | Struct) else np.asarray(value)


def spec_of(value: Any) -> Spec:
    """Shape, dtype and identity of an array.

    >>> spec_of(np.zeros((2, 3), np.float32))[:2]
    ((2, 3), 'float32')
    """
    if is_tensor(value):
        axes = "turned" if getattr(value, "julia_axes", None) == "reversed" else ""
        return Spec(tuple(value.shape), str(value.dtype).removeprefix("torch."), id(value), axes)
    array = plain_array(value)
    return Spec(array.shape, array.dtype.name, id(value), "array")
