"""``torch.optim``'s optimisers, users' optimisers by the same rule, and the GradScaler.

Strategy: an optimiser is its defaults, its groups and its state. The parameters in them are the very objects of the
model, so that loading both gives an optimiser that drives that model. The state stands as pairs, because a Julia
dictionary would take two equal weights for one key. torch's own setup makes the rest (hooks, the profiler's name); no
``__init__`` runs. A scheduler's mark on ``step`` is made again by the scheduler.

As ``torch.save`` does, gradients are not kept: save after ``step``, not between ``backward`` and ``step``.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler, _refresh_per_optimizer_state
from torch.optim import LBFGS, Optimizer
from torch.optim.optimizer import required

from holdfast.codec.rule import Fields, Filling, Items, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import Anatomy
from holdfast.vocab.named import class_name
from holdfast.vocab.torch.attributes import Attributes, body_of, is_ours, rules_of
from holdfast.vocab.torch.documents import named_parts, section, structure
from holdfast.vocab.torch.tensors import refused

CLASSES: Final[dict[str, type[Optimizer]]] = {
    f"torch.optim.{name}": value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer
}
"""Name in a file -> class: every optimiser of ``torch.optim``."""


def fresh(cls: type) -> Any:
    """An optimiser of ``cls`` with nothing in it, set up as torch does for one that arrives from a file."""
    value: Any = object.__new__(cls)
    Optimizer.__setstate__(value, {"defaults": {}, "state": defaultdict(dict), "param_groups": []})
    return value


HOOKS: Final = tuple(name for name in vars(fresh(torch.optim.SGD)) if name.endswith("_hooks"))
"""Where an optimiser keeps its hooks."""

OWN: Final = frozenset(vars(fresh(torch.optim.SGD))) | {"step"}
"""What ``Optimizer`` keeps for itself, and the ``step`` on which a scheduler counts."""

LBFGS_OWN: Final = frozenset({"_params", "_numel_cache"})
"""What LBFGS keeps twice."""


# -- out --------------------------------------------------------------------------------------------------------------


def lower_optimiser(name: str, attributes: Attributes) -> Callable[[Any], Fields]:
    def lower(value: Any) -> Fields:
        refuse_code(value)
        state = structure(
            defaults=value.defaults,
            param_groups=value.param_groups,
            state=pairs(value.state),
            attributes=section(attributes.of(value)),
        )
        state.label = lambda part: "" if part == "attributes" else f".{part}"
        return Fields(tag="python", type=name, state=state)

    return lower


def refuse_code(value: Optimizer) -> None:
    """Raises UnsupportedError for hooks, and for a ``step`` that somebody replaced."""
    cls = type(value).__qualname__
    for kind in HOOKS:
        for hook in vars(value).get(kind, {}).values():  # a wrapper may have none
            name = getattr(hook, "__qualname__", type(hook).__qualname__)
            raise UnsupportedError(
                f"the {cls} has a hook ({name}), which is code: "
                "remove it before saving, and register it again after loading"
            )
    if "step" in vars(value) and not hasattr(vars(value)["step"], "_wrapped_by_lr_sched"):
        raise UnsupportedError(f"the step of the {cls} was replaced, which is code: save the optimiser without that")


def pairs(state: dict[Any, Any]) -> Items:
    """The state of each parameter beside the parameter."""
    found = Items(Items([parameter, held]) for parameter, held in state.items())
    for entry in found:
        entry.label = lambda index: "" if index else ".parameter"
    return found


# -- back -------------------------------------------------------------------------------------------------------------


def lift_optimiser(cls: type, attributes: Attributes, known: bool) -> Callable[[Fields], Filling]:
    def lift(_: Fields) -> Filling:
        value = fresh(cls)
        level = yield value
        fill(value, level["state"])
        attributes.give(value, named_parts(level["state"], "attributes"))
        if known:
            catch_up(cls, value)
        if isinstance(value, LBFGS):
            value._params, value._numel_cache = value.param_groups[0]["params"], None

    return lift


def catch_up(cls: Any, value: Any) -> None:
    """Let torch's own class add what an older version of it did not write yet."""
    held = {"defaults": dict(value.defaults), "state": value.state, "param_groups": value.param_groups}
    defaults = value.defaults  # where it would add something for versions of itself that are long gone
    cls.__setstate__(value, held)
    value.defaults = defaults


def fill(value: Any, state: Any) -> None:
    """Defaults, groups and state, when they are what an optimiser works on."""
    defaults, groups = named_parts(state, "defaults"), state.get("param_groups", [])
    if type(groups) is not list or not all(map(_is_group, groups)):
        raise FormatError(f"the groups of a {type(value).__qualname__} are {groups!r:.80}")
    entries = state.get("state", [])
    if type(entries) is not list or not all(type(entry) is list and len(entry) == 2 for entry in entries):
        raise FormatError(f"the state of a {type(value).__qualname__} is not a list of pairs")
    value.defaults, value.param_groups = defaults, groups
    value.state.update(entries)


def _is_group(group: Any) -> bool:
    parameters = group.get("params") if isinstance(group, dict) else None
    return type(parameters) is list and all(isinstance(parameter, Tensor) for parameter in parameters)


# -- rules ------------------------------------------------------------------------------------------------------------


def rule_for(cls: type, name: str, body: Anatomy, *, known: bool = False) -> Rule:
    attributes = Attributes(body, OWN | LBFGS_OWN if issubclass(cls, LBFGS) else OWN)
    return Rule("python", name, (cls,), lower_optimiser(name, attributes), lift_optimiser(cls, attributes, known))


def known_rules() -> list[Rule]:
    """The rules of ``CLASSES``."""
    return rules_of(CLASSES, partial(rule_for, known=True))


def optimiser_rule(cls: type) -> Rule | None:
    """The rule of a user's optimiser."""
    if not is_ours(cls, Optimizer):
        return None
    if cls.__module__.partition(".")[0] == "torch":
        return refused(cls, f"{class_name(cls)} is not in the table of torch's optimisers: save its state_dict()")
    body = body_of(cls)
    return body if isinstance(body, Rule) else rule_for(cls, class_name(cls), body)


# -- an option that each group must give -------------------------------------------------------------------------------

REQUIRED: Final = Rule(
    "python",
    "torch.optim.optimizer.required",
    (type(required),),
    lower=lambda value: Fields(tag="python", type="torch.optim.optimizer.required"),
    lift=lambda level: required,
    identity=False,
)


# -- GradScaler -------------------------------------------------------------------------------------------------------

SCALING: Final = ("_growth_factor", "_backoff_factor", "_growth_interval")


def lower_scaler(name: str, value: GradScaler) -> Fields:
    """A scaler is a few numbers; the tensors that hold two of them are made when it is next used."""
    state = Fields(device=value._device, enabled=value._enabled)
    if value._enabled:
        if value._per_optimizer_states:
            raise UnsupportedError(
                "a GradScaler between scale and update cannot be saved: save it after scaler.update()"
            )
        state |= {number.strip("_"): getattr(value, number) for number in SCALING}
        state["scale"], state["growth_tracker"] = value.get_scale(), value._get_growth_tracker()
    return Fields(tag="python", type=name, state=Fields(state))


def lift_scaler(cls: type[GradScaler], level: Fields) -> GradScaler:
    state, value = level["state"], object.__new__(cls)
    if type(state["device"]) is not str or type(state["enabled"]) is not bool:
        raise FormatError("a GradScaler has no device")
    vars(value).update(_device=state["device"], _enabled=state["enabled"])
    if value._enabled:
        numbers = {name: state[name.strip("_")] for name in SCALING}
        numbers |= {"_init_scale": state["scale"], "_init_growth_tracker": state["growth_tracker"]}
        if not all(type(number) in (int, float) for number in numbers.values()):
            raise FormatError(f"the numbers of a GradScaler are {numbers!r:.120}")
        states: Any = defaultdict(_refresh_per_optimizer_state)
        vars(value).update(numbers, _scale=None, _growth_tracker=None, _per_optimizer_states=states)
    return value


SCALERS: Final[dict[str, type[GradScaler]]] = {
    "torch.amp.GradScaler": GradScaler,
    "torch.cuda.amp.GradScaler": torch.cuda.amp.grad_scaler.GradScaler,
    "torch.cpu.amp.GradScaler": torch.cpu.amp.grad_scaler.GradScaler,
}


def scaler_rules() -> list[Rule]:
    return [
        Rule("python", name, (cls,), partial(lower_scaler, name), partial(lift_scaler, cls))
        for name, cls in SCALERS.items()
    ]
