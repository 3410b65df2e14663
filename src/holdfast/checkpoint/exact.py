"""What of a module is neither a parameter nor a buffer that ``state_dict`` keeps, and still decides what it does next.

Strategy: ``extra_states`` (what ``get_extra_state`` gives) go with every checkpoint, as in a ``state_dict``. The rest
only with ``exact=True``, because it would undo what a user changed in the script on purpose: the mode of each layer,
which parameters are frozen, buffers that are not persistent, accumulated gradients, and numbers and tensors among a
module's attributes. Each part is a table of path -> value.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from holdfast.checkpoint.random import is_generator, set_state, state_of
from holdfast.state.match import join
from holdfast.state.records import is_tensor
from holdfast.state.targets import Act, Plan, Step
from holdfast.state.torch_targets import as_tensor

State = dict[str, dict[str, Any]]

NUMBERS: Final = (bool, int, float, complex, str)
OWN: Final = frozenset(vars(nn.Module()))
"""Attributes that every module has, which are torch's business."""


# -- one part each: what there is, and how it is put back --------------------------------------------------------------


def modes(module: nn.Module) -> dict[str, Any]:
    return {path: part.training for path, part in module.named_modules()}


def set_modes(module: nn.Module, saved: Mapping[str, Any]) -> None:
    for path, part in module.named_modules():
        part.training = saved.get(path, part.training)


def learning(module: nn.Module) -> dict[str, Any]:
    return {path: parameter.requires_grad for path, parameter in module.named_parameters()}


def set_learning(module: nn.Module, saved: Mapping[str, Any]) -> None:
    for path, parameter in module.named_parameters():
        parameter.requires_grad_(saved.get(path, parameter.requires_grad))


def passing_buffers(module: nn.Module) -> dict[str, Any]:
    """The buffers that are not persistent."""
    return {
        join(path, name): part._buffers[name]
        for path, part in module.named_modules()
        for name in sorted(part._non_persistent_buffers_set)
    }


def set_passing_buffers(module: nn.Module, saved: Mapping[str, Any]) -> None:
    for path, part in module.named_modules():
        for name in part._non_persistent_buffers_set:
            if join(path, name) in saved:
                part._buffers[name] = filled(part._buffers[name], saved[join(path, name)])


def gradients(module: nn.Module) -> dict[str, Any]:
    return {path: parameter.grad for path, parameter in module.named_parameters() if parameter.grad is not None}


def set_gradients(module: nn.Module, saved: Mapping[str, Any]) -> None:
    for path, parameter in module.named_parameters():
        gradient = saved.get(path)
        # Always a tensor of its own: the one that is there may belong to a graph or to a bucket of a reducer.
        parameter.grad = None if gradient is None else as_tensor(gradient).clone().to(parameter.device)


def attributes(module: nn.Module) -> dict[str, Any]:
    """Numbers, texts, tensors and generators that are plain attributes."""
    return {
        join(path, name): state_of(value) if is_generator(value) else value
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if name not in OWN and _is_kept(value)
    }


def _is_kept(value: Any) -> bool:
    return type(value) in NUMBERS or type(value) is Tensor or is_generator(value)


def set_attributes(module: nn.Module, saved: Mapping[str, Any]) -> None:
    for path, part in module.named_modules():
        for name, value in list(vars(part).items()):
            if name in OWN or join(path, name) not in saved or not _is_kept(value):
                continue
            wanted = saved[join(path, name)]
            if is_generator(value):
                set_state(value, wanted)
            else:
                vars(part)[name] = filled(value, wanted) if is_tensor(wanted) else wanted


def extra_states(module: nn.Module) -> dict[str, Any]:
    """What ``get_extra_state`` gives, of those that have one."""
    return {path: part.get_extra_state() for path, part in _with_extra(module).items()}


def set_extra_states(module: nn.Module, saved: Mapping[str, Any]) -> None:
    for path, part in _with_extra(module).items():
        if path in saved:
            part.set_extra_state(saved[path])


def _with_extra(module: nn.Module) -> dict[str, nn.Module]:
    parts = module.named_modules()
    return {path: part for path, part in parts if type(part).set_extra_state is not nn.Module.set_extra_state}


def filled(live: Any, saved: Any) -> Any:
    """``live`` with the values of ``saved``, in place where the shape and dtype allow it; else a tensor of its own."""
    if saved is None:
        return None
    values = as_tensor(saved)
    if not isinstance(live, Tensor):
        return values.clone()
    if live.shape != values.shape or live.dtype != values.dtype or live.is_inference():
        return values.clone().to(live.device)
    with torch.no_grad():
        live.copy_(values)
    return live


# -- all of them ------------------------------------------------------------------------------------------------------

Read = Callable[[nn.Module], dict[str, Any]]
Write = Callable[[nn.Module, Mapping[str, Any]], None]

ALWAYS: Final[dict[str, tuple[Read, Write]]] = {"extra": (extra_states, set_extra_states)}
EXACT: Final[dict[str, tuple[Read, Write]]] = {
    "modes": (modes, set_modes),
    "learning": (learning, set_learning),
    "buffers": (passing_buffers, set_passing_buffers),
    "attributes": (attributes, set_attributes),
    "gradients": (gradients, set_gradients),
}
"""Name in the file -> how that part is read and written."""


def capture(module: nn.Module, exact: bool) -> State:
    """The state of ``module`` beside its tensors, part by part."""
    parts = {name: read(module) for name, (read, _) in (ALWAYS | (EXACT if exact else {})).items()}
    return {name: part for name, part in parts.items() if part or name in EXACT}


def plan(module: nn.Module, state: Mapping[str, Any]) -> Plan:
    """How ``module`` gets what ``capture`` gave."""
    tables = ALWAYS | EXACT
    return Plan(steps=[_step(module, *tables[name], part) for name, part in state.items() if name in tables])


def _step(module: nn.Module, read: Read, write: Write, saved: Mapping[str, Any]) -> Step:
    def remember() -> Act:
        old = {path: value.detach().clone() if is_tensor(value) else value for path, value in read(module).items()}
        return partial(write, module, old)

    return Step(partial(write, module, saved), remember)
