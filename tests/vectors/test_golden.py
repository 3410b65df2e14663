"""Every golden file, for ever: its bytes are those that were written, and mean what its script says."""

import hashlib
import importlib.util
import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from holdfast import inspect, load, save, verify
from holdfast.formats.choose import open_file
from holdfast.formats.document.arrays import containers
from holdfast.vocab import FRAMEWORKS
from holdfast.wire.plan import VERSION
from reference import ROOT

GOLDEN = ROOT / "tests" / "vectors" / "golden"
SPEC = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
assert SPEC is not None
assert SPEC.loader is not None
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)
SUMS = json.loads((GOLDEN / "sums.json").read_text())


def differs(a: Any, b: Any, seen: frozenset[int] = frozenset()) -> str:
    """Where two values differ, types and all; nothing if they do not."""
    if type(a) is not type(b):
        return f": {type(a)} and {type(b)}"
    if id(a) in seen:
        return ""
    seen = seen | {id(a)}
    if isinstance(a, torch.Tensor):
        gaps = a.untyped_storage().nbytes() > a.numel() * a.itemsize  # these are not kept
        same = (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad)
        return "" if same and bits(a) == bits(b) and (gaps or a.stride() == b.stride()) else f": {a} and {b}"
    if isinstance(a, np.ndarray):
        same = (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        return "" if same and (not a.flags.forc or a.flags.fnc == b.flags.fnc) else f": {a!r} and {b!r}"
    if isinstance(a, np.random.Generator | np.random.RandomState):
        return "" if (a.random(9) == b.random(9)).all() else ": other numbers"
    if isinstance(a, torch.Generator | Random):
        return "" if str(state_of(a)) == str(state_of(b)) else ": other numbers"
    if is_jax(a):
        return differs_in_jax(a, b, seen)
    if isinstance(a, torch.nn.Module):
        return differs(repr(a), repr(b)) or differs(dict(a.state_dict()), dict(b.state_dict()), seen)
    if hasattr(a, "state_dict"):
        return differs(a.state_dict(), b.state_dict(), seen)
    if isinstance(a, Mapping):
        if list(a) != list(b):
            return f": keys {list(a)} and {list(b)}"
        return next((f"[{key!r}]{found}" for key in a if (found := differs(a[key], b[key], seen))), "")
    if isinstance(a, list | tuple | deque):
        if len(a) != len(b):
            return f": {len(a)} and {len(b)} items"
        pairs = enumerate(zip(a, b, strict=True))
        return next((f"[{i}]{found}" for i, (x, y) in pairs if (found := differs(x, y, seen))), "")
    if type(a).__module__ == "holdfast.julia.values" and hasattr(a, "__dict__"):
        return differs(vars(a), vars(b), seen)
    return "" if a == b or repr(a) == repr(b) else f": {a!r} and {b!r}"


def state_of(generator: Any) -> Any:
    return generator.getstate() if isinstance(generator, Random) else generator.get_state().tolist()


def is_jax(value: Any) -> bool:
    """Whether a value is an array of JAX's, or one of its libraries' (whose states are named tuples)."""
    package = type(value).__module__.partition(".")[0]
    return package in ("jax", "jaxlib", "flax", "equinox", "optax")


def differs_in_jax(a: Any, b: Any, seen: frozenset[int]) -> str:
    import jax

    if isinstance(a, jax.Array):
        keys = jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key)
        x, y = (np.asarray(jax.random.key_data(value) if keys else value) for value in (a, b))
        same = a.dtype == b.dtype and is_weak(a) == is_weak(b) and x.shape == y.shape
        return "" if same and x.tobytes() == y.tobytes() else f": {a!r} and {b!r}"
    (leaves, tree), (others, other) = jax.tree_util.tree_flatten(a), jax.tree_util.tree_flatten(b)
    if len(leaves) == 1 and leaves[0] is a:
        return "" if a == b else f": {a!r} and {b!r}"
    return differs(str(tree), str(other)) or differs(leaves, others, seen)


def is_weak(array: Any) -> bool:
    return bool(getattr(array, "weak_type", False))


def needed_for(name: str) -> None:
    """What of a file comes back as it was only where JAX, and what stands on it, is installed."""
    if name.startswith("1-jax"):
        for package in ("jax", "flax", "equinox", "optax"):
            pytest.importorskip(package)


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b""


def loaded(path: Path) -> dict[str, Any]:
    found = load(path, classes=make.CLASSES)
    return {"value": found} if path.suffix == ".npy" else found


def test_every_file_is_listed_and_every_entry_has_its_file() -> None:
    files = {path.name for path in GOLDEN.iterdir() if path.name[0].isdigit()}
    assert files == set(SUMS) == set(make.FILES)


def test_there_are_files_of_every_version() -> None:
    assert {int(name.partition("-")[0]) for name in SUMS} == set(range(1, VERSION + 1))


NOTHING_OF_ITS_OWN = {"argparse", "holdfast", "jaxlib", "Tracker", "Zygote", "MLUtils"}
"""Packages whose values stand under other packages' names, are older than the first version, or are plain objects."""


def test_there_is_a_file_of_every_vocabulary() -> None:
    words = set()
    for name in SUMS:
        document = open_file(GOLDEN / name).document
        for node in (node for node in containers(document) if isinstance(node, dict)):
            names = [
                node.get("type"),
                node.get("python"),
                *(node["name"][:1] if isinstance(node.get("name"), list) else []),
            ]
            words |= {text.partition(".")[0] for text in names if isinstance(text, str)}
    assert set(FRAMEWORKS) - words <= NOTHING_OF_ITS_OWN, "a new vocabulary needs a golden file"
    assert {"numpy", "datetime", "collections", "golden", "random"} <= words


@pytest.mark.parametrize("name", SUMS)
def test_the_bytes_are_those_that_were_written(name: str) -> None:
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == SUMS[name]
    verify(GOLDEN / name)


@pytest.mark.parametrize("name", SUMS)
def test_the_values_are_those_of_the_script(name: str) -> None:
    needed_for(name)
    assert differs(make.FILES[name](), loaded(GOLDEN / name)) == ""


@pytest.mark.parametrize("name", SUMS)
def test_they_can_be_saved_again(name: str, tmp_path: Path) -> None:
    needed_for(name)
    values = loaded(GOLDEN / name)
    save(tmp_path / name, values)
    assert differs(values, loaded(tmp_path / name)) == ""
    assert str(inspect(tmp_path / name)) == str(inspect(GOLDEN / name))


def test_what_was_shared_is_shared() -> None:
    found = loaded(GOLDEN / "1-python.bson")
    assert found["shared"][0] is found["shared"][1]
    assert found["loop"][0] is found["loop"]
    found = loaded(GOLDEN / "1-modules.bson")
    assert found["opt"].param_groups[0]["params"][0] is found["model"][0].weight
    assert found["tied"].a.weight is found["tied"].b.weight
    for name in ("1-weights.safetensors", "1-weights.npz"):
        found = loaded(GOLDEN / name)
        assert found["layer.weight"] is found["head.weight"]
        found["head.weight"][1, 2] = 99
        assert found["rows"][0, 2] == 99


def test_a_difference_is_found() -> None:
    """The comparison above can fail."""
    for values in (make.tensors, make.numpy, make.modules):
        changed = values()
        first = next(iter(changed.values()))
        tensor = first.get("f4") if isinstance(first, dict) and "f4" in first else None
        if tensor is not None:
            tensor[0, 0] += 1
        elif isinstance(first, dict):
            next(reversed(first.values())).view(torch.uint8)[0, 0] ^= 1
        else:
            with torch.no_grad():
                first[0].weight[0, 0] += 1
        assert differs(values(), changed) != ""


def test_a_difference_in_jax_is_found() -> None:
    needed_for("1-jax.bson")
    import jax
    import jax.numpy as jnp

    state = make.jax_libraries()["optax"]["adam"]
    changed = jax.tree_util.tree_map(lambda leaf: leaf.at[...].add(1), state)
    assert differs(state, changed) != ""
    assert differs(jax.random.key(1), jax.random.key(2)) != ""
    assert differs(jnp.asarray(1.5), jnp.asarray(1.5, "float32")) != "", "one is weak"
    assert differs(make.jax_libraries()["nnx"], jax.tree_util.tree_map(lambda x: x + 1, make.jax_libraries()["nnx"]))
