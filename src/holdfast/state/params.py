"""A model's trainable parameters in order, and a model's weights from a list of them.

Strategy: the order is torch's and Flux's alike (see ``holdfast.flux.parameters``). Loading compares all before it
copies any. torch is imported when a function is called, not before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.errors import MismatchError, MissingError
from holdfast.state.match import Sides, match_in_order, plan_match
from holdfast.state.records import is_array, module_tensors, spec_of, type_text
from holdfast.state.restore import carry_out

SIDES: Final = Sides("in the weights", "in the model")


def params(*models: Any) -> list[Any]:
    """The tensors that models learn, in order and each once: weight then bias, layer after layer.

    models   torch modules (those of ``holdfast.flux`` too), tensors, and lists, tuples or dictionaries of them

    Raises MissingError where torch is not installed.

    >>> from torch import nn
    >>> [tuple(weight.shape) for weight in params(nn.Linear(10, 5), nn.Linear(5, 2))]
    [(5, 10), (5,), (2, 5), (2,)]
    """
    try:
        from holdfast.flux import params as found
    except ModuleNotFoundError as error:
        raise MissingError("params", "holdfast[torch]") from error
    return found(*models)


def loadparams(model: Any, weights: Any) -> None:
    """Copy ``weights`` into the parameters of ``model``, in place: all of them, or none.

    weights  a list of arrays or tensors in the order of ``params(model)``, or a mapping of names to them (buffers may
             be left out). Numbers of another precision are converted.

    Raises MismatchError that lists each difference: the position or name, the shape that it has and the one needed.

    >>> from torch import nn
    >>> model = nn.Linear(3, 2)
    >>> loadparams(model, [[[1, 2, 3], [4, 5, 6]], [0, 0]])
    Traceback (most recent call last):
    holdfast.errors.MismatchError: these weights do not fit; nothing was changed:
      weights[0]: list, not an array
      weights[1]: list, not an array
    """
    live = _live(model)
    named = weights if isinstance(weights, Mapping) else {str(i): item for i, item in enumerate(_listed(weights))}
    differences = [
        f"weights[{name}]: {type_text(item)}, not an array" for name, item in named.items() if not is_array(item)
    ]
    if not differences:
        tensors = {**live, **dict(module_tensors(model))} if isinstance(weights, Mapping) else live
        saved, wanted = ({name: spec_of(array) for name, array in table.items()} for table in (named, tensors))
        if isinstance(weights, Mapping):
            match = plan_match(saved, wanted, cast=True, sides=SIDES, optional=tensors.keys() - live.keys())
        else:
            match = match_in_order(list(saved.values()), wanted, cast=True, sides=SIDES)
        differences = match.differences
    if differences:
        raise MismatchError("these weights do not fit; nothing was changed:", differences)
    from holdfast.state.torch_targets import copy_step

    carry_out([copy_step(tensors[ours], named[theirs]) for theirs, ours in match.pairs])


def _live(model: Any) -> dict[str, Any]:
    """The trainable parameters by name; by position where they have none."""
    names = {id(tensor): name for name, tensor in reversed(list(module_tensors(model)))}
    return {names.get(id(tensor), f"params[{index}]"): tensor for index, tensor in enumerate(params(model))}


def _listed(weights: Any) -> list[Any]:
    if isinstance(weights, Sequence) and not isinstance(weights, str | bytes):
        return list(weights)
    raise MismatchError(
        f"{type_text(weights)} is no list of weights: pass a list of arrays, or a mapping of names to arrays"
    )
