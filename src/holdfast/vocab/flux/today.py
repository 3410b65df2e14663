"""Models of old files as another Flux has them.

Strategy: a loaded layer keeps its file's layout. ``for_flux`` gives every layer the newest form that one version of
Flux has, in place, and turns layers that it lacks into those that took their place. Numbers stay what they are.
"""

from typing import Any, Final, TypeVar

import torch
from torch import nn

from holdfast.errors import MismatchError, UnsupportedError
from holdfast.flux import BatchNorm, DepthwiseConv, Diagonal, LayerNorm, Recur, Scale
from holdfast.flux.recurrent import Cell
from holdfast.julia.values import Struct
from holdfast.vocab.flux.eras import TODAY, Version, version
from holdfast.vocab.flux.fields import Kept
from holdfast.vocab.flux.functions import former_struct
from holdfast.vocab.flux.layouts import BY_LAYER, Layout
from holdfast.vocab.flux.lowering import ORIGIN, Origin
from holdfast.vocab.flux.types import julia_type
from holdfast.vocab.flux.unrolled import SEQUENCES, across_steps, forget_first_state, state_lost, unrolled

Model = TypeVar("Model", bound=nn.Module)

OLDEST = version("0.12.0")
"""The oldest Flux that ``for_flux`` writes for: before, a layer said less than ours hold."""


def as_today(model: Model) -> Model:
    """``model`` such that today's Flux opens it when it is saved; see ``for_flux``.

    >>> from holdfast.flux import Chain
    >>> as_today(Chain(DepthwiseConv((3, 3), (2, 6)), Diagonal(4)))
    Chain(Conv((3, 3), (2, 6), groups=2), Scale(4))
    """
    return for_flux(model)


def for_flux(model: Model, flux: str = "") -> Model:
    """``model`` such that Flux ``flux`` (``"0.14"``; today's unless given) opens it when it is saved. Changed in place.

    A layer that this Flux lacks is replaced by the one that computes the same: DepthwiseConv by a Conv with groups,
    Diagonal by Scale. Since 0.15 a Recur is the RNN, LSTM, GRU or GRUv3 of its cell: the same weights, called with a whole
    sequence instead of step by step. Raises UnsupportedError that names every other such layer, and every one that could
    not stay what it is: a state that was trained or is remembered, a layer that takes a sequence for something else.
    Nothing is changed then.

    >>> from holdfast.flux import Chain, Dense, LSTMCell, Recur
    >>> for_flux(Chain(Recur(LSTMCell(3, 4)), Dense(4, 2)), "0.16")
    Chain(LSTM(3, 4), Dense(4, 2))
    """
    wanted, oldest = bounds(flux)
    lacking = [line for name, layer in model.named_modules() if (line := obstacle(name, layer, wanted, oldest))]
    lacking += across_steps(model, wanted)
    if lacking:
        raise UnsupportedError(f"Flux {flux or 'today'} has not all layers of this model: " + "; ".join(lacking))
    result: Any = renewed(model, wanted)
    for layer in result.modules():
        if type(layer) in BY_LAYER:
            take_form(layer, wanted)
    return result  # type: ignore[no-any-return]


def bounds(flux: str) -> tuple[Version, Version]:
    """The newest and the oldest version that ``flux`` means: ``"0.14"`` is any 0.14.

    >>> bounds("0.14.3"), bounds("0.14")[0] > (0, 14, 25)
    (((0, 14, 3), (0, 14, 3)), True)
    """
    if not flux:
        return TODAY, TODAY
    try:
        least = version(flux)
    except ValueError:
        raise MismatchError(f"flux={flux!r}: give a version such as '0.14'") from None
    if (*least, 0, 0) < OLDEST or least[:2] > TODAY[:2]:
        raise MismatchError(f"flux={flux!r}: layouts of 0.12 to {'.'.join(map(str, TODAY[:2]))} can be written")
    return (least if len(least) > 2 else (*least, 9999)), (*least, 0)[:3]


def obstacle(name: str, layer: Any, wanted: Version, oldest: Version) -> str:
    """A line about a layer that this Flux neither has nor has another for; nothing for others."""
    layout, lost = BY_LAYER.get(type(layer)), state_lost(layer, wanted)
    if lost:
        return f"{name or 'the model'} is a {type(layer).__name__} that {lost}"
    if layout is None or replacement(layer, wanted) is not None:
        return ""
    first, last = layout.rows[0].span.since, layout.rows[-1].span.until
    if first <= wanted and (last >= oldest or last >= TODAY):
        return "" if has_form(layout, layer, wanted, oldest) else f"{name or 'the model'} is a {layer!r:.100}"
    return f"{name or 'the model'} is a {type(layer).__name__}, which Flux {_dotted(first)} to {_dotted(last)} had"


def has_form(layout: Layout, layer: Any, wanted: Version, oldest: Version) -> bool:
    """Whether a form of that Flux holds all that the layer does."""
    if any(replacement(child, wanted) is not None for child in layer.children()):
        return True  # a LayerNorm around a Diagonal, which is about to change
    if isinstance(layer, Cell) and wanted >= SEQUENCES:
        return True  # its first state is zeros, and about to go
    try:
        return layout.newest(layer, wanted).span.until >= oldest
    except UnsupportedError:
        return False


def _dotted(found: Version) -> str:
    return ".".join(map(str, found))


SCALES = version("0.13.0")
"""The first Flux with Scale, and without Diagonal and DepthwiseConv."""


def replacement(layer: Any, wanted: Version) -> nn.Module | None:
    """The layer that stands in a newer Flux for one that it lacks; None for a layer that it has."""
    if wanted < SCALES:
        return None
    if isinstance(layer, Recur):
        return unrolled(layer) if wanted >= SEQUENCES else None
    if isinstance(layer, DepthwiseConv):
        return layer.as_conv()
    return Scale.of(layer.scale, layer.bias) if type(layer) is Diagonal else None


def renewed(module: Any, wanted: Version) -> Any:
    """``module`` with replacements in it, or in its place."""
    for name, child in list(module.named_children()):
        fresh = renewed(child, wanted)
        if fresh is not child:
            module.put(name, fresh) if hasattr(module, "put") else setattr(module, name, fresh)
    if isinstance(module, LayerNorm) and isinstance(module.diag, Scale) and wanted >= SCALES:
        module.diag.activation = module.activation
    fresh = replacement(module, wanted)
    if fresh is None:
        return module
    fresh.training = module.training
    return fresh


def take_form(layer: Any, wanted: Version) -> None:
    """Forget the layout of the file for that of ``wanted``."""
    layout, held = BY_LAYER[type(layer)], vars(layer)
    held.pop(ORIGIN, None)
    if isinstance(layer, Cell) and wanted >= SEQUENCES:
        forget_first_state(layer)
    if isinstance(layer, BatchNorm) and layer.deviations:
        variances(layer)
    if wanted != TODAY:
        fields = former_functions(layout, layer, wanted) | (absent(layer) if wanted < SCALES else {})
        held[ORIGIN] = Origin(None, layout.newest(layer, wanted), fields)


NO_BIAS: Final = Struct(julia_type(("Flux", "Zeros")))
"""What stood in place of a bias until ``false`` did, in 0.13."""


def absent(layer: Any) -> dict[str, Kept]:
    """The bias that a layer lacks, as Flux had it before 0.13."""
    return {"bias": Kept(NO_BIAS, False)} if getattr(layer, "bias", None) is False else {}


def former_functions(layout: Layout, layer: Any, wanted: Version) -> dict[str, Kept]:
    """The functions of a layer, among its fields or its members, that had another name then."""
    found: dict[str, Kept] = {}
    for name, kind in layout.kinds.items():
        if kind not in {"function", "members"}:
            continue
        value: Any = layout.value(layer, name)
        held = list(value) if kind == "members" else [value]
        structs = [former_struct(function, wanted) for function in held]
        pairs = [(struct, function) for struct, function in zip(structs, held, strict=True) if struct is not None]
        if pairs:
            was, made = zip(*pairs, strict=True)
            found[name] = Kept(was, list(made)) if kind == "members" else Kept(was[0], made[0])
    return found


def variances(layer: BatchNorm) -> None:
    """Variances in place of the deviations that Flux had until 0.6, which counted without ``eps``."""
    assert layer.var is not None
    with torch.no_grad():
        layer.var.copy_(layer.var.square() - layer.eps)
    layer.deviations = False
