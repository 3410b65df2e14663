"""The attributes of modules, optimisers and schedulers: which may be set, and which classes have such.

Strategy: state goes in and out through ``__dict__``, so nothing of the class runs. A name that a method, or the
framework's own bookkeeping, goes by is refused in both directions: an object that loads differently from how it was
saved is worse than an error.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from holdfast.codec.rule import Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import PASSED_OVER, Anatomy, anatomy, static_attribute
from holdfast.vocab.named import class_name, local_advice
from holdfast.vocab.torch.tensors import refused


class Attributes:
    """The attributes of the instances of one class, but for those in ``own``: written otherwise, or not at all."""

    def __init__(self, body: Anatomy, own: Collection[str]) -> None:
        self.body = body
        self.own = frozenset(own)

    def of(self, value: Any) -> dict[str, Any]:
        """Raises UnsupportedError for an attribute that ``give`` would refuse."""
        held = {name: item for name, item in vars(value).items() if name not in self.own | PASSED_OVER}
        for name in held:
            reason = self.body.obstacle(name)
            if reason:
                cls = self.body.cls.__qualname__
                raise UnsupportedError(f"an attribute of {cls} cannot be saved: {reason}", f".{name}")
        return held

    def give(self, value: Any, attributes: dict[str, Any]) -> None:
        """Set ``attributes`` on ``value``. Raises FormatError for one that is not an attribute of this class."""
        for name in attributes:
            reason = "it belongs to torch" if name in self.own else self.body.obstacle(name)
            if reason:
                raise FormatError(f"{name!r:.80} is no attribute of {self.body.cls.__qualname__}: {reason}")
        vars(value).update(attributes)


def body_of(cls: type) -> Anatomy | Rule:
    """How instances of ``cls`` hold their state, or the rule that refuses them."""
    body = anatomy(cls)
    if "<locals>" in cls.__qualname__:
        return refused(cls, local_advice(cls))
    if body is None or body.base is not object or body.slots:
        return refused(cls, f"a {class_name(cls)} cannot be saved: it keeps a part of its state out of its __dict__")
    return body


def rules_of(classes: Mapping[str, type], rule_for: Callable[[type, str, Anatomy], Rule]) -> list[Rule]:
    """The rules of a table of torch's own classes, by the names that they have in a file."""
    rules = []
    for name, cls in classes.items():
        body = body_of(cls)
        assert isinstance(body, Anatomy)
        rules.append(rule_for(cls, name, body))
    return rules


def is_ours(cls: type, kind: type) -> bool:
    """Whether ``cls`` is a ``kind`` of torch's and does not say itself how it is saved (``__lower__``)."""
    return (
        issubclass(cls, kind)
        and static_attribute(cls, "__lower__") is None
        and static_attribute(cls, "__lift__") is None
    )
