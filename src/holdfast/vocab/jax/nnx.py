"""Flax NNX: variables, modules and their optimisers, states.

Strategy: a variable is its value and its metadata; a module is its attributes, and which of them are data (``nodes``).
Both are made empty and filled, so no ``__init__`` runs; what ties an object to the trace that it was made in is new. A
split module (``GraphDef``) is not saved: its parts would be numbers without the program. Of an ``nnx.Optimizer`` the
transformation ``tx`` is code: it comes back as None and is set again, ``optimizer.tx = optax.adam(1e-3)``.
"""

from types import FunctionType
from typing import Any, Final

from flax import nnx
from flax.nnx import pytreelib

from holdfast.codec.rule import Fields, Filling, Items, Rule, Vocabulary
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import Anatomy, anatomy
from holdfast.vocab.instances import attribute_fields, state_rule
from holdfast.vocab.jax.functions import NAMED as JAXS
from holdfast.vocab.jax.functions import functions_of
from holdfast.vocab.jax.refusals import refused
from holdfast.vocab.keys import shown
from holdfast.vocab.named import class_name, local_advice, value_rules

STATE: Final = "_pytree__state"
NODES: Final = "_pytree__nodes"
"""Attributes that every module has for NNX itself."""
CODE: Final = "tx"
"""The attribute of an Optimizer that is made of functions."""


# -- variables --------------------------------------------------------------------------------------------------------


def variable_rule(cls: Any, name: str) -> Rule:
    def lower(value: Any) -> Fields:
        if value.get_metadata().get("ref") or value.get_metadata().get("hijax"):
            raise UnsupportedError(
                f"a {cls.__qualname__} around a Ref cannot be saved: save nnx.as_immutable_vars(model)"
            )
        metadata = attribute_fields(_own_metadata(cls, value.get_metadata()))
        inner = Fields(value=value.get_raw_value(), metadata=metadata)
        inner.label = lambda key: ".value" if key == "value" else ".metadata"
        return Fields(tag="python", type=name, state=inner)

    def lift(_: Fields) -> Filling:
        value = cls._new(None, {})
        level = yield value
        state = level["state"]
        metadata = state["metadata"] if type(state) is dict else None
        if type(metadata) is not dict or not all(type(key) is str for key in metadata):
            raise FormatError(f"the metadata of a {cls.__qualname__} are {shown(metadata)}")
        object.__setattr__(value, "_raw_value", state["value"])
        object.__setattr__(value, "_var_metadata", _defaults(cls) | metadata)

    return Rule("python", name, (cls,), lower, lift)


HOOKS: Final = ("on_get_value", "on_set_value", "on_create_value", "on_add_axis", "on_remove_axis")
"""Functions that a class gives to its variables' metadata."""


def _defaults(cls: Any) -> dict[str, Any]:
    return {hook: getattr(cls, hook) for hook in HOOKS if hasattr(cls, hook)}


def _own_metadata(cls: Any, metadata: dict[str, Any]) -> dict[str, Any]:
    """``metadata`` without what the class itself gives, which is code."""
    given = _defaults(cls)
    return {key: item for key, item in metadata.items() if key not in given or item is not given[key]}


# -- modules ----------------------------------------------------------------------------------------------------------


def module_rule(cls: Any, name: str) -> Rule | None:
    """The rule of a module, or of anything else that NNX looks into; None when some of it is out of reach."""
    body = anatomy(cls)
    if body is None:
        return None
    return Rule("python", name, (cls,), _lower_module(body, name), _lift_module(body))


def _given_by(cls: type) -> dict[str, FunctionType]:
    """Functions that a class gives to the attributes which it declares (``merge_fn: Callable = …``): they are code, and
    look like methods."""
    found: dict[str, FunctionType] = {}
    for base in reversed(cls.__mro__):
        declared = vars(base).get("__annotations__", {})
        found |= {n: item for n, item in vars(base).items() if n in declared and isinstance(item, FunctionType)}
    return found


def _lower_module(body: Anatomy, name: str) -> Any:
    def lower(module: Any) -> Fields:
        held = body.attributes(module, _given_by(type(module)))
        held.pop(STATE, None)
        nodes = dict(held.pop(NODES, {}))
        if isinstance(module, nnx.Optimizer):
            held[CODE] = None
        inner = Fields(attributes=attribute_fields(held), nodes=Items([nodes]))
        inner.label = lambda key: ""
        return Fields(tag="python", type=name, state=inner)

    return lower


def _lift_module(body: Anatomy) -> Any:
    cls = body.cls

    def lift(_: Fields) -> Filling:
        module: Any = object.__new__(cls)
        vars(module)[STATE], vars(module)[NODES] = pytreelib.PytreeState(), cls._pytree__nodes  # type: ignore[attr-defined]
        level = yield module
        state = level["state"]
        (nodes,) = state["nodes"]
        if type(nodes) is not dict or not all(type(k) is str and type(v) is bool for k, v in nodes.items()):
            raise FormatError(f"what is data in a {cls.__qualname__} is {shown(nodes)}")
        held = state["attributes"]
        if type(held) is dict and not held.keys().isdisjoint((STATE, NODES)):
            raise FormatError(f"an attribute of a {cls.__qualname__} belongs to NNX")
        vars(module).update(_given_by(cls))
        body.give(module, held)
        vars(module)[NODES] = vars(module)[NODES].update(nodes)

    return lift


# -- states -----------------------------------------------------------------------------------------------------------


def lower_state(value: Any) -> Fields:
    inner = Items([dict(value.raw_mapping)])
    inner.label = lambda index: ""
    return Fields(tag="python", type="flax.nnx.State", state=inner)


def lift_state(level: Fields) -> Any:
    (mapping,) = level["state"]
    if type(mapping) is not dict:
        raise FormatError(f"a State of {shown(mapping)}")
    return nnx.State(mapping)


# -- tables -----------------------------------------------------------------------------------------------------------


def _public(kind: Any) -> dict[str, type]:
    """What NNX shows, with its metrics and its bridge to Linen, which have parts of their own."""
    return {
        f"{prefix}.{name}": value
        for prefix, part in (("flax.nnx.metrics", nnx.metrics), ("flax.nnx.bridge", nnx.bridge), ("flax.nnx", nnx))
        for name, value in vars(part).items()
        if isinstance(value, type) and issubclass(value, kind) and not name.startswith("_")
    }


VARIABLES: Final = _public(nnx.Variable)
MODULES: Final = _public(nnx.Pytree)
AXES: Final = {f"flax.nnx.{cls.__name__}": cls for cls in (nnx.Carry, nnx.StateAxes)}
"""What an RNN has of how it goes through time: a class, and an object that pairs filters with axes."""
FILTERS: Final = {
    f"flax.nnx.filterlib.{name}": value
    for name, value in vars(nnx.filterlib).items()
    if isinstance(value, type) and value.__module__ == nnx.filterlib.__name__ and not name.startswith("_")
}
"""What says which variables are meant, as in ``nnx.Optimizer(wrt=nnx.All(…))``."""

PARTS: Final = ("activations", "attention", "dtypes", "initializers", "linear", "recurrent")
FUNCTIONS: Final = {
    name: value
    for part in PARTS
    if (module := getattr(nnx.nn, part, None)) is not None
    for name, value in functions_of(module, f"flax.nnx.nn.{part}").items()
}
NAMED: Final = {**FUNCTIONS, **VARIABLES, **MODULES, **AXES}
"""What of NNX may stand as a value."""


def vocabulary() -> Vocabulary:
    """The rules of NNX's values, and of users' variables and modules."""
    modules = [module_rule(cls, name) for name, cls in MODULES.items()]
    rules = [
        *(variable_rule(cls, name) for name, cls in VARIABLES.items()),
        *(rule for rule in modules if rule is not None),
        *(rule for name, cls in (FILTERS | AXES).items() if (rule := state_rule(cls, name)) is not None),
        Rule("python", "flax.nnx.State", (nnx.State,), lower_state, lift_state),
        *value_rules(NAMED, JAXS),
    ]
    return Vocabulary(rules, class_rules=[nnx_rule])


def nnx_rule(cls: type) -> Rule | None:
    """The rule of a user's variable or module, or one that refuses what has no place in a file."""
    if issubclass(cls, nnx.GraphDef):
        return refused(cls, "a GraphDef is a program without its values: save the module itself, or nnx.state(model)")
    if not issubclass(cls, nnx.Variable | nnx.Pytree):
        return None
    if "<locals>" in cls.__qualname__:
        return refused(cls, local_advice(cls))
    return variable_rule(cls, class_name(cls)) if issubclass(cls, nnx.Variable) else module_rule(cls, class_name(cls))
