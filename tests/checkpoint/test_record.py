"""A checkpoint's values: what is tracked comes back as it was, in place, wholly or not at all."""

import random
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader

from holdfast import load, restore
from holdfast.checkpoint import kinds, record, snapshot
from holdfast.checkpoint import random as states
from holdfast.checkpoint.position import Position
from holdfast.checkpoint.sampler import resumable
from holdfast.checkpoint.staging import Staging
from holdfast.errors import FormatError, MismatchError, UnsupportedError, UntrustedError
from holdfast.vocab import vocabulary


def save(path, tracked, **options):
    options = {"position": Position(3, 1), **options}
    snapshot.take(record.capture(tracked, **options), vocabulary(), Staging()).publish(path)
    return path


class Net(nn.Module):
    """A bit of everything that a module may keep."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(6, 2)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("table", torch.zeros(3), persistent=False)
        self.scale = 1.0
        self.trace = torch.zeros(2)
        self.noise = torch.Generator().manual_seed(7)

    def forward(self, x):
        self.calls += 1
        self.table += 0.5
        self.trace += 2
        self.scale *= 0.99
        return self.scale * self.last(self.drop(torch.relu(self.norm(self.first(x)))))


def built(seed=0, optimiser=torch.optim.Adam, **options):
    torch.manual_seed(seed)
    model = Net()
    return model, optimiser(model.parameters(), **{"lr": 0.01, **options})


def train(model, opt, steps=2):
    for _ in range(steps):
        x = torch.randn(8, 4, dtype=next(model.parameters()).dtype)

        def loss(x=x):
            opt.zero_grad()
            found = model(x).square().mean()
            found.backward()
            return found

        opt.step(loss)


def bits(thing):
    """All of a state, bit for bit, as something that can be compared."""
    from holdfast.checkpoint.fingerprint import of_thing

    return of_thing(thing, "it", {})


# -- there and back ---------------------------------------------------------------------------------------------------

OPTIMISERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, amsgrad=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=0.01),
    "lbfgs": lambda parameters: torch.optim.LBFGS(parameters, lr=0.1, max_iter=3, history_size=4),
    "adafactor": lambda parameters: torch.optim.Adafactor(parameters, lr=0.01),
}

SCHEDULERS = {
    "step": lambda opt: lr_scheduler.StepLR(opt, 2),
    "cosine": lambda opt: lr_scheduler.CosineAnnealingLR(opt, 10),
    "restarts": lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 3),
    "cycle": lambda opt: lr_scheduler.OneCycleLR(opt, 0.1, total_steps=20),
    "lambda": lambda opt: lr_scheduler.LambdaLR(opt, lambda epoch: 0.9**epoch),
    "plateau": lambda opt: lr_scheduler.ReduceLROnPlateau(opt, patience=1),
    "sequence": lambda opt: lr_scheduler.SequentialLR(
        opt, [lr_scheduler.ConstantLR(opt, 0.5, 2), lr_scheduler.ExponentialLR(opt, 0.9)], [2]
    ),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float32) for name in OPTIMISERS), ("adam", torch.float64), ("sgd", torch.bfloat16)],
)
def test_training_goes_on_bit_for_bit(tmp_path, name, dtype):
    torch.manual_seed(0)
    model = Net().to(dtype)
    opt = OPTIMISERS[name](model.parameters())
    train(model, opt)
    save(tmp_path / "c.bson", {"model": model, "opt": opt}, exact=True)
    train(model, opt, 3)
    expected = bits(model), bits(opt), torch.rand(2).tolist()

    torch.manual_seed(5)
    fresh = Net().to(dtype)
    again = OPTIMISERS[name](fresh.parameters())
    assert record.put_back(tmp_path / "c.bson", {"model": fresh, "opt": again}) == Position(3, 1)
    train(fresh, again, 3)
    assert (bits(fresh), bits(again), torch.rand(2).tolist()) == expected


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedules_go_on(tmp_path, name):
    def run(schedule, opt, steps):
        rates = []
        for number in range(steps):
            opt.step()
            schedule.step(*([1.0 + number % 3] if name == "plateau" else []))
            rates.append(opt.param_groups[0]["lr"])
        return rates

    def made():
        opt = torch.optim.SGD([nn.Parameter(torch.zeros(3))], lr=0.1, momentum=0.9)
        return opt, SCHEDULERS[name](opt)

    opt, schedule = made()
    run(schedule, opt, 4)
    save(tmp_path / "c.bson", {"opt": opt, "schedule": schedule})
    expected = run(schedule, opt, 5)
    opt, schedule = made()
    record.put_back(tmp_path / "c.bson", {"opt": opt, "schedule": schedule})
    assert run(schedule, opt, 5) == expected


def test_the_file_loads_like_any_other(tmp_path):
    model, opt = built()
    train(model, opt)
    rng, history = np.random.default_rng(1), [1.5, 2.5]
    save(tmp_path / "c.bson", {"model": model, "opt": opt, "rng": rng, "history": history}, metrics={"loss": 0.5})
    found = load(tmp_path / "c.bson", classes=[Net])
    assert torch.equal(found["model"].first.weight, model.first.weight)
    assert found["opt"].param_groups[0]["params"][0] is found["model"].first.weight
    assert found["history"] == history
    other = Net()
    restore(tmp_path / "c.bson", model=other)
    assert torch.equal(other.first.weight, model.first.weight)


def test_the_header(tmp_path):
    path = save(
        tmp_path / "c.bson", {}, metrics={"loss": torch.tensor(0.5), "n": np.int64(3)}, kept={"run": "digits", "n": 1}
    )
    header = load(path, "_series")
    assert header["version"] == 1
    assert header["position"] == {"step": 3, "epoch": 1, "time": 0.0}
    assert header["metrics"] == {"loss": 0.5, "n": 3.0}
    assert header["kept"] == {"run": "digits", "n": 1}
    assert header["time"].startswith("20")
    assert header["random"].keys() >= {"python", "numpy", "torch"}
    assert header["provenance"]["versions"]["torch"] == torch.__version__


# -- what is tracked --------------------------------------------------------------------------------------------------


class Early:
    """A user's object without state_dict."""

    def __init__(self, best=1.0):
        self.best = best
        self.seen = [best]


class Slotted:
    __slots__ = ("a", "b")


@dataclass
class Settings:
    rate: float = 0.1
    names: tuple = ("a",)


@dataclass(frozen=True)
class Frozen:
    rate: float = 0.1


class Colour(Enum):
    RED = 1
    BLUE = 2


class Table(dict):
    pass


def changed(thing, **values):
    for name, value in values.items():
        setattr(thing, name, value)
    return thing


IN_PLACE = {
    "dict": ({"a": [1]}, {"b": 2, "c": {}}),
    "ordered": (OrderedDict(a=1, b=2), OrderedDict(b=1)),
    "defaultdict": (defaultdict(list, a=[1]), defaultdict(list)),
    "list": ([1, 2.5, "x"], []),
    "set": ({1, 2}, {3}),
    "deque": (deque([1, 2, 3]), deque()),
    "bytearray": (bytearray(b"abc"), bytearray(b"q")),
    "table": (changed(Table(a=1), note="x"), Table(c=3)),
    "object": (changed(Early(0.25), extra=1), Early()),
    "dataclass": (Settings(0.5, ("b",)), Settings()),
    "slots": (changed(Slotted(), a=1), changed(Slotted(), a=3, b=2)),
}
REPLACED = {
    "int": (3, 0),
    "big": (2**70, 0),
    "float": (float("nan"), 0.0),
    "text": ("späť", ""),
    "none": (None, 1),
    "tuple": ((1, [2]), ()),
    "frozen": (Frozen(0.5), Frozen()),
    "enum": (Colour.BLUE, Colour.RED),
    "scalar": (np.float32(1.5), np.float32(0)),
}


def shown(value):
    if isinstance(value, Slotted):
        return {name: getattr(value, name) for name in Slotted.__slots__ if hasattr(value, name)}
    attributes = getattr(value, "__dict__", {}) if not isinstance(value, Enum) else {}
    return type(value), repr(value) if type(value) is not Early else "", repr(attributes)


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_can_change_is_filled_in_place(tmp_path, name):
    saved, live = IN_PLACE[name]
    before = shown(saved)
    save(tmp_path / "c.bson", {"it": saved})
    tracked = {"it": live}
    record.put_back(tmp_path / "c.bson", tracked)
    assert tracked["it"] is live
    assert shown(live) == before


@pytest.mark.parametrize("name", REPLACED)
def test_what_cannot_change_is_replaced_where_it_is_tracked(tmp_path, name):
    saved, live = REPLACED[name]
    save(tmp_path / "c.bson", {"it": saved})
    tracked = {"it": live}
    record.put_back(tmp_path / "c.bson", tracked)
    assert shown(tracked["it"]) == shown(saved)


GENERATORS = {
    "torch": lambda: torch.Generator().manual_seed(1),
    "numpy": lambda: np.random.default_rng(1),
    "philox": lambda: np.random.Generator(np.random.Philox(1)),
    "legacy": lambda: np.random.RandomState(1),
    "bits": lambda: np.random.MT19937(1),
    "python": lambda: random.Random(1),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_are_filled_in_place(tmp_path, name):
    make = GENERATORS[name]
    generator = make()
    if name in ("numpy", "philox", "legacy"):
        generator.standard_normal(3)
    elif name == "python":
        generator.gauss(0, 1)
    expected = bits(generator)
    save(tmp_path / "c.bson", {"rng": generator})
    live = make()
    record.put_back(tmp_path / "c.bson", {"rng": live})
    assert bits(live) == expected


def test_tensors_and_arrays_are_filled_in_place(tmp_path):
    save(tmp_path / "c.bson", {"t": torch.arange(3.0), "a": np.arange(3)})
    tensor, array = torch.zeros(3), np.zeros(3, np.int64)
    record.put_back(tmp_path / "c.bson", {"t": tensor, "a": array})
    assert tensor.tolist() == array.tolist() == [0, 1, 2]


class Stateful:
    def __init__(self):
        self.value = 0

    def state_dict(self):
        return {"value": self.value, "tensor": torch.full((3,), float(self.value))}

    def load_state_dict(self, state):
        if self.value == "refuse":
            raise ValueError("no")
        self.value = state["value"]


def test_anything_with_a_state_dict(tmp_path):
    model, opt = built()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    train(model, opt)
    average.update_parameters(model)
    average.update_parameters(model)
    scaler.scale(torch.tensor(1.0))
    scaler.update(16.0)
    mine = changed(Stateful(), value=7)
    loader = resumable(DataLoader(range(9), shuffle=True))
    next(iter(loader))
    tracked = {"model": model, "opt": opt, "ema": average, "scaler": scaler, "mine": mine, "data": loader}
    save(tmp_path / "c.bson", tracked)
    model, opt = built(1)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    fresh = {
        "model": model,
        "opt": opt,
        "ema": average,
        "scaler": torch.amp.GradScaler("cpu"),
        "mine": Stateful(),
        "data": resumable(DataLoader(range(9), shuffle=True)),
    }
    record.put_back(tmp_path / "c.bson", fresh)
    assert fresh["scaler"].get_scale() == 16.0
    assert fresh["mine"].value == 7
    assert fresh["data"].state_dict() == loader.state_dict()
    assert int(fresh["ema"].n_averaged) == 2
    assert torch.equal(fresh["ema"].module.first.weight, tracked["ema"].module.first.weight)


# -- whole, or its state ----------------------------------------------------------------------------------------------


def local_net():
    class Local(Net):
        pass

    return Local()


def hooked():
    model = Net()
    model.first.register_forward_hook(lambda *_: None)
    return model


@pytest.mark.parametrize("make", [local_net, hooked, lambda: nn.DataParallel(Net())], ids=["local", "hook", "wrapped"])
def test_what_cannot_be_saved_whole_is_saved_by_its_state(tmp_path, make):
    model = make()
    opt = torch.optim.Adam(model.parameters())
    opt.register_step_post_hook(lambda *_: None)
    train(model, opt)
    for _ in range(2):  # the second time, nobody tries to save it whole
        save(tmp_path / "c.bson", {"opt": opt, "model": model})
        assert isinstance(load(tmp_path / "c.bson", "model"), dict)
    fresh = make()
    again = torch.optim.Adam(fresh.parameters())
    record.put_back(tmp_path / "c.bson", {"model": fresh, "opt": again})
    assert bits(model.state_dict()) == bits(fresh.state_dict())
    assert bits(again) == bits(opt)


@pytest.mark.parametrize("hook", [False, True], ids=["whole", "its state"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["module", "wrapped module"])
def test_optimiser_state_finds_its_parameter_by_name(tmp_path, hook, wrapped):
    def made(order):
        model = Net()
        groups = [[model.first.weight, model.last.weight], [model.first.bias, model.norm.weight]]
        opt = torch.optim.Adam([{"params": groups[i][::order], "lr": 0.1 * (i + 1)} for i in (0, 1)[::order]])
        if hook:
            opt.register_step_post_hook(lambda *_: None)
        return (nn.DataParallel(model) if wrapped else model), opt

    model, opt = made(1)
    train(model, opt)
    save(tmp_path / "c.bson", {"model": model, "opt": opt})
    fresh, again = made(-1)
    record.put_back(tmp_path / "c.bson", {"model": fresh, "opt": again})
    names = kinds.parameter_names({"": fresh})
    theirs = dict(model.named_parameters())
    found = {names[id(parameter)]: state["exp_avg"] for parameter, state in again.state.items()}
    assert len(found) == 4
    assert all(torch.equal(average, opt.state[theirs[name]]["exp_avg"]) for name, average in found.items())
    assert [group["lr"] for group in again.param_groups] == [0.2, 0.1]


def test_a_hook_that_comes_later_does_not_end_the_saving(tmp_path):
    model, _ = built()
    save(tmp_path / "a.bson", {"model": model})
    model.first.register_forward_hook(lambda *_: None)
    save(tmp_path / "b.bson", {"model": model})
    assert isinstance(load(tmp_path / "b.bson", "model"), dict)


# -- exact ------------------------------------------------------------------------------------------------------------


def middle(tmp_path, exact):
    """A model saved between two backward passes, in a state that no state_dict has."""
    model, opt = built()
    train(model, opt)
    model(torch.randn(8, 4)).sum().backward()
    model.norm.eval()
    model.last.bias.requires_grad_(False)
    torch.rand(3, generator=model.noise)
    save(tmp_path / "c.bson", {"model": model, "opt": opt}, exact=exact)
    fresh, again = built(1)
    record.put_back(tmp_path / "c.bson", {"model": fresh, "opt": again})
    return model, fresh


STATE = {
    "modes": lambda model: {path: part.training for path, part in model.named_modules()},
    "frozen": lambda model: {path: parameter.requires_grad for path, parameter in model.named_parameters()},
    "buffers": lambda model: model.table.tolist(),
    "numbers": lambda model: model.scale,
    "tensors": lambda model: model.trace.tolist(),
    "generators": lambda model: model.noise.get_state().tolist(),
    "gradients": lambda model: {n: None if p.grad is None else p.grad.tolist() for n, p in model.named_parameters()},
}


@pytest.mark.parametrize("item", STATE)
def test_exact_keeps_what_a_state_dict_does_not(tmp_path, item):
    model, fresh = middle(tmp_path, exact=True)
    assert STATE[item](fresh) == STATE[item](model)


@pytest.mark.parametrize("item", STATE)
def test_otherwise_that_is_left_to_the_script(tmp_path, item):
    model, fresh = middle(tmp_path, exact=False)
    assert STATE[item](fresh) != STATE[item](model)


@pytest.mark.parametrize("item", ["modes", "learning", "buffers", "attributes", "gradients"])
def test_dropping_any_item_of_it_is_seen(tmp_path, item, monkeypatch):
    """The mutation proof: every part of the exact state is needed."""
    from holdfast.checkpoint import exact

    monkeypatch.setattr(exact, "EXACT", {name: parts for name, parts in exact.EXACT.items() if name != item})
    model, fresh = middle(tmp_path, exact=True)
    assert any(read(fresh) != read(model) for read in STATE.values())


class Extra(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.counter = [0]

    def get_extra_state(self):
        return {"counter": self.counter[0]}

    def set_extra_state(self, state):
        self.counter[0] = state["counter"]


def test_extra_state_comes_back(tmp_path):
    model = nn.Sequential(Extra())
    model[0].counter[0] = 5
    save(tmp_path / "c.bson", {"model": model})
    fresh = nn.Sequential(Extra())
    record.put_back(tmp_path / "c.bson", {"model": fresh})
    assert fresh[0].counter == [5]


# -- all or nothing ---------------------------------------------------------------------------------------------------


def test_every_difference_is_listed_and_nothing_is_touched(tmp_path):
    model, opt = built()
    train(model, opt)
    save(tmp_path / "c.bson", {"model": model, "opt": opt, "history": [1], "rng": np.random.default_rng(1)})
    other = nn.Linear(4, 6)
    tracked = {"model": other, "history": {}, "rng": np.random.RandomState(1), "ema": Stateful(), "number": 3}
    before, generators = bits(other), states.capture()
    with pytest.raises(MismatchError) as caught:
        record.put_back(tmp_path / "c.bson", tracked)
    lines = "\n".join(caught.value.differences)
    for part in (
        "ema: the checkpoint does not hold it",
        "number: the check",
        "model.weight",
        "history: ",
        "rng: PCG64",
    ):
        assert part in lines
    assert bits(other) == before
    assert tracked["history"] == {}
    assert states.capture()["torch"].tolist() == generators["torch"].tolist()


def test_what_was_changed_is_changed_back_when_a_later_one_fails(tmp_path):
    model, opt = built()
    history = [1, 2]
    tracked = {"model": model, "opt": opt, "history": history, "number": 3, "mine": Stateful()}
    save(tmp_path / "c.bson", tracked, exact=True)
    train(model, opt)
    history.append(3)
    tracked |= {"number": 4, "last": Stateful()}
    tracked["mine"].value = "refuse"
    del tracked["last"]
    before = bits(model), bits(opt), torch.get_rng_state().tolist()
    with pytest.raises(ValueError, match="no"):
        record.put_back(tmp_path / "c.bson", tracked)
    assert (bits(model), bits(opt), torch.get_rng_state().tolist()) == before
    assert history == [1, 2, 3]
    assert tracked["number"] == 4


def test_what_fits_is_filled_when_asked(tmp_path):
    model, _ = built()
    save(tmp_path / "c.bson", {"model": model})
    fresh, _ = built(1)
    with pytest.warns(UserWarning, match="fits in part"):
        record.put_back(tmp_path / "c.bson", {"model": fresh, "missing": []}, strict=False)
    assert torch.equal(fresh.first.weight, model.first.weight)


def test_what_is_in_the_file_and_not_tracked_is_warned_of(tmp_path):
    save(tmp_path / "c.bson", {"history": [1], "schedule": [2]})
    with pytest.warns(UserWarning, match="also holds schedule, which is not tracked") as caught:
        record.put_back(tmp_path / "c.bson", {"history": []})
    assert caught[0].filename == __file__


def test_classes_are_those_of_the_live_value_or_registered(tmp_path):
    save(tmp_path / "c.bson", {"it": [Early()]})
    with pytest.raises(UntrustedError, match="Early"):
        record.put_back(tmp_path / "c.bson", {"it": []})
    live = [Early(3)]
    record.put_back(tmp_path / "c.bson", {"it": live})
    assert live[0].best == 1.0


def test_a_file_that_no_series_wrote(tmp_path):
    from holdfast import save as plain_save

    plain_save(tmp_path / "c.bson", model=[1])
    with pytest.raises(FormatError, match="no Series wrote it"):
        record.put_back(tmp_path / "c.bson", {"model": []})
    plain_save(tmp_path / "c.bson", model=[1], _series={"version": 2, "position": {}, "random": {}})
    with pytest.raises(FormatError, match="of version 2"):
        record.put_back(tmp_path / "c.bson", {"model": []})


REFUSED = {
    "loader": (lambda: {"data": DataLoader(range(3))}, r"resumable\(loader\).*\$\.data"),
    "inside": (lambda: {"models": {"a": [nn.Linear(2, 2)]}}, r"Linear inside of another value.*\$\.models\['a'\]\[0\]"),
    "attribute": (lambda: {"it": changed(Early(), opt=built()[1])}, r"Adam inside of another value.*\$\.it\.opt"),
    "parameters": (lambda: {"it": list(nn.Linear(2, 2).parameters())}, r"Parameter inside of another value"),
    "name": (lambda: {"_series": 1}, "a name of the file's own"),
    "tag": (lambda: {"tag": 1}, "a name of the file's own"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_come_back_is_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(UnsupportedError, match=message):
        record.capture(make(), position=Position())


def test_position_of_what_is_none():
    for document in (None, {}, {"step": -1}, {"step": "3"}, {"step": 1, "epoch": "x"}, [1]):
        with pytest.raises(FormatError, match="not a position"):
            Position.of(document)
