"""NumPy's random generators: the position in the stream, so that the next number is the same one.

Strategy: a bit generator is its ``state`` dictionary and the seed sequence that ``spawn`` continues; NumPy itself checks
the state when it is set. A Generator holds a bit generator, which may be shared with another one.
"""

from typing import Any, Final

import numpy as np
from numpy.random import BitGenerator, Generator, RandomState, SeedSequence

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError, LimitError, UnsupportedError
from holdfast.vocab.keys import shown

BIT_GENERATORS: Final[dict[str, type[BitGenerator]]] = {
    f"numpy.random.{kind.__name__}": kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


def lower_bits(name: str) -> Any:
    return lambda value: Fields(tag="python", type=name, state=dict(value.state), seed=_seed(value))


def _seed(value: BitGenerator) -> SeedSequence | None:
    """The sequence that new generators are spawned from; one of another kind cannot be saved and is left out."""
    sequence = value.seed_seq
    return sequence if type(sequence) is SeedSequence else None


def lift_bits(kind: type[BitGenerator]) -> Any:
    def lift(level: Fields) -> BitGenerator:
        state, seed = level["state"], level["seed"]
        if not isinstance(state, dict) or not isinstance(seed, SeedSequence | None):
            raise FormatError(f"the state of a {kind.__name__} is {shown(state)}")
        check_position(state)
        generator = kind(seed if seed is not None else SeedSequence(0))
        generator.state = state
        return generator

    return lift


POSITIONS: Final[dict[str, int]] = {"MT19937": 624, "Philox": 4}
"""Generators with a buffer, and the last position in it. NumPy takes any and reads there."""


def check_position(state: dict[str, Any]) -> None:
    """Raises FormatError for a position outside of the buffer, where the next number would be other memory."""
    last = POSITIONS.get(state["bit_generator"])
    if last is None:
        return
    inner = state["state"] if state["bit_generator"] == "MT19937" else state
    position = inner["pos" if inner is not state else "buffer_pos"]
    if type(position) is not int or not 0 <= position <= last:
        raise FormatError(f"a {state['bit_generator']} is at position {shown(position)} of {last}")


def lower_sequence(value: SeedSequence) -> Fields:
    entropy = value.entropy
    if not isinstance(entropy, int | list | tuple | np.ndarray):
        raise UnsupportedError(f"a SeedSequence of {shown(entropy)} cannot be saved: make it from ints")
    parts = [entropy, tuple(value.spawn_key), value.pool_size, value.n_children_spawned]
    return Fields(tag="python", type="numpy.random.SeedSequence", state=Items(parts))


def lift_sequence(level: Fields) -> SeedSequence:
    entropy, spawn_key, pool_size, children = level["state"]
    if not isinstance(entropy, int | list | tuple | np.ndarray) or not 4 <= pool_size <= MAX_POOL:
        raise FormatError("a SeedSequence has no numbers to start from")
    if _words(entropy) + _words(spawn_key) > MAX_ENTROPY:
        raise LimitError(f"a SeedSequence of more than {MAX_ENTROPY:,} words")
    return SeedSequence(entropy, spawn_key=spawn_key, pool_size=pool_size, n_children_spawned=children)


def _words(numbers: Any) -> int:
    """32-bit words in what a SeedSequence starts from."""
    if isinstance(numbers, int):
        return numbers.bit_length() // 32 + 1
    return sum(map(_words, numbers)) if isinstance(numbers, list | tuple) else len(numbers)


MAX_ENTROPY: Final = 65_536
"""32-bit words that a SeedSequence starts from: NumPy mixes them one by one, and each with the whole pool."""
MAX_POOL: Final = 4096
"""32-bit words in the pool of a SeedSequence; NumPy's own default is 4."""


def lower_legacy(value: RandomState) -> Fields:
    return Fields(tag="python", type="numpy.random.RandomState", state=value.get_state(legacy=False))


def lift_legacy(level: Fields) -> RandomState:
    state = level["state"]
    if not isinstance(state, dict):
        raise FormatError(f"the state of a RandomState is {shown(state)}")
    check_position(state)
    generator = RandomState(0)
    generator.set_state(state)
    return generator


def lift_generator(level: Fields) -> Generator:
    if not isinstance(level["bits"], BitGenerator):
        raise FormatError("a Generator holds no bit generator")
    return Generator(level["bits"])


RULES: Final = [
    Rule(
        "python",
        "numpy.random.Generator",
        (Generator,),
        lower=lambda value: Fields(tag="python", type="numpy.random.Generator", bits=value.bit_generator),
        lift=lift_generator,
    ),
    Rule("python", "numpy.random.SeedSequence", (SeedSequence,), lower_sequence, lift_sequence),
    Rule("python", "numpy.random.RandomState", (RandomState,), lower_legacy, lift_legacy),
    *(Rule("python", name, (kind,), lower_bits(name), lift_bits(kind)) for name, kind in BIT_GENERATORS.items()),
]
