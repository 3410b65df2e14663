"""A warm process that tries one case after the other, each in a copy of itself: ``python child.py``, names on its input.

Strategy: Python, torch and every vocabulary are loaded once; ``fork`` gives each case, or a few, a process that has them and is
thrown away afterwards. A line of names is answered by a line of JSON: what was found, in words, by name; nothing when all was
well. Names of one line share a process, unless one of them ends it.
"""

import gc
import importlib.util
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from reprlib import repr as short
from typing import Any, Final

sys.path[:0] = [str(Path(__file__).resolve().parents[number]) for number in (1, 2)]

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

import holdfast  # noqa: E402
from attacks.case import EITHER, READ, WORDS, Case, every_case  # noqa: E402
from attacks.oracles import BUILDING, COMPARING, PARTIAL, WAYS, Hook, Left, findings  # noqa: E402
from jld2_files import JldFile  # noqa: E402

PATIENCE: Final = 60
"""Seconds until a case counts as hanging, on a machine as busy as may be."""
ROOM: Final = 4 << 30
"""Bytes of addresses that a case may take beyond what the process has: a bomb ends in a MemoryError, not the machine."""


def hdf5(path: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("z", data=np.ones(4), compression="gzip")
        file["t"], file["n"] = "text", 5
        file.attrs["t"] = "text"


def jld2(path: str) -> None:
    file = JldFile()
    file.save(
        Path(path), n=file.integer(5), a=file.array(np.ones((2, 2)), deflate=True), s=file.singleton("NNlib.#relu")
    )


FOREIGN: Final[dict[str, Any]] = {
    "warm.pt": lambda path: torch.save({"w": torch.ones(4)}, path),
    "warm.npz": lambda path: np.savez_compressed(path, a=np.ones(4)),
    "warm.npy": lambda path: np.save(path, np.ones(4)),
    "warm.safetensors": lambda path: holdfast.save(path, w=np.ones(4)),
    "warm.h5": hdf5,
    "warm.jld2": jld2,
}
"""Files of other formats, whose libraries are loaded on first use."""


def warm(folder: Path) -> None:
    """Load all that is loaded on first use, so that nothing is imported while somebody watches."""
    from holdfast.formats.choose import FORMATS, module_of
    from holdfast.vocab import FRAMEWORKS, vocabulary

    for row in FORMATS:
        module_of(row, "a test")

    for root in FRAMEWORKS:
        vocabulary().named("python", f"{root}.Warm")
        vocabulary().named("struct", f"{root}.Warm")
    path = folder / "warm.bson"
    model = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))
    holdfast.save(
        path, model=model, opt=torch.optim.Adam(model.parameters()), n=1, t=(1, 2), a=torch.zeros(1 << 21).numpy()
    )
    for work in WAYS.values():
        work(path)
    for other, write in FOREIGN.items():
        write(str(folder / other))
        for work in WAYS.values():
            work(folder / other)
    if importlib.util.find_spec("zstandard"):
        importlib.import_module("zstandard")
    "\x1b".encode("unicode_escape")  # Python's own codecs: the command uses one for odd names,
    b"x".decode("raw_unicode_escape")  # and old pickles the other
    for work in WAYS.values():  # the errors' own ways, too
        for data in (b"", b"\5\0\0\0\1", path.read_bytes()[:-1]):
            (folder / "bad.bson").write_bytes(data)
            try:
                work(folder / "bad.bson")
            except (holdfast.HoldfastError, Left):
                continue
    gc.collect()
    gc.freeze()


def tried(case: Case, folder: Path, hook: Hook) -> list[str]:
    """What is wrong with how ``case`` is met."""
    path = folder / "hostile.bson"
    case.place(path)
    if case.script is not None:
        case.script(path)
        return []
    if case.lower is not None:
        module, name, value = case.lower
        setattr(importlib.import_module(module), name, value)
    limit_room()
    found = []
    for way in WAYS:
        wrong, value, error = findings(way, path, hook)
        found += [f"{way}: {line}" for line in (*wrong, *verdict(case, way, value, error))]
        del value, error
    return found


def limit_room() -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, resource.RLIM_INFINITY))


def verdict(case: Case, way: str, value: Any, error: BaseException | None) -> list[str]:
    """Whether that is what must happen."""
    ours = isinstance(error, holdfast.HoldfastError | Left) or (case.every and isinstance(error, OSError))
    if error is not None and not ours:
        return [f"{type(error).__name__} escaped: {error!s:.300}"]
    if way in BUILDING:
        expected = case.must
        if expected is EITHER:
            return []
        if expected is READ:
            if error is not None:
                return [f"{type(error).__name__}: {error!s:.300}"]
            good = case.good is None or case.good(value)
            return [] if good else [f"gave {short(value):.200}"]
        if not isinstance(error, expected):  # type: ignore[arg-type]
            return [
                f"gave {short(value):.200}"
                if error is None
                else f"{type(error).__name__}, not {WORDS[expected]}: {error!s:.300}"
            ]
    elif is_told(case, way) and error is None:
        return [f"said nothing: {value!s:.200}"]
    return []


def is_told(case: Case, way: str) -> bool:
    """Whether this way, too, must refuse the file: all must where nothing is right; damage to arrays is seen by those
    that compare checksums."""
    damaged = case.group == "integrity" and case.must not in (READ, EITHER)
    return (case.every and way not in PARTIAL) or (damaged and way in COMPARING)


Answers = dict[str, list[str]]


def in_copies(cases: list[Case], hook: Hook) -> Answers:
    """What each of ``cases`` shows. A fork takes many; those that would change it for the others have one each, and so
    has each of them where the fork did not live to tell."""
    alone = [case for case in cases if case.script is not None or case.lower is not None]
    together = [case for case in cases if case not in alone]
    found = in_a_copy(together, hook) if together else {}
    for case in (*alone, *(together if found is None else ())):
        found = (found or {}) | (in_a_copy([case], hook) or {case.name: ["ended the process, or hangs"]})
    return found or {}


def in_a_copy(cases: list[Case], hook: Hook) -> Answers | None:
    """Try ``cases`` in a fork of this process; None when it ends too early, or not at all."""
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        said = {case.name: told(case, folder / str(number), hook) for number, case in enumerate(cases)}
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    try:
        return heard(reading, child, PATIENCE * len(cases))
    finally:
        os.close(reading)
        shutil.rmtree(folder, ignore_errors=True)


def told(case: Case, folder: Path, hook: Hook) -> list[str]:
    """What is wrong with how ``case`` is met, in a folder of its own."""
    folder.mkdir()
    try:
        return tried(case, folder, hook)
    except BaseException as error:
        return [f"{type(error).__name__}: {error!s:.500}"]


def heard(reading: int, child: int, patience: float) -> Answers | None:
    """What the child says, if it lives to."""
    said, ends = b"", time.monotonic() + patience
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, ends - time.monotonic()))
        piece = os.read(reading, 1 << 16) if ready else b""
        if not ready:
            os.kill(child, signal.SIGKILL)
        if not piece:
            break
        said += piece
    return json.loads(said) if not os.waitpid(child, 0)[1] and said else None


def main() -> None:
    cases, hook = every_case(), Hook()
    with tempfile.TemporaryDirectory() as folder:
        warm(Path(folder))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(in_copies([cases[name] for name in line.split()], hook)), flush=True)


if __name__ == "__main__":
    main()
