"""Flax, Equinox and Optax: what goes on after loading goes on as it would have."""
# ruff: noqa: E402

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs JAX: pip install 'holdfast[jax]'")

import jax.numpy as jnp

from holdfast import FormatError, MismatchError, UnsupportedError, UntrustedError, restore, save
from holdfast.codec.lower import lower
from holdfast.vocab import vocabulary
from through_memory import again, lifted, loaded, saved, written

eqx = pytest.importorskip("equinox", reason="needs Equinox")
optax = pytest.importorskip("optax", reason="needs Optax")
pytest.importorskip("flax", reason="needs Flax")

from flax import linen, nnx, struct
from flax.core import FrozenDict, freeze
from flax.training.dynamic_scale import DynamicScale
from flax.training.early_stopping import EarlyStopping
from flax.training.train_state import TrainState

KEY = jax.random.key(0)
X = jnp.linspace(-1, 1, 6).reshape(2, 3)


def same(a: Any, b: Any) -> bool:
    """Two trees: one structure, the same bits."""
    a, b = jax.tree.map(_numbers, a), jax.tree.map(_numbers, b)
    return jax.tree.structure(a) == jax.tree.structure(b) and bool(jax.tree.all(jax.tree.map(np.array_equal, a, b)))


def _numbers(x: Any) -> Any:
    keyed = isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if keyed else x) if isinstance(x, jax.Array) else x


def refusal(value: Any) -> str:
    with pytest.raises(UnsupportedError) as error:
        saved(value)
    return str(error.value)


# -- Optax ------------------------------------------------------------------------------------------------------------

PARAMS = {"w": X, "b": jnp.ones(3)}

OPTIMISERS = {
    "adamw": lambda: optax.adamw(1e-3, mu_dtype=jnp.bfloat16),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_rms(), optax.trace(0.9)),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
    "schedule": lambda: optax.adam(optax.linear_schedule(0.1, 0.0, 10)),
    "masked": lambda: optax.masked(optax.adam(1e-3), {"w": True, "b": False}),
    "parts": lambda: optax.partition({"a": optax.adam(0.1), "b": optax.set_to_zero()}, {"w": "a", "b": "b"}),
    "several steps": lambda: optax.MultiSteps(optax.adam(0.1), 3),
    "lion": lambda: optax.lion(0.1),
    "skips": lambda: optax.apply_if_finite(optax.adafactor(0.1), 3),
    "average": lambda: optax.contrib.schedule_free_adamw(),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_state_of_optax_goes_on(name: str) -> None:
    optimiser: Any = OPTIMISERS[name]()
    updates = jax.tree.map(jnp.sin, PARAMS)
    state = optimiser.update(updates, optimiser.init(PARAMS), PARAMS)[1]
    found = again(state)
    assert same(found, state)
    assert same(optimiser.update(updates, found, PARAMS), optimiser.update(updates, state, PARAMS))


def test_an_optimiser_is_made_again() -> None:
    assert "make it again by the same line" in refusal({"tx": optax.adam(1e-3)})


# -- Equinox ----------------------------------------------------------------------------------------------------------


class Net(eqx.Module):
    first: eqx.nn.Linear
    second: eqx.nn.Linear
    act: Any = eqx.field(static=True)
    tied: eqx.nn.Linear

    def __init__(self, key: Any) -> None:
        self.first, self.second = (eqx.nn.Linear(3, 3, key=one) for one in jax.random.split(key))
        self.act, self.tied = jax.nn.gelu, self.first

    def __call__(self, x: Any) -> Any:
        return self.tied(self.second(self.act(self.first(x))))


EQUINOX = {
    "mlp": lambda: eqx.nn.MLP(3, 2, 8, 2, activation=jax.nn.silu, key=KEY),
    "sequential": lambda: eqx.nn.Sequential(
        [eqx.nn.Linear(3, 4, key=KEY), eqx.nn.Lambda(jnp.tanh), eqx.nn.Lambda(jax.nn.relu)]
    ),
    "slope": lambda: eqx.nn.PReLU(),
    "norms": lambda: eqx.nn.Sequential([eqx.nn.LayerNorm(3), eqx.nn.RMSNorm(3), eqx.nn.Identity()]),
    "cell": lambda: eqx.nn.GRUCell(3, 4, key=KEY),
    "dropout": lambda: eqx.nn.Dropout(0.5, inference=True),
}


@pytest.mark.parametrize("name", EQUINOX)
def test_a_module_of_equinox(name: str) -> None:
    module: Any = EQUINOX[name]()
    arguments = (X[0], jnp.ones(4)) if name == "cell" else (X[0],)
    found = again(module)
    assert type(found) is type(module)
    assert jax.tree.structure(found) == jax.tree.structure(module)
    assert same(found(*arguments), module(*arguments))


@pytest.mark.parametrize("mode", ["ema", "batch"])
def test_a_module_of_equinox_with_state(mode: str) -> None:
    module, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", mode=mode)
    run = jax.vmap(lambda m, s, x: m(x, s), in_axes=(None, None, 0), out_axes=(0, None), axis_name="batch")
    found, found_state = again([module, state])
    assert same(run(found, found_state, X)[0], run(module, state, X)[0])
    fresh = again(eqx.nn.BatchNorm(3, "batch", mode=mode))
    assert same(run(fresh, eqx.nn.State(fresh), X)[0], run(module, state, X)[0])


def test_a_module_of_mine_needs_a_word() -> None:
    net = Net(KEY)
    data = saved(net)
    with pytest.raises(UntrustedError, match=r"classes=\[Net\]"):
        loaded(data)
    found = loaded(data, [Net])
    assert found.tied is found.first
    assert found.act is jax.nn.gelu
    assert same(found(X[0]), net(X[0]))
    assert jax.tree.structure(found) == jax.tree.structure(net)


# -- Flax: Linen and training -----------------------------------------------------------------------------------------


@struct.dataclass
class Metrics:
    loss: Any
    name: str = struct.field(pytree_node=False)


class Batched(TrainState):
    batch_stats: Any = None


class Mine(linen.Module):
    width: int
    act: Any = linen.relu
    inner: Any = None

    @linen.compact
    def __call__(self, x: Any) -> Any:
        return self.inner(self.act(linen.Dense(self.width)(x)))


def test_a_frozen_dictionary() -> None:
    frozen = freeze({"a": {"b": X, "tag": None}, "tag": 1})
    found = again({"x": frozen, "y": frozen})
    assert type(found["x"]) is FrozenDict
    assert found["x"] is found["y"]
    assert same(found["x"].unfreeze(), frozen.unfreeze())
    assert hash(again(freeze({"a": 1}))) == hash(freeze({"a": 1}))


@pytest.mark.parametrize("cls", [TrainState, Batched])
def test_a_train_state_goes_on_with_its_code_put_back(cls: Any) -> None:
    model, tx = linen.Dense(2), optax.adam(1e-2)
    params = model.init(KEY, X)
    state = cls.create(apply_fn=model.apply, params=params, tx=tx)
    gradients = jax.tree.map(jnp.cos, params)
    state = state.apply_gradients(grads=gradients)
    found = again(state, [Batched])
    assert (type(found), found.tx, found.apply_fn, found.step) == (cls, None, None, 1)
    found = found.replace(apply_fn=model.apply, tx=tx)
    assert same(found.apply_gradients(grads=gradients).params, state.apply_gradients(grads=gradients).params)


def test_dataclasses_and_boxes_of_flax() -> None:
    metrics = Metrics(jnp.ones(()), "train")
    assert again(metrics, [Metrics]) == metrics
    box = linen.Partitioned(X, ("data", None))
    found = again(box)
    assert (type(found), found.names, same(found.value, X)) == (linen.Partitioned, ("data", None), True)


def test_modules_of_linen() -> None:
    inner = linen.Sequential([linen.Dense(4, dtype=jnp.bfloat16, kernel_init=linen.initializers.zeros), linen.tanh])
    module = Mine(5, act=jax.nn.silu, inner=inner)
    params = module.init(KEY, X)
    found, found_params = again([module, params], [Mine])
    assert (type(found), found.act) == (Mine, jax.nn.silu)
    assert same(found.apply(found_params, X), module.apply(params, X))
    assert same(found.init(KEY, X), params)
    assert again(linen.Dense(3, name="out")) == linen.Dense(3, name="out")


def test_a_bound_module_is_refused() -> None:
    module = linen.Dense(2)
    assert "the parameters beside it" in refusal(module.bind(module.init(KEY, X)))


def test_an_initialiser_with_numbers_inside_is_refused_by_its_path() -> None:
    assert "$.x.kernel_init" in refusal(linen.Dense(2, kernel_init=linen.initializers.normal(0.3)))


# -- Flax: NNX --------------------------------------------------------------------------------------------------------


class Deep(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Linear(3, 4, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
        self.norm, self.drop = nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 4, 4, 4, rngs=rngs, decode=False)
        self.tied, self.scale = self.embed.kernel, Scale(jnp.ones(4), kind="scale")
        self.act = jax.nn.gelu

    def __call__(self, x: Any) -> Any:
        x = self.act(self.embed(x))
        for layer in self.layers:
            x = self.drop(self.norm(layer(x)))
        return self.attention(x[None])[0] * self.scale + self.tied.sum()


class Scale(nnx.Param):
    pass


def test_a_module_of_nnx_goes_on() -> None:
    model = Deep(nnx.Rngs(0, dropout=1))
    data = saved({"model": model})
    with pytest.raises(UntrustedError, match="Deep"):
        loaded(data)
    found = loaded(data, [Deep, Scale])["model"]
    assert found.tied is found.embed.kernel
    assert (type(found.scale), found.scale.get_metadata()) == (Scale, model.scale.get_metadata())
    assert nnx.graphdef(found) == nnx.graphdef(model)
    assert same(found(X), model(X))  # with dropout, and batch statistics that move
    assert same(found(X), model(X))
    assert same(nnx.to_pure_dict(nnx.state(found)), nnx.to_pure_dict(nnx.state(model)))
    nnx.jit(lambda m: m(X))(found)


def test_an_optimiser_of_nnx_goes_on_with_its_code_put_back() -> None:
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    only = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("bias")))
    optimiser = nnx.Optimizer(model, optax.adam(1e-2), wrt=only)
    gradients = nnx.grad(lambda m: (m(X) ** 2).sum(), argnums=nnx.DiffState(0, only))

    optimiser.update(model, gradients(model))
    found, found_optimiser = again([model, optimiser])
    assert (found_optimiser.tx, found_optimiser.wrt) == (None, only)
    found_optimiser.tx = optax.adam(1e-2)
    optimiser.update(model, gradients(model))
    found_optimiser.update(found, gradients(found))
    assert same(nnx.to_pure_dict(nnx.state(found)), nnx.to_pure_dict(nnx.state(model)))


def test_a_state_of_nnx() -> None:
    model = Deep(nnx.Rngs(0))
    state = nnx.state(model)
    found = again(state, [Scale])
    assert type(found) is nnx.State
    other = Deep(nnx.Rngs(7))
    nnx.update(other, found)
    assert same(nnx.to_pure_dict(nnx.state(other)), nnx.to_pure_dict(state))


def test_streams_of_random_numbers_go_on() -> None:
    rngs = nnx.Rngs(0, params=3)
    rngs.params()
    found = again(rngs)
    assert same(found.params(), rngs.params())
    assert same(found.other(), rngs.other())


def test_what_goes_through_time() -> None:
    """An RNN has filters with axes, and a Bidirectional a function of its class."""

    def rnn(seed: int) -> nnx.RNN:
        return nnx.RNN(nnx.GRUCell(3, 2, rngs=nnx.Rngs(seed)))

    x = jnp.arange(12.0).reshape(1, 4, 3)
    for layer in (rnn(0), nnx.Bidirectional(rnn(0), rnn(1))):
        found = again(layer)
        assert nnx.graphdef(found) == nnx.graphdef(layer)
        assert same(found(x), layer(x))
    other = nnx.Bidirectional(rnn(0), rnn(1), merge_fn=lambda a, b: a)
    assert "merge_fn" in refusal(other)


def test_metrics_of_nnx_go_on() -> None:
    metrics = nnx.MultiMetric(loss=nnx.metrics.Average("loss"), spread=nnx.metrics.Welford("loss"))
    metrics.update(loss=jnp.array([1.0, 2.0]))
    found = again(metrics)
    for each in (metrics, found):
        each.update(loss=jnp.array([6.0]))
    assert same(found.compute(), metrics.compute())
    assert float(found.compute()["loss"]) == 3


def test_what_a_loop_of_flax_carries_along() -> None:
    stop = EarlyStopping(patience=1).update(3.0).update(4.0)
    scale = DynamicScale(growth_interval=2)
    found_stop, found_scale = again([stop, scale])
    assert (found_stop, found_scale) == (stop, scale)
    assert found_stop.update(5.0).should_stop


def test_a_module_of_linen_in_one_of_nnx() -> None:
    module = nnx.bridge.ToNNX(linen.Dense(2), rngs=nnx.Rngs(0))
    module.lazy_init(X)
    assert same(again(module)(X), module(X))


def test_what_has_no_place() -> None:
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    assert "save the module itself" in refusal(nnx.split(model)[0])

    class Inside(nnx.Module):
        pass

    assert "move it to the top" in refusal(Inside())


@pytest.mark.parametrize(
    "state",
    [
        {"attributes": {}, "nodes": [{"kernel": 1}]},
        {"attributes": {}, "nodes": [3]},
        {"attributes": {"_pytree__state": 1}, "nodes": [{}]},
        {"attributes": {"__call__": 1}, "nodes": [{}]},
        {"attributes": 3, "nodes": [{}]},
        {"nodes": [{}]},
        3,
    ],
    ids=str,
)
def test_a_module_of_nothing_is_refused(state: Any) -> None:
    with pytest.raises(FormatError):
        lifted({"x": {"tag": "python", "type": "flax.nnx.Linear", "state": state}})


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("flax.nnx.Param", {"value": 1}),
        ("flax.nnx.Param", {"value": 1, "metadata": 2}),
        ("flax.nnx.Param", 1),
        ("flax.nnx.State", [1]),
        ("flax.core.FrozenDict", [1]),
        ("flax.linen.Dense", {"features": 1, "parent": 2}),
        ("flax.linen.Dense", 1),
        ("flax.training.train_state.TrainState", 1),
        ("equinox.nn.Linear", {"__call__": 1}),
        ("jax.ShapeDtypeStruct", 1),
        ("jax.sharding.PartitionSpec", 1),
        ("jax.lax.Precision", {"name": "NONE"}),
    ],
)
def test_a_value_of_nothing_is_refused(name: str, state: Any) -> None:
    with pytest.raises(FormatError):
        lifted({"x": {"tag": "python", "type": name, "state": state}})


def test_nothing_of_nnx_is_filled_in_place(tmp_path: Any) -> None:
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    save(tmp_path / "m.bson", model=model)
    with pytest.raises(MismatchError, match=r"nnx\.update"):
        restore(tmp_path / "m.bson", model=nnx.Linear(3, 2, rngs=nnx.Rngs(1)))


def test_the_names_in_files_are_the_public_ones() -> None:
    def name(value: Any) -> str:
        node = written(lower({"x": value}, vocabulary()))["x"]
        return str(node["type"] if node["tag"] == "python" else node["python"])

    assert name(optax.scale_by_adam().init(PARAMS)) == "optax.ScaleByAdamState"
    assert name(eqx.nn.Linear(2, 2, key=KEY)) == "equinox.nn.Linear"
    assert name(nnx.Linear(2, 2, rngs=nnx.Rngs(0))) == "flax.nnx.Linear"
    assert name(nnx.Param(X)) == "flax.nnx.Param"
    assert name(linen.Dense(2)) == "flax.linen.Dense"
    assert name(X) == "jax.Array"
    for function in (jax.nn.gelu, jax.nn.relu, jax.numpy.tanh, jax.nn.initializers.zeros):
        assert name(function).startswith("jax."), "Flax has it from JAX: a file with it does not need Flax"
    assert name(nnx.initializers.zeros_init()) == name(jax.nn.initializers.zeros)


def test_names_of_flax_for_what_is_jaxs_are_read() -> None:
    """Files of before had these."""
    node = {"tag": "python", "type": "flax.nnx.nn.activations.gelu"}
    assert lifted({"x": node}) is jax.nn.gelu
