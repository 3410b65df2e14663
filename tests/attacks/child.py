"""A warm process that tries one case after the other, each in a copy of itself: ``python child.py``, names on its input.

Strategy: Python, torch and every vocabulary are loaded once; ``fork`` gives each case a process that has them and is
thrown away afterwards, so that a crash, a leak or a changed switch is that case's alone. The answer is a line of JSON: what
was found, in words; nothing when all was well.
"""

import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import torch  # noqa: E402
from torch import nn  # noqa: E402

import holdfast  # noqa: E402
from attacks.case import EITHER, READ, WORDS, Case, every_case  # noqa: E402
from attacks.oracles import BUILDING, UNCHECKED, WAYS, Hook, Left, findings  # noqa: E402

PATIENCE: Final = 60
"""Seconds until a case counts as hanging, on a machine as busy as may be."""
ROOM: Final = 4 << 30
"""Bytes of addresses that a case may take beyond what the process has: a bomb ends in a MemoryError, not the machine."""


def warm(folder: Path) -> None:
    """Load all that is loaded on first use, so that nothing is imported while somebody watches."""
    from holdfast.vocab import FRAMEWORKS, vocabulary

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
    "\x1b".encode("unicode_escape")  # Python's own codec, which the command uses for odd names
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
            return [] if good else [f"gave {value!r:.200}"]
        if not isinstance(error, expected):  # type: ignore[arg-type]
            return [
                f"gave {value!r:.200}"
                if error is None
                else f"{type(error).__name__}, not {WORDS[expected]}: {error!s:.300}"
            ]
    elif (
        (case.every or (case.group == "integrity" and case.must not in (READ, EITHER)))
        and way not in UNCHECKED
        and error is None
    ):
        return [f"said nothing: {value!s:.200}"]
    return []


def in_a_copy(case: Case, hook: Hook) -> list[str]:
    """Try ``case`` in a fork of this process."""
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            said = tried(case, folder, hook)
        except BaseException as error:
            said = [f"{type(error).__name__}: {error!s:.500}"]
        os.write(writing, json.dumps(said)[:60_000].encode())
        os._exit(0)
    os.close(writing)
    try:
        return heard(reading, child)
    finally:
        os.close(reading)
        shutil.rmtree(folder, ignore_errors=True)


def heard(reading: int, child: int) -> list[str]:
    """What the child says, or what became of it."""
    said = b""
    while True:
        ready, _, _ = select.select([reading], [], [], PATIENCE)
        if not ready:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return [f"hangs: no end after {PATIENCE} seconds"]
        piece = os.read(reading, 1 << 16)
        if not piece:
            break
        said += piece
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        return [f"ended the process: {signal.Signals(-code).name}"]
    return json.loads(said)  # type: ignore[no-any-return]


def main() -> None:
    cases, hook = every_case(), Hook()
    with tempfile.TemporaryDirectory() as folder:
        warm(Path(folder))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(in_a_copy(cases[line.strip()], hook)), flush=True)


if __name__ == "__main__":
    main()
