"""Tensors: every dtype and layout bit for bit, what Julia sees of them, what is refused, files that lie."""

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.codec.lower import lower
from holdfast.errors import FormatError, HoldfastError, LimitError, UnsupportedError
from holdfast.vocab import vocabulary
from holdfast.vocab.torch.tensors import CARRIED, CARRIERS, DTYPES, NAMES, NATIVE, QUANTISED
from holdfast.wire.read import read_document
from holdfast.wire.values import Blob
from through_memory import again, lifted, loaded, saved

SAVABLE = sorted(NAMES.values())


def filled(name: str, size: tuple[int, ...]) -> Any:
    """A tensor of any dtype with arbitrary bytes, NaN payloads among them."""
    dtype, count = DTYPES[name], int(np.prod(size, dtype=int))
    random = np.random.default_rng(count).integers(0, 2 if name == "bool" else 256, count * dtype.itemsize, np.uint8)
    carrier = dtype if dtype in NATIVE else CARRIERS[dtype.itemsize]
    plain = torch.from_numpy(random).view(carrier) if count else torch.zeros(0, dtype=carrier)
    return (plain if carrier is dtype else plain.view(dtype)).reshape(size)


def bits(tensor: Any) -> list[int]:
    """The bytes of the elements, in C order."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.dtype not in NATIVE:
        plain = plain.view(CARRIERS[plain.itemsize])
    return list(plain.numpy().tobytes())


def alike(a: Any, b: Any) -> bool:
    return (type(a), a.dtype, a.shape, a.requires_grad, bits(a)) == (
        type(b),
        b.dtype,
        b.shape,
        b.requires_grad,
        bits(b),
    )


def array_of(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["data"][0] if document["tag"] == "struct" else document
    return found


def node(tensor: Any) -> dict[str, Any]:
    found: dict[str, Any] = read_document(saved(tensor)).document["x"]
    return found


# -- there and back ---------------------------------------------------------------------------------------------------


def test_every_dtype_is_in_one_of_three_tables() -> None:
    assert set(NAMES.values()) | QUANTISED == set(DTYPES)
    assert {DTYPES[name] for name in NAMES.values()} == NATIVE | set(CARRIED.values())


@pytest.mark.parametrize("name", SAVABLE)
@pytest.mark.parametrize("size", [(), (3,), (2, 3), (0, 3), (2, 0, 3), (1, 4, 1)])
def test_dtypes(name: str, size: tuple[int, ...]) -> None:
    tensor = filled(name, size)
    other = again(tensor)
    assert alike(other, tensor)
    assert other.stride() == tensor.stride()
    assert (other.is_leaf and not other._is_view()) or name == "complex32"


LAYOUTS: dict[str, Callable[[], Any]] = {
    "C order": lambda: torch.arange(24.0).reshape(2, 3, 4),
    "column-major": lambda: torch.arange(24.0).reshape(2, 3, 4).permute(2, 1, 0),
    "channels last": lambda: torch.arange(120.0).reshape(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "channels last, 1 channel": lambda: torch.rand(2, 1, 4, 5).to(memory_format=torch.channels_last),
    "channels last 3d": lambda: torch.rand(2, 3, 2, 2, 2).to(memory_format=torch.channels_last_3d),
    "any order": lambda: torch.arange(24.0).reshape(2, 3, 4).permute(1, 2, 0),
    "row": lambda: torch.arange(5.0).reshape(1, 5),
    "column": lambda: torch.arange(5.0).reshape(5, 1),
    "odd stride of one": lambda: torch.arange(5.0).as_strided((1, 5), (77, 1)),
    "expanded": lambda: torch.tensor([1.0, 2.0]).reshape(2, 1).expand(2, 1000),
    "windows": lambda: torch.arange(10.0).unfold(0, 4, 1),
    "bfloat16 permuted": lambda: torch.rand(2, 3, 4).bfloat16().permute(2, 0, 1),
    "column-major bools": lambda: (torch.rand(4, 3) > 0.5).t(),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_dense_and_overlapping_layouts_keep_their_strides(name: str) -> None:
    tensor = LAYOUTS[name]()
    other = again(tensor)
    assert alike(other, tensor)
    assert other.stride() == tensor.stride()
    assert len(saved(tensor)) < tensor.numel() * tensor.itemsize + 1400


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[10:20, 30:40],
        lambda x: x[:, 5],
        lambda x: x[::100, ::100],
        lambda x: x.t()[::7, :3],
        lambda x: x[500, ::2],
    ],
)
def test_a_small_view_writes_only_its_own_elements(view: Callable[[Any], Any]) -> None:
    tensor = view(torch.rand(1000, 1000))
    assert alike(again(tensor), tensor)
    assert len(saved(tensor)) < tensor.numel() * 4 + 1200


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_dtype_shape_and_strides(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(SAVABLE))
    size = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
    tensor = filled(name, size).permute(data.draw(st.permutations(range(len(size)))))
    for axis in range(tensor.dim()):
        step = data.draw(st.sampled_from([1, 1, 1, 2, 3]))
        tensor = tensor.narrow(axis, 0, max(tensor.shape[axis] - data.draw(st.integers(0, 1)), 0))
        tensor = tensor[(slice(None),) * axis + (slice(None, None, step),)]
    if data.draw(st.booleans()) and tensor.dim():
        tensor = tensor.unsqueeze(0).expand(3, *tensor.shape)
    assert alike(again(tensor), tensor)


# -- what stands beside the values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("kind", [torch.Tensor, torch.nn.Parameter])
def test_requires_grad(kind: Any, requires_grad: bool) -> None:
    tensor = torch.rand(3).requires_grad_(requires_grad)
    other = again(torch.nn.Parameter(tensor.detach(), requires_grad) if kind is torch.nn.Parameter else tensor)
    assert type(other) is kind
    assert other.requires_grad == requires_grad
    assert other.is_leaf


def test_a_tensor_inside_a_graph_comes_back_as_a_leaf() -> None:
    other = again(torch.ones(3, requires_grad=True) * 2)
    assert other.is_leaf
    assert other.requires_grad
    assert other.grad_fn is None
    assert other.tolist() == [2, 2, 2]


def test_gradients_are_not_kept() -> None:
    tensor = torch.ones(2, requires_grad=True)
    tensor.sum().backward()
    assert tensor.grad is not None
    assert again(tensor).grad is None


@pytest.mark.parametrize("persistent", [True, False])
def test_a_buffer(persistent: bool) -> None:
    other = again(torch.nn.Buffer(torch.ones(2), persistent=persistent))
    assert isinstance(other, torch.nn.Buffer)
    assert other.persistent is persistent


def test_attributes_of_a_tensor() -> None:
    tensor = torch.nn.Parameter(torch.ones(2))
    vars(tensor).update(tensor_parallel=True, shape_of=(1, 2), kind=torch.float16, tag="x")
    assert vars(again(tensor)) == vars(tensor)


def test_conjugate_and_negative_bits_are_resolved() -> None:
    tensor = torch.tensor([1 + 2j, 3 - 4j])
    for view in (tensor.conj(), tensor.conj().imag):
        assert view.is_conj() or view.is_neg()
        assert alike(again(view), view)
        assert not again(view).is_conj()
        assert not again(view).is_neg()


@pytest.mark.filterwarnings("ignore:.*prototype")
def test_tensors_from_other_modes() -> None:
    with torch.inference_mode():
        tensor = torch.ones(3)
    assert again(tensor).tolist() == [1, 1, 1]
    assert not again(tensor).is_inference()
    with torch.device("meta"):
        assert again(tensor).device.type == "cpu"


# -- what Julia sees --------------------------------------------------------------------------------------------------


def test_what_julia_sees() -> None:
    assert node(torch.zeros(3, 2).t())["tag"] == "array"
    permuted = node(torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last))
    type_ = read_document(saved(torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last))).document
    assert permuted["tag"] == "struct"
    assert array_of(permuted)["size"] == [3, 5, 4, 2]
    params = next(entry["params"] for entry in datatypes(type_) if entry["name"][-1] == "PermutedDimsArray")
    assert params[2]["data"] == [4, 1, 3, 2]
    assert params[3]["data"] == [2, 4, 3, 1]
    assert array_of(node(torch.rand(2).bfloat16()))["type"]["name"] == ["Core", "UInt16"]
    assert node(torch.rand(2).bfloat16())["dtype"] == "bfloat16"
    assert "dtype" not in node(torch.zeros(2, dtype=torch.uint64))


def datatypes(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("tag") == "datatype":
            yield value
        for child in value.values():
            yield from datatypes(child)
    elif isinstance(value, list):
        for child in value:
            yield from datatypes(child)


# -- nothing is copied ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["C order", "column-major", "channels last", "bfloat16 permuted"])
def test_no_copy_on_the_way_out(name: str) -> None:
    tensor = LAYOUTS[name]()
    found = lower({"x": tensor}, vocabulary())["x"]
    blob = array_of(found)["data"]
    assert isinstance(blob, Blob)
    assert np.frombuffer(blob.data, np.uint8).ctypes.data == tensor.data_ptr()


def test_no_copy_on_the_way_back() -> None:
    raw = saved([torch.arange(6.0).reshape(2, 3), torch.rand(4).bfloat16()])
    memory = mmap.mmap(-1, len(raw))
    memory[:] = raw
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for tensor in loaded(memory):  # type: ignore[arg-type]
        assert start <= tensor.data_ptr() < start + len(raw)
        tensor.zero_()


# -- what is refused --------------------------------------------------------------------------------------------------


class Labelled(torch.Tensor):
    pass


def with_hook() -> Any:
    tensor = torch.ones(2, requires_grad=True)
    tensor.register_hook(lambda grad: grad)
    return tensor


def with_attribute(name: str, value: Any) -> Any:
    tensor = torch.ones(2)
    vars(tensor)[name] = value
    return tensor


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "sparse COO": (lambda: torch.ones(2, 2).to_sparse(), "sparse tensor (torch.sparse_coo)"),
    "sparse CSR": (lambda: torch.ones(2, 2).to_sparse_csr(), "x.to_dense()"),
    "sparse BSC": (lambda: torch.ones(2, 2).to_sparse_bsc((1, 1)), "sparse_bsc"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "x.dequantize()"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "x.unbind()"),
    "jagged": (lambda: torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged), "x.unbind()"),
    "meta": (lambda: torch.ones(2, device="meta"), "no values"),
    "mkldnn": (lambda: torch.ones(2).to_mkldnn(), "MKL-DNN"),
    "subclass": (lambda: torch.ones(2).as_subclass(Labelled), "as_subclass(torch.Tensor)"),
    "uninitialised": (lambda: torch.nn.UninitializedParameter(), "run one batch"),
    "hook": (with_hook, "hooks"),
    "attribute": (lambda: with_attribute("owner", object()), "attribute"),
    "method": (lambda: with_attribute("numpy", 1), "attribute"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_refused_by_name_and_path(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(UnsupportedError) as caught:
        lower({"model": {"w": [make()]}}, vocabulary())
    assert words in str(caught.value)
    assert caught.value.path.startswith("$.model['w'][0]")


def test_tensors_inside_a_transformation_are_refused() -> None:
    def save(x: Any) -> Any:
        with pytest.raises(UnsupportedError, match="inside a transformation"):
            saved(x)
        return x.sum()

    torch.vmap(save)(torch.ones(2, 3))
    torch.func.grad(save)(torch.ones(3))
    torch.func.functionalize(save)(torch.ones(3))


# -- files that lie ---------------------------------------------------------------------------------------------------

TAMPERED: list[tuple[Callable[[], Any], dict[str, Any], type[HoldfastError]]] = [
    (LAYOUTS["C order"], {"strides": [12, 4, 2]}, FormatError),
    (LAYOUTS["C order"], {"strides": [12, 4, -1]}, FormatError),
    (LAYOUTS["C order"], {"strides": [2**62, 2**62, 2**62]}, FormatError),
    (LAYOUTS["C order"], {"strides": [12, 4]}, FormatError),
    (LAYOUTS["C order"], {"strides": "12"}, FormatError),
    (LAYOUTS["C order"], {"strides": [1.0, 2.0, 3.0]}, FormatError),
    (LAYOUTS["C order"], {"strides": [0] * 100}, LimitError),
    (LAYOUTS["C order"], {"dtype": "float64"}, FormatError),
    (LAYOUTS["C order"], {"dtype": "bfloat16"}, FormatError),
    (LAYOUTS["C order"], {"dtype": "torch.load"}, FormatError),
    (LAYOUTS["C order"], {"dtype": ["bfloat16"]}, FormatError),
    (LAYOUTS["C order"], {"requires_grad": 1}, FormatError),
    (LAYOUTS["C order"], {"attributes": {"numpy": 1}}, FormatError),
    (LAYOUTS["C order"], {"attributes": {"__class__": 1}}, FormatError),
    (LAYOUTS["C order"], {"attributes": {"x": {}}}, FormatError),
    (LAYOUTS["C order"], {"attributes": [1]}, FormatError),
    (lambda: torch.arange(3), {"requires_grad": True}, FormatError),
    (lambda: torch.arange(3), {"python": "torch.nn.Parameter"}, FormatError),
    (LAYOUTS["bfloat16 permuted"], {"dtype": "float8_e5m2"}, FormatError),
    (LAYOUTS["bfloat16 permuted"], {"dtype": "qint8"}, FormatError),
]


@pytest.mark.parametrize(("make", "changes", "error"), TAMPERED)
def test_tampered(make: Callable[[], Any], changes: dict[str, Any], error: type[HoldfastError]) -> None:
    document = read_document(saved(make())).document
    document["x"].update(changes)
    with pytest.raises(error):
        lifted(document)


@pytest.mark.parametrize("permutation", [[1, 2], [1, 1, 2], [0, 1, 2], [2, 3, 4], [1.0, 2.0, 3.0], ["a", "b", "c"]])
def test_a_permutation_that_is_none(permutation: list[Any]) -> None:
    document = read_document(saved(LAYOUTS["any order"]())).document
    for type_ in datatypes(document):
        if type_["name"][-1] == "PermutedDimsArray":
            type_["params"][2]["data"] = permutation
    with pytest.raises(FormatError):
        lifted(document)
