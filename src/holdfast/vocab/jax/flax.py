"""Flax: FrozenDict, ``TrainState``, boxes around parameters, and modules of Linen.

Strategy: parameters of Linen are dictionaries, which need nothing here. A ``TrainState`` is its fields but for those that
are code (``apply_fn``, ``tx``): they come back as None, and ``state.replace(apply_fn=…, tx=…)`` puts them in again. A
module of Linen is its fields, but for those defaults of its class that are functions without a name (``lecun_normal()``).
"""

from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from flax import linen, nnx
from flax.core import FrozenDict, meta
from flax.training.dynamic_scale import DynamicScale
from flax.training.early_stopping import EarlyStopping
from flax.training.train_state import TrainState

from holdfast.codec.rule import Fields, Filling, Items, Rule, Vocabulary
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import Anatomy, anatomy
from holdfast.vocab.instances import attribute_fields, state_rule
from holdfast.vocab.jax.functions import NAMED as JAXS
from holdfast.vocab.jax.functions import functions_of
from holdfast.vocab.jax.refusals import refused
from holdfast.vocab.keys import shown
from holdfast.vocab.named import class_name, is_known, local_advice, value_rules

# -- FrozenDict -------------------------------------------------------------------------------------------------------

FROZEN: Final = "flax.core.FrozenDict"


def lift_frozen(level: Fields) -> Any:
    (items,) = level["state"]
    if type(items) is not dict:
        raise FormatError(f"a FrozenDict of {shown(items)}")
    make: Any = FrozenDict
    return make(items, __unsafe_skip_copy__=True)


def lower_frozen(value: FrozenDict[Any, Any]) -> Fields:
    inner = Items([dict(value._dict)])
    inner.label = lambda index: ""
    return Fields(tag="python", type=FROZEN, state=inner)


# -- TrainState -------------------------------------------------------------------------------------------------------

CODE: Final = ("apply_fn", "tx")
"""Fields of a TrainState that are functions, or made of them."""


def train_rule(cls: type, name: str) -> Rule:
    """The rule of ``TrainState``, or of a class that is derived from it."""
    body = _body(cls)

    def lower(value: Any) -> Fields:
        held = {key: item for key, item in body.attributes(value).items() if key not in CODE}
        return Fields(tag="python", type=name, state=attribute_fields(held))

    def lift(_: Fields) -> Filling:
        value: Any = object.__new__(cls)
        level = yield value
        body.give(value, level["state"])
        vars(value).update(dict.fromkeys(CODE))

    return Rule("python", name, (cls,), lower, lift)


def _body(cls: type) -> Anatomy:
    body = anatomy(cls)
    if body is None:
        raise UnsupportedError(f"a {class_name(cls)} keeps a part of its state out of reach of Python")
    return body


# -- modules of Linen -------------------------------------------------------------------------------------------------

BOUND: Final = "it is bound to its parameters: save the module that it was made from, and the parameters beside it"
PLACE: Final = ("parent", "name")


def linen_rule(cls: type, name: str) -> Rule:
    """The rule of a module of Linen: its fields, but for functions without a name that the class itself gives."""
    own = tuple(item.name for item in dataclass_fields(cls) if item.name not in PLACE)

    def lower(module: Any) -> Fields:
        if module.scope is not None or module.parent is not None:
            raise UnsupportedError(f"a {cls.__qualname__} cannot be saved while {BOUND}")
        held = {
            key: vars(module)[key] for key in own if key in vars(module) and not _is_nameless_default(cls, key, module)
        }
        if module.name is not None:
            held["name"] = module.name
        return Fields(tag="python", type=name, state=attribute_fields(held))

    return Rule("python", name, (cls,), lower, linen_lift(cls, own))


def _is_nameless_default(cls: type, key: str, module: Any) -> bool:
    """Whether a field is the class's own default, and a function that no file can name."""
    value = vars(module)[key]
    return callable(value) and not is_known(value) and getattr(cls, key, None) is value


def linen_lift(cls: type, own: tuple[str, ...]) -> Callable[[Fields], Filling]:
    def lift(_: Fields) -> Filling:
        module: Any = object.__new__(cls)
        level = yield module
        held = level["state"]
        if type(held) is not dict or not held.keys() <= {*own, "name"}:
            raise FormatError(f"the fields of a {cls.__qualname__} are {shown(held)}")
        vars(module).update({key: getattr(cls, key) for key in own if hasattr(cls, key)})
        vars(module).update({"name": None} | held | {"parent": None})
        linen.Module.__post_init__(module)  # gives the module the bookkeeping that Linen needs

    return lift


# -- tables -----------------------------------------------------------------------------------------------------------


def _classes(module: ModuleType, prefix: str, kind: type) -> dict[str, type]:
    return {
        f"{prefix}.{name}": value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, kind) and value is not kind and not name.startswith("_")
    }


LINEN: Final = {
    name: cls for name, cls in _classes(linen, "flax.linen", linen.Module).items() if cls is not linen.Module
}
BOXES: Final = _classes(meta, "flax.core.meta", meta.AxisMetadata) | _classes(linen, "flax.linen", meta.AxisMetadata)
"""Boxes that say along which axes of a mesh a parameter is split."""
HELD: Final = {
    "flax.training.dynamic_scale.DynamicScale": DynamicScale,
    "flax.training.early_stopping.EarlyStopping": EarlyStopping,
}
"""What a training loop carries along beside its state."""


PARTS: Final = ("activation", "attention", "dtypes", "initializers", "pooling")
FUNCTIONS: Final = {
    name: value
    for part in PARTS
    if (module := getattr(linen, part, None)) is not None
    for name, value in functions_of(module, f"flax.linen.{part}").items()
}


def flax_rule(cls: type) -> Rule | None:
    """The rule of a user's module of Linen, or TrainState."""
    if issubclass(cls, TrainState):
        rule = train_rule(cls, class_name(cls))
    elif issubclass(cls, linen.Module):
        rule = linen_rule(cls, class_name(cls))
    else:
        return None
    if "<locals>" in cls.__qualname__:
        return refused(cls, local_advice(cls))
    return rule


@cache
def vocabulary() -> Vocabulary:
    """The rules of Flax's values; made once."""
    boxes = [rule for name, cls in (BOXES | HELD).items() if (rule := state_rule(cls, name)) is not None]
    rules = [
        Rule("python", FROZEN, (FrozenDict,), lower_frozen, lift_frozen),
        train_rule(TrainState, "flax.training.train_state.TrainState"),
        *boxes,
        *(linen_rule(cls, name) for name, cls in LINEN.items()),
        *value_rules(FUNCTIONS | LINEN, JAXS),
    ]
    whole = Vocabulary(rules, class_rules=[flax_rule])
    if hasattr(nnx, "Pytree"):  # before Flax 0.12 a module of NNX was made otherwise
        whole.include(import_module("holdfast.vocab.jax.nnx").vocabulary())
    return whole
