"""What Holdfast saves is, in a real Julia, the same value: element by element, of the type that Julia has for it.

All values stand in one file; another holds what only Python has. Skipped where there is no Julia.
"""

import functools
import itertools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast import save
from julia_runner import julia_or_skip, opened, opened_all
from julia_values import said_array

Said = dict[str, Any]


class Mine:
    """A class of the user's."""

    def __init__(self) -> None:
        self.weight, self.name = np.arange(6.0).reshape(2, 3), "first"


# -- arrays -----------------------------------------------------------------------------------------------------------

NUMBERS = (
    *(np.dtype(name) for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")),
    *(np.dtype(name) for name in ("float16", "float32", "float64", "complex64", "complex128")),
)
SHAPES = ((), (3,), (0,), (2, 3), (0, 3), (2, 1, 3), (2, 3, 2, 2))


def numbers(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Other numbers in every place, with the ends of the type among them."""
    flat = np.arange(np.prod(shape, dtype=int)).astype(dtype)
    if dtype.kind in "iu" and flat.size:
        flat[-1] = np.iinfo(dtype).max
    return flat.reshape(shape) if dtype.kind != "c" else (flat * (1 - 0.5j)).astype(dtype).reshape(shape)


def numpy_arrays() -> dict[str, np.ndarray]:
    every = {
        f"{dtype} {shape} {order}": np.array(numbers(dtype, shape), order=order)
        for dtype, shape, order in itertools.product(NUMBERS, SHAPES, "CF")
    }
    cube = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    return every | {
        "every second": cube[::2, 1:, ::-1],
        "axes swapped": cube.transpose(1, 2, 0),
        "a column": cube[:, 1, 2],
        "broadcast": np.broadcast_to(cube[0, 0], (3, 5)),
        "other byte order": cube[0].astype(">f4"),
        "special": np.array([np.nan, np.inf, -np.inf, -0.0], np.float16),
    }


def tensors() -> dict[str, Tensor]:
    dtypes = {str(dtype): getattr(torch, dtype.name) for dtype in NUMBERS}
    every = {
        f"torch {name} {shape}": torch.from_numpy(numbers(np.dtype(name), shape)).to(dtype)
        for (name, dtype), shape in itertools.product(dtypes.items(), SHAPES)
    }

    def images() -> Tensor:  # tensors that look at one memory are written as that
        return torch.arange(48.0).reshape(2, 2, 3, 4)

    return every | {
        "channels last": images().contiguous(memory_format=torch.channels_last),
        "turned": images().permute(3, 0, 2, 1),
        "part": images()[:, 1, ::2, 1:3],
        "conjugated": torch.tensor([1 + 2j, 3 - 4j]).conj(),
        "parameter": nn.Parameter(torch.ones(2, 3)),
    }


LACKING: dict[str, tuple[Any, type]] = {
    "bfloat16": (np.array([[1.5, -2.0, 3.0]], ml_dtypes.bfloat16), np.uint16),
    "float8": (np.array([1.5, -2.0], ml_dtypes.float8_e4m3fn), np.uint8),
    "int4": (np.array([[1, -2]], ml_dtypes.int4), np.uint8),
    "torch bfloat16": (torch.tensor([[1.5, -2.0], [3, 4], [5, 6]], dtype=torch.bfloat16), np.uint16),
    "torch float8": (torch.tensor([1.5, -2.0], dtype=torch.float8_e5m2), np.uint8),
}
"""dtypes that Julia's Base lacks: it sees unsigned integers of the same width, in the same places."""


def bits(value: Any, kind: type) -> np.ndarray:
    if isinstance(value, Tensor):
        return value.contiguous().view(torch.uint8).numpy().view(kind).reshape(value.shape)
    return value.view(kind)


# -- values -----------------------------------------------------------------------------------------------------------


def said(kind: str, value: Any = None) -> Said:
    return {"type": kind} if value is None else {"type": kind, "value": value}


def fields(kind: str, **parts: Said) -> Said:
    return {"type": kind, "fields": parts}


def integers(*values: int) -> list[Said]:
    return [said("Int64", value) for value in values]


VALUES: dict[str, tuple[Any, Said]] = {
    "none": (None, said("Nothing")),
    "yes": (True, said("Bool", True)),
    "small": (-7, said("Int64", -7)),
    "large": (2**63 - 1, said("Int64", 2**63 - 1)),
    "lowest": (-(2**63), said("Int64", -(2**63))),
    "float": (0.1, said("Float64", 0.1)),
    "infinite": (float("-inf"), said("Float64", "-Infinity")),
    "nan": (float("nan"), said("Float64", "NaN")),
    "text": ('a"\\\n∀😀', said("String", 'a"\\\n∀😀')),
    "no text": ("", said("String", "")),
    "bytes": (b"\0\xff", {"type": "Array{UInt8,1}", "eltype": "UInt8", "size": [2], "data": [0, 255]}),
    "complex": (1.5 - 2j, said("Complex{Float64}", [1.5, -2.0])),
    "fraction": (Fraction(-3, 4), fields("Rational{Int64}", num=said("Int64", -3), den=said("Int64", 4))),
    "tuple": ((1, "a", ()), {"type": "Tuple{Int64,String,Tuple{}}"}),
    "list": ([1, [2.5]], {"type": "Array{Any,1}", "eltype": "Any", "size": [2]}),
    "dictionary": ({"a": 1, "b": {"c": None}}, {"type": "Dict{Symbol,Any}"}),
    "by number": ({1: "a", (2, 3): "b"}, {"type": "Dict{Any,Any}"}),
    "reserved": ({"tag": "array", "ref": 1}, {"type": "Dict{Any,Any}"}),
    "set": ({1, 2}, {"type": "Set{Any}"}),
    "no set": (frozenset(), {"type": "Set{Any}", "items": []}),
    "ordered": (OrderedDict(b=1, a=2), {"type": "Dict{Any,Any}"}),
    "default": (defaultdict(list, a=[1]), {"type": "Dict{Any,Any}"}),
    "date": (date(2018, 6, 8), {"type": "Date"}),
    "datetime": (datetime(2018, 6, 8, 1, 2, 3, 4000), {"type": "DateTime"}),
    "time": (time(1, 2, 3), {"type": "Time"}),
    "uuid": (UUID("12345678-1234-5678-1234-567812345678"), {"type": "Base.UUID"}),
    "range": (
        range(2, 5),
        {"type": "UnitRange{Int64}", "eltype": "Int64", "size": [3], "data": [2, 3, 4]},
    ),
    "float32": (np.float32(0.5), said("Float32", 0.5)),
    "int8": (np.int8(-3), said("Int8", -3)),
    "int32": (np.int32(-3), said("Int32", -3)),
    "uint64": (np.uint64(2**64 - 1), said("UInt64", 2**64 - 1)),
    "complex64": (np.complex64(1 - 2j), said("Complex{Float32}", [1.0, -2.0])),
}
"""Name -> the value, and what Julia says of it (what else it says is below)."""


def items(value: Said) -> list[Said]:
    found: list[Said] = value["items"]
    return found


def pairs(value: Said) -> dict[Any, Any]:
    """A dictionary of plain keys and values."""
    return {key.get("value", str(key.get("items"))): each.get("value") for key, each in value["pairs"]}


def day(value: Said) -> int:
    """The number inside of Date and DateTime."""
    while "fields" in value:
        (value,) = value["fields"].values()
    return int(value["value"])


DETAILS: dict[str, tuple[Callable[[Said], Any], Any]] = {
    "tuple": (lambda x: items(x)[:2], [said("Int64", 1), said("String", "a")]),
    "list": (lambda x: (x["data"][0], x["data"][1]["data"]), (said("Int64", 1), [said("Float64", 2.5)])),
    "dictionary": (lambda x: [key["value"] for key, _ in x["pairs"]], ["a", "b"]),
    "by number": (pairs, {1: "a", str(integers(2, 3)): "b"}),
    "reserved": (pairs, {"tag": "array", "ref": 1}),
    "set": (lambda x: sorted(each["value"] for each in items(x)), [1, 2]),
    "ordered": (pairs, {"b": 1, "a": 2}),
    "default": (lambda x: x["pairs"][0][1]["data"], integers(1)),
    "date": (day, date(2018, 6, 8).toordinal()),
    "datetime": (day, date(2018, 6, 8).toordinal() * 86_400_000 + 3_723_004),
    "time": (day, 3_723 * 10**9),
    "uuid": (day, 0x12345678123456781234567812345678),
}
"""Name -> what is asked of Julia's description, and the answer."""


def only_python() -> dict[str, Any]:
    """Values that Julia has nothing for: it opens them as dictionaries, and the arrays in them as arrays."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    net(torch.randn(4, 1, 4, 4)).sum().backward()
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    opt.step()
    made = np.random.default_rng(5)
    made.normal()
    return {
        "net": net,
        "opt": opt,
        "schedule": torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10),
        "generator": made,
        "legacy": np.random.RandomState(3),
        "torch generator": torch.Generator().manual_seed(4),
        "expanded": torch.arange(3.0).expand(2, 3),  # its three numbers, once
        "mine": Mine(),
        "huge": 10**40,
        "decimal": Decimal("1.10"),
        "moment": datetime(2020, 1, 2, 3, 4, 5, 6),
        "queue": deque([1, 2], 3),
        "slice": slice(1, None),
        "path": Path("a/b"),
        "structured": np.array([(1, 2.5)], dtype=[("n", "i4"), ("x", "f8")]),
        "texts": np.array(["ab", "c"]),
        "when": np.array(["2020-01-02"], "datetime64[D]"),
        "dtype": [torch.float16, torch.device("cpu"), torch.Size([2, 3])],
    }


def shared() -> dict[str, Any]:
    """One object in several places."""
    array, tensor, items = np.zeros((2, 3)), torch.arange(6.0).reshape(2, 3), [1, 2]
    itself: dict[str, Any] = {}
    itself["me"] = itself
    return {
        "array": [array, {"x": array}, (array,)],
        "tensor": [tensor, tensor],
        "list": [items, items],
        "loop": itself,
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Said]:
    """What Julia says of the values of a file; all are opened in one start, when one is first asked for."""
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "arrays": numpy_arrays,
        "tensors": tensors,
        "lacking": lambda: {name: value for name, (value, _) in LACKING.items()},
        "values": lambda: {name: value for name, (value, _) in VALUES.items()},
        "python": only_python,
        "shared": shared,
    }

    @functools.cache
    def everything() -> dict[str, Said]:
        folder = tmp_path_factory.mktemp("opened")
        for name, make in makers.items():
            save(folder / f"{name}.bson", make())
        return dict(
            zip(makers, opened_all([folder / f"{name}.bson" for name in makers], "Dates", "Random"), strict=True)
        )

    def of(name: str) -> Said:
        julia_or_skip()
        return everything()[name]

    return of


def element_by_element(found: Said, wanted: dict[str, np.ndarray]) -> None:
    """Julia's ``x[i, j]`` is ours, and so are its type and size."""
    assert found.keys() - {"_holdfast"} == wanted.keys()
    for name, value in wanted.items():
        got = said_array(found[name])
        assert (got.shape, got.dtype) == (value.shape, value.dtype.newbyteorder("=")), name
        assert np.array_equal(got, value, equal_nan=value.dtype.kind in "fc"), name


def test_arrays_of_numpy(files: Callable[[str], Said]) -> None:
    element_by_element(files("arrays"), numpy_arrays())


def test_tensors(files: Callable[[str], Said]) -> None:
    element_by_element(files("tensors"), {name: x.detach().resolve_conj().numpy() for name, x in tensors().items()})


def test_dtypes_that_julia_lacks(files: Callable[[str], Said]) -> None:
    element_by_element(files("lacking"), {name: bits(value, kind) for name, (value, kind) in LACKING.items()})


def test_arrays_are_plain_or_turned(files: Callable[[str], Said]) -> None:
    """Fortran order is Julia's own; C order is a view of such memory, with the axes in reverse."""
    found = files("arrays")
    assert found["float32 (2, 3) F"]["type"] == "Array{Float32,2}"
    turned = "PermutedDimsArray{Float32,2,(2, 1),(2, 1),Array{Float32,2}}"
    assert found["float32 (2, 3) C"]["type"] == turned


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str, files: Callable[[str], Said]) -> None:
    found = files("values")[name]
    assert {key: found[key] for key in VALUES[name][1]} == VALUES[name][1]
    if name in DETAILS:
        ask, answer = DETAILS[name]
        assert ask(found) == answer


def test_what_is_one_object_is_one_in_julia(files: Callable[[str], Said]) -> None:
    found = files("shared")
    first, inside, alone = found["array"]["data"]
    assert [inside["pairs"][0][1]["same"], alone["items"][0]["same"]] == [first["id"]] * 2
    for name in ("tensor", "list"):
        one, other = found[name]["data"]
        assert other["same"] == one["id"]
    assert found["loop"]["pairs"][0][1]["same"] == found["loop"]["id"]


def test_a_list_in_itself_is_too_much_for_bson_jl(tmp_path: Path) -> None:
    """BSON.jl writes such a vector and cannot read it; a dictionary in itself it can."""
    julia_or_skip()
    itself: list[Any] = []
    itself.append(itself)
    save(tmp_path / "loop.bson", loop=itself)
    with pytest.raises(AssertionError, match="StackOverflowError"):
        opened(tmp_path / "loop.bson")


def below(value: Any) -> list[Said]:
    """A description and all those in it."""
    if isinstance(value, list):
        return [each for part in value for each in below(part)]
    if not isinstance(value, dict):
        return []
    return [value] + [each for part in value.values() for each in below(part)]


@pytest.mark.parametrize("name", only_python())
def test_what_only_python_has_opens(name: str, files: Callable[[str], Said]) -> None:
    found = files("python")[name]
    plain = {
        "structured": "Array{UInt8,1}",
        "texts": "Array{UInt8,1}",
        "when": "Array{Int64,1}",
        "dtype": "Array{Any,1}",
    }
    assert found["type"] == plain.get(name, "Dict{Symbol,Any}")


def test_the_weights_of_a_torch_model_are_arrays(files: Callable[[str], Said], tmp_path: Path) -> None:
    found = files("python")
    net = [said_array(each) for each in below(found["net"]) if each.get("eltype") == "Float32"]
    assert sorted(x.shape for x in net) == sorted([(2, 1, 3, 3), (2,), (2,), (2,), (2,), (2,), (3, 8), (3,)])
    steps = [each for each in below(found["opt"]) if each.get("eltype") == "Float32" and each["size"]]
    assert len(steps) >= 12  # two averages for each of six parameters
    model = nn.Linear(3, 2)
    save(tmp_path / "m.bson", model=model)
    shown = [said_array(x) for x in below(opened(tmp_path / "m.bson")) if x.get("eltype") == "Float32"]
    assert any(np.array_equal(x, model.weight.detach().numpy()) for x in shown)


# -- older versions of BSON.jl ----------------------------------------------------------------------------------------

UNTIL_2020 = {
    "numbers": [1, 2.5, True, None, np.float32(0.5), np.int16(3)],
    "text": "a∀",
    "bytes": b"\0\xff",
    "nested": {"a": (1, "b", {"c": [2]})},
    "matrix": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "vector": np.arange(3, dtype=np.int64),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j]),
}


@pytest.mark.parametrize("version", ["0.2.6", "0.2.3"])
def test_older_bson(version: str, tmp_path: Path) -> None:
    julia_or_skip(bson=version)
    save(tmp_path / "old.bson", UNTIL_2020)
    found = opened(tmp_path / "old.bson", bson=version)
    assert found == opened(tmp_path / "old.bson")
    for name in ("matrix", "vector", "flags", "complex"):
        wanted = UNTIL_2020[name]
        assert isinstance(wanted, np.ndarray)
        assert np.array_equal(said_array(found[name]), wanted)


def test_c_order_in_older_bson(tmp_path: Path) -> None:
    """0.2.3 makes structs by filling them in, which an immutable wrapper does not allow; 0.2.6 does not."""
    julia_or_skip(bson="0.2.6")
    matrix = np.arange(6.0).reshape(2, 3)
    save(tmp_path / "c.bson", matrix=matrix)
    assert np.array_equal(said_array(opened(tmp_path / "c.bson", bson="0.2.6")["matrix"]), matrix)
    julia_or_skip(bson="0.2.3")
    with pytest.raises(AssertionError, match="immutable"):
        opened(tmp_path / "c.bson", bson="0.2.3")
