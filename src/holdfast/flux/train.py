"""``train``: the loop of Flux's page, and ``throttle`` for its callbacks.

Strategy: for each piece of data the loss, its gradient in the parameters alone, one step, the callbacks. ``stop`` and
``skip`` are exceptions that only this loop catches. ``throttle`` never runs anything at a moment of its own: a call
that is due is made by the next call, or by ``train`` at its end, so a callback never meets a half-made step.
Source: Flux.jl, ``src/optimise/train.jl`` and ``src/utils.jl`` (``throttle``).
"""

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, overload

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from holdfast.errors import MismatchError
from holdfast.flux.optimise import FluxOptimiser
from holdfast.flux.parameters import Params
from holdfast.flux.parameters import params as trainable

__all__ = ["Throttled", "skip", "stop", "throttle", "train"]

P = ParamSpec("P")
R = TypeVar("R")
Callback = Callable[[], Any]


class StopTraining(Exception):
    """Raised by ``stop``; ends ``train``."""


class SkipBatch(Exception):
    """Raised by ``skip``; goes on to the next piece of data."""


def stop() -> NoReturn:
    """Called in a loss or a callback: end the training, all epochs of it."""
    raise StopTraining("stop() was called outside train")


def skip() -> NoReturn:
    """Called in a loss: leave this piece of data out. Called in a callback: leave out the callbacks after it."""
    raise SkipBatch("skip() was called outside train")


def train(
    loss: Callable[..., Tensor],
    params: nn.Module | Iterable[Tensor],
    data: Iterable[Any],
    opt: torch.optim.Optimizer,
    cb: Callback | Sequence[Callback] | None = None,
    epochs: int = 1,
    progress: bool | None = None,
    series: Any = None,
) -> None:
    """Train ``params`` (or a module's own) to make ``loss`` small over ``data``, ``epochs`` times.

    A piece of data that is a tuple becomes the arguments of ``loss``, as does a list from torch's DataLoader; anything
    else is its one argument. ``opt`` is any torch optimiser; one of Flux's that has no parameters yet is given these.
    Parameters that ``opt`` holds beyond these are left alone. After each step the callbacks are called: one, or
    several in order. While the loss is computed, and only then, the model is in torch's train mode, as in Flux; this
    works for a module and for ``params(model)``, which remembers its model. A progress bar shows on a terminal;
    ``progress`` True or False decides otherwise.

    ``series``, a ``holdfast.Series``, makes this a run that goes on where it stopped: the model, ``opt`` and data that
    knows its place (a DataLoader does then) are tracked, what the run has had is left out, each piece of data is a step
    whose loss is recorded, and the last step is saved in the end. Other data must come in the same order each time.

    Raises MismatchError where ``opt`` does not hold the parameters, where the loss is no single number, and where
    ``data`` can be read once but ``epochs`` asks for more.

    >>> from holdfast.flux import Dense, Descent, mse
    >>> model = Dense(1, 1)
    >>> pairs = [(torch.tensor([x]), torch.tensor([2 * x])) for x in (1.0, 2.0, 3.0)]
    >>> train(lambda x, y: mse(model(x), y), model, pairs, Descent(0.05), epochs=200)
    >>> bool(abs(model(torch.tensor([5.0])) - 10) < 0.5)
    True
    """
    parameters = params if isinstance(params, Params) else trainable(params)
    if not parameters:
        raise MismatchError("train was given no parameters that need a gradient, so there is nothing to train")
    callbacks = [cb] if callable(cb) else list(cb or [])
    _bound(opt, parameters)
    if epochs > 1 and iter(data) is data:
        raise MismatchError(f"data can be read only once, so not for {epochs} epochs; pass a list or a DataLoader")
    arguments = (tuple, list) if isinstance(getattr(data, "loader", data), DataLoader) else (tuple,)
    walk = _numbered(data, epochs) if series is None else _followed(series, parameters, opt).walk(data, epochs)
    total = len(data) * epochs if isinstance(data, Sized) else None
    with contextlib.suppress(StopTraining), contextlib.closing(_shown(walk, total, progress)) as pieces:
        for step, epoch, piece in pieces:
            with _told(series, step, epoch) as made, contextlib.suppress(SkipBatch):
                given = piece if isinstance(piece, arguments) else (piece,)
                made.append(_one_step(functools.partial(loss, *given), parameters, opt))
                for callback in callbacks:
                    callback()
    with contextlib.suppress(StopTraining, SkipBatch):
        for callback in callbacks:
            if isinstance(callback, Throttled):
                callback.flush()
    if series is not None:
        series.finish()


def _numbered(data: Iterable[Any], epochs: int) -> Iterator[tuple[int, int, Any]]:
    """All pieces of all epochs, each with its number and its epoch."""
    pieces = ((epoch, piece) for epoch in range(epochs) for piece in data)
    return ((step, epoch, piece) for step, (epoch, piece) in enumerate(pieces))


def _followed(series: Any, parameters: Params, opt: torch.optim.Optimizer) -> Any:
    """The series, which tracks the model and the optimiser under names of our own unless it does already."""
    known = {id(tracked) for tracked in series.tracked.values()}
    whole: Sequence[Any] = parameters.models or parameters
    name = "model" if parameters.models else "parameter"
    names = [name] if len(whole) == 1 else [f"{name}{number}" for number in range(1, len(whole) + 1)]
    for name, value in [*zip(names, whole, strict=True), ("opt", opt)]:
        if id(value) not in known:
            series.track(**{name: value})
    return series


@contextlib.contextmanager
def _told(series: Any, step: int, epoch: int) -> Generator[list[Tensor], None, None]:
    """Tell the series that a step is done, with the loss that the block puts into the list; also when it is the last.

    A piece of data that is skipped counts: the run has had it. One in whose loss the training stops does not.
    """
    made: list[Tensor] = []
    try:
        yield made
    except StopTraining:
        if series is not None and made:
            series.step(step, epoch=epoch, loss=made[0])
        raise
    if series is not None:
        series.step(step, epoch=epoch, loss=made[0] if made else None)


def _bound(opt: torch.optim.Optimizer, parameters: list[Tensor]) -> None:
    """Flux's optimisers take up what they do not hold; torch's must hold it already."""
    if isinstance(opt, FluxOptimiser):
        opt.bind(parameters)
        return
    held = {id(p) for group in opt.param_groups for p in group["params"]}
    missing = [f"a parameter of shape {tuple(p.shape)}" for p in parameters if id(p) not in held]
    if missing:
        raise MismatchError("the optimiser does not hold all the parameters that train was given", missing)


def _one_step(loss: Callable[[], Tensor], parameters: Params, opt: torch.optim.Optimizer) -> Tensor:
    """One step down; gives the loss before it."""
    opt.zero_grad()  # also of what others may have left behind
    with _training(parameters.models):
        value = loss()
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise MismatchError(f"the loss must be one number, a tensor computed from the parameters; got {got}")
    torch.autograd.backward(value.sum(), inputs=parameters)
    opt.step()
    opt.zero_grad()
    return value.detach()


@contextlib.contextmanager
def _training(models: Iterable[nn.Module]) -> Generator[None, None, None]:
    """The models in train mode, each layer as it was afterwards."""
    resting = [layer for model in models for layer in model.modules() if not layer.training]
    for layer in resting:
        layer.training = True
    try:
        yield
    finally:
        for layer in resting:
            layer.training = False


def _shown(pieces: Iterable[Any], total: int | None, progress: bool | None) -> Generator[Any, None, None]:
    """All pieces, under a progress bar where one is wanted."""
    if not (sys.stderr.isatty() if progress is None else progress):
        yield from pieces
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(pieces, description="train", total=total, console=Console(stderr=True))


class Throttled(Generic[P, R]):
    """What ``throttle`` gives: a function that runs at most once in ``seconds``."""

    def __init__(
        self,
        function: Callable[P, R],
        seconds: float,
        leading: bool = True,
        trailing: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function, self._seconds, self._clock = function, seconds, clock
        self._leading, self._trailing = leading, trailing
        self._until: float | None = None  # the end of the period in which no further call runs
        self._later: Callable[[], R] | None = None  # the call to make when it ends

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R | None:
        self._catch_up()
        call = functools.partial(self._function, *args, **kwargs)
        if self._until is None:
            self._until = self._clock() + self._seconds
            if self._leading:
                return call()
            self._later = call
        elif self._trailing:
            self._later = call
        return None

    def flush(self) -> R | None:
        """Make the call that is waiting, if one is, without waiting any longer."""
        later, self._later = self._later, None
        return None if later is None else later()

    def _catch_up(self) -> None:
        """Where the period is over: make the call that waited for it, which opens another, or be ready again."""
        if self._until is not None and self._clock() >= self._until:
            self._until = self._clock() + self._seconds if self._later is not None else None
            self.flush()


@overload
def throttle(
    function: Callable[P, R], seconds: float, /, leading: bool = True, trailing: bool = False
) -> Throttled[P, R]: ...
@overload
def throttle(
    seconds: float, /, leading: bool = True, trailing: bool = False
) -> Callable[[Callable[P, R]], Throttled[P, R]]: ...
def throttle(function: Any, *arguments: Any, **options: Any) -> Any:
    """A function that runs at most once in ``seconds``, however often it is called: ``throttle(f, 30)``.

    ``leading``: the first call of a period runs at once. ``trailing``: the last of those that did not run is made when
    the period is over: by the next call, by ``flush()``, or by ``train`` at its end. A call that does not run gives
    None. As a decorator: ``@throttle(30)``. Source: Flux.throttle, with a clock that nobody can turn back.

    >>> @throttle(30)
    ... def shout(word):
    ...     return word.upper()
    >>> shout("now"), shout("again")
    ('NOW', None)
    """
    if callable(function):
        return Throttled(function, *arguments, **options)
    return lambda decorated: Throttled(decorated, function, *arguments, **options)
