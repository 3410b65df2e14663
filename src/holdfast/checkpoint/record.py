"""What one checkpoint holds: all that is tracked, and the header ``_series`` with position, metrics and random state.

Strategy: capturing gathers, and copies nothing: ``snapshot.take`` makes the copy. Putting back is ``state.restore``
with two more kinds of plans, for plain values and for what of a module is no tensor: everything is read and compared
before the first live object changes, and what was changed is changed back if a later one fails. Random generators come
last, for filling an object may draw numbers.

    _series = {"version": 1, "position": {"step": 120, "epoch": 3}, "metrics": {"loss": 0.1}, "kept": {…}, "time": "…",
               "random": {…}, "provenance": {…}, "modules": {"model": {"modes": {"": true, …}, …}}}
"""

import sys
import warnings
import weakref
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from os import PathLike
from typing import Any, Final

from holdfast.checkpoint import held, kinds, random
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.provenance import provenance
from holdfast.codec.rule import Options
from holdfast.errors import FormatError, MismatchError, UnsupportedError
from holdfast.formats import bson
from holdfast.formats.bson import File
from holdfast.state.records import Record, Records
from holdfast.state.restore import carry_out, is_torch
from holdfast.state.targets import Plan, Step, plan_plain

HEADER: Final = "_series"
VERSION: Final = 1

NOTHING: Final[Mapping[str, Any]] = {}

# -- out --------------------------------------------------------------------------------------------------------------


class Captured(dict[str, Any]):
    """The values of one checkpoint by name; ``reduce`` puts the plainer form of a thing in the place of the thing."""

    def __init__(self, tracked: Mapping[str, Any]) -> None:
        super().__init__()
        self.tracked = tracked
        for name in sorted(tracked, key=lambda name: not kinds.is_module(tracked[name])):
            self[name] = kinds.kind_of(tracked[name]).whole(tracked[name])
            if _is_known_plainer(tracked[name]):
                self.reduce(name)

    def reduce(self, name: str) -> bool:
        """Save only the state of ``name``; False when that is what is saved already, or there is no such form."""
        thing = self.tracked.get(name)
        plainer = None if thing is None else kinds.kind_of(thing).plainer
        if plainer is None or self[name] is not thing:
            return False
        self[name] = plainer(thing, self.tracked)
        # A thing that nothing can point to weakly is tried again the next time.
        with suppress(TypeError):
            PLAINER[id(thing)] = weakref.ref(thing)
        return True


PLAINER: Final[dict[int, "weakref.ref[Any]"]] = {}
"""Things that could not be saved whole: the next time, nobody tries."""


def _is_known_plainer(thing: Any) -> bool:
    reference = PLAINER.get(id(thing))
    return reference is not None and reference() is thing


def capture(
    tracked: Mapping[str, Any],
    *,
    position: Position,
    metrics: Mapping[str, float] = NOTHING,
    kept: Mapping[str, Any] = NOTHING,
    exact: bool = False,
) -> Captured:
    """The values for the file of one checkpoint.

    kept   what else the header keeps, under ``kept``: plain values of the series' own
    exact  also what of modules is not in their ``state_dict``; see ``exact.py``

    Raises UnsupportedError for a name that a file cannot have, and for what cannot be tracked (a DataLoader as it is).
    """
    for name, thing in tracked.items():
        if name == HEADER or name in bson.RESERVED:
            raise UnsupportedError(f"{name!r} is a name of the file's own: track it under another one", f"$.{name}")
        kinds.check(name, thing)
    values = Captured(tracked)
    values[HEADER] = {
        "version": VERSION,
        "position": position.document(),
        "metrics": {name: float(value) for name, value in metrics.items()},
        "kept": dict(kept),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "random": random.capture(),
        "provenance": provenance(),
        "modules": _of_modules(tracked, exact),
    }
    return values


def _of_modules(tracked: Mapping[str, Any], exact: bool) -> dict[str, Any]:
    modules = {name: thing for name, thing in tracked.items() if kinds.is_module(thing)}
    if not modules:
        return {}
    from holdfast.checkpoint.exact import capture as state_of

    found = {name: state_of(module, exact) for name, module in modules.items()}
    return {name: state for name, state in found.items() if state}


# -- back -------------------------------------------------------------------------------------------------------------


def put_back(path: str | PathLike[str], tracked: MutableMapping[str, Any], *, strict: bool = True) -> Position:
    """Fill all that is tracked, and the random generators, from a checkpoint; gives its position.

    Objects and containers are filled in place. A value that cannot change (a number, a text, a tuple) is replaced in
    ``tracked``, which is then the place to ask for it.

    strict  False fills what fits and warns of the rest

    All or nothing: raises MismatchError that lists every difference by path, and then nothing has changed. Also
    raises FormatError and ChecksumError for a file that is damaged or no checkpoint, and UntrustedError for values of
    classes that are neither registered nor those of the live value. Warns of things in the file that nobody tracks.
    """
    file = bson.open_file(path, patterns=True)
    if HEADER not in file.names:
        raise FormatError(f"{file.path} is not a checkpoint: no Series wrote it")
    file.verify_frame()
    names = [name for name in tracked if name in file.names]
    plain = {name: tracked[name] for name in names if not kinds.kind_of(tracked[name]).filled}
    saved = _lifted(file, [HEADER, *(name for name in names if name not in plain)])
    values = held.lifted(file, plain)
    header = _checked(saved.pop(HEADER), file)
    plans = [_absent(tracked, file), *_filled(tracked, saved), *_beside(tracked, header)]
    plans += [held.plan(tracked, name, value) for name, value in values.items()]
    _carry_out([*plans, _random(header)], file, strict)
    _warn_of_strangers(tracked, file)
    return Position.of(header["position"])


def _lifted(file: File, names: list[str]) -> dict[str, Any]:
    """The values of ``names``, whose arrays are checked; objects stay records, for no class has to be built."""
    rules = Records()
    audited = file.audit(names, rules)
    file.verify_blobs(audited.blobs)
    return file.lift(audited, names, rules, Options())


def _checked(header: Any, file: File) -> Mapping[str, Any]:
    if not isinstance(header, Mapping) or not {"version", "position", "random"} <= header.keys():
        raise FormatError(f"{file.path} is not a checkpoint: its header is {header!r:.80}")
    if header["version"] != VERSION:
        raise FormatError(
            f"{file.path} is a checkpoint of version {header['version']!r:.20}; this holdfast reads version {VERSION}"
        )
    return header


def _absent(tracked: Mapping[str, Any], file: File) -> Plan:
    return Plan([f"{name}: the checkpoint does not hold it" for name in tracked if name not in file.names])


def _filled(tracked: Mapping[str, Any], saved: Mapping[str, Any]) -> list[Plan]:
    """A plan for each thing that is filled from its state; optimisers after the modules whose parameters they hold."""
    bonds: Any = None
    plans = []
    for name in sorted(saved, key=lambda name: kinds.is_optimiser(tracked[name])):
        target, plan, value = tracked[name], None, saved[name]
        if is_torch(target):
            from holdfast.state.torch_targets import Bonds, plan_torch

            if kinds.is_optimiser(target) and not isinstance(value, Record):
                value = kinds.in_live_order(value, target, tracked)
            bonds = bonds or Bonds()
            plan = plan_torch(target, value, name, bonds)
        plans.append(plan or plan_plain(target, value, name))
    return plans


def _beside(tracked: Mapping[str, Any], header: Mapping[str, Any]) -> list[Plan]:
    """The plans for what of modules is no tensor."""
    states = header.get("modules", NOTHING)
    modules = [name for name, thing in tracked.items() if kinds.is_module(thing) and name in states]
    if not modules:
        return []
    from holdfast.checkpoint.exact import plan

    return [plan(tracked[name], states[name]) for name in modules]


def _random(header: Mapping[str, Any]) -> Plan:
    try:
        return Plan(steps=[Step(*random.plan(header["random"]))])
    except MismatchError as error:
        return Plan(list(error.differences))


def _carry_out(plans: list[Plan], file: File, strict: bool) -> None:
    differences = [difference for plan in plans for difference in plan.differences]
    steps = [step for plan in plans for step in plan.steps]
    if differences and strict:
        raise MismatchError(f"{file.path} does not fit; nothing was changed:", differences)
    carry_out(steps)
    if differences:
        listed = "".join(f"\n  {difference}" for difference in differences)
        warnings.warn(f"{file.path} fits in part; left as it was:{listed}", stacklevel=_depth())


def _warn_of_strangers(tracked: Mapping[str, Any], file: File) -> None:
    strangers = [name for name in file.names if name not in tracked and name != HEADER]
    if strangers:
        listed = ", ".join(strangers)
        message = f"{file.path} also holds {listed}, which is not tracked here and so was not put back"
        warnings.warn(message, stacklevel=_depth())


def _depth() -> int:
    """Frames from a warning to the first one that is not ours."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("holdfast."):
        depth, frame = depth + 1, frame.f_back
    return depth
