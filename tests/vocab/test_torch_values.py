"""torch's small values, functions and classes as values, other devices, and arrays beyond 2 GiB."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import swa_utils
from torch.optim.optimizer import required

from holdfast.codec.audit import audit
from holdfast.codec.lift import lift
from holdfast.codec.rule import Options
from holdfast.errors import FormatError, MismatchError, UnsupportedError, UntrustedError
from holdfast.vocab import numpy as numpy_rules
from holdfast.vocab import vocabulary
from holdfast.vocab.torch import NAMED, layouts
from holdfast.vocab.torch.functions import FUNCTIONS, MAKERS
from holdfast.vocab.torch.tensors import DTYPES
from holdfast.wire.read import read_document
from through_memory import again, lifted, saved

VALUES = [
    *DTYPES.values(),
    *(torch.strided, torch.sparse_coo, torch.sparse_csr),
    *(torch.contiguous_format, torch.channels_last, torch.preserve_format),
    *(torch.device(name) for name in ("cpu", "cuda", "cuda:3", "meta", "mps", "xpu:0")),
    *(torch.Size([]), torch.Size([2, 3])),
    required,
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_values(value: Any) -> None:
    other = again([value])[0]
    assert type(other) is type(value)
    assert other == value


def test_a_size_is_a_tuple_in_julia() -> None:
    document = read_document(saved(torch.Size([2, 3]))).document["x"]
    assert (document["tag"], document["data"]) == ("tuple", [2, 3])


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (torch.float32, "half"),
        (torch.float32, "load"),
        (torch.float32, 3),
        (torch.strided, "float32"),
        (torch.device("cpu"), "cpu:0:0"),
        (torch.device("cpu"), "cuda:-1"),
        (torch.device("cpu"), "/dev/zero"),
        (torch.device("cpu"), ["cpu"]),
    ],
    ids=str,
)
def test_values_that_are_none(value: Any, state: Any) -> None:
    document = read_document(saved(value)).document
    document["x"]["state"] = state
    with pytest.raises(FormatError):
        lifted(document)


@pytest.mark.parametrize("data", [[-1], ["x"], [2.0], None, [2**70]])
def test_a_size_that_is_none(data: Any) -> None:
    document = read_document(saved(torch.Size([2]))).document
    document["x"]["data"] = data
    with pytest.raises(FormatError):
        lifted(document)


# -- generators -------------------------------------------------------------------------------------------------------


def test_a_generator_goes_on() -> None:
    generator = torch.Generator().manual_seed(7)
    torch.rand(3, generator=generator)
    before = torch.random.get_rng_state()
    other, same = again([generator, generator])
    assert other is same
    assert other is not generator
    assert torch.equal(torch.rand(100, generator=other), torch.rand(100, generator=generator))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"state": b""}, FormatError),
        ({"state": "x"}, FormatError),
        ({"device": "cpu:x"}, FormatError),
        ({"device": "meta"}, MismatchError),
    ],
)
def test_a_generator_that_is_none(changes: dict[str, Any], error: type[Exception]) -> None:
    document = read_document(saved(torch.Generator())).document
    document["x"] |= changes
    with pytest.raises(error):
        lifted(document)


def test_a_generator_of_wrong_bytes() -> None:
    document = read_document(saved(torch.Generator())).document
    blob = document["x"]["state"]
    blob.data = memoryview(bytes(blob.nbytes))
    with pytest.raises(FormatError, match="not the state"):
        lifted(document)


# -- functions and classes --------------------------------------------------------------------------------------------


def test_every_function_and_class_of_the_table() -> None:
    values = list(NAMED.values())
    assert all(a is b for a, b in zip(again(values), values, strict=True))


def test_no_function_of_the_table_reaches_outside() -> None:
    words = ("load", "save", "compile", "import", "eval", "exec", "file", "set_", "get_", "jit", "seed", "open")
    assert not [name for name in FUNCTIONS if any(word in name.rpartition(".")[2] for word in words)]


@pytest.mark.parametrize("name", MAKERS)
def test_the_makers_of_averages(name: str) -> None:
    function = MAKERS[name](0.75) if "ema" in name else MAKERS[name]()
    model = swa_utils.AveragedModel(nn.Linear(1, 1), **{"multi_avg_fn" if "multi" in name else "avg_fn": function})
    other = again(model)
    made = other.multi_avg_fn or other.avg_fn
    assert made.__wrapped__.__code__ is function.__wrapped__.__code__
    if "ema" in name:
        assert made.__wrapped__.__closure__[0].cell_contents == 0.75


@pytest.mark.parametrize("value", [torch.load, torch.save, torch.compile, lambda x: x])
def test_functions_outside_the_table(value: Any) -> None:
    with pytest.raises(UnsupportedError):
        saved(value)


@pytest.mark.parametrize("name", ["torch.load", "torch.save", "torch.serialization.os.system", "torch (class)"])
def test_names_outside_the_table(name: str) -> None:
    with pytest.raises(UntrustedError):
        lifted({"x": {"tag": "python", "type": name}})


# -- other devices, large arrays --------------------------------------------------------------------------------------


def test_the_device_of_the_caller() -> None:
    """The device 'meta' stands for a GPU, which a test cannot count on."""
    shared = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    flags = torch.zeros(4, dtype=torch.bool)
    value = [nn.Linear(2, 2), shared, shared[:, 1], torch.rand(2).bfloat16(), flags, flags[:2], torch.device("cpu")]
    document, rules = read_document(saved(value)).document, vocabulary()
    others = lift(audit(document, ["x"], rules), ["x"], rules, Options(device="meta"))["x"]
    assert all(tensor.device.type == "meta" for tensor in [others[0].weight, *others[1:6]])
    assert [tensor.stride() for tensor in others[1:6]] == [tensor.stride() for tensor in value[1:6]]
    assert isinstance(others[0].weight, nn.Parameter)
    assert others[6] == torch.device("cpu")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(240.0).reshape(3, 80),
        torch.arange(240.0).reshape(3, 80).t(),
        torch.rand(2, 3, 4, 10).to(memory_format=torch.channels_last),
        torch.rand(2, 3, 40).bfloat16(),
        torch.rand(2, 3, 40).bfloat16().permute(1, 2, 0),
        torch.rand(300)[::2],
        nn.Parameter(torch.rand(200)),
    ],
)
def test_arrays_too_large_for_one_binary(tensor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (layouts, numpy_rules):
        monkeypatch.setattr(module, "MAX_BLOB", 100)
    monkeypatch.setattr(numpy_rules, "SLAB", 64)
    other = again(tensor)
    assert torch.equal(other, tensor)
    assert type(other) is type(tensor)
    assert other.stride() == (tensor.stride() if tensor.shape != (150,) else (1,))
