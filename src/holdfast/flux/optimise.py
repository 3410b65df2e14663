"""The frame of Flux's optimisers: torch optimisers that keep Flux's fields and Flux's state.

Strategy: an optimiser is one class: its fields (``Hyper``), the names of what it keeps per parameter (``STATE``), and
``apply``, which turns a gradient into the step that is subtracted. Fields stand in ``param_groups`` (``eta`` under
torch's key ``lr``, so that schedulers work), state in ``opt.state[parameter]``. Without parameters an optimiser is
unbound, as in Flux since 0.9; ``train`` or ``bind`` gives it some. Hyperparameters are Float64 and so is the arithmetic
on Float32 parameters, as Julia promotes it; what is stored is rounded. The rules are in ``rules`` and ``optimisers``.
"""

import inspect
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

import torch
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.parameters import leaves, params

__all__ = ["FluxOptimiser", "Hyper", "Optimiser", "wide"]

T = TypeVar("T")
Group = dict[str, Any]
State = dict[str, Any]
KeptState = Mapping[Tensor, Any]


# What is kept per parameter and is no array of the parameter's shape.
COUNTERS = frozenset({"βp", "t", "n", "current"})


def wide(x: Tensor) -> Tensor:
    """``x`` in double precision (complex: both parts), as Julia computes once a Float64 hyperparameter joins in."""
    if x.device.type == "mps":  # has no Float64
        return x
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


class Hyper(Generic[T]):
    """One field of an optimiser: read from the group at hand (outside a step the first), written to all of them."""

    def __init__(self, default: T) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.key = "lr" if name == "eta" else name

    @overload
    def __get__(self, optimiser: None, owner: type) -> Self: ...
    @overload
    def __get__(self, optimiser: "FluxOptimiser", owner: type) -> T: ...
    def __get__(self, optimiser: "FluxOptimiser | None", owner: type) -> Any:
        return self if optimiser is None else optimiser.values[self.key]

    def __set__(self, optimiser: "FluxOptimiser", value: T) -> None:
        for group in optimiser.param_groups:
            group[self.key] = value


def _hypers(cls: type) -> dict[str, Hyper[Any]]:
    return {name: value for name, value in vars(cls).items() if isinstance(value, Hyper)}


class FluxOptimiser(torch.optim.Optimizer):
    """What all of Flux's optimisers share.

    ``ADAM(params(model))``, ``ADAM(params(model), 0.01, (0.9, 0.999))``, ``ADAM(0.01)`` without parameters: a first
    argument that is no number is parameters, a module, or torch's list of groups. Fields follow in Flux's order.
    """

    FIELDS: ClassVar[dict[str, Hyper[Any]]] = {}
    SHOWN: ClassVar[int] = 2  # how many fields ``repr`` always shows; the others where they are not default
    STATE: ClassVar[tuple[str, ...]] = ()
    TABLE: ClassVar[str] = ""  # the field in which Flux's struct keeps the state, an IdDict by parameter

    _at_hand: Group | None = None  # the group whose parameter is being updated

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = _hypers(cls)
        inherited = {name: hyper for base in reversed(cls.__mro__[1:]) for name, hyper in _hypers(base).items()}
        cls.FIELDS = own if own.keys() >= inherited.keys() else {**inherited, **own}
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        fields = [inspect.Parameter(name, kind, default=hyper.default) for name, hyper in cls.FIELDS.items()]
        first = inspect.Parameter("params", inspect.Parameter.POSITIONAL_ONLY, default=None)
        cls.__signature__ = inspect.Signature([first, *fields])  # type: ignore[attr-defined]

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        bound, values = split_parameters(arguments)
        super().__init__(as_groups(bound), self._given(values, fields))

    @property
    def values(self) -> Group:
        """The fields in force: those of the parameter being updated, outside a step those of the first group."""
        group: Group = self.param_groups[0] if self._at_hand is None else self._at_hand
        return group

    @classmethod
    def _given(cls, values: Sequence[Any], fields: Mapping[str, Any]) -> Group:
        """The fields as a group holds them, from positions and names. Raises MismatchError for one too many."""
        given = {**dict(zip(cls.FIELDS, values, strict=False)), **fields}
        unknown = sorted(set(given) - set(cls.FIELDS))
        if unknown or len(values) > len(cls.FIELDS):
            raise MismatchError(f"{cls.__name__} has the fields {', '.join(cls.FIELDS)}; got {unknown or list(values)}")
        return {hyper.key: given.get(name, hyper.default) for name, hyper in cls.FIELDS.items()}

    @classmethod
    def of(
        cls,
        fields: Sequence[Any],
        state: Mapping[Tensor, Any] | None = None,
        parameters: Iterable[Tensor] | None = None,
    ) -> Self:
        """The optimiser of these fields, in Flux's order, with Flux's state for each parameter.

        A state is a tuple in the order of ``STATE``, or the bare value where there is only one. The optimiser is
        bound to ``parameters``, or to those that have a state.
        """
        state = {} if state is None else state
        optimiser = cls(*fields)
        optimiser.bind(state if parameters is None else parameters)
        for parameter, kept in state.items():
            values = (kept,) if len(cls.STATE) == 1 else tuple(kept)
            optimiser.state[parameter] = dict(zip(cls.STATE, values, strict=False))
        return optimiser

    def fields(self) -> tuple[Any, ...]:
        """The values of the fields, in Flux's order: what ``of`` takes."""
        return tuple(self.param_groups[0][hyper.key] for hyper in self.FIELDS.values())

    def kept(self, parameter: Tensor) -> Any:
        """What is kept for a parameter, as ``of`` takes it; None before its first step."""
        state = self.state.get(parameter)
        if not state:
            return None
        values = tuple(state[name] for name in self.STATE if name in state)
        return values[0] if len(self.STATE) == 1 else values

    def bind(self, parameters: Iterable[Tensor]) -> None:
        """Take up the parameters that the optimiser does not hold yet, in its first group."""
        known = {id(p) for group in self.param_groups for p in group["params"]}
        fresh = [p for p in leaves(parameters) if id(p) not in known]
        if any(not p.is_leaf for p in fresh):
            raise MismatchError(f"{self!r} can only hold parameters, not results computed from them")
        self.param_groups[0]["params"].extend(fresh)

    def group_of(self, parameter: Tensor) -> Group:
        """The group that holds a parameter."""
        holding = (group for group in self.param_groups if any(p is parameter for p in group["params"]))
        return self.param_groups[0] if len(self.param_groups) == 1 else next(holding)

    def start(self, parameter: Tensor) -> State:
        """The state before the first step: zeros like the parameter, unless a rule says otherwise."""
        return {name: torch.zeros_like(parameter) for name in self.STATE if name not in COUNTERS}

    def apply(self, parameter: Tensor, gradient: Tensor, state: State) -> Tensor:
        """The step to subtract from ``parameter``; ``state`` is changed in place, ``gradient`` is not."""
        raise NotImplementedError

    def delta(self, parameter: Tensor, gradient: Tensor, group: Group) -> Tensor:
        """``apply`` with the fields of ``group`` and the parameter's own state, in the gradient's dtype."""
        self._at_hand = group
        try:
            state = self.state[parameter] if self.STATE else {}
            if self.STATE and not state:
                state.update(self.start(parameter))
            return self.apply(parameter, gradient, state).to(gradient.dtype)
        finally:
            self._at_hand = None

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(self.delta(parameter, parameter.grad, group))
        return loss

    def __repr__(self) -> str:
        shown = []
        for place, (name, value) in enumerate(zip(self.FIELDS, self.fields(), strict=True)):
            if place < self.SHOWN:
                shown.append(repr(value))
            elif value != self.FIELDS[name].default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def split_parameters(arguments: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The parameters, or None, and the rest: a number in the first place is already a field."""
    if not arguments or isinstance(arguments[0], numbers.Real):
        return None, arguments
    return arguments[0], arguments[1:]


def as_groups(bound: Any) -> list[Group]:
    """Torch's groups from None, a module, parameters, or groups."""
    if isinstance(bound, Iterable) and not isinstance(bound, Tensor | nn.Module):
        bound = list(bound)
        if bound and all(isinstance(group, Mapping) for group in bound):
            return [dict(group) for group in bound]
    return [{"params": params(bound) if isinstance(bound, nn.Module) else leaves(bound)}]


class Optimiser(FluxOptimiser):
    """Several optimisers in a row: each gets the step of the one before, the last one's is subtracted.

    ``Optimiser(WeightDecay(1e-4), ADAM(0.001))``, with parameters in front to bind it. Members keep their own fields
    and state: ``opt[1].eta = 0.01``, ``opt[1].state[parameter]``; a scheduler is given a member.

    >>> from holdfast.flux import ADAM, WeightDecay
    >>> opt = Optimiser(WeightDecay(1e-4), ADAM())
    >>> opt, opt[1].eta
    (Optimiser(WeightDecay(0.0001), ADAM(0.001, (0.9, 0.999))), 0.001)
    """

    def __init__(self, *arguments: Any) -> None:
        given = bool(arguments) and not isinstance(arguments[0], FluxOptimiser)
        self.os: list[FluxOptimiser] = [*arguments[1:]] if given else [*arguments]
        if not all(isinstance(member, FluxOptimiser) for member in self.os):
            raise MismatchError(f"an Optimiser is made of Flux's optimisers, not of {self.os}")
        super().__init__(arguments[0] if given else None)
        self._share()

    @classmethod
    def of(
        cls,
        fields: Sequence[Any],
        state: Mapping[Tensor, Any] | None = None,
        parameters: Iterable[Tensor] | None = None,
    ) -> Self:
        """The optimiser of these members, bound to ``parameters``, or to those for which a member has a state."""
        optimiser = cls(*fields)
        optimiser.bind([p for member in fields for p in member.state] if parameters is None else parameters)
        return optimiser

    def _share(self) -> None:
        """Members see the parameters, so that each can be saved, and scheduled, on its own."""
        for member in self.os:
            member.bind(p for group in self.param_groups for p in group["params"])

    def fields(self) -> tuple[Any, ...]:
        """The members."""
        return tuple(self.os)

    def bind(self, parameters: Iterable[Tensor]) -> None:
        """Take up parameters, in all members as well."""
        super().bind(parameters)
        self._share()

    def append(self, member: FluxOptimiser) -> None:
        """Put an optimiser after the others."""
        self.os.append(member)
        self._share()

    def delta(self, parameter: Tensor, gradient: Tensor, group: Group) -> Tensor:
        """The last member's step."""
        for member in self.os:
            gradient = member.delta(parameter, gradient, member.group_of(parameter))
        return gradient

    def state_dict(self) -> dict[str, Any]:
        """Torch's, with one of each member under ``os``."""
        return {**super().state_dict(), "os": [member.state_dict() for member in self.os]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the members. Raises MismatchError unless there are as many as were saved."""
        saved = state_dict.get("os", [])
        if len(saved) != len(self.os):
            raise MismatchError(f"{self!r} has {len(self.os)} members; the saved one has {len(saved)}")
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "os"})
        for member, state in zip(self.os, saved, strict=True):
            member.load_state_dict(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "os": self.os}

    def __len__(self) -> int:
        return len(self.os)

    def __iter__(self) -> Iterator[FluxOptimiser]:
        return iter(self.os)

    def __getitem__(self, index: int) -> FluxOptimiser:
        return self.os[index]

    def __setitem__(self, index: int, member: FluxOptimiser) -> None:
        self.os[index] = member
        self._share()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(member) for member in self.os)})"
