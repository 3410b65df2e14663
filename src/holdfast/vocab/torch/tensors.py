"""torch's tensors and parameters, as Julia's arrays.

Strategy: a tensor is its memory (``layouts.py``) with Python's side in extra keys: ``python`` says which class,
``requires_grad``, ``dtype`` for one that Julia's Base or NumPy lacks (it travels as unsigned integers), ``strides``.
Nothing is copied on the way out, nor on the way back: the tensor stands on the mapped file. Whether tensors share
memory is known after the walk: ``sharing.py`` completes the documents then. A tensor on a GPU goes through the CPU.

As ``torch.save`` does: gradients (``.grad``) are not kept, and a tensor in the middle of a graph that requires grad
comes back as a leaf that does.
"""

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from holdfast.codec.rule import Fields, Make, Options, Rule
from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.anatomy import static_attribute
from holdfast.vocab.named import class_name
from holdfast.vocab.numpy import NdArray
from holdfast.vocab.torch.documents import section
from holdfast.vocab.torch.layouts import MAX_ELEMENTS, array_from, lengths, span
from holdfast.vocab.torch.staging import to_device
from holdfast.wire.values import Blob

DTYPES: Final[dict[str, torch.dtype]] = {
    str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, torch.dtype)
}
"""Every dtype by its own name; short names such as ``half`` are not among them."""

QUANTISED: Final = frozenset(name for name in DTYPES if name.startswith(("qint", "quint")))

NATIVE: Final = frozenset(
    DTYPES[name]
    for name in (
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
)
"""dtypes that NumPy and Julia have."""

NUMPY: Final = {dtype: torch.empty(0, dtype=dtype).numpy().dtype for dtype in NATIVE if dtype is not torch.bool}
"""Native dtype -> NumPy's. Not every byte is a bool: those are looked at one by one."""

CARRIERS: Final = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32}
"""Width in bytes -> the integers that carry a dtype which NumPy lacks."""

CARRIED: Final = {
    name: dtype
    for name, dtype in DTYPES.items()
    if dtype not in NATIVE and name not in QUANTISED and dtype.itemsize in CARRIERS
}
"""Name -> dtype of those that travel as integers (complex32 as one of 4 bytes)."""

NAMES: Final = {dtype: name for name, dtype in DTYPES.items() if dtype in NATIVE or name in CARRIED}

AXES: Final = "julia_axes"
"""Attribute of a tensor whose axes are Julia's in the opposite order (``"reversed"``): the same memory is written as a
plain Julia array, and comes back with its axes reversed again."""

CLASSES: Final[dict[type, str]] = {Tensor: "torch.Tensor", torch.nn.Parameter: "torch.nn.Parameter"}
"""The classes that a tensor may be of. A ``torch.nn.Buffer`` is a Tensor with two attributes."""


# -- what cannot be saved ---------------------------------------------------------------------------------------------

Question = Callable[[Tensor], Any]

OBSTACLES: Final[tuple[tuple[Question, str], ...]] = (
    (lambda x: x.is_nested, "a nested tensor cannot be saved: save list(x.unbind())"),
    (lambda x: str(x.layout) == "torch._mkldnn", "an MKL-DNN tensor cannot be saved: save x.to_dense()"),
    (
        lambda x: x.layout != torch.strided,
        "a sparse tensor ({0.layout}) cannot be saved: save x.to_dense(), or its parts",
    ),
    (lambda x: x.is_quantized, "a quantised tensor ({0.dtype}) cannot be saved: save x.dequantize(), or x.int_repr()"),
    (
        lambda x: x.is_meta,
        "a tensor on the device 'meta' has no values to save: give it some first (to_empty, then fill)",
    ),
    (lambda x: x.dtype not in NAMES, "a tensor of {0.dtype} cannot be saved: convert it first"),
    (lambda x: any(getattr(x, "names", ())), "a tensor with named axes cannot be saved: save x.rename(None)"),
    (
        lambda x: x._backward_hooks or x._post_accumulate_grad_hooks,
        "the tensor has hooks, which are code: remove them before saving and register them again after loading",
    ),
    (
        lambda x: _is_elsewhere(x),
        "the tensor is inside a transformation (vmap, grad, functionalize): save it outside of that",
    ),
)
"""What a tensor may be that has no plain memory, and what to do instead."""


def _is_ordinary(tensor: Tensor) -> bool:
    """The quick look that settles most tensors: none of the obstacles can be there."""
    return (
        tensor.layout is torch.strided
        and tensor.dtype in NATIVE
        and tensor.is_cpu
        and not tensor.is_nested
        and not any(getattr(tensor, "names", ()))
        and not (tensor._backward_hooks or tensor._post_accumulate_grad_hooks)
        and not _is_elsewhere(tensor)
    )


def _is_elsewhere(tensor: Tensor) -> bool:
    try:
        return tensor.data_ptr() == 0 and tensor.numel() > 0
    except RuntimeError:
        return True


KEPT: Final = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
"""Types of attributes that a tensor takes along (of ``torch.nn.Buffer``, of libraries that mark their weights)."""


def _is_kept(value: Any) -> bool:
    return type(value) in KEPT or (type(value) in (tuple, list) and all(map(_is_kept, value)))


def _is_own(name: Any) -> bool:
    """Whether ``name`` is free for an attribute of a tensor."""
    return type(name) is str and not name.startswith("__") and static_attribute(torch.nn.Parameter, name) is None


def _attributes(tensor: Tensor) -> dict[str, Any]:
    attributes = vars(tensor)
    for name, value in attributes.items():
        if not _is_own(name) or not _is_kept(value):
            what = class_name(type(value))
            raise UnsupportedError(
                f"a tensor's attribute that is a {what} cannot be saved: keep it elsewhere", f".{name}"
            )
    return dict(attributes)


# -- out --------------------------------------------------------------------------------------------------------------


def refuse_tensor(tensor: Tensor) -> None:
    """Raises UnsupportedError for a tensor that cannot be saved, and says what to do instead."""
    if not _is_ordinary(tensor):
        for question, answer in OBSTACLES:
            if question(tensor):
                raise UnsupportedError(answer.format(tensor))
    if tensor.__dict__:
        _attributes(tensor)


def python_side(tensor: Tensor) -> Fields:
    """What Python knows of ``tensor`` beside its memory, which ``sharing`` adds."""
    fields = Fields(python=CLASSES[type(tensor)])
    if tensor.requires_grad != (type(tensor) is torch.nn.Parameter):  # its isinstance is slow
        fields["requires_grad"] = tensor.requires_grad
    if vars(tensor):
        fields["attributes"] = section(_attributes(tensor))
    return fields


def is_reversed(tensor: Tensor) -> bool:
    """Whether Julia has the axes of ``tensor`` in the opposite order."""
    return getattr(tensor, AXES, None) == "reversed"


def is_turned(fields: Fields) -> bool:
    """Whether a document says that Julia has the axes of its tensor in the opposite order."""
    attributes = fields.get("attributes")
    return isinstance(attributes, dict) and attributes.get(AXES) == "reversed"


def memory(tensor: Tensor) -> NdArray:
    """The tensor's own memory as NumPy sees it, with the tensor's strides; from a GPU, a copy."""
    if tensor.dtype not in NATIVE:
        tensor = tensor.detach().view(CARRIERS[tensor.itemsize])
    return tensor.numpy(force=True)


# -- back -------------------------------------------------------------------------------------------------------------


def lift_tensor(level: Fields, options: Options) -> Tensor:
    return finished(level, on_memory(level, options))


def lift_parameter(level: Fields, options: Options) -> Tensor:
    return finished(level, on_memory(level, options), parameter=True)


def on_memory(level: Fields, options: Options) -> Tensor:
    """A tensor on the memory of the file, or on that of another tensor."""
    if "base" in level:
        return view_of(level)
    tensor = on_array(level, options)
    return tensor.permute(*reversed(range(tensor.dim()))) if is_turned(level) else tensor


def finished(level: Fields, tensor: Tensor, *, parameter: bool = False) -> Tensor:
    """``tensor`` with what stands beside the memory."""
    requires_grad = level.get("requires_grad", parameter)
    if type(requires_grad) is not bool or (requires_grad and not (tensor.is_floating_point() or tensor.is_complex())):
        raise FormatError(f"the requires_grad of a tensor of {tensor.dtype} is {requires_grad!r:.40}")
    if parameter:
        tensor = torch.nn.Parameter(tensor, requires_grad)
    elif requires_grad:
        tensor.requires_grad_()
    attributes = level.get("attributes", {})
    if attributes:
        if type(attributes) is not dict or not all(_is_own(n) and _is_kept(v) for n, v in attributes.items()):
            raise FormatError(f"the attributes of a tensor are {attributes!r:.80}")
        vars(tensor).update(attributes)
    return tensor


def alike(value: Tensor, options: Options) -> Make | None:
    """How a tensor like ``value`` is made on another blob of the file."""
    dtype, parameter = NUMPY.get(value.dtype), isinstance(value, torch.nn.Parameter)
    if dtype is None or options.device != "cpu" or vars(value) or value.numel() == 0:
        return None
    size, requires_grad = tuple(value.shape), value.requires_grad
    strides = tuple(stride * value.itemsize for stride in value.stride())

    def make(blob: Blob) -> Tensor:
        data = bytearray(blob.data) if blob.data.readonly else blob.data
        tensor = torch.from_numpy(np.ndarray(size, dtype, data, 0, strides))
        if parameter:
            return torch.nn.Parameter(tensor, requires_grad)
        return tensor.requires_grad_() if requires_grad else tensor

    return make


def on_array(level: Fields, options: Options) -> Tensor:
    """A tensor on the memory of the file."""
    name = level.pop("dtype", None)
    tensor = torch.from_numpy(array_from(level))
    if name is not None:
        dtype = CARRIED.get(name)
        if dtype is None or tensor.dtype is not CARRIERS[dtype.itemsize]:
            raise FormatError(f"a tensor of dtype {name!r:.40} is carried by {tensor.dtype}")
        tensor = on_storage(tensor.untyped_storage(), dtype, 0, tuple(tensor.shape), tensor.stride(), tensor.device)
    return tensor if options.device == "cpu" else to_device(tensor, options.device)


def dtype_named(name: Any) -> torch.dtype:
    """The dtype of a tensor that ``name`` says."""
    if not isinstance(name, str) or NAMES.get(DTYPES.get(name, torch.quint8)) != name:
        raise FormatError(f"{name!r:.60} is not the dtype of a tensor")
    return DTYPES[name]


def view_of(level: Fields) -> Tensor:
    """A tensor on the memory of another, which ``sharing`` wrote as its ``base``."""
    base, dtype, offset = level["base"], dtype_named(level["dtype"]), level["offset"]
    size, strides = lengths(level["size"], "size"), lengths(level["strides"], "strides")
    fits = len(size) == len(strides) and prod(size) <= MAX_ELEMENTS
    if type(base) not in CLASSES or type(offset) is not int or not fits:
        raise FormatError(f"a tensor is a view of {type(base).__name__} from {offset!r:.40}, {size}, {strides}")
    held = span(base.shape, base.stride()) * base.itemsize
    start = base.storage_offset() * base.itemsize + offset
    if not 0 <= offset <= held - span(size, strides) * dtype.itemsize or start % dtype.itemsize:
        raise FormatError(f"a view of size {size}, strides {strides}, from byte {offset} is outside of {held:,} bytes")
    tensor = on_storage(base.untyped_storage(), dtype, start // dtype.itemsize, size, strides, base.device)
    if dtype is torch.bool and base.dtype is not torch.bool:  # the bytes of a base of bools were looked at already
        check_bools(tensor)
    return tensor


def on_storage(
    storage: torch.UntypedStorage,
    dtype: torch.dtype,
    start: int,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    device: torch.device,
) -> Tensor:
    """A tensor on ``storage`` from element ``start``; the caller has checked that it fits."""
    carrier = CARRIERS[4] if dtype is torch.complex32 else dtype  # torch warns about every new complex32 tensor
    tensor = torch.empty(0, dtype=carrier, device=device).set_(storage, start, size, strides)
    return tensor if carrier is dtype else tensor.view(dtype)


def check_bools(tensor: Tensor) -> None:
    """Raises FormatError for bytes that are no bool. Where elements lie on each other each byte is looked at once."""
    if tensor.numel() == 0 or tensor.is_meta:
        return
    reach = span(tensor.shape, tensor.stride())
    plain = tensor.view(torch.uint8)
    if (plain if tensor.numel() <= reach else plain.as_strided((reach,), (1,))).max() > 1:
        raise FormatError("a bool of a tensor is neither 0 nor 1")


# -- subclasses -------------------------------------------------------------------------------------------------------

ADVICE: Final = {
    "UninitializedTensorMixin": "has no values yet: run one batch through the model before saving it",
    "DTensor": "is one part of a tensor that lies on several machines: save x.full_tensor()",
    "FakeTensor": "has no values",
    "FunctionalTensor": "has no memory of its own: save it outside of the transformation",
    "NestedTensor": "is nested: save list(x.unbind())",
}
"""Subclasses of Tensor, by the name of a base -> what is the matter with them."""


def tensor_rule(cls: type) -> Rule | None:
    """The rule of a class that is a subclass of Tensor: it cannot be saved, and says why."""
    if not issubclass(cls, Tensor):
        return None
    known = [ADVICE[base.__name__] for base in cls.__mro__ if base.__name__ in ADVICE]
    reason = known[0] if known else "is more than its values: save x.as_subclass(torch.Tensor)"
    return refused(cls, f"the tensor is a {cls.__qualname__}, which {reason}")


def refused(cls: type, reason: str) -> Rule:
    """A rule that refuses objects of ``cls``; no file holds one."""

    def lower(value: Any) -> Fields:
        raise UnsupportedError(reason)

    return Rule("python", class_name(cls), (cls,), lower)
