"""Whole models: users' classes, shared weights, names, what is refused and where, and files that lie."""

import contextlib
import copy
import functools
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from holdfast.codec.lower import lower
from holdfast.errors import FormatError, HoldfastError, UnsupportedError, UntrustedError
from holdfast.vocab import classes, vocabulary
from holdfast.wire.read import read_document
from through_memory import again, lifted, loaded, saved

Item = TypeVar("Item")


class Block(nn.Module):
    """A user's module: everything that may stand in one."""

    scale: torch.Tensor
    hidden: torch.Tensor
    made = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        Block.made += 1
        self.inner = nn.Linear(width, width)
        self.again = nn.Linear(width, width)
        self.again.weight = self.inner.weight
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("hidden", torch.arange(3), persistent=False)
        self.register_buffer("nothing", None)
        self.register_parameter("absent", None)
        self.act = F.gelu
        self.norm = functools.partial(nn.LayerNorm, eps=1e-3)
        self.kind = nn.BatchNorm1d
        self.shape = torch.Size([1, 2])
        self.unregistered = [nn.ReLU(), torch.zeros(2)]
        self.weights = {"tag": 1, 2: "two"}
        self.tag = "array"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.act(self.again(self.inner(x))) * self.scale
        return out


class Attacked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.size = 3

    @property
    def depth(self) -> int:
        return 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Box(nn.Module, Generic[Item]):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


class OwnDirections(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def __lower__(self) -> Any:
        return self.width

    @classmethod
    def __lift__(cls, state: Any) -> "OwnDirections":
        return cls(int(state))


def test_a_users_module() -> None:
    block = Block(4).eval()
    block.inner.bias.requires_grad_(False)
    data, made = saved(block), Block.made
    other = loaded(data, [Block])
    assert Block.made == made, "no __init__ runs"
    x = torch.rand(2, 4)
    assert torch.equal(other(x), block(x))
    assert not other.training
    assert not other.inner.training
    assert other.again.weight is other.inner.weight
    assert not other.inner.bias.requires_grad
    assert other.inner.weight.requires_grad
    assert other.state_dict().keys() == block.state_dict().keys()
    assert torch.equal(other.hidden, block.hidden)
    assert other._non_persistent_buffers_set == {"hidden"}
    assert other._buffers["nothing"] is None
    assert other._parameters["absent"] is None
    assert other.act is F.gelu
    assert other.norm.func is nn.LayerNorm
    assert other.kind is nn.BatchNorm1d
    assert (other.tag, other.weights, other.shape) == (block.tag, block.weights, block.shape)
    assert isinstance(other.unregistered[0], nn.ReLU)
    assert torch.equal(other.unregistered[1], torch.zeros(2))
    assert repr(other) == repr(block)


def test_a_class_that_nobody_allowed() -> None:
    with pytest.raises(UntrustedError) as caught:
        loaded(saved(nn.Sequential(Block(2), Attacked())))
    assert caught.value.names == tuple(sorted(f"{cls.__module__}.{cls.__qualname__}" for cls in (Block, Attacked)))


def test_a_class_under_another_name() -> None:
    document = read_document(saved(Attacked())).document
    document["x"]["type"] = "old.place.Net"
    assert type(lifted(document, {"old.place.Net": Attacked})) is Attacked


def test_a_class_with_its_own_directions() -> None:
    assert again(OwnDirections(7), [OwnDirections]).width == 7


def test_a_registered_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "REGISTERED", {})
    classes.register(Attacked, name="nets.Attacked")
    model = Attacked()
    model.register_forward_hook(lambda *_: None)
    with pytest.raises(UnsupportedError, match="forward hook"):
        saved(model)
    data = saved(Attacked())
    assert read_document(data).document["x"]["type"] == "nets.Attacked"
    assert loaded(data).size == 3


def test_tied_weights_are_written_once() -> None:
    tied = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256))
    tied[1].weight = tied[0].weight
    data = saved(tied)
    assert len(data) < 256 * 256 * 4 + 8 * 1024
    other = loaded(data)
    assert other[0].weight is other[1].weight


def test_one_module_in_two_places() -> None:
    layer = nn.Linear(2, 2)
    other = again({"model": nn.Sequential(layer, nn.ReLU(), layer), "head": layer})
    assert other["model"][0] is other["model"][2] is other["head"]


def test_a_state_dict_with_its_versions() -> None:
    state = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)).state_dict()
    other = again(state)
    assert type(other) is type(state)
    assert list(other) == list(state)
    assert other._metadata == state._metadata
    assert all(map(torch.equal, other.values(), state.values()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_in_place_is_to_be_called_again() -> None:
    model = nn.Linear(2, 2)
    model.compile()
    assert again(model)._compiled_call_impl is None


def test_a_generic_module() -> None:
    assert again(Box[int](3), [Box]).size == 3


def test_a_module_that_knows_its_parent() -> None:
    parent, child = Attacked(), Attacked()
    parent.child, child.parent = child, (parent,)  # type: ignore[assignment]
    other = again(child, [Attacked])
    assert other.parent[0].child is other


def test_in_julia_a_sequential_is_dictionaries_of_arrays() -> None:
    document = read_document(saved(nn.Sequential(nn.Linear(2, 3)))).document["x"]
    weight = document["state"]["modules"]["0"]["state"]["parameters"]["weight"]
    assert document["type"] == "torch.nn.Sequential"
    assert weight["python"] == "torch.nn.Parameter"
    assert weight["tag"] == "struct"
    assert weight["data"][0]["size"] == [2, 3]


def test_rnn_weights_are_the_parameters() -> None:
    lstm = again(nn.LSTM(3, 4, num_layers=2, bidirectional=True))
    assert all(a is b for a, b in zip(lstm._flat_weights, lstm.parameters(), strict=True))
    assert all(type(reference) is weakref.ref for reference in lstm._flat_weight_refs)
    lstm.weight_ih_l0 = nn.Parameter(torch.zeros(16, 3))
    assert lstm._flat_weights[0] is lstm.weight_ih_l0
    assert lstm.double().all_weights[0][0].dtype == torch.float64


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_an_averaged_model(decay: float) -> None:
    net = nn.Linear(2, 2)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay) if decay else None)
    average.update_parameters(net)
    other, twin = again(average), copy.deepcopy(average)
    net.weight.data += 1
    for model in (other, twin):
        model.update_parameters(net)
    assert torch.equal(other.module.weight, twin.module.weight)
    assert other.n_averaged == 2


def trees(layers: list[nn.Module]) -> st.SearchStrategy[nn.Module]:
    """Containers of containers; the same layer may stand in several places."""
    leaves = st.sampled_from(layers)
    names = st.text(st.sampled_from("abé_ 1"), min_size=1, max_size=3).filter(
        lambda name: not hasattr(nn.ModuleDict, name)
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda some: nn.Sequential(*some)),
            st.lists(inner, max_size=3).map(nn.ModuleList),
            st.dictionaries(names, inner, max_size=3).map(nn.ModuleDict),
        ),
        max_leaves=8,
    )


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_tree_of_modules(data: st.DataObject) -> None:
    tied = nn.Linear(2, 3)
    tied.bias = nn.Parameter(tied.weight.detach()[:, 0])
    tree = data.draw(trees([tied, nn.Linear(3, 2), nn.BatchNorm1d(2).eval(), nn.GRU(2, 2), nn.ReLU()]))
    other = again(tree)
    assert repr(other) == repr(tree)
    one, two = (
        [*m.named_parameters(remove_duplicate=False), *m.named_buffers(remove_duplicate=False)] for m in (tree, other)
    )
    assert [name for name, _ in one] == [name for name, _ in two]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(one, two, strict=True))
    assert [m.training for m in tree.modules()] == [m.training for m in other.modules()]
    assert len(list(other.parameters())) == len(list(tree.parameters()))
    assert saved(other) == saved(tree)


# -- what is refused, and where ---------------------------------------------------------------------------------------


def hooked(register: str, *arguments: Any) -> nn.Module:
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    getattr(model[1], register)(*arguments or (lambda *_: None,))
    return model


def lazy() -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.LazyLinear(3))


def replaced() -> nn.Module:
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    model[1].forward = lambda x: x  # type: ignore[assignment]
    return model


def local() -> nn.Module:
    class Local(nn.Module):
        pass

    return nn.Sequential(nn.ReLU(), Local())


def bare() -> nn.Module:
    return nn.Sequential(nn.ReLU(), Block.__new__(Block))


def parametrised(kind: Callable[[nn.Module], Any]) -> nn.Module:
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    kind(model[1])
    return model


def on_meta() -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Linear(2, 2, device="meta"))


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "forward hook": (lambda: hooked("register_forward_hook"), "forward hook", "[1]"),
    "forward pre-hook": (lambda: hooked("register_forward_pre_hook"), "forward pre hook", "[1]"),
    "backward hook": (lambda: hooked("register_full_backward_hook"), "backward hook", "[1]"),
    "backward pre-hook": (lambda: hooked("register_full_backward_pre_hook"), "backward pre hook", "[1]"),
    "state_dict hook": (lambda: hooked("register_state_dict_post_hook"), "state dict hook", "[1]"),
    "state_dict pre-hook": (lambda: hooked("register_state_dict_pre_hook"), "state dict pre hook", "[1]"),
    "load hook": (lambda: hooked("register_load_state_dict_pre_hook"), "load state dict pre hook", "[1]"),
    "load post hook": (lambda: hooked("register_load_state_dict_post_hook"), "load state dict post hook", "[1]"),
    "weight_norm": (lambda: parametrised(parametrizations.weight_norm), "remove_parametrizations", "[1]"),
    "orthogonal": (lambda: parametrised(parametrizations.orthogonal), "remove_parametrizations", "[1]"),
    "old weight_norm": (lambda: parametrised(nn.utils.weight_norm), "remove_weight_norm", "[1]"),
    "old spectral_norm": (lambda: parametrised(nn.utils.spectral_norm), "remove_spectral_norm", "[1]"),
    "prune": (lambda: parametrised(lambda m: prune.random_unstructured(m, "weight", 0.5)), "prune.remove", "[1]"),
    "lazy": (lazy, "run one batch", "[1]"),
    "replaced forward": (replaced, "'forward' is a method", "[1].forward"),
    "local class": (local, "move it to the top", "[1]"),
    "no init": (bare, "super().__init__()", "[1]"),
    "meta": (on_meta, "no values", "[1].weight"),
    "DataParallel": (lambda: nn.DataParallel(nn.ReLU()), "save model.module", ""),
    "compiled": (lambda: torch.compile(nn.ReLU()), "save model._orig_mod", ""),
    "lambda": (lambda: nn.TransformerEncoderLayer(4, 2, activation=lambda x: x), "a lambda has no name", ".activation"),
    "traced": (lambda: torch.fx.symbolic_trace(nn.Linear(2, 2)), "generated code", ""),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:Lazy modules")
def test_refused_by_path(name: str) -> None:
    make, words, path = REFUSED[name]
    with pytest.raises(UnsupportedError) as caught:
        lower({"model": make()}, vocabulary())
    assert caught.value.path == f"$.model{path}"
    assert words in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*torch.jit")
def test_script_modules_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="compiled program"):
        saved(torch.jit.script(nn.Linear(2, 2)))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_lazy_module_that_has_seen_a_batch() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    model(torch.rand(4, 2))
    assert repr(again(model)) == repr(model)


def test_a_removed_hook_is_no_hook() -> None:
    model = nn.Linear(2, 2)
    model.register_forward_hook(lambda *_: None).remove()
    model.register_full_backward_hook(lambda *_: None).remove()
    assert torch.equal(again(model).weight, model.weight)


# -- files that lie ---------------------------------------------------------------------------------------------------


def linear(**attributes: Any) -> dict[str, Any]:
    """The document of a Linear with these things in its attributes."""
    document = read_document(saved(nn.Linear(2, 2))).document
    document["x"]["state"]["attributes"].update(attributes)
    return document


@pytest.mark.parametrize(
    "name",
    [
        *("forward", "__class__", "__dict__", "__call__", "_call_impl", "_compiled_call_impl", "state_dict", "to"),
        *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_parameters", "_modules", "training"),
        *("reset_parameters", "extra_repr", "__setstate__", "_is_full_backward_hook", "_non_persistent_buffers_set"),
    ],
)
def test_attributes_that_are_code_or_torchs_own(name: str) -> None:
    with pytest.raises(FormatError, match="no attribute"):
        lifted(linear(**{name: None}))


def test_a_property_is_set_past_the_class() -> None:
    document = read_document(saved(Attacked())).document
    document["x"]["state"]["attributes"]["depth"] = 5
    assert lifted(document, [Attacked]).depth == 1


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("parameters", {"weight": 1}),
        ("parameters", {"a.b": None}),
        ("parameters", {"": None}),
        ("parameters", [1]),
        ("modules", {"0": "torch.nn.Linear"}),
        ("modules", 3),
        ("buffers", {"x": [1.0]}),
        ("buffers", None),
        ("non_persistent", ["x"]),
        ("non_persistent", 5),
        ("training", 1),
        ("attributes", "x"),
    ],
)
def test_parts_that_are_none(section: str, value: Any) -> None:
    document = read_document(saved(nn.Linear(2, 2))).document
    document["x"]["state"][section] = value
    with pytest.raises(FormatError):
        lifted(document)


@pytest.mark.parametrize("layers", [10**15, -1, "many", None, 2.5])
def test_an_rnn_of_impossible_layers(layers: Any) -> None:
    document = read_document(saved(nn.LSTM(2, 2))).document
    document["x"]["state"]["attributes"]["num_layers"] = layers
    if layers == -1:
        assert lifted(document)._flat_weights == []
    else:
        with pytest.raises(FormatError):
            lifted(document)


def test_no_weight_names_come_from_a_file() -> None:
    for name in ("_flat_weights_names", "_all_weights", "_flat_weights"):
        document = read_document(saved(nn.LSTM(2, 2))).document
        document["x"]["state"]["attributes"][name] = ["forward"]
        with pytest.raises(FormatError, match="no attribute"):
            lifted(document)


@pytest.mark.parametrize(
    "name",
    [
        *("torch.load", "torch.hub.load", "os.system", "torch.nn.functional.boolean_dispatch", "torch.nn.Lambda"),
        *("torch.nn.functional.importlib", "torch.nn.parameter.torch.os.system", "torch.nn.LazyLinear", "torch.save"),
        *("torch.nn.DataParallel", "torch.jit.ScriptModule", "torch.nn.modules.module.Module"),
    ],
)
def test_names_outside_the_table(name: str) -> None:
    with pytest.raises(UntrustedError) as caught:
        lifted(linear(activation={"tag": "python", "type": name}))
    assert caught.value.names == (name,)


def test_every_change_of_a_document_is_refused_or_loads() -> None:
    """Each value of the document replaced by each of these: an error of ours, or an object; nothing else happens."""
    data = saved(nn.Sequential(nn.LSTM(2, 2), nn.BatchNorm1d(2)))
    values = [None, -1, 2**62, "x", [], [[]], {}, {"tag": "python", "type": "torch.Tensor"}, 1.5, True]
    for path in list(paths(read_document(data).document["x"])):
        for value in values:
            document = read_document(data).document
            put(document["x"], path, value)
            with contextlib.suppress(HoldfastError):
                lifted(document)


def paths(node: Any, path: tuple[Any, ...] = ()) -> Any:
    entries = node.items() if type(node) is dict else enumerate(node) if type(node) is list else ()
    for key, value in entries:
        yield (*path, key)
        yield from paths(value, (*path, key))


def put(node: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
