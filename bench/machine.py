"""The machine, the file system and the versions that figures are of."""

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "torch", "xxhash", "safetensors", "orbax-checkpoint", "jax", "h5py", "joblib", "pymongo")


def describe(folder: str | None) -> list[str]:
    """Sentences for a reader who wants to know what was measured where."""
    place = os.path.realpath(folder or tempfile.gettempdir())
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    threads = os.environ.get("OMP_NUM_THREADS")
    packages = ", ".join(filter(None, map(installed, PACKAGES)))
    hardware = f"{os.cpu_count()} cores ({processor()}), {gib:.0f} GiB of memory, {file_system(place)}"
    system = f"{platform.system()} {platform.release()}, load average at the start {os.getloadavg()[0]:.1f}"
    limit = f", OMP_NUM_THREADS={threads}" if threads else ""
    return [hardware, system, f"Python {platform.python_version()}, {packages}{limit}"]


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def file_system(place: str) -> str:
    """The type of the file system that ``place`` is on, as the kernel's table of mounts says."""
    try:
        mounts = [line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "an unknown file system"
    over = [(point, kind) for _, point, kind in mounts if place == point or place.startswith(point.rstrip("/") + "/")]
    return max(over, key=lambda each: len(each[0]))[1] if over else "an unknown file system"


def installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""
