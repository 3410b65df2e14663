"""The states that the rows save. Each is made afresh from a seed, so that every round and peer has the same."""

from collections.abc import Callable
from typing import Any

import torch

MIB = 1 << 20


def large(mib: int = 1024, arrays: int = 64) -> dict[str, Any]:
    """``mib`` MiB of float32 in equal arrays."""
    generator = torch.Generator().manual_seed(1)
    each = mib * MIB // arrays // 4
    return {f"block.{i}.weight": torch.rand(each // 1024, 1024, generator=generator) for i in range(arrays)}


def many(arrays: int = 10_000, side: int = 32) -> dict[str, Any]:
    """Arrays of ``side * side * 4`` bytes each."""
    generator = torch.Generator().manual_seed(2)
    return {f"layer.{i}.weight": torch.rand(side, side, generator=generator) for i in range(arrays)}


def small(values: int = 100_000) -> dict[str, Any]:
    """A nested list of small values: depth 4, four kinds of value."""
    kinds: list[Callable[[int], Any]] = [lambda i: i, lambda i: i / 3, lambda i: f"name {i}", lambda i: None]
    leaves = [kinds[i % 4](i) for i in range(values)]
    for width in (10, 10, 10):
        leaves = [leaves[i : i + width] for i in range(0, len(leaves), width)]
    return {"values": leaves}


ROWS: dict[str, Callable[[], dict[str, Any]]] = {
    "large": large,  # 1 GiB in 64 arrays
    "many": many,  # 10,000 arrays of 4 KiB
    "small": small,  # 100,000 small values, nested
}
