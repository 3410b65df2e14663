"""Flux's convolutions: Conv, ConvTranspose, DepthwiseConv, CrossCor, for one, two or three spatial axes.

Julia's ``W×H×C×N`` images are ``(N, C, H, W)`` here, and a kernel ``kw×kh×in×out`` is ``(out, in, kh, kw)``: the same
bytes, nothing is transposed. Flux's Conv turns its kernel round (a true convolution), CrossCor does not (torch's sort).
``stride``, ``pad`` and ``dilation`` stay as Flux's users write them, width first; ``forward`` reverses them.
Source: Flux.jl src/layers/conv.jl and NNlib.jl, 0.6 to 0.16.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import identity
from holdfast.flux.fields import (
    Activation,
    Bias,
    Sizes,
    bias_for,
    expect,
    matching,
    offset,
    per_axis,
    reversed_axes,
    spelled_activation,
    spelled_call,
    spelled_sizes,
    turned_parameter,
)
from holdfast.flux.initialise import Init, glorot_uniform
from holdfast.flux.padding import Pad, chosen_pad, sides, spelled_pad, symmetric

__all__ = ["Conv", "ConvTranspose", "CrossCor", "DepthwiseConv"]

CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SPREAD: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class Convolution(nn.Module):
    """The fields that the four layers share, in the order of Flux's structs."""

    weight: nn.Parameter
    bias: nn.Parameter | bool

    def __init__(
        self,
        filter: Sequence[int],
        channels: tuple[int, int],
        activation: Activation = identity,
        *,
        stride: Sizes = 1,
        pad: Pad = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: Bias = True,
        init: Init = glorot_uniform,
    ) -> None:
        super().__init__()
        inputs, outputs = channels
        if inputs % groups or outputs % groups:
            raise MismatchError(f"groups={groups} must divide both the {inputs} inputs and the {outputs} outputs")
        axes = len(filter)
        stride, dilation = per_axis(axes, stride), per_axis(axes, dilation)
        pad = chosen_pad(pad, self._padded_window(filter, stride), dilation)
        weight = reversed_axes(init(*filter, *self._kernel_channels(inputs, outputs, groups)))
        self._hold(activation, weight, bias, stride, pad, dilation, groups)

    @classmethod
    def of(
        cls,
        activation: Activation,
        weight: Tensor,
        bias: Bias,
        stride: Sizes = 1,
        pad: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
    ) -> Self:
        """The layer around these fields, in the order of Flux's struct; nothing is copied and nothing is drawn.

        ``weight`` is ``(out, in / groups, …, kh, kw)``, ``bias`` ``(out,)`` or False; ``pad`` one number per axis or
        two (before and after).
        """
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(activation, weight, bias, stride, pad, dilation, groups)
        return layer

    def _hold(
        self,
        activation: Activation,
        weight: Tensor,
        bias: Bias,
        stride: Sizes,
        pad: Sizes,
        dilation: Sizes,
        groups: int,
    ) -> None:
        axes = weight.dim() - 2
        if axes not in CONVOLVE:
            raise MismatchError(f"a kernel of shape {tuple(weight.shape)}: Flux convolves along 1, 2 or 3 axes")
        self.activation = activation
        self.weight = turned_parameter(weight)
        self.stride = per_axis(axes, stride)
        self.pad = per_axis(axes, pad)
        self.dilation = per_axis(axes, dilation)
        self.groups = groups
        self.bias = bias_for(type(self), weight, bias, self.channels[1])

    @staticmethod
    def _padded_window(filter: Sequence[int], stride: Sequence[int]) -> tuple[int, ...]:
        return tuple(filter)

    @staticmethod
    def _kernel_channels(inputs: int, outputs: int, groups: int) -> tuple[int, int]:
        return inputs // groups, outputs

    @property
    def filter(self) -> tuple[int, ...]:
        """The kernel's size, width first."""
        return tuple(reversed(self.weight.shape[2:]))

    @property
    def channels(self) -> tuple[int, int]:
        """How many channels go in and how many come out."""
        return self.weight.shape[1] * self.groups, self.weight.shape[0]

    def _flipped(self) -> Tensor:
        return self.weight.flip(tuple(range(2, self.weight.dim())))

    def _options(self) -> dict[str, Any]:
        return {"stride": self.stride[::-1], "dilation": self.dilation[::-1], "groups": self.groups}

    def _convolved(self, x: Tensor, kernel: Tensor) -> Tensor:
        expect(self, x, self.weight.dim(), channels=self.channels[0])
        x, margins = matching(x, self.weight), sides(self.pad, len(self.stride))
        even = symmetric(margins)
        if even is None:
            x, even = F.pad(x, margins), (0,) * len(self.stride)
        convolve = CONVOLVE[len(self.stride)]
        return self.activation(convolve(x, kernel, offset(self.bias), padding=even[::-1], **self._options()))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, …, height, width)`` to ``(batch, out, …, height′, width′)``. Raises MismatchError."""
        return self._convolved(x, self._flipped())

    def __repr__(self) -> str:
        return spelled_call(
            type(self).__name__,
            repr(self.filter),
            repr(self.channels),
            *spelled_activation(self.activation),
            pad=(spelled_pad(self.pad), "0"),
            stride=(spelled_sizes(self.stride), "1"),
            dilation=(spelled_sizes(self.dilation), "1"),
            **self._repr_options(),
            bias=(self.bias is not False, True),
        )

    def _repr_options(self) -> dict[str, tuple[object, object]]:
        return {"groups": (self.groups, 1)}


class Conv(Convolution):
    """Flux's ``Conv(filter, in => out, σ)``: slides a kernel, turned round, over the spatial axes.

    ``filter``, ``stride``, ``pad`` and ``dilation`` are width first, as in Julia; ``channels`` is ``(in, out)``.
    ``pad`` is one number, one per axis, two per axis ``(before, after, …)`` or ``SamePad()``.

    >>> import torch
    >>> layer = Conv((5, 5), (3, 7), stride=2)
    >>> layer(torch.zeros(2, 3, 100, 80)).shape
    torch.Size([2, 7, 48, 38])
    >>> layer
    Conv((5, 5), (3, 7), stride=2)
    """


class CrossCor(Convolution):
    """Flux's ``CrossCor``: as Conv, with the kernel not turned round. This is what torch calls a convolution.

    >>> import torch
    >>> CrossCor((3,), (2, 4), bias=False)(torch.zeros(1, 2, 10)).shape
    torch.Size([1, 4, 8])
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, …, height, width)`` to ``(batch, out, …, height′, width′)``. Raises MismatchError."""
        return self._convolved(x, self.weight)


class DepthwiseConv(Convolution):
    """Flux's ``DepthwiseConv(filter, in => out, σ)`` of 0.7 to 0.12: each channel has kernels of its own.

    Its weight is ``(in, out / in, …, kh, kw)``. Today's Flux has a Conv with ``groups=in`` instead: see ``as_conv``.

    >>> DepthwiseConv((3, 3), (2, 6)).as_conv()
    Conv((3, 3), (2, 6), groups=2)
    """

    def __init__(self, filter: Sequence[int], channels: tuple[int, int], *arguments: Any, **options: Any) -> None:
        super().__init__(filter, channels, *arguments, groups=channels[0], **options)

    @staticmethod
    def _kernel_channels(inputs: int, outputs: int, groups: int) -> tuple[int, int]:
        return outputs // inputs, inputs

    @classmethod
    def of(
        cls,
        activation: Activation,
        weight: Tensor,
        bias: Bias,
        stride: Sizes = 1,
        pad: Sizes = 0,
        dilation: Sizes = 1,
        groups: int | None = None,
    ) -> Self:
        """The layer around these fields, in the order of Flux's struct; there are as many groups as inputs."""
        return super().of(activation, weight, bias, stride, pad, dilation, weight.shape[0])

    @property
    def channels(self) -> tuple[int, int]:
        """How many channels go in and how many come out."""
        return self.weight.shape[0], self.weight.shape[0] * self.weight.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, …, height, width)`` to ``(batch, out, …, height′, width′)``. Raises MismatchError."""
        return self._convolved(x, self._flipped().flatten(0, 1).unsqueeze(1))

    def as_conv(self) -> Conv:
        """The grouped Conv that computes the same, on the same memory: what Flux 0.13 and later build."""
        weight = self.weight.detach().flatten(0, 1).unsqueeze(1)
        return Conv.of(self.activation, weight, self.bias, self.stride, self.pad, self.dilation, self.groups)

    def _repr_options(self) -> dict[str, tuple[object, object]]:
        return {}


class ConvTranspose(Convolution):
    """Flux's ``ConvTranspose(filter, in => out, σ)``: the gradient of a Conv run forwards, so that images grow.

    The weight is ``(in, out / groups, …, kh, kw)``. ``outpad`` adds rows and columns at the far end.

    >>> import torch
    >>> ConvTranspose((5, 5), (3, 7), stride=2)(torch.zeros(1, 3, 10, 10)).shape
    torch.Size([1, 7, 23, 23])
    """

    def __init__(
        self, filter: Sequence[int], channels: tuple[int, int], *arguments: Any, outpad: Sizes = 0, **options: Any
    ) -> None:
        super().__init__(filter, channels, *arguments, **options)
        self.outpad = per_axis(len(self.stride), outpad)

    @classmethod
    def of(  # type: ignore[override]
        cls,
        activation: Activation,
        weight: Tensor,
        bias: Bias,
        stride: Sizes = 1,
        pad: Sizes = 0,
        outpad: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
    ) -> Self:
        """The layer around these fields, in the order of Flux's struct since 0.14.17 (``outpad`` is new there)."""
        layer = super().of(activation, weight, bias, stride, pad, dilation, groups)
        layer.outpad = per_axis(len(layer.stride), outpad)
        return layer

    @staticmethod
    def _padded_window(filter: Sequence[int], stride: Sequence[int]) -> tuple[int, ...]:
        return tuple(size - step + 1 for size, step in zip(filter, stride, strict=True))

    @staticmethod
    def _kernel_channels(inputs: int, outputs: int, groups: int) -> tuple[int, int]:
        return outputs // groups, inputs

    @property
    def channels(self) -> tuple[int, int]:
        """How many channels go in and how many come out."""
        return self.weight.shape[0], self.weight.shape[1] * self.groups

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, …, height, width)`` to ``(batch, out, …, height′, width′)``. Raises MismatchError."""
        expect(self, x, self.weight.dim(), channels=self.channels[0])
        x, axes = matching(x, self.weight), len(self.stride)
        margins, spread = sides(self.pad, axes), SPREAD[axes]
        even = symmetric(margins)
        if even is not None and not any(self.outpad):
            return self.activation(spread(x, self._flipped(), offset(self.bias), padding=even[::-1], **self._options()))
        # torch pads both sides alike, and only by less than a stride: so spread in full, then cut or fill each side
        cuts = [cut for axis in range(axes) for cut in (-margins[2 * axis], self.outpad[axis] - margins[2 * axis + 1])]
        full = F.pad(spread(x, self._flipped(), None, **self._options()), cuts)
        bias = offset(self.bias)
        return self.activation(full if bias is None else full + bias.view(-1, *(1,) * axes))

    def _repr_options(self) -> dict[str, tuple[object, object]]:
        return {**super()._repr_options(), "outpad": (spelled_sizes(self.outpad), "0")}
