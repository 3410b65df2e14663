"""``jax.Array``, as Julia's arrays.

Strategy: an array goes out as NumPy sees it: on a CPU that is its own memory, uncopied; from other devices, and where it
lies in pieces on several, it is brought together on this machine first. It is NumPy's document with another name on it,
so that without JAX it is a NumPy array. ``weak`` is there for an array of JAX's weak type, which gives way to the dtype
of the other operand: losing it would change what a program computes.
"""

import warnings
from contextlib import ExitStack
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from holdfast.codec.rule import Fields, Make, Options, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.dtypes import LOWER_NAMES
from holdfast.vocab.jax.devices import modes_for, put_for, warn_of_width
from holdfast.vocab.numpy import NdArray, array_fields, lift_ndarray
from holdfast.wire.values import MAX_BLOB, Alike, Blob

NAME: Final = "jax.Array"

NAMELESS: Final = ("float6_e2m3fn", "float6_e3m2fn")
"""dtypes that JAX has a name for, and no arrays of."""

DTYPES: Final = frozenset(
    dtype
    for dtype, name in LOWER_NAMES.items()
    if name not in NAMELESS and hasattr(jnp, "bool_" if name == "bool" else name)
)
"""What the elements of an array may be, in this release of JAX."""

# -- out --------------------------------------------------------------------------------------------------------------


def refuse(array: Any) -> None:
    """Raises UnsupportedError for an array whose values are not here, or are of no dtype that a file can say."""
    if array.is_deleted():
        raise UnsupportedError(
            "the array was deleted or donated to a computation (donate_argnums), which used up its memory: save it "
            "before that, or save what the computation gave"
        )
    if not array.is_fully_addressable and not array.is_fully_replicated:
        raise UnsupportedError(
            f"the array of {array.nbytes:,} bytes lies in part in other processes: bring it together with "
            "jax.experimental.multihost_utils.process_allgather(x, tiled=True), and save it in one process"
        )
    if array.dtype not in LOWER_NAMES:
        raise UnsupportedError(f"an array of {array.dtype} cannot be saved: convert it first")


def settle(arrays: list[Any]) -> list[Fields | Alike]:
    """The documents of all arrays of one save: the second of a kind is like the first but for its data."""
    _gather(arrays)
    known: dict[Any, Fields] = {}
    return [_document(array, known) for array in arrays]


def _gather(arrays: list[Any]) -> None:
    """Let all arrays start on their way to the host, and say what lies in pieces."""
    away = [array for array in arrays if len(array.sharding.device_set) > 1 or _is_away(array)]
    for array in away:
        array.copy_to_host_async()
    pieces = [array for array in away if not array.is_fully_replicated]
    if pieces:
        count, size = len(pieces), sum(array.nbytes for array in pieces)
        devices = max(len(array.sharding.device_set) for array in pieces)
        which = "an array that lies" if count == 1 else f"{count:,} arrays that lie"
        gathered = f"{size:,} bytes are gathered on this machine to be saved"
        warnings.warn(f"{which} in pieces on {devices} devices: {gathered}", stacklevel=2)


def _is_away(array: Any) -> bool:
    return jax.default_backend() != "cpu" and any(device.platform != "cpu" for device in array.devices())


def _document(array: Any, known: dict[Any, Fields]) -> Fields | Alike:
    host, weak = np.asarray(array, order="C"), bool(array.weak_type)
    kind = host.dtype, host.shape, weak
    if kind in known:
        return Alike(known[kind], Blob(host.reshape(-1).view(np.uint8).data, True))
    fields = array_fields(host, python=NAME, **({"weak": True} if weak else {}))
    if 0 < host.nbytes <= MAX_BLOB:
        known[kind] = fields
    return fields


# -- back -------------------------------------------------------------------------------------------------------------


def lift(level: Fields, options: Options) -> Any:
    """Raises MismatchError where ``load(device=…)`` names a device that is not here."""
    host, weak = lift_ndarray(level), level.get("weak", False)
    if type(weak) is not bool:
        raise FormatError(f"the weak type of an array is a {type(weak).__name__}")
    array = placed(host, options)
    if weak:
        array = weakened(array, host, options)
    if weak or not host.flags.c_contiguous:
        options.made[id(array)] = array, host  # not the usual kind: see alike
    return array


def placed(host: NdArray, options: Options) -> Any:
    """A NumPy array as a ``jax.Array`` where ``options`` say, in the dtype that it has."""
    if host.dtype not in DTYPES:
        raise FormatError(f"an array of {host.dtype} is none of JAX's {jax.__version__}")
    warn_of_width(host.dtype)
    return put_for(options, host.dtype)(host)


def weakened(array: Any, host: NdArray, options: Options) -> Any:
    """``array`` with JAX's weak type, which only Python's own numbers have: it is put in the place of such ones."""
    with ExitStack() as stack:
        for mode in modes_for(options, host.dtype):
            stack.enter_context(mode())
        numbers = [jnp.asarray(zero) for zero in (0, 0.0, 0j)]
        weak = next((number for number in numbers if number.dtype == host.dtype), None)
        return array if weak is None else jnp.broadcast_to(weak, array.shape).at[...].set(array)


def alike(value: Any, options: Options) -> Make | None:
    """How an array like ``value`` is made on another blob of the file."""
    if id(value) in options.made or value.size == 0 or value.dtype == np.bool_:
        return None
    shape, dtype = value.shape, np.dtype(value.dtype)
    put = put_for(options, dtype)
    return lambda blob: put(np.ndarray(shape, dtype, blob.data))


RULE: Final = Rule("python", NAME, lift_with=lift, settle=settle, refuse=refuse, alike=alike, blobs=True)


def array_rule(cls: type) -> Rule | None:
    """The one rule, for the classes that JAX's arrays are of in this release: they have no public name."""
    return RULE if issubclass(cls, jax.Array) else None
