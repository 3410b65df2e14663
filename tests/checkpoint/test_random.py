"""Random state: what is drawn after a restore is what was drawn after the capture, for every generator there is."""

import random

import numpy as np
import pytest
import torch

from holdfast import load, save
from holdfast.checkpoint import random as states
from holdfast.errors import MismatchError

GENERATORS = {
    "python": lambda: random.Random(1),
    "pcg64": lambda: np.random.default_rng(1),
    "pcg64dxsm": lambda: np.random.Generator(np.random.PCG64DXSM(1)),
    "mt19937": lambda: np.random.Generator(np.random.MT19937(1)),
    "philox": lambda: np.random.Generator(np.random.Philox(1)),
    "sfc64": lambda: np.random.Generator(np.random.SFC64(1)),
    "bits": lambda: np.random.PCG64(1),
    "legacy": lambda: np.random.RandomState(1),
    "torch": lambda: torch.Generator().manual_seed(1),
}

DRAWS = {
    "python": lambda g: [g.gauss(0, 1), g.random(), g.getrandbits(70), g.gauss(0, 1)],
    "bits": lambda g: g.random_raw(5).tolist(),
    "legacy": lambda g: [g.standard_normal(), g.random(), g.randint(9), g.standard_normal()],
    "torch": lambda g: torch.randn(3, generator=g).tolist(),
}


def draw(name, generator):
    several = lambda g: [g.standard_normal(), g.random(), int(g.integers(9, dtype=np.int32)), g.standard_normal()]  # noqa: E731
    return DRAWS.get(name, several)(generator)


GLOBAL_DRAWS = {
    "python": lambda: [random.gauss(0, 1), random.random(), random.gauss(0, 1)],
    "numpy": lambda: [np.random.standard_normal(), np.random.rand(), np.random.standard_normal()],
    "torch": lambda: torch.randn(3).tolist() + torch.randperm(5).tolist(),
}


def draw_all():
    return {name: draws() for name, draws in GLOBAL_DRAWS.items()}


def through_file(state, folder):
    save(folder / "r.bson", random=state)
    return load(folder / "r.bson", "random")


@pytest.mark.parametrize("odd", [0, 1], ids=["even", "odd"])
def test_globals_go_on_bit_for_bit(tmp_path, odd):
    for _ in range(odd):  # an odd number of normal draws leaves one in each generator's cache
        random.gauss(0, 1), np.random.standard_normal(), torch.randn(1)
    state = states.capture()
    expected = draw_all()
    draw_all()
    states.put_back(through_file(state, tmp_path))
    assert draw_all() == expected


def test_the_caches_of_the_normal_draws_are_there():
    random.seed(0), np.random.seed(0)
    random.gauss(0, 1)
    np.random.standard_normal()
    state = states.capture()
    assert state["python"]["gauss"] is not None
    assert state["numpy"]["has_gauss"] == 1


@pytest.mark.parametrize(
    ("name", "drop"),
    [
        ("python", lambda state: state.pop("python")),
        ("python", lambda state: state["python"].update(gauss=None)),
        ("numpy", lambda state: state.pop("numpy")),
        ("numpy", lambda state: state["numpy"].update(has_gauss=0)),
        ("numpy", lambda state: state["numpy"]["state"].update(pos=0)),
        ("torch", lambda state: state.pop("torch")),
    ],
)
def test_dropping_any_item_is_seen(name, drop):
    """The mutation proof: every item is needed."""
    random.seed(3), np.random.seed(3)
    random.gauss(0, 1), np.random.standard_normal()
    state = states.capture()
    expected = draw_all()
    drop(state)
    states.put_back(state)
    found = draw_all()
    assert found[name] != expected[name]
    assert all(found[other] == expected[other] for other in found if other != name)


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_go_on_bit_for_bit(tmp_path, name):
    generator = GENERATORS[name]()
    draw(name, generator)
    state = states.capture({"mine": generator})
    expected = draw(name, generator)
    fresh = GENERATORS[name]()
    states.put_back(through_file(state, tmp_path), {"mine": fresh})
    assert draw(name, fresh) == expected


@pytest.mark.parametrize("name", GENERATORS)
def test_dropping_a_generators_state_is_refused(name):
    generator = GENERATORS[name]()
    state = states.capture({"mine": generator})
    del state["generators"]["mine"]
    before = draw_all()
    states.put_back(states.capture())
    with pytest.raises(MismatchError, match="mine: the file holds no state of it"):
        states.put_back(state, {"mine": generator})
    assert before  # nothing was put back: see the next test


def test_nothing_changes_when_one_does_not_fit():
    state = states.capture({"mine": np.random.default_rng(1)})
    draw_all()
    here = states.capture()
    with pytest.raises(MismatchError, match="mine: the file holds no state of a RandomState"):
        states.put_back(state, {"mine": np.random.RandomState(1)})
    expected = draw_all()
    states.put_back(here)
    assert draw_all() == expected


def test_what_is_no_generator_is_refused():
    with pytest.raises(MismatchError, match="mine is a list, which is no random generator"):
        states.capture({"mine": [1]})
    assert not states.is_generator(random.SystemRandom())


def test_capturing_draws_nothing():
    first = states.capture()
    expected = draw_all()
    states.put_back(first)
    states.capture()
    assert draw_all() == expected


def test_a_stream_apart_leaves_no_trace():
    apart, before = states.Apart(1, 2), states.capture()
    with apart.drawing():
        first = draw_all()
    with apart.drawing():
        second = draw_all()
    expected = draw_all()
    states.put_back(before)
    assert draw_all() == expected
    again = states.Apart(1, 2)
    with again.drawing():
        assert (draw_all(), draw_all()) == (first, second)
    with states.Apart(1, 3).drawing():
        assert draw_all() != first


def test_an_error_inside_a_stream_apart_gives_the_generators_back():
    before = states.capture()
    expected = draw_all()
    states.put_back(before)
    with pytest.raises(ZeroDivisionError), states.Apart(1).drawing():
        raise ZeroDivisionError
    assert draw_all() == expected
