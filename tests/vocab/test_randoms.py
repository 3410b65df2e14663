"""NumPy's generators go on with the very next number, and spawn the same children."""

from typing import Any

import numpy as np
import pytest

from holdfast.codec.lower import lower
from holdfast.errors import FormatError
from holdfast.vocab import randoms, vocabulary
from through_memory import again, lifted, written


@pytest.mark.parametrize("kind", randoms.BIT_GENERATORS.values(), ids=lambda kind: kind.__name__)
def test_bit_generators(kind: type[Any]) -> None:
    generator = np.random.Generator(kind(7))
    generator.standard_normal(5)
    generator.integers(0, 10, 3, np.uint8)  # leaves half a word behind
    back = again(generator)
    assert type(back.bit_generator) is kind
    assert np.array_equal(back.random(100), generator.random(100))
    assert back.spawn(1)[0].random() == generator.spawn(1)[0].random()


def test_spawned_children_are_counted() -> None:
    generator = np.random.default_rng(3)
    generator.spawn(2)
    back = again(generator)
    assert back.spawn(1)[0].random() == generator.spawn(1)[0].random()


def test_two_generators_on_one_stream() -> None:
    bits = np.random.PCG64(1)
    first, second = again([np.random.Generator(bits), np.random.Generator(bits)])
    assert first.bit_generator is second.bit_generator


def test_legacy_state_with_its_second_normal_number() -> None:
    state = np.random.RandomState(5)
    state.standard_normal()  # keeps the other half of the pair
    back = again(state)
    assert np.array_equal(back.standard_normal(9), state.standard_normal(9))


@pytest.mark.parametrize(
    "changes", [{"state": 5}, {"state": {}}, {"seed": 1}, {"state": {"bit_generator": "PCG64"}}], ids=str
)
def test_hostile(changes: dict[str, Any]) -> None:
    document = lower({"x": np.random.PCG64(1)}, vocabulary())
    document["x"].update(changes)
    with pytest.raises(FormatError):
        lifted(written(document))


def test_a_pool_of_any_size_is_refused() -> None:
    document = lower({"x": np.random.SeedSequence(1)}, vocabulary())
    document["x"]["state"][2] = 2**40
    with pytest.raises(FormatError):
        lifted(written(document))
