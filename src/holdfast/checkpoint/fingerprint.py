"""All that is tracked, and the random generators, as a table of path -> a few bytes that change when the value does.

Strategy: each kind of thing gives its parts by the names that its owner knows them by; a part is hashed with its type,
dtype and shape, bit for bit, so that two NaNs of different payload differ. What has no known parts counts by its type.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from holdfast.checkpoint import kinds, random
from holdfast.state.match import join
from holdfast.state.records import is_array, is_tensor
from holdfast.wire.checksum import checksum

Table = dict[str, int]

RANDOM: Final = {"python": "the RNG of Python", "numpy": "the RNG of NumPy", "torch": "the RNG of torch"}
"""What the global generators are called."""
RETURNED: Final = "what the step returned"


def fingerprints(tracked: Mapping[str, Any]) -> Table:
    """Path -> fingerprint: random generators first, then what says where the data is, then all else."""
    found: Table = {}
    for name, state in random.capture().items():
        found |= _of_random(name, state)
    for name in sorted(tracked, key=lambda name: _rank(tracked[name])):
        found |= of_thing(tracked[name], name, tracked)
    return found


def _of_random(name: str, state: Any) -> Table:
    if name != "cuda":
        return {RANDOM[name]: together(state)}
    return {f"the RNG of CUDA device {number}": together(one) for number, one in state.items()}


def _rank(thing: Any) -> int:
    return CAUSES.index(kinds.kind_of(thing).name)


CAUSES: Final = ("generator", "state", "value", "array", "scheduler", "module", "optimiser")
"""Kinds, those first whose drift is rather the cause of others'."""


def of_thing(thing: Any, name: str, tracked: Mapping[str, Any]) -> Table:
    """The parts of one thing."""
    parts = PARTS.get(kinds.kind_of(thing).name, _plain_parts)
    return {path: one for path, value in parts(thing, name, tracked) for path, one in leaves(value, path)}


Part = tuple[str, Any]


def _module_parts(module: Any, name: str, tracked: Mapping[str, Any]) -> Iterator[Part]:
    from holdfast.checkpoint import exact

    yield from ((join(name, path), buffer) for path, buffer in module.named_buffers())
    yield from ((join(name, path), value) for path, value in exact.attributes(module).items())
    yield from ((join(join(name, path), "training"), mode) for path, mode in exact.modes(module).items())
    yield from ((join(name, path), parameter) for path, parameter in module.named_parameters())


def _optimiser_parts(optimiser: Any, name: str, tracked: Mapping[str, Any]) -> Iterator[Part]:
    names = kinds.parameter_names(tracked)
    for number, group in enumerate(optimiser.param_groups):
        at = f"{name}.param_groups[{number}]"
        yield at, {key: value for key, value in group.items() if key != "params"}
        for index, parameter in enumerate(group["params"]):
            known = names.get(id(parameter), f"params[{index}]")
            yield f"{at}: the state of {known}", optimiser.state.get(parameter, {})


def _plain_parts(thing: Any, name: str, tracked: Mapping[str, Any]) -> Iterator[Part]:
    yield name, thing


PARTS: Final[dict[str, Callable[[Any, str, Mapping[str, Any]], Iterator[Part]]]] = {
    "module": _module_parts,
    "optimiser": _optimiser_parts,
    "scheduler": lambda thing, name, tracked: iter([(name, thing.state_dict())]),
    "generator": lambda thing, name, tracked: iter([(name, together(random.state_of(thing)))]),
    "state": lambda thing, name, tracked: iter([(name, thing.state_dict())]),
}
"""Kind -> its parts by path; what is not here is one part."""


def together(value: Any) -> int:
    """One fingerprint for all of ``value``."""
    return _digest(repr(list(leaves(value, ""))))


def leaves(value: Any, path: str) -> Iterator[tuple[str, int]]:
    """Each number, text or array in ``value``, with its path and fingerprint."""
    waiting, seen = [(path, value)], set()
    while waiting:
        at, part = waiting.pop()
        inner = _inner(part, at)
        if inner is None:
            yield at, _leaf(part)
        elif id(part) not in seen:
            seen.add(id(part))
            yield at, _digest(f"{type(part).__qualname__} of {len(inner)}")
            waiting += reversed(inner)


def _inner(part: Any, at: str) -> list[Part] | None:
    """What stands in a container or an object; None for what has no parts."""
    if is_array(part) or isinstance(part, type):
        return None
    if isinstance(part, Mapping):
        return [(f"{at}[{key!r}]" if at else f"{key}", item) for key, item in part.items()]
    if isinstance(part, list | tuple):
        return [(f"{at}[{index}]", item) for index, item in enumerate(part)]
    attributes = getattr(part, "__dict__", None)
    return None if not attributes else [(join(at, name), item) for name, item in attributes.items()]


def _leaf(part: Any) -> int:
    if is_tensor(part):
        return _of_tensor(part)
    if isinstance(part, np.ndarray | np.generic):
        return _of_array(np.asarray(part), f"{part.dtype} {part.shape}")
    if isinstance(part, float):
        return _of_array(np.float64(part), "float")
    plain = isinstance(part, int | complex | str | bytes | set | frozenset) or part is None
    text = f"{type(part).__qualname__} {sorted(map(repr, part)) if isinstance(part, set | frozenset) else part!r}"
    return _digest(text if plain else type(part).__qualname__)


def _of_tensor(tensor: Any) -> int:
    from holdfast.vocab.torch.tensors import memory

    return _of_array(memory(tensor), f"{tensor.dtype} {tuple(tensor.shape)}")


def _of_array(array: Any, head: str) -> int:
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return _digest(f"{head} {checksum(flat.data) if flat.size else 0}")


def _digest(text: str) -> int:
    return checksum(memoryview(text.encode("utf-8", "surrogatepass")))
