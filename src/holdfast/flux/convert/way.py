"""What a conversion knows on its way through a model: where it is, what it has made, which shapes go through.

Strategy: a converter is a function ``(module, way)``, found in a table by the module's class. It takes every array from
``way``, which copies each once: what was one parameter is one again, and an array that no converter asked for is found
in the end. Two layers that share an array in forms that cannot share memory are refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from holdfast.errors import UnsupportedError

__all__ = ["Converter", "Way", "columns", "flipped", "same", "shapes_of", "turned"]

Converter = Callable[[Any, "Way"], Any]
Form = Callable[..., Any]
Shapes = Mapping[int, set[tuple[int, ...]]]


# -- forms: always a copy ---------------------------------------------------------------------------------------------


def same(x: Tensor) -> Tensor:
    """As it is, in torch's own order of memory."""
    return x.detach().clone(memory_format=torch.contiguous_format)


def turned(x: Tensor) -> Tensor:
    """With the axes reversed, on torch's order of memory: Julia's order for the new axes."""
    return same(x).permute(*reversed(range(x.dim())))


def columns(x: Tensor) -> Tensor:
    """The same axes, with the first running fastest: Julia's order of memory."""
    return turned(x.permute(*reversed(range(x.dim()))))


def flipped(x: Tensor) -> Tensor:
    """A kernel turned round along its spatial axes."""
    return x.detach().flip(tuple(range(2, x.dim()))).contiguous()


# -- the way ----------------------------------------------------------------------------------------------------------


@dataclass
class Trip:
    """What the whole of one conversion shares.

    table    class -> converter
    shapes   identity of a module -> the shapes of its input in the run on the example
    arrays   identity of an array -> (the array, the path of its layer, the forms it was given)
    made     identity of a module -> (the module, what was made of it)
    rank     how many axes what flows here has, as far as the layers so far tell
    """

    table: Mapping[type[Any], Converter]
    shapes: Shapes
    arrays: dict[int, tuple[Tensor, str, tuple[Any, ...]]] = field(default_factory=dict)
    forms: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    made: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    rank: int | None = None


@dataclass(frozen=True)
class Way:
    """A place in the model that is being converted."""

    trip: Trip
    path: str = ""

    def at(self, path: str) -> "Way":
        """The same trip, elsewhere in the model."""
        return replace(self, path=path)

    def refuse(self, message: str, part: str = "") -> NoReturn:
        """Raise UnsupportedError with the place."""
        raise UnsupportedError(message, self.path + part)

    def need(self, holds: bool, message: str, part: str = "") -> None:
        """Refuse unless it holds."""
        if not holds:
            self.refuse(message, part)

    # shapes

    def shapes(self, module: Any) -> set[tuple[int, ...]]:
        """The shapes of what the module was given in the run on the example; none without an example."""
        return self.trip.shapes.get(id(module), set())

    def rank(self, module: Any) -> int | None:
        """How many axes the module's input has: from the example, else from the layers before it; None if unknown."""
        ranks = {len(shape) for shape in self.shapes(module)}
        return self.trip.rank if not ranks else ranks.pop() if len(ranks) == 1 else None

    def gives(self, rank: int | None) -> None:
        """Tell what follows how many axes it gets."""
        self.trip.rank = rank

    # arrays

    def array(self, form: Form, *sources: Tensor | None) -> Any:
        """``form(*sources)``, made once: a parameter of parameters, a tensor of buffers, or a tuple of either.

        None where the first source is None. Raises UnsupportedError where a source is already held in another form.
        """
        if sources[0] is None:
            return None
        given = [source for source in sources if source is not None]
        key = (form, *map(id, given))
        if key not in self.trip.forms:
            for source in given:
                self._hold(source, key)
            made = form(*given)
            self.trip.forms[key] = (
                tuple(_like(given, part) for part in made) if isinstance(made, tuple) else _like(given, made)
            )
        return self.trip.forms[key]

    def bias(self, source: Any, form: Form = same) -> Any:
        """A bias: an array, or False where there is none."""
        return self.array(form, source) if isinstance(source, Tensor) else False

    def skip(self, source: Tensor | None) -> None:
        """An array that has no counterpart, and needs none."""
        if source is not None:
            self.trip.arrays.setdefault(id(source), (source, self.path, ()))

    def _hold(self, source: Tensor, key: tuple[Any, ...]) -> None:
        known = self.trip.arrays.setdefault(id(source), (source, self.path, key))
        if known[2] != key:
            self.refuse(
                f"this layer shares a weight of shape {tuple(source.shape)} with the one at {known[1] or 'the top'}, "
                "which the other side holds in another order: they cannot be one array there. Give one of them a copy "
                "of its own: layer.weight = torch.nn.Parameter(layer.weight.detach().clone())"
            )

    def missed(self, arrays: Iterable[tuple[str, Tensor]]) -> None:
        """Refuse arrays that no converter took. Raises UnsupportedError."""
        for name, array in arrays:
            if id(array) not in self.trip.arrays:
                raise UnsupportedError("its layer does not compute with this array, so it has no place there", name)


def _like(sources: list[Tensor], made: Tensor) -> Tensor:
    if any(isinstance(source, nn.Parameter) for source in sources):
        return nn.Parameter(made, requires_grad=any(source.requires_grad for source in sources))
    return made


# -- the example ------------------------------------------------------------------------------------------------------


def shapes_of(model: Any, example: tuple[Any, ...]) -> Shapes:
    """The shapes of the first input of every module, in a run of ``model(*example)`` in test mode; changes nothing."""
    found: dict[int, set[tuple[int, ...]]] = {}

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            found.setdefault(id(module), set()).add(tuple(inputs[0].shape))

    if not example or not isinstance(model, nn.Module):
        return found
    modes = [(module, module.training) for module in model.modules()]
    hooks = [module.register_forward_pre_hook(note) for module, _ in modes]
    try:
        with torch.no_grad():
            model.eval()(*example)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return found
