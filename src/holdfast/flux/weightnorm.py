"""Flux's WeightNorm: a layer whose weight is held as a direction and a length.

Source: Flux.jl src/layers/normalise.jl (0.16 and later); Salimans and Kingma, 2016.
"""

from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.errors import MismatchError
from holdfast.flux.basic import Scale
from holdfast.flux.conv import Convolution
from holdfast.flux.fields import parameter, spelled_call, turned_parameter

__all__ = ["WeightNorm", "remove_weight_norms"]

Model = TypeVar("Model", bound=nn.Module)
Dims = int | tuple[int, ...]

REVERSED = (Convolution, Scale)  # layers whose arrays have Julia's axes reversed; the others have them as in Julia


class WeightNorm(nn.Module):
    """Flux's ``WeightNorm(layer, which = :weight; dims)``: uses ``g * v / |v|`` as the weight, v being the layer's.

    The lengths are taken along ``dims``, Julia's axes counted from 1; -1 is the last.

    >>> from holdfast.flux.conv import Conv
    >>> import torch
    >>> layer = Conv((3,), (1, 2))
    >>> x = torch.randn(1, 1, 12)
    >>> torch.allclose(WeightNorm(layer)(x), layer(x), atol=1e-6)
    True
    """

    def __init__(self, layer: nn.Module, which: str = "weight", *, dims: Dims = -1) -> None:
        super().__init__()
        v = getattr(layer, which, None)
        if not isinstance(v, Tensor):
            raise MismatchError(f"{layer!r} has no array {which!r} to normalise")
        dims = v.dim() if dims == -1 else dims
        self._hold(layer, v.new_empty(0), which, dims)
        self.g = self._lengths(self._length(v.detach()))

    @classmethod
    def of(cls, layer: nn.Module, g: Tensor, which: str, dims: Dims) -> Self:
        """The layer around these fields, in the order of Flux's struct; ``g`` has the weight's axes, in its order."""
        norm = cls.__new__(cls)
        nn.Module.__init__(norm)
        norm._hold(layer, g, which, dims)
        return norm

    def _hold(self, layer: nn.Module, g: Tensor, which: str, dims: Dims) -> None:
        self.layer = layer
        self.g = self._lengths(g)
        self.which = which
        self.dims = dims

    def _lengths(self, g: Tensor) -> nn.Parameter:
        return turned_parameter(g) if isinstance(self.layer, REVERSED) else parameter(g)

    def _length(self, v: Tensor) -> Tensor:
        axes = (self.dims,) if isinstance(self.dims, int) else self.dims
        places = [v.dim() - axis if isinstance(self.layer, REVERSED) else axis - 1 for axis in axes]
        return (v.square().sum(places, keepdim=True) + torch.finfo(v.dtype).eps).sqrt()

    def weight(self) -> Tensor:
        """The weight that the layer uses."""
        v: Tensor = getattr(self.layer, self.which)
        return self.g * v / self._length(v)

    def forward(self, *inputs: Any) -> Any:
        """What the layer makes of its inputs with that weight."""
        return functional_call(self.layer, {self.which: self.weight()}, inputs)

    def __repr__(self) -> str:
        return spelled_call("WeightNorm", repr(self.layer), repr(self.which), dims=(self.dims, None))


def remove_weight_norms(model: Model) -> Model:
    """Flux's ``remove_weight_norms``, in place: each WeightNorm inside the model gives way to its layer.

    >>> from holdfast.flux import Chain, Dense
    >>> remove_weight_norms(Chain(WeightNorm(Dense(3, 2))))
    Chain(Dense(3, 2))
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, WeightNorm):
                with torch.no_grad():
                    getattr(child.layer, child.which).copy_(child.weight())
                setattr(parent, name, child.layer)
    return model
