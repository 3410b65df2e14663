"""What stands at the path: pipes, devices, folders, links, files that change while they are read."""

import errno
import os
import resource
import signal
import socket
import stat
from pathlib import Path

import numpy as np

from attacks.build import plain
from attacks.case import FORMAT, OS, READ, REFUSED, case
from holdfast import UnsupportedError, load, save

KIND = "storage/read.py: only a regular file is opened, and looked at again once it is open"
SYSTEM = "the system's own error, with the path"


@case("fifo", "a pipe, which waits for ever", FORMAT, KIND, every=True)
def fifo(path: Path) -> None:
    os.mkfifo(path)


@case("link_to_fifo", "a link to a pipe", FORMAT, KIND, every=True)
def link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


@case("link_to_dev_zero", "a link to a device without an end", FORMAT, KIND, every=True)
def dev_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


@case("link_to_dev_stdin", "a link to this process's own input", REFUSED, KIND, every=True)
def dev_stdin(path: Path) -> None:
    path.symlink_to("/dev/null")


@case("folder", "a folder", FORMAT, KIND, every=True)
def folder(path: Path) -> None:
    path.mkdir()


@case("socket", "a socket", FORMAT, KIND, every=True)
def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


@case("link_loop", "a link to itself", OS, SYSTEM, every=True)
def link_loop(path: Path) -> None:
    path.symlink_to(path.name)


@case("nothing", "no file at all", OS, SYSTEM, every=True)
def nothing(path: Path) -> None:
    pass


@case(
    "link_to_proc_mem",
    "a file of the kernel's that says it has no bytes",
    OS,
    SYSTEM,
    every=True,
)
def proc_mem(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


@case(
    "link_to_passwd",
    "another file of this machine: its text must not be in the message",
    REFUSED,
    "wire/read.py: a document's length must fit",
    every=True,
)
def passwd(path: Path) -> None:
    path.symlink_to("/etc/passwd")


@case(
    "sparse_1tb",
    "a terabyte of nothing in a file of no blocks",
    REFUSED,
    "formats/bson.py: the first bytes must be this file's length before the rest is read",
    every=True,
)
def sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 40)


@case(
    "sparse_1tb_plausible",
    "the same with a length that fits",
    REFUSED,
    "storage/read.py: more than memory holds is an error of ours",
    every=True,
)
def plausible(path: Path) -> None:
    with open(path, "wb") as file:
        file.write((((1 << 40) + 4096) & 0xFFFFFFFF).to_bytes(4, "little") + b"\x0ax\0")
        file.truncate((1 << 40) + 4096)


@case("no_permission_bits", "a file that its owner may not read (root may)", READ, SYSTEM)
def no_permission(path: Path) -> None:
    path.write_bytes(plain({"a": 1}))
    path.chmod(stat.S_IRUSR)


def run_save_over_source(path: Path) -> None:
    """Saving onto the file that an array is mapped from loses nothing."""
    save(path, x=np.arange(100_000.0))
    mapped = load(path, "x")
    save(path, x=mapped, y=mapped * 2)
    assert np.array_equal(mapped, np.arange(100_000.0))
    assert np.array_equal(load(path, "y"), np.arange(100_000.0) * 2)


@case(
    "save_over_mapped_source",
    "an array is saved onto the file that it is mapped from",
    READ,
    "storage/replace.py: the new file is another one until it has the name",
    script=run_save_over_source,
)
def save_over_mapped(path: Path) -> None:
    pass


def run_planted_links(path: Path) -> None:
    """Links that stand where a save might write its temp file lead nowhere."""
    victim = path.with_name("victim")
    for name in (
        ".tmp",
        ".m.tmp",
        f".{path.name}.tmp",
        f"{path.name}.tmp",
        f".{path.name}.holdfast-00000000-0000000000000000.tmp",
    ):
        path.with_name(name).symlink_to(victim)
    save(path, x=1)
    assert victim.read_bytes() == b"victim"
    assert load(path) == {"x": 1}


@case(
    "planted_links",
    "links that wait for a save's temp file",
    READ,
    "storage/draft.py: a random name, made anew, no link followed",
    script=run_planted_links,
)
def planted(path: Path) -> None:
    path.with_name("victim").write_bytes(b"victim")


def run_save_to_odd(path: Path) -> None:
    """A save never replaces what is no file."""
    for place in (path, Path("/dev/null"), path.parent):
        try:
            save(place, x=1)
        except UnsupportedError:
            continue
        raise AssertionError(f"{place} was replaced")


@case(
    "save_to_fifo",
    "a save to a pipe, a device, a folder",
    READ,
    "storage/local.py: only a regular file is replaced",
    script=run_save_to_odd,
)
def save_fifo(path: Path) -> None:
    os.mkfifo(path)


def run_truncated(path: Path) -> None:
    """Somebody cuts the file short: what was read into memory stays, what was mapped ends the process (SIGBUS)."""
    whole = np.arange(1_000_000.0)
    save(path, x=whole)
    eager, lazy = load(path, "x", mmap=False), load(path, "x")
    os.truncate(path, 4096)
    assert np.array_equal(eager, whole)
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        lazy.sum()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGBUS


@case(
    "truncated_while_mapped",
    "somebody cuts the file short while it is mapped",
    READ,
    "docs/trust.md: mmap=False is for such folders",
    script=run_truncated,
)
def truncated(path: Path) -> None:
    pass


def run_replaced(path: Path) -> None:
    """Another file under the name does not change what is mapped."""
    save(path, x=np.arange(100_000.0))
    mapped = load(path, "x")
    save(path, x=np.zeros(100_000))
    assert np.array_equal(mapped, np.arange(100_000.0))


@case(
    "replaced_while_mapped",
    "the file is replaced while it is mapped",
    READ,
    "storage/replace.py: the old file lives until nobody maps it",
    script=run_replaced,
)
def replaced(path: Path) -> None:
    pass


def run_full(path: Path) -> None:
    """No room for a file that large: the error says so, the old file stays, nothing is left behind."""
    save(path, x=1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        save(path, x=np.zeros(100_000))
    except OSError as error:
        assert error.errno == errno.EFBIG
    else:
        raise AssertionError("a file larger than allowed was saved")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load(path) == {"x": 1}
    assert os.listdir(path.parent) == [path.name]


@case(
    "save_beyond_limit",
    "a save that is larger than the process may write",
    READ,
    "storage/replace.py: the old file stays until the new one is whole",
    script=run_full,
)
def beyond(path: Path) -> None:
    pass
