"""What a conversion knows on its way through a model: where it is, what it has made, which shapes go through.

Strategy: a converter is a function ``(module, way)``, found in a table by the module's class. It takes every array from
``way``, which copies each once: what was one parameter is one again, and an array that no converter asked for is found
in the end. Two layers that share an array in forms that cannot share memory are refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from holdfast.errors import UnsupportedError

__all__ = ["Converter", "Trip", "Way", "columns", "flipped", "refuse_code", "same", "shapes_of", "turned"]

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

    convert  makes the other side's of anything
    shapes   identity of a module -> the shapes of its input in the run on the example
    arrays   identity of an array -> (the array, the path of its layer, the forms it was given)
    made     identities of modules -> (the modules, what was made of them, whether that kept the rank)
    rank     how many axes what flows here has, as far as the layers so far tell
    """

    convert: Converter
    shapes: Shapes
    arrays: dict[int, tuple[Tensor, str, tuple[Any, ...]]] = field(default_factory=dict)
    forms: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    made: dict[tuple[int, ...], tuple[Any, Any, bool]] = field(default_factory=dict)
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

    def below(self, step: str) -> "Way":
        """The way one step down."""
        return self.at(f"{self.path}.{step}" if self.path else step)

    def convert(self, value: Any, step: str) -> Any:
        """What is made of a part of what is here."""
        return self.trip.convert(value, self.below(step))

    def once(self, layers: Sequence[nn.Module], make: Callable[[], Any]) -> Any:
        """What is made of these modules; the same object each time, unless it is a function."""
        key, before = tuple(map(id, layers)), self.trip.rank
        if key in self.trip.made:
            made, keeps = self.trip.made[key][1:]
            self.gives(before if keeps else None)
            return made
        made = make()
        if isinstance(made, nn.Module | list):
            self.trip.made[key] = (layers, made, self.trip.rank == before)
        return made

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

    def array(self, form: Form, *sources: Any) -> Any:
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

    def bias(self, source: Any) -> Any:
        """A bias of Flux's: an array, or False where there is none."""
        return self.array(same, source) if isinstance(source, Tensor) else False

    def offset(self, source: Any) -> Any:
        """A bias of torch's: an array, or None where there is none."""
        return self.array(same, source) if isinstance(source, Tensor) else None

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


# -- what cannot be seen ----------------------------------------------------------------------------------------------

HOOKS: Final = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def refuse_code(module: nn.Module, way: Way) -> None:
    """Refuse a module that does more than its class says. Raises UnsupportedError."""
    name, held = type(module).__name__, vars(module)
    for part, array in held["_parameters"].items():
        way.need(not is_lazy(array), f"the {part} of this {name} has no shape yet: call the model once, then convert")
    hooked = [hooks for hooks in HOOKS if held.get(hooks)]
    way.need(not hooked, f"this {name} has hooks, which are Python code: remove them, then convert")
    way.need("forward" not in held, f"this {name} has a forward of its own, which is Python code")
    parametrised = "parametrizations" in held["_modules"]
    way.need(not parametrised, f"this {name} is parametrised: torch.nn.utils.parametrize.remove_parametrizations first")


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
