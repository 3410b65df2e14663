"""The numbers that a model learns: ``params`` finds them, ``data`` takes them out of autograd's sight.

Strategy: one walk over modules, tensors and containers of them, in Flux's order (the order of the fields, so weight
then bias, layer after layer), each parameter once however often it is used.
"""

from collections.abc import Iterable, Mapping
from typing import Any, overload

from torch import Tensor, nn

__all__ = ["Params", "data", "leaves", "params"]


class Params(list[Tensor]):
    """A list of parameters, each once. ``ADAM(params(model))`` and ``train(loss, params(model), …)`` take one.

    ``models`` are the modules that they were found in, which ``train`` puts into train mode for each step.
    """

    models: tuple[nn.Module, ...] = ()

    def __repr__(self) -> str:
        return f"Params([{', '.join(str(tuple(parameter.shape)) for parameter in self)}])"


def params(*models: Any) -> Params:
    """The trainable parameters of models, tensors, and lists, tuples or dictionaries of them.

    What needs no gradient is left out; functions and plain values have no parameters.

    >>> from holdfast.flux import Chain, Dense, relu
    >>> params(Chain(Dense(10, 5, relu), Dense(5, 2)))
    Params([(5, 10), (5,), (2, 5), (2,)])
    """
    found = Params(tensor for tensor in leaves(models) if tensor.requires_grad)
    found.models = tuple(model for model in models if isinstance(model, nn.Module))
    return found


def leaves(value: Any) -> list[Tensor]:
    """Every tensor in ``value`` once, whether it needs a gradient or not; of a module, its parameters."""
    found: dict[int, Tensor] = {}
    for tensor in _walk(value):
        found.setdefault(id(tensor), tensor)
    return list(found.values())


def _walk(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
    elif isinstance(value, Mapping):
        yield from _walk(list(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for member in value:
            yield from _walk(member)


@overload
def data(value: Tensor) -> Tensor: ...
@overload
def data(value: nn.Module | Iterable[Any]) -> list[Any]: ...
@overload
def data(value: Any) -> Any: ...
def data(value: Any) -> Any:
    """The plain tensors behind parameters: ``Tracker.data.(params(model))`` is ``data(params(model))``.

    A tensor gives a tensor; a module, a list or a tuple gives a list; anything else comes back as it is. The memory
    is shared: training the model goes on changing these tensors. ``[w.clone() for w in data(…)]`` keeps them.

    >>> from holdfast.flux import Dense
    >>> [weight.requires_grad for weight in data(params(Dense(3, 2)))]
    [False, False]
    """
    if isinstance(value, Tensor):
        plain = value.detach()
        vars(plain).update(vars(value))  # how its axes stand to Julia's
        return plain
    if isinstance(value, nn.Module):
        return data(params(value))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return [data(member) for member in value]
    return value
