"""What a state was made of when it was lowered, and what of it is no longer so.

Strategy: a vocabulary that looks on (``Recorder``) notes every object that a rule lowers, with the level that the rule
gave. What a rule of torch's or of a container has looked at stands in dictionaries, lists and the memory of tensors; so
when each of these holds the very same objects at the same places as before, the rule would give the same level again,
and need not be asked. That comparison is one pass at the speed of C, over all of them (``Watch``). Objects of any other
kind may look at what cannot be seen from here, and are asked every time.
"""

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from operator import attrgetter, eq, is_, methodcaller
from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Items, Rule, Vocabulary

Container = Any
"""A dictionary, list, set or deque: what can change and still be the same object."""

CONTAINERS: Final = frozenset({dict, OrderedDict, defaultdict, list, set, deque})
LOOKED_INTO: Final = CONTAINERS | {tuple, frozenset}


# -- what a rule gave -------------------------------------------------------------------------------------------------


class Raw(dict[Any, Any]):
    """A level as a rule gave it, before its values were lowered: name -> value, or place in a list -> value."""


def raw(level: Any) -> Any:
    """A copy of a level, with the levels inside it; anything else as it is.

    >>> raw(Fields(a=1, b=Items([2])))
    {'a': 1, 'b': {0: 2}}
    """
    if isinstance(level, Fields | Items):
        return Raw((key, raw(value)) for key, value in entries(level))
    return level


def entries(level: Any) -> Iterable[tuple[Any, Any]]:
    """The names or places of a level, each with what stands there."""
    return level.items() if isinstance(level, dict) else enumerate(level)


@dataclass(slots=True, eq=False)
class Met:
    """An object that was lowered by ``rule``, which gave ``given``; ``level`` is what the document holds.

    asked  the rule is asked every time: a fresh object stands in this one's place each time, or nobody knows what the
           rule looks at
    """

    value: Any
    rule: Rule
    level: Any
    given: Any
    asked: bool = False


class Recorder(Vocabulary):
    """Does what ``whole`` does, and notes what it was asked to lower."""

    def __init__(self, whole: Vocabulary) -> None:
        super().__init__(parent=whole)
        self.met: dict[int, Met] = {}
        self.tensors: list[Any] = []
        self.arrays: list[np.ndarray[Any, Any]] = []
        self._looking: dict[Rule, Rule] = {}

    def of_value(self, value: Any) -> Rule | None:
        rule = super().of_value(value)
        if rule is None or rule.lower is None or not rule.identity:
            return rule
        if rule not in self._looking:
            self._looking[rule] = replace(rule, lower=partial(self._lower, rule))
        return self._looking[rule]

    def _lower(self, rule: Rule, value: Any) -> Any:
        assert rule.lower is not None
        level = rule.lower(value)
        if is_tensor(value):
            self.tensors.append(value)
        elif isinstance(value, np.ndarray):
            self.arrays.append(value)
        else:
            self.met[id(value)] = Met(value, rule, level, raw(level), asked=not is_plain_to_see(value, rule))
        return level


def is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


SEEN: Final = frozenset(f"holdfast.vocab.torch.{name}" for name in ("modules", "optimisers", "schedulers"))
"""The modules whose rules look at attributes and containers only."""


def is_plain_to_see(value: Any, rule: Rule) -> bool:
    """Whether all that ``rule`` looks at of ``value`` stands in its attributes and in containers."""
    return type(value) in LOOKED_INTO or getattr(rule.lower, "__module__", "") in SEEN


# -- whether it is as it was ------------------------------------------------------------------------------------------


def containers_of(met: Met, known: Callable[[Any], bool]) -> Iterator[Container]:
    """The containers that ``met`` is made of; those that were lowered by themselves look after themselves."""
    waiting = [met.value] if type(met.value) in LOOKED_INTO else []
    if hasattr(met.value, "__dict__"):
        waiting.append(vars(met.value))
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if type(part) in CONTAINERS:
            yield part
        inside = chain(part.keys(), part.values()) if isinstance(part, dict) else part
        waiting += [one for one in inside if type(one) in LOOKED_INTO and not known(one)]


@dataclass(slots=True)
class Group:
    """Containers of one sort with what stood in them, to be compared all at once.

    read  gives what stands in one, as an iterable
    """

    read: Callable[[Any], Iterable[Any]]
    containers: list[Container] = field(default_factory=list)
    owners: list[Met] = field(default_factory=list)
    stood: list[list[Any]] = field(default_factory=list)

    def add(self, container: Container, owner: Met) -> None:
        self.containers.append(container)
        self.owners.append(owner)
        self.stood.append(list(self.read(container)))

    def is_same(self) -> bool:
        now = chain.from_iterable(map(self.read, self.containers))
        lengths = map(len, self.stood)
        return all(map(is_, now, chain.from_iterable(self.stood))) and all(
            map(int.__eq__, map(len, self.containers), lengths)
        )

    def changed(self) -> list[Met]:
        """The owners of those that hold something else now."""
        return [
            owner
            for container, owner, stood in zip(self.containers, self.owners, self.stood, strict=True)
            if len(container) != len(stood) or not all(map(is_, self.read(container), stood))
        ]


VALUES: Final = methodcaller("values")


class Watch:
    """The containers of some objects. Those that never change are compared together, the others one by one."""

    def __init__(self, known: Callable[[Any], bool]) -> None:
        self.known = known
        self.still = (Group(VALUES), Group(iter), Group(iter))
        self.lively = (Group(VALUES), Group(iter), Group(iter))
        self.empty: list[Container] = []
        self.empty_owners: list[Met] = []

    def add(self, met: Met, *, lively: bool = False) -> None:
        values, keys, others = self.lively if lively else self.still
        for container in containers_of(met, self.known):
            if not container:
                self.empty.append(container)
                self.empty_owners.append(met)
            elif isinstance(container, dict):
                values.add(container, met)
                keys.add(container, met)
            else:
                others.add(container, met)

    def changed(self) -> list[Met]:
        """Those whose containers hold something else; they are to be added again when they were looked at."""
        found = {id(met): met for group in self.lively for met in group.changed()}
        if any(self.empty):
            found |= {id(met): met for part, met in zip(self.empty, self.empty_owners, strict=True) if part}
        for group in self.still:
            if not group.is_same():
                found |= {id(met): met for met in group.changed()}
        return list(found.values())

    def drop(self, mets: Iterable[Met]) -> None:
        """Look no longer at the containers of ``mets``."""
        gone = {id(met) for met in mets}
        if not gone:
            return
        for group in (*self.still, *self.lively):
            if not gone.isdisjoint(map(id, group.owners)):
                kept = [at for at, owner in enumerate(group.owners) if id(owner) not in gone]
                for name in ("containers", "owners", "stood"):
                    old = getattr(group, name)
                    setattr(group, name, [old[at] for at in kept])
        kept = [at for at, owner in enumerate(self.empty_owners) if id(owner) not in gone]
        self.empty = [self.empty[at] for at in kept]
        self.empty_owners = [self.empty_owners[at] for at in kept]


# -- memory -----------------------------------------------------------------------------------------------------------

Fact = Callable[[Any], Any]

ARRAY: Final[tuple[Fact, ...]] = tuple(map(attrgetter, ("ctypes.data", "strides", "shape", "dtype")))
"""What an array is besides the bytes at its place."""


def tensor_facts() -> tuple[Fact, ...]:
    """The same of a tensor; strides follow from the shape of one that is contiguous."""
    cls = sys.modules["torch"].Tensor
    return cls.data_ptr, cls.is_contiguous, *map(attrgetter, ("shape", "dtype", "requires_grad"))


class Memory:
    """Tensors and arrays, and where they lie."""

    def __init__(self, tensors: list[Any], arrays: list[Any]) -> None:
        self.tensors, self.arrays = tensors, arrays
        self.marked = [vars(tensor) for tensor in tensors if vars(tensor)]
        self.plain = [tensor for tensor in tensors if not vars(tensor)]
        self.marks = [dict(marks) for marks in self.marked]
        strided = [tensor for tensor in tensors if not tensor.is_contiguous()]
        self.facts: list[tuple[Fact, list[Any], list[Any]]] = [
            (read, arrays, list(map(read, arrays))) for read in ARRAY
        ]
        if tensors:
            self.facts += [(read, tensors, list(map(read, tensors))) for read in tensor_facts()]
            self.facts += [(methodcaller("stride"), strided, [tensor.stride() for tensor in strided])]

    @property
    def is_on_cpu(self) -> bool:
        return all(tensor.device.type == "cpu" for tensor in self.tensors)

    @property
    def nbytes(self) -> int:
        return sum(int(one.nbytes) for one in chain(self.tensors, self.arrays))

    def is_same(self) -> bool:
        """Whether each lies where it lay, with the same shape."""
        if any(map(vars, self.plain)) or self.marks != self.marked:
            return False
        return all(all(map(eq, map(read, ones), was)) for read, ones, was in self.facts)

    def ranges(self) -> list[tuple[int, int]]:
        """First address, and the one after the last, of each that has any."""
        tensors = [(one.data_ptr(), one.shape, one.stride(), one.itemsize) for one in self.tensors if one.numel()]
        arrays = [(one.ctypes.data, one.shape, one.strides, one.itemsize) for one in self.arrays if one.size]
        return [
            *(
                bounds(start, shape, [stride * size for stride in strides], size)
                for start, shape, strides, size in tensors
            ),
            *(bounds(*array) for array in arrays),
        ]

    def overlaps(self, other: "Memory") -> bool:
        """Whether any two of both lie on the same bytes."""
        theirs = np.array(other.ranges() or [(0, 0)])
        return any(bool(np.any((theirs[:, 0] < high) & (low < theirs[:, 1]))) for low, high in self.ranges())


def bounds(start: int, shape: Iterable[int], strides: Iterable[int], itemsize: int) -> tuple[int, int]:
    """The addresses between which an array lies; strides in bytes, which may be negative.

    >>> bounds(100, (2, 3), (12, 4), 4), bounds(100, (3,), (-4,), 4)
    ((100, 124), (92, 104))
    """
    reaches = [(length - 1) * stride for length, stride in zip(shape, strides, strict=True)]
    return start + sum(min(0, reach) for reach in reaches), start + sum(max(0, reach) for reach in reaches) + itemsize


def same_memory(a: Any, b: Any) -> bool:
    """Whether two tensors or arrays are the same bytes in the same way, though they are two objects."""
    if is_tensor(a) and type(a) is type(b):
        facts: list[Fact] = [*tensor_facts(), methodcaller("stride")]
        return not vars(a) and not vars(b) and all(read(a) == read(b) for read in facts)
    both = isinstance(a, np.ndarray) and type(a) is type(b)
    return both and all(read(a) == read(b) for read in ARRAY)
