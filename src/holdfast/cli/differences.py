"""What differs between two files, as a list: pure, with nothing printed.

Strategy: both trees are walked side by side, by name. A value that only one side has is one difference, however much is
in it; what both have is compared by kind, shape and dtype, then by value, arrays by all their elements.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.cli.contents import Contents
from holdfast.cli.figures import difference
from holdfast.formats.look.entry import Entry
from holdfast.wire.values import same_value

SIGNS: Final = {"added": "+", "removed": "-"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs.

    path    its place in the file that has it
    what    added, removed, type, shape, dtype, shared, value, or elements (of two arrays of one shape)
    before  how the first file has it, ``after`` how the second has it; None where it has not
    figures of elements: how many differ, and by how much at most (see ``figures.difference``)
    """

    path: str
    what: str
    before: Any = None
    after: Any = None
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def sign(self) -> str:
        return SIGNS.get(self.what, "~")


def differences(a: Contents, b: Contents, advance: Callable[[int], None] = lambda done: None) -> Iterator[Difference]:
    """Each difference from ``a`` to ``b``, in ``a``'s order with what ``b`` adds after it."""
    in_a, in_b = ({entry.path: entry for entry in contents.tree.walk()} for contents in (a, b))
    stack: list[tuple[Entry | None, Entry | None]] = list(reversed(list(_paired(a.tree, b.tree))))
    compared: set[tuple[int, int]] = set()
    while stack:
        one, other = stack.pop()
        if one is None or other is None:
            yield _alone(one, other)
            continue
        if one.shared != other.shared:
            yield Difference(one.path, "shared", _whose(one), _whose(other))
        nodes = a.document(one), b.document(other)
        if type(nodes[0]) in (dict, list):
            if (id(nodes[0]), id(nodes[1])) in compared:
                continue
            compared.add((id(nodes[0]), id(nodes[1])))
        one, other = _opened(one, in_a), _opened(other, in_b)
        yield from _compared(a, b, one, other)
        advance(0 if one.children else one.nbytes + other.nbytes)
        stack.extend(reversed(list(_paired(one, other))))


def _opened(entry: Entry, by_path: dict[str, Entry]) -> Entry:
    """The entry at which the tree lists what is in this one: its first place."""
    first = by_path.get(entry.shared) if entry.shared is not None else None
    return first if first is not None and first.children else entry


def _alone(one: Entry | None, other: Entry | None) -> Difference:
    if one is not None:
        return Difference(one.path, "removed", before=one._what())
    assert other is not None
    return Difference(other.path, "added", after=other._what())


def _whose(entry: Entry) -> str:
    return "an object of its own" if entry.shared is None else f"the same as {entry.shared}"


def _paired(one: Entry, other: Entry) -> Iterator[tuple[Entry | None, Entry | None]]:
    """The children of both, side by side by name."""
    left, right = _by_name(one), _by_name(other)
    yield from ((child, right.get(name)) for name, child in left.items())
    yield from ((None, child) for name, child in right.items() if name not in left)


def _by_name(entry: Entry) -> dict[tuple[str | int, int], Entry]:
    """Children by name; of equal names (keys that have no text of their own) the first, the second and so on."""
    count: Counter[str | int] = Counter()
    found = {}
    for child in entry.children:
        found[child.name, count[child.name]] = child
        count[child.name] += 1
    return found


def _compared(a: Contents, b: Contents, one: Entry, other: Entry) -> Iterator[Difference]:
    """How two entries differ, their children aside."""
    for what in ("type", "shape", "dtype"):
        before, after = getattr(one, what), getattr(other, what)
        if before != after:
            yield Difference(one.path, what, before, after)
    if one.shape is not None and one.shape == other.shape:
        yield from _elements(a, b, one, other)
    elif one.shape is None and other.shape is None and not _same(a, b, one, other):
        yield Difference(one.path, "value", one.value, other.value)


def _elements(a: Contents, b: Contents, one: Entry, other: Entry) -> Iterator[Difference]:
    left, right = a.array(one), b.array(other)
    if left is not None and right is not None:
        found = difference(left, right)
        if found is not None:
            yield Difference(one.path, "elements", figures=found)
    elif not same_value(a.raw(one), b.raw(other)):
        yield Difference(one.path, "elements")


def _same(a: Contents, b: Contents, one: Entry, other: Entry) -> bool:
    """Whether two values are equal, by what the file holds where the tree shows only a part of it."""
    if not _equal(one.value, other.value):
        return False
    if one.value is not None and not isinstance(one.value, str):
        return True
    left, right = a.raw(one), b.raw(other)
    if left is None or right is None:
        return _unopened(one) == _unopened(other)
    return same_value(left, right)


def _unopened(entry: Entry) -> bool:
    """Whether the tree only says how many values are in it."""
    return bool(entry.length) and not entry.children


def _equal(one: Any, other: Any) -> bool:
    """As ``same_value``; NaN equals itself in NumPy's numbers too."""
    return same_value(one, other) or (type(one) is type(other) and bool(one != one) and bool(other != other))
