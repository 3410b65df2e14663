"""Where the arrays of a file go, and JAX's 64-bit mode.

Strategy: with ``device="cpu"``, the default, arrays come uncommitted: they lie in the memory of the host, and JAX takes
them to wherever a computation is. Any other ``device`` is a wish: they are committed to it. An array of 64 bits comes
as it was saved, whether or not this process has JAX's 64-bit mode, which otherwise would round it without a word.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from importlib import import_module
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from holdfast.codec.rule import Options
from holdfast.errors import MismatchError

CONFIG: Final[Any] = jax.config

Mode = Callable[[], AbstractContextManager[Any]]

Put = Callable[[Any], Any]
"""Makes a ``jax.Array`` of a NumPy array."""

WIDE: Final = frozenset(map(np.dtype, ("int64", "uint64", "float64", "complex128")))
"""dtypes that JAX rounds to half their width unless its 64-bit mode is on."""

SMALL: Final = 1 << 18
"""Bytes up to which copying an array is quicker than ``device_put``, which takes memory over as it is but has more to
think about: 11 and 60 µs for an array of 256 bytes."""


def put_for(options: Options, dtype: "np.dtype[Any]") -> Put:
    """What makes arrays of ``dtype`` where ``options`` say.

    On the CPU an array of more than ``SMALL`` bytes whose memory is aligned is not copied: it stands on the mapped file,
    to which nothing else writes. JAX copies before it reuses such memory for a donated argument.
    Raises MismatchError where this process has no such device.
    """
    wished = None if options.device == "cpu" else place_of(options.device)
    modes = modes_for(options, dtype)

    def plain(array: Any) -> Any:
        if wished is None and array.nbytes <= SMALL:
            return jnp.asarray(array)
        return jax.device_put(array, wished)

    def within(array: Any) -> Any:
        with ExitStack() as stack:
            for mode in modes:
                stack.enter_context(mode())
            return plain(array)

    return within if modes else plain


def modes_for(options: Options, dtype: "np.dtype[Any]") -> list[Mode]:
    """What JAX has to be told to make arrays of ``dtype`` where ``options`` say; usually nothing."""
    modes: list[Mode] = [wide] if dtype in WIDE else []
    usual = jax.default_backend() == "cpu" and CONFIG.jax_default_device is None
    if options.device == "cpu" and not usual:
        host = place_of("cpu")
        modes.append(lambda: jax.default_device(host))
    return modes


def place_of(name: str) -> Any:
    """The device that ``name`` says. Raises MismatchError where this process has none such."""
    kind, _, number = name.partition(":")
    try:
        return jax.local_devices(backend=kind)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError):
        here = ", ".join(f"{device.platform}:{device.id}" for device in jax.local_devices())
        raise MismatchError(f"JAX has no device {name!r:.40} here; it has {here}: load(path, device=…)") from None


def wide() -> Any:
    """JAX's 64-bit mode, whose switch moved out of ``jax.experimental``."""
    module: Any = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")
    return module.enable_x64(True)


def warn_of_width(dtype: "np.dtype[Any]") -> None:
    """Say that JAX will not compute with what it is given."""
    if dtype in WIDE and not CONFIG.jax_enable_x64:
        warnings.warn(
            f"an array of {dtype} comes as it was saved, but JAX's 64-bit mode is off, so that what is computed from it "
            'is rounded to 32 bits: jax.config.update("jax_enable_x64", True)',
            stacklevel=2,
        )
