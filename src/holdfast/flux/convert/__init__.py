"""Models of ``torch.nn`` as Flux's layers, and back: ``from_torch`` and ``to_torch``.

containers.py  Sequential and Chain, and what goes through them
functions.py   activations
dense.py, images.py, pools.py, normalise.py, recurrent.py, attention.py  the layers, both directions side by side
refusals.py    what is told of the rest
way.py         what a conversion knows on its way

Both make a copy; neither changes what it is given. What was one array or one layer is one again, the modes (``train``
and ``eval``), dtypes, devices and ``requires_grad`` stay. Outputs are the same to rounding, most of them bit for bit.
Inputs are batch first in both. What would not be the same is refused, with its path and what to do.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from holdfast.errors import UnsupportedError
from holdfast.flux.convert.containers import from_module, to_module
from holdfast.flux.convert.functions import called
from holdfast.flux.convert.way import Trip, Way, shapes_of
from holdfast.flux.sequence import Recur

__all__ = ["from_torch", "to_torch"]


def from_torch(module: nn.Module | Callable[..., Any], *example: Any) -> Any:
    """The Flux model that computes what ``module`` computes: a copy, ready for ``save("m.bson", model=…)``.

    A Sequential becomes a Chain, an activation goes into the layer before it. A module of a class of your own is Python
    code, and is refused: convert its parts. Some modules mean the same in Flux for some shapes only (adaptive pooling,
    ``Softmax(dim=1)``, ``ceil_mode``): give an input as ``example`` and these are looked at.

    What differs: a recurrent layer gives its outputs without the state, MultiHeadAttention scores of every head; a mask is
    True where there *is* attention.

    Raises UnsupportedError, whose ``path`` is that of ``module.get_submodule``.

    >>> net = nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 2), nn.Softmax(dim=-1))
    >>> from_torch(net)
    Chain(Dense(10, 5, relu), Dense(5, 2), softmax)
    """
    if not isinstance(module, nn.Module):
        function = called(module)
        if function is None:
            raise UnsupportedError(f"{module!r:.60} is neither a module of torch.nn nor a function that Flux has")
        return function
    way = Way(Trip(from_module, shapes_of(module, example)))
    layer = from_module(module, way)
    way.missed([*module.named_parameters(), *module.named_buffers()])
    return layer


def to_torch(layer: Any, *example: Any) -> nn.Module:
    """The model of ``torch.nn`` that computes what ``layer`` computes: a copy, of torch's own classes only.

    A Chain becomes a Sequential, a Dense with an activation two modules in it. ``from_torch`` gives the same model back,
    with functions that stand after a layer taken into it. How many axes an image has is taken from the layers before; a
    model that starts with a BatchNorm or a GlobalMeanPool needs an input as ``example``.

    What differs: torch's recurrent layers give ``(outputs, state)``. Parallel, SkipConnection, Maxout and the like have no
    class in torch and are refused, unless they are a transformer's encoder. Raises UnsupportedError with the ``path``.

    >>> from holdfast.flux import Chain, Dense, relu, softmax
    >>> to_torch(Chain(Dense(10, 5, relu), Dense(5, 2), softmax))
    Sequential(
      (0): Linear(in_features=10, out_features=5, bias=True)
      (1): ReLU()
      (2): Linear(in_features=5, out_features=2, bias=True)
      (3): Softmax(dim=-1)
    )
    """
    if not callable(layer):
        raise UnsupportedError(f"{layer!r:.60} is neither a layer nor a function")
    remembers = isinstance(layer, nn.Module) and any(isinstance(part, Recur) for part in layer.modules())
    way = Way(Trip(to_module, {} if remembers else shapes_of(layer, example)))
    module = to_module(layer, way)
    if isinstance(layer, nn.Module):
        way.missed([*layer.named_parameters(), *layer.named_buffers()])
    return module
