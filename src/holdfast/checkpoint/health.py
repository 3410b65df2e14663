"""Whether a run is well: no NaN or infinity in its weights or its loss, and no jump of the loss.

Strategy: the verdict on numbers is a pure function of the loss and of those at the good checkpoints before it. Weights
are summed, at the speed of memory: a sum is NaN or infinite when any of its terms is. Only where it is are the elements
themselves looked at, for a sum can also overflow. A GPU is asked once for all its tensors.

It is asked only when a checkpoint is due. An unwell state is saved all the same, to be looked at, and marked
``unhealthy`` in the name of its file: it is never best and never one of the last n, and ``resume`` takes it only where
there is nothing else. Retention lets it go as soon as a newer one is there. A loss that stays where it has jumped to is
the usual one after some checkpoints, and the run is well again.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Self

import numpy as np

FLOOR: Final = 0.05
"""The least scatter that losses are taken to have, as a share of their size: one that lies still may move a little."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a good checkpoint must be: ``Series(…, health=Health(jump=20))``, or ``health=True`` for these values.

    weights  no weight or buffer of the tracked modules and arrays is NaN or infinite
    loss     the name of the metric that is the loss; it must be a finite number where it was given
    jump     how far the loss may rise above the median of the last ones, in units of their usual distance from it
             (at least 5 % of the median); None: it may jump
    window   how many of the last losses are compared with
    least    how many of them there must be before a jump is one

    >>> Health().verdict({"loss": float("nan")}, [])
    'the loss is nan'
    >>> Health().verdict({"loss": 9.0}, [0.71, 0.70, 0.69, 0.70]) is not None
    True
    >>> Health().verdict({"loss": 0.8}, [0.71, 0.70, 0.69, 0.70]) is None
    True
    """

    weights: bool = True
    loss: str = "loss"
    jump: float | None = 10.0
    window: int = 10
    least: int = 3

    @classmethod
    def of(cls, wish: "bool | Health | None") -> "Self | Health | None":
        """The policy that ``health=`` asks for. Raises ValueError for what cannot be meant."""
        if isinstance(wish, Health):
            if wish.jump is not None and not wish.jump > 0:
                raise ValueError(f"jump is a number above 0 or None, not {wish.jump!r}")
            return wish
        if wish not in (None, True, False):
            raise ValueError(f"health is True, False or a Health(…), not {wish!r}")
        return cls() if wish else None

    def verdict(self, metrics: Mapping[str, float], history: Sequence[float]) -> str | None:
        """What is wrong with the loss, or None. ``history``: the losses at the checkpoints before, the newest last."""
        loss = metrics.get(self.loss)
        if loss is None:
            return None
        if not math.isfinite(loss):
            return f"the {self.loss} is {loss}"
        before = [one for one in history[-self.window :] if math.isfinite(one)]
        if self.jump is None or len(before) < self.least:
            return None
        limit = median(before) + self.jump * scatter(before)
        if loss <= limit:
            return None
        usual = f"around {median(before):.6g} at the {len(before)} checkpoints before"
        return f"the {self.loss} jumped to {loss:.6g}; it was {usual}"


def scatter(values: Sequence[float]) -> float:
    """The usual distance of values from their median, and at least a small share of their size.

    >>> scatter([1.0, 1.0, 3.0]), scatter([10.0, 12.0, 14.0])
    (0.05, 2.0)
    """
    centre = median(values)
    return max(median(abs(one - centre) for one in values), FLOOR * abs(centre))


@dataclass(slots=True)
class Checkup:
    """The health of one run, save by save; ``well`` says how it was at the last one."""

    policy: Health | None
    well: bool = True

    def diagnosis(
        self, tracked: Mapping[str, Any], metrics: Mapping[str, float], history: Callable[[str], Sequence[float]]
    ) -> str | None:
        """What is wrong with the run now, or None. ``history`` gives a metric at the saves before."""
        if self.policy is None:
            return None
        sick = self.policy.verdict(metrics, history(self.policy.loss))
        if sick is None and self.policy.weights and (place := sick_weight(tracked)) is not None:
            sick = f"{place} holds NaN or infinity"
        self.well = sick is None
        return sick


def sick_weight(tracked: Mapping[str, Any]) -> str | None:
    """Where the first weight stands that is NaN or infinite, as in ``model.0.weight``; None when all are finite.

    Looked at: parameters and buffers of torch's modules, tensors, NumPy's arrays, and lists and dictionaries of these.
    The state of optimisers is not: what is wrong there shows in the weights.
    """
    arrays: list[tuple[str, Any]] = []
    tensors: list[tuple[str, Any]] = []
    for name, value in _numbers(tracked):
        (arrays if isinstance(value, np.ndarray) else tensors).append((name, value))
    for name, array in arrays:
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            return name
    return _sick_tensor(tensors) if tensors else None


def _numbers(tracked: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each array and tensor in ``tracked`` once, with its path."""
    torch = sys.modules.get("torch")
    waiting, seen = list(reversed([*tracked.items()])), set()
    while waiting:
        name, value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor)):
            yield name, value
        elif torch is not None and isinstance(value, torch.nn.Module):
            waiting += [(f"{name}.{path}", one) for path, one in (*value.named_parameters(), *value.named_buffers())]
        elif isinstance(value, Mapping):
            waiting += [(f"{name}[{key!r}]", one) for key, one in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(f"{name}[{index}]", one) for index, one in enumerate(value)]


def _sick_tensor(tensors: Iterable[tuple[str, Any]]) -> str | None:
    torch = sys.modules["torch"]
    sums: dict[Any, list[tuple[str, Any, Any]]] = {}
    with torch.no_grad():
        for name, tensor in tensors:
            if tensor.layout is torch.strided and tensor.device.type != "meta" and _can_be_nan(tensor):
                sums.setdefault(tensor.device, []).append((name, tensor, torch.isfinite(_sum(tensor))))
        for found in sums.values():
            finite = torch.stack([flag for _, _, flag in found]).tolist()
            for (name, tensor, _), is_finite in zip(found, finite, strict=True):
                if not is_finite and not bool(torch.isfinite(_wide(tensor)).all()):
                    return name
    return None


def _can_be_nan(tensor: Any) -> bool:
    return bool(tensor.numel() and (tensor.is_floating_point() or tensor.is_complex()))


def _sum(tensor: Any) -> Any:
    torch = sys.modules["torch"]
    if tensor.dtype in (torch.float16, torch.bfloat16):
        return tensor.sum(dtype=torch.float32)  # in its own width it would overflow
    return _wide(tensor).sum()


def _wide(tensor: Any) -> Any:
    """A tensor that torch can add up: eight-bit floats as those of 32 bits."""
    return tensor.float() if tensor.dtype.itemsize == 1 and tensor.is_floating_point() else tensor


def warning(step: int, sick: str) -> str:
    """What to say when a run is no longer well."""
    return (
        f"step {step:,} is unhealthy: {sick}. Its checkpoint is saved to be looked at, and not gone on from; "
        f'rollback(before={step}) or rollback("best") goes back'
    )
