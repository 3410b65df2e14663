"""What can be filled in place, without torch: arrays, random generators, and anything with ``load_state_dict``.

Strategy: a target and what the file holds for it give a ``Plan``: every difference as a line, and the steps that fill
what fits. Making a plan changes nothing. A step can remember the state that it is about to replace.
"""

import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from holdfast.state.match import compare, join
from holdfast.state.records import Record, is_array, plain_array, spec_of, type_text

Act = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Step:
    """``apply`` changes a live object; ``remember``, called first, gives what changes it back."""

    apply: Act
    remember: Callable[[], Act]


@dataclass(slots=True)
class Plan:
    """What filling one target takes, and what is in the way."""

    differences: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def refused(at: str, reason: str) -> Plan:
    return Plan([f"{at}: {reason}"])


def plan_plain(target: Any, saved: Any, at: str) -> Plan:
    """The plan for a target that is not torch's."""
    for types, plan in KINDS:
        if isinstance(target, types):
            return plan(target, saved, at)
    if callable(getattr(target, "load_state_dict", None)) and callable(getattr(target, "state_dict", None)):
        return plan_stateful(target, saved, at)
    return refused(at, f"{type_text(target)} cannot be filled in place; {advice_for(target)}")


def advice_for(target: Any) -> str:
    """What to do instead: arrays of JAX's never change, and a module of NNX is filled by NNX itself."""
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(target).__mro__}
    if "flax.Pytree" in names:
        return "load it, and call nnx.update(model, nnx.state(loaded))"
    return "use load instead"


# -- arrays -----------------------------------------------------------------------------------------------------------


def plan_array(target: Any, saved: Any, at: str) -> Plan:
    if not is_array(saved):
        return refused(at, f"{type_text(saved)} in the file, an array in the live object")
    difference = compare(spec_of(saved), spec_of(target))
    if not difference and not target.flags.writeable:
        difference = "the live array is read-only"
    if difference:
        return refused(at, difference)
    values = plain_array(saved)
    return Plan(steps=[Step(lambda: fill(target, np.asarray(values)), lambda: put_back(target))])


def fill(array: Any, values: Any) -> None:
    array[...] = values


def put_back(array: Any) -> Act:
    old = array.copy()
    return lambda: fill(array, old)


# -- random generators ------------------------------------------------------------------------------------------------


def plan_bits(target: Any, saved: Any, at: str) -> Plan:
    """NumPy's generators, new and old, and their bit generators: a state dictionary that names its kind."""
    live, state = bits_of(target), bits_of(saved)
    kind = state.get("bit_generator") if isinstance(state, Mapping) else None
    if kind is None:
        return refused(at, f"{type_text(saved)} in the file, a random generator in the live object")
    if kind != live["bit_generator"]:
        return refused(at, f"{kind} in the file, {live['bit_generator']} in the live object")
    return Plan(steps=[Step(lambda: set_bits(target, state), lambda: lambda: set_bits(target, live))])


def bits_of(value: Any) -> Any:
    """The state of a generator, or what is a state already."""
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.BitGenerator):
        return value.state
    return value.get_state(legacy=False) if isinstance(value, np.random.RandomState) else value


def set_bits(target: Any, state: Any) -> None:
    if isinstance(target, np.random.RandomState):
        target.set_state(state)
    else:
        getattr(target, "bit_generator", target).state = state


def plan_random(target: random.Random, saved: Any, at: str) -> Plan:
    state = saved.getstate() if isinstance(saved, random.Random) else saved
    if not isinstance(state, list | tuple) or len(state) != 3 or state[0] != random.Random.VERSION:
        return refused(at, f"{type_text(saved)} in the file, a random generator in the live object")
    whole = (state[0], tuple(state[1]), state[2])
    live = target.getstate()
    return Plan(steps=[Step(lambda: target.setstate(whole), lambda: lambda: target.setstate(live))])


KINDS: list[tuple[Any, Callable[[Any, Any, str], Plan]]] = [
    (np.ndarray, plan_array),
    ((np.random.Generator, np.random.BitGenerator, np.random.RandomState), plan_bits),
    (random.Random, plan_random),
]


# -- anything with load_state_dict ------------------------------------------------------------------------------------


def plan_stateful(target: Any, saved: Any, at: str) -> Plan:
    """An object with ``state_dict`` and ``load_state_dict``, from a state dictionary or the saved object itself."""
    if isinstance(saved, Record):
        return _from_record(target, saved, at)
    if not isinstance(saved, Mapping):
        return refused(at, f"{type_text(saved)} in the file, {type_text(target)} in the live object")
    return Plan(steps=[load_step(target, saved)])


def _from_record(target: Any, saved: Record, at: str) -> Plan:
    if saved.class_name != type(target).__name__:
        return refused(at, f"saved by {saved.class_name}, restoring into {type(target).__name__}")
    wanted = target.state_dict()
    missing = [key for key in wanted if not str(key).startswith("_") and key not in saved.attributes]
    if missing:
        advice = "it is no attribute of the saved object; save its state_dict() instead"
        return Plan([f"{join(at, str(key))}: not in the file: {advice}" for key in missing])
    return Plan(steps=[load_step(target, like_state(wanted, saved))])


def like_state(wanted: Any, saved: Any) -> Any:
    """The part of a saved object that its ``state_dict`` would give: ``wanted`` is the live one's, as a pattern."""
    if isinstance(saved, Record):
        if not isinstance(wanted, Mapping):
            return None
        held = {f"_{name}": item for name, item in saved.attributes.items()} | saved.attributes
        return {key: like_state(wanted[key], held[key]) for key in wanted if key in held}
    if isinstance(wanted, list) and isinstance(saved, list) and len(wanted) == len(saved):
        return [like_state(pattern, item) for pattern, item in zip(wanted, saved, strict=True)]
    return saved


def load_step(target: Any, state: Any) -> Step:
    """Give ``state`` to the target's own ``load_state_dict``."""

    def remember() -> Act:
        old = deepcopy(target.state_dict())
        return lambda: target.load_state_dict(old)

    return Step(lambda: target.load_state_dict(state), remember)
