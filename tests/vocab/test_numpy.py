"""NumPy's arrays: every dtype, order and stride, bit for bit; and what Julia sees of them."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from holdfast.codec.lower import lower
from holdfast.errors import FormatError, HoldfastError, LimitError, UnsupportedError
from holdfast.vocab import numpy as rules
from holdfast.vocab import vocabulary
from holdfast.vocab.dtypes import EXTENDED
from holdfast.wire.read import read_document
from through_memory import again, lifted, loaded, saved, written


def same(a: Any, b: Any) -> bool:
    """Type, dtype, shape and every bit, in the order of the elements."""
    return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


DTYPES = [
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "S5", "U3", "V7"),
    *(">i4", ">f8", ">c8", ">u2"),
    *("M8[ns]", "M8[D]", "m8[us]", "M8"),
    *EXTENDED,
    [("x", "f4"), ("n", "i8", (2, 3)), ("s", "S3")],
    [("x", ">i4")],
    [("x", ">f4"), ("y", "<f8"), ("n", ">i8", (2, 3)), ("s", "S3"), ("u", ">U2"), ("t", ">M8[ns]"), ("b", "?")],
    [("a", [("x", ">u2"), ("y", "u2")], (2,)), ("b", [("c", [("z", ">c8")])])],
    {"names": ["x", "y"], "formats": [">i4", "<i4"], "offsets": [4, 12], "itemsize": 24},
]


def of_dtype(dtype: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    dtype = EXTENDED[dtype] if isinstance(dtype, str) and dtype in EXTENDED else np.dtype(dtype)
    count = int(np.prod(shape))
    if dtype.name in ("int2", "int4", "uint2", "uint4", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"):
        return (np.arange(count) % 2).astype(dtype).reshape(shape)
    raw = np.random.default_rng(1).integers(0, 2 if dtype == np.bool_ else 120, count * dtype.itemsize, np.uint8)
    return np.frombuffer(raw.tobytes(), dtype).reshape(shape) if dtype.itemsize else np.zeros(shape, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 0, 3), (2, 3, 4)], ids=str)
def test_every_dtype(dtype: Any, shape: tuple[int, ...]) -> None:
    array = of_dtype(dtype, shape)
    for one in (array, np.asfortranarray(array)):
        assert same(again(one), np.ascontiguousarray(one) if one.ndim else one)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24).reshape(4, 6)[::2, ::3],
        np.arange(24).reshape(4, 6)[::-1],
        np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
        np.broadcast_to(np.arange(3), (4, 3)),
        np.arange(10, dtype=">i4")[::2],
    ],
    ids=["steps", "backwards", "axes", "broadcast", "swapped"],
)
def test_strided_views(array: np.ndarray[Any, Any]) -> None:
    assert np.array_equal(again(array), array)


def test_fields_of_the_other_byte_order() -> None:
    array = np.array([(1, 1, [2, 3])], [("x", ">i4"), ("y", "<i4"), ("z", ">i2", 2)])
    back = again(array)
    assert (back["x"][0], back["y"][0], back["z"][0].tolist()) == (1, 1, [2, 3])
    assert same(again(array[0]), array[0])


def test_a_file_that_does_not_say_which_fields_are_swapped() -> None:
    """As it was written once: fields without an order, and one for the whole array."""
    document = lower({"x": np.array([(1,)], [("x", ">i4")])}, vocabulary())
    kind = document["x"]["dtype"][2][0]
    assert kind[1] == ["swapped", "int32"]
    kind[1] = "int32"
    document["x"]["byteorder"] = "swapped"
    with pytest.raises(FormatError, match="which fields"):
        lifted(written(document))


def test_memory_order_is_kept_and_nothing_is_copied() -> None:
    for array in (np.ones((300, 200)), np.asfortranarray(np.ones((300, 200)))):
        document = lower({"x": array}, vocabulary())["x"]
        inner = document["data"][0] if document["tag"] == "struct" else document
        assert np.shares_memory(np.frombuffer(inner["data"].data, np.uint8), array)
        back = again(array)
        assert (back.flags.c_contiguous, back.flags.f_contiguous) == (
            array.flags.c_contiguous,
            array.flags.f_contiguous,
        )


def test_loaded_arrays_are_writable_views_of_the_file() -> None:
    data = bytearray(saved(np.arange(6.0)))
    blob = read_document(bytes(data)).blobs[0]
    assert blob.offset is not None
    assert blob.offset % 64 == 0


@pytest.mark.parametrize("dtype", [name for name in DTYPES if not isinstance(name, list)], ids=str)
def test_scalars(dtype: Any) -> None:
    array = of_dtype(dtype, (1,))
    value = array[0]
    assert same(again(value), value)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([object()]), "Python objects"),
        (np.array([1], np.longdouble), "depend on the machine"),
        (np.array([1], np.clongdouble), "complex128"),
    ],
)
def test_refused(array: np.ndarray[Any, Any], text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        saved(array)


def array_document(**changes: Any) -> dict[str, Any]:
    document = lower({"x": np.arange(6, dtype=np.float32)}, vocabulary())
    document["x"].update(changes)
    return document


HOSTILE: list[tuple[dict[str, Any], type[HoldfastError]]] = [
    ({"size": [7]}, FormatError),
    ({"size": [-6]}, FormatError),
    ({"size": [2**62, 4]}, FormatError),
    ({"size": [6.0]}, FormatError),
    ({"size": [1] * 65}, LimitError),
    ({"size": "6"}, FormatError),
    ({"python": "numpy.ndarray", "dtype": "object"}, FormatError),
    ({"python": "numpy.ndarray", "dtype": "O"}, FormatError),
    ({"python": "numpy.ndarray", "dtype": "float64"}, FormatError),
    ({"python": "numpy.ndarray", "dtype": ["V", -1]}, FormatError),
    ({"python": "numpy.ndarray", "dtype": ["struct", 8, [["a", "float64", 2**31 - 8, []]]]}, FormatError),
    ({"python": "numpy.ndarray", "dtype": ["struct", 24, [["a", "O", 0, []]]]}, FormatError),
    ({"python": "numpy.ndarray", "dtype": ["S", 3], "shape": [9]}, FormatError),
]


@pytest.mark.parametrize(("changes", "error"), HOSTILE, ids=[str(case[0]) for case in HOSTILE])
def test_hostile_arrays(changes: dict[str, Any], error: type[HoldfastError]) -> None:
    document = array_document()
    document["x"].update(changes)
    with pytest.raises(error):
        loaded_document(document)


def loaded_document(document: dict[str, Any]) -> Any:
    from through_memory import lifted

    return lifted(written(document))


def test_a_bool_is_0_or_1() -> None:
    document = lower({"x": np.array([True, False])}, vocabulary())
    document["x"]["data"].data = memoryview(b"\1\2")
    with pytest.raises(FormatError, match="Bool"):
        loaded_document(document)


def test_arrays_too_large_for_one_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 GiB and more, with the limit lowered so that the test needs none of that."""
    monkeypatch.setattr(rules, "MAX_BLOB", 1000)
    monkeypatch.setattr(rules, "SLAB", 512)
    for array in (np.arange(600.0).reshape(20, 30), np.asfortranarray(np.arange(600.0).reshape(20, 30))):
        assert same(again(array), array if array.flags.c_contiguous else np.ascontiguousarray(array))
    big = np.arange(3000).astype(ml_dtypes.bfloat16)
    assert same(again(big), big)


def test_julia_bfloat16_is_read() -> None:
    document = array_document()
    document["x"]["type"] = {"tag": "datatype", "params": [], "name": ["Core", "BFloat16"]}
    document["x"]["size"] = [12]
    assert loaded_document(document).dtype == ml_dtypes.bfloat16


@given(
    st.data(),
    st.sampled_from(["?", "i1", "u2", "<i4", ">i8", "f2", "f4", "f8", "c8", "c16", "M8[ms]", "S4", "U2"]),
    hnp.array_shapes(min_dims=0, max_dims=4, max_side=4, min_side=0),
    st.sampled_from("CFAK"),
)
def test_round_trip(data: st.DataObject, dtype: str, shape: tuple[int, ...], order: Any) -> None:
    array = data.draw(hnp.arrays(dtype, shape)).copy(order=order)
    if array.ndim > 1 and data.draw(st.booleans()):
        array = array.transpose(data.draw(st.permutations(range(array.ndim))))
    back = again([array, {"again": array}])
    assert same(back[0], back[1]["again"])
    assert back[0] is back[1]["again"]
    assert back[0].dtype == array.dtype
    assert back[0].shape == array.shape
    assert back[0].tobytes() == array.tobytes()


def test_loaded_uses_no_pickle_or_eval() -> None:
    assert same(loaded(saved(np.array("x"))), np.array("x"))
