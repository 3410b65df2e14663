"""Tensors that share memory: written once, sharing again, and files that lie about it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import FormatError, HoldfastError, LimitError
from holdfast.wire.read import read_document
from through_memory import again, lifted, saved


def addresses(tensors: list[Any]) -> list[int]:
    start = min(tensor.data_ptr() for tensor in tensors)
    return [tensor.data_ptr() - start for tensor in tensors]


X = torch.arange(100_000.0)

GROUPS: dict[str, tuple[Callable[[], list[Any]], int]] = {
    # name: (tensors, elements that the file may hold)
    "view of all": (lambda: [X, X.view(1000, 100), X[5:10]], 100_000),
    "view first": (lambda: [X[5:10], X], 100_000),
    "parameter and data": (lambda: (lambda p: [p, p.data])(torch.nn.Parameter(torch.rand(5000))), 5000),
    "two windows": (lambda: [X[100:3000], X[2000:4000]], 3900),
    "chain": (lambda: [X[0:20], X[30:50], X[10:40]], 50),
    "transposed": (lambda: (lambda m: [m, m.t()])(torch.rand(50, 60)), 3000),
    "inside out": (
        lambda: (lambda m: [m, m.to(memory_format=torch.channels_last)[:0], m[1]])(torch.rand(2, 3, 4, 5)),
        120,
    ),
    "other dtype": (lambda: (lambda m: [m, m.view(torch.int32), m.view(torch.uint8)[3:9]])(torch.rand(64)), 64),
    "odd offset": (
        lambda: (lambda b: [b[4:20].view(torch.float32), b[8:24].view(torch.float64)])(
            torch.zeros(64, dtype=torch.uint8)
        ),
        8,
    ),
    "expanded": (lambda: (lambda r: [r, r.expand(1000, 3)])(torch.rand(3)), 3),
    "bfloat16": (lambda: (lambda b: [b, b[1:], b.view(torch.int16)])(torch.rand(8).bfloat16()), 8),
    "halves of a matrix": (lambda: (lambda m: [m[:, :6], m[:, 4:]])(torch.rand(40, 10)), 400),
    "numpy's": (lambda: (lambda a: [torch.from_numpy(a), torch.from_numpy(a[3:6])])(np.arange(10.0)), 20),
}


@pytest.mark.parametrize("name", GROUPS)
def test_shared_memory_is_shared_again(name: str) -> None:
    make, elements = GROUPS[name]
    tensors = make()
    others = again(tensors)
    for tensor, other in zip(tensors, others, strict=True):
        assert type(other) is type(tensor)
        assert other.stride() == tensor.stride() or not tensor.numel()
        assert torch.equal(other.detach(), tensor.detach())
    filled = [tensor for tensor in others if tensor.numel()]
    assert addresses(filled) == addresses([tensor for tensor in tensors if tensor.numel()])
    assert len(saved(tensors)) < elements * 4 + 700 * len(tensors) + 4096 + 1200


@pytest.mark.parametrize(
    "tensors",
    [
        lambda: [X[:100], X[100:200]],
        lambda: (lambda m: [m[:, 0], m[:, 5]])(torch.rand(300, 300)),
        lambda: (lambda m: [m[::2], m[1::2]])(torch.rand(300, 3)),
        lambda: [X[:0], X[:0]],
    ],
)
def test_what_shares_no_element_is_written_apart(tensors: Callable[[], list[Any]]) -> None:
    parts = tensors()
    others = again(parts)
    assert all(map(torch.equal, parts, others))
    assert len(saved(parts)) < sum(part.numel() for part in parts) * 4 + 2000
    assert not np.shares_memory(others[0].numpy(), others[1].numpy())


def test_julia_sees_plain_arrays_where_it_can() -> None:
    whole, part = read_document(saved([X.view(100, 1000).t(), X[:10]])).document["x"]
    assert part["base"] == whole
    assert whole["tag"] == "backref"
    (base,) = [entry for entry in read_document(saved([X, X[:10]])).document["_backrefs"] if entry["tag"] == "array"]
    assert base["size"] == [100_000]
    assert base["python"] == "torch.Tensor"


def test_what_is_changed_in_one_is_changed_in_the_other() -> None:
    a, b = again([X[0:20], X[10:30]])
    a[15] = -1
    assert b[5] == -1


@pytest.mark.parametrize("turn", [False, True])
def test_a_tensor_whose_axes_julia_has_reversed(turn: bool) -> None:
    whole = torch.rand(3, 4).t() if turn else torch.rand(3, 4)
    whole.julia_axes = "reversed"  # type: ignore[attr-defined]
    first, second = again([whole, whole[1]])
    assert torch.equal(first, whole)
    assert torch.equal(second, whole[1])
    second.zero_()
    assert first[1].tolist() == second.tolist()


def test_views_of_views() -> None:
    """A base that is itself loaded as a view is no different."""
    tensors = again(again([X[0:20], X[10:30], X[12:14]]))
    assert addresses(tensors) == [0, 40, 48]
    assert tensors[2].tolist() == [12, 13]


def test_requires_grad_of_views() -> None:
    parameter = torch.nn.Parameter(torch.rand(4))
    first, second = again([parameter, parameter.detach()[:2]])
    assert first.requires_grad
    assert not second.requires_grad
    assert second.is_leaf
    assert second.data_ptr() == first.data_ptr()


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), st.integers(1, 3)), min_size=2, max_size=6),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64]),
)
@settings(max_examples=100, deadline=None)
def test_any_windows(windows: list[tuple[int, int, int]], dtype: Any) -> None:
    whole = torch.arange(64).to(dtype)
    tensors = [whole[start : start + length * step : step] for start, length, step in windows]
    others = again(tensors)
    for tensor, other in zip(tensors, others, strict=True):
        assert torch.equal(tensor, other)
    for i, a in enumerate(tensors):
        for j, b in enumerate(tensors):
            assert touching(others[i], others[j]) or not touching(a, b)


def touching(a: Any, b: Any) -> bool:
    def elements(x: Any) -> set[int]:
        return {x.data_ptr() + i * x.stride(0) * x.itemsize for i in range(x.shape[0])}

    return bool(elements(a) & elements(b))


# -- files that lie ---------------------------------------------------------------------------------------------------

LIES: list[tuple[dict[str, Any], type[HoldfastError]]] = [
    ({"offset": -4}, FormatError),
    ({"offset": 2**62}, FormatError),
    ({"offset": 39}, FormatError),
    ({"offset": 400}, FormatError),
    ({"offset": None}, FormatError),
    ({"size": [101]}, FormatError),
    ({"size": [2**63 - 1], "strides": [2**63 - 1]}, FormatError),
    ({"size": [10, 2]}, FormatError),
    ({"size": [10], "strides": [11]}, FormatError),
    ({"size": [10], "strides": [-1]}, FormatError),
    ({"size": [2] * 70, "strides": [0] * 70}, LimitError),
    ({"dtype": "float64", "size": [48]}, FormatError),
    ({"dtype": "qint8"}, FormatError),
    ({"dtype": "half"}, FormatError),
    ({"dtype": 3}, FormatError),
    ({"base": [1, 2, 3]}, FormatError),
    ({"base": None}, FormatError),
    ({"base": "weight"}, FormatError),
]


@pytest.mark.parametrize(("changes", "error"), LIES)
def test_a_view_that_lies(changes: dict[str, Any], error: type[HoldfastError]) -> None:
    document = read_document(saved([X[:100], X[10:20]])).document
    assert document["x"][1]["offset"] == 40
    document["x"][1].update(changes)
    with pytest.raises(error):
        lifted(document)


def test_bools_in_foreign_bytes() -> None:
    whole = torch.zeros(8, dtype=torch.uint8)
    data = saved([whole, whole.view(torch.bool)[2:4]])
    assert lifted(read_document(data).document)[1].tolist() == [False, False]
    whole[3] = 2
    with pytest.raises(FormatError, match="neither 0 nor 1"):
        lifted(read_document(saved([whole, whole.view(torch.bool)[2:4]])).document)


def test_a_view_of_very_many_elements() -> None:
    """Elements that lie on each other cost nothing, and are not counted one by one."""
    flags = torch.zeros(8, dtype=torch.uint8)
    for dtype, size in (("uint8", [2**62]), ("bool", [2**62]), ("bool", [2**31, 2**31])):
        document = read_document(saved([flags, flags[2:4]])).document
        document["x"][1].update(dtype=dtype, size=size, strides=[0] * len(size))
        assert lifted(document)[1].shape == tuple(size)
    document["x"][1].update(size=[2**40, 2**40])
    with pytest.raises(FormatError):
        lifted(document)


def test_a_view_of_itself() -> None:
    document = read_document(saved([X[:100], X[10:20]])).document
    document["_backrefs"].append(document["x"][1])
    document["x"][1]["base"] = {"tag": "backref", "ref": len(document["_backrefs"])}
    with pytest.raises(FormatError):
        lifted(document)
