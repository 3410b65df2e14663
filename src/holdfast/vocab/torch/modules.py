"""``torch.nn``'s modules, and users' modules by the same rule.

Strategy: a module is its parts: training flag, parameters, buffers, modules, attributes. It is built by making the
empty object with the dictionaries that every ``nn.Module`` has, and filling these; no ``__init__``, ``__setstate__``
or ``__setattr__`` runs. torch's own classes are in an exact table, made once by listing ``torch.nn``; a user's class
gets its rule from ``module_rule`` and is built only where the caller allows it. In a file:

    {tag: "python", type: "torch.nn.Linear", state: {
        training: true, parameters: {weight: …, bias: …}, attributes: {in_features: 10, out_features: 5}}}

and, where there are any, ``buffers`` with the list ``non_persistent`` of those that a state_dict leaves out, and
``modules``. So in Julia a Sequential is dictionaries of arrays.
"""

import weakref
from collections.abc import Callable
from typing import Any, Final

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.optim.swa_utils import AveragedModel

from holdfast.codec.rule import Fields, Filling, Items, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import Anatomy
from holdfast.vocab.named import class_name
from holdfast.vocab.torch.attributes import Attributes, body_of, is_ours, rules_of
from holdfast.vocab.torch.documents import named_parts, section, structure
from holdfast.vocab.torch.functions import lower_average
from holdfast.vocab.torch.refusals import WRAPPERS, names_of, obstacle, refuse_hooks
from holdfast.vocab.torch.tensors import refused

PARTS: Final[dict[str, tuple[str, type]]] = {
    "parameters": ("_parameters", nn.Parameter),
    "buffers": ("_buffers", Tensor),
    "modules": ("_modules", nn.Module),
}
"""Section of the document -> where a module keeps it, and what it holds there (or None)."""

OWN: Final = frozenset(vars(nn.Module())) | {"_compiled_call_impl"}
"""What ``nn.Module`` keeps for itself. What ``compile()`` made is left out, as in ``torch.save``: call it again."""


def empty(cls: type) -> Any:
    """A module of ``cls`` with nothing in it."""
    module: Any = object.__new__(cls)
    held = vars(nn.Module())
    vars(module).update(held)
    return module


def parts_of(module: nn.Module, name: str) -> dict[str, Any]:
    """One of ``PARTS``. Raises UnsupportedError for what could not be given back."""
    key, kind = PARTS[name]
    parts = vars(module)[key]
    for part, value in parts.items():
        reason = misfit(part, value, kind)
        if reason:
            raise UnsupportedError(f"the {name} of a {type(module).__qualname__} cannot be saved: {reason}", f".{part}")
    return dict(parts)


def misfit(name: Any, value: Any, kind: type) -> str | None:
    """Why ``value`` cannot be a part called ``name``."""
    if type(name) is not str or not name or "." in name:
        return f"{name!r:.60} is no name of a part"
    if value is not None and not isinstance(value, kind):
        return f"{name!r:.60} is a {class_name(type(value))}, not a {kind.__name__}"
    return None


# -- modules that keep something twice --------------------------------------------------------------------------------


def rnn_names(module: nn.RNNBase) -> list[list[str]]:
    """The names of the weights of an RNN, layer by layer, as its sizes say. Raises ValueError for impossible sizes."""
    layers, bias, width = module.num_layers, module.bias, module.proj_size
    directions = 2 if module.bidirectional else 1
    if type(layers) is not int or type(width) is not int or layers * directions > len(module._parameters):
        raise ValueError(f"an RNN of {layers!r:.40} layers has {len(module._parameters)} weights")
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if bias else []), *(["weight_hr"] if width else [])]
    ends = ["", "_reverse"][:directions]
    return [[f"{kind}_l{layer}{end}" for kind in kinds] for layer in range(layers) for end in ends]


def check_rnn(module: nn.RNNBase) -> None:
    try:
        usual = module._all_weights == rnn_names(module)
    except (ValueError, AttributeError):
        usual = False
    if not usual:
        raise UnsupportedError(
            f"a {type(module).__qualname__} whose weights have other names than torch's cannot be saved"
        )


def finish_rnn(module: nn.RNNBase) -> None:
    """What ``RNNBase`` keeps beside its parameters: the same ones once more, in a list."""
    names = rnn_names(module)
    flat = [name for layer in names for name in layer]
    held = vars(module)
    weights = [module._parameters.get(name, held.get(name)) for name in flat]
    held["_all_weights"], held["_flat_weights_names"], held["_flat_weights"] = names, flat, weights
    held["_flat_weight_refs"] = [None if weight is None else weakref.ref(weight) for weight in weights]
    if any(weight is not None and weight.is_cuda for weight in weights):
        nn.RNNBase.flatten_parameters(module)


def average_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Functions that ``swa_utils`` makes are written as what they were made with."""
    return {name: lower_average(value) if callable(value) else value for name, value in attributes.items()}


DERIVED: Final = frozenset({"_all_weights", "_flat_weights", "_flat_weights_names", "_flat_weight_refs"})
"""What an RNN keeps twice."""


# -- the rule ---------------------------------------------------------------------------------------------------------


def rule_for(cls: type, name: str, body: Anatomy) -> Rule:
    recurrent = issubclass(cls, nn.RNNBase)
    attributes = Attributes(body, OWN | DERIVED if recurrent else OWN)
    return Rule(
        "python", name, (cls,), lower_module(name, attributes, recurrent), lift_module(cls, attributes, recurrent)
    )


def lower_module(name: str, attributes: Attributes, recurrent: bool) -> Callable[[Any], Fields]:
    def lower(module: Any) -> Fields:
        held = vars(module)
        if not OWN - {"_compiled_call_impl"} <= held.keys():
            raise UnsupportedError(f"a {type(module).__qualname__} has not called super().__init__()")
        refuse_hooks(module)
        if recurrent:
            check_rnn(module)
        state = structure(
            training=bool(held["training"]),
            **{part: section(parts_of(module, part)) for part in PARTS},
            non_persistent=Items(sorted(held["_non_persistent_buffers_set"])),
            attributes=section(average_attributes(attributes.of(module))),
        )
        return Fields(tag="python", type=name, state=state)

    return lower


def lift_module(cls: type, attributes: Attributes, recurrent: bool) -> Callable[[Fields], Filling]:
    def lift(_: Fields) -> Filling:
        module = empty(cls)
        level = yield module
        state = level["state"]
        fill_parts(module, state)
        attributes.give(module, named_parts(state, "attributes"))
        if recurrent:
            finish_rnn(module)

    return lift


def fill_parts(module: Any, state: Any) -> None:
    held = vars(module)
    for name, (key, kind) in PARTS.items():
        parts = named_parts(state, name)
        for part, value in parts.items():
            reason = misfit(part, value, kind)
            if reason:
                raise FormatError(f"the {name} of a {type(module).__qualname__}: {reason}")
        held[key].update(parts)
    training, hidden = state["training"], state.get("non_persistent", [])
    if type(training) is not bool or type(hidden) is not list or not held["_buffers"].keys() >= set(hidden):
        raise FormatError(f"a {type(module).__qualname__} has buffers {hidden!r:.80} that it has not, or no mode")
    held["training"] = training
    held["_non_persistent_buffers_set"].update(hidden)


# -- classes ----------------------------------------------------------------------------------------------------------


def _public() -> dict[str, type]:
    listed = {f"torch.nn.{name}": getattr(nn, name, None) for name in nn.modules.__all__}
    return {
        name: cls
        for name, cls in listed.items()
        if isinstance(cls, type) and issubclass(cls, nn.Module) and not WRAPPERS.keys() & set(names_of(cls))
    }


CLASSES: Final[dict[str, type]] = {
    **_public(),
    "torch.nn.modules.linear.NonDynamicallyQuantizableLinear": NonDynamicallyQuantizableLinear,
    "torch.optim.swa_utils.AveragedModel": AveragedModel,
}
"""Name in a file -> class: every module of ``torch.nn`` that can be saved, and two that stand inside others."""


def known_rules() -> list[Rule]:
    """The rules of ``CLASSES``."""
    return rules_of(CLASSES, rule_for)


def module_rule(cls: type) -> Rule | None:
    """The rule of a user's module, or one that refuses a module that is not saved as it is."""
    if not is_ours(cls, nn.Module):
        return None
    reason = obstacle(cls)
    if reason is None and cls.__module__.partition(".")[0] == "torch":
        reason = f"{class_name(cls)} is not in the table of torch's modules: save its state_dict()"
    if reason:
        return refused(cls, reason)
    body = body_of(cls)
    return body if isinstance(body, Rule) else rule_for(cls, class_name(cls), body)


# -- options that are no module ---------------------------------------------------------------------------------------


def option_rules() -> list[Rule]:
    """The rule of ``torch.nn.LinearCrossEntropyOptions``, where torch has it."""
    cls = getattr(nn, "LinearCrossEntropyOptions", None)
    if cls is None:
        return []
    names = tuple(cls.__dataclass_fields__)
    name = "torch.nn.LinearCrossEntropyOptions"

    def lower(value: Any) -> Fields:
        return Fields(tag="python", type=name, state=section({field: getattr(value, field) for field in names}))

    def lift(level: Fields) -> Any:
        state = level["state"]
        return cls(**{field: state[field] for field in names if field in state})

    return [Rule("python", name, (cls,), lower, lift)]
