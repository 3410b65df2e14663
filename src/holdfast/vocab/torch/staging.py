"""Tensors on their way from a file to a GPU, through page-locked memory.

Strategy: the GPU fetches by itself only from page-locked memory, so a long tensor goes piece by piece through two such
buffers: while the GPU fetches one, the processor fills the other from the mapped file. A buffer is filled again only
when what was in it is known to have arrived. Short tensors, other devices and memory with gaps go torch's own way.
"""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Final

import torch
from torch import Tensor

from holdfast.vocab.torch.layouts import dense_order

PIECE: Final = 8 << 20
"""Bytes of one buffer: long enough that starting a copy costs nothing beside it."""
BUFFERS: Final = 2
LONG: Final = 2 * PIECE
"""Bytes from which a tensor goes this way."""

Arrived = Callable[[], object]
"""Waits until what was sent has arrived."""
Send = Callable[[Tensor, Tensor], Arrived]
"""Takes (target, filled buffer) and starts to copy."""


def to_device(tensor: Tensor, device: str | torch.device) -> Tensor:
    """``tensor`` on ``device``, with the same strides where its memory has no gaps.

    >>> to_device(torch.ones(2), "meta").device
    device(type='meta')
    """
    place = torch.device(device)
    far = place.type == "cuda" and tensor.device.type == "cpu" and tensor.nbytes >= LONG
    if not far or dense_order(tensor.shape, tensor.stride()) is None:
        return tensor.to(place)
    target = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=place)
    with torch.cuda.device(target.device):
        buffers = [torch.empty(PIECE, dtype=torch.uint8, pin_memory=True) for _ in range(BUFFERS)]
        stream(flat(tensor), flat(target), buffers, send)
    return target


def flat(tensor: Tensor) -> Tensor:
    """The bytes of a tensor without gaps, in the order of its memory."""
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8)


def stream(source: Tensor, target: Tensor, buffers: Sequence[Tensor], send: Send) -> None:
    """Copy all bytes of ``source`` to ``target`` through ``buffers`` in turn; everything has arrived at the end."""
    length, arrivals = buffers[0].numel(), dict[int, Arrived]()
    for start, turn in zip(range(0, source.numel(), length), cycle(range(len(buffers))), strict=False):
        if turn in arrivals:
            arrivals[turn]()
        piece = source[start : start + length]
        filled = buffers[turn][: piece.numel()].copy_(piece)
        arrivals[turn] = send(target[start : start + length], filled)
    for arrived in arrivals.values():
        arrived()


def send(target: Tensor, filled: Tensor) -> Arrived:
    """Let the GPU fetch ``filled`` while we go on."""
    target.copy_(filled, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event.synchronize
