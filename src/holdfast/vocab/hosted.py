"""Arrays of JAX's where JAX is not installed, or not wanted: NumPy's.

Strategy: the document of a ``jax.Array`` is NumPy's under another name, so NumPy's own rule reads it. A typed key of
random numbers is the array of its numbers.
"""

from typing import Any, Final

import numpy as np

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import FormatError
from holdfast.vocab.keys import shown
from holdfast.vocab.numpy import alike, lift_ndarray

RULE: Final = Rule("python", "jax.Array", lift=lift_ndarray, alike=alike, blobs=True)


def lift_key(level: Fields) -> Any:
    data = level["data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint32:
        raise FormatError(f"the numbers of a key are {shown(data)}")
    return data


KEY: Final = Rule("python", "jax.random.key", lift=lift_key)
