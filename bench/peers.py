"""How each library saves and loads a dictionary, as its own documentation does it.

``durable`` says whether the file is on the disk when ``save`` returns; ``arrays`` whether the library holds
nothing else.
"""

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch

import holdfast
from holdfast.formats import bson
from holdfast.vocab import vocabulary


@dataclass(frozen=True)
class Peer:
    name: str
    save: Callable[[str, dict[str, Any]], None]
    load: Callable[[str], Any]
    arrays: bool = False


def synced(save: Callable[[str, dict[str, Any]], None]) -> Callable[[str, dict[str, Any]], None]:
    """``save`` and then fsync of the file and its folder, for peers that do neither."""

    def durably(path: str, state: dict[str, Any]) -> None:
        save(path, state)
        for target in (path, os.path.dirname(path)):
            descriptor = os.open(target, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    return durably


def quickly(path: str, state: dict[str, Any]) -> None:
    """Our own save without the two fsyncs, to compare with peers that have none."""
    bson.write(path, state, vocabulary(), durable=False)


def pickled(path: str, state: dict[str, Any]) -> None:
    with open(path, "wb") as file:
        pickle.dump(state, file, protocol=5)


def unpickled(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def ours(path: str, state: dict[str, Any]) -> None:
    holdfast.save(path, state)


def saved_by_torch(path: str, state: dict[str, Any]) -> None:
    torch.save(state, path)


def tensors(path: str, state: dict[str, Any]) -> None:
    safetensors.torch.save_file(state, path)


PEERS: list[Peer] = [
    Peer("holdfast", ours, holdfast.load),
    Peer("holdfast, no fsync", quickly, holdfast.load),
    Peer("torch", saved_by_torch, lambda path: torch.load(path, weights_only=True)),
    Peer("torch, mapped", saved_by_torch, lambda path: torch.load(path, weights_only=True, mmap=True)),
    Peer("torch + fsync", synced(saved_by_torch), lambda path: torch.load(path, weights_only=True)),
    Peer("safetensors", tensors, safetensors.torch.load_file, arrays=True),
    Peer("safetensors + fsync", synced(tensors), safetensors.torch.load_file, arrays=True),
    Peer("pickle", pickled, unpickled),
]
"""The first is what the others are compared with."""
