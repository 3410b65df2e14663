"""A rule says how one kind of value is written and read back; a vocabulary is a list of rules.

Strategy: ``lower`` gives one level of a document whose children are values again; the engine lowers those in turn.
``lift`` gets the same level with its children already lifted. A rule therefore never calls the engine, and the two
directions are each other's mirror image. Values that may contain themselves are lifted in two steps: ``lift`` is then a
generator that yields the empty object, receives the lifted level and fills it.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isgeneratorfunction
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, Literal, TypeAlias
from weakref import WeakKeyDictionary

from holdfast.wire.values import Alike, Blob


class Fields(dict[str, Any]):
    """A document that a rule made: its values are to be lowered. ``label`` names a child in error paths."""

    label: Callable[[str], str] | None = None


class Items(list[Any]):
    """A BSON array that a rule made: its elements are to be lowered. ``label`` names a child in error paths."""

    label: Callable[[int], str] | None = None


class Ready(dict[str, Any]):
    """A finished document: the engine leaves it as it is. It may stand in several places."""


class Shared(Ready):
    """A finished document that many places hold, such as a type: from the second place on it stands in
    ``_backrefs``."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of ``load`` asked for, for the rules that depend on it (``lift_with``).

    ``made`` belongs to one load: what a rule has made of an object, by the object's ``id``, where two rules meet it
    (a weight that is both in a layer and in an optimiser's state). The object is kept beside, so that its ``id`` stays.
    ``after`` is what rules want done to the values by name once all are there.
    """

    device: str = "cpu"
    functions: Mapping[str, Any] = field(default_factory=dict)
    made: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    after: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)


Kind: TypeAlias = Literal["tag", "struct", "python", "absent"]
"""What a document goes by: a tag of BSON.jl's, the type of a Julia struct, or Python's own name; and Python's name where
its framework is not installed."""

Filling: TypeAlias = Generator[Any, Any, None]

Make: TypeAlias = Callable[[Blob], Any]
"""Makes a value from a blob."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """How one kind of value is lowered and lifted.

    kind, name   what the file calls it
    types        the exact Python types that ``lower`` takes
    lower        value -> Fields, Items or a wire value
    lift         Fields (or a list) with lifted children -> value; a generator for what may contain itself
    lift_with    the same with the caller's Options as second argument
    identity     False for values that are never shared (numbers, texts)
    settle       instead of ``lower`` for values that are looked at together: called once after the walk with all of
                 them, gives the level of each, which may be an ``Alike``
    refuse       with ``settle``: raises UnsupportedError, during the walk, for a value that cannot be saved
    alike        (value, Options) -> how to make the value of a document that is the same but for its one blob; None
                 where that takes more than the blob
    raw          names of children that ``lift`` wants as the document has them, not lifted
    blobs        whether ``lift`` takes binaries as Blobs, uncopied, instead of as ``bytes``
    needs        names without which a document that has this tag is a plain dictionary (Julia writes such, too)
    plain        makes the value of a document whose children are values already, in one step and without fail
    places       document -> how the entries of its ``data`` are reached, for errors: ``[".weight", ".bias"]``
    """

    kind: Kind
    name: str
    types: tuple[type, ...] = ()
    lower: Callable[[Any], Any] | None = None
    lift: Callable[[Any], Any] | None = None
    lift_with: Callable[[Any, Options], Any] | None = None
    identity: bool = True
    settle: Callable[[list[Any]], Sequence[Fields | Alike]] | None = None
    refuse: Callable[[Any], None] | None = None
    alike: Callable[[Any, Options], Make | None] | None = None
    raw: frozenset[str] = frozenset()
    blobs: bool = False
    needs: frozenset[str] = frozenset()
    plain: Callable[[Any], Any] | None = None
    places: Callable[[Any], Sequence[str]] | None = None

    fills: bool = field(init=False, default=False)
    """Whether the value is lifted in two steps and may stand in its own parts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fills", isgeneratorfunction(self.lift_with or self.lift))

    def lifted(self, level: Any, options: Options) -> Any:
        if self.lift_with is not None:
            return self.lift_with(level, options)
        assert self.lift is not None
        return self.lift(level)


FUNCTIONS: Final = frozenset({FunctionType, BuiltinFunctionType})


def is_code(value: Any) -> bool:
    """Whether ``value`` is a function or a class: its own module says to whom it belongs, and not its type's."""
    return type(value) in FUNCTIONS or isinstance(value, type)


ClassRule: TypeAlias = Callable[[type], Rule | None]
"""Makes the rule of a class that no table lists (a user's), or None when it is not this one's business."""


class Vocabulary:
    """The rules in force: found by type when lowering, by what the file says when lifting.

    ``class_rules`` make rules for classes outside the tables. ``frameworks`` names vocabularies that are imported when
    first needed: a value's or a name's first word -> a function that gives the vocabulary, or None where the
    framework is not installed.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        class_rules: Iterable[ClassRule] = (),
        frameworks: Mapping[str, Callable[[], "Vocabulary | None"]] | None = None,
        parent: "Vocabulary | None" = None,
    ) -> None:
        self._by_type: dict[type, Rule] = {}
        self._by_name: dict[tuple[str, str], Rule] = {}
        self._class_rules = list(class_rules)
        self._made: WeakKeyDictionary[type, Rule | None] = WeakKeyDictionary()
        self._frameworks = dict(frameworks or {})
        self._absent: set[str] = set()
        self._parent = parent
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        if rule.lift is not None or rule.lift_with is not None:  # others only go out: no file may ask for them
            self._by_name[rule.kind, rule.name] = rule
        for type_ in rule.types:
            self._by_type[type_] = rule

    def include(self, other: "Vocabulary") -> None:
        """Take in all that ``other`` knows; its class rules come before ours."""
        self._by_name.update(other._by_name)
        self._by_type.update(other._by_type)
        self._class_rules[:0] = other._class_rules
        self._made.clear()

    def extended(self, rules: Iterable[Rule]) -> "Vocabulary":
        """A vocabulary with ``rules`` on top; this one is not changed."""
        return Vocabulary(rules, parent=self)

    def of_type(self, type_: type) -> Rule | None:
        """The rule that lowers values of exactly ``type_``."""
        rule = self._by_type.get(type_)
        if rule is not None:
            return rule
        if self._parent is not None:
            return self._parent.of_type(type_)
        if type_ not in self._made:
            self._load_for(type_)
            if type_ in self._by_type:
                return self._by_type[type_]
            self._made[type_] = self.class_rule(type_)
        return self._made[type_]

    def of_value(self, value: Any) -> Rule | None:
        """The rule that lowers ``value``. A function or class that stands as a value brings in its own framework."""
        if is_code(value) and isinstance(value.__module__, str):
            self._meet(value.__module__.partition(".")[0])
        return self.of_type(type(value))

    def _meet(self, root: str) -> None:
        if self._parent is not None:
            self._parent._meet(root)
        else:
            self._load(root)

    def named(self, kind: Kind, name: str) -> Rule | None:
        """The rule that lifts what the file calls ``name``."""
        rule = self._by_name.get((kind, name))
        if rule is not None:
            return rule
        if self._parent is not None:
            return self._parent.named(kind, name)
        return self._by_name.get((kind, name)) if self._load(name.partition(".")[0]) else None

    def class_rule(self, type_: type) -> Rule | None:
        """A rule made for a class that no table lists."""
        if self._parent is not None:
            return self._parent.class_rule(type_)
        self._load_for(type_)
        return next((rule for make in self._class_rules if (rule := make(type_))), None)

    def is_absent(self, name: str) -> bool:
        """Whether ``name`` belongs to a framework that is not installed here."""
        if self._parent is not None:
            return self._parent.is_absent(name)
        return name.partition(".")[0] in self._absent

    def _load_for(self, type_: type) -> None:
        for ancestor in type_.__mro__:
            self._load(ancestor.__module__.partition(".")[0])

    def _load(self, root: str) -> bool:
        """Import the framework's vocabulary when it is first met; False when there is none or none is left to
        import."""
        load = self._frameworks.pop(root, None)
        if load is None:
            return False
        vocabulary = load()
        if vocabulary is None:
            self._absent.add(root)
            return False
        self.include(vocabulary)
        return True
