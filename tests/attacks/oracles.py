"""What is watched while a hostile file is opened, and the ways in.

Strategy: a snapshot of everything that a file must not change, before and after; an audit hook in between that writes down
all that a file must not do; and what the kernel says about memory and time. Each finding is a line.
"""

import gc
import io
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from decimal import getcontext
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

import holdfast
import holdfast.safetensors
from holdfast.cli import main

MAX_EXTRA: Final = 64 << 20
"""Bytes that opening a hostile file may take besides the file itself."""
MAX_SECONDS: Final = 2.0
"""Of processor time, so that a busy machine does not count."""
MAX_MESSAGE: Final = 4000
"""Characters of an error: it is to be read, and to be logged."""

# -- what a file must not do ------------------------------------------------------------------------------------------

FORBIDDEN: Final = (
    *("import", "compile", "exec", "code.__new__", "function.__new__", "marshal.", "pickle.", "ctypes.", "cpython.run"),
    *(
        "subprocess.",
        "os.system",
        "os.exec",
        "os.fork",
        "os.spawn",
        "os.posix_spawn",
        "os.startfile",
        "pty.",
        "socket.",
    ),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("os.putenv", "os.unsetenv", "os.chdir", "os.kill", "os.utime", "os.setxattr", "os.mkfifo", "os.mknod"),
    *(
        "shutil.",
        "tempfile.",
        "urllib.",
        "http.",
        "ftplib.",
        "smtplib.",
        "webbrowser.",
        "sqlite3.",
        "glob.",
        "os.listdir",
    ),
    *(
        "os.scandir",
        "os.walk",
        "sys.addaudithook",
        "sys.setprofile",
        "sys.settrace",
        "builtins.input",
        "syslog.",
        "fcntl.",
    ),
)
WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Hook:
    """Writes down forbidden events between ``watch`` and its end. An audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.allowed: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event == "open":
            path, mode, flags = arguments
            if set(str(mode or "")) & set("wax+") or (flags or 0) & WRITES or os.fspath(path) != self.allowed:
                self.seen.append(f"opened {path!r:.80}, {mode}, {flags}")
        elif event == "compile" and arguments[1] in (b"<unknown>", "<unknown>"):
            return  # ast.literal_eval, by which NumPy reads its headers: a tree of constants, never run
        elif event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {arguments!r:.120}")

    @contextmanager
    def watch(self, path: Path) -> Iterator[None]:
        self.allowed, self.seen = str(path), []
        try:
            yield
        finally:
            self.allowed = None


# -- what a file must not change --------------------------------------------------------------------------------------


def switches() -> dict[str, Any]:
    """All that belongs to the process and not to a file."""
    return {
        "random": random.getstate(),
        "numpy.random": np.random.get_state()[1].tobytes(),
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "determinism": torch.are_deterministic_algorithms_enabled(),
        "anomalies": torch.is_anomaly_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.enabled),
        "torch's threads": torch.get_num_threads(),
        "numpy's errors": np.geterr(),
        "decimal": repr(getcontext()),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "current folder": os.getcwd(),
        "path of imports": list(sys.path),
        "modules": set(sys.modules),
        "recursion limit": sys.getrecursionlimit(),
        "umask": umask(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "collector": gc.isenabled(),
        "hooks": (sys.excepthook, sys.displayhook, sys.getprofile(), sys.gettrace()),
        "names of builtins": frozenset(vars(__builtins__) if not isinstance(__builtins__, dict) else __builtins__),
        "classes of modules": frozenset(vars(torch.nn.Module)) | frozenset(vars(torch.Tensor)),
    }


def umask() -> str:
    with open("/proc/self/status") as file:
        return next((line for line in file if line.startswith("Umask")), "")


def folder(path: Path) -> list[tuple[Any, ...]]:
    """What stands in the folder of ``path``."""
    rows = []
    for entry in sorted(os.scandir(path.parent), key=lambda entry: entry.name):
        info = entry.stat(follow_symlinks=False)
        rows.append((entry.name, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ino, info.st_nlink))
    return rows


def held() -> tuple[int, list[str]]:
    """Threads, and open descriptors by what they are."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue  # that of the listing itself
    return threading.active_count(), sorted(found)


def resident(what: str) -> int:
    """Bytes of memory: ``VmRSS`` now, ``VmHWM`` at the highest."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(what))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


# -- the ways in ------------------------------------------------------------------------------------------------------


class Left(Exception):
    """The command has ended: with this code, and these words on its error output."""

    def __init__(self, code: Any, complaint: str) -> None:
        super().__init__(f"exit {code}: {complaint}")
        self.code, self.complaint = code, complaint


def command(*words: str) -> Callable[[Path], Any]:
    """The command in this process, as the shell would run it."""

    def run(path: Path) -> Any:
        out, err = io.StringIO(), io.StringIO()
        code: Any = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main([*words, str(path)], prog_name="holdfast")
            except SystemExit as left:
                code = left.code
        if code:
            raise Left(code, err.getvalue())
        return out.getvalue()

    return run


def safe_open(path: Path) -> Any:
    """The drop-in for safetensors' own: every tensor as a NumPy array and as torch's."""
    for framework in ("np", "pt"):
        with holdfast.safetensors.safe_open(path, framework=framework) as opened:
            opened.metadata()
            opened.get_tensors()


WAYS: Final[dict[str, Callable[[Path], Any]]] = {
    "load": holdfast.load,
    "load(mmap=False)": lambda path: holdfast.load(path, mmap=False),
    "inspect": lambda path: str(holdfast.inspect(path)),
    "verify": holdfast.verify,
    "safe_open": safe_open,
    "show": command("show"),
    "show --values": command("show", "--values"),
}
BUILDING: Final = ("load", "load(mmap=False)")
"""The ways that give the value itself."""
PARTIAL: Final = ("safe_open",)
"""The ways that need not come by what is wrong."""
COMPARING: Final = ("verify", "show --values")
"""The ways that compare all checksums and build nothing."""


# -- one way ----------------------------------------------------------------------------------------------------------


def findings(way: str, path: Path, hook: Hook) -> tuple[list[str], Any, BaseException | None]:
    """What went wrong while ``way`` opened ``path``; its value; its error."""
    work = WAYS[way]
    before, placed, base = switches(), folder(path), resident("VmRSS")
    threads_and_files = held()
    forget_peak()
    started, value, error = time.process_time(), None, None
    with hook.watch(path):
        try:
            value = work(path)
        except BaseException as caught:
            error = forgotten(caught)
    spent, peak = time.process_time() - started, resident("VmHWM")
    found = list(hook.seen)
    room = MAX_EXTRA + (size_of(path) if way != "inspect" else 0)
    if peak - base > room:
        found.append(f"took {(peak - base) >> 20} MiB")
    if spent > MAX_SECONDS:
        found.append(f"took {spent:.1f} s")
    found += [f"changed: {name}" for name, state in switches().items() if not same(state, before[name])]
    if folder(path) != placed:
        found.append("changed the folder")
    if error is not None or way not in BUILDING:
        gc.collect()
        if held() != threads_and_files:
            found.append(f"left {held()} of {threads_and_files}")
    if isinstance(value, str) and any(not (c.isprintable() or c == "\n") for c in value) and way != "inspect":
        found.append("printed control characters")
    message = getattr(error, "complaint", None) if isinstance(error, Left) else str(error or "")
    if len(message or "") > MAX_MESSAGE + len(str(path)):
        found.append(f"a message of {len(message or ''):,} characters")
    if isinstance(error, Left) and (error.code not in (1, 2) or error.complaint.count("\n") != 1):
        found.append(f"the command: {str(error)[:500]}")
    return found, value, error


def forgotten(error: BaseException) -> BaseException:
    """``error`` and those before it without their tracebacks, which would keep what was opened."""
    errors: list[BaseException | None] = [error]
    for one in errors:
        if one is not None and one.__traceback__ is not None:
            one.__traceback__ = None
            errors += [one.__cause__, one.__context__]
    return error


def size_of(path: Path) -> int:
    """Bytes that are really there: a sparse file has few, and what is in a device does not count."""
    try:
        info = path.stat()
    except OSError:
        return 0
    return min(info.st_size, info.st_blocks * 512)


def same(a: Any, b: Any) -> bool:
    return bool(a == b)
