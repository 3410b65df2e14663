"""The random generators that every run has: Python's, NumPy's old global one, torch's on the CPU and on each GPU.

Strategy: a state is a small document of numbers and arrays, the same for the global generators and for a user's own
objects. Capturing copies; putting back checks every part before it changes the first. Nothing is drawn and nothing is
imported: what the program has not loaded has no state.

    {"python": {"version": 3, "words": uint32[625], "gauss": None or float},
     "numpy": {"bit_generator": "MT19937", "state": {…}, "has_gauss": 0, "gauss": 0.0},
     "torch": uint8[5056], "cuda": {"0": uint8[16]}, "generators": {"shuffle": {…}}}
"""

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np

from holdfast.errors import MismatchError

State = dict[str, Any]
Act = Callable[[], None]

NONE: Final[Mapping[str, Any]] = {}


def capture(generators: Mapping[str, Any] = NONE) -> State:
    """The state of the global generators, and of ``generators`` by name (those of Python, NumPy and torch).

    Raises MismatchError for an object that is no random generator.

    >>> state = capture()
    >>> first = random.random()
    >>> put_back(state)
    >>> random.random() == first
    True
    """
    state: State = {name: read() for name, (read, _) in GLOBALS.items() if _is_loaded(name)}
    if generators:
        state["generators"] = {name: state_of(generator, name) for name, generator in generators.items()}
    return state


def put_back(state: Mapping[str, Any], generators: Mapping[str, Any] = NONE) -> None:
    """Give the global generators, and ``generators``, the states that ``capture`` gave: all of them, or none.

    A GPU that this machine lacks is left out, and so is torch where it is not loaded. Raises MismatchError that lists
    every generator whose state is missing or of another kind.
    """
    act, _ = plan(state, generators)
    act()


def plan(state: Mapping[str, Any], generators: Mapping[str, Any] = NONE) -> tuple[Act, Callable[[], Act]]:
    """How to put ``state`` back, and how to remember what that replaces; nothing is changed yet."""
    kept = state.get("generators") or {}
    differences = [f"{name}: the file holds no state of it" for name in generators if name not in kept]
    differences += [f"{name}: {reason}" for name, reason in _obstacles(state, generators, kept)]
    if differences:
        raise MismatchError("the random generators of the file are not these:", differences)
    acts = [partial(write, state[name]) for name, (_, write) in GLOBALS.items() if _is_here(name, state)]
    acts += [partial(set_state, generator, kept[name]) for name, generator in generators.items()]

    def act() -> None:
        for one in acts:
            one()

    def remember() -> Act:
        old = capture(generators)
        return lambda: put_back(old, generators)

    return act, remember


def _obstacles(
    state: Mapping[str, Any], generators: Mapping[str, Any], kept: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for name, (read, _) in GLOBALS.items():
        if _is_here(name, state) and name != "cuda" and not _is_alike(state[name], read()):
            yield f"the generator of {name}", "its state is of another kind"
    for name, generator in generators.items():
        if name in kept and not _is_alike(kept[name], state_of(generator, name)):
            yield name, f"the file holds no state of a {type(generator).__name__}"


def _is_alike(a: Any, b: Any) -> bool:
    """Whether two states are of one kind: the same keys, the same arrays' sizes, the same name of the generator."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        same = all(_is_alike(a[key], b[key]) for key in b if key in a)
        return a.keys() == b.keys() and same and a.get("bit_generator") == b.get("bit_generator")
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape)
    return not isinstance(a, Mapping | np.ndarray)


# -- one generator ----------------------------------------------------------------------------------------------------


def state_of(generator: Any, name: str = "it") -> State | np.ndarray[Any, Any]:
    """The state of one generator object as a document. Raises MismatchError for what is none."""
    if isinstance(generator, random.Random):
        return _python_state(generator)
    if isinstance(generator, np.random.Generator):
        return dict(generator.bit_generator.state)
    if isinstance(generator, np.random.BitGenerator):
        return dict(generator.state)
    if isinstance(generator, np.random.RandomState):
        return dict(generator.get_state(legacy=False))
    if is_torch_generator(generator):
        return _bytes(generator.get_state())
    raise MismatchError(f"{name} is a {type(generator).__qualname__}, which is no random generator")


def set_state(generator: Any, state: Any) -> None:
    """Give ``generator`` a state that ``state_of`` gave of one of its kind."""
    if isinstance(generator, random.Random):
        generator.setstate(_python_tuple(state))
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.BitGenerator):
        generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.set_state(_tensor(state))


def is_generator(value: Any) -> bool:
    """Whether ``value`` is a random generator whose state can be kept."""
    kinds = (random.Random, np.random.Generator, np.random.BitGenerator, np.random.RandomState)
    return (isinstance(value, kinds) and not isinstance(value, random.SystemRandom)) or is_torch_generator(value)


def is_torch_generator(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Generator)


# -- the global generators --------------------------------------------------------------------------------------------


def _python_state(generator: Any) -> State:
    version, words, gauss = generator.getstate()
    # An array stands in a file as 2.5 kB and is read at once; 625 numbers of their own would be 12 kB.
    return {"version": version, "words": np.array(words, np.uint32), "gauss": gauss}


def _python_tuple(state: Mapping[str, Any]) -> tuple[Any, ...]:
    return state["version"], tuple(map(int, state["words"])), state["gauss"]


def _bytes(tensor: Any) -> np.ndarray[Any, Any]:
    return np.array(tensor.numpy())


def _tensor(state: Any) -> Any:
    return sys.modules["torch"].from_numpy(np.array(state))


def _torch_state() -> Any:
    return _bytes(sys.modules["torch"].get_rng_state())


def _set_torch(state: Any) -> None:
    sys.modules["torch"].set_rng_state(_tensor(state))


def _cuda_state() -> State:
    cuda = sys.modules["torch"].cuda
    return {str(number): _bytes(cuda.get_rng_state(number)) for number in range(cuda.device_count())}


def _set_cuda(state: Mapping[str, Any]) -> None:
    cuda = sys.modules["torch"].cuda
    for number in range(cuda.device_count()):
        if str(number) in state:
            cuda.set_rng_state(_tensor(state[str(number)]), number)


GLOBALS: Final[dict[str, tuple[Callable[[], Any], Callable[[Any], None]]]] = {
    "python": (lambda: _python_state(random), lambda state: random.setstate(_python_tuple(state))),
    "numpy": (lambda: dict(np.random.get_state(legacy=False)), lambda state: np.random.set_state(state)),
    "torch": (_torch_state, _set_torch),
    "cuda": (_cuda_state, _set_cuda),
}
"""Name in the state -> how its generator is read and written."""


def _is_loaded(name: str) -> bool:
    """Whether the program has this generator. CUDA counts once it was used: to ask its generators would start it."""
    torch = sys.modules.get("torch")
    if name == "cuda":
        return torch is not None and bool(torch.cuda.is_initialized())
    return name != "torch" or torch is not None


def _is_here(name: str, state: Mapping[str, Any]) -> bool:
    """Whether the state of ``name`` is in the file, and there is a generator that it can go to."""
    torch = sys.modules.get("torch")
    if state.get(name) is None or (name in ("torch", "cuda") and torch is None):
        return False
    return name != "cuda" or bool(torch is not None and torch.cuda.is_available())


# -- a stream apart ---------------------------------------------------------------------------------------------------


class Apart:
    """A stream of random numbers of its own for code that draws from the global generators of the CPU.

    >>> apart, before = Apart(7), random.getstate()
    >>> with apart.drawing():
    ...     first = random.random()
    >>> with Apart(7).drawing():
    ...     random.random() == first
    True
    >>> random.getstate() == before
    True
    """

    def __init__(self, *seed: int) -> None:
        self.seed: tuple[int, ...] | None = seed
        self.states: list[Any] = []

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """The global generators are this stream's while this lasts, and go on afterwards as if nothing had been."""
        outside = _cpu_states()
        try:
            if self.seed is not None:
                seed_all(*self.seed)
                self.seed = None
            else:
                _set_cpu_states(self.states)
            yield
            self.states = _cpu_states()
        finally:
            _set_cpu_states(outside)


def seed_all(*seed: int) -> None:
    """Seed the global generators of the CPU with numbers that follow from ``seed`` (each 0 or more)."""
    words = np.random.SeedSequence(seed).generate_state(10, np.uint32)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:8])
    torch = sys.modules.get("torch")
    if torch is not None:
        # Not torch.manual_seed, which also queues a seed for every GPU.
        torch.default_generator.manual_seed(int.from_bytes(words[8:].tobytes(), "little"))


def mixed(*seed: int) -> int:
    """One seed of 63 bits from several numbers.

    >>> mixed(1, 2) == mixed(1, 2) != mixed(2, 1)
    True
    """
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _cpu_states() -> list[Any]:
    torch = sys.modules.get("torch")
    return [random.getstate(), np.random.get_state(legacy=False), None if torch is None else torch.get_rng_state()]


def _set_cpu_states(states: list[Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    if states[2] is not None:
        sys.modules["torch"].set_rng_state(states[2])
