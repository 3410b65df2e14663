"""The document of a state, kept from one snapshot to the next.

Strategy: from save to save a training changes numbers in tensors, and of the structure next to nothing: a learning rate, a
counter. So the document is made once. Before each further snapshot ``trace.py`` says which objects no longer hold what
they held; their rules are asked again, and what they give is put in the place of what they gave before (``_merge``). A
change beyond that (a new layer, a tensor that moved) makes a new document. The header is new every time and is lowered
apart.

A document is used by one snapshot at a time: until its frame is made, the next one waits. ``lock`` is held from
``fresh`` to ``plan``.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from holdfast.checkpoint.staging import Rooms, address
from holdfast.checkpoint.trace import Memory, Met, Raw, Recorder, Watch, entries, is_tensor, same_memory
from holdfast.codec.lower import lower
from holdfast.codec.rule import Fields, Items, Ready, Rule, Vocabulary
from holdfast.errors import UnsupportedError
from holdfast.wire.plan import Plan, plan_document
from holdfast.wire.values import INT64_MAX, INT64_MIN, Blob, Int32, Opaque, RawText

SMALL: Final = 1 << 20
"""Bytes of tensors that a part which is new at every save may hold."""
MANY: Final = 1000
"""References from such parts, beyond which a new document is less work."""
NEW: Final = object()
"""Stands for what was not there, or is compared with nothing: it is lowered every time."""
FINAL: Final = (type(None), bool, float, Int32, RawText, Opaque, Ready)


class MovedError(Exception):
    """The state has another structure than the document."""


class Template:
    """The document of ``values``, and how to bring it up to date.

    Raises UnsupportedError, with the path in the object, for what cannot be saved.
    """

    def __init__(self, values: Mapping[str, Any], vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.lock = threading.Lock()
        recorder = Recorder(vocabulary)
        self.root = Met(values, ROOT, None, Raw(values), asked=True)
        self.document = self.root.level = lower(values, recorder)
        self.references = list(self.document.pop("_backrefs", ()))
        self.further: list[Any] = []
        self.apart: list[Recorder] = []
        self.leaving: list[Met] = []
        self.met = recorder.met
        self.memory = Memory(recorder.tensors, recorder.arrays)
        self.watch = Watch(lambda value: id(value) in self.met)
        for met in self.met.values():
            if not met.asked:
                self.watch.add(met)
        self.blobs = {id(blob): blob for blob in _blobs([self.document, self.references])}
        self.sources = [blob.data for blob in self.blobs.values()]
        self.rooms = Rooms.of(self.sources)
        self.later: Any = None  # what overlap.py has found out about ``sources``

    @property
    def is_live(self) -> bool:
        """Whether every array of the document is a view of the live one, so that the next snapshot can read it there."""
        ranges = sorted(self.memory.ranges())
        lows, highs = [low for low, _ in ranges], np.maximum.accumulate([0, *(high for _, high in ranges)])
        starts = [address(data) for data in self.sources]
        places = np.searchsorted(lows, starts, side="right")
        ends = [start + data.nbytes for start, data in zip(starts, self.sources, strict=True)]
        return self.memory.is_on_cpu and bool(np.all(highs[places] >= ends))

    # -- up to date -----------------------------------------------------------------------------------------------

    def update(self, values: Mapping[str, Any]) -> bool:
        """Make the document that of ``values`` now. False: it cannot be, and is of no use any more."""
        self.further, self.apart = [], []
        try:
            if not self.memory.is_same():
                return False
            self._ask(self.root, values)
            changed = self.watch.changed()
            asked = {id(met): met for met in changed} | {id(met): met for met in self.met.values() if met.asked}
            for met in asked.values():
                self._ask(met, met.value)
        except MovedError:
            return False
        self._watch_again(changed)
        return len(self.further) < MANY

    def _watch_again(self, changed: list[Met]) -> None:
        """Look at what these hold now; those that are asked every time need no looking at."""
        self.watch.drop([*changed, *self.leaving])
        self.leaving = []
        for met in changed:
            if not met.asked:
                self.watch.add(met, lively=True)

    def _ask(self, met: Met, value: Any) -> None:
        """Have the rule say anew what ``value``, which stands in the place of ``met``, is."""
        assert met.rule.lower is not None
        self._merge(met.level, met.given, met.rule.lower(value), met)

    def _merge(self, level: Any, given: Any, now: Any, owner: Met) -> None:
        """Put what a rule gives ``now`` in the place of what it has ``given``. What was added stands at the end."""
        if not isinstance(given, Raw) or not isinstance(now, Fields | Items):
            raise MovedError
        keys = list(now) if isinstance(now, dict) else list(range(len(now)))
        if keys[: len(given)] != list(given):
            raise MovedError
        for key, value in entries(now):
            is_there, old = key in given, given.get(key, NEW)
            if value is old:
                continue
            there = level[key] if is_there else None
            if isinstance(value, Fields | Items):
                self._merge(there, old, value, owner)
                continue
            found, given[key] = self._put(there, old, value, owner)
            if is_there or isinstance(level, dict):
                level[key] = found
            else:
                level.append(found)

    def _put(self, there: Any, old: Any, value: Any, owner: Met) -> tuple[Any, Any]:
        """What the document holds for ``value``, where it holds ``there`` for ``old``; and what to compare with."""
        if isinstance(old, Raw) or id(value) in self.met:
            raise MovedError
        if same_memory(old, value):
            owner.asked = True
            return there, value
        if _is_final(value) and not is_tensor(old):
            return value, value
        owner.asked = True  # this part is a new object every time
        if isinstance(value, Blob):
            return Blob(memoryview(bytes(value.data)), sealed=value.sealed, subtype=value.subtype), NEW
        met = self.met.get(id(old))
        if met is not None and met.value is old and type(old) is type(value):
            self._rebind(met, value)
            return there, value
        return self._apart(value), NEW

    def _rebind(self, met: Met, value: Any) -> None:
        """A new object stands in the place of the one that was met."""
        self._ask(met, value)
        del self.met[id(met.value)]
        met.value, met.asked = value, True
        self.met[id(value)] = met
        self.leaving.append(met)

    def _apart(self, value: Any) -> Any:
        """The document of something that has nothing to do with the rest."""
        recorder = Recorder(self.vocabulary)
        document = lower({"value": value}, recorder)
        memory = Memory(recorder.tensors, recorder.arrays)
        others = [self.memory, *(Memory(one.tensors, one.arrays) for one in self.apart)]
        met = [self.met, *(one.met for one in self.apart)]
        if (
            memory.nbytes > SMALL
            or any(map(memory.overlaps, others))
            or any(recorder.met.keys() & one.keys() for one in met)
        ):
            raise MovedError
        self.apart.append(recorder)
        for blob in _blobs([document]):
            blob.data = memoryview(bytes(blob.data))
        return self._joined(document)["value"]

    def _joined(self, document: dict[str, Any]) -> dict[str, Any]:
        """``document`` with its references counted on from ours."""
        theirs = document.pop("_backrefs", [])
        before = len(self.references) + len(self.further)
        if theirs:
            for part in _levels([document, theirs]):
                if isinstance(part, Ready) and part.get("tag") == "backref":
                    part["ref"] += before
            self.further += theirs
        return document

    # -- the file ---------------------------------------------------------------------------------------------------

    def plan(self, header: Mapping[str, Any], targets: Sequence[memoryview]) -> Plan:
        """The file with the values of ``header`` besides; its arrays are ``targets``, copies of ``sources``."""
        document = {**self.document, **self._joined(lower(header, self.vocabulary))}
        if self.references or self.further:
            document["_backrefs"] = [*self.references, *self.further]
        plan = plan_document(document)
        mine = {key: Blob(data, sealed=True) for key, data in zip(self.blobs, targets, strict=True)}
        return replace(
            plan,
            cuts=[(at, mine.get(id(blob), blob)) for at, blob in plan.cuts],
            seals=[(at, mine.get(id(blob), blob)) for at, blob in plan.seals],
        )


ROOT: Final = Rule("python", "values", (dict,), lower=Fields, identity=False)


def _is_final(value: Any) -> bool:
    if type(value) is int:
        return INT64_MIN <= value <= INT64_MAX
    return type(value) in FINAL or (type(value) is str and value.isascii())


def _levels(parts: list[Any]) -> list[Any]:
    """All documents and lists in ``parts``, each once."""
    found, waiting, seen = [], list(parts), set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict | list) and id(part) not in seen:
            seen.add(id(part))
            found.append(part)
            waiting += part.values() if isinstance(part, dict) else part
    return found


def _blobs(parts: list[Any]) -> list[Blob]:
    """The arrays in a document, each once."""
    inside = (part.values() if isinstance(part, dict) else part for part in _levels(parts))
    found = {id(one): one for values in inside for one in values if type(one) is Blob and one.sealed and one.nbytes}
    return list(found.values())


PATIENCE: Final = 3
"""New documents one after the other, after which a run makes each snapshot from nothing."""


@dataclass(slots=True)
class Kept:
    """The template of a run: made when it is first needed, again when the state has another structure, and no longer
    when that is so every time."""

    template: Template | None = None
    misses: int = 0

    def fresh(self, values: Mapping[str, Any], vocabulary: Vocabulary) -> Template | None:
        """The template of ``values``, with its lock held; None where it does not pay, or arrays are not live memory.

        Raises UnsupportedError, with the path in the object, for what cannot be saved.
        """
        template, self.template = self.template, None
        if self.misses >= PATIENCE:
            return None
        if template is not None and _is_updated(template, values):
            self.template, self.misses = template, 0
            return template
        template = Template(values, vocabulary)
        self.misses = self.misses + 1 if template.is_live else PATIENCE
        if self.misses >= PATIENCE:
            return None
        template.lock.acquire()
        self.template = template
        return template


def _is_updated(template: Template, values: Mapping[str, Any]) -> bool:
    """Whether ``template`` is that of ``values`` now; then its lock is held."""
    template.lock.acquire()
    done = False
    try:
        done = template.update(values)
    except UnsupportedError:
        pass  # a new document says where
    finally:
        if not done:
            template.lock.release()
    return done
