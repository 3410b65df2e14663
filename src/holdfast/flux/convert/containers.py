"""Sequential and Chain, and what goes through them: from a module to a layer, from a layer to modules.

Flux's layers hold the activation that follows them, and a Conv the padding before it; in torch these are modules of
their own. So ``Sequential(Linear, ReLU)`` is ``Chain(Dense(…, relu))``, and back: a Chain's layers become one module
after the other. Positions differ, names stay with the layer. One such layer by itself is a Sequential whose members are
called ``padding``, ``layer`` and ``activation``, and is one layer again on the way back.
"""

from typing import Any, Final

from torch import nn

from holdfast.flux.activations import identity
from holdfast.flux.basic import Bilinear, Dense
from holdfast.flux.containers import Chain
from holdfast.flux.conv import Conv, Convolution
from holdfast.flux.convert import attention, dense, functions, images, normalise, pools, recurrent
from holdfast.flux.convert.refusals import not_in_flux, not_in_torch
from holdfast.flux.convert.way import Converter, Way, refuse_code
from holdfast.flux.layernorm import LayerNorm
from holdfast.flux.normalise import Normalising
from holdfast.flux.padding import sides

__all__ = ["from_module", "to_module"]

ACTIVATED: Final = (Dense, Bilinear, Convolution, Normalising, LayerNorm)
"""Layers that hold an activation."""

ROLES: Final = ("padding", "layer", "activation")
"""Names in the Sequential that one layer of Flux becomes."""

Steps = list[tuple[str, nn.Module]]


# -- from torch -------------------------------------------------------------------------------------------------------


def kind_of(module: nn.Module) -> type[Any] | None:
    """The nearest class in the table that calls the same ``forward``; None for a class with code of its own."""
    classes = (kind for kind in type(module).__mro__ if kind in FROM)
    return next((kind for kind in classes if type(module).forward is kind.forward), None)


def from_module(module: Any, way: Way) -> Any:
    """The layer or function of one module; the same one for the same module. Raises UnsupportedError."""
    return from_group([module], way)


def from_group(group: list[nn.Module], way: Way) -> Any:
    """One layer of a padding, a layer and an activation, or as many of them as there are."""
    return way.once(group, lambda: _from_group(group, way))


def _from_group(group: list[nn.Module], way: Way) -> Any:
    at = 1 if kind_of_pad(group[0]) and len(group) > 1 else 0
    layer = _from_one(group[at], way)
    if at:
        refuse_code(group[0], way)
        layer.pad = padded(layer, group[0], way)
    for activation in group[at + 1 :]:
        activate(layer, _from_one(activation, way))
    return layer


def _from_one(module: nn.Module, way: Way) -> Any:
    refuse_code(module, way)
    kind = kind_of(module)
    if kind is None:
        way.refuse(not_in_flux(type(module)))
    layer = FROM[kind](module, way)
    if isinstance(layer, nn.Module) and next(module.children(), None) is None:
        layer.train(module.training)
    return layer


def kind_of_pad(module: nn.Module) -> bool:
    return type(module) in images.PADS


def padded(layer: Conv, pad: Any, way: Way) -> tuple[int, ...]:
    """The padding of a Conv, and that of the ZeroPad before it."""
    way.need(min(pad.padding) >= 0, "Flux's Conv does not cut its image: a ZeroPad must not be negative")
    margins = sides(layer.pad, len(layer.stride))
    return tuple(one + other for one, other in zip(margins, pad.padding, strict=True))


def activate(layer: Any, activation: Any) -> None:
    """Let the layer apply this function after all that it does."""
    layer.activation = activation
    if isinstance(layer, LayerNorm) and layer.diag is not None:
        layer.diag.activation = activation


def groups(module: nn.Sequential) -> list[tuple[str, list[nn.Module]]]:
    """The members by the layer of Flux that they belong to, each under the name of its layer."""
    found: list[tuple[str, list[nn.Module]]] = []
    for name, child in module._modules.items():
        before = found[-1][1] if found else []
        if before and kind_of_pad(before[-1]) and kind_of(child) in images.CONVOLUTIONS:
            found[-1] = (name, [*before, child])
        elif before and kind_of(before[-1]) in HOLDERS and kind_of(child) in functions.ELEMENTWISE:
            before.append(child)
        else:
            found.append((name, [child]))
    return found


def from_sequential(module: nn.Sequential, way: Way) -> Any:
    """The Chain of its members; where it was made of one layer, that layer."""
    members = {name: from_group(group, way.below(name)) for name, group in groups(module)}
    names = tuple(module._modules)
    if len(members) == 1 and len(names) > 1 and names == tuple(role for role in ROLES if role in names):
        return members["layer"]
    members = {name: functions.standing(member) for name, member in members.items()}
    chain = Chain.of(list(members.values()) if all(map(str.isdigit, names)) else members)
    chain.training = module.training
    return chain


HOLDERS: Final = frozenset(
    {nn.Linear, nn.GroupNorm, nn.LayerNorm}
    | {*images.CONVOLUTIONS, *images.TRANSPOSED, *normalise.BATCH, *normalise.INSTANCE}
)
"""torch's classes whose layer in Flux holds the activation after it."""

FROM: Final[dict[type[Any], Converter]] = {
    nn.Sequential: from_sequential,
    **functions.FROM,
    **dense.FROM,
    **images.FROM,
    **pools.FROM,
    **normalise.FROM,
    **recurrent.FROM,
    **attention.FROM,
}
"""torch's class -> its converter."""


# -- to torch ---------------------------------------------------------------------------------------------------------


def to_module(layer: Any, way: Way) -> nn.Module:
    """The module of one layer or function; the same one for the same layer. Raises UnsupportedError."""
    steps = to_steps(layer, way)
    if len(steps) == 1:
        return steps[0][1]
    module = nn.Sequential()
    for role, step in steps:
        module.add_module(role, step)
    return module.train(layer.training)


def to_steps(layer: Any, way: Way) -> Steps:
    """The modules that one layer becomes, each with its role."""
    if not isinstance(layer, nn.Module):
        return [("layer", functions.module_of(layer, way))]
    steps: Steps = way.once([layer], lambda: _to_steps(layer, way))
    return steps


def _to_steps(layer: nn.Module, way: Way) -> Steps:
    refuse_code(layer, way)
    if type(layer) not in TO:
        way.refuse(not_in_torch(type(layer)))
    made = TO[type(layer)](layer, way)
    steps: Steps = made if isinstance(made, list) else [("layer", made)]
    if not isinstance(layer, Chain):
        for _, step in steps:
            step.train(layer.training)
    activation = activation_of(layer)
    if activation is not identity:
        way.need(not isinstance(layer, Bilinear), "torch's Bilinear has no activation: call it after the module")
        steps.append(("activation", functions.module_of(activation, way).train(layer.training)))
    return steps


def activation_of(layer: Any) -> Any:
    """The function that the layer applies after all that it does; ``identity`` where there is none."""
    if not isinstance(layer, ACTIVATED):
        return identity
    return layer.diag.activation if isinstance(layer, LayerNorm) and layer._activated else layer.activation


def to_sequential(chain: Chain, way: Way) -> nn.Module:
    """An encoder or recurrent layers on each other where the Chain is one, else the Sequential of its layers' modules."""
    whole = recurrent.stack(chain, way) or attention.encoder_layer(chain, way) or attention.encoder(chain, way)
    if whole is not None:
        whole.training = chain.training
        return whole
    module = nn.Sequential()
    module.training = chain.training
    for place, (name, layer) in enumerate(zip(chain.names, chain, strict=True)):
        here = way.below(f"layers[{name!r}]" if chain.named else f"layers[{place}]")
        for role, step in to_steps(layer, here):
            if not isinstance(layer, nn.Module):
                step.train(chain.training)
            key = str(len(module)) if not chain.named else name if role == "layer" else f"{name}_{role}"
            fits = key not in module._modules and key and "." not in key and not hasattr(module, key)
            here.need(bool(fits), f"torch has no module called {key!r}: give the layer another name")
            module.add_module(key, step)
    return module


TO: Final[dict[type[Any], Converter]] = {
    Chain: to_sequential,
    **dense.TO,
    **images.TO,
    **pools.TO,
    **normalise.TO,
    **recurrent.TO,
    **attention.TO,
}
"""Flux's class -> its converter."""
