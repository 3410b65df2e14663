"""Training runs of many kinds, and a server that lives them in processes of their own: for ``checkpoint/test_exact.py``.

Strategy: a run is a handful of objects and a function that does one step. ``live`` goes on with it from its folder, is
killed before or within a step, or comes to the end and says what it ended with: every tensor's bits, every loss, the next
random numbers, the next batch. Importing torch takes seconds, so one process imports it and forks for each life.
"""

import hashlib
import json
import os
import random
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from holdfast.checkpoint import Series, resumable
from holdfast.checkpoint import random as generators
from holdfast.checkpoint.provenance import provenance
from holdfast.flux import ADAM, Chain, Dense, Dropout, mse, params, relu, train
from holdfast.vocab import vocabulary

STEPS = 7


@dataclass
class Job:
    """A run: what is tracked, and one step of it, which gives the loss."""

    tracked: dict[str, Any]
    step: Callable[[int], Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    rest: Callable[[Series, "Life"], None] | None = None


JOBS: dict[str, Callable[[], Job]] = {}


def job(make: Callable[[], Job]) -> Callable[[], Job]:
    JOBS[make.__name__] = make
    return make


# -- the runs ---------------------------------------------------------------------------------------------------------


def net(*extra: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), *extra, nn.ReLU(), nn.Linear(8, 2))


def drawn(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A batch out of the global generators: it is another one whenever their state is."""
    x = torch.randn(6, 4) + float(np.random.rand()) * random.random()
    return x.to(dtype), x[:, :2].square().to(dtype)


def plain(model: nn.Module, opt: torch.optim.Optimizer, dtype: torch.dtype = torch.float32) -> Callable[[int], Tensor]:
    def step(number: int) -> Tensor:
        x, y = drawn(dtype)
        opt.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        opt.step()
        return loss

    return step


def of_optimiser(make: Callable[[Any], torch.optim.Optimizer], model: nn.Module | None = None, **more: Any) -> Job:
    model = model or net()
    opt = make(model.parameters())
    return Job({"model": model, "opt": opt, **more}, plain(model, opt))


@job
def sgd_momentum() -> Job:
    return of_optimiser(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3))


@job
def adam() -> Job:
    return of_optimiser(lambda p: torch.optim.Adam(p, lr=0.01))


@job
def adamw_amsgrad() -> Job:
    return of_optimiser(lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True))


@job
def rmsprop_centred() -> Job:
    return of_optimiser(lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True))


@job
def lbfgs() -> Job:
    model = net()
    opt = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3, history_size=4)

    def step(number: int) -> Tensor:
        x, y = drawn()

        def closure() -> Tensor:
            opt.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            return loss

        return opt.step(closure)

    return Job({"model": model, "opt": opt}, step)


@job
def schedulers() -> Job:
    model = net()
    opt = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters()}], lr=0.05, momentum=0.9
    )
    first = torch.optim.lr_scheduler.LinearLR(opt, 0.1, total_iters=2)
    then = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, 3)
    schedule = torch.optim.lr_scheduler.SequentialLR(opt, [first, then], milestones=[2])
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=0)
    one = plain(model, opt)

    def step(number: int) -> Tensor:
        loss = one(number)
        schedule.step()
        plateau.step(loss.item())
        return loss

    return Job({"model": model, "opt": opt, "schedule": schedule, "plateau": plateau}, step)


@job
def one_cycle() -> Job:
    model = net()
    opt = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.1, total_steps=STEPS + 1)
    one = plain(model, opt)

    def step(number: int) -> Tensor:
        loss = one(number)
        schedule.step()
        return loss

    return Job({"model": model, "opt": opt, "schedule": schedule}, step)


@job
def dropout() -> Job:
    return of_optimiser(lambda p: torch.optim.SGD(p, lr=0.05), net(nn.Dropout(0.4)))


@job
def batch_norm() -> Job:
    return of_optimiser(lambda p: torch.optim.SGD(p, lr=0.05), net(nn.BatchNorm1d(8, momentum=None)))


class Noisy(Dataset):
    """Numbers, and what three generators add to them."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((4,), float(index)) + torch.rand(4) + np.random.rand() + random.random()


def of_loader(workers: int) -> Job:
    model = net()
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    data = resumable(DataLoader(Noisy(), batch_size=3, shuffle=True, num_workers=workers))

    def step(number: int) -> Tensor:
        x = data.next_batch() / 10
        opt.zero_grad()
        loss = (model(x) - x[:, :2]).square().mean()
        loss.backward()
        opt.step()
        return loss

    return Job({"model": model, "opt": opt, "data": data}, step)


@job
def shuffled_loader() -> Job:
    return of_loader(0)


@job
def shuffled_loader_with_workers() -> Job:
    return of_loader(2)


@job
def accumulation() -> Job:
    """A step is one of three pieces of a batch: between them the gradients are state."""
    model = net()
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step(number: int) -> Tensor:
        x, y = drawn()
        loss = (model(x) - y).square().mean() / 3
        loss.backward()
        if number % 3 == 2:
            opt.step()
            opt.zero_grad()
        return loss

    return Job({"model": model, "opt": opt}, step, {"exact": True})


@job
def moving_average() -> Job:
    model = net()
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    one = plain(model, opt)

    def step(number: int) -> Tensor:
        loss = one(number)
        ema.update_parameters(model)
        return loss

    return Job({"model": model, "opt": opt, "ema": ema}, step)


@job
def grad_scaler() -> Job:
    model = net()
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60, growth_interval=3)

    def step(number: int) -> Tensor:
        x, y = drawn()
        opt.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = (model(x).float() - y).square().mean()
        scaler.scale(loss * (2.0**70 if number == 1 else 1)).backward()
        scaler.step(opt)
        scaler.update()
        return loss

    return Job({"model": model, "opt": opt, "scaler": scaler}, step)


@job
def double() -> Job:
    model = net().double()
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    return Job({"model": model, "opt": opt}, plain(model, opt, torch.float64))


@job
def bfloat16() -> Job:
    model = net().bfloat16()
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return Job({"model": model, "opt": opt}, plain(model, opt, torch.bfloat16))


@job
def own_generators() -> Job:
    model = net()
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    own = {"numpy_own": np.random.default_rng(3), "python_own": random.Random(4), "torch_own": torch.Generator()}
    counts = {"seen": 0, "lengths": []}

    def step(number: int) -> Tensor:
        x = torch.randn(6, 4, generator=own["torch_own"]) + own["numpy_own"].random() + own["python_own"].random()
        x = x + counts["seen"] / 100 + sum(counts["lengths"]) / 1000
        counts["seen"] += 1
        counts["lengths"].append(number)
        opt.zero_grad()
        loss = (model(x) - x[:, :2]).square().mean()
        loss.backward()
        opt.step()
        return loss

    return Job({"model": model, "opt": opt, "counts": counts, **own}, step)


class Remembering(nn.Module):
    """Keeps a buffer that is not in its ``state_dict``, and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()
        self.register_buffer("last", torch.zeros(2), persistent=False)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x) + self.last * 0.1 + self.calls * 0.01
        self.last = y.detach().mean(0)
        self.calls += 1
        return y


@job
def passing_buffers() -> Job:
    made = of_optimiser(lambda p: torch.optim.SGD(p, lr=0.05), Remembering())
    return Job(made.tracked, made.step, {"exact": True})


@job
def flux_train() -> Job:
    """A model of Flux's and ``train`` with a series, over a shuffled loader, for as many epochs as it takes."""
    model, opt = Chain(Dense(4, 8, relu), Dropout(0.3), Dense(8, 2)), ADAM(0.01)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    data = DataLoader(TensorDataset(x, x[:, :2]), batch_size=3, shuffle=True)

    def rest(series: Series, life: "Life") -> None:
        def loss(x: Tensor, y: Tensor) -> Tensor:
            life.at(series.position.step)
            value = mse(model(x), y)
            life.losses[series.position.step] = value.detach()
            life.in_the_middle_of(series.position.step)
            return value

        train(loss, params(model), data, opt, epochs=3, progress=False, series=series)

    return Job({"model": model, "opt": opt}, lambda number: torch.zeros(()), rest=rest)


# -- a life -----------------------------------------------------------------------------------------------------------

MODES: tuple[dict[str, Any], ...] = ({"background": False}, {"background": True}, {"snapshot": "overlap"})


@dataclass
class Life:
    """One process of a run. ``kill``: the step before which it ends; ``within``: or rather in the middle of it."""

    kill: int | None
    within: bool
    losses: dict[int, Tensor] = field(default_factory=dict)

    def at(self, step: int) -> None:
        if step == self.kill and not self.within:
            os.kill(os.getpid(), signal.SIGKILL)

    def in_the_middle_of(self, step: int) -> None:
        if step == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)


def live(name: str, folder: str, kill: int | None, mode: int, forget: str = "") -> dict[str, Any]:
    """Go on with a run from its folder; gives what it ended with, if it gets there."""
    torch.manual_seed(11)
    np.random.seed(12)
    random.seed(13)
    one = JOBS[name]()
    life = Life(kill, within=kill is not None and kill % 2 == 1)
    options = {**one.options, **MODES[mode % len(MODES)]}
    _forget_options(options, forget)
    series = Series(folder, every_steps=1, keep_last=2, **options)
    series.track(**{name: thing for name, thing in one.tracked.items() if name != forget})
    if one.rest is not None:
        one.rest(series, life)
        series.close()
        return ended(series.tracked | one.tracked, life)
    start = series.resume().step
    if start:
        _forget_part(one.tracked, forget)
    for step in range(start, STEPS):
        life.at(step)
        life.losses[step] = one.step(step).detach()
        life.in_the_middle_of(step)
        series.step(step, loss=life.losses[step])
    series.close()
    return ended(series.tracked | one.tracked, life)


def _forget_options(options: dict[str, Any], forget: str) -> None:
    if forget.startswith("random."):
        del generators.GLOBALS[forget.removeprefix("random.")]
    if forget == "exact":
        options["exact"] = False


def _forget_part(tracked: Mapping[str, Any], forget: str) -> None:
    """Undo the restore of one part of an optimiser's state, named as in ``opt.exp_avg``."""
    if forget.startswith("opt."):
        part = forget.removeprefix("opt.")
        for state in tracked["opt"].state.values():
            for key in [key for key in state if part in ("*", key)]:
                state[key] = torch.zeros_like(state[key]) if isinstance(state[key], Tensor) else None


def ended(tracked: Mapping[str, Any], life: Life) -> dict[str, Any]:
    """The bits of everything, the losses, the next numbers and the next batch."""
    found: dict[str, Any] = {"losses": {str(step): bits(loss) for step, loss in life.losses.items()}}
    for name, thing in tracked.items():
        if hasattr(thing, "state_dict"):
            found[name] = {path: bits(value) for path, value in leaves(thing.state_dict(), "")}
    found["next"] = [random.random(), float(np.random.rand()), float(torch.rand(()))]
    found["next of own"] = [
        float(torch.rand((), generator=one)) if isinstance(one, torch.Generator) else float(one.random())
        for one in tracked.values()
        if generators.is_generator(one)
    ]
    if "data" in tracked:
        found["next batch"] = bits(tracked["data"].next_batch()) if "flux" not in str(type(tracked["model"])) else ""
    return found


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


def bits(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return str([(path, bits(inner)) for path, inner in leaves(value, "")])
    if isinstance(value, Tensor):
        data = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(data).hexdigest()[:16]}"
    return repr(value)


# -- the server -------------------------------------------------------------------------------------------------------


def serve() -> None:
    """Read lives from the standard input, a line of JSON each; answer each with how it ended."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for make in JOBS.values():  # so that what torch and holdfast import late is there before the forks
        vocabulary().of_value(make().tracked["model"])
    provenance()
    for line in sys.stdin:
        wish = json.loads(line)
        process = os.fork()
        if not process:
            _one_life(wish)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        ended = None
        if not status:
            with open(wish["folder"] + ".json", encoding="utf-8") as file:
                ended = json.load(file)
        print(json.dumps({"status": status, "ended": ended}), flush=True)


def _one_life(wish: dict[str, Any]) -> None:
    """Live, and write down how it ended: a pipe would stay open in the loader's workers, who outlive a killed parent."""
    code = 1
    try:
        answer = live(**wish)
        with open(wish["folder"] + ".json", "w", encoding="utf-8") as file:
            json.dump(answer, file)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
