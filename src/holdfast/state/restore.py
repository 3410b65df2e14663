"""Fill live objects from a file: all of them, or none.

Strategy: read what the targets need, compare everything, and only when all of it fits change the first live value. Each
step remembers what it replaces; if a step fails, the steps before it are taken back.
"""

import sys
import warnings
from collections.abc import Mapping
from typing import Any, Final

from holdfast.codec.rule import Options
from holdfast.errors import MismatchError
from holdfast.formats.file import File
from holdfast.state.match import FILE, absent
from holdfast.state.records import Records
from holdfast.state.targets import Act, Plan, Step, plan_plain

NEXT_CALLER: Final = 3
"""Frames from the warning to who called ``holdfast.restore``."""


def restore(file: File, targets: Mapping[str, Any], *, strict: bool = True) -> None:
    """Fill each live object of ``targets`` in place with what ``file`` holds under the same name.

    A target is a torch module, optimiser, scheduler, generator or tensor, a NumPy array or random generator, or
    anything else with ``state_dict`` and ``load_state_dict``. For a module the file may hold a saved module, a state
    dictionary, a Flux model, a ``Flux.state`` tree, or a list of arrays in the order of ``params``. No class of the
    file is built, so none has to be allowed.

    strict   True: everything fits, or nothing is changed. False: what fits is filled, and a warning lists the rest

    Needs memory for one more copy of what it replaces while it works.
    Raises MismatchError that lists every difference by path; also without ``strict`` when nothing at all fits.
    """
    saved = _lifted(file, [name for name in targets if name in file.names])
    plans = _plans(targets, saved)
    lost = [name for name in targets if name not in saved]
    differences = absent(lost, [n for n in file.names if n not in targets], "", FILE.missing)
    differences += [difference for plan in plans.values() for difference in plan.differences]
    steps = [step for plan in plans.values() for step in plan.steps]
    if differences and (strict or not steps):
        raise MismatchError(f"{file.path} does not fit; nothing was changed:", differences)
    carry_out(steps)
    if differences:
        listed = "".join(f"\n  {difference}" for difference in differences)
        warnings.warn(f"{file.path} fits in part; left as it was:{listed}", stacklevel=NEXT_CALLER)


def _lifted(file: File, names: list[str]) -> dict[str, Any]:
    """The checked values of ``names``, with a Record for each object."""
    rules = Records()
    file.verify_frame()
    audited = file.audit(names, rules)
    file.verify_blobs(audited.blobs)
    return file.lift(audited, names, rules, Options())


def _plans(targets: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Plan]:
    """A plan for each target, optimisers after the modules whose parameters they hold."""
    bonds: Any = None
    plans: dict[str, Plan] = {}
    for name in sorted(saved, key=lambda name: hasattr(targets[name], "param_groups")):
        plan = None
        if is_torch(targets[name]):
            from holdfast.state.torch_targets import Bonds, plan_torch

            bonds = bonds or Bonds()
            plan = plan_torch(targets[name], saved[name], name, bonds)
        plans[name] = plan or plan_plain(targets[name], saved[name], name)
    return {name: plans[name] for name in targets if name in plans}


def is_torch(target: Any) -> bool:
    """Whether ``target`` is of one of torch's classes or of a subclass; torch is not imported to know."""
    roots = {cls.__module__.partition(".")[0] for cls in type(target).__mro__}
    return "torch" in sys.modules and "torch" in roots


def carry_out(steps: list[Step]) -> None:
    """Take all steps. When one fails, whatever the reason, those before it are taken back and the error goes on."""
    done: list[Act] = []
    try:
        for step in steps:
            done.append(step.remember())
            step.apply()
    except BaseException as error:
        failures = [failure for act in reversed(done) if (failure := _failure(act))]
        error.add_note("holdfast put the live objects back as they were")
        for failure in failures:
            error.add_note(f"but for one, which could not be put back: {failure!r}")
        raise


def _failure(act: Act) -> Exception | None:
    """What taking a step back raised: the other steps are taken back all the same."""
    try:
        act()
    except Exception as error:
        return error
    return None
