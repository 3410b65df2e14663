"""JAX's arrays, keys and values: bit for bit, one object once, and what cannot be saved says what to do."""
# ruff: noqa: E402

import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs JAX: pip install 'holdfast[jax]'")

import jax.numpy as jnp

from holdfast import FormatError, MismatchError, UnsupportedError, inspect, load, restore, save, verify
from holdfast.checkpoint.snapshot import take
from holdfast.checkpoint.staging import Staging
from holdfast.codec.lower import lower
from holdfast.vocab import vocabulary
from holdfast.vocab.dtypes import LOWER_NAMES
from holdfast.vocab.jax import arrays, devices, functions
from holdfast.wire.values import Alike
from reference import ROOT
from through_memory import again, lifted, loaded, saved, written


def wide() -> Any:
    """JAX's 64-bit mode, for a while."""
    return devices.wide()


def bits(array: Any) -> tuple[Any, ...]:
    """All that an array is: class, dtype, shape, weak type, every bit."""
    return type(array), array.dtype, array.shape, array.weak_type, np.asarray(array).tobytes()


def of_dtype(dtype: "np.dtype[Any]", shape: tuple[int, ...] = (2, 3)) -> Any:
    """An array of any dtype that JAX has, of 64 bits too."""
    raw = np.random.default_rng(1).integers(0, 2, (int(np.prod(shape)) * dtype.itemsize,), np.uint8)
    with wide():
        return jax.device_put(raw.view(dtype).reshape(shape))


DTYPES = sorted(arrays.DTYPES, key=str)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(dtype: "np.dtype[Any]") -> None:
    one, other, flat, none = (of_dtype(dtype, shape) for shape in ((2, 3), (2, 3), (5,), (0, 2)))
    with wide():
        found = again([one, other, flat, none, of_dtype(dtype, ())])
    for before, after in zip([one, other, flat, none, of_dtype(dtype, ())], found, strict=True):
        assert bits(before) == bits(after)


def test_the_dtypes_are_there() -> None:
    names = {LOWER_NAMES[dtype] for dtype in DTYPES}
    assert {"bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "bool", "complex64", "float64"} <= names


def test_what_is_one_array_is_one_array() -> None:
    x, y = jnp.arange(4.0), jnp.arange(4.0)
    tree = again({"a": x, "b": [x, y], "c": (y, x + 1)})
    assert tree["a"] is tree["b"][0]
    assert tree["b"][1] is tree["c"][0]
    assert tree["a"] is not tree["b"][1]
    assert tree["c"][1].tolist() == [1, 2, 3, 4]


def test_many_small_ones_are_written_alike() -> None:
    document = lower({"x": [jnp.full((3,), i, jnp.bfloat16) for i in range(5)]}, vocabulary())
    assert [type(node) is Alike for node in document["x"]] == [False, True, True, True, True]


def test_a_save_copies_nothing_on_the_cpu() -> None:
    x = jnp.arange(1000.0)
    assert np.asarray(x, order="C").ctypes.data == x.unsafe_buffer_pointer()


def test_large_arrays_stand_on_the_file_and_donating_one_leaves_it_be(tmp_path: Path) -> None:
    x = jnp.arange(1 << 17, dtype=jnp.float32)
    save(tmp_path / "m.bson", x=x)
    found = load(tmp_path / "m.bson", "x")
    start, before = found.unsafe_buffer_pointer(), (tmp_path / "m.bson").read_bytes()
    maps = Path("/proc/self/maps").read_text() if os.path.exists("/proc/self/maps") else ""
    ranges = [line.split()[0].split("-") for line in maps.splitlines() if "m.bson" in line]
    if maps:
        assert any(int(low, 16) <= start < int(high, 16) for low, high in ranges)
    used = jax.jit(lambda y: y + 1, donate_argnums=0)(found).block_until_ready()
    assert (used[0], used[-1]) == (1, 1 << 17)
    assert (tmp_path / "m.bson").read_bytes() == before
    assert bits(load(tmp_path / "m.bson", "x")) == bits(x)
    verify(tmp_path / "m.bson")


def test_a_snapshot_outlives_a_donation(tmp_path: Path) -> None:
    x = jnp.arange(1 << 12, dtype=jnp.float32)
    shot = take({"x": x}, vocabulary(), Staging())
    jax.jit(lambda y: y * 0, donate_argnums=0)(x).block_until_ready()
    shot.publish(tmp_path / "m.bson")
    assert load(tmp_path / "m.bson", "x").tolist() == list(range(1 << 12))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)], ids=str)
@pytest.mark.parametrize("zero", [0, 0.0, 0j], ids=str)
def test_a_weak_type_stays_weak(zero: Any, shape: tuple[int, ...]) -> None:
    weak = jnp.broadcast_to(jnp.asarray(zero), shape) + 1
    strong = weak.astype(weak.dtype)
    assert (weak.weak_type, strong.weak_type) == (True, False)
    found = again([weak, weak + 1, strong])
    assert [bits(array) for array in found] == [bits(array) for array in (weak, weak + 1, strong)]
    assert (found[0] * jnp.ones((), jnp.bfloat16)).dtype == (weak * jnp.ones((), jnp.bfloat16)).dtype


def test_64_bits_come_back_and_are_talked_about() -> None:
    with wide():
        values = [jnp.arange(3) + 2**40, jnp.asarray(0.1), jnp.ones(2) / 3]
        data = saved(values)
        found = loaded(data)
    with pytest.warns(UserWarning, match="jax_enable_x64"):
        again_found = loaded(data)
    for arrays_ in (found, again_found):
        assert [bits(array) for array in arrays_] == [bits(array) for array in values]


def test_a_column_major_document_is_read() -> None:
    matrix = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    turned = [np.asfortranarray(matrix), np.asfortranarray(matrix + 1)]
    nodes = [written(lower({"x": array}, vocabulary()))["x"] | {"python": "jax.Array"} for array in turned]
    found = loaded(saved_document({"x": nodes}))
    assert [array.tolist() for array in found] == [matrix.tolist(), (matrix + 1).tolist()]


def saved_document(document: dict[str, Any]) -> bytes:
    from holdfast.wire.checksum import seal
    from holdfast.wire.plan import plan_document

    plan = plan_document(document)
    seal(plan)
    return b"".join(plan.buffers())


@pytest.mark.parametrize(
    "change",
    [{"weak": 1}, {"weak": "yes"}, {"dtype": "float6_e2m3fn"}, {"dtype": "bfloat16"}, {"dtype": "datetime64[s]"}],
    ids=str,
)
def test_what_is_no_array_is_refused(change: dict[str, Any]) -> None:
    node = written(lower({"x": jnp.arange(4.0)}, vocabulary()))["x"] | change
    with pytest.raises(FormatError):
        lifted({"x": node})


def test_an_array_of_texts_is_none_of_jaxs() -> None:
    node = written(lower({"x": np.array(["text"])}, vocabulary()))["x"] | {"python": "jax.Array"}
    with pytest.raises(FormatError, match="none of JAX's"):
        lifted({"x": node})


# -- trees, keys, values ----------------------------------------------------------------------------------------------

Pair = namedtuple("Pair", "first second")


@dataclass
class Layer:
    weight: Any
    bias: Any


jax.tree_util.register_dataclass(Layer, data_fields=["weight", "bias"], meta_fields=[])


def test_trees() -> None:
    layer = Layer(jnp.ones((2, 3)), None)
    tree = {"layer": layer, "pair": Pair(jnp.zeros(2), [layer, None]), "t": (jnp.arange(3),)}
    found = again(tree, [Layer, Pair])
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    assert found["layer"] is found["pair"].second[0]
    assert jax.tree.map(bits, found) == jax.tree.map(bits, tree)


@pytest.mark.parametrize("algorithm", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_go_on_as_they_would(algorithm: str) -> None:
    key = jax.random.key(3, impl=algorithm)
    one, many = again([key, jax.random.split(key, 3)])
    assert (one.dtype, many.dtype, many.shape) == (key.dtype, key.dtype, (3,))
    assert jax.random.normal(one, (4,)).tolist() == jax.random.normal(key, (4,)).tolist()
    assert (jax.random.key_data(many) == jax.random.key_data(jax.random.split(key, 3))).all()


def test_keys_of_the_old_kind_are_arrays() -> None:
    assert bits(again(jax.random.PRNGKey(7))) == bits(jax.random.PRNGKey(7))


def test_a_key_of_an_algorithm_of_mine_is_refused() -> None:
    prng = pytest.importorskip("jax.extend.random", reason="this JAX takes no algorithms of others")
    zeros = lambda *arguments: jnp.zeros(2, jnp.uint32)  # noqa: E731
    parts = {"seed": zeros, "split": zeros, "random_bits": zeros, "fold_in": zeros}
    mine = prng.define_prng_impl(key_shape=(2,), **parts, name="mine", tag="mine")
    assert "key_data" in refusal(jax.random.key(0, impl=mine))


@pytest.mark.parametrize("change", [{"algorithm": "mine"}, {"algorithm": 1}, {"data": [1, 2]}, {"data": None}], ids=str)
def test_a_key_of_nothing_is_refused(change: dict[str, Any]) -> None:
    node = written(lower({"x": jax.random.key(0)}, vocabulary()))["x"] | change
    with pytest.raises(FormatError):
        lifted({"x": node})


def test_functions_and_scalar_types_go_by_their_names() -> None:
    values = [
        jax.nn.relu,
        jax.nn.gelu,
        jax.nn.silu,
        jnp.tanh,
        jnp.add,
        jax.lax.stop_gradient,
        jnp.float32,
        jnp.bfloat16,
    ]
    assert all(a is b for a, b in zip(again(values), values, strict=True))
    assert len(functions.NAMED) > 300
    assert not {"jax.numpy.save", "jax.numpy.load", "jax.numpy.fromfile"} & functions.NAMED.keys()


def test_small_values() -> None:
    values = [
        jax.ShapeDtypeStruct((2, 3), jnp.bfloat16),
        jax.ShapeDtypeStruct((), jnp.float32, weak_type=True),
        jax.sharding.PartitionSpec("data", None, ("model", "more")),
        jax.lax.Precision.HIGHEST,
        np.dtype("float32"),
        jnp.dtype("bfloat16"),
    ]
    assert again(values) == values
    partial = again(jax.tree_util.Partial(jnp.add, 1))
    assert partial(2) == 3


# -- refusals ---------------------------------------------------------------------------------------------------------


def refusal(value: Any) -> str:
    with pytest.raises(UnsupportedError) as error:
        saved({"here": [value]})
    assert error.value.path == "$.x['here'][0]"
    return error.value.message


def test_an_array_that_was_donated() -> None:
    x = jnp.ones(3)
    x.delete()
    assert "donated" in refusal(x)


def test_tracers() -> None:
    def step(x: Any) -> Any:
        assert "jit, grad, vmap" in refusal(x)
        return x.sum()

    jax.jit(step)(jnp.ones(3))
    jax.grad(step)(jnp.ones(3))
    jax.vmap(step)(jnp.ones((2, 3)))


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (lambda: jax.jit(lambda x: x), "transform it again"),
        (lambda: jax.devices()[0], "belongs to the devices"),
        (lambda: jnp.ones(1).sharding, "belongs to the devices"),
        (lambda: jax.make_mesh((1,), ("a",)), "belongs to the devices"),
        (lambda: jax.tree.structure([1]), "save the tree"),
        (lambda: jax.make_jaxpr(jnp.sin)(1.0), "program"),
        (lambda: jax.jit(jnp.sin).lower(1.0).compile(), "compile"),
        (lambda: jax.ShapeDtypeStruct((1,), jnp.float32, sharding=jnp.ones(1).sharding), "without its sharding"),
        (lambda: jax.tree_util.DictKey("a"), "not in the table"),
    ],
    ids=["jit", "device", "sharding", "mesh", "treedef", "jaxpr", "compiled", "shape", "other"],
)
def test_what_belongs_to_the_process(value: Any, advice: str) -> None:
    assert advice in refusal(value())


# -- devices, other processes -----------------------------------------------------------------------------------------


def test_a_device_that_is_not_here_is_said(tmp_path: Path) -> None:
    save(tmp_path / "m.bson", x=jnp.ones(3), k=jnp.ones(1 << 17))
    assert not load(tmp_path / "m.bson", "x", device="cpu").committed
    for name in ("warp:3", "cpu:99", "cpu:x"):
        with pytest.raises(MismatchError, match=f"no device '{name}'.*device="):
            load(tmp_path / "m.bson", device=name)
    assert load(tmp_path / "m.bson", "k", device="cpu:0").committed


def test_arrays_are_shown_and_fill_numpys(tmp_path: Path) -> None:
    save(tmp_path / "m.bson", x=jnp.arange(3.0), y=jnp.ones((2, 2), jnp.bfloat16), z=[jnp.ones(2), jnp.zeros(2)])
    shown = str(inspect(tmp_path / "m.bson"))
    assert "bfloat16" in shown
    target = np.zeros(3, np.float32)
    restore(tmp_path / "m.bson", strict=False, x=target)
    assert target.tolist() == [0, 1, 2]


def test_nothing_of_jaxs_is_filled_in_place(tmp_path: Path) -> None:
    save(tmp_path / "m.bson", params={"w": jnp.ones(2)}, x=jnp.ones(2))
    for targets in ({"params": {"w": jnp.zeros(2)}}, {"x": jnp.zeros(2)}):
        with pytest.raises(MismatchError, match="cannot be filled in place; use load instead"):
            restore(tmp_path / "m.bson", **targets)


def child(code: str, *arguments: str, flags: str = "") -> str:
    """What ``code`` prints in a process of its own."""
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


SHARDED = """
import sys, warnings
import jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from holdfast import load, save
mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
put = lambda x, *spec: jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))
x = jnp.arange(32, dtype=jnp.float32).reshape(8, 4)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    save(sys.argv[1], pieces=put(x, "data"), more=put(x + 1, None, "data"), whole=put(x, None), one=x)
for warning in said:
    print(warning.message)
found = load(sys.argv[1])
for name, expected in {"pieces": x, "more": x + 1, "whole": x, "one": x}.items():
    assert (found[name] == expected).all() and len(found[name].devices()) == 1, name
assert load(sys.argv[1], "one", device="cpu:1").devices() == {jax.devices()[1]}
"""


def test_pieces_are_gathered_and_it_is_said(tmp_path: Path) -> None:
    printed = child(SHARDED, str(tmp_path / "m.bson"), flags="--xla_force_host_platform_device_count=2")
    assert printed == "2 arrays that lie in pieces on 2 devices: 256 bytes are gathered on this machine to be saved\n"


WITHOUT_JAX = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] == "jax" else real(name, *rest)
from holdfast import load
found = load(sys.argv[1])
for value in [found["x"], found["half"], *found["many"], found["slabs"], found["key"]]:
    print(type(value).__name__, value.dtype.name, value.tolist())
print(type(found["state"]).__name__, len(found["state"]))
assert not {"jax", "jaxlib", "optax"} & set(sys.modules)
"""


def test_without_jax_arrays_are_numpys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optax = pytest.importorskip("optax", reason="needs Optax")
    state = optax.scale_by_adam().init(jnp.ones(2))
    many = [jnp.full(2, i, jnp.float8_e5m2) for i in range(3)]
    values = {"x": jnp.arange(3.0), "half": jnp.ones((1, 2), jnp.bfloat16), "many": many, "state": state}
    values["key"] = jax.random.key(7)
    monkeypatch.setattr("holdfast.vocab.numpy.MAX_BLOB", 1 << 10)
    monkeypatch.setattr("holdfast.vocab.numpy.SLAB", 1 << 9)
    save(tmp_path / "m.bson", values, slabs=jnp.ones((300, 1), jnp.int32))
    assert child(WITHOUT_JAX, str(tmp_path / "m.bson")).splitlines() == [
        "ndarray float32 [0.0, 1.0, 2.0]",
        "ndarray bfloat16 [[1.0, 1.0]]",
        *(f"ndarray float8_e5m2 [{i}.0, {i}.0]" for i in range(3)),
        f"ndarray int32 {[[1]] * 300}",
        "ndarray uint32 [0, 7]",
        "tuple 3",
    ]


def test_jax_is_not_imported_for_others(tmp_path: Path) -> None:
    code = (
        "import sys, holdfast, numpy as np\n"
        "holdfast.save(sys.argv[1], x=np.ones(2), y={'a': [1]})\n"
        "holdfast.load(sys.argv[1])\n"
        "print(sorted({'jax', 'jaxlib', 'flax', 'equinox', 'optax'} & set(sys.modules)))"
    )
    assert child(code, str(tmp_path / "m.bson")) == "[]\n"
