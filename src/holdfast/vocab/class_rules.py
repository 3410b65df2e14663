"""The rule of any class that no table lists, or the reason why its instances cannot be saved.

Strategy: a short list of makers, asked in order: a class that gives its own two directions, well-known classes that are
refused with advice, members of an Enum, and any class whose contents and attributes Python can reach.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, Flag
from inspect import isgeneratorfunction
from typing import Any, Final

from holdfast.codec.rule import ClassRule, Fields, Filling, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import static_attribute
from holdfast.vocab.instances import state_rule
from holdfast.vocab.keys import shown
from holdfast.vocab.named import class_name, local_advice, lower_named
from holdfast.wire.values import same_value

# -- the rule of a class ----------------------------------------------------------------------------------------------


def class_rule(cls: type) -> Rule | None:
    """The rule of a class that no table lists: of a user's class, or one that says why its instances cannot be saved.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Position:
    ...     step: int
    >>> class_rule(Position).lower(Position(3))["state"]
    {'step': 3}
    """
    rule = next(rule for make in MAKERS if (rule := make(cls)) is not None)
    if "<locals>" in cls.__qualname__:
        return replace(rule, lower=_refuse(local_advice(cls)))
    return rule


def _refuse(message: str) -> Callable[[Any], Any]:
    def lower(value: Any) -> Any:
        raise UnsupportedError(message)

    return lower


def metaclass_rule(cls: type) -> Rule | None:
    """A class whose instances are classes: those go by their names."""
    return Rule("python", class_name(cls), (cls,), lower_named, identity=False) if issubclass(cls, type) else None


def own_rule(cls: type) -> Rule | None:
    """``__lower__(self)`` gives a value that can be saved, the class method ``__lift__(cls, state)`` takes it."""
    lower, lift = static_attribute(cls, "__lower__"), static_attribute(cls, "__lift__")
    if lower is None and lift is None:
        return None
    if lower is None or not isinstance(lift, classmethod):
        message = f"{class_name(cls)} must have both __lower__(self) and a class method __lift__(cls, state)"
        return Rule("python", class_name(cls), (cls,), _refuse(message))
    return directed_rule(cls, class_name(cls), lambda value: value.__lower__(), lift.__get__(None, cls))


def directed_rule(cls: type, name: str, lower: Callable[[Any], Any], lift: Callable[[Any], Any]) -> Rule:
    """A rule by two functions: instance -> state, state -> instance."""

    def lift_filling(_: Fields) -> Filling:
        filling = lift(None)
        level = yield next(filling)
        try:
            filling.send(level["state"])
        except StopIteration:
            return

    return Rule(
        "python",
        name,
        (cls,),
        lower=lambda value: Fields(tag="python", type=name, state=lower(value)),
        lift=lift_filling if isgeneratorfunction(lift) else lambda level: lift(level["state"]),
    )


ADVICE: Final = {
    "builtins.BaseException": "an exception holds frames of the running program: save str(error)",
    "builtins.async_generator": "it is a computation half way: save what it is made from",
    "builtins.code": "it is a piece of a program",
    "builtins.coroutine": "it is a computation half way: save what it is made from",
    "builtins.frame": "it is a piece of a running program",
    "builtins.generator": "it is a computation half way: save what it is made from, or list(it)",
    "builtins.module": "save its name, and import it in your program",
    "builtins.traceback": "it is a piece of a running program",
    "_io._IOBase": "an open file belongs to this process: save its path, or what is in it",
    "_thread.RLock": "a lock belongs to this process: leave it out with __lower__, and make a new one in __lift__",
    "_thread._local": "it belongs to this process: leave it out with __lower__, and make a new one in __lift__",
    "_thread.lock": "a lock belongs to this process: leave it out with __lower__, and make a new one in __lift__",
    "_weakref.ReferenceType": "it does not keep what it points to: save the object itself",
    "concurrent.futures._base.Executor": "it belongs to this process: make a new one after loading",
    "logging.Handler": "it belongs to this process: leave it out with __lower__, and make a new one in __lift__",
    "logging.Logger": "save its name, and ask logging.getLogger(name) after loading",
    "multiprocessing.process.BaseProcess": "a process cannot be put in a file",
    "re.Pattern": "save its pattern and flags, and compile it after loading",
    "socket.socket": "a connection belongs to this process: save its address",
    "sqlite3.Connection": "a connection belongs to this process: save its path",
    "subprocess.Popen": "a process cannot be put in a file",
    "threading.Thread": "a thread cannot be put in a file",
    "types.GenericAlias": "it is a type hint: save its text",
    "typing._GenericAlias": "it is a type hint: save its text",
    "weakref.ReferenceType": "it does not keep what it points to: save the object itself",
}
"""What to do instead, for well-known classes and all that is derived from them."""


def advised_rule(cls: type) -> Rule | None:
    """The rule that refuses well-known classes of which nothing useful could be saved."""
    names = (f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in cls.__mro__)
    advice = next((ADVICE[name] for name in names if name in ADVICE), None)
    if advice is None:
        return None
    return Rule("python", class_name(cls), (cls,), _refuse(f"a {class_name(cls)} cannot be saved: {advice}"))


def enum_rule(cls: type) -> Rule | None:
    return member_rule(cls) if issubclass(cls, Enum) else None


def plain_rule(cls: type) -> Rule | None:
    return state_rule(cls, class_name(cls))


def closed_rule(cls: type) -> Rule | None:
    """What is left: classes that keep things where Python cannot reach."""
    name = cls.__qualname__
    message = (
        f"a {class_name(cls)} cannot be saved: it is made in C and does not show what it holds. "
        f"Say how with holdfast.register({name}, lower=…, lift=…)"
    )
    return Rule("python", class_name(cls), (cls,), _refuse(message))


MAKERS: Final[tuple[ClassRule, ...]] = (metaclass_rule, own_rule, advised_rule, enum_rule, plain_rule, closed_rule)
"""In this order; the last one takes all."""


# -- members of an Enum -----------------------------------------------------------------------------------------------

COMPARED: Final = frozenset({type(None), bool, int, float, str})
"""Values of members that are written beside the name, so that a changed Enum is seen."""


def member_rule(cls: type[Enum]) -> Rule:
    """A member goes by its name, with its value beside it; only a member that the class has comes back."""

    def lower(member: Enum) -> Fields:
        state = Fields(name=member._name_)
        if type(member._value_) in COMPARED:
            state["value"] = member._value_
        return Fields(tag="python", type=class_name(cls), state=state)

    def lift(level: Fields) -> Enum:
        state = level["state"]
        name, value = state["name"], state.get("value")
        member = cls.__members__.get(name) if isinstance(name, str) else None
        if member is None and issubclass(cls, Flag) and type(value) is int:
            member = combined(cls, value)
        same = member is not None and ("value" not in state or same_value(member._value_, value))
        if member is None or not same or _parts(member._name_) != _parts(name):
            raise FormatError(f"{cls.__qualname__} has no member {shown(name)} of the value {shown(value)}")
        return member

    return Rule("python", class_name(cls), (cls,), lower, lift)


def combined(cls: type[Flag], value: int) -> Flag | None:
    """Several flags in one, made by Flag's own rules even where the class has others."""
    member = vars(Flag)["_missing_"].__func__(cls, value)
    return member if isinstance(member, cls) else None


def _parts(name: str | None) -> set[str]:
    """The flags in ``A|B``, whose order is that of the class."""
    return set(name.split("|")) if name else set()
