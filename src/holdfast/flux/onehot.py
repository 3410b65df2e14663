"""One-hot labels: a class as a row of booleans, and back.

Strategy: booleans with the classes along the last axis (Julia's first). Labels are any values that can be dictionary
keys; where none are named, a class is its position, counted from 0 as everything in Python.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.errors import MismatchError

__all__ = ["onecold", "onehot", "onehotbatch"]

_NOTHING = object()


def onehot(label: Any, labels: Sequence[Any], default: Any = _NOTHING) -> Tensor:
    """A vector of booleans, true where ``label`` stands in ``labels``; an unknown label counts as ``default``.

    Raises MismatchError for an unknown label where no default is given.

    >>> onehot("b", ["a", "b", "c"])
    tensor([False,  True, False])
    """
    return onehotbatch([label], labels, default)[0]


def onehotbatch(xs: Iterable[Any], labels: Sequence[Any], default: Any = _NOTHING) -> Tensor:
    """``onehot`` of each: ``(len(xs), len(labels))`` booleans. Raises MismatchError as onehot does.

    >>> onehotbatch("ba", "abc").int()
    tensor([[0, 1, 0],
            [1, 0, 0]], dtype=torch.int32)
    """
    places = {label: place for place, label in enumerate(labels)}
    other = places.get(default)
    found: list[int] = []
    for x in xs.tolist() if isinstance(xs, Tensor) else xs:
        place = places.get(x, other)
        if place is None:
            raise MismatchError(f"the label {x!r} is none of {list(labels)!r}; name a default for such labels")
        found.append(place)
    return torch.tensor(found, dtype=torch.int64).unsqueeze(-1) == torch.arange(len(labels))


def onecold(y: Tensor, labels: Sequence[Any] | None = None) -> Any:
    """Back from one-hot rows or probabilities: where the largest stands along the last axis.

    Without ``labels`` a tensor of positions, with them the label of a vector or a list of labels.

    >>> onecold(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]))
    tensor([1, 0])
    >>> onecold(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), "abc")
    ['b', 'a']
    """
    positions = (y.int() if y.dtype == torch.bool else y).argmax(-1)
    return positions if labels is None else _labelled(positions.tolist(), labels)


def _labelled(positions: Any, labels: Sequence[Any]) -> Any:
    if isinstance(positions, int):
        return labels[positions]
    return [_labelled(position, labels) for position in positions]
