"""Back to a checkpoint: which ones to try, and what becomes of those that are damaged.

Strategy: the order in which files are tried is decided from their names alone. A file is used only after every checksum
in it was compared. One that fails is renamed, so that nobody tries it again, and kept for whoever wants to know why.
"""

import warnings
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, Final

from holdfast import api
from holdfast.checkpoint import record
from holdfast.checkpoint.folder import Damage, RunFolder
from holdfast.checkpoint.names import Name
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.retention import Policy, ranked
from holdfast.errors import ChecksumError, MismatchError

CALLER: Final = 4
"""Frames from the warning to who called ``resume`` or ``rollback``."""


def to_resume(names: Iterable[Name]) -> list[Name]:
    """``names`` in the order in which ``resume`` tries them: the newest first, flagged ones after all good ones."""
    return sorted(names, key=lambda name: (name.good, *name.order), reverse=True)


def to_roll_back(folder: RunFolder, policy: Policy, to: str | int | None, before: int | None) -> list[Name]:
    """Those that a rollback tries. Raises ValueError for no such wish, KeyError when there is no such checkpoint."""
    names = folder.names()
    if (to is None) == (before is None):
        raise ValueError('say where to go: rollback("best"), rollback(step) or rollback(before=step)')
    if before is not None:
        found = [name for name in to_resume(names) if name.step < before and name.good]
        what = f"before step {before:,}"
    elif to == "best":
        found, what = _best(folder, policy), f"with a {policy.metric}"
    elif isinstance(to, int):
        found, what = [name for name in to_resume(names) if name.step == to], f"of step {to:,}"
    else:
        raise ValueError(f'rollback goes to "best" or to a step, not to {to!r}')
    if not found:
        there = ", ".join(f"{step:,}" for step in sorted({name.step for name in names})) or "none"
        raise KeyError(f"{folder.path} has no good checkpoint {what}; the steps that are there: {there}")
    return found


def _best(folder: RunFolder, policy: Policy) -> list[Name]:
    if policy.metric is None:
        raise ValueError('which is best needs a metric: pass best="loss" to Series, say')
    rows = folder.candidates()
    names = {candidate.key: name for name, _, candidate in rows}
    return [names[one.key] for one in ranked([candidate for *_, candidate in rows], policy)]


def go_back(
    folder: RunFolder, names: Sequence[Name], tracked: MutableMapping[str, Any], *, strict: bool, readonly: bool
) -> tuple[Name, Position] | None:
    """Fill ``tracked`` from the first of ``names`` that is whole; None when there is none to try.

    Raises ChecksumError when none of them is whole, MismatchError when one is and does not fit.
    """
    bad = []
    for name in names:
        if folder.header(name) is None and _is_whole(folder, name):
            continue  # a file of somebody else's that is called like ours
        reason = _damage(folder, name)
        if reason is None:
            return name, _put_back(folder, name, tracked, strict)
        if reason:
            bad.append(f"{name}: {reason}")
            _report(folder, name, reason, readonly)
    if bad:
        listed = "".join(f"\n  {line}" for line in bad)
        raise ChecksumError(
            f"none of the checkpoints in {folder.path} is whole, so there is nothing to go on from:{listed}"
        )
    return None


def _is_whole(folder: RunFolder, name: Name) -> bool:
    return _damage(folder, name) is None


def _damage(folder: RunFolder, name: Name) -> str | None:
    """What is wrong with a file; None when it is whole, "" when it is gone."""
    path = folder.at(name)
    try:
        api.verify(path)
    except FileNotFoundError:
        return ""
    except Damage as error:
        return str(error).removeprefix(f"{path}: ")
    folder.verified.add(name.order)
    return None


def _put_back(folder: RunFolder, name: Name, tracked: MutableMapping[str, Any], strict: bool) -> Position:
    try:
        return record.put_back(folder.at(name), tracked, strict=strict)
    except MismatchError as error:
        error.add_note(
            f"the checkpoint itself is whole and stays where it is: track what was tracked when step {name.step:,} was "
            "saved, pass strict=False to take what fits, or begin in another folder"
        )
        raise


def _report(folder: RunFolder, name: Name, reason: str, readonly: bool) -> None:
    done = "it is left alone" if readonly else f"it is now {folder.set_aside(name, reason)}"
    warnings.warn(
        f"the checkpoint {folder.at(name)} is damaged ({reason}); {done}, and the one before it is tried",
        stacklevel=CALLER,
    )


def caution(name: Name, note: str) -> str:
    """What there is to know of a checkpoint that was saved when an exception ended the loop."""
    return (
        f"going on from {name}, which was saved when {note}: random numbers and the place in the data may be a step "
        f"further than the weights; rollback(before={name.step}) goes back to where all is exact"
    )
