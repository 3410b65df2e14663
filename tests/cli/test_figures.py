"""What an array holds, and how two arrays differ."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from holdfast.cli.figures import difference, figures

MAX = np.iinfo(np.int64).max


@pytest.mark.parametrize(
    ("a", "b", "elements", "most"),
    [
        (np.array([MAX, 0]), np.array([MAX - 1, 0]), 1, 1),
        (np.array([-MAX, 0]), np.array([MAX, 0]), 1, 2 * MAX),
        (np.array([0, 255], np.uint8), np.array([255, 0], np.uint8), 2, 255),
        (np.array([-128, 1], np.int8), np.array([127, 1], np.int8), 1, 255),
        (np.array([True, False]), np.array([True, True]), 1, 1),
        (np.array([np.inf, 1.0]), np.array([np.inf, 2.0]), 1, 1.0),
        (np.array([np.inf]), np.array([-np.inf]), 1, np.inf),
        (np.array([1 + 1j]), np.array([4 + 5j]), 1, 5.0),
        (np.array(1.0), np.array(3.0), 1, 2.0),
        (np.array([1, 2], np.int64), np.array([1, 4], np.float32), 1, 2.0),
        (np.array([1, 2], ml_dtypes.bfloat16), np.array([1, 4], ml_dtypes.bfloat16), 1, 2.0),
        (np.array([1, 2], ml_dtypes.int4), np.array([1, -4], ml_dtypes.int4), 1, 6.0),
    ],
)
def test_the_largest_difference(a, b, elements, most):
    assert difference(a, b) == {"elements": elements, "of": a.size, "max": most}
    assert difference(b, a) == difference(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0])),
        (np.array([0.0]), np.array([-0.0])),
        (np.array([1, 2], np.int8), np.array([1.0, 2.0])),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.zeros((0, 3)), np.zeros((0, 3), np.int8)),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.arange(20)[::2], np.arange(20)[::2].copy()),
        (np.broadcast_to(np.float32(1), (3, 4)), np.ones((3, 4), np.float32)),
    ],
)
def test_equal(a, b):
    assert difference(a, b) is None


def test_nan_on_one_side_is_the_largest_difference():
    found = difference(np.array([np.nan, 1.0, 5.0]), np.array([0.0, 1.0, 9.0]))
    assert found is not None
    assert found["elements"] == 2
    assert np.isnan(found["max"])


@given(
    arrays.arrays(np.float64, arrays.array_shapes(max_dims=3), elements=st.floats(-1e6, 1e6)),
    st.data(),
    st.sampled_from("CF"),
)
def test_difference_is_what_numpy_says(a, data, order):
    b = np.array(data.draw(arrays.arrays(np.float64, a.shape, elements=st.floats(-1e6, 1e6))), order=order)
    found = difference(a, b)
    if (a == b).all():
        assert found is None
    else:
        assert found == {"elements": int((a != b).sum()), "of": a.size, "max": float(np.abs(a - b).max())}


def test_arrays_larger_than_a_piece(monkeypatch):
    monkeypatch.setattr("holdfast.cli.figures.PIECE", 16)
    a = np.random.default_rng(0).normal(size=(7, 11))
    assert figures(a)["mean"] == pytest.approx(a.mean())
    assert figures(a)["min"] == a.min()
    b = np.asfortranarray(a.copy())
    b[3, 4] += 1
    found = difference(a, b)
    assert found is not None
    assert (found["elements"], found["max"]) == (1, pytest.approx(1))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((0, 2)), {"values": []}),
        (np.full(8, np.nan), {"not finite": 8}),
        (np.full(8, 3 + 4j), {"min": 5.0, "mean": 5.0, "max": 5.0}),
        (np.array(list("abcdefgh")), {"first": list("abcdef")}),
        (np.array([1.5, 2], ml_dtypes.bfloat16), {"values": [1.5, 2.0]}),
    ],
)
def test_figures(array, expected):
    assert figures(array) == expected
