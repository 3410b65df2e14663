"""Plain values that are tracked: containers, numbers, and objects of the user's own classes.

Strategy: what can change is filled in place, so that everyone who holds it sees the saved state; what cannot (a number,
a text, a tuple) is replaced in the mapping of what is tracked. A thing that has an equal hash for equal content is a
value and is replaced; one that has none, or is told apart by identity, can change. The classes in the file may be those
of the live value, which the program has made itself, and those that are registered.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final

from holdfast.codec.rule import Options
from holdfast.formats.bson import File
from holdfast.state.records import is_array, type_text
from holdfast.state.targets import Act, Plan, Step, refused
from holdfast.vocab import vocabulary
from holdfast.vocab.anatomy import anatomy
from holdfast.vocab.named import is_known


def lifted(file: File, live: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the file under the names of ``live``. Raises UntrustedError for classes that ``live`` has not."""
    names = [name for name in live if name in file.names]
    rules = vocabulary(classes_of([live[name] for name in names]))
    audited = file.audit(names, rules)
    file.verify_blobs(audited.blobs)
    return file.lift(audited, names, rules, Options())


def classes_of(values: Any) -> list[type]:
    """The users' classes of ``values`` and of all that is in them."""
    found: dict[type, None] = {}
    for part in parts_of(values):
        if not is_known(type(part)):
            found[type(part)] = None
    return list(found)


def parts_of(value: Any) -> Iterator[Any]:
    """A plain value and all that is in it, in containers and attributes."""
    waiting, seen = [value], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset | deque):
            waiting += part
        if not is_array(part):
            waiting += getattr(part, "__dict__", {}).values()


def plan(tracked: MutableMapping[str, Any], name: str, value: Any) -> Plan:
    """How ``tracked[name]`` becomes ``value``: in place, or as another entry of ``tracked``."""
    live = tracked[name]
    if not can_change(live):
        return Plan(steps=[Step(lambda: _set(tracked, name, value), lambda: lambda: _set(tracked, name, live))])
    if type(value) is not type(live):
        return refused(name, f"{type_text(value)} in the file, {type_text(live)} in the live object")
    return Plan(steps=[Step(lambda: contents(value)(live), lambda: _put_back(live))])


def _set(tracked: MutableMapping[str, Any], name: str, value: Any) -> None:
    tracked[name] = value


def can_change(value: Any) -> bool:
    """Whether ``value`` is filled in place.

    >>> [can_change(value) for value in ([], {}, set(), 1, "a", (1, 2), frozenset())]
    [True, True, True, False, False, False, False]
    """
    hashed: Any = type(value).__hash__
    return (hashed is None or hashed is object.__hash__) and _filler(value) is not None


Fill = Callable[[Any], None]

CONTAINERS: Final[dict[type, Callable[[Any, Any], None]]] = {
    dict: lambda live, held: (live.clear(), live.update(held))[1],
    list: lambda live, held: live.__setitem__(slice(None), held),
    set: lambda live, held: (live.clear(), live.update(held))[1],
    deque: lambda live, held: (live.clear(), live.extend(held))[1],
    bytearray: lambda live, held: live.__setitem__(slice(None), held),
}
"""Type -> how one that exists takes over what another holds."""


def _filler(value: Any) -> Any:
    found = next((fill for kind, fill in CONTAINERS.items() if isinstance(value, kind)), None)
    return found or anatomy(type(value))


def contents(value: Any) -> Fill:
    """What gives a live object of the same class the contents and attributes that ``value`` has now."""
    kind = next((kind for kind in CONTAINERS if isinstance(value, kind)), None)
    held = None if kind is None else kind(value)
    body = None if kind is deque or kind is bytearray else anatomy(type(value))
    attributes = {} if body is None else body.attributes(value)

    def fill(live: Any) -> None:
        if kind is not None:
            CONTAINERS[kind](live, held)
        if body is not None:
            for name in body.attributes(live).keys() - attributes.keys():
                delattr(live, name)
            body.give(live, attributes)

    return fill


def _put_back(live: Any) -> Act:
    old = contents(live)
    return lambda: old(live)
