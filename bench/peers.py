"""How each library saves and loads, as its own documentation does it, and ourselves.

Strategy: functions that import what they need when they are called, so that a peer that is not installed costs nothing,
and a table of contenders below them. Where a library does not sync, ``synced`` does it for the rows in which everyone
must.
"""

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import holdfast
from bench.cache import sync, sync_name
from bench.contender import Contender
from bench.states import State, equal, numpy_of, state_dicts, touch

Save = Callable[[str, Any], None]
Load = Callable[[str], Any]


# Ourselves


def load_one(path: str, name: str, *, verify: bool = True) -> Any:
    return {name: holdfast.load(path, name, verify=verify)}


def save_ours(path: str, state: State) -> None:
    holdfast.save(path, state)


def save_ours_unsynced(path: str, state: State) -> None:
    """``save`` with its one internal switch: no sync, to compare with peers that have none."""
    from holdfast.formats import bson
    from holdfast.vocab import vocabulary

    bson.write(path, state, vocabulary(), durable=False)


# PyTorch's own


def save_torch(path: str, state: State) -> None:
    import torch

    torch.save(state, path)


def load_torch(path: str, *, mmap: bool = False, weights_only: bool = True) -> Any:
    import torch

    return torch.load(path, mmap=mmap, weights_only=weights_only)


def one_by_torch(path: str, name: str) -> Any:
    return {name: load_torch(path, mmap=True)[name]}


def save_dcp(path: str, state: State, *, sync: bool = True) -> None:
    import torch.distributed.checkpoint as dcp

    dcp.save(state, storage_writer=dcp.FileSystemWriter(path, sync_files=sync), no_dist=True)


def save_dcp_async(path: str, state: State) -> None:
    """Until it is written; how long it holds up a training step is the row ``stall``."""
    import torch.distributed.checkpoint as dcp

    future: Any = dcp.async_save(state, storage_writer=dcp.FileSystemWriter(path), no_dist=True)
    future.result()


def load_dcp(path: str) -> Any:
    """Into empty tensors of the shapes that the checkpoint names: it loads in place."""
    import torch
    import torch.distributed.checkpoint as dcp

    entries = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
    state = {name: torch.empty(entry.size, dtype=entry.properties.dtype) for name, entry in entries.items()}
    dcp.load(state, checkpoint_id=path, no_dist=True)
    return state


# safetensors


def save_safetensors(path: str, state: State) -> None:
    from safetensors.torch import save_file

    save_file(state, path)


def load_safetensors(path: str) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def one_by_safetensors(path: str, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name)}


def summed(load: Load) -> Load:
    """``load``, then the XXH3-64 of every tensor: what verifying costs a library that does not."""

    def loaded(path: str) -> Any:
        from xxhash import xxh3_64_intdigest

        state = load(path)
        for tensor in state.values():
            xxh3_64_intdigest(tensor.numpy())
        return state

    return loaded


# JAX's


def to_jax(state: State) -> Any:
    import jax.numpy as jnp

    return {name: jnp.asarray(tensor.numpy()) for name, tensor in state.items()}


def same_as_jax(loaded: Any, state: State) -> bool:
    import numpy as np

    return equal({name: np.asarray(array) for name, array in loaded.items()}, numpy_of(state))


def save_orbax(path: str, state: Any) -> None:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(os.path.abspath(path), state)


def load_orbax(path: str) -> Any:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(os.path.abspath(path))


# NumPy's world


def save_npz(path: str, state: State) -> None:
    import numpy as np

    with open(path, "wb") as file:
        np.savez(file, **state)


def load_npz(path: str) -> Any:
    import numpy as np

    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def save_joblib(path: str, state: State) -> None:
    import joblib

    joblib.dump(state, path)


def load_joblib(path: str) -> Any:
    import joblib

    return joblib.load(path)


def save_h5(path: str, state: State) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in state.items():
            file.create_dataset(name, data=array)


def load_h5(path: str) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        return {name: dataset[()] for name, dataset in file.items()}


# Python values


def save_pickle(path: str, state: State) -> None:
    with open(path, "wb") as file:
        pickle.dump(state, file, protocol=5)


def load_pickle(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def save_pymongo(path: str, state: State) -> None:
    import bson

    Path(path).write_bytes(bson.encode(state))


def load_pymongo(path: str) -> Any:
    import bson

    return bson.decode(Path(path).read_bytes())


# What is put around them


def synced(save: Save) -> Save:
    """``save``, then fsync of every file and folder that it made and of the folder that they are in."""

    def durably(path: str, state: Any) -> None:
        save(path, state)
        sync(path)
        sync_name(path)

    return durably


def touched(load: Load) -> Load:
    """``load``, then a look at every byte."""
    return lambda path: touch(load(path))


def same_model(loaded: State, state: State) -> bool:
    return equal(state_dicts(loaded), state_dicts(state))


def one(contender: Contender, load: Callable[[str, str], Any]) -> Contender:
    """``contender`` that takes one array, the last but one, and reads it."""
    name = "block.62.weight"
    return replace(
        contender,
        load=lambda path: touch(load(path, name)),
        same=lambda loaded, state: equal(loaded, {name: state[name]}),
    )


OURS = "holdfast"
UNSYNCED = "holdfast, no fsync"

holdfast_ = Contender(OURS, save_ours, holdfast.load)
holdfast_unsynced = Contender(UNSYNCED, save_ours_unsynced, holdfast.load, file=OURS)
holdfast_unverified = Contender("holdfast, verify=False", save_ours, partial(holdfast.load, verify=False), file=OURS)
holdfast_in_memory = Contender("holdfast, mmap=False", save_ours, partial(holdfast.load, mmap=False), file=OURS)
torch_ = Contender("torch", save_torch, load_torch)
torch_mapped = Contender("torch, mmap=True", save_torch, partial(load_torch, mmap=True), file="torch")
torch_synced = Contender("torch + fsync", synced(save_torch), load_torch, file="torch")
safetensors_ = Contender("safetensors", save_safetensors, load_safetensors, needs=("safetensors",))
safetensors_synced = Contender(
    "safetensors + fsync", synced(save_safetensors), load_safetensors, file="safetensors", needs=("safetensors",)
)
safetensors_summed = Contender(
    "safetensors + XXH3", save_safetensors, summed(load_safetensors), file="safetensors", needs=("safetensors",)
)
dcp = Contender("dcp", synced(save_dcp), load_dcp)
dcp_unsynced = Contender("dcp, no fsync", partial(save_dcp, sync=False), load_dcp, file="dcp")
dcp_async = Contender("dcp.async_save, until written", synced(save_dcp_async), load_dcp, file="dcp")
orbax = Contender("orbax", save_orbax, load_orbax, needs=("orbax", "jax"), prepare=to_jax, same=same_as_jax)
numpy_ = Contender("numpy.savez", save_npz, load_npz)
joblib_ = Contender("joblib", save_joblib, load_joblib, needs=("joblib",))
h5py_ = Contender("h5py", save_h5, load_h5, needs=("h5py",))
pickle_ = Contender("pickle", save_pickle, load_pickle)
pymongo = Contender("pymongo", save_pymongo, load_pymongo, needs=("bson",), same=eq)  # large ints are an Int64
