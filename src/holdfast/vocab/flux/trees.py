"""``Flux.setup(rule, model)``: the tree that today's Flux keeps an optimiser's state in, joined with its model.

Strategy: the tree mirrors the model. A struct is a NamedTuple by Julia's names of its fields, a tuple of layers a tuple; in
the place of each weight stands ``Optimisers.Leaf(rule, state, frozen)``. ``optimiser_from(tree, model)`` makes the torch
optimiser that goes on from it, ``tree_from(opt, model)`` a tree again. A tree that is loaded beside the one model that it
fits is joined with it at once; any other stays a tree.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from torch import Tensor, nn

from holdfast.codec.rule import Fields, Filling, Options, Rule
from holdfast.errors import FormatError, HoldfastError, MismatchError, UnsupportedError
from holdfast.flux.optimise import FluxOptimiser, Optimiser
from holdfast.flux.parameters import params
from holdfast.julia.values import NamedTuple, Struct
from holdfast.vocab.flux.arrays import lift_struct
from holdfast.vocab.flux.eras import TODAY, Version, version
from holdfast.vocab.flux.kept_trees import KEPT, LEAF, KeptTree, fresh, is_leaf, leaf_state, leaves, lift_kept
from holdfast.vocab.flux.layouts import BY_LAYER
from holdfast.vocab.flux.lowering import form_of, layer_type
from holdfast.vocab.flux.optimiser_layouts import BY_KIND, LATE, WHOLE
from holdfast.vocab.flux.optimisers import ORIGIN, TREE, OptimiserOrigin, kept_value, lower_optimiser
from holdfast.vocab.flux.today import bounds
from holdfast.vocab.flux.types import julia_type, type_of

NAMES: Final = {
    "σ": "activation",
    "λ": "activation",
    "ϵ": "eps",
    "chs": "channels",
    "G": "groups",
    "μ": "mean",
    "σ²": "var",
    "β": "beta",
    "γ": "gamma",
    "b": "bias",
    "Wh_h̃": "Wh_h",
    "α": "scale",
    "over": "layers",
}
"""Julia's names of fields -> Python's, where they differ."""

NORMS: Final = frozenset({"BatchNorm", "InstanceNorm", "GroupNorm", "LayerNorm"})
"""Layers whose activation is called λ, not σ."""

SPELLED_OUT: Final = frozenset({"RNNCell", "LSTMCell"})
"""Cells whose bias is called so since 0.15, and was b."""


def leaves_of(tree: Any, model: Any, at: str = "") -> Iterator[tuple[str, Struct, Tensor]]:
    """Each leaf of ``tree`` with its place and its weight in ``model``. Raises MismatchError where they part."""
    if is_leaf(tree):
        if not isinstance(model, Tensor):
            raise MismatchError(f"the tree has the state of a weight at {at or 'the top'}, the model has {model!r:.60}")
        yield at, tree, model
    elif isinstance(tree, NamedTuple):
        for name, part in tree.items():
            if not is_empty(part):
                yield from leaves_of(part, child_of(model, name, at), f"{at}.{name}")
    elif isinstance(tree, tuple | list):
        members = list(model) if isinstance(model, tuple | list) or hasattr(model, "__getitem__") else []
        if tree and len(members) != len(tree):
            raise MismatchError(f"the tree has {len(tree)} layers at {at or 'the top'}, the model has {len(members)}")
        for index, (part, member) in enumerate(zip(tree, members, strict=True) if tree else ()):
            if not is_empty(part):
                yield from leaves_of(part, member, f"{at}[{index}]")


def is_empty(tree: Any) -> bool:
    """Whether there is no leaf below: Optimisers.jl writes ``()`` or nothing where there is no weight."""
    if tree is None or tree == ():
        return True
    return isinstance(tree, tuple | list) and not is_leaf(tree) and all(map(is_empty, tree))


def child_of(model: Any, name: str, at: str) -> Any:
    """The part of a layer that Julia calls ``name``."""
    if hasattr(model, "_owner"):  # the members of a container, by name
        return model[name]
    known = NAMES.get(name, name)
    layout = BY_LAYER.get(type(model))
    if layout is not None and known in layout.kinds:
        return layout.value(model, known)
    if not hasattr(model, known):
        raise MismatchError(f"the tree has {name!r} at {at or 'the top'}, the model has {type(model).__name__} there")
    return getattr(model, known)


# -- from the tree ----------------------------------------------------------------------------------------------------


def optimiser_from(tree: Any, model: nn.Module) -> FluxOptimiser:
    """The optimiser that goes on from the state in ``tree``, bound to the weights of ``model``.

    Weights with other hyperparameters (``Optimisers.adjust!`` of a part) make a group of their own; frozen ones are in
    none. Saved, it is the tree again. What ``load`` has joined already is given back as it is.

    Raises MismatchError where tree and model part, UnsupportedError for a rule that Python does not have.
    """
    if isinstance(tree, FluxOptimiser):
        return same_weights(tree, model)
    found = list(leaves_of(tree, model))
    if not found:
        raise MismatchError(
            "there is no state of a weight in this tree: was it made by Flux.setup or Optimisers.setup?"
        )
    for at, leaf, _ in found:
        if not isinstance(leaf[0], FluxOptimiser):
            raise UnsupportedError(f"the rule {leaf[0]!r:.60} at {at} is none that Python has")
    optimiser = fresh(found[0][1][0])
    for _, leaf, weight in found:
        give_state(optimiser, weight, leaf[1])
    group_by_rule(optimiser, [(leaf[0], weight) for _, leaf, weight in found if len(leaf) < 3 or leaf[2] is not True])
    vars(optimiser)[TREE] = KeptTree(tree, {id(leaf): weight for _, leaf, weight in found})
    return optimiser


def same_weights(optimiser: FluxOptimiser, model: nn.Module) -> FluxOptimiser:
    """``optimiser``, which drives ``model``. Raises MismatchError if it does not."""
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    if not held <= {id(p) for p in params(model)}:
        raise MismatchError(f"{optimiser!r} is an optimiser already, of another model than this one")
    return optimiser


def give_state(optimiser: FluxOptimiser, weight: Tensor, state: Any) -> None:
    """What a leaf holds, as the optimiser keeps it; the members of a chain have theirs in a tuple."""
    if isinstance(optimiser, Optimiser):
        if not isinstance(state, tuple) or len(state) != len(optimiser):
            raise FormatError(f"the state of an OptimiserChain of {len(optimiser)} is {state!r:.60}")
        for member, part in zip(optimiser, state, strict=True):
            give_state(member, weight, part)
    elif optimiser.STATE and state is not None:
        parts = (state,) if len(optimiser.STATE) == 1 else state
        pairs = zip(optimiser.STATE, parts, strict=True)
        options = Options(device=str(weight.device))
        optimiser.state[weight] = {
            name: part if isinstance(part, bool) else kept_value(name, part, weight, options) for name, part in pairs
        }


def group_by_rule(optimiser: FluxOptimiser, entries: list[tuple[FluxOptimiser, Tensor]]) -> None:
    """One group for each set of hyperparameters, in the order of the model."""
    groups: dict[str, dict[str, Any]] = {}
    for rule, weight in entries:
        values = {key: value for key, value in rule.param_groups[0].items() if key != "params"}
        group = groups.setdefault(repr(rule), {"params": [], **values})
        if not any(weight is other for other in group["params"]):
            group["params"].append(weight)
    optimiser.param_groups = list(groups.values()) or optimiser.param_groups
    if isinstance(optimiser, Optimiser):
        if len(groups) > 1:
            raise UnsupportedError("an OptimiserChain whose weights have different hyperparameters has no counterpart")
        for member in optimiser:
            member.bind(optimiser.param_groups[0]["params"])


# -- beside its model -------------------------------------------------------------------------------------------------


def lift_leaf(level: Fields, options: Options) -> Filling:
    """A leaf stays the struct that it is; the tree that it belongs to is looked at when all values are there."""
    if join_trees not in options.after:
        options.after.append(join_trees)
    yield from lift_struct(level, options)


def join_trees(values: dict[str, Any]) -> None:
    """Put the optimiser in the place of each tree that fits one model, of those beside it or above; in ``values``.

    The values of a file are beside each other, and so are those of a dictionary in it.
    """
    made: dict[int, Any] = {}
    seen = {id(values)}
    stack: list[tuple[dict[str, Any], list[nn.Module]]] = [(values, [])]
    while stack:
        table, above = stack.pop()
        beside = [value for value in table.values() if isinstance(value, nn.Module)]
        models = list({id(model): model for model in [*beside, *above]}.values())
        for name, value in table.items():
            if type(value) is dict and id(value) not in seen:
                seen.add(id(value))
                stack.append((value, models))
            elif isinstance(value, tuple | Struct):
                if id(value) not in made:
                    made[id(value)] = joined(value, models)
                table[name] = made[id(value)]


def joined(tree: Any, models: Sequence[nn.Module]) -> Any:
    """The optimiser that ``tree`` and the one model which it fits make; the tree where none does, or several do."""
    if next(leaves(tree), None) is None:
        return tree
    found = [optimiser for model in models if (optimiser := fitting(tree, model)) is not None]
    return found[0] if len(found) == 1 else tree


def fitting(tree: Any, model: nn.Module) -> FluxOptimiser | None:
    """The optimiser of a tree that has a leaf for each weight of ``model``, and no other."""
    try:
        optimiser = optimiser_from(tree, model)
    except (HoldfastError, TypeError, ValueError, LookupError, AttributeError, RecursionError):
        return None
    kept: KeptTree = vars(optimiser)[TREE]
    return optimiser if set(map(id, kept.weights.values())) == set(map(id, params(model))) else None


# -- to the tree ------------------------------------------------------------------------------------------------------


def tree_from(optimiser: FluxOptimiser, model: nn.Module, flux: str = "") -> Any:
    """The tree that ``Flux.setup`` would have made, with the state of ``optimiser``: for ``Optimisers.update!`` in Julia.

    ``flux`` is the version that is to open it, as in ``for_flux``: today's unless given; before 0.15 the rules were other
    types (Optimisers.jl 0.3). Raises UnsupportedError for an optimiser that is none of ``holdfast.flux.optimisers``, or
    that this version lacks.
    """
    package, _ = BY_KIND.get(type(optimiser), ("", None))
    if package != "Optimisers":
        raise UnsupportedError(f"{optimiser!r} is not of Optimisers.jl: use the one of holdfast.flux.optimisers")
    return _Trees(optimiser, bounds(flux)[0]).of(model)


class _Trees:
    """One tree; a weight that stands twice in the model has one leaf."""

    def __init__(self, optimiser: FluxOptimiser, wanted: Version) -> None:
        self.optimiser, self.wanted = optimiser, wanted
        self.leaves: dict[int, Struct] = {}

    def of(self, value: Any) -> Any:
        layout = BY_LAYER.get(type(value))
        if layout is not None:
            form = form_of(layout, value)
            names = [julia_field(type(value).__name__, name, self.wanted) for name in form.fields]
            return NamedTuple(names, [self.of(layout.value(value, name)) for name in form.fields])
        if isinstance(value, nn.Parameter) and value.requires_grad:
            return self.leaf(value)
        if hasattr(value, "_owner"):
            parts = [self.of(member) for member in value]
            return NamedTuple(value._owner.names, parts) if value._owner.named else tuple(parts)
        return tuple(self.of(part) for part in value) if isinstance(value, tuple) else ()

    def leaf(self, weight: nn.Parameter) -> Struct:
        known = self.leaves.get(id(weight))
        if known is None:
            state, rule = leaf_state(self.optimiser, weight), fresh(self.optimiser)
            if self.wanted < TYPED:
                take_former_type(rule)
            types = lower_optimiser(rule)["type"], type_of(state, layer_type)
            type_ = julia_type(("Optimisers", "Leaf"), types)
            known = self.leaves[id(weight)] = Struct(type_, [rule, state, False])
        return known


TYPED: Final = version("0.15.0")
"""The first Flux with Optimisers.jl 0.4, whose rules are types with parameters."""


def take_former_type(rule: FluxOptimiser) -> None:
    """Write ``rule`` as Optimisers.jl 0.3 has it. Raises UnsupportedError for a rule that it lacks."""
    if isinstance(rule, Optimiser):
        for member in rule:
            take_former_type(member)
        return
    if type(rule) in LATE:
        raise UnsupportedError(
            f"{rule!r} is no rule of its own before Flux 0.15: use OptimiserChain(Adam, WeightDecay)"
        )
    package, rows = BY_KIND[type(rule)]
    parameters = (type_of(rule.fields()[0], layer_type),) if type(rule) in WHOLE else ()
    vars(rule)[ORIGIN] = OptimiserOrigin(julia_type((package, rows.names[-1]), parameters), rows.today, {})


def julia_field(layer: str, name: str, wanted: Version = TODAY) -> str:
    """Julia's name of a field in Flux ``wanted``, 0.13 or later."""
    if name == "activation":
        return "λ" if layer in NORMS else "σ"
    if name == "groups":
        return "G" if layer == "GroupNorm" else name
    if name == "bias":
        return "b" if layer in ("GRUCell", "GRUv3Cell") or (layer in SPELLED_OUT and wanted < TYPED) else name
    return next((theirs for theirs, ours in NAMES.items() if ours == name and theirs not in ("α", "over")), name)


RULES: Final = [
    Rule("struct", LEAF, lift_with=lift_leaf),
    Rule("python", KEPT, lift=lift_kept),
]
