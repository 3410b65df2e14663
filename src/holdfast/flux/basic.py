"""Dense, Scale, Bilinear, Embedding: the layers that are one array and a bias.

Strategy: a weight has Julia's shape and Julia's memory (the first axis runs fastest), so that it goes to a file and
back as it is. Inputs are batch first with the features last: Julia's axes reversed. ``of`` builds a layer around
arrays that exist, in the order of today's Flux structs, and draws nothing. Source: Flux.jl, ``src/layers/basic.jl``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.activations import Activation, identity
from holdfast.flux.fields import matching, parameter, reversed_axes, spelled, turned_parameter
from holdfast.flux.functions import SAME, mean
from holdfast.flux.initialise import Init, glorot_uniform, ones32, randn32

__all__ = ["Bilinear", "Dense", "Diagonal", "Embedding", "EmbeddingBag", "Scale"]

Bias = Tensor | bool


def _sizes_and_activation(arguments: tuple[Any, ...], line: str) -> tuple[list[int], Activation]:
    """Sizes, nested as they may be, then at most one function: ``(10, 5)``, ``((10, 5), relu)``, ``((4, 4), 3)``."""
    sizes: list[int] = []
    activation: Activation = identity
    for place, argument in enumerate(arguments):
        if isinstance(argument, int) and argument >= 0:
            sizes.append(argument)
        elif isinstance(argument, Sequence) and not isinstance(argument, str):
            sizes += _sizes_and_activation(tuple(argument), line)[0]
        elif callable(argument) and place == len(arguments) - 1:
            activation = argument
        else:
            raise MismatchError(f"{argument!r} is no size and no activation; the call is {line}")
    return sizes, activation


def _drawn(init: Init, sizes: Sequence[int], generator: torch.Generator | None) -> Tensor:
    return init(*sizes) if generator is None else init(*sizes, generator=generator)


class Weighted(nn.Module):
    """A layer of one array, a bias and an activation; the array is called ``weight`` unless a class says otherwise."""

    array = "weight"
    turned = False  # whether the axes of the arrays are Julia's reversed
    bias: nn.Parameter | bool
    activation: Activation

    def _hold(self, weight: Tensor, bias: Bias, shape: tuple[int, ...], activation: Activation) -> None:
        """Set the three fields; ``shape`` is that of the bias."""
        made = turned_parameter if self.turned else parameter
        setattr(self, self.array, made(weight))
        if bias is True:
            bias = weight.new_zeros(shape)
        if isinstance(bias, Tensor) and tuple(bias.shape) != shape:
            raise MismatchError(f"{type(self).__name__}: the bias has shape {tuple(bias.shape)}, it needs {shape}")
        self.bias = made(bias) if isinstance(bias, Tensor) else False
        self.activation = activation

    def _offset(self) -> Tensor | None:
        return self.bias if isinstance(self.bias, Tensor) else None

    def _spelled(self, *sizes: int) -> str:
        words = [str(size) for size in sizes]
        if self.activation is not identity:
            words.append(spelled(self.activation))
        if self._offset() is None:
            words.append("bias=False")
        return f"{type(self).__name__}({', '.join(words)})"


class Dense(Weighted):
    """Every output from every input: ``activation(x @ weight.T + bias)``.

    ``Dense(10, 5, relu)`` or ``Dense((10, 5), relu)``: 10 features in, 5 out. ``bias`` may be False or a tensor;
    ``init`` makes the weight from ``(out, in)``, by default Glorot's uniform. ``weight`` is ``(out, in)``.

    >>> from holdfast.flux import relu
    >>> layer = Dense(10, 5, relu)
    >>> layer, layer.weight.shape, layer(torch.zeros(3, 10)).shape, layer(torch.zeros(10)).shape
    (Dense(10, 5, relu), torch.Size([5, 10]), torch.Size([3, 5]), torch.Size([5]))
    """

    weight: nn.Parameter

    def __init__(
        self, *sizes: Any, bias: Bias = True, init: Init = glorot_uniform, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        dims, activation = _sizes_and_activation(sizes, "Dense(in, out, activation)")
        if len(dims) != 2:
            raise MismatchError(f"Dense needs two sizes, in and out, not {dims}")
        self._hold(_drawn(init, dims[::-1], generator), bias, (dims[1],), activation)

    @classmethod
    def of(cls, weight: Tensor, bias: Bias = True, activation: Activation = identity) -> Self:
        """The layer around ``weight`` (out, in) and ``bias`` (out,) or False; True makes a bias of zeros."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(weight, bias, (weight.shape[0],), activation)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """``(…, in)`` to ``(…, out)``. Raises MismatchError where the features do not fit."""
        if x.dim() == 0 or x.shape[-1] != self.weight.shape[1]:
            raise MismatchError(f"{self!r} needs {self.weight.shape[1]} features, last; got shape {tuple(x.shape)}")
        return self.activation(F.linear(matching(x, self.weight), self.weight, self._offset()))

    def __repr__(self) -> str:
        return self._spelled(*self.weight.shape[::-1])


class Scale(Weighted):
    """Each feature by a number of its own: ``activation(scale * x + bias)``.

    ``Scale(4, tanh)``; several sizes are Julia's, features first, so that ``scale`` has them reversed.

    >>> from holdfast.flux import tanh
    >>> Scale(4, tanh), Scale(3, 2).scale.shape
    (Scale(4, tanh), torch.Size([2, 3]))
    """

    array = "scale"
    turned = True
    scale: nn.Parameter

    def __init__(
        self, *sizes: Any, bias: Bias = True, init: Init = ones32, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        dims, activation = _sizes_and_activation(sizes, "Scale(size, activation)")
        scale = reversed_axes(_drawn(init, dims, generator))
        self._hold(scale, bias, tuple(scale.shape), activation)

    @classmethod
    def of(cls, scale: Tensor, bias: Bias = True, activation: Activation = identity) -> Self:
        """The layer around ``scale``, and a ``bias`` of the same shape or False."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(scale, bias, tuple(scale.shape), activation)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """``scale * x + bias``, broadcast as torch does."""
        scaled = self.scale * matching(x, self.scale)
        offset = self._offset()
        return self.activation(scaled if offset is None else scaled + offset)

    def __repr__(self) -> str:
        return self._spelled(*self.scale.shape[::-1])


class Diagonal(Scale):
    """Scale under the name that it had until Flux 0.12, where its fields were called α and β.

    >>> Diagonal(4)
    Diagonal(4)
    """


class Bilinear(Weighted):
    """Every output from every pair of two inputs' features: ``activation(x · weight[i] · y + bias[i])``.

    ``Bilinear(in1, in2, out, activation)``. Called with ``x`` and ``y``, with a tuple of both, or with one for both.

    >>> layer = Bilinear(4, 5, 3)
    >>> layer, layer(torch.zeros(6, 4), torch.zeros(6, 5)).shape
    (Bilinear(4, 5, 3), torch.Size([6, 3]))
    """

    weight: nn.Parameter

    def __init__(
        self, *sizes: Any, bias: Bias = True, init: Init = glorot_uniform, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        dims, activation = _sizes_and_activation(sizes, "Bilinear(in1, in2, out, activation)")
        if len(dims) == 2:  # today's Bilinear(in => out): both inputs of one size
            dims = [dims[0], *dims]
        if len(dims) != 3:
            raise MismatchError(f"Bilinear needs three sizes, in1, in2 and out, not {dims}")
        self._hold(_drawn(init, [dims[2], dims[0], dims[1]], generator), bias, (dims[2],), activation)

    @classmethod
    def of(cls, weight: Tensor, bias: Bias = True, activation: Activation = identity) -> Self:
        """The layer around ``weight`` (out, in1, in2) and ``bias`` (out,) or False."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(weight, bias, (weight.shape[0],), activation)
        return layer

    def forward(self, x: Tensor | tuple[Tensor, Tensor], y: Tensor | None = None) -> Tensor:
        """``(…, in1)`` and ``(…, in2)`` to ``(…, out)``. Raises MismatchError where the features do not fit."""
        x, y = x if isinstance(x, tuple) else (x, x if y is None else y)
        if (x.shape[-1], y.shape[-1]) != self.weight.shape[1:]:
            raise MismatchError(f"{self!r} got inputs of shape {tuple(x.shape)} and {tuple(y.shape)}, features last")
        x, y = matching(x, self.weight), matching(y, self.weight)
        return self.activation(F.bilinear(x, y, self.weight, self._offset()))

    def __repr__(self) -> str:
        out, in1, in2 = self.weight.shape
        return self._spelled(in1, in2, out)


def _looked_up(weight: Tensor, x: Tensor) -> Tensor:
    """Columns of ``weight`` by number, or by one-hot rows of booleans."""
    if x.dtype == torch.bool:
        return x.to(weight.dtype) @ weight.T
    return F.embedding(x.to(torch.int64), weight.T)


class Embedding(nn.Module):
    """A vector for each word of a vocabulary, looked up by number or by a one-hot row.

    ``Embedding(26, 4)``: 26 words, 4 features. Words count from 0 here, as everything in Python: Julia's word 1 is 0.
    ``weight`` is ``(out, in)``, Julia's, so a word is a column, and its numbers lie together in memory. The word
    ``padding_idx`` gives zeros, and no gradient.

    >>> layer = Embedding(26, 4)
    >>> layer, layer(torch.tensor([[0, 3, 25]])).shape
    (Embedding(26, 4), torch.Size([1, 3, 4]))
    """

    def __init__(
        self,
        *sizes: Any,
        init: Init = randn32,
        padding_idx: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        dims, _ = _sizes_and_activation(sizes, "Embedding(in, out)")
        if len(dims) != 2:
            raise MismatchError(f"Embedding needs two sizes, in and out, not {dims}")
        self.weight = parameter(_drawn(init, dims[::-1], generator))
        self.padding_idx = padding_idx
        if padding_idx is not None:
            with torch.no_grad():
                self.weight[:, padding_idx] = 0

    @classmethod
    def of(cls, weight: Tensor, padding_idx: int | None = None) -> Self:
        """The layer around ``weight`` (out, in); the word ``padding_idx`` (from 0) gives zeros, whatever its column."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.weight, layer.padding_idx = parameter(weight), padding_idx
        return layer

    def forward(self, x: Tensor | int) -> Tensor:
        """Whole numbers ``(…)`` or booleans ``(…, in)`` to ``(…, out)``."""
        x = torch.as_tensor(x, device=self.weight.device)
        found = _looked_up(self.weight, x)
        if self.padding_idx is None:
            return found
        padding = x[..., self.padding_idx] if x.dtype == torch.bool else x == self.padding_idx
        return found * ~padding.unsqueeze(-1)

    def __repr__(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"Embedding({self.weight.shape[1]}, {self.weight.shape[0]}{padding})"


class EmbeddingBag(nn.Module):
    """Embeddings of several words at a time, each bag of words reduced to one vector.

    ``EmbeddingBag(26, 4)`` takes the mean; ``EmbeddingBag(26, 4, sum)`` or ``maximum`` otherwise. A bag is the last
    axis of whole numbers (counted from 0), or of one-hot rows; a list of bags may differ in length; and
    ``layer(words, at)`` cuts one long row of words at the positions ``at``, of which the first is 0.

    >>> layer = EmbeddingBag(26, 4)
    >>> layer(torch.tensor([[0, 1], [2, 3], [4, 5]])).shape, layer(torch.arange(7), torch.tensor([0, 3])).shape
    (torch.Size([3, 4]), torch.Size([2, 4]))
    """

    def __init__(self, *sizes: Any, init: Init = randn32, generator: torch.Generator | None = None) -> None:
        super().__init__()
        dims, reduction = _sizes_and_activation(sizes, "EmbeddingBag(in, out, reduction)")
        if len(dims) != 2:
            raise MismatchError(f"EmbeddingBag needs two sizes, in and out, not {dims}")
        self.weight = parameter(_drawn(init, dims[::-1], generator))
        self.reduction: Callable[..., Tensor] = mean if reduction is identity else SAME.get(reduction, reduction)

    @classmethod
    def of(cls, weight: Tensor, reduction: Callable[..., Tensor] = mean) -> Self:
        """The layer around ``weight`` (out, in); ``reduction(x, dim=…)`` makes one vector of a bag."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.weight, layer.reduction = parameter(weight), reduction
        return layer

    def forward(self, x: Tensor | Sequence[Any], at: Tensor | None = None) -> Tensor:
        """``(…, bag)`` numbers or ``(…, bag, in)`` booleans to ``(…, out)``."""
        if isinstance(x, Tensor) and at is not None:
            x = list(torch.tensor_split(x, at[1:].cpu()))
        if not isinstance(x, Tensor):
            return torch.stack([self.forward(torch.as_tensor(bag, device=self.weight.device)) for bag in x])
        return self.reduction(_looked_up(self.weight, x), dim=-2)

    def __repr__(self) -> str:
        reduced = "" if self.reduction is mean else f", {spelled(self.reduction)}"
        return f"EmbeddingBag({self.weight.shape[1]}, {self.weight.shape[0]}{reduced})"
