"""``prove_resume``: silent when a resume is exact, and otherwise it names what drifted first."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from holdfast.checkpoint import random as states
from holdfast.checkpoint import record
from holdfast.checkpoint.fingerprint import fingerprints, of_thing
from holdfast.checkpoint.prove import prove_resume
from holdfast.checkpoint.sampler import resumable
from holdfast.errors import DriftError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("peak", torch.zeros(()), persistent=False)

    def forward(self, x):
        self.peak.copy_(torch.maximum(self.peak, x.max()))
        return self.drop(self.norm(self.inner(x)))


class Run:
    """A small training run; ``extra`` does more in every step."""

    def __init__(self, extra=lambda run: None):
        torch.manual_seed(0)
        self.model = Net()
        self.opt = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.opt, 0.9)
        data = TensorDataset(torch.randn(20, 3))
        self.data = resumable(DataLoader(data, batch_size=4, shuffle=True))
        self.history = []
        self.extra = extra
        self.hidden = 0

    @property
    def tracked(self):
        names = ("model", "opt", "schedule", "data", "history")
        return {name: getattr(self, name) for name in names}

    def step(self, number):
        (x,) = self.data.next_batch()
        self.opt.zero_grad()
        loss = self.model(x).square().mean()
        loss.backward()
        self.opt.step()
        self.schedule.step()
        self.history.append(loss.item())
        self.extra(self)
        return {"loss": loss, "batch": x}


def test_a_run_that_resumes_exactly_is_proved():
    run = Run()
    before = fingerprints(run.tracked)
    proof = prove_resume(run.tracked, run.step, 7, start=3, exact=True)
    assert proof.steps == 7
    assert proof.compared == len(before)
    assert {"the RNG of torch", "data['batches']", "model.norm.running_mean", "history"} <= set(proof.changed)
    assert fingerprints(run.tracked) == before, "afterwards all is as it was"


def drifted(run, steps=3, **options):
    with pytest.raises(DriftError) as caught:
        prove_resume(run.tracked, run.step, steps, start=10, **options)
    return caught.value


def test_a_buffer_that_is_not_put_back_is_named():
    error = drifted(Run())
    assert error.drifted == ("model.peak",)
    assert error.step is None
    assert str(error).startswith("model.peak differs right after the restore")


GLOBALS = {"python": random.random, "numpy": np.random.rand, "torch": lambda: torch.rand(())}


@pytest.mark.parametrize(("name", "shown"), [("python", "Python"), ("numpy", "NumPy"), ("torch", "torch")])
def test_a_generator_that_is_not_put_back_is_named(monkeypatch, name, shown):
    """The mutation proof for the global generators, one by one."""
    kept = {key: value for key, value in states.GLOBALS.items() if key != name}
    capture = record.random.capture

    def without():
        return {key: value for key, value in capture().items() if key in kept}

    fake = type("random", (), {"capture": staticmethod(without), "plan": staticmethod(states.plan)})
    monkeypatch.setattr(record, "random", fake)
    error = drifted(Run(lambda run: GLOBALS[name]()), exact=True)
    assert error.drifted[0] == f"the RNG of {shown}"
    assert error.step is None


def hides(run):
    run.hidden += 1
    run.history.append(run.hidden)


def own_generator(run, generator=np.random.default_rng(1)):  # noqa: B008
    run.history.append(generator.random())


def own_order(run):
    run.history.append(0)


HIDDEN = {
    "a variable": (hides, "history[2]", 10),
    "a generator": (own_generator, "history[2]", 10),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_not_tracked_shows_in_the_step_where_it_takes_part(name):
    extra, path, step = HIDDEN[name]
    run = Run(extra)
    run.history[:] = [1]
    error = drifted(run, exact=True)
    assert (error.drifted[0], error.step) == (path, step)
    assert f"{path} differs after step {step}, and all that is tracked was the same before it" in str(error)


def test_a_batch_order_that_does_not_come_back_is_named():
    run = Run()
    batches = iter(DataLoader(run.data.dataset, batch_size=4))
    run.data = type("Fixed", (), {"next_batch": lambda self: next(batches), "__dict__": {}})()
    tracked = {"model": run.model, "opt": run.opt, "schedule": run.schedule}
    with pytest.raises(DriftError) as caught:
        prove_resume(tracked, run.step, 2, exact=True)
    assert caught.value.drifted[0] == "what the step returned['loss']"
    assert "what the step returned['batch']" in caught.value.drifted


def test_a_tracked_thing_that_forgets_is_named():
    class Forgets:
        value = 0

        def state_dict(self):
            return {"value": self.value, "other": 1}

        def load_state_dict(self, state):
            pass

    forgets = Forgets()

    def step(number):
        forgets.value += 1

    with pytest.raises(DriftError, match=r"mine\['value'\] differs right after the restore"):
        prove_resume({"mine": forgets}, step, 2)


def test_an_error_in_a_step_leaves_all_as_it_was():
    run = Run(lambda run: 1 / 0)
    before = fingerprints(run.tracked)
    with pytest.raises(ZeroDivisionError):
        prove_resume(run.tracked, run.step, 2, exact=True)
    assert fingerprints(run.tracked) == before


def test_steps_that_change_nothing_prove_nothing():
    assert prove_resume({"history": [1]}, lambda step: None, 2).changed == ()


DIFFERENT = [
    (0.0, -0.0),
    (1, 1.0),
    (1, True),
    (None, 0),
    ("1", 1),
    ([1, 2], [2, 1]),
    ([1], (1,)),
    ({"a": 1}, {"a": 2}),
    ({1, 2}, {1, 3}),
    (np.float32(1), np.float64(1)),
    (np.zeros(2), np.zeros((2, 1))),
    (np.zeros(2, np.int32), np.zeros(2, np.float32)),
    (np.array([np.nan]), np.array([-np.nan])),
    (torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16)),
    (torch.zeros(2), torch.tensor([0.0, -0.0])),
    (torch.zeros(0), torch.zeros(0, 1)),
]


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_values_that_differ_have_other_fingerprints(a, b):
    assert of_thing(a, "it", {}) == of_thing(a, "it", {})
    assert of_thing(a, "it", {}) != of_thing(b, "it", {})


def test_values_that_hold_themselves():
    value = [1]
    value.append(value)
    assert of_thing(value, "it", {}).keys() == {"it", "it[0]"}


def test_a_set_has_one_fingerprint():
    assert of_thing(set("abcdef"), "it", {}) == of_thing(set("fedcba"), "it", {})
