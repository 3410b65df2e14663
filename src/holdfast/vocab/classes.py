"""Users' classes: rules made from class objects, never from names.

Strategy: saving needs no permission; an instance goes out by its contents and attributes under its class's name.
Loading does: a file's name leads to a class only where the caller gave that class, for one load (``classes=``) or for
good (``register``).
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, TypeVar, overload

from holdfast.codec.rule import ClassRule, Rule
from holdfast.vocab.class_rules import class_rule, directed_rule
from holdfast.vocab.named import class_name, is_known, value_name, value_rule, value_rules

__all__ = ["class_rule", "register", "registered", "rules_for"]

Named = TypeVar("Named", bound=Callable[..., Any])

# -- what a caller allows ---------------------------------------------------------------------------------------------


def rules_for(
    classes: Iterable[Any] | Mapping[str, Any], class_rules: Sequence[ClassRule] = (class_rule,)
) -> list[Rule]:
    """The rules that lift instances of ``classes``: class objects, or the name in the file -> class object.

    A class of the list also goes by the name that it has in a script (``__main__.Net``). ``class_rules`` are tried in
    order for the rule of each class. Raises TypeError for what is neither a class nor a registered function,
    ValueError for two classes of one name.
    """
    if isinstance(classes, Mapping):
        exact, aliases = _checked(classes.items()), {}
    else:
        listed = list(classes)
        exact = _checked((class_name(item), item) if isinstance(item, type) else ("", item) for item in listed)
        aliases = _aliases(exact)
    return [rule for name, cls in (aliases | exact).items() for rule in _lifts(name, cls, _first(class_rules, cls))]


def _checked(pairs: Iterable[tuple[str, Any]]) -> dict[str, type]:
    table: dict[str, type] = {}
    for name, item in pairs:
        if is_known(item) and name in ("", class_name(item) if isinstance(item, type) else name):
            continue
        if not isinstance(item, type):
            raise TypeError(
                f"classes holds {item!r:.80}, which is not a class; a function is allowed with holdfast.register"
            )
        if not isinstance(name, str):
            raise TypeError(f"classes names {item.__qualname__} by a {type(name).__name__}, not by a text")
        if table.setdefault(name, item) is not item:
            raise ValueError(
                f"two classes are called {name}: give the one that the file means, "
                f"as in classes={{{name!r}: {item.__name__}}}"
            )
    return table


def _aliases(exact: Mapping[str, type]) -> dict[str, type]:
    """Other names that classes go by when their module was run as a script, unless two would share one."""
    found: dict[str, list[type]] = {}
    for cls in exact.values():
        for module in script_names(cls.__module__):
            found.setdefault(f"{module}.{cls.__qualname__}", []).append(cls)
    return {name: owners[0] for name, owners in found.items() if len(owners) == 1}


def script_names(module: str) -> list[str]:
    """``__main__`` for a module; for the script that runs, the name that it has when it is imported.

    >>> script_names("net.layers")
    ['__main__']
    """
    if module != "__main__":
        return ["__main__"]
    main = sys.modules["__main__"]
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return [spec.name] if spec else [Path(path).stem] if path else []


def _first(class_rules: Sequence[ClassRule], cls: type) -> Rule | None:
    return next((rule for make in class_rules if (rule := make(cls)) is not None), None)


def renamed(rule: Rule, name: str) -> Rule:
    """``rule`` under another name in files, in both directions."""

    def lower(value: Any) -> Any:
        assert rule.lower is not None
        fields = rule.lower(value)
        fields["type" if fields["tag"] == "python" else "python"] = name
        return fields

    return replace(rule, name=name, lower=lower)


def _lifts(name: str, cls: type, rule: Rule | None) -> Iterator[Rule]:
    """The rules by which a file may have instances of ``cls``, and ``cls`` itself, under ``name``."""
    if rule is not None and rule.kind == "python" and (rule.lift or rule.lift_with):
        yield replace(rule, name=name, types=())
    yield value_rule(value_name(cls, name), cls)


# -- what is allowed for good -----------------------------------------------------------------------------------------

Lower = Callable[[Any], Any]
Lift = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Registered:
    """A class or function that was registered, and the two directions that its owner gave it."""

    value: Any
    lower: Lower | None = None
    lift: Lift | None = None

    def rules(self, name: str, class_rules: Sequence[ClassRule], *, written: bool) -> Iterator[Rule]:
        """What a file may have under ``name``; ``written`` when that is also the name that ``save`` writes."""
        if not isinstance(self.value, type):
            yield value_rule(name, self.value)
            return
        if self.lower is not None and self.lift is not None:
            rule: Rule | None = directed_rule(self.value, name, self.lower, self.lift)
        else:
            rule = _first(class_rules, self.value)
        if written and rule is not None:
            yield renamed(rule, name)
        yield from _lifts(name, self.value, None if written else rule)


REGISTERED: Final[dict[str, Registered]] = {}
"""By the name in a file."""


@overload
def register(
    target: Named, /, *, name: str | None = None, lower: Lower | None = None, lift: Lift | None = None
) -> Named: ...
@overload
def register(
    target: None = None, /, *, name: str | None = None, lower: Lower | None = None, lift: Lift | None = None
) -> Callable[[Named], Named]: ...
def register(
    target: Any = None, /, *, name: str | None = None, lower: Lower | None = None, lift: Lift | None = None
) -> Any:
    """Allow a class or a function in files, for good: ``@register``, or ``register(Net, …)``. Gives back ``target``.

    name         what files call it instead of its own name; files with its own name still load
    lower, lift  how an instance becomes a value that can be saved, and back; both or none. A ``lift`` that is a
                 generator yields the empty instance first and then receives the state: for instances that may hold
                 themselves

    Raises TypeError for anything but a class or function, ValueError for a name that another one has and for what
    stands inside a function, which no other program could name.

    >>> @register
    ... class Tally:
    ...     def __init__(self, of):
    ...         self.of = of
    """
    if target is None:
        return lambda given: register(given, name=name, lower=lower, lift=lift)
    if not isinstance(target, type | FunctionType | BuiltinFunctionType):
        raise TypeError(f"register takes a class or a function, not {target!r:.80}")
    if (lower is None) != (lift is None) or (lower is not None and not isinstance(target, type)):
        raise TypeError("register takes lower and lift of a class, or neither")
    if "<" in target.__qualname__:
        raise ValueError(
            f"{target.__qualname__} is inside a function or has no name, so no other program can name it: "
            "move it to the top of its module"
        )
    _remember(name or _own_name(target), Registered(target, lower, lift))
    return target


def _remember(name: str, entry: Registered) -> None:
    before = REGISTERED.get(name)
    # The same name for the same class again is what running a notebook's cell twice makes.
    if before is not None and _own_name(before.value) != _own_name(entry.value):
        raise ValueError(f"{name} is registered already, for {_own_name(before.value)}")
    REGISTERED[name] = entry
    if not isinstance(entry.value, type) and not is_known(entry.value):
        value_rules({name: entry.value})


def _own_name(value: Any) -> str:
    return class_name(value) if isinstance(value, type) else value_name(value)


def registered(class_rules: Sequence[ClassRule] = (class_rule,)) -> list[Rule]:
    """The rules of all that was registered, for both directions; ``class_rules`` as in ``rules_for``."""
    own = {_own_name(entry.value): entry for entry in REGISTERED.values()}
    aliases = _aliases({name: entry.value for name, entry in own.items()})
    names = {name: own[_own_name(value)] for name, value in aliases.items()} | own | REGISTERED
    return [
        rule for name, entry in names.items() for rule in entry.rules(name, class_rules, written=name in REGISTERED)
    ]
