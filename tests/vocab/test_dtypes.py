"""NumPy's dtypes as values, and fields whose bytes are the other way round."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.dtypes import NAMED
from through_memory import again, lifted, saved

OTHERS = [">f8", ">i2", "S3", "U5", "V7", [("x", "f4"), ("n", "i8", (2,))], "?"]


@pytest.mark.parametrize("dtype", [*NAMED.values(), *map(np.dtype, OTHERS)], ids=str)
def test_each(dtype: "np.dtype[Any]") -> None:
    assert again({"dtype": dtype}) == {"dtype": dtype}
    assert again(dtype).isnative == dtype.isnative


def test_a_dtype_of_ml_dtypes_is_that_one() -> None:
    assert again(np.dtype(ml_dtypes.bfloat16)) == np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("state", ["float33", 1, ["S"], ["struct", 4, [["x", "float64", 0, []]]]], ids=str)
def test_what_is_no_dtype_is_refused(state: Any) -> None:
    with pytest.raises(FormatError):
        lifted({"x": {"tag": "python", "type": "numpy.dtype", "state": state}})


@pytest.mark.parametrize("fields", [[("n", ">i8")], [("n", "<i8"), ("m", ">f4")]], ids=str)
def test_swapped_fields_are_refused_and_not_misread(fields: Any) -> None:
    dtype = np.dtype(fields)
    for value in (np.zeros(2, dtype), np.zeros((), dtype)[()], dtype):
        with pytest.raises(UnsupportedError, match="byte order"):
            saved(value)
    native = dtype.newbyteorder("=")
    assert again(np.ones(2, dtype).astype(native)).tolist() == np.ones(2, dtype).tolist()


def test_objects_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="Python objects"):
        saved(np.dtype(object))
