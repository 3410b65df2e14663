"""Objects to document: one walk that keeps identity.

Strategy: rules give one level at a time, and the engine goes down with a stack of its own, so depth costs no recursion.
The first time an object is met its level is put where it stands; the second time the level moves into ``_backrefs`` and
both places hold ``{tag: "backref", ref: n}``, as BSON.jl has it. Objects that stand very deep move there too, so that a
list of a million links is a flat file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from holdfast.codec.rule import Fields, Items, Ready, Rule, Shared, Vocabulary, is_code
from holdfast.errors import UnsupportedError
from holdfast.wire.values import INT64_MAX, INT64_MIN, MAX_DEPTH, Alike, Blob, Int32, Opaque, RawText

HOIST_DEPTH: Final = MAX_DEPTH // 2
"""Levels below which a shareable object starts again in ``_backrefs``; the rest is room for levels inside one value."""

FINAL: Final = frozenset({type(None), bool, float, Int32, RawText, Blob, Opaque, Ready})
"""Types that are wire values as they are; ``int`` and ``str`` are too, when they fit."""


@dataclass(slots=True)
class _Place:
    """Where an object's level stands, kept with the object so that its ``id`` stays its own."""

    value: Any
    level: Any
    container: Any
    key: Any
    reference: int = 0


@dataclass(slots=True)
class _Step:
    """A level that is being walked; ``key`` is the child that the walk is at."""

    level: Any
    entries: Iterator[tuple[Any, Any]]
    key: Any = None


_Trail: TypeAlias = "tuple[_Trail, list[tuple[Any, Any]]] | None"
"""The levels above one that was moved into ``_backrefs``, with the key at each; and the trail of the first of them."""

Gather: TypeAlias = Callable[[Any, Any, Any], None]
"""Takes (level, key, value)."""


class _Lowering:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.places: dict[int, _Place] = {}
        self.backrefs = Items()
        self.steps: list[_Step] = []
        self.hoisted: list[tuple[_Trail, Any]] = []
        self.rules: dict[type, Rule] = {}
        self.gathers: dict[type, Gather] = {}
        self.gathered: dict[Rule, list[_Place]] = {}
        self.trail: _Trail = None

    def run(self, root: Fields) -> Fields:
        self._walk(root)
        while waiting := next((rule for rule, places in self.gathered.items() if places), None):
            self._settle(waiting)
        self.gathers.clear()  # they hold this very object: nothing of it would go before the collector comes
        if self.backrefs:
            root["_backrefs"] = self.backrefs
        return root

    def _gather(self, type_: type, rule: Rule) -> Gather:
        """Notes a value of ``type_``, whose rule looks at all of its values together, and leaves it where it stands."""
        noted, waiting, refuse = self.places, self.gathered.setdefault(rule, []), rule.refuse

        def gather(level: Any, key: Any, value: Any) -> None:
            place = noted.get(id(value))
            if place is not None:
                level[key] = self._refer(place)
                return
            if refuse is not None:
                try:
                    refuse(value)
                except UnsupportedError as error:
                    raise self._here(error) from None
            place = noted[id(value)] = _Place(value, value, level, key)
            waiting.append(place)

        self.gathers[type_] = gather
        return gather

    def _settle(self, rule: Rule) -> None:
        """Finish what was gathered for ``rule``, and put each level where it belongs."""
        assert rule.settle is not None
        places = list(self.gathered[rule])
        self.gathered[rule].clear()
        models: dict[int, Any] = {}
        for place, level in zip(places, rule.settle([place.value for place in places]), strict=True):
            place.level = level
            if place.reference:
                self.backrefs[place.reference - 1] = level
            else:
                place.container[place.key] = level
            if type(level) is Alike:
                models[id(level.model)] = level.model
            else:
                self._walk(level)
        for model in models.values():
            self._share(model)

    def _share(self, level: Any) -> None:
        """Let the types of a document that others are copied from stand in ``_backrefs``: once, and not in each copy."""
        for value in list(level.values() if isinstance(level, dict) else level):
            if type(value) is Shared:
                self._refer(self.places[id(value)])
            elif isinstance(value, (Fields, Items)):
                self._share(value)

    def _walk(self, level: Any) -> None:
        self._enter(level)
        while self.steps or self.hoisted:
            if not self.steps:
                self.trail, level = self.hoisted.pop()
                if not self._enter(level):
                    continue
            step = self.steps[-1]
            level, gathers = step.level, self.gathers
            for key, value in step.entries:
                step.key = key
                if gather := gathers.get(type(value)):
                    gather(level, key, value)
                elif self._put(level, key, value):
                    break
            else:
                self.steps.pop()
        self.trail = None

    def _enter(self, level: Any) -> bool:
        """Begin to walk ``level``, unless all that it holds is final already."""
        if _are_final(level.values() if isinstance(level, dict) else level):
            return False
        # A copy of the entries: the level's values are replaced while we walk.
        entries = list(level.items()) if isinstance(level, dict) else list(enumerate(level))
        self.steps.append(_Step(level, iter(entries)))
        return True

    def _put(self, level: Any, key: Any, value: Any) -> bool:
        """Put ``value``, lowered, at ``key``; True when the walk went down into it."""
        if _are_final((value,)):
            level[key] = value
            return False
        if isinstance(value, (Fields, Items)):
            return self._enter(value)
        place = self.places.get(id(value))
        if place is not None:
            level[key] = self._refer(place)
            return False
        if type(value) is Shared:
            self.places[id(value)] = _Place(value, value, level, key)
            level[key] = value
            return False
        return self._lower(level, key, value)

    def _lower(self, level: Any, key: Any, value: Any) -> bool:
        kind = type(value)
        rule = self.rules.get(kind) or self._rule(kind, value)
        if rule.settle is not None:
            self._gather(kind, rule)(level, key, value)
            return False
        assert rule.lower is not None
        try:
            lowered = rule.lower(value)
        except UnsupportedError as error:
            raise self._here(error) from None
        if rule.identity:
            place = self.places[id(value)] = _Place(value, lowered, level, key)
            if len(self.steps) > HOIST_DEPTH and isinstance(lowered, (Fields, Items)):
                level[key] = self._refer(place)
                self.hoisted.append(((self.trail, [(step.level, step.key) for step in self.steps]), lowered))
                return False
        level[key] = lowered
        return isinstance(lowered, (Fields, Items)) and self._enter(lowered)

    def _rule(self, kind: type, value: Any) -> Rule:
        """The rule for ``value``; noted, where the type alone says it."""
        rule = self.vocabulary.of_value(value)
        if rule is None or (rule.lower is None and rule.settle is None):
            raise self._here(UnsupportedError(f"{_type_name(value)} cannot be saved: no rule knows it"))
        if kind in rule.types and not is_code(value):
            self.rules[kind] = rule
        return rule

    def _refer(self, place: _Place) -> Ready:
        if not place.reference:
            self.backrefs.append(place.level)
            place.reference = len(self.backrefs)
            place.container[place.key] = Ready(tag="backref", ref=place.reference)
        return Ready(tag="backref", ref=place.reference)

    def path(self) -> str:
        """The place of the value at hand, as Python would write it: ``$.model.layers[2]``."""
        parts, trail = [(step.level, step.key) for step in self.steps], self.trail
        while trail is not None:
            trail, above = trail
            parts = above + parts
        return "$" + "".join(_segment(level, key) for level, key in parts)

    def _here(self, error: UnsupportedError) -> UnsupportedError:
        """What a rule said of the value at hand, with the place of that value."""
        return UnsupportedError(error.message, self.path() + error.path)


def lower(values: Mapping[str, Any], vocabulary: Vocabulary) -> Fields:
    """The document of ``values``, shared objects in ``_backrefs``.

    Raises UnsupportedError, with the path in the object, for a value that no rule lowers.
    """
    return _Lowering(vocabulary).run(Fields(values))


STRUCTURE: Final = frozenset({"data", "state", "type", "_backrefs"})
"""Keys of our own documents, which are no part of a path in the user's object."""


def _segment(level: Any, key: Any) -> str:
    if level.label is not None:
        return str(level.label(key))
    if isinstance(level, Items):
        return f"[{key}]"
    return "" if key in STRUCTURE and "tag" in level else f".{key}"


def _are_final(values: Iterable[Any]) -> bool:
    """Whether no value needs a rule."""
    for value in values:
        kind = type(value)
        if kind is int:
            if not INT64_MIN <= value <= INT64_MAX:
                return False
        elif kind is str:
            if not (value.isascii() or _is_utf8(value)):
                return False
        elif kind not in FINAL:
            return False
    return True


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _type_name(value: Any) -> str:
    type_ = type(value)
    return type_.__qualname__ if type_.__module__ == "builtins" else f"{type_.__module__}.{type_.__qualname__}"
