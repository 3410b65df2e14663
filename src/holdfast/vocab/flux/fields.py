"""What a field of a layer is, in both directions.

Strategy: a kind is a pair of functions. ``lift(value, options)`` makes the layer's attribute of what stands in the file;
``lower(attribute)`` makes what stands in the file of the attribute.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from torch import Tensor

from holdfast.codec.rule import Options
from holdfast.errors import FormatError
from holdfast.julia import values as julia
from holdfast.julia.types import type_name
from holdfast.vocab.flux.arrays import julia_array, tensor_of
from holdfast.vocab.flux.functions import JuliaCode, callable_of


class Kind(NamedTuple):
    lift: Callable[[Any, Options], Any]
    lower: Callable[[Any], Any]


def lift_matrix(value: Any, options: Options) -> Any:
    return tensor_of(value, options, parameter=True)


def lift_image(value: Any, options: Options) -> Any:
    return tensor_of(value, options, reverse=True, parameter=True)


def lower_image(value: Any) -> Any:
    return julia_array(value, reverse=True) if isinstance(value, Tensor) else value


def lower_tensor(value: Any) -> Any:
    return julia_array(value) if isinstance(value, Tensor) else value


def lift_bias(value: Any, options: Options) -> Any:
    """An array, or ``false`` (today) or ``Flux.Zeros()`` (0.11, 0.12) for none."""
    if value is False or (isinstance(value, julia.Struct) and type_name(value.type) == "Flux.Zeros"):
        return False
    return tensor_of(value, options, parameter=True)


def lower_function(value: Any) -> Any:
    return value.struct if isinstance(value, JuliaCode) else value


def lift_members(value: Any, options: Options) -> Any:
    """Layers in a tuple, in the vector of the first versions, or by name."""
    if isinstance(value, julia.NamedTuple):
        return {name: callable_of(layer, options) for name, layer in value.items()}
    if not isinstance(value, tuple | list):
        raise FormatError(f"layers are a {type(value).__name__}, not a tuple")
    members = [callable_of(layer, options) for layer in value]
    for index, member in enumerate(members):
        if not callable(member):
            raise FormatError(f"layer {index} is {member!r:.60}, which cannot be called")
    return members


def lower_members(value: Any) -> Any:
    """``value`` is a container's live view of its members."""
    owner = value._owner
    members = [lower_function(member) for member in value]
    return julia.NamedTuple(owner.names, members) if owner.named else tuple(members)


KINDS: Final[dict[str, Kind]] = {
    "matrix": Kind(lift_matrix, lower_tensor),
    "image": Kind(lift_image, lower_image),
    "bias": Kind(lift_bias, lower_tensor),
    "function": Kind(callable_of, lower_function),
    "members": Kind(lift_members, lower_members),
    "plain": Kind(lambda value, options: value, lambda value: value),
}
