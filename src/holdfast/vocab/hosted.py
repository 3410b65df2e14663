"""Arrays of JAX's where JAX is not installed, or not wanted: NumPy's.

Strategy: the document of a ``jax.Array`` is NumPy's under another name, so NumPy's own rule reads it.
"""

from typing import Final

from holdfast.codec.rule import Rule
from holdfast.vocab.numpy import alike, lift_ndarray

RULE: Final = Rule("python", "jax.Array", lift=lift_ndarray, alike=alike, blobs=True)
