"""Pieces on their way to a GPU: with a device that takes its bytes as late as it may, and with a real one where there is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from holdfast import load, save
from holdfast.vocab.torch import staging
from holdfast.vocab.torch.staging import Arrived, flat, stream, to_device


class LazyDevice:
    """Fetches what was sent only when somebody waits for it: a buffer that is filled too early arrives changed."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.most = 0

    def send(self, target: Tensor, filled: Tensor) -> Arrived:
        def fetch() -> None:
            target.copy_(filled)

        self.waiting.append(fetch)
        self.most = max(self.most, len(self.waiting))

        def arrived() -> None:
            while fetch in self.waiting:
                self.waiting.pop(0)()

        return arrived


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, 33, 48, 1000])
@pytest.mark.parametrize("buffers", [1, 2, 3])
def test_all_bytes_arrive(length: int, buffers: int) -> None:
    source, target, device = torch.arange(length).to(torch.uint8), torch.zeros(length, dtype=torch.uint8), LazyDevice()
    stream(source, target, [torch.empty(16, dtype=torch.uint8) for _ in range(buffers)], device.send)
    assert torch.equal(source, target)
    assert not device.waiting
    assert device.most == min(buffers, -(-length // 16))  # the buffers are all under way at once


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.complex64, torch.bool, torch.int8, torch.float64]
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (2, 1, 0)])
def test_memory_in_its_own_order(dtype: torch.dtype, order: tuple[int, ...]) -> None:
    tensor = torch.arange(60).to(dtype).reshape(3, 4, 5)[1:].permute(order)
    target = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype)
    stream(flat(tensor), flat(target), [torch.empty(16, dtype=torch.uint8) for _ in "ab"], LazyDevice().send)
    assert torch.equal(tensor, target)
    assert tensor.stride() == target.stride()


def test_other_devices_and_memory_with_gaps_go_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "stream", None)
    monkeypatch.setattr(staging, "LONG", 0)
    assert to_device(torch.ones(3, 4)[:, ::2], "meta").is_meta
    assert torch.equal(to_device(torch.ones(3), "cpu"), torch.ones(3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("pieces", [0.5, 2, 3.3])
def test_on_a_gpu(pieces: float, tmp_path: Path) -> None:
    tensor = torch.rand(round(staging.PIECE * pieces) // 4 // 8, 8).t()
    save(tmp_path / "m.bson", a=tensor)
    loaded = load(tmp_path / "m.bson", "a", device="cuda")
    assert loaded.is_cuda
    assert loaded.stride() == tensor.stride()
    assert torch.equal(loaded.cpu(), tensor)
