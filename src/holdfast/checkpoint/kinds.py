"""The kinds of things that a series tracks: what the file holds for each, and the plainer form if that cannot be saved.

Strategy: a table, first match first. Modules, optimisers, schedulers and generators are saved whole, so that the file
loads by itself; where one cannot be (a class inside a function, a hook), its state is saved, which fills a live object
just as well. Anything else with ``state_dict`` gives that; what is left is a plain value (see ``held.py``).
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from holdfast.checkpoint.random import is_generator, state_of
from holdfast.errors import UnsupportedError
from holdfast.state.match import join
from holdfast.state.records import is_tensor, module_tensors


@dataclass(frozen=True, slots=True)
class Kind:
    """How things of one kind are saved.

    whole    thing -> the value for the file
    plainer  (thing, all that is tracked) -> a value to save instead where ``whole`` is refused
    filled   whether ``state.restore`` fills such a thing in place
    """

    name: str
    test: Callable[[Any], bool]
    whole: Callable[[Any], Any]
    plainer: Callable[[Any, Mapping[str, Any]], Any] | None = None
    filled: bool = True


def kind_of(thing: Any) -> Kind:
    """The kind of a thing that is tracked."""
    return next(kind for kind in KINDS if kind.test(thing))


def check(name: str, thing: Any) -> None:
    """Raises UnsupportedError for a thing that would not come back as it was, with what to track instead."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.utils.data.DataLoader) and not _has_state(thing):
        raise UnsupportedError(
            "a DataLoader does not know its place: use loader = resumable(loader) in the loop, and track that "
            "(from holdfast.checkpoint import resumable)",
            f"$.{name}",
        )
    if kind_of(thing) is PLAIN:
        for path, inner in _inside(thing, f"$.{name}"):
            kind = kind_of(inner)
            if kind is not PLAIN and (kind.name != "array" or type(inner).__name__ == "Parameter"):
                what = type(inner).__qualname__
                raise UnsupportedError(f"a {what} inside of another value: track it by a name of its own", path)


def _inside(thing: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What stands in a plain value, in containers and attributes, each with its path."""
    waiting, seen = [(path, thing)], set()
    while waiting:
        path, part = waiting.pop()
        if type(part) in SIMPLE or id(part) in seen:
            continue
        seen.add(id(part))
        yield path, part
        if isinstance(part, Mapping):
            if not SIMPLE.issuperset(map(type, part.values())):
                waiting += [(f"{path}[{key!r}]", item) for key, item in part.items()]
        elif isinstance(part, list | tuple | set | frozenset) and not SIMPLE.issuperset(map(type, part)):
            waiting += [(f"{path}[{index}]", item) for index, item in enumerate(part)]
        if kind_of(part) is PLAIN:
            waiting += [(f"{path}.{name}", item) for name, item in getattr(part, "__dict__", {}).items()]


SIMPLE: Final = frozenset({bool, int, float, complex, str, bytes, type(None)})


# -- tests ------------------------------------------------------------------------------------------------------------


def is_module(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def is_optimiser(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.optim.Optimizer)


def is_scheduler(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.optim.lr_scheduler.LRScheduler)


def _has_state(thing: Any) -> bool:
    methods = (getattr(thing, "state_dict", None), getattr(thing, "load_state_dict", None))
    return not isinstance(thing, type) and all(map(callable, methods))


# -- plainer forms ----------------------------------------------------------------------------------------------------


def whole(thing: Any) -> Any:
    return thing


def module_state(module: Any, tracked: Mapping[str, Any]) -> Any:
    # The parameters themselves: an optimiser that is saved whole beside this must be seen to hold the same ones.
    return dict(module.state_dict(keep_vars=True))


def optimiser_state(optimiser: Any, tracked: Mapping[str, Any]) -> Any:
    """The ``state_dict``, with the names of each group's parameters where modules that are tracked give them."""
    state, names = optimiser.state_dict(), parameter_names(tracked)
    for group, live in zip(state["param_groups"], optimiser.param_groups, strict=True):
        known = [names.get(id(parameter)) for parameter in live["params"]]
        if all(known):
            group["param_names"] = known
    return state


def parameter_names(tracked: Mapping[str, Any]) -> dict[int, str]:
    """The identity of each tensor in the modules that are tracked -> its path."""
    modules = {name: thing for name, thing in tracked.items() if is_module(thing)}
    return {id(tensor): join(at, name) for at, module in modules.items() for name, tensor in module_tensors(module)}


# -- the other way ----------------------------------------------------------------------------------------------------


def in_live_order(state: Any, optimiser: Any, tracked: Mapping[str, Any]) -> Any:
    """A saved ``optimiser_state`` with groups and parameters in the order of ``optimiser``, where names say it.

    As it is where they do not: then positions count, as in torch.
    """
    names = parameter_names(tracked)
    wanted = [[names.get(id(parameter)) for parameter in group["params"]] for group in optimiser.param_groups]
    groups = state.get("param_groups") if isinstance(state, Mapping) else None
    if not isinstance(groups, list) or not all(isinstance(g, Mapping) and "param_names" in g for g in groups):
        return state
    theirs = {frozenset(group["param_names"]): group for group in groups}
    if (
        len(theirs) != len(groups)
        or any(frozenset(group) not in theirs for group in wanted)
        or len(wanted) != len(groups)
    ):
        return state
    ordered = [_ordered(theirs[frozenset(group)], group) for group in wanted]
    return {**state, "param_groups": ordered}


def _ordered(group: Mapping[str, Any], names: Iterable[str | None]) -> dict[str, Any]:
    numbers = dict(zip(group["param_names"], group["params"], strict=True))
    rest = {key: value for key, value in group.items() if key != "param_names"}
    return {**rest, "params": [numbers[name] for name in names]}


# -- the table --------------------------------------------------------------------------------------------------------

PLAIN: Final = Kind("value", lambda thing: True, whole, filled=False)

KINDS: Final = (
    Kind("module", is_module, whole, module_state),
    Kind("optimiser", is_optimiser, whole, optimiser_state),
    Kind("scheduler", is_scheduler, whole, lambda thing, tracked: thing.state_dict()),
    Kind("generator", is_generator, whole, lambda thing, tracked: state_of(thing)),
    Kind("state", _has_state, lambda thing: thing.state_dict()),
    Kind("array", lambda thing: isinstance(thing, np.ndarray) or is_tensor(thing), whole),
    PLAIN,
)
"""In this order; the last one takes all."""
