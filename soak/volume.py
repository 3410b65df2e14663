"""File systems of our own, whose power can be cut.

Strategy: a sparse file, a loop device and a file system on it, mounted where only this process and its children see it:
whatever becomes of them, the mount goes when the last one ends, and the loop device with the mount. The power is cut by
the file system itself (``FS_IOC_SHUTDOWN``): from then on nothing reaches the device, not even what is in its journal's
memory. To mount it again replays the journal, as after a real cut.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

SHUTDOWN: Final = 0x8004587D
"""``FS_IOC_SHUTDOWN``, since Linux 6.9 in ``linux/fs.h``; ext4 and xfs have had it under names of their own for years."""
NO_FLUSH: Final = struct.pack("I", 2)
"""Stop at once: not even the journal is written."""
NEW_MOUNTS: Final = 0x00020000
"""``CLONE_NEWNS``."""
MIB: Final = 1 << 20
SIZES: Final = {"ext4": 64 * MIB, "xfs": 320 * MIB}
"""Bytes of an image, which is sparse. xfs makes none below 300 MiB."""
MAKE: Final = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def missing(*kinds: str) -> str | None:
    """Why file systems of these kinds cannot be mounted here; None when they can."""
    if os.name != "posix" or os.geteuid():
        return "needs root"
    for tool in ["mount", "umount", *(MAKE[kind][0] for kind in kinds)]:
        if shutil.which(tool, path=PATH) is None:
            return f"needs {tool}"
    if kinds and (not os.path.exists("/dev/loop-control") or _fails("losetup", "-f")):
        return "needs loop devices"
    known = Path("/proc/filesystems").read_text(encoding="ascii").split()
    for kind in kinds:
        if kind not in known and _fails("modprobe", "-q", kind):
            return f"this kernel has no {kind}"
    # Containers have the tools and may not use them.
    return "may not mount" if _fails("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt") else None


def _fails(*command: str) -> bool:
    try:
        tool(*command)
    except OSError:
        return True
    return False


def private_mounts() -> None:
    """From now on what this process mounts is seen by it and its children only, and goes with them."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no mounts of one's own")
    tool("mount", "--make-rprivate", "/")


def tool(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH})
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


@contextlib.contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """The descriptor of a folder."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


class Volume:
    """A file system of ``kind`` in the file ``home``/KIND.img, mounted at ``at``. Call ``private_mounts`` before."""

    def __init__(self, kind: str, home: Path) -> None:
        self.image = home / f"{kind}.img"
        self.at = home / kind
        self.at.mkdir()
        with open(self.image, "xb") as file:
            file.truncate(SIZES[kind])
        tool(*MAKE[kind], str(self.image))

    def __enter__(self) -> Self:
        self.mount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            tool("umount", "-l", str(self.at))

    def mount(self) -> None:
        tool("mount", "-o", "loop", str(self.image), str(self.at))

    def cut(self) -> None:
        """The power is gone. Every file of it must be closed before it is back."""
        with open_folder(self.at) as root:
            fcntl.ioctl(root, SHUTDOWN, NO_FLUSH)

    def back(self) -> None:
        """The power is back."""
        tool("umount", str(self.at))
        self.mount()


@contextlib.contextmanager
def memory(at: Path, size: int) -> Iterator[Path]:
    """A file system in memory, of so many bytes, mounted at the folder ``at``."""
    at.mkdir(exist_ok=True)
    tool("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at))
    try:
        yield at
    finally:
        with contextlib.suppress(OSError):
            tool("umount", "-l", str(at))


@contextlib.contextmanager
def filled(folder: Path, free: int) -> Iterator[None]:
    """Leave so many bytes free in the file system of ``folder``."""
    there = os.statvfs(folder)
    with open(folder / "filler", "xb") as file:
        os.posix_fallocate(file.fileno(), 0, there.f_bavail * there.f_frsize - free)
    try:
        yield
    finally:
        (folder / "filler").unlink()
