"""The tree that an optimiser came from, into which it goes again when it is saved.

Strategy: the tree is kept as it stood, with the weight of each leaf. Saved, each leaf has the state and the hyperparameters
of that moment, and Julia's ``Optimisers.update!`` goes on from it. Beside the tree, where Julia does not look, stands the
optimiser as ``optimisers.py`` writes it (its arrays are those of the tree): so it comes back without a search for its model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from torch import Tensor

from holdfast.codec.rule import Fields, Items
from holdfast.errors import FormatError
from holdfast.flux.optimise import FluxOptimiser, Optimiser
from holdfast.julia.types import type_name
from holdfast.julia.values import NamedTuple, Struct
from holdfast.vocab.flux.arrays import mark
from holdfast.vocab.flux.lowering import layer_type
from holdfast.vocab.flux.optimisers import ORIGIN, TREE, lower_struct, origin_of
from holdfast.vocab.flux.types import julia_type, same_type, type_of
from holdfast.vocab.torch.tensors import is_reversed

LEAF: Final = "Optimisers.Leaf"
KEPT: Final = "holdfast.flux.StateTree"
"""What Python calls the document of a tree with its optimiser."""


def is_leaf(value: Any) -> bool:
    """Whether ``value`` holds the state of one weight: ``Leaf(rule, state)``, since 0.2.10 with ``frozen``."""
    return isinstance(value, Struct) and type_name(value.type) == LEAF and len(value) in (2, 3)


def leaves(tree: Any) -> Iterator[Struct]:
    """The leaves of a tree, in order; one that two weights share stands twice. A list is gone through once: it can hold
    itself."""
    stack, lists = [tree], set[int]()
    while stack:
        node = stack.pop()
        if is_leaf(node):
            yield node
        elif isinstance(node, tuple) or (isinstance(node, list) and id(node) not in lists):
            lists.add(id(node))
            stack.extend(reversed(node))


@dataclass(slots=True, eq=False)
class KeptTree:
    """A tree as it stood in its file, and by the identity of each leaf the weight that it is for."""

    tree: Any
    weights: dict[int, Tensor]

    def document(self, optimiser: FluxOptimiser) -> Fields | None:
        """The tree with the state of now; None when ``optimiser`` has taken up weights that the tree has no place for."""
        held = {id(p) for group in optimiser.param_groups for p in group["params"]}
        if not held <= set(map(id, self.weights.values())):
            return None
        value = Written(self, optimiser).of(self.tree)
        leaf = is_leaf(value)
        parts = value.data if leaf else value
        names = None if leaf else getattr(value, "names", None)
        data = Items(parts)
        data.label = lambda index: f".{names[index]}" if names else f"[{index}]"
        fields = Fields(tag="tuple", data=data)
        if leaf or names:
            fields = Fields(tag="struct", type=value.type, data=data)
        weights = Items(self.weights[id(leaf)] for leaf in leaves(self.tree))
        return Fields(fields, python=KEPT, optimiser=lower_struct(optimiser), weights=weights)


def lift_kept(level: Fields) -> Any:
    """The optimiser that stands beside a tree, with the tree."""
    optimiser, weights, data = level.get("optimiser"), level.get("weights"), level["data"]
    if not isinstance(optimiser, FluxOptimiser) or not isinstance(weights, list) or not isinstance(data, list):
        raise FormatError(f"the optimiser of a tree is {optimiser!r:.60}")
    tree = tree_of(level)
    found = list(leaves(tree))
    if len(found) != len(weights) or not all(isinstance(weight, Tensor) for weight in weights):
        raise FormatError(f"a tree of {len(found)} leaves has {len(weights)} weights")
    vars(optimiser)[TREE] = KeptTree(tree, dict(zip(map(id, found), weights, strict=True)))
    return optimiser


def tree_of(level: Fields) -> Any:
    """The tree itself, as its own rule would give it: a NamedTuple, a tuple, or one leaf."""
    type_ = level.get("type")
    if type_ is None:
        return tuple(level["data"])
    if type_name(type_) == LEAF:
        return Struct(type_, level["data"])
    names = type_.params[0] if type_name(type_) == "NamedTuple" and type_.params else None
    if not isinstance(names, tuple) or len(names) != len(level["data"]):
        raise FormatError(f"the tree of an optimiser is a {type_name(type_)}")
    return NamedTuple(names, level["data"], type_)


class Written:
    """One tree with the state of now. Types stay the file's as long as they say what is there."""

    def __init__(self, kept: KeptTree, optimiser: FluxOptimiser) -> None:
        self.kept, self.optimiser = kept, optimiser
        self.held = {id(p) for group in optimiser.param_groups for p in group["params"]}
        self.made: dict[int, Struct] = {}

    def of(self, node: Any) -> Any:
        if is_leaf(node):
            known = self.made.get(id(node))
            if known is None:
                known = self.made[id(node)] = self.leaf(node)
            return known
        if not isinstance(node, tuple | list):
            return node
        parts = [self.of(part) for part in node]
        if isinstance(node, NamedTuple):
            fresh = NamedTuple(node.names, parts)
            type_ = type_of(fresh, layer_type)
            fresh.type = node.type if node.type is not None and self.unchanged(node, parts) else type_
            return fresh
        return tuple(parts) if isinstance(node, tuple) else parts

    def unchanged(self, node: NamedTuple, parts: list[Any]) -> bool:
        """Whether the parts have the types that they had."""
        return all(type_of(old, layer_type) is type_of(new, layer_type) for old, new in zip(node, parts, strict=True))

    def leaf(self, leaf: Struct) -> Struct:
        """``Leaf(rule, state, frozen)`` of now; what no group holds is frozen, and keeps the rule that it had."""
        weight = self.kept.weights[id(leaf)]
        frozen = id(weight) not in self.held
        rule = leaf[0] if frozen else rule_of_now(leaf[0], self.optimiser, weight)
        state = leaf_state(self.optimiser, weight)
        type_ = julia_type(("Optimisers", "Leaf"), (lower_struct(rule)["type"], type_of(state, layer_type)))
        return Struct(
            leaf.type if same_type(type_, leaf.type) else type_, [rule, state, *([frozen] if len(leaf) > 2 else [])]
        )


# -- rules and states -------------------------------------------------------------------------------------------------


def fresh(rule: FluxOptimiser) -> FluxOptimiser:
    """A rule like ``rule``, bound to nothing."""
    fields = [fresh(member) for member in rule.fields()] if isinstance(rule, Optimiser) else rule.fields()
    return type(rule)(*fields)


def rule_of_now(was: FluxOptimiser, optimiser: FluxOptimiser, weight: Tensor) -> FluxOptimiser:
    """The rule of a leaf with the hyperparameters that ``optimiser`` has for ``weight``, in the types that it had."""
    if isinstance(optimiser, Optimiser) and isinstance(was, Optimiser):
        pairs = zip(was, optimiser, strict=True)
        rule: FluxOptimiser = type(was)(*[rule_of_now(old, member, weight) for old, member in pairs])
    else:
        group = optimiser.group_of(weight)
        rule = type(was)(*[group[hyper.key] for hyper in optimiser.FIELDS.values()])
    if origin_of(was) is not None:
        vars(rule)[ORIGIN] = origin_of(was)
    return rule


def leaf_state(optimiser: FluxOptimiser, weight: Tensor) -> Any:
    """The state of one weight as Optimisers.jl has it, before the first step too."""
    if isinstance(optimiser, Optimiser):
        return tuple(leaf_state(member, weight) for member in optimiser)
    if not optimiser.STATE:
        return None
    state = optimiser.state.get(weight) or optimiser.start(weight.detach())
    parts = [as_julia(state[name], weight) for name in optimiser.STATE if name in state]
    return parts[0] if len(optimiser.STATE) == 1 else tuple(parts)


def as_julia(value: Any, weight: Tensor) -> Any:
    """An array with the axes of the weight's; the products of the betas as numbers of the weight's type."""
    if isinstance(value, tuple):
        kind = {2: np.float16, 4: np.float32}.get(weight.element_size(), float)
        return tuple(map(kind, value))
    return mark(value) if isinstance(value, Tensor) and is_reversed(weight) else value
