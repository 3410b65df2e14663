"""What a field of a layer is, in both directions.

Strategy: a kind is a pair of functions. ``lift(value, options)`` makes the layer's attribute of what stands in the file;
``lower(attribute, kept)`` makes what stands in the file of the attribute, where ``kept`` is what the file had there and
the attribute that was made of it. A field that still has the value that was made of it goes back as it was.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from torch import Tensor, nn

from holdfast.codec.rule import Options
from holdfast.errors import FormatError
from holdfast.flux.recurrent import Cell
from holdfast.julia import values as julia
from holdfast.julia.types import type_name
from holdfast.julia.values import Struct, Symbol
from holdfast.vocab.flux.arrays import is_tracked, is_wrapper, tensor_of
from holdfast.vocab.flux.code import JuliaCode
from holdfast.vocab.flux.functions import callable_of, combined, lower_callable
from holdfast.vocab.flux.julia_functions import broadcast, is_colon
from holdfast.vocab.flux.tracked import julia_array
from holdfast.vocab.flux.types import julia_type


class Kept(NamedTuple):
    """What the file had in a field, and what was made of it."""

    was: Any
    made: Any


class Kind(NamedTuple):
    """The two directions of a kind of field."""

    lift: Callable[[Any, Options], Any]
    lower: Callable[[Any, Kept | None], Any]


# -- arrays -----------------------------------------------------------------------------------------------------------


def lift_array(*, reverse: bool, parameter: bool = True) -> Callable[[Any, Options], Any]:
    def lift(value: Any, options: Options) -> Any:
        return None if value is None else tensor_of(value, options, reverse=reverse, parameter=parameter)

    return lift


def lower_array(*, reverse: bool) -> Callable[[Any, Kept | None], Any]:
    def lower(value: Any, kept: Kept | None) -> Any:
        if not isinstance(value, Tensor):
            return value if kept is None or kept.made is not value else kept.was
        was, made = kept or (None, None)
        return julia_array(value, was, same=value is made, reverse=reverse)

    return lower


def lift_bias(value: Any, options: Options) -> Any:
    """An array, or ``false`` (today) or ``Flux.Zeros()`` (0.11, 0.12) for none."""
    if value is False or (isinstance(value, Struct) and type_name(value.type) == "Flux.Zeros"):
        return False
    return tensor_of(value, options, reverse=True, parameter=True)


def lift_state(value: Any, options: Options, *, parameter: bool = False) -> Any:
    """A recurrent state: an array or a tuple of them; what a cell of the user's own keeps stays as it is."""
    if isinstance(value, tuple):
        return tuple(lift_state(part, options, parameter=parameter) for part in value)
    if isinstance(value, np.ndarray | Tensor) or is_tracked(value) or is_wrapper(value):
        return tensor_of(value, options, reverse=True, parameter=parameter)
    return value


def lower_state(value: Any, kept: Kept | None) -> Any:
    was, made = kept or (None, None)
    if isinstance(value, tuple):
        pairs: list[Kept | None] = [None] * len(value)
        if isinstance(was, tuple) and isinstance(made, tuple) and len(was) == len(made) == len(value):
            pairs = [Kept(*pair) for pair in zip(was, made, strict=True)]
        return tuple(lower_state(part, pair) for part, pair in zip(value, pairs, strict=True))
    if isinstance(value, Tensor):
        return julia_array(value, was, same=is_same_state(value, made), reverse=True)
    return was if kept is not None and value is made else value


def is_same_state(value: Any, made: Any) -> bool:
    """Whether a state is on the memory of the one that came from the file (a state is detached from a parameter)."""
    return isinstance(made, Tensor) and (value.data_ptr(), value.shape) == (made.data_ptr(), made.shape)


# -- functions and layers ---------------------------------------------------------------------------------------------


def lift_callable(value: Any, options: Options) -> Any:
    made = callable_of(value, options)
    if not callable(made):
        raise FormatError(f"{made!r:.60} is neither a layer nor a function")
    return made


def lower_function(value: Any, kept: Kept | None) -> Any:
    if kept is not None and value is kept.made:
        return kept.was
    return lower_callable(value)


def lower_cell(value: Any, kept: Kept | None) -> Any:
    """The cell of a Recur, which holds its first state: zeros where it has none in Python."""
    from holdfast.vocab.flux.lowering import stateful

    return stateful(value) if isinstance(value, Cell) else lower_function(value, kept)


def lift_members(value: Any, options: Options) -> Any:
    """Layers in a tuple, in a vector (the first versions, and some of today's), or by name."""
    if isinstance(value, julia.NamedTuple):
        return {name: _member(name, layer, options) for name, layer in value.items()}
    if isinstance(value, julia.Array) and isinstance(value.data, list):
        value = value.data
    if not isinstance(value, tuple | list):
        raise FormatError(f"layers are a {type(value).__name__}, not a tuple")
    return [_member(index, layer, options) for index, layer in enumerate(value)]


def _member(index: int | str, value: Any, options: Options) -> Any:
    member = callable_of(value, options)
    if not callable(member):
        raise FormatError(f"layers[{index!r}] is {member!r:.60}, which is neither a layer nor a function")
    return member


def lower_members(value: Any, kept: Kept | None) -> Any:
    """``value`` is a container's live view of its members. They go back into what they came in."""
    owner = value._owner
    was, made = kept or ((), [])
    known = _by_identity(was, made)
    members = [known.get(id(member), (None, lower_callable(member)))[1] for member in value]
    if owner.named:
        return julia.NamedTuple(owner.names, members)
    if isinstance(was, julia.Array):
        return julia.Array(was.type, (len(members),), members)
    return members if isinstance(was, list) else tuple(members)


def _by_identity(was: Any, made: Any) -> dict[int, tuple[Any, Any]]:
    """Functions that were made of something in the file -> that."""
    was = was.data if isinstance(was, julia.Array) else was
    members = list(made.values()) if isinstance(made, dict) else list(made)
    pairs = zip(was, members, strict=False)
    return {id(member): (member, value) for value, member in pairs if not isinstance(member, nn.Module)}


def lift_diagonal(value: Any, options: Options) -> Any:
    """A LayerNorm's Diagonal or Scale; nothing (0.12) or the activation (since 0.13) where it has no array."""
    return value if value is None else lift_callable(value, options)


def lower_diagonal(value: Any, kept: Kept | None) -> Any:
    if kept is not None and (value is kept.made or kept.was is None):
        return kept.was if not isinstance(value, nn.Module) else value
    if isinstance(value, nn.Module):
        return value
    struct = lower_callable(value)
    name = getattr(value, "__name__", "")
    return struct if name == "identity" or isinstance(value, JuliaCode) else combined("Base.Fix1", broadcast, value)


# -- numbers and options ----------------------------------------------------------------------------------------------


def lift_sizes(value: Any, options: Options) -> tuple[int, ...]:
    sizes = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(size, int | np.integer) and not isinstance(size, bool) for size in sizes):
        raise FormatError(f"sizes are {value!r:.60}, not whole numbers")
    return tuple(map(int, sizes))


def lift_count(value: Any, options: Options) -> int:
    (count,) = lift_sizes((value,), options)
    return count


def lower_plain(value: Any, kept: Kept | None) -> Any:
    """The very value of the file, as long as it says the same."""
    if kept is not None and (value is kept.made or (type(value) is type(kept.made) and bool(value == kept.made))):
        return kept.was
    return value


def lower_real(value: Any, kept: Kept | None) -> Any:
    """A number that is Float32 in today's Flux."""
    if kept is not None and value == kept.made:
        return kept.was
    kind = type(kept.was) if kept is not None and isinstance(kept.was, np.floating | float) else np.float32
    return kind(value)


def lift_dims(value: Any, options: Options) -> Any:
    """Julia's ``:`` for all axes, one axis or several."""
    if is_colon(value):
        return None
    return lift_sizes(value, options) if isinstance(value, tuple) else lift_count(value, options)


COLON: Final = julia_type(("Main", "Base", "Colon"))
RNG: Final = julia_type(("Random", "TaskLocalRNG"))


def lower_dims(value: Any, kept: Kept | None) -> Any:
    if kept is not None and value == kept.made:
        return kept.was
    return Struct(COLON) if value is None else value


def lower_rng(value: Any, kept: Kept | None) -> Any:
    """Julia's own generator, whose numbers no torch.Generator gives."""
    return Struct(RNG) if kept is None else kept.was


def lift_index(value: Any, options: Options) -> int | None:
    """A position, counted from 1 in Julia."""
    return None if value is None else lift_count(value, options) - 1


IMAGE: Final = Kind(lift_array(reverse=True), lower_array(reverse=True))

KINDS: Final[dict[str, Kind]] = {
    "matrix": Kind(lift_array(reverse=False), lower_array(reverse=False)),
    "image": IMAGE,
    "bias": Kind(lift_bias, lower_array(reverse=True)),
    "buffer": Kind(lift_array(reverse=True, parameter=False), lower_array(reverse=True)),
    "state0": Kind(lambda value, options: lift_state(value, options, parameter=True), lower_state),
    "state": Kind(lift_state, lower_state),
    "function": Kind(lift_callable, lower_function),
    "stateful": Kind(lift_callable, lower_cell),
    "members": Kind(lift_members, lower_members),
    "diagonal": Kind(lift_diagonal, lower_diagonal),
    "sizes": Kind(lift_sizes, lower_plain),
    "number": Kind(lift_count, lower_plain),
    "count": Kind(lift_count, lower_plain),
    "index": Kind(lift_index, lambda value, kept: None if value is None else value + 1),
    "real": Kind(lambda value, options: float(value), lower_real),
    "dims": Kind(lift_dims, lower_dims),
    "rng": Kind(lambda value, options: None, lower_rng),
    "symbol": Kind(lambda value, options: str(value), lambda value, kept: Symbol(value)),
    "plain": Kind(lambda value, options: value, lower_plain),
}
"""Kind -> its two directions."""
