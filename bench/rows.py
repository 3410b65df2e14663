"""The rows: what is saved or loaded, by whom, and what it must show. A table, and nothing else.

A row is measured by one of four means (``how``):

save    each round, everyone saves to a path that is not there yet (``over``: that is there)
load    everyone's file is there, in the page cache (``cold``: not in it); each round everyone loads it
memory  the peak of a save or a load in a process of its own, MiB (memory.py)
import  seconds until a module is imported in a process of its own (imports.py)
stall   how long a training step is held up (stall.py)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from bench import peers, raw, states
from bench.contender import Contender
from bench.figures import Goal, Limit
from bench.julia import bson_jl
from bench.peers import OURS, UNSYNCED, one, touched


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    how: Literal["save", "load", "memory", "import", "stall"]
    state: Callable[[float], Any] = states.arrays
    contenders: tuple[Contender, ...] = ()
    goals: tuple[Goal, ...] = ()
    limits: tuple[Limit, ...] = ()
    over: bool = False
    cold: bool = False
    repeat: int = 1

    def comparisons(self, measured: list[str]) -> tuple[Goal, ...]:
        """The goals, and everyone else beside the first of ours."""
        stated = {name for goal in self.goals for name in (goal.ours, goal.peer)}
        others = [name for name in measured[1:] if name not in stated]
        return self.goals + tuple(Goal(measured[0], name) for name in others)


def both(peer: str, at_least: float) -> tuple[Goal, ...]:
    """Of a save: as users call the two, and alike, with no sync on either side."""
    return Goal(OURS, peer, at_least), Goal(UNSYNCED, peer, at_least)


def reading(*contenders: Contender) -> tuple[Contender, ...]:
    """Each load followed by a look at every byte."""
    return tuple(replace(each, load=touched(each.load)) for each in contenders)


ALL_TORCH = (peers.torch_, peers.torch_mapped)
NUMPYS = (peers.numpy_, peers.joblib_, peers.h5py_, peers.pickle_)
MODEL = tuple(
    replace(each, same=peers.same_model)
    for each in (
        peers.holdfast_,
        peers.holdfast_unsynced,
        replace(peers.torch_, load=partial(peers.load_torch, weights_only=False)),
        replace(peers.torch_synced, load=partial(peers.load_torch, weights_only=False)),
        replace(peers.torch_mapped, load=partial(peers.load_torch, weights_only=False, mmap=True)),
    )
)
MODEL_AS_DICTIONARIES = Contender(
    "torch, state_dicts",
    peers.save_torch,
    peers.load_torch,
    prepare=states.state_dicts,
    same=lambda loaded, state: states.equal(loaded, states.state_dicts(state)),
)
VALUES = (peers.holdfast_, peers.holdfast_unsynced, peers.pickle_)

STALL_GOALS = {"at once": None, "background": 10, "overlap": 50}


def stalls(goals: dict[str, float | None]) -> tuple[Goal, ...]:
    """How many times longer torch.save holds the loop, and async_save to look at."""
    beside = ((way, peer) for way in goals for peer in ("torch.save", "torch async_save"))
    return tuple(Goal(f"holdfast, {way}", peer, goals[way] if peer == "torch.save" else None) for way, peer in beside)


TABLE = (
    Row(
        "save",
        "save 1 GiB, warm, not durable",
        "save",
        contenders=(
            peers.holdfast_unsynced,
            peers.safetensors_,
            peers.torch_,
            peers.dcp_unsynced,
        ),
        goals=(Goal(UNSYNCED, "safetensors", 0.95), Goal(UNSYNCED, "torch", 3)),
    ),
    Row(
        "save-over",
        "the same, in place of an old file",
        "save",
        contenders=(peers.holdfast_unsynced, peers.safetensors_, peers.torch_),
        over=True,
    ),
    Row(
        "save-numpy",
        "save 1 GiB of NumPy arrays, not durable",
        "save",
        state=states.numpy_arrays,
        contenders=(peers.holdfast_unsynced, *NUMPYS),
    ),
    Row(
        "save-durable",
        "save 1 GiB, durable for all",
        "save",
        contenders=(
            peers.holdfast_,
            peers.safetensors_synced,
            peers.torch_synced,
            raw.raw,
            raw.raw_staged,
            peers.dcp,
            peers.dcp_async,
            peers.orbax,
        ),
        goals=(Goal(OURS, "safetensors + fsync", 1.2), Goal(OURS, "torch + fsync", 2.5), Goal(OURS, "raw", 0.9)),
    ),
    Row(
        "load",
        "load 1 GiB, warm, every byte touched; ours verified",
        "load",
        contenders=reading(
            peers.holdfast_,
            peers.safetensors_,
            peers.safetensors_summed,
            *ALL_TORCH,
            peers.holdfast_in_memory,
            peers.dcp,
            peers.orbax,
        ),
        goals=(Goal(OURS, "safetensors", 0.5), Goal(OURS, "safetensors + XXH3", 1), Goal(OURS, "torch", 5)),
    ),
    Row(
        "load-numpy",
        "load 1 GiB of NumPy arrays, warm, every byte touched; ours verified",
        "load",
        state=states.numpy_arrays,
        contenders=reading(peers.holdfast_, *NUMPYS),
    ),
    Row(
        "open-one",
        "open 1 GiB lazily and take one array of 16 MiB, read; ours verified",
        "load",
        contenders=(
            one(peers.holdfast_, peers.load_one),
            one(peers.safetensors_, peers.one_by_safetensors),
            one(peers.torch_mapped, peers.one_by_torch),
            one(peers.holdfast_unverified, partial(peers.load_one, verify=False)),
        ),
        goals=(Goal(OURS, "safetensors", 1), Goal(OURS, "torch, mmap=True", 2)),
        repeat=20,
    ),
    Row(
        "load-cold",
        "load 1 GiB, cold, every byte touched; ours verified",
        "load",
        contenders=reading(
            peers.holdfast_, peers.safetensors_, raw.raw, peers.torch_, peers.torch_mapped, peers.holdfast_in_memory
        ),
        goals=(Goal(OURS, "safetensors", 1), Goal(OURS, "raw", 0.9)),
        cold=True,
    ),
    Row(
        "save-many",
        "save 10,000 × 4 KiB",
        "save",
        state=states.many,
        contenders=(
            peers.holdfast_,
            peers.holdfast_unsynced,
            peers.safetensors_,
            peers.torch_,
            peers.safetensors_synced,
            peers.torch_synced,
            peers.dcp,
        ),
        goals=(*both("safetensors", 3), *both("torch", 3)),
    ),
    Row(
        "load-many",
        "load 10,000 × 4 KiB; ours verified",
        "load",
        state=states.many,
        contenders=(peers.holdfast_, peers.safetensors_, *ALL_TORCH, peers.dcp),
        goals=(Goal(OURS, "safetensors", 2), Goal(OURS, "torch", 10)),
    ),
    Row(
        "save-values",
        "save 1,000,000 small values",
        "save",
        state=states.values,
        contenders=(*VALUES, peers.pymongo, peers.torch_),
        goals=both("pickle", 0.1),
    ),
    Row(
        "load-values",
        "load 1,000,000 small values; ours verified",
        "load",
        state=states.values,
        contenders=(peers.holdfast_, peers.pickle_, peers.pymongo, peers.torch_),
        goals=(Goal(OURS, "pickle", 0.1),),
    ),
    *(
        row
        for kind, state in (("ints", states.ints), ("floats", states.floats))
        for row in (
            Row(
                f"save-{kind}",
                f"save a list of 1,000,000 {kind}",
                "save",
                state=state,
                contenders=(*VALUES, peers.pymongo),
                goals=both("pickle", 1),
            ),
            Row(
                f"load-{kind}",
                f"load a list of 1,000,000 {kind}; ours verified",
                "load",
                state=state,
                contenders=(peers.holdfast_, peers.pickle_, peers.pymongo),
                goals=(Goal(OURS, "pickle", 1),),
            ),
        )
    ),
    Row(
        "save-gpt2",
        "save a GPT-2 small with Adam's state, whole",
        "save",
        state=states.gpt2,
        contenders=(*MODEL[:4], MODEL_AS_DICTIONARIES),
        goals=both("torch", 3),
    ),
    Row(
        "load-gpt2",
        "load a GPT-2 small with Adam's state, whole; ours verified",
        "load",
        state=states.gpt2,
        contenders=(MODEL[0], MODEL[2], MODEL[4], MODEL_AS_DICTIONARIES),
        goals=(Goal(OURS, "torch", 5),),
    ),
    Row(
        "memory-save",
        "peak memory beyond the model while saving 1 GiB, MiB",
        "memory",
        contenders=(peers.holdfast_, peers.torch_, peers.safetensors_, peers.dcp, peers.orbax),
        limits=(Limit(OURS, 64),),
    ),
    Row(
        "memory-load",
        "peak memory beyond the model while loading 1 GiB, mapped, MiB",
        "memory",
        contenders=(peers.holdfast_, peers.torch_mapped, peers.safetensors_),
        limits=(Limit(OURS, 64),),
    ),
    *(
        row
        for ending, size, state in (
            ("", "384 MiB of arrays", states.arrays_384),
            ("-many", "10,000 × 4 KiB", states.many_numpy),
        )
        for row in (
            Row(
                f"julia-save{ending}",
                f"save {size}, beside BSON.jl in Julia",
                "save",
                state=state,
                contenders=(peers.holdfast_, peers.holdfast_unsynced, bson_jl),
                goals=both("BSON.jl", 10),
            ),
            Row(
                f"julia-load{ending}",
                f"load {size}, beside BSON.jl in Julia; ours verified",
                "load",
                state=state,
                contenders=(peers.holdfast_, bson_jl),
                goals=(Goal(OURS, "BSON.jl", 3),),
            ),
        )
    ),
    Row("import", "import the library, nothing else imported", "import"),
    Row("stall", "a training step held up by a save of 1 GiB", "stall", goals=stalls(STALL_GOALS)),
    Row(
        "stall-many",
        "a training step held up by a save of 7,600 small tensors",
        "stall",
        goals=stalls(dict.fromkeys(STALL_GOALS)),
    ),
)

ROWS = {row.name: row for row in TABLE}
