"""Normalisation and dropout.

Both sides take the variance without Bessel's correction to normalise, with it to remember, and move by ``momentum``
alike. torch divides by ``sqrt(variance + eps)``; Flux's LayerNorm does since 0.16.11 (see ``holdfast.flux.layernorm``).
The masks of dropout are drawn by each side's own rules. Fixed modes (``testmode``) are Flux's alone.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn

from holdfast.flux.activations import identity
from holdfast.flux.basic import Scale
from holdfast.flux.convert.dense import bare
from holdfast.flux.convert.images import of_axes
from holdfast.flux.convert.way import Converter, Way, same
from holdfast.flux.dropout import AlphaDropout, Dropout
from holdfast.flux.layernorm import LayerNorm
from holdfast.flux.normalise import BatchNorm, GroupNorm, InstanceNorm

__all__ = ["FROM", "TO", "follows_mode"]

BATCH: Final[dict[type[Any], int]] = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}
INSTANCE: Final[dict[type[Any], int]] = {nn.InstanceNorm1d: 1, nn.InstanceNorm2d: 2, nn.InstanceNorm3d: 3}
CHANNELS: Final[dict[type[Any], int]] = {nn.Dropout1d: 1, nn.Dropout2d: 2, nn.Dropout3d: 3}


def follows_mode(layer: Any, way: Way) -> None:
    """Refuse a layer that was fixed in test or train mode."""
    way.need(
        layer.active is None,
        f"it is fixed with active={layer.active}, where torch's follow train() and eval(): testmode(model, 'auto') frees it",
    )


# -- statistics -------------------------------------------------------------------------------------------------------


def shift_and_scale(module: Any, way: Way) -> tuple[Any, Any]:
    """Flux has both or none; where torch has only the second, the first is zeros that are not trained."""
    if module.bias is None and module.weight is not None:
        scale = way.array(same, module.weight)
        return nn.Parameter(torch.zeros_like(scale), requires_grad=False), scale
    return way.array(same, module.bias), way.array(same, module.weight)


def from_statistics(kind: type[Any]) -> Converter:
    def convert(module: Any, way: Way) -> Any:
        way.need(module.momentum is not None, f"Flux's {kind.__name__} has no mean over all batches (momentum=None)")
        way.skip(module.num_batches_tracked)  # torch counts for that mean only
        return kind.of(
            identity,
            *shift_and_scale(module, way),
            *(way.array(same, array) for array in (module.running_mean, module.running_var)),
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
            None,
            module.num_features,
        )

    return convert


def to_statistics(table: dict[type[Any], int]) -> Converter:
    def convert(layer: Any, way: Way) -> Any:
        follows_mode(layer, way)
        deviations = getattr(layer, "deviations", False)
        way.need(not deviations, "it remembers deviations, as Flux did until 0.6: torch remembers variances")
        axes = max((way.rank(layer) or 2) - 2, 1)
        norm = bare(of_axes(table, axes), layer.channels, layer.eps, layer.momentum, layer.affine, layer.track_stats)
        norm.bias, norm.weight = way.array(same, layer.beta), way.array(same, layer.gamma)
        norm.running_mean, norm.running_var = way.array(same, layer.mean), way.array(same, layer.var)
        if layer.track_stats:
            norm.num_batches_tracked = torch.zeros((), dtype=torch.int64, device=norm.running_mean.device)
        return norm

    return convert


def from_group(module: nn.GroupNorm, way: Way) -> GroupNorm:
    return GroupNorm.of(
        module.num_groups,
        identity,
        *shift_and_scale(module, way),
        None,
        None,
        module.eps,
        0.1,
        module.affine,
        False,
        None,
        module.num_channels,
    )


def to_group(layer: GroupNorm, way: Way) -> nn.GroupNorm:
    follows_mode(layer, way)
    way.need(not layer.track_stats, "torch's GroupNorm remembers no statistics")
    norm: nn.GroupNorm = bare(nn.GroupNorm, layer.groups, layer.channels, layer.eps, layer.affine)
    norm.weight, norm.bias = way.array(same, layer.gamma), way.array(same, layer.beta)
    return norm


# -- LayerNorm --------------------------------------------------------------------------------------------------------


def from_layer_norm(module: nn.LayerNorm, way: Way) -> LayerNorm:
    size = tuple(module.normalized_shape)[::-1]
    weight = way.array(same, module.weight)
    diag = None if weight is None else Scale.of(weight, way.bias(module.bias))
    return LayerNorm.of(identity, diag, module.eps, size, module.elementwise_affine)


TORCH_EPS: Final[dict[str, Callable[[float], float]]] = {
    "variance": lambda eps: eps,
    "squared": lambda eps: eps * eps,
    "none": lambda eps: 0.0,
}
"""Where Flux's eps stands (see ``holdfast.flux.layernorm.EPS_RULES``) -> the eps with which torch computes the same."""


def to_layer_norm(layer: LayerNorm, way: Way) -> nn.LayerNorm:
    way.need(
        layer.eps_rule in TORCH_EPS,
        "Flux 0.11 to 0.14 divided by deviation + eps, torch by sqrt(variance + eps). If 1e-5 of the deviation does not "
        "matter: layer.eps_rule = 'variance'",
    )
    diag, eps = layer.diag, TORCH_EPS[layer.eps_rule](layer.eps)
    norm: nn.LayerNorm = bare(nn.LayerNorm, layer.size[::-1], eps, diag is not None)
    if diag is not None:
        norm.weight = way.array(same, diag.scale)
        norm.bias = way.offset(diag.bias)
    return norm


# -- dropout ----------------------------------------------------------------------------------------------------------


def from_channel_dropout(module: Any, way: Way) -> Dropout:
    axes = next(axes for kind, axes in CHANNELS.items() if isinstance(module, kind))
    return Dropout(module.p, dims=(axes + 1, axes + 2))


def to_dropout(layer: Dropout, way: Way) -> nn.Module:
    follows_mode(layer, way)
    if layer.dims is None:
        return nn.Dropout(layer.p)
    axes = next((axes for axes in CHANNELS.values() if layer.dims == (axes + 1, axes + 2)), None)
    if axes is None:
        way.refuse(f"torch drops single numbers or whole channels, not along dims={layer.dims}")
    module: nn.Module = of_axes(CHANNELS, axes)(layer.p)
    return module


def to_alpha_dropout(layer: AlphaDropout, way: Way) -> nn.AlphaDropout:
    follows_mode(layer, way)
    return nn.AlphaDropout(layer.p)


FROM: Final[dict[type[Any], Converter]] = {
    **dict.fromkeys(BATCH, from_statistics(BatchNorm)),
    **dict.fromkeys(INSTANCE, from_statistics(InstanceNorm)),
    nn.GroupNorm: from_group,
    nn.LayerNorm: from_layer_norm,
    nn.Dropout: lambda module, way: Dropout(module.p),
    nn.AlphaDropout: lambda module, way: AlphaDropout(module.p),
    **dict.fromkeys(CHANNELS, from_channel_dropout),
}

TO: Final[dict[type[Any], Converter]] = {
    BatchNorm: to_statistics(BATCH),
    InstanceNorm: to_statistics(INSTANCE),
    GroupNorm: to_group,
    LayerNorm: to_layer_norm,
    Dropout: to_dropout,
    AlphaDropout: to_alpha_dropout,
}
