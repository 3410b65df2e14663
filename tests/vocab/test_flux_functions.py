"""Functions in models: by name, partly applied, composed, and Julia code that Python does not have."""

from pathlib import Path
from typing import Any

import pytest
import torch

from documents import difference
from holdfast import UnsupportedError, flux, load, save
from holdfast.codec.rule import Options
from holdfast.flux import Chain, Compose, Dense, Fix1, Fix2, SkipConnection, add, relu, softmax, tanh
from holdfast.formats import bson
from holdfast.julia.values import AnonymousType, DataType, Ref, Struct
from holdfast.vocab.flux.code import JuliaCode, JuliaLayer
from holdfast.vocab.flux.functions import BY_NAME, JuliaFunction, callable_of, function_name, struct_of
from holdfast.vocab.flux.julia_functions import JULIA_ONLY
from holdfast.vocab.flux.today import for_flux
from reference import CORPUS, JULIA, needs_corpus, needs_julia_files

OPTIONS = Options()


def named(*path: str) -> Struct:
    """The struct of a function."""
    return Struct(DataType(path))


def base(name: str, *fields: Any) -> Struct:
    return Struct(DataType(["Main", "Base", name]), fields)


def closure(name: str, *fields: Any, source: str = "model.jl", module: str = "Main", names: Any = ()) -> Struct:
    """A struct whose type is a closure, as far as it matters."""
    method = Struct(DataType(["Core", "Method"]), [Ref(module), name, source, 12])
    about = Struct(DataType(["Core", "TypeName"]), ["1.5.3", name, names, None, None, None, [name, [method]]])
    return Struct(AnonymousType(about, []), fields)


@pytest.mark.parametrize(
    ("path", "function"),
    [
        (("NNlib", "#relu"), relu),
        (("NNlib", "#σ"), flux.σ),
        (("Main", "Base", "#tanh"), tanh),
        (("Base", "#tanh"), tanh),
        (("Flux", "#flatten"), flux.flatten),
        (("MLUtils", "#flatten"), flux.flatten),
        (("Main", "Base", "#+"), add),
        (("Main", "Base", "#vcat"), flux.vcat),
        (("Statistics", "#mean"), flux.mean),
        (("Core", "#tuple"), flux.pack),
        (("NNlib", "#sigmoid"), flux.σ),
    ],
)
def test_names_of_every_time(path: tuple[str, ...], function: Any) -> None:
    assert callable_of(named(*path), OPTIONS) is function


def test_every_function_of_julia_has_a_struct() -> None:
    for name, function in {**flux.FUNCTIONS, **JULIA_ONLY, **flux.ACTIVATIONS}.items():
        struct = struct_of(function)
        assert struct is not None, name
        assert BY_NAME[function_name(struct)] is function
    assert struct_of(print) is None
    assert struct_of(lambda x: x) is None


X = torch.arange(24.0).reshape(2, 3, 4)  # Julia's 4×3×2

FUNCTIONS: list[tuple[Struct, Any, torch.Tensor]] = [
    (base("Fix2", named("Main", "Base", "#reshape"), (12, 2)), X, X.reshape(2, 12)),
    (base("Fix2", named("Main", "Base", "#reshape"), (base("Colon"), 2)), X, X.reshape(2, 12)),
    (base("Fix2", named("Main", "Base", "#permutedims"), (2, 1, 3)), X, X.transpose(1, 2)),
    (base("Fix2", named("Main", "Base", "#permutedims"), (3, 1, 2)), X, X.permute(1, 2, 0)),
    (base("Fix2", named("Main", "Base", "#/"), 4.0), X, X / 4),
    (base("Fix1", named("Main", "Base", "#-"), 1), X, 1 - X),
    (base("Fix2", named("Main", "Base", "#^"), 2), X, X * X),
    (base("Fix2", named("Main", "Base", "#max"), 5), X, X.clamp(min=5)),
    (base("Fix1", named("Main", "Base", "Broadcast", "#broadcast"), named("NNlib", "#relu")), X - 9, relu(X - 9)),
    (base("Fix2", named("MLUtils", "#_unsqueeze"), 1), X, X.unsqueeze(-1)),
    (base("ComposedFunction", named("Main", "Base", "#abs2"), named("Main", "Base", "#sin")), X, X.sin() ** 2),
    (closure("#58#59", named("NNlib", "#relu"), named("Main", "Base", "#sin"), source="operators.jl", module="Main.Base",
             names=("f", "g")), X, relu(X.sin())),
    (named("Main", "Base", "#vec"), X, X.flatten()),
    (named("Main", "Base", "#sum"), X, X.sum()),
    (named("Main", "Base", "#transpose"), X[0], X[0].T),
]  # fmt: skip


@pytest.mark.parametrize(("struct", "x", "y"), FUNCTIONS, ids=lambda value: repr(value)[:40])
def test_functions_made_of_functions(struct: Struct, x: Any, y: torch.Tensor) -> None:
    assert torch.equal(callable_of(struct, OPTIONS)(x), y)


@pytest.mark.parametrize(
    "function",
    [
        Fix2(flux.subtract, 10),
        Fix1(flux.add, 2.5),
        Compose(relu, Dense(4, 4)),
        Fix1(JULIA_ONLY["broadcast"], tanh),
        Compose(Fix2(JULIA_ONLY["reshape"], (4, 6)), softmax),
    ],
    ids=repr,
)
def test_they_come_back_in_a_chain_and_alone(function: Any, tmp_path: Path) -> None:
    save(tmp_path / "f.bson", model=Chain(function), alone=function)
    model, alone = load(tmp_path / "f.bson", "model", "alone")
    assert repr(model) == f"Chain({function!r})"
    assert repr(alone) == repr(function)
    assert torch.allclose(model(X), alone(X))


def test_a_function_by_itself(tmp_path: Path) -> None:
    """Julia's ``@save f softmax``: it can be called, and goes back as it was."""
    bare = JuliaFunction(named("NNlib", "#softmax"), softmax)
    save(tmp_path / "f.bson", f=bare)
    again = load(tmp_path / "f.bson", "f")
    assert repr(again) == "softmax"
    assert torch.equal(again(X), softmax(X))
    document = bson.open_file(tmp_path / "f.bson").document
    assert (document["f"]["tag"], document["f"]["type"]["name"]) == ("struct", ["NNlib", "#softmax"])


# -- Julia code -------------------------------------------------------------------------------------------------------


def test_a_closure_says_what_it_is_and_what_to_do() -> None:
    code = callable_of(closure("#3#4", source="/home/me/train.jl"), OPTIONS)
    assert isinstance(code, JuliaCode)
    model = Chain(Dense(4, 4), code)
    with pytest.raises(UnsupportedError, match=r"closure #3#4 from /home/me/train\.jl:12 is Julia code") as raised:
        model(torch.zeros(1, 4))
    assert "functions={'#3#4': f}" in str(raised.value)
    assert "in layers[1] of this Chain" in raised.value.__notes__[0]


def test_the_caller_s_function_stands_for_it() -> None:
    struct = closure("#3#4")
    given = Options(functions={"#3#4": torch.relu})
    assert callable_of(struct, given) is torch.relu
    mine = named("Main", "#swish2")
    for key in ("Main.#swish2", "#swish2", "Main.swish2", "swish2"):
        assert callable_of(mine, Options(functions={key: torch.sigmoid})) is torch.sigmoid
    assert isinstance(callable_of(mine, given), JuliaCode)
    assert "Julia's Main.swish2 is Julia code" in callable_of(mine, given).advice()


def test_another_closure_of_two_fields_is_no_composition() -> None:
    assert isinstance(callable_of(closure("#5#6", relu, tanh, names=("f", "g")), OPTIONS), JuliaCode)


def test_layers_inside_julia_code_are_parts_of_the_model() -> None:
    """A callable struct of the user's own: its method is Julia code, its layers are live."""
    mine = Struct(
        DataType(["Main", "Gated"]), [Dense(3, 3), [Dense(3, 2), Struct(DataType(["Main", "P"]), [Dense(2, 1)])]]
    )
    layer = callable_of(mine, OPTIONS)
    assert isinstance(layer, JuliaLayer)
    model = Chain(Dense(3, 3), layer)
    assert [tuple(p.shape) for p in flux.params(model)] == [(3, 3), (3,), (3, 3), (3,), (2, 3), (2,), (1, 2), (1,)]
    model.double()
    assert mine[0].weight.dtype == torch.float64
    with pytest.raises(UnsupportedError, match=r"Julia's Main\.Gated is Julia code"):
        model(torch.zeros(3, dtype=torch.float64))


@needs_julia_files
def test_the_line_that_the_error_names_works(tmp_path: Path) -> None:
    path = JULIA / "flux-0.8.3" / "conv_net.bson"
    model = load(path, "model")
    with pytest.raises(UnsupportedError) as raised:
        model(torch.zeros(1, 1, 8, 8))
    assert raised.value.path == "model.layers[3]"
    assert "/flux08.jl:90" in str(raised.value)
    line = raised.value.message.partition("place, ")[2].partition(" = ")[0]
    exec(f"{line} = lambda x: x.flatten(1)", {"model": model})
    given = load(path, "model", functions={"#62#63": flux.flatten})
    x = torch.randn(1, 1, 8, 8)
    assert torch.equal(model(x), given(x))
    save(tmp_path / "again.bson", model=given)  # the closure of the file goes back in its place
    assert difference(bson.open_file(tmp_path / "again.bson").document, bson.open_file(path).document) == ""


def test_places_in_nested_models(tmp_path: Path) -> None:
    inner = Chain(Dense(2, 2), JuliaCode(closure("#1#2")))
    skip = SkipConnection(inner, JuliaCode(closure("#7#8")))
    model = Chain(relu, skip, Chain(a=Dense(2, 2, JuliaCode(closure("#9#10")))))
    save(tmp_path / "nested.bson", model=model)
    again = load(tmp_path / "nested.bson", "model")
    places = [code.place for _, code in again._julia.codes]
    assert places == [".layers[1].layers.layers[1]", ".layers[1].connection", ".layers[2].layers['a'].activation"]
    for place in places:
        exec(f"model{place} = f", {"model": again, "f": (lambda *xs: xs[0])})
    assert again(torch.ones(1, 2)).shape == (1, 2)


@needs_corpus
@pytest.mark.parametrize(
    ("name", "key", "source"),
    [
        ("FluxML__model-zoo__games__weights__ppo__CartPole-v0__policy_cat.bson", "π", "policies.jl:61"),
        ("FluxML__model-zoo__games__weights__ppo__Pendulum-v0__policy_mu.bson", "μ", "policies.jl:89"),
    ],
)
def test_closures_in_public_models(name: str, key: str, source: str) -> None:
    model = load(CORPUS / "files" / name, key)
    with pytest.raises(UnsupportedError, match=source):
        model(torch.zeros(1, model[0].weight.shape[1]))


@pytest.mark.parametrize(
    ("version", "name"), [("", "#gelu_tanh"), ("0.16", "#gelu_tanh"), ("0.16.3", "#gelu"), ("0.12.1", "#gelu")]
)
def test_gelu_has_the_name_of_its_time(version: str, name: str, tmp_path: Path) -> None:
    """NNlib 0.9.28 has no type ``#gelu`` any more, and the versions before it have no ``#gelu_tanh``."""
    model = Chain(Dense(4, 3, flux.gelu), flux.gelu, softmax)
    save(tmp_path / "m.bson", model=for_flux(model, version))
    written = (tmp_path / "m.bson").read_bytes()
    assert [each for each in ("#gelu", "#gelu_tanh") if f"{each}\0".encode() in written] == [name]
    again = load(tmp_path / "m.bson", "model")
    assert again[0].activation is again[1] is flux.gelu is flux.gelu_tanh
    save(tmp_path / "again.bson", model=again)
    assert difference(*(bson.open_file(tmp_path / f"{each}.bson").document for each in ("m", "again"))) == ""
