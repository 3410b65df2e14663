"""Layers made of layers: Chain, Parallel, PairwiseFusion, Maxout and SkipConnection.

Strategy: a member is a module or a plain function. Modules stand in torch's own table of children under their name or
position (the keys of ``state_dict`` are those of ``nn.Sequential``), functions in a table beside it; one list of keys
gives the order. Nothing else is stored, so replacing a child by any of torch's ways is seen here as well.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, overload

import torch
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.fields import spelled

__all__ = ["Chain", "Layers", "Maxout", "Members", "Parallel", "PairwiseFusion", "SkipConnection"]


class Layers(Sequence[Any]):
    """What ``model.layers`` gives: a live view. ``model.layers[3] = f`` replaces a layer, by position or by name."""

    def __init__(self, owner: "Members") -> None:
        self._owner = owner

    def __len__(self) -> int:
        return len(self._owner.names)

    @overload
    def __getitem__(self, index: int | str) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | str | slice) -> Any:
        if isinstance(index, slice):
            return [self._owner.member(name) for name in self._owner.names[index]]
        return self._owner.member(self._owner.name_of(index))

    def __setitem__(self, index: int | str, layer: Any) -> None:
        if not callable(layer):
            raise MismatchError(f"layers[{index!r}] must be a layer or a function, not {layer!r}")
        self._owner.put(self._owner.name_of(index), layer)

    def __repr__(self) -> str:
        return f"({', '.join(spelled(layer) for layer in self)}{',' if len(self) == 1 else ''})"


class Members(nn.Module):
    """What the containers share: members in order, by position and by name."""

    def __init__(self, members: Sequence[Any] | Mapping[str, Any], connection: Any = None) -> None:
        super().__init__()
        if connection is not None:  # before the members, as in Flux's struct: a connection may have parameters too
            self.connection = connection
        self.named = isinstance(members, Mapping)
        pairs = dict(members) if isinstance(members, Mapping) else {str(i): m for i, m in enumerate(members)}
        self.names: list[str] = []
        self._functions: dict[str, Any] = {}
        for name, member in pairs.items():
            self.names.append(name)
            self.put(name, member)

    @property
    def layers(self) -> Layers:
        """The members, to read and to replace."""
        return Layers(self)

    def put(self, name: str, member: Any) -> None:
        """Set the member of that name. Children stay in the order of the members, and so do their parameters."""
        table, other = (
            (self._modules, self._functions) if isinstance(member, nn.Module) else (self._functions, self._modules)
        )
        other.pop(name, None)
        table[name] = member
        for later in self.names[self.names.index(name) + 1 :]:
            if later in table:
                table[later] = table.pop(later)

    def member(self, name: str) -> Any:
        """The member of that name."""
        return self._modules[name] if name in self._modules else self._functions[name]

    def name_of(self, index: int | str) -> str:
        """The name of a member, from its name or its position. Raises KeyError or IndexError."""
        if isinstance(index, str):
            if index not in self.names:
                raise KeyError(f"no layer is called {index!r}; there are {self.names}")
            return index
        if not -len(self.names) <= index < len(self.names):
            raise IndexError(f"layer {index} of {len(self.names)}")
        return self.names[index]

    def subset(self, index: slice) -> Sequence[Any] | dict[str, Any]:
        """Some of the members, as the constructors take them."""
        chosen = {name: self.member(name) for name in self.names[index]}
        return chosen if self.named else list(chosen.values())

    def called(self, name: str, *inputs: Any) -> Any:
        """The member of that name applied. What it raises is given the place in the model."""
        try:
            return self.member(name)(*inputs)
        except Exception as error:
            place = f"layers[{name!r}]" if self.named else f"layers[{name}]"
            error.add_note(f"in {place} of this {type(self).__name__}: {spelled(self.member(name))}")
            raise

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __setitem__(self, index: int | str, layer: Any) -> None:
        self.layers[index] = layer

    def __getattr__(self, name: str) -> Any:
        functions = self.__dict__.get("_functions", {})
        return functions[name] if name in functions else super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training":  # torch's own switch, also where a layer has that name
            object.__setattr__(self, name, value)
        elif name in self.__dict__.get("names", ()):
            self.layers[name] = value
        else:
            super().__setattr__(name, value)

    def _spelled_members(self) -> list[str]:
        spellings = [spelled(layer) for layer in self.layers]
        return [f"{name}={text}" for name, text in zip(self.names, spellings, strict=True)] if self.named else spellings

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._spelled_members())})"


def _members(layers: tuple[Any, ...], named: dict[str, Any], kind: str) -> Sequence[Any] | dict[str, Any]:
    """Layers as a constructor got them: one after the other, as one list, or by name."""
    if layers and named:
        raise MismatchError(f"{kind} takes its layers either by position or by name, not both")
    if len(layers) == 1 and isinstance(layers[0], list | tuple):
        layers = tuple(layers[0])
    for position, layer in [*enumerate(layers), *named.items()]:
        if not callable(layer):
            raise MismatchError(f"layer {position!r} of a {kind} must be a layer or a function, not {layer!r}")
    return named or layers


class Chain(Members):
    """Layers and functions called one after the other.

    ``Chain(a, b, c)`` or, with names, ``Chain(encoder=a, decoder=b)``. Counted from 0: ``model[0]``, ``model[1:]`` (a
    Chain of the same layers), ``model["encoder"]``, ``model.encoder``; ``model[0] = f`` replaces a layer. The input
    goes to the first layer as it is (several inputs as one tuple), and an empty Chain gives it back.

    >>> from holdfast.flux import Dense, relu, softmax
    >>> model = Chain(Dense(10, 5, relu), Dense(5, 2), softmax)
    >>> model
    Chain(Dense(10, 5, relu), Dense(5, 2), softmax)
    >>> model(torch.zeros(3, 10)).shape, model[:2]
    (torch.Size([3, 2]), Chain(Dense(10, 5, relu), Dense(5, 2)))
    """

    def __init__(self, *layers: Any, **named: Any) -> None:
        super().__init__(_members(layers, named, "Chain"))

    @classmethod
    def of(cls, layers: Sequence[Any] | Mapping[str, Any]) -> Self:
        """The Chain of these layers, or of these names and layers; they are not looked at."""
        chain = cls.__new__(cls)
        Members.__init__(chain, layers)
        return chain

    @overload
    def __getitem__(self, index: int | str) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | str | slice) -> Any:
        return type(self).of(self.subset(index)) if isinstance(index, slice) else self.layers[index]

    def forward(self, *inputs: Any) -> Any:
        """The last layer's output. What a layer raises carries a note that says which layer it was."""
        x: Any = inputs[0] if len(inputs) == 1 else inputs
        for name in self.names:
            x = self.called(name, x)
        return x


class Branches(Members):
    """Parallel's and PairwiseFusion's fields: a connection, and layers side by side."""

    def __init__(self, connection: Callable[..., Any], *layers: Any, **named: Any) -> None:
        super().__init__(_members(layers, named, type(self).__name__), connection)

    @classmethod
    def of(cls, connection: Callable[..., Any], layers: Sequence[Any] | Mapping[str, Any]) -> Self:
        """The layer of these fields; ``layers`` may have names."""
        branches = cls.__new__(cls)
        Members.__init__(branches, layers, connection)
        return branches

    @overload
    def __getitem__(self, index: int | str) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | str | slice) -> Any:
        if isinstance(index, slice):
            return type(self).of(self.connection, self.subset(index))
        return self.layers[index]

    def _spelled_members(self) -> list[str]:
        return [spelled(self.connection), *super()._spelled_members()]


class Parallel(Branches):
    """Several layers side by side, joined: ``connection(a(x), b(x), …)``.

    With as many inputs as layers, each layer gets its own; with one layer and several inputs it is called on each. A
    tuple counts as several inputs. The connection gets all outputs at once: ``vcat``, ``add``, ``pack`` …

    >>> from holdfast.flux import Dense, vcat
    >>> model = Parallel(vcat, Dense(4, 3), Dense(4, 2))
    >>> model, model(torch.zeros(6, 4)).shape
    (Parallel(vcat, Dense(4, 3), Dense(4, 2)), torch.Size([6, 5]))
    """

    def forward(self, *inputs: Any) -> Any:
        """The joined outputs. Raises MismatchError where the number of inputs fits neither way."""
        xs = tuple(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], tuple) else inputs
        if len(xs) == 1:
            calls = [(name, xs[0]) for name in self.names]
        elif len(self.names) == 1:
            calls = [(self.names[0], x) for x in xs]
        elif len(xs) == len(self.names):
            calls = list(zip(self.names, xs, strict=True))
        else:
            raise MismatchError(f"{self!r} takes 1 or {len(self.names)} inputs, not {len(xs)}")
        return self.connection(*(self.called(name, x) for name, x in calls))


class PairwiseFusion(Branches):
    """Layers in a row, each fed with ``connection(what the one before gave, its own input)``.

    With one input every layer is given that one; with a tuple, or several inputs, each its own. Gives the outputs of
    all layers as a tuple.

    >>> from holdfast.flux import add, identity
    >>> PairwiseFusion(add, identity, identity, identity)((1, 10, 100))
    (1, 11, 111)
    """

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """The tuple of outputs. Raises MismatchError where there are neither one input nor one for each layer."""
        given = inputs[0] if len(inputs) == 1 else inputs
        xs = given if isinstance(given, tuple) else (given,) * len(self.names)
        if len(xs) != len(self.names):
            raise MismatchError(f"{self!r} takes 1 or {len(self.names)} inputs, not {len(xs)}")
        outputs: list[Any] = []
        for name, x in zip(self.names, xs, strict=True):
            outputs.append(self.called(name, self.connection(outputs[-1], x) if outputs else x))
        return tuple(outputs)


class Maxout(Members):
    """The largest, element by element, of what several layers make of the same input.

    ``Maxout(a, b, c)``, or ``Maxout(make, 3)`` to call ``make`` three times (Goodfellow and others, 2013).

    >>> from holdfast.flux import Dense, tanh
    >>> Maxout(lambda: Dense(4, 3, tanh), 2)
    Maxout(Dense(4, 3, tanh), Dense(4, 3, tanh))
    """

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 2 and isinstance(layers[1], int):
            layers = tuple(layers[0]() for _ in range(layers[1]))
        super().__init__(_members(layers, {}, "Maxout"))

    @classmethod
    def of(cls, layers: Sequence[Any]) -> Self:
        """The layer over these layers."""
        maxout = cls.__new__(cls)
        Members.__init__(maxout, layers)
        return maxout

    def __getitem__(self, index: int) -> Any:
        return self.layers[index]

    def forward(self, x: Any) -> Tensor:
        """The elementwise maximum."""
        outputs: list[Tensor] = [self.called(name, x) for name in self.names]
        return functools.reduce(torch.maximum, outputs)


class SkipConnection(nn.Module):
    """``connection(layers(x), x)``: the input led past a layer and joined to its output.

    >>> from holdfast.flux import Dense, add, relu
    >>> SkipConnection(Dense(4, 4, relu), add)
    SkipConnection(Dense(4, 4, relu), add)
    """

    def __init__(self, layers: Callable[..., Any], connection: Callable[..., Any]) -> None:
        super().__init__()
        self.layers = layers
        self.connection = connection

    @classmethod
    def of(cls, layers: Any, connection: Any) -> Self:
        """The layer of these fields."""
        return cls(layers, connection)

    def forward(self, x: Any) -> Any:
        """The joined output."""
        return self.connection(self.layers(x), x)

    def __repr__(self) -> str:
        return f"SkipConnection({spelled(self.layers)}, {spelled(self.connection)})"
