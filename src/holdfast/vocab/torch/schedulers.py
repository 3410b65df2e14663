"""``torch.optim.lr_scheduler``'s schedulers, and users' schedulers by the same rule.

Strategy: a scheduler is its attributes, one of which is the optimiser itself. No ``__init__`` runs, which would take a
step. What a scheduler can only have as code it makes again: the curve of a CyclicLR from its mode, and the mark on
the optimiser's ``step`` by which it sees that the optimiser went first. A lambda is code and is refused by its path.
"""

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import CyclicLR, LRScheduler
from torch.optim.swa_utils import SWALR

from holdfast.codec.rule import Fields, Filling, Rule
from holdfast.errors import FormatError
from holdfast.vocab.anatomy import Anatomy
from holdfast.vocab.named import class_name
from holdfast.vocab.torch.attributes import Attributes, body_of, is_ours, rules_of
from holdfast.vocab.torch.documents import named_parts, section, structure
from holdfast.vocab.torch.tensors import refused

CLASSES: Final[dict[str, type]] = {
    **{
        f"torch.optim.lr_scheduler.{name}": value
        for name, value in vars(lr_scheduler).items()
        if isinstance(value, type) and issubclass(value, LRScheduler) and not name.startswith("_")
    },
    "torch.optim.swa_utils.SWALR": SWALR,
}
"""Name in a file -> class: every scheduler of torch."""

CURVE: Final = "_scale_fn_ref"
"""The curve of a CyclicLR, which is a function that the scheduler makes from its mode."""


def mark_step(optimiser: Optimizer) -> None:
    """Let ``optimiser`` note that it took a step, on which a scheduler's warning about the order of calls rests."""
    if hasattr(optimiser.step, "_wrapped_by_lr_sched"):
        return
    reference, cls = weakref.ref(optimiser), type(optimiser)

    @wraps(cls.step)
    def step(*args: Any, **options: Any) -> Any:
        live: Any = reference()
        live._opt_called = True
        return cls.step(live, *args, **options)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    vars(optimiser)["step"] = step


def lower_scheduler(name: str, attributes: Attributes) -> Callable[[Any], Fields]:
    return lambda value: Fields(tag="python", type=name, state=structure(attributes=section(attributes.of(value))))


def lift_scheduler(cls: type, attributes: Attributes) -> Callable[[Fields], Filling]:
    def lift(_: Fields) -> Filling:
        value: Any = object.__new__(cls)
        level = yield value
        held = named_parts(level["state"], "attributes")
        attributes.give(value, held)
        optimiser = held.get("optimizer")
        if not isinstance(optimiser, Optimizer):
            raise FormatError(f"a {cls.__qualname__} drives a {type(optimiser).__name__}, not an optimiser")
        if isinstance(value, CyclicLR):
            CyclicLR._init_scale_fn(value)
        if "_step_count" in held:
            mark_step(optimiser)

    return lift


def rule_for(cls: type, name: str, body: Anatomy) -> Rule:
    attributes = Attributes(body, (CURVE,) if issubclass(cls, CyclicLR) else ())
    return Rule("python", name, (cls,), lower_scheduler(name, attributes), lift_scheduler(cls, attributes))


def known_rules() -> list[Rule]:
    """The rules of ``CLASSES``."""
    return rules_of(CLASSES, rule_for)


def scheduler_rule(cls: type) -> Rule | None:
    """The rule of a user's scheduler."""
    if not is_ours(cls, LRScheduler):
        return None
    if cls.__module__.partition(".")[0] == "torch":
        return refused(cls, f"{class_name(cls)} is not in the table of torch's schedulers: save its state_dict()")
    body = body_of(cls)
    return body if isinstance(body, Rule) else rule_for(cls, class_name(cls), body)
