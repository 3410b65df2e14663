"""What of torch's can be filled in place: modules, tensors, generators, optimisers and schedulers.

Strategy: a module is the table of its live tensors, taken from the module itself (not from ``state_dict``, whose
tensors may be copies); each is copied into under ``no_grad``. What pairs here is remembered in ``Bonds``, by which an
optimiser's state finds its parameters again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from holdfast.flux.parameters import params
from holdfast.state.match import (
    FILE,
    Match,
    Spec,
    absent,
    compare,
    join,
    match_in_order,
    pair_names,
    plan_match,
)
from holdfast.state.records import (
    Record,
    Weights,
    is_array,
    module_tensors,
    plain_array,
    spec_of,
    type_text,
    weights_of,
)
from holdfast.state.targets import Act, Plan, Step, plan_stateful, refused

EXTRA: str = "_extra_state"
"""The name under which torch keeps what a module's ``get_extra_state`` gives."""


@dataclass(slots=True)
class Bonds:
    """What the modules of one ``restore`` have in common with the file.

    live   identity of a tensor of the file -> the live tensor that it fills
    names  identity of a live tensor -> its path
    held   the tensors themselves, so that the identities stay theirs
    """

    live: dict[int, Tensor] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)


def plan_torch(target: Any, saved: Any, at: str, bonds: Bonds) -> Plan | None:
    """The plan for a target of torch's; None when it is of no kind known here."""
    if isinstance(target, nn.Module):
        return plan_module(target, saved, at, bonds)
    if isinstance(target, Tensor):
        return plan_tensor(target, saved, at)
    if isinstance(target, Optimizer):
        from holdfast.state.optimisers import plan_optimiser

        return plan_optimiser(target, saved, at, bonds)
    if isinstance(target, torch.Generator):
        return plan_generator(target, saved, at)
    return plan_scheduler(target, saved, at) if isinstance(target, LRScheduler) else None


# -- modules ----------------------------------------------------------------------------------------------------------


def plan_module(module: nn.Module, saved: Any, at: str, bonds: Bonds) -> Plan:
    """A module from a saved module, a state dictionary, a tree of Julia's, or arrays in the order of ``params``."""
    saved, extra = _without_extra(saved)
    weights, live = weights_of(saved), dict(module_tensors(module))
    if not weights.by_name and live:
        return refused(
            at, f"{type_text(saved)} without arrays in the file, a {type(module).__name__} in the live object"
        )
    blocked = {name: reason for name, tensor in live.items() if (reason := obstacle(tensor))}
    match = match_weights(weights, module, {name: live[name] for name in live if name not in blocked}, at)
    plan = Plan([f"{join(at, name)}: {reason}" for name, reason in blocked.items()] + match.differences)
    plan.differences += [f"{join(at, stranger)} in the file, which is no array" for stranger in weights.strangers]
    for theirs, ours in match.pairs:
        bonds.live[id(weights.by_name[theirs])] = live[ours]
    bonds.names |= {id(tensor): join(at, name) for name, tensor in reversed(live.items())}
    bonds.held += [weights, live]
    _copies(plan, weights, live, match, at)
    _extra_states(plan, module, extra, at)
    return plan


def match_weights(weights: Weights, module: Any, live: dict[str, Tensor], at: str) -> Match:
    """Pair the arrays of a file with live tensors, by name or in order."""
    specs = {name: spec_of(array) for name, array in weights.by_name.items()}
    if not weights.ordered:
        return plan_match(specs, {name: spec_of(tensor) for name, tensor in live.items()}, at=at, bare=weights.bare)
    return match_in_order(list(specs.values()), in_order(module, live, len(specs)), at=at)


def in_order(module: Any, live: dict[str, Tensor], count: int) -> dict[str, Spec]:
    """The tensors that ``count`` weights without names are for: the trainable parameters, unless their number says that
    they were all parameters, or the buffers too."""
    once = {id(tensor): name for name, tensor in reversed(live.items())}
    first = {name: tensor for name, tensor in live.items() if once[id(tensor)] == name}
    trained = {id(tensor) for tensor in params(module)}
    choices: list[dict[str, Tensor]] = [
        {name: tensor for name, tensor in first.items() if id(tensor) in trained},
        {name: tensor for name, tensor in first.items() if isinstance(tensor, nn.Parameter)},
        first,
    ]
    chosen = next((choice for choice in choices if len(choice) == count), choices[0])
    return {name: spec_of(tensor) for name, tensor in chosen.items()}


def _copies(plan: Plan, weights: Weights, live: Mapping[str, Tensor], match: Match, at: str) -> None:
    """A step for each live tensor; one that has several names must get the same values by all of them."""
    sources: dict[int, tuple[str, Any]] = {}
    for theirs, ours in match.pairs:
        array, tensor = weights.by_name[theirs], live[ours]
        name, known = sources.setdefault(id(tensor), (ours, array))
        if known is array:
            if name == ours:
                plan.steps.append(copy_step(tensor, array))
        elif not torch.equal(as_tensor(known), as_tensor(array)):
            plan.differences.append(
                f"{join(at, name)}, {join(at, ours)}: one tensor in the live object, two different ones in the file"
            )


def obstacle(tensor: Tensor) -> str:
    """Why a live tensor cannot be copied into; nothing when it can."""
    if is_lazy(tensor):
        return "the live object does not know its size yet; run one batch through it first"
    if tensor.is_meta:
        return "the live object has no memory for it (device 'meta'); call to_empty(device=…) first"
    if tensor.layout != torch.strided or tensor.is_quantized:
        return f"a live tensor of layout {tensor.layout} cannot be filled in place; use load instead"
    if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        return "the elements of the live tensor share memory (it was expanded)"
    return ""


# -- extra state ------------------------------------------------------------------------------------------------------


def _without_extra(saved: Any) -> tuple[Any, dict[str, Any]]:
    """A state dictionary without its entries of ``get_extra_state``, and those."""
    if not isinstance(saved, Mapping):
        return saved, {}
    extra = {name: value for name, value in saved.items() if isinstance(name, str) and name.split(".")[-1] == EXTRA}
    return {name: value for name, value in saved.items() if name not in extra}, extra


def _extra_states(plan: Plan, module: nn.Module, extra: Mapping[str, Any], at: str) -> None:
    """Give modules what their ``get_extra_state`` gave. A saved module has it among its attributes instead."""
    if not extra:
        return
    live = {
        join(name, EXTRA): part
        for name, part in module.named_modules(remove_duplicate=False)
        if type(part).set_extra_state is not nn.Module.set_extra_state
    }
    paired = pair_names(extra, live)
    plan.steps += [_extra_step(live[ours], extra[theirs]) for theirs, ours in paired.items()]
    unexpected = [name for name in extra if name not in paired]
    plan.differences += absent(unexpected, [], at, FILE.unexpected)


def _extra_step(module: nn.Module, state: Any) -> Step:
    def remember() -> Act:
        old = module.get_extra_state()
        return lambda: module.set_extra_state(old)

    return Step(lambda: module.set_extra_state(state), remember)


# -- tensors and generators -------------------------------------------------------------------------------------------


def plan_tensor(tensor: Tensor, saved: Any, at: str) -> Plan:
    if not is_array(saved):
        return refused(at, f"{type_text(saved)} in the file, a tensor in the live object")
    difference = obstacle(tensor) or compare(spec_of(saved), spec_of(tensor))
    return refused(at, difference) if difference else Plan(steps=[copy_step(tensor, saved)])


def copy_step(tensor: Tensor, array: Any) -> Step:
    """Copy ``array`` into ``tensor``, wherever that is."""

    def remember() -> Act:
        old = tensor.detach().clone()
        return lambda: copy(tensor, old)

    return Step(lambda: copy(tensor, in_axes_of(tensor, array)), remember)


def in_axes_of(tensor: Tensor, array: Any) -> Tensor:
    """``array`` as a tensor, with the axes of ``tensor``: an array of Julia's (column-major) may have them reversed."""
    values = as_tensor(array)
    if isinstance(array, Tensor) or getattr(tensor, "julia_axes", None) != "reversed":
        return values
    flags = plain_array(array).flags
    julia = flags.f_contiguous and not flags.c_contiguous
    if tuple(values.shape[::-1]) != tuple(tensor.shape) or (values.shape == tensor.shape and not julia):
        return values
    return values.permute(*reversed(range(values.dim())))


def copy(tensor: Tensor, values: Tensor) -> None:
    # An inference tensor may only be changed in inference mode, any other had better not be.
    with torch.inference_mode() if tensor.is_inference() else torch.no_grad():
        tensor.copy_(values)


def as_tensor(array: Any) -> Tensor:
    """A tensor of the same values, on the same memory where torch can use it."""
    array = plain_array(array)
    if isinstance(array, Tensor):
        return array.detach()
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype.type.__module__ != "ml_dtypes":
        return torch.from_numpy(array)
    carrier = {1: np.uint8, 2: np.int16}[array.dtype.itemsize]
    return torch.from_numpy(array.view(carrier)).view(getattr(torch, array.dtype.name))


def plan_generator(generator: torch.Generator, saved: Any, at: str) -> Plan:
    if isinstance(saved, torch.Generator):
        saved = saved.get_state()
    live = generator.get_state()
    if not is_array(saved) or spec_of(saved)[:2] != spec_of(live)[:2]:
        return refused(at, f"{type_text(saved)} in the file, a generator on {generator.device} in the live object")
    state = as_tensor(saved)
    return Plan(steps=[Step(lambda: _set_state(generator, state), lambda: lambda: _set_state(generator, live))])


def _set_state(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)


# -- schedulers -------------------------------------------------------------------------------------------------------


def plan_scheduler(scheduler: LRScheduler, saved: Any, at: str) -> Plan:
    """A scheduler; of a bare state dictionary the names must be its own, as they do not say whose they were."""
    if isinstance(saved, Record) or not isinstance(saved, Mapping):
        return plan_stateful(scheduler, saved, at)
    live = scheduler.state_dict()
    missing = [str(key) for key in live if key not in saved and _public(key)]
    unexpected = [str(key) for key in saved if key not in live and _public(key)]
    differences = absent(missing, unexpected, at, FILE.missing) + absent(unexpected, [], at, FILE.unexpected)
    return Plan(differences) if differences else plan_stateful(scheduler, saved, at)


def _public(key: Any) -> bool:
    """Whether a key is a scheduler's own: torch's versions differ in the others."""
    return not str(key).startswith("_") and key != "verbose"
