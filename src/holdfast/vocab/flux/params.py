"""``Flux.params(model)`` as it stands in a file: a list of the weights, in the model's order.

Strategy: Zygote's and Tracker's ``Params`` are an order and a set of the same arrays. Python gets a list; an array that is
a layer's, too, is that layer's tensor. ``loadparams(model, weights)`` takes it. Saved again it is the same struct.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from holdfast.codec.rule import Fields, Items, Options, Rule
from holdfast.errors import FormatError
from holdfast.julia.types import type_name
from holdfast.julia.values import ByIdentity, IdDict, Struct
from holdfast.vocab.flux.arrays import when_made
from holdfast.vocab.flux.tracked import julia_array


class SavedParams(list[Any]):
    """The weights of ``Flux.params(model)``, each a tensor, an array or a Struct around one."""

    def __init__(self, struct: Struct, weights: Iterable[Any]) -> None:
        super().__init__(weights)
        self.struct = struct
        self.saved = {id(weight): (weight, weight) for weight in self}

    def take(self, place: int, was: Any) -> Callable[[Any], None]:
        """Puts a layer's tensor in the place of the array that it was made of."""

        def put(tensor: Any) -> None:
            self[place] = tensor
            self.saved[id(tensor)] = (tensor, was)

        return put

    def __repr__(self) -> str:
        return f"SavedParams({len(self)} weights)"


def weights_in(order: Any) -> list[Any] | None:
    """The weights of a ``Params``: a vector, or since Zygote 0.4.7 one inside a Buffer."""
    if isinstance(order, Struct) and type_name(order.type) == "Zygote.Buffer" and len(order) == 2:
        order = order[0]
    return order if isinstance(order, list) else None


def lift_params(level: Fields, options: Options) -> Any:
    """A list where order and set are as Zygote or Tracker has them, else the Struct."""
    struct = Struct(level["type"], level["data"])
    if not isinstance(level["data"], list):
        raise FormatError(f"a {struct.name} holds a {type(level['data']).__name__}")
    weights = weights_in(struct[0]) if len(struct) == 2 and isinstance(struct[1], Struct) else None
    if weights is None or len(struct[1]) != 1 or not isinstance(struct[1][0], IdDict):
        return struct
    params = SavedParams(struct, weights)
    for place, weight in enumerate(weights):
        when_made(weight, options, params.take(place, weight))
    return params


def lower_params(value: SavedParams) -> Fields:
    """The struct with the weights that the list has now, in both of its parts."""
    weights = [_lowered(value, weight) for weight in value]
    order, members = value.struct.data
    if isinstance(order, Struct):
        order = Struct(order.type, [weights, *order.data[1:]])
    else:
        order = weights
    table = IdDict()
    table.type = members[0].type
    table.update((ByIdentity(weight), None) for weight in weights)
    return Fields(tag="struct", type=value.struct.type, data=Items([order, Struct(members.type, [table])]))


def _lowered(value: SavedParams, weight: Any) -> Any:
    was = value.saved.get(id(weight), (None, None))[1]
    return julia_array(weight, was) if hasattr(weight, "detach") else weight


NAMES: Final = ("Zygote.Params", "Tracker.Params", "Flux.Tracker.Params")

RULES: Final = [
    Rule("struct", name, (SavedParams,) if name == NAMES[0] else (), lower_params, lift_with=lift_params)
    for name in NAMES
]
