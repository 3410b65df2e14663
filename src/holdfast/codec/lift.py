"""Document to objects: build what was audited.

Strategy: the rules that ``audit`` found are used for the documents that it saw: there is no second look-up that could
differ. Building is depth first with a stack of its own; an object that fills itself (a generator rule) exists before its
parts do, so a cycle through it closes. Of documents that are alike (``wire.Alike``) the first is built in full, and its
rule says how the others are made from it.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.codec.audit import CONTAINERS, PLAIN, Audited, resolve
from holdfast.codec.rule import Fields, Filling, Make, Options, Rule, Vocabulary
from holdfast.errors import FormatError, HoldfastError, LimitError
from holdfast.wire.values import Alike, Blob, Int32, Opaque


@dataclass(slots=True, eq=False)
class _Frame:
    """One document that is being built; ``key`` is where its value goes in the frame below."""

    node: Any
    rule: Rule
    level: Any
    children: Iterator[tuple[Any, Any]]
    key: Any
    filling: Filling | None = None
    value: Any = None
    alike: Alike | None = None

    @property
    def bare(self) -> bool:
        """Whether this is a BSON array or a document without a meaning of its own."""
        return self.rule.kind == "tag" and self.rule.name in ("list", "dict")


class _Building:
    def __init__(self, audited: Audited, vocabulary: Vocabulary, options: Options) -> None:
        self.audited = audited
        self.backrefs = audited.backrefs
        self.options = options
        self.scalars = {kind: vocabulary.named("tag", kind.__name__) for kind in (Int32, Blob, Opaque)}
        self.done: dict[int, Any] = {}
        self.active: dict[int, _Frame] = {}
        self.stack: list[_Frame] = []
        self.postponed: list[Any] = []
        self.makes: dict[int, Make | None] = {}
        self.kept: list[Any] = []

    def build(self, node: Any) -> Any:
        if type(node) is Alike and (make := self.makes.get(id(node.model))):  # as in _run: there may be thousands
            value = self.done[id(node)] = make(node.blob)
            return value
        value = self._run(node)
        while self.postponed:
            self._refill(self.postponed.pop())
        return value

    def _run(self, node: Any) -> Any:
        top: dict[str, Any] = {}
        if self._ready(top, "value", node):
            return top["value"]
        while True:
            frame = self.stack[-1]
            level, blobs, makes, done = frame.level, frame.rule.blobs, self.makes, self.done
            for key, child in frame.children:
                if type(child) is Alike and (make := makes.get(id(child.model))):
                    level[key] = done[id(child)] = make(child.blob)
                elif not self._ready(level, key, child, blobs):
                    break
            else:
                value = self._finish(frame)
                if not self.stack:
                    return value
                self.stack[-1].level[frame.key] = value

    def _ready(self, level: Any, key: Any, node: Any, blobs: bool = False) -> bool:
        """Put the value of ``node`` at ``key`` if it is at hand; otherwise start to build it."""
        place, node = node, resolve(node, self.backrefs)
        type_ = type(node)
        if type_ in PLAIN:
            level[key] = node
            return True
        if type_ is Alike:
            return self._make(level, key, node)
        if type_ not in CONTAINERS:
            rule = self.scalars.get(type_)
            if rule is None or (blobs and type_ is Blob):
                level[key] = node
            elif node is place:
                level[key] = rule.lifted(node, self.options)
            else:  # one copy, however often it is referred to
                if id(node) not in self.done:
                    self.done[id(node)] = rule.lifted(node, self.options)
                level[key] = self.done[id(node)]
            return True
        if id(node) in self.done:
            level[key] = self.done[id(node)]
            return True
        active = self.active.get(id(node))
        if active is None:
            make = self.audited.rules[id(node)].plain
            if make is not None and PLAIN.issuperset(map(type, node if type_ is list else node.values())):
                level[key] = self.done[id(node)] = make(node)
                return True
            self._start(node, key)
            return False
        if active.filling is not None:
            level[key] = active.value
            return True
        return self._postpone(active)

    def _make(self, level: Any, key: Any, alike: Alike) -> bool:
        """The value of a document that is like others: from the value of another of them, if its rule can."""
        if id(alike) in self.done:
            level[key] = self.done[id(alike)]
            return True
        if make := self.makes.get(id(alike.model)):
            level[key] = self.done[id(alike)] = make(alike.blob)
            return True
        document = alike.document(self._same_rule)
        self.kept.append(document)  # what is known by its identity has to stay
        self._start(document, key)
        self.stack[-1].alike = alike
        return False

    def _same_rule(self, model: Any, copy: Any) -> None:
        rule = self.audited.rules.get(id(model))
        if rule is not None:
            self.audited.rules[id(copy)] = rule

    def _start(self, node: Any, key: Any) -> None:
        rule = self.audited.rules[id(node)]
        if type(node) is list:
            level: Any = [None] * len(node)
            children: Iterator[tuple[Any, Any]] = iter(enumerate(node))
            if PLAIN.issuperset(map(type, node)):
                level, children = list(node), iter(())
        else:
            level = Fields()
            raw = rule.raw
            if raw:
                level.update((k, v) for k, v in node.items() if k in raw)
                children = iter([(k, v) for k, v in node.items() if k not in raw])
            elif PLAIN.issuperset(map(type, node.values())):
                level.update(node)
                children = iter(())
            else:
                children = iter(list(node.items()))
        frame = _Frame(node, rule, level, children, key)
        if rule.fills:
            frame.filling = rule.lifted(level, self.options)
            frame.value = next(frame.filling)
        self.active[id(node)] = frame
        self.stack.append(frame)

    def _finish(self, frame: _Frame) -> Any:
        if frame.filling is not None:
            _fill(frame.filling, frame.level)
        else:
            frame.value = frame.rule.lifted(frame.level, self.options)
        self.stack.pop()
        del self.active[id(frame.node)]
        self.done[id(frame.node)] = frame.value
        if frame.alike is not None:
            self._remember(frame, frame.alike)
        return frame.value

    def _remember(self, frame: _Frame, alike: Alike) -> None:
        self.done[id(alike)] = frame.value
        model = id(alike.model)
        if model not in self.makes:
            self.makes[model] = frame.rule.alike(frame.value, self.options) if frame.rule.alike else None

    def _postpone(self, wanted: _Frame) -> bool:
        """A part needs ``wanted``, which is not there before its parts are: fill an object above it later."""
        index = self._can_wait(wanted)
        frame = self.stack[index]
        for dropped in self.stack[index:]:
            del self.active[id(dropped.node)]
        del self.stack[index:]
        self.done[id(frame.node)] = frame.value
        if frame.alike is not None:
            self._remember(frame, frame.alike)
        self.postponed.append((frame.node, frame.rule, frame.filling))
        self.stack[-1].level[frame.key] = frame.value
        return False

    def _can_wait(self, wanted: _Frame) -> int:
        """The nearest object above ``wanted`` that may be filled later.

        A bare list or dictionary right below a document is how that document is written: its rule uses it up at once,
        and would take it for empty. So do rules that fill with lists below those (the keys and values of a Dict).
        """
        bare: list[int] = []
        for index in range(len(self.stack) - 1, -1, -1):
            frame = self.stack[index]
            if frame.bare:
                bare.append(index)
                continue
            values = [place for place in bare if place - index > 1]
            if frame is not wanted and frame.filling is not None:
                return index
            if values:
                return values[0]
            if frame is wanted:
                break
            bare = []
        raise FormatError(f"a {wanted.rule.name} contains itself, which such a value cannot")

    def _refill(self, postponed: tuple[Any, Rule, Filling]) -> None:
        node, rule, filling = postponed
        frame = _Frame(node, rule, Fields(), iter(()), None)
        items = enumerate(node) if type(node) is list else node.items()
        level: Any = [None] * len(node) if type(node) is list else Fields()
        for key, child in items:
            raw = (type(node) is dict and key in frame.rule.raw) or (type(child) is Blob and rule.blobs)
            level[key] = child if raw else self._run(child)
        _fill(filling, level)


def _fill(filling: Generator[Any, Any, None], level: Any) -> None:
    try:
        filling.send(level)
    except StopIteration:
        return
    raise AssertionError("a lift that fills yields once")


def lift(audited: Audited, names: Iterable[str], vocabulary: Vocabulary, options: Options) -> dict[str, Any]:
    """The values of ``names``; what they share is one object."""
    building, values = _Building(audited, vocabulary, options), {}
    for name in names:
        try:
            values[name] = building.build(audited.document[name])
        except FormatError as error:
            raise type(error)(f"{place_of(name, building.stack)}: {error.message}", error.offset) from None
        except HoldfastError:
            raise
        except MemoryError as error:
            raise LimitError(f"{place_of(name, building.stack)}: it asks for more memory than there is") from error
        except MISFITS as error:
            raise FormatError(f"{name} is not what it says it is: {str(error)[:MAX_REASON]}") from error
    return values


MISFITS: Final = (
    *(TypeError, ValueError, LookupError, AttributeError, ArithmeticError, BufferError),
    *(RuntimeError, SystemError),
)
"""What rules, and the libraries that they call, raise where a document is not what they expect."""
MAX_PLACE: Final = 250
"""Characters of a path that are shown at its start and at its end."""
MAX_REASON: Final = 1000
"""Characters of such an error that are passed on: it may show all of a value."""

STRUCTURE: Final = frozenset({"data", "state", "type", "params", "typename", "base"})
"""Keys of our own documents, which are no part of a path in the user's object."""


def place_of(name: str, stack: Sequence[_Frame]) -> str:
    """Where the document that is being built stands, as Python would write it: ``model.layers[1].weight``."""
    path = name
    for index in range(1, len(stack)):
        key, owner = stack[index].key, stack[index - 2] if index > 1 else None
        if isinstance(key, str):
            path += "" if key in STRUCTURE else f".{key}"
        elif owner is not None and stack[index - 1].key == "data" and owner.rule.places is not None:
            places = owner.rule.places(owner.node)
            path += places[key] if key < len(places) else f"[{key}]"
        else:
            path += f"[{key}]"
    return path if len(path) <= 2 * MAX_PLACE else f"{path[:MAX_PLACE]}…{path[-MAX_PLACE:]}"
