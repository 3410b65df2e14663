"""A document that is kept from save to save is the one that would be made anew, whatever the training changed."""

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import load
from holdfast.checkpoint import snapshot
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.record import HEADER, Captured, capture
from holdfast.checkpoint.staging import Staging
from holdfast.checkpoint.template import Kept
from holdfast.errors import UnsupportedError
from holdfast.formats import bson
from holdfast.vocab import vocabulary


class Shadow:
    """An average that gives fresh dictionaries with the same tensors in them."""

    def __init__(self, model: nn.Module) -> None:
        self.values = {name: value.detach().clone() for name, value in model.named_parameters()}
        self.count = 0

    def state_dict(self) -> dict[str, Any]:
        return {"values": dict(self.values), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values, self.count = state["values"], state["count"]


def things() -> dict[str, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    model.notes = {"seen": [1, 2], "best": {"loss": 1.0}}
    opt = torch.optim.AdamW(model.parameters(), 0.1, amsgrad=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 100)
    found = {
        "model": model,
        "opt": opt,
        "schedule": schedule,
        "shadow": Shadow(model),
        "plain": {"history": [], "words": ["a"], "numbers": np.arange(5.0), "nested": {"a": {"b": 1}}},
        "generator": np.random.default_rng(3),
        "torch_generator": torch.Generator().manual_seed(3),
        "array": np.zeros((2, 3)),
        "tensor": torch.zeros(7, dtype=torch.bfloat16),
    }
    train(found)
    return found


def train(tracked: dict[str, Any]) -> None:
    model, opt = tracked["model"], tracked["opt"]
    opt.zero_grad()
    model(torch.randn(5, 3)).square().sum().backward()
    opt.step()
    tracked["schedule"].step()
    for name, value in model.named_parameters():
        if name in tracked["shadow"].values:
            tracked["shadow"].values[name].lerp_(value.detach(), 0.1)
    tracked["shadow"].count += 1
    tracked["plain"]["history"].append(model[0].weight.sum().item())
    tracked["generator"].random()
    torch.rand(2, generator=tracked["torch_generator"])
    tracked["array"] += 1
    tracked["tensor"] += 1


def swap(tracked: dict[str, Any]) -> None:
    """Two parameters change places, in the model only."""
    a, b = tracked["model"][0], tracked["model"][3]
    a.bias, b.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(2))


def retie(tracked: dict[str, Any]) -> None:
    """Both the model and the optimiser take the same new tensor."""
    new = nn.Parameter(torch.ones(4, 3))
    tracked["model"][0].weight = new
    old = tracked["opt"].param_groups[0]["params"][0]
    tracked["opt"].param_groups[0]["params"][0] = new
    tracked["opt"].state[new] = tracked["opt"].state.pop(old)


def in_place(tracked: dict[str, Any]) -> None:
    tracked["model"].notes["seen"][0] = 7
    tracked["model"].notes["best"]["loss"] = 0.5


def set_(path: str, value: Any) -> Any:
    def change(tracked: dict[str, Any]) -> None:
        exec(f"{path} = value", {**tracked, "value": value, "nn": nn})

    return change


def run(line: str) -> Any:
    def change(tracked: dict[str, Any]) -> None:
        exec(line, {**tracked, "torch": torch, "nn": nn, "np": np, "tracked": tracked})

    return change


CHANGES = {
    "nothing": lambda tracked: None,
    "a learning rate": set_("opt.param_groups[0]['lr']", 0.5),
    "to and from None": set_("opt.param_groups[0]['foreach']", True),
    "the mode": run("model.eval()"),
    "the mode of one": run("model[1].train(False)"),
    "a frozen parameter": run("model[0].weight.requires_grad_(False)"),
    "an attribute": run("model.epoch = 3"),
    "an attribute less": run("del model.notes"),
    "containers in place": in_place,
    "a text that is not ASCII": run("model.notes['seen'][1] = 'é'"),
    "a number beyond 64 bits": run("plain['nested']['a']['b'] = 1 << 80"),
    "a layer more": run("model.append(nn.Linear(2, 2))"),
    "a layer less": run("del model[2]"),
    "another layer in its place": run("model[2] = nn.Tanh()"),
    "the same layer twice": run("model[2] = model[0]"),
    "a buffer replaced": run("model[1].running_mean = model[1].running_mean + 1"),
    "a buffer gone": run("model[1].running_mean = None"),
    "a buffer more": run("model.register_buffer('mask', torch.ones(3))"),
    "other parameters": swap,
    "the same new parameter in two places": retie,
    "data that moved": run("model[0].weight.data = torch.ones(4, 3)"),
    "a transposed view": run("model[0].weight.data = torch.ones(3, 4).t()"),
    "another shape in place": run("tensor.resize_(3)"),
    "another dtype": run("model.double()"),
    "tied by memory": run("model[3].bias.data = model[0].bias.data[:2]"),
    "a view in a list": run("plain['words'].append(model[0].weight.detach()[1:])"),
    "a group more": run("opt.add_param_group({'params': [nn.Parameter(torch.ones(2))]})"),
    "a state gone": run("opt.state.clear()"),
    "keys that changed their names": run("plain['nested']['c'] = plain['nested'].pop('a')"),
    "keys in another order": run("plain['words'] = plain.pop('words')"),
    "a list that shrank": run("plain['history'].clear()"),
    "a list of lists that grew": run("plain['words'].append([1, [2]])"),
    "one list in two places": run("plain['nested']['words'] = plain['words']"),
    "one new list in two places": run("plain['nested']['x'] = plain['nested']['y'] = [1]"),
    "an array that is new": run("plain['numbers'] = np.arange(5.0) * 2"),
    "an array of another shape": run("plain['numbers'] = np.arange(6.0)"),
    "an array in place": run("plain['numbers'][2] = 9"),
    "a list that holds itself": run("plain['words'].append(plain['words'])"),
    "another generator": run("tracked['generator'] = np.random.default_rng(9)"),
    "another value": run("tracked['plain'] = 3"),
    "a name more": run("tracked['more'] = [1]"),
    "a scheduler that starts again": run("tracked['schedule'] = torch.optim.lr_scheduler.StepLR(opt, 3)"),
    "a hook, which is code": run("model[0].register_forward_hook(print)"),
    "an attribute of a tensor": run("tensor.mark = 3"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_is_the_document_that_would_be_made_anew(tmp_path: Path, name: str) -> None:
    """Three saves with a step of training between, then the change, and then the one below it in the table."""
    after = dict(zip(CHANGES, [*CHANGES][1:] + [*CHANGES][:1], strict=True))[name]
    tracked, keeper, staging = things(), Kept(), Staging()
    for number, change in enumerate((train, train, CHANGES[name], train, CHANGES[after], train)):
        kept_file(tracked, keeper, staging, tmp_path / f"kept{number}.bson")
        bson.publish(tmp_path / f"anew{number}.bson", snapshot.planned(values_of(tracked), vocabulary()), durable=False)
        assert flat(tmp_path / f"kept{number}.bson") == flat(tmp_path / f"anew{number}.bson"), f"save {number}"
        with contextlib.suppress(RuntimeError, AttributeError, KeyError, ValueError, TypeError, IndexError):
            change(tracked)  # what was changed before may not run any more, and is saved all the same
        if number == 3 and name in NO_NEW_DOCUMENT:
            assert keeper.misses == 0


NO_NEW_DOCUMENT = {
    *("nothing", "a learning rate", "to and from None", "the mode", "the mode of one", "containers in place"),
    *("a buffer replaced", "a list of lists that grew", "an array in place", "an array that is new"),
    *("a text that is not ASCII", "a number beyond 64 bits"),
}


def values_of(tracked: dict[str, Any]) -> Captured:
    return capture(tracked, position=Position(0))


def kept_file(tracked: dict[str, Any], keeper: Kept, staging: Staging, path: Path) -> None:
    """The file by way of the template, as ``Saver`` makes it."""
    values = values_of(tracked)
    while True:
        try:
            found = keeper.fresh({name: values[name] for name in values if name != HEADER}, vocabulary())
            break
        except UnsupportedError as error:
            if not snapshot.is_reduced(values, error):
                raise
    if found is None:
        snapshot.take(values, vocabulary(), staging).publish(path, durable=False)
        return
    finish = partial(found.plan, {HEADER: values[HEADER]})
    shot = snapshot.Snapshot(found.sources, found.rooms, finish, staging, found.lock.release)
    shot.copy()
    shot.publish(path, durable=False)


def flat(path: Path) -> list[Any]:
    """What a file holds, as a list: what was met before is the number that it had then."""
    values = load(path, mmap=False)
    del values[HEADER]
    numbers, storages, met, found, waiting = {}, {}, [], [], [values]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str | int | float | complex | bytes | None):
            found.append((type(part).__name__, repr(part)))
        elif id(part) in numbers:
            found.append(numbers[id(part)])
        else:
            numbers[id(part)] = len(numbers)
            met.append(part)
            about, inside = taken_apart(part, storages)
            found += [type(part).__name__, about]
            waiting += reversed(inside)
    return found


def taken_apart(part: Any, storages: dict[int, int]) -> tuple[Any, list[Any]]:
    """What there is to compare of an object, and what stands in it."""
    match part:
        case torch.Tensor():
            storage = storages.setdefault(part.untyped_storage().data_ptr(), len(storages))
            plain = part.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
            return (storage, part.shape, part.stride(), part.dtype, part.requires_grad, vars(part), plain), []
        case np.ndarray():
            return (part.shape, part.dtype, part.tobytes()), []
        case torch.Generator():
            return part.get_state().numpy().tobytes(), []
        case np.random.Generator():
            return None, [part.bit_generator.state]
        case dict():
            return len(part), [one for pair in part.items() for one in pair]
        case list() | tuple() | set():
            return len(part), list(part)
        case _ if isinstance(part, nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler):
            return None, [one for pair in vars(part).items() if is_state(pair[0]) for one in pair]
    return repr(part), []


def is_state(name: str) -> bool:
    return not name.endswith("_hooks") and name not in ("step", "_zero_grad_profile_name")
