"""torch's optimisers: their state goes to the parameter that it was for.

Strategy: whatever the file holds (a saved optimiser, its ``state_dict``, one of Flux's) becomes a ``Saved``: groups of
parameters, and a state for each. Parameters pair by name where a module of the same ``restore`` gives the names, or the
groups do; by position otherwise, with shapes compared. The result is a ``state_dict`` in the live optimiser's order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, TypeGuard

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from holdfast.julia import ByIdentity
from holdfast.state.match import compare, join, pair_names
from holdfast.state.records import Record, is_array, spec_of, type_text
from holdfast.state.targets import Act, Plan, Step, refused
from holdfast.state.torch_targets import Bonds, as_tensor

LISTS: Final = frozenset({"params", "param_names"})
"""What a group holds besides its hyperparameters."""
OPTIONS: Final = frozenset(
    {"foreach", "maximize", "capturable", "differentiable", "fused", "decoupled_weight_decay", "initial_lr"}
)
"""Hyperparameters that only some versions of torch have, or that a scheduler adds: they tell no optimisers apart."""
OTHER_SHAPES: Final = frozenset({"LBFGS", "Adafactor"})
"""Optimisers of torch's whose state is not shaped like the parameter."""


@dataclass(slots=True)
class Saved:
    """An optimiser of the file. A parameter is its ``key``: the tensor's identity, or its number in a state_dict.

    ``loose``: one of Flux's, which knows a parameter by its state alone, and in no order.
    """

    name: str
    groups: list[dict[str, Any]]
    keys: list[list[Any]]
    state: dict[Any, Any]
    tensors: dict[Any, Any] = field(default_factory=dict)
    members: list["Saved"] = field(default_factory=list)
    loose: bool = False


# -- from the file ----------------------------------------------------------------------------------------------------


def saved_from(value: Any) -> Saved | None:
    """The optimiser that ``value`` is; None for anything else."""
    if isinstance(value, Record):
        parts = value.attributes
        return _of_tensors(value.class_name, parts.get("param_groups"), _pairs(parts.get("state")))
    if isinstance(value, Optimizer):
        saved = _of_tensors(type(value).__name__, value.param_groups, value.state.items())
        if saved is not None:
            saved.members = [member for part in getattr(value, "os", ()) if (member := saved_from(part))]
            saved.loose = True
        return saved
    return _of_dict(value) if isinstance(value, Mapping) else None


def _pairs(state: Any) -> list[tuple[Any, Any]]:
    """(parameter, its state), which stand as a dictionary or as a list of pairs."""
    pairs = list(state.items()) if isinstance(state, Mapping) else state
    if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        return []
    return [(key.value if isinstance(key, ByIdentity) else key, kept) for key, kept in pairs]


def _of_tensors(name: str, groups: Any, state: Iterable[tuple[Any, Any]]) -> Saved | None:
    if not _is_groups(groups):
        return None
    tensors = {id(tensor): tensor for group in groups for tensor in group["params"]}
    keys = [[id(tensor) for tensor in group["params"]] for group in groups]
    return Saved(name, list(groups), keys, {id(tensor): kept for tensor, kept in state}, tensors)


def _of_dict(value: Mapping[Any, Any]) -> Saved | None:
    groups, state = value.get("param_groups"), value.get("state")
    if not _is_groups(groups) or not isinstance(state, Mapping):
        return None
    if not all(isinstance(key, int) for group in groups for key in group["params"]):
        return None
    members = [member for part in value.get("os", ()) if (member := saved_from(part))]
    keys = [list(group["params"]) for group in groups]
    return Saved("", list(groups), keys, {_number(key): kept for key, kept in state.items()}, members=members)


def _is_groups(groups: Any) -> TypeGuard[Sequence[dict[str, Any]]]:
    return isinstance(groups, list | tuple) and all(
        isinstance(group, Mapping) and isinstance(group.get("params"), list | tuple) for group in groups
    )


def _number(key: Any) -> Any:
    """A parameter's number; JSON and BSON have made it a text on the way."""
    return int(key) if isinstance(key, str) and key.isdecimal() else key


# -- the plan ---------------------------------------------------------------------------------------------------------


def plan_optimiser(optimiser: Optimizer, value: Any, at: str, bonds: Bonds) -> Plan:
    """An optimiser from a saved one or from its ``state_dict``."""
    saved = saved_from(value)
    if saved is None:
        return refused(at, f"{type_text(value)} in the file, an optimiser in the live object")
    differences: list[str] = []
    state = state_for(optimiser, saved, at, bonds, differences)
    if differences:
        return Plan(differences)
    return Plan(steps=[Step(lambda: optimiser.load_state_dict(state), lambda: _remember(optimiser))])


def _remember(optimiser: Optimizer) -> Act:
    """``load_state_dict`` makes new dictionaries and leaves the old ones alone, so these can simply be put back."""
    kept = [(member, member.state, member.param_groups) for member in [optimiser, *getattr(optimiser, "os", ())]]

    def put_back() -> None:
        for member, state, groups in kept:
            member.state, member.param_groups = state, groups

    return put_back


def state_for(optimiser: Optimizer, saved: Saved, at: str, bonds: Bonds, differences: list[str]) -> dict[str, Any]:
    """The ``state_dict`` of the live optimiser with the saved values; what does not fit goes into ``differences``."""
    live = optimiser.param_groups
    differences += _of_another_kind(optimiser, saved, at)
    if len(saved.groups) != len(live):
        differences.append(
            f"{join(at, 'param_groups')}: {len(saved.groups)} in the file, {len(live)} in the live object"
        )
    if differences:
        return {}
    starts = [0, *accumulate(len(group["params"]) for group in live)]
    state: dict[str, Any] = {"state": {}, "param_groups": []}
    for place, group in zip(group_order(saved, live, bonds), live, strict=True):
        number, start = len(state["param_groups"]), starts[len(state["param_groups"])]
        inner = f"{at}.param_groups[{number}]"
        keys = pair_group(saved, place, group, inner, bonds, differences, shaped=_is_shaped(optimiser))
        hyper = {key: copied(item) for key, item in saved.groups[place].items() if key not in LISTS}
        rest = {key: item for key, item in group.items() if key not in LISTS}
        state["param_groups"].append({**rest, **hyper, "params": list(range(start, start + len(keys)))})
        state["state"] |= {start + i: copied(saved.state[key]) for i, key in enumerate(keys) if key in saved.state}
    members = getattr(optimiser, "os", None)
    if members is not None:
        state["os"] = _member_states(members, saved, at, bonds, differences)
    return state


def _member_states(
    members: Sequence[Optimizer], saved: Saved, at: str, bonds: Bonds, differences: list[str]
) -> list[dict[str, Any]]:
    """The same for the members of Flux's ``Optimiser``."""
    if len(members) != len(saved.members):
        differences.append(f"{at}: {len(saved.members)} optimisers in the file, {len(members)} in the live object")
        return []
    pairs = enumerate(zip(members, saved.members, strict=True))
    return [state_for(member, theirs, f"{at}[{index}]", bonds, differences) for index, (member, theirs) in pairs]


def _of_another_kind(optimiser: Optimizer, saved: Saved, at: str) -> list[str]:
    """A line when another class saved this. A ``state_dict`` has no class: its hyperparameters must tell."""
    ours = type(optimiser).__name__
    if saved.name:
        return [f"{at}: saved by {saved.name}, restoring into {ours}"] if saved.name != ours else []
    theirs = {key for group in saved.groups for key in group} - LISTS - OPTIONS
    wanted = set(optimiser.defaults) - OPTIONS
    lacking, strange = sorted(wanted - theirs), sorted(theirs - wanted - {k for g in optimiser.param_groups for k in g})
    if saved.groups and lacking and strange:
        return [f"{at}: saved by an optimiser with {', '.join(strange)} and without {', '.join(lacking)}: not {ours}"]
    return []


def _is_shaped(optimiser: Optimizer) -> bool:
    """Whether the arrays of this optimiser's state have the shapes of the parameters."""
    cls = type(optimiser)
    return cls.__module__.startswith("torch.optim.") and cls.__name__ not in OTHER_SHAPES


def group_order(saved: Saved, live: Sequence[Mapping[str, Any]], bonds: Bonds) -> list[int]:
    """For each live group the number of the saved one: that of the same parameters where these are known."""
    known = [{id(bonds.live[key]) if key in bonds.live else None for key in keys} for keys in saved.keys]
    order = [
        next((i for i, members in enumerate(known) if members == {id(p) for p in group["params"]}), None)
        for group in live
    ]
    whole = all(place is not None for place in order) and len(set(order)) == len(order)
    return [place for place in order if place is not None] if whole else list(range(len(live)))


def pair_group(
    saved: Saved,
    place: int,
    group: Mapping[str, Any],
    at: str,
    bonds: Bonds,
    differences: list[str],
    *,
    shaped: bool = True,
) -> list[Any]:
    """The key of the saved parameter for each live one of a group; None where it has no state yet."""
    keys = saved.keys[place]
    known = all(key in bonds.live for key in keys)
    if saved.loose and not known:
        differences.append(f"{at}: {saved.name} does not say the order of its parameters; restore their model with it")
        return []
    if saved.loose or (keys and known):
        return _by_bonds(saved, keys, group, at, bonds, differences)
    if len(keys) != len(group["params"]):
        differences.append(f"{at}: {len(keys)} parameters in the file, {len(group['params'])} in the live object")
        return []
    keys = _by_group_names(saved.groups[place], group, keys)
    for key, tensor, label in zip(keys, group["params"], names_of(group, bonds), strict=True):
        differences += [f"{at}: {label}: {reason}" for reason in _misfits(saved, key, tensor, shaped)]
    return keys


def _by_bonds(
    saved: Saved, keys: list[Any], group: Mapping[str, Any], at: str, bonds: Bonds, differences: list[str]
) -> list[Any]:
    """The keys by the live tensors that their modules were filled into."""
    theirs = {id(bonds.live[key]): key for key in keys}
    ours = {id(tensor): label for tensor, label in zip(group["params"], names_of(group, bonds), strict=True)}
    lost = [] if saved.loose else [label for tensor, label in ours.items() if tensor not in theirs]
    strange = [bonds.names.get(tensor, "a parameter") for tensor in theirs if tensor not in ours]
    differences += [f"{at}: {label} is not in this group of the file" for label in lost]
    differences += [f"{at}: {label} is in this group of the file, not in the live object" for label in strange]
    return [theirs.get(id(tensor)) for tensor in group["params"]]


def names_of(group: Mapping[str, Any], bonds: Bonds) -> list[str]:
    """What the live parameters of a group are called: by the modules, by the group, or by their position."""
    own = group.get("param_names") or [f"params[{index}]" for index in range(len(group["params"]))]
    return [bonds.names.get(id(tensor), name) for tensor, name in zip(group["params"], own, strict=True)]


def _by_group_names(theirs: Mapping[str, Any], ours: Mapping[str, Any], keys: list[Any]) -> list[Any]:
    """The keys in the order of the live group, where both were made with ``named_parameters``."""
    saved, live = theirs.get("param_names"), ours.get("param_names")
    if not isinstance(saved, list) or not live or len(saved) != len(keys):
        return keys
    paired = {our: their for their, our in pair_names(saved, live).items()}
    return [keys[saved.index(paired[name])] for name in live] if len(paired) == len(live) else keys


def _misfits(saved: Saved, key: Any, tensor: Tensor, shaped: bool) -> list[str]:
    """Why a saved parameter is not this live one: its shape, or else its state's (if that is ``shaped`` alike)."""
    if key in saved.tensors:
        theirs = spec_of(saved.tensors[key])
        return [reason] if (reason := compare(theirs._replace(dtype=spec_of(tensor).dtype), spec_of(tensor))) else []
    state = saved.state.get(key)
    arrays = state.items() if isinstance(state, Mapping) and shaped else ()
    shapes = {name: spec_of(item).shape for name, item in arrays if is_array(item) and spec_of(item).shape}
    return [
        f"its {name} has shape {shape} in the file, the parameter {tuple(tensor.shape)}"
        for name, shape in shapes.items()
        if shape != tuple(tensor.shape)
    ]


def copied(value: Any) -> Any:
    """A value of the file for a live optimiser: tensors of its own, containers as they were."""
    if isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype != object):
        return as_tensor(value).clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple) else value
