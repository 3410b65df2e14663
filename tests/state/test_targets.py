"""Live objects that have nothing to do with torch are filled, or left as they were."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import ChecksumError, MismatchError
from holdfast.formats import bson
from holdfast.state.restore import carry_out, restore
from holdfast.state.targets import Step, plan_plain
from reference import ROOT


def lines(found: pytest.ExceptionInfo[MismatchError]) -> list[str]:
    return list(found.value.differences)


# -- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_filled_in_place(file, order):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    target = np.zeros((2, 3), np.float32, order=order)
    view = target[:, 1]
    restore(file(a=values), {"a": target})
    assert (target == values).all()
    assert view.tolist() == [1, 4]


ARRAYS = [
    (np.zeros(3), "a: shape (2,) in the file, (3,) in the live object"),
    (np.zeros(2, np.float32), "a: dtype float64 in the file, float32 in the live object"),
    (np.broadcast_to(0.0, 2), "a: the live array is read-only"),
]


@pytest.mark.parametrize(("target", "line"), ARRAYS, ids=lambda value: str(value)[:20])
def test_an_array_that_does_not_fit(file, target, line):
    with pytest.raises(MismatchError) as found:
        restore(file(a=np.ones(2)), {"a": target})
    assert lines(found) == [line]
    assert not target.any()


# -- random generators ------------------------------------------------------------------------------------------------


def numpy_draws(generator: Any) -> list[float]:
    return generator.random(3).tolist()


def python_draws(generator: random.Random) -> list[float]:
    return [generator.random() for _ in range(3)]


GENERATORS = [
    (lambda: np.random.default_rng(1), lambda: np.random.default_rng(2), numpy_draws),
    (lambda: np.random.Generator(np.random.MT19937(1)), lambda: np.random.Generator(np.random.MT19937(2)), numpy_draws),
    (lambda: np.random.default_rng(1).bit_generator.state, lambda: np.random.default_rng(2), numpy_draws),
    (lambda: np.random.RandomState(1), lambda: np.random.RandomState(2), lambda rng: rng.rand(3).tolist()),
    (lambda: random.Random(1), lambda: random.Random(2), python_draws),
    (lambda: random.Random(1).getstate(), lambda: random.Random(2), python_draws),
]


@pytest.mark.parametrize(("saved", "live", "draw"), GENERATORS)
def test_a_generator_goes_on_where_it_stopped(saved, live, draw):
    target, same = live(), live()
    state = saved()
    plan = plan_plain(target, state, "rng")
    assert plan.differences == []
    carry_out(plan.steps)
    reference = state
    if isinstance(state, dict | tuple):
        reference = same
        reference.setstate(state) if isinstance(state, tuple) else setattr(reference.bit_generator, "state", state)
    assert draw(target) == draw(reference)


def test_another_kind_of_generator(file):
    target = np.random.Generator(np.random.MT19937(1))
    before = numpy_draws(np.random.Generator(np.random.MT19937(1)))
    with pytest.raises(MismatchError, match="rng: PCG64 in the file, MT19937 in the live object"):
        restore(file(rng=np.random.default_rng(3).bit_generator.state), {"rng": target})
    assert numpy_draws(target) == before


# -- anything with load_state_dict ------------------------------------------------------------------------------------


class Counter:
    """A user's object with a state of its own."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.seen: list[int] = []
        self.fails = False

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        if self.fails and self.count == 7:
            raise RuntimeError("half way")
        self.seen = state["seen"]


def test_a_state_dict(file):
    target = Counter()
    restore(file(c={"count": 7, "seen": [1]}), {"c": target})
    assert target.state_dict() == {"count": 7, "seen": [1]}


def test_a_saved_object_is_not_built(file):
    """The file holds a Counter that nobody allowed: it is read, and no Counter is made from it."""
    saved = Counter(7)
    saved.seen = [1, 2]
    target = Counter()
    restore(file(c=saved), {"c": target})
    assert target.state_dict() == {"count": 7, "seen": [1, 2]}


class Other(Counter):
    pass


def test_a_saved_object_of_another_class(file):
    with pytest.raises(MismatchError, match="c: saved by Other, restoring into Counter"):
        restore(file(c=Other(1)), {"c": Counter()})


def test_what_raises_half_way_is_taken_back(file):
    target, array, last = Counter(1), np.zeros(2), np.zeros(2)
    target.fails = True
    saved = file(a=np.ones(2), c={"count": 7, "seen": [1]}, z=np.ones(2))
    with pytest.raises(RuntimeError, match="half way") as found:
        restore(saved, {"a": array, "c": target, "z": last})
    assert "as they were" in found.value.__notes__[0]
    assert target.state_dict() == {"count": 1, "seen": []}
    assert not array.any()
    assert not last.any()


def test_an_interrupt_is_taken_back_too():
    log: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    def step(name: str, act: Any) -> Step:
        return Step(act, lambda: lambda: log.append(name))

    with pytest.raises(KeyboardInterrupt):
        carry_out([step("a", lambda: None), step("b", interrupt), step("c", lambda: log.append("never"))])
    assert log == ["b", "a"]


# -- all of it, or none -----------------------------------------------------------------------------------------------


def test_every_difference_of_every_target_is_listed(file):
    good, bad = np.zeros(2), np.zeros(3)
    with pytest.raises(MismatchError) as found:
        restore(file(good=np.ones(2), bad=np.ones(2), extra=1), {"good": good, "bad": bad, "exta": np.zeros(1), "n": 3})
    assert lines(found) == [
        "exta: not in the file; did you mean 'extra', which is there?",
        "n: not in the file",
        "bad: shape (2,) in the file, (3,) in the live object",
    ]
    assert not good.any()


def test_what_fits_is_filled_without_strict(file):
    good, bad = np.zeros(2), np.zeros(3)
    with pytest.warns(UserWarning, match=r"bad: shape \(2,\) in the file") as caught:
        restore(file(good=np.ones(2), bad=np.ones(2)), {"good": good, "bad": bad}, strict=False)
    assert len(caught) == 1
    assert good.all()
    assert not bad.any()


def test_nothing_fits_is_an_error_without_strict_too(file):
    with pytest.raises(MismatchError):
        restore(file(bad=np.ones(2)), {"bad": np.zeros(3)}, strict=False)


@pytest.mark.parametrize("target", [3, "text", None, [1], {"a": 1}])
def test_what_cannot_be_filled(file, target):
    with pytest.raises(MismatchError, match="cannot be filled in place; use load instead"):
        restore(file(x=1), {"x": target})


def test_damage_is_found_before_anything_changes(file):
    saved = file(a=np.ones(1000), b=np.ones(1000))
    data = bytearray(Path(saved.path).read_bytes())
    data[saved.blobs[1].offset + 5] ^= 1
    Path(saved.path).write_bytes(data)
    first, second = np.zeros(1000), np.zeros(1000)
    with pytest.raises(ChecksumError):
        restore(bson.open_file(saved.path), {"a": first, "b": second})
    assert not first.any()
    restore(bson.open_file(saved.path), {"a": first})
    assert first.all()


def test_torch_is_not_imported(file):
    saved = file(a=np.ones(2))
    code = (
        "import sys, numpy; from holdfast.formats import bson; from holdfast.state import restore, params;"
        f"a = numpy.zeros(2); restore.restore(bson.open_file({saved.path!r}), {{'a': a}});"
        "print(a.sum(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert done.stdout.split() == ["2.0", "False"]
