"""Tensors that share memory: written once, and sharing it again after ``load``.

Strategy: after the walk all tensors are known by the range of bytes that they lie on. Ranges that overlap make a group.
Where one tensor of a group is dense and covers all of it, that one is an array as ever and the others are views of it;
otherwise the base is a tensor of one axis over the whole range, which nobody had. A view says the base, the offset in
bytes, size, strides and dtype. A tensor alone writes only its own elements, and those of one kind are alike but for
those.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from holdfast.codec.rule import Fields, Items
from holdfast.vocab.numpy import NdArray, bytes_of
from holdfast.vocab.torch.layouts import array_document, dense_order, span
from holdfast.vocab.torch.tensors import NAMES, NATIVE, is_turned, memory, on_storage, python_side
from holdfast.wire.values import MAX_BLOB, Alike, Blob

MAX_PAIRS: Final = 64
"""Tensors of one group up to which we look whether they share elements, and not only a range."""
MAX_WORK: Final = 10_000
"""What NumPy may spend on that question, for two tensors."""
ALIGNMENT: Final = 16
"""Bytes of the widest element."""


class Member(NamedTuple):
    """A tensor, the range of addresses that it lies on, and its document."""

    tensor: Tensor
    low: int
    high: int
    fields: Fields


def settle(tensors: list[Any]) -> list[Fields | Alike]:
    """The documents of all tensors of one save."""
    ranges = list(map(range_of, tensors))
    levels: dict[int, Fields] = {}
    for places in overlapping(tensors, ranges):
        group = [Member(tensors[place], *ranges[place], python_side(tensors[place])) for place in places]
        for part in sharing(group):
            write_group(part)
        levels.update(zip(places, (member.fields for member in group), strict=True))
    known: dict[Any, Fields] = {}
    return [
        alone(tensor, known, *ranges[place]) if place not in levels else levels[place]
        for place, tensor in enumerate(tensors)
    ]


def range_of(tensor: Tensor) -> tuple[int, int]:
    """The address of the first byte of ``tensor`` and of the one after its last; 0 and 0 where its bytes are no one's
    memory."""
    if tensor.is_conj() or tensor.is_neg():
        return 0, 0
    low = tensor.data_ptr()
    if tensor.is_contiguous():
        return low, low + tensor.nbytes
    return low, low + span(tensor.shape, tensor.stride()) * tensor.itemsize


def overlapping(tensors: list[Tensor], ranges: list[tuple[int, int]]) -> list[list[int]]:
    """The places of tensors, two and more, whose ranges touch the same bytes of the same device; each in order."""
    by_device: dict[torch.device, list[int]] = {}
    for place, tensor in enumerate(tensors):
        by_device.setdefault(tensor.device, []).append(place)
    return [group for places in by_device.values() for group in _overlapping(places, ranges)]


def _overlapping(places: list[int], ranges: list[tuple[int, int]]) -> list[list[int]]:
    count = len(places)
    lows = np.fromiter((ranges[place][0] for place in places), np.int64, count)
    highs = np.fromiter((ranges[place][1] for place in places), np.int64, count)
    order = np.argsort(lows, kind="stable")
    apart = lows[order][1:] >= np.maximum.accumulate(highs[order])[:-1]
    if apart.all():  # nearly every save
        return []
    groups = np.split(order, np.flatnonzero(apart) + 1)
    return [[places[place] for place in sorted(group)] for group in groups if len(group) > 1]


def sharing(group: list[Member]) -> list[list[Member]]:
    """The parts of a group that share elements. Columns of a matrix share a range and no element: to write them apart
    is less, and loses nothing."""
    own = sum(member.tensor.numel() * member.tensor.itemsize for member in group)
    if own >= _high(group) - _low(group) or len(group) > MAX_PAIRS or group[0].tensor.device.type != "cpu":
        return [group]
    parts: list[list[Member]] = []
    for member in group:
        apart, joined = [], []
        for part in parts:
            if any(_shares(member, other) for other in part):
                joined += part
            else:
                apart.append(part)
        parts = [*apart, [*joined, member]]
    return parts


def _shares(a: Member, b: Member) -> bool:
    try:
        return np.shares_memory(memory(a.tensor), memory(b.tensor), MAX_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _low(group: list[Member]) -> int:
    return min(member.low for member in group)


def _high(group: list[Member]) -> int:
    return max(member.high for member in group)


# -- documents --------------------------------------------------------------------------------------------------------


def alone(tensor: Tensor, known: dict[Any, Fields], low: int, high: int) -> Fields | Alike:
    """The document of a tensor that shares nothing. The second of a kind is like the first but for its data: ``known``
    holds the first of each kind."""
    kind = array = None
    if low < high <= low + MAX_BLOB and tensor.is_contiguous() and not tensor.__dict__:
        array = memory(tensor)
        kind = type(tensor), tensor.requires_grad, tensor.dtype, array.shape, array.strides
        if model := known.get(kind):
            return Alike(model, Blob(bytes_of(array), True))
    member = Member(tensor, low, high, python_side(tensor))
    write_alone(member, array)
    if kind is not None:
        known[kind] = member.fields
    return member.fields


def write_alone(member: Member, array: NdArray | None = None) -> None:
    """A tensor that shares nothing: its memory, without the gaps; or, where elements lie on each other, a view."""
    tensor = member.tensor
    if complete(member, array):
        return
    if span(tensor.shape, tensor.stride()) <= tensor.numel():
        write_view(member, *flat([member], member.low, member.high))
    else:
        write_array(member, np.ascontiguousarray(memory(tensor)))


def complete(member: Member, array: NdArray | None = None) -> bool:
    """Write the memory as it lies, if it is dense; with Julia's axes reversed, as the plain array that Julia has."""
    array = memory(member.tensor) if array is None else array
    return write_array(member, np.ascontiguousarray(array).T if is_turned(member.fields) else array)


def write_array(member: Member, array: NdArray) -> bool:
    fields, dtype = member.fields, member.tensor.dtype
    extra = fields if dtype in NATIVE else fields | {"dtype": NAMES[dtype]}
    document = array_document(array, dict(extra))
    if document is None:
        return False
    fields.clear()
    fields.update(document)
    return True


def write_group(group: list[Member]) -> None:
    """Members that share: views of one of them, or of a base that we make on the storage that they have in common."""
    if len(group) == 1:
        write_alone(group[0])
        return
    low, high = _low(group), _high(group)
    cover = next((member for member in group if _covers(member, group, low, high) and complete(member)), None)
    if cover is not None:
        base, start = cover.tensor, low
    else:
        storages = {member.tensor.untyped_storage().data_ptr() for member in group}
        if len(storages) > 1:
            for storage in storages:
                write_group([member for member in group if member.tensor.untyped_storage().data_ptr() == storage])
            return
        base, start = flat(group, low, high)
    for member in group:
        if member is not cover:
            write_view(member, base, start)


def flat(group: list[Member], low: int, high: int) -> tuple[Tensor, int]:
    """A tensor of one axis over the bytes from ``low`` to ``high``, and the address where it starts.

    It is of the members' own dtype, so that Julia sees their numbers, or of bytes, from a place where any dtype fits.
    """
    tensor, dtypes = group[0].tensor, {member.tensor.dtype for member in group}
    storage = tensor.untyped_storage()
    dtype = tensor.dtype if len(dtypes) == 1 else torch.uint8
    start = low - storage.data_ptr()
    start -= start % (tensor.itemsize if len(dtypes) == 1 else ALIGNMENT)
    count = (high - storage.data_ptr() - start) // dtype.itemsize
    return on_storage(
        storage, dtype, start // dtype.itemsize, (count,), (1,), tensor.device
    ), storage.data_ptr() + start


def _covers(member: Member, group: list[Member], low: int, high: int) -> bool:
    aligned = all((other.low - low) % other.tensor.itemsize == 0 for other in group)
    tensor = member.tensor
    as_it_lies = (
        tensor.is_contiguous() if is_turned(member.fields) else dense_order(tensor.shape, tensor.stride()) is not None
    )
    return (member.low, member.high) == (low, high) and as_it_lies and aligned


def write_view(member: Member, base: Tensor, start: int) -> None:
    tensor, fields = member.tensor, member.fields
    fields["tag"], fields["type"] = "python", fields.pop("python")
    fields["base"], fields["offset"] = base, member.low - start
    fields["size"], fields["strides"] = Items(tensor.shape), Items(tensor.stride())
    fields["dtype"] = NAMES[tensor.dtype]
