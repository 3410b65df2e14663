"""Models on the way through ``holdfast convert``: as weights by name, as Flux's or torch's, as BSON.jl takes them.

Strategy: what has to be built is built on the file's own map, so that no array is copied for it, and becomes a document
again by the rules that save it. For its weights alone no class has to be allowed: a model is a record of its parts, as
for ``restore``. What a file holds of Flux's is data in an exact table of ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from holdfast.api import load, save
from holdfast.codec.audit import type_name
from holdfast.codec.lower import lower
from holdfast.codec.rule import Options, Vocabulary
from holdfast.errors import MissingError, UnsupportedError
from holdfast.formats.document.arrays import plain
from holdfast.formats.document.change import Change
from holdfast.formats.document.leaves import items_of
from holdfast.formats.file import ROOT, File
from holdfast.formats.look.flux_fields import FIELDS
from holdfast.julia.values import Struct
from holdfast.state.records import MODULE, Records, is_tensor, weights_of
from holdfast.vocab import vocabulary
from holdfast.wire.values import Document

MODELS: Final = frozenset(name for name in FIELDS if name.count(".") == 1) | {"NamedTuple"}
"""Structs of Flux's that are layers, and not optimisers; and what the state of each is."""

# -- as documents ------------------------------------------------------------------------------------------------------


def built(file: File, document: Document) -> Document:
    """``document``, a part of ``file``, built and saved again: with all fields that a type alone says."""
    return plain(lower(_lifted(file, document, vocabulary()), vocabulary()))  # type: ignore[no-any-return]


def as_weights(file: File, document: Document) -> tuple[Document, list[str]]:
    """``document``, a part of ``file``, with each model in its dictionaries as its state dictionary; and their names."""
    change = Change(document)
    models = list(_models(change))
    if not models:
        return document, []
    shared = {"_backrefs": change.backrefs} if change.backrefs else {}
    numbered = {str(number): holder[key] for number, (holder, key, _) in enumerate(models)}
    weights = _weights(_lifted(file, numbered | shared, Records()))
    states = plain(lower(weights, vocabulary()))
    change.take(states)
    found = [model for number, model in enumerate(models) if str(number) in weights]
    for (holder, key, _), number in zip(found, weights, strict=True):
        holder[key] = states[number]
    return change.finished(), [name for _, _, name in found]


def _lifted(file: File, document: Document, rules: Vocabulary) -> dict[str, Any]:
    part = replace(file, document=document, whole=False, hidden=frozenset())
    audited = part.audit(part.names, rules)
    return part.lift(audited, part.names, rules, Options())


def _models(change: Change) -> Iterator[tuple[Any, Any, str]]:
    """Each model in the dictionaries of a document: what holds it, under which key, and its name for people."""
    stack: list[tuple[Any, str]] = [(change.document, "")]
    seen: set[int] = set()
    while stack:
        node, at = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for key, holder, place in change.places(node):
            child, name = change.at(holder[place]), f"{at}.{key}" if at else str(key)
            if is_model(child, change.at):
                yield holder, place, name
            elif items_of(child, change.at) is not None:
                stack.append((child, name))


def is_model(node: Any, at: Callable[[Any], Any]) -> bool:
    """Whether a document is a module of torch's, or of a class that is derived from it, one of Flux's layers, or a tree
    such as ``Flux.state`` gives."""
    if not isinstance(node, dict):
        return False
    if node.get("tag") == "struct":
        return type_name(at(node.get("type"))) in MODELS
    state = at(node.get("state")) if node.get("tag") == "python" else None
    return isinstance(state, dict) and type(state.get("training")) is bool and state.keys() <= MODULE


def _weights(models: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The arrays by name of each model that has any; what is one tensor in two places is one here."""
    if any(isinstance(model, Struct) for model in models.values()):
        raise MissingError("the weights of layers of Flux's", "holdfast[torch]")
    known: dict[int, Any] = {}

    def plain_of(value: Any) -> Any:
        return known.setdefault(id(value), value.detach() if is_tensor(value) else value)

    named = {number: weights_of(model).by_name for number, model in models.items()}
    return {n: {name: plain_of(value) for name, value in found.items()} for n, found in named.items() if found}


# -- Flux's and torch's ------------------------------------------------------------------------------------------------


def save_models(a: str, b: str, converted: Callable[[Any], Any]) -> None:
    """Build what A holds, make its models anew, and save all of it in B."""
    values = load(a)
    if not isinstance(values, dict):
        values = {ROOT: values}
    models = {name: model for name, value in values.items() if (model := converted(value)) is not None}
    if not models:
        raise UnsupportedError(f"{a} holds no model at the top that could be converted")
    tied = [name for name, value in values.items() if name not in models and hasattr(value, "param_groups")]
    if tied:
        raise UnsupportedError(
            f"{a} holds the optimiser {tied[0]!r}, which would lose its model: save the model alone first"
        )
    save(b, values | models)


def to_flux(value: Any) -> Any:
    """A model of ``torch.nn`` as Flux's, or None for another value."""
    from holdfast import flux

    return flux.from_torch(value) if _is_module(value) and not _is_flux(value) else None


def to_torch(value: Any) -> Any:
    """A model of Flux's as one of ``torch.nn``, or None for another value."""
    from holdfast import flux

    return flux.to_torch(value) if _is_flux(value) else None


def _is_flux(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "holdfast"


def _is_module(value: Any) -> bool:
    return any(
        f"{cls.__module__}.{cls.__qualname__}" == "torch.nn.modules.module.Module" for cls in type(value).__mro__
    )
