"""Flux's optimisers with their state, bound to the parameters of the model in the same file.

Strategy: in ``Flux.Optimise`` the state is an IdDict by parameter. A key is the array of a weight, and finds the tensor
that a layer made, or will make, of it (``arrays.when_made``). What no layer took stays and is saved again. The rules of
Optimisers.jl hold no state: ``trees.py`` joins them with theirs. Groups of parameters, which only torch has, stand beside
the struct.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from torch import Tensor

from holdfast.codec.rule import Fields, Items, Options, Rule
from holdfast.errors import FormatError, HoldfastError
from holdfast.flux import rules
from holdfast.flux.optimise import COUNTERS, FluxOptimiser, Optimiser
from holdfast.julia.types import type_name
from holdfast.julia.values import ByIdentity, DataType, IdDict, Struct
from holdfast.vocab.flux.arrays import mark, tensor_of, when_made
from holdfast.vocab.flux.eras import Choice, load_of
from holdfast.vocab.flux.functions import plain_number
from holdfast.vocab.flux.lowering import layer_type
from holdfast.vocab.flux.optimiser_layouts import BY_KIND, BY_NAME, UNTYPED, Rows, Sets
from holdfast.vocab.flux.tracked import julia_array
from holdfast.vocab.flux.types import ANY, julia_type, same_type, type_of
from holdfast.vocab.torch.documents import section
from holdfast.vocab.torch.optimisers import refuse_code
from holdfast.vocab.torch.tensors import is_reversed

ORIGIN: Final = "_julia"
TREE: Final = "_tree"
"""Attribute of an optimiser that came from a state tree: its ``kept_trees.KeptTree``."""


@dataclass(slots=True)
class OptimiserOrigin:
    """What an optimiser was in its file.

    fields   name -> (what stood there, what was made of it)
    keys     identity of a parameter -> (the parameter, the key that it was made of, the form of its state)
    left     keys and states that no layer's parameter belongs to
    """

    type: DataType
    names: tuple[str, ...]
    fields: dict[str, tuple[Any, Any]]
    table: Any = None
    keys: dict[int, tuple[Tensor, Any, Any]] = field(default_factory=dict)
    left: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def __deepcopy__(self, memo: Any) -> "OptimiserOrigin":
        return self


def origin_of(optimiser: FluxOptimiser) -> OptimiserOrigin | None:
    """What ``optimiser`` was in its file; None for a fresh one."""
    found: OptimiserOrigin | None = vars(optimiser).get(ORIGIN)
    return found


# -- from the file ----------------------------------------------------------------------------------------------------


def lift_optimiser(name: str) -> Callable[[Fields, Options], Any]:
    def lift(level: Fields, options: Options) -> Any:
        try:
            return optimiser_from(name, level, options)
        except FormatError as error:
            raise FormatError(f"{name}: {error.message}") from None
        except (HoldfastError, TypeError, ValueError) as error:
            raise FormatError(f"{name}: {error}") from None

    return lift


def optimiser_from(name: str, level: Fields, options: Options) -> Any:
    """The optimiser of one struct; a composition with members that are not Flux's stays a Struct."""
    rows, data = BY_NAME[name], level["data"]
    names = rows.fields.get(len(data)) if isinstance(data, list) else None
    if names is None:
        raise FormatError(f"{len(data)} fields; layouts with {', '.join(map(str, rows.fields))} are known")
    stood = dict(zip(names, data, strict=True))
    if "os" in stood:
        return composition(rows, level, stood["os"], options)
    made = {key: number_of(value) for key, value in stood.items() if key != "table"}
    swapped = _swapped(name, made)
    optimiser = rows.kind(**swapped)
    kept = {key: (stood[key], swapped[key]) for key in swapped}
    origin = vars(optimiser)[ORIGIN] = OptimiserOrigin(level["type"], names, kept)
    if swapped != made:
        origin.fields = {key: (value, swapped[key]) for key, value in zip(swapped, data, strict=True)}
    choices = _choices(rows, made, stood.get("table"))
    if choices:
        load_of(options).era.settle(choices, lambda sets: _set(optimiser, sets))
    if "table" in stood:
        take_state(optimiser, origin, stood["table"], options)
    take_groups(optimiser, level)
    return optimiser


def number_of(value: Any) -> Any:
    """A hyperparameter as Python's number, or a tuple of them."""
    if isinstance(value, tuple):
        return tuple(map(number_of, value))
    value = plain_number(value)
    if not isinstance(value, int | float):
        raise FormatError(f"a hyperparameter is {value!r:.60}, not a number")
    return value


def _swapped(name: str, made: dict[str, Any]) -> dict[str, Any]:
    """AdamW of Optimisers.jl 0.4.0 and 0.4.1 had ``epsilon`` before ``lambda``: the tiny one of the two is epsilon."""
    if name != "Optimisers.AdamW" or not 0 < made["lambda_"] < 1e-6 or 0 < made["epsilon"] < made["lambda_"]:
        return made
    return {**made, "lambda_": made["epsilon"], "epsilon": made["lambda_"]}


def _choices(rows: Rows, made: Mapping[str, Any], table: Any) -> list[Choice[Sets]]:
    """How versions computed, less what the state rules out.

    AdaBelief that is corrected holds the products of the betas. NADAM of Flux 0.8 always holds their squares, in a tuple.
    """
    products = [value[2] if len(value) > 2 else None for value in _tuples(table)]
    if rows.kind is rules.AdaBelief and products:
        return [choice for choice in rows.choices if choice.value["corrected"] == (products[0] is not None)]
    if rows.kind is rules.NADAM and products:
        squares = tuple(beta * beta for beta in made["beta"])
        first = all(isinstance(product, tuple) and product == squares for product in products)
        return [
            Choice(c.span, c.value, first and c.value["formula"] == "0.8")
            for c in rows.choices
            if first or not c.value["formula"]
        ]
    return list(rows.choices)


def _tuples(table: Any) -> list[tuple[Any, ...]]:
    values = table.values() if isinstance(table, dict) else ()
    return [value for value in values if isinstance(value, tuple)]


def _set(optimiser: FluxOptimiser, sets: Sets) -> None:
    for name, value in sets.items():
        setattr(optimiser, name, value)


def composition(rows: Rows, level: Fields, members: Any, options: Options) -> Any:
    """``Optimiser(…)`` or ``OptimiserChain(…)``. It is bound to what its members are bound to."""
    held = list(members) if isinstance(members, list | tuple) else []
    if not held or not all(isinstance(member, FluxOptimiser) for member in held):
        return Struct(level["type"], level["data"])
    assert issubclass(rows.kind, Optimiser)
    whole = rows.kind.of(held)
    vars(whole)[ORIGIN] = OptimiserOrigin(level["type"], ("os",), {"os": (members, held)})
    for member in held:
        origin = origin_of(member)
        for key, _ in list(origin.left.values()) if origin is not None else []:
            when_made(key, options, lambda tensor: whole.bind([tensor]))
    take_groups(whole, level)
    return whole


# -- state ------------------------------------------------------------------------------------------------------------


def take_state(optimiser: FluxOptimiser, origin: OptimiserOrigin, table: Any, options: Options) -> None:
    """Give each parameter its state, now or when a layer makes the parameter."""
    if not isinstance(table, dict):
        raise FormatError(f"its state is a {type(table).__name__}, not an IdDict")
    origin.table = getattr(table, "type", None)
    places = {id(tensor): place for place, (_, tensor) in enumerate(options.made.values())}
    entries = [(key.value if isinstance(key, ByIdentity) else key, value) for key, value in table.items()]
    entries.sort(key=lambda entry: places.get(id(array_in(entry[0])), len(places)))
    for key, value in entries:
        origin.left[id(key)] = (key, value)
        when_made(key, options, _taker(optimiser, origin, key, value, options))


def array_in(key: Any) -> Any:
    """The array of a weight: itself, or inside a TrackedArray."""
    return key[1] if isinstance(key, Struct) and type_name(key.type).endswith("TrackedArray") else key


def _taker(
    optimiser: FluxOptimiser, origin: OptimiserOrigin, key: Any, value: Any, options: Options
) -> Callable[[Tensor], None]:
    def take(parameter: Tensor) -> None:
        origin.left.pop(id(key), None)
        origin.keys[id(parameter)] = (parameter, key, value)
        optimiser.bind([parameter])
        optimiser.state[parameter] = state_from(optimiser, value, parameter, options)

    return take


def state_from(optimiser: FluxOptimiser, value: Any, parameter: Tensor, options: Options) -> dict[str, Any]:
    """What is kept for one parameter, by name."""
    parts = (value,) if len(optimiser.STATE) == 1 else value
    if not isinstance(parts, tuple) or len(parts) > len(optimiser.STATE):
        raise FormatError(f"a parameter's state is {value!r:.80}")
    return {
        name: kept_value(name, part, parameter, options) for name, part in zip(optimiser.STATE, parts, strict=False)
    }


def kept_value(name: str, part: Any, parameter: Tensor, options: Options) -> Any:
    """An array like the parameter, the products of the betas, or a count (in a ``Ref`` or by itself)."""
    if name == "βp":
        return tuple(map(float, part))
    if name in COUNTERS:
        return int(part[0] if isinstance(part, Struct) else part)
    tensor = tensor_of(part, options, reverse=is_reversed(parameter))
    if tensor.shape != parameter.shape:
        raise FormatError(f"the state of a parameter of shape {tuple(parameter.shape)} is of {tuple(tensor.shape)}")
    return tensor


def take_groups(optimiser: FluxOptimiser, level: Fields) -> None:
    """The groups that Holdfast wrote beside the struct."""
    groups = level.get("groups")
    if groups is None:
        return
    own = optimiser.param_groups[0].keys()
    if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
        raise FormatError(f"its groups are {groups!r:.60}")
    for group in groups:
        tensors = group.get("params")
        if not own <= group.keys() or not isinstance(tensors, list) or not all(isinstance(t, Tensor) for t in tensors):
            raise FormatError(f"one of its groups is {group!r:.80}")
    optimiser.param_groups = groups
    for entry in level.get("state", ()):
        parameter, state = entry
        if not isinstance(parameter, Tensor) or not isinstance(state, dict) or not state.keys() <= set(optimiser.STATE):
            raise FormatError(f"a parameter's state is {entry!r:.80}")
        optimiser.state[parameter] = state


# -- to the file ------------------------------------------------------------------------------------------------------


def lower_optimiser(optimiser: FluxOptimiser) -> Fields:
    """The tree that the optimiser came from, as long as that has a place for all of its weights; else its struct."""
    refuse_code(optimiser)
    tree = vars(optimiser).get(TREE)
    whole: Fields | None = tree.document(optimiser) if tree is not None else None
    return lower_struct(optimiser) if whole is None else whole


def lower_struct(optimiser: FluxOptimiser) -> Fields:
    """The struct of the rule, with its state if it has a place for that."""
    package, rows = BY_KIND[type(optimiser)]
    origin = origin_of(optimiser)
    names = origin.names if origin is not None else rows.today
    values = {name: field_value(optimiser, origin, name) for name in names}
    data = Items(values.values())
    data.label = lambda index: "" if names[index] in ("table", "os") else f".{names[index]}"
    fields = Fields(tag="struct", type=optimiser_type(package, rows, origin, values), data=data)
    return Fields(fields, **python_side(optimiser, "table" in names))


def field_value(optimiser: FluxOptimiser, origin: OptimiserOrigin | None, name: str) -> Any:
    if name == "table":
        return state_table(optimiser, origin)
    was, made = origin.fields[name] if origin is not None and name in origin.fields else (None, None)
    if name == "os":
        members = list(optimiser.fields())
        return (
            tuple(members) if isinstance(was, tuple) or BY_KIND[type(optimiser)][0] == "Optimisers" else Items(members)
        )
    value = optimiser.values[optimiser.FIELDS[name].key]
    if was is not None and value == made:
        return was
    return float(value) if isinstance(was, float) or name == "thresh" else value


def optimiser_type(package: str, rows: Rows, origin: OptimiserOrigin | None, values: Mapping[str, Any]) -> Any:
    path = tuple(f"{package}.{rows.names[-1]}".split("."))
    typed = [value for name, value in values.items() if name not in UNTYPED] if rows.typed else []
    type_ = julia_type(path, tuple(type_of(value, optimiser_or_layer_type) for value in typed))
    if origin is None:
        return type_
    same = [same_type(*pair) for pair in zip(type_.params, list(origin.type.params), strict=False)]
    return origin.type if all(same) or not rows.typed else type_


def optimiser_or_layer_type(value: Any) -> Any:
    return layer_type(value)


TABLE: Final = julia_type(("Main", "Base", "IdDict"), (ANY, ANY))
VECTOR: Final = np.float64
REF: Final = julia_type(("Main", "Base", "RefValue"), (julia_type(("Core", "Int64")),))


def state_table(optimiser: FluxOptimiser, origin: OptimiserOrigin | None) -> IdDict:
    """The IdDict of all states; keys are the parameters as the layers write them."""
    table = IdDict()
    table.type = origin.table if origin is not None and origin.table is not None else TABLE
    known = origin.keys if origin is not None else {}
    for parameter, state in optimiser.state.items():
        if state:
            entry = known.get(id(parameter))
            key, form = (entry[1], entry[2]) if entry is not None else (None, None)
            table[ByIdentity(julia_array(parameter, key))] = state_value(optimiser, parameter, state, form)
    for key, value in list(origin.left.values()) if origin is not None else []:
        table[ByIdentity(key)] = value
    return table


def state_value(optimiser: FluxOptimiser, parameter: Tensor, state: Mapping[str, Any], form: Any) -> Any:
    """What is kept for one parameter, in the form that the file had."""
    names = [name for name in optimiser.STATE if name in state]
    forms = form if isinstance(form, tuple) and len(form) == len(names) else (form,) * len(names)
    values = [lower_kept(name, state[name], parameter, was) for name, was in zip(names, forms, strict=True)]
    return values[0] if len(optimiser.STATE) == 1 else tuple(values)


def lower_kept(name: str, value: Any, parameter: Tensor, was: Any) -> Any:
    if name == "βp":
        return tuple(value) if isinstance(was, tuple) else np.array(value, VECTOR)
    if name == "t":
        return Struct(was.type if isinstance(was, Struct) else REF, [value])
    if isinstance(value, Tensor) and is_reversed(parameter):
        return mark(value)
    return value


def python_side(optimiser: FluxOptimiser, has_table: bool) -> dict[str, Any]:
    """The groups of an optimiser that holds parameters; and the state where Julia's struct has no place for it."""
    groups = optimiser.param_groups
    if len(groups) == 1 and not groups[0]["params"]:
        return {}
    sides: dict[str, Any] = {"groups": Items(lower_group(group) for group in groups)}
    if not has_table and optimiser.state:
        sides["state"] = Items(Items([p, section(state)]) for p, state in optimiser.state.items())
    return sides


def lower_group(group: Mapping[str, Any]) -> Fields:
    return section({key: Items(value) if key == "params" else value for key, value in group.items()})


RULES: Final = [
    Rule(
        "struct",
        name,
        (rows.kind,) if name == f"{BY_KIND[rows.kind][0]}.{rows.names[-1]}" else (),
        lower_optimiser,
        lift_with=lift_optimiser(name),
    )
    for name, rows in BY_NAME.items()
]
