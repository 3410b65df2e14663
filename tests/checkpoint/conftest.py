"""Folders in memory where there are such: runs save at every step, and a disk would make each wait for milliseconds."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder, in memory if possible; ``disk_path`` is one on a disk."""
    where = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="holdfast-test-", dir=where) as folder:
        yield Path(folder)


@pytest.fixture
def disk_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder on a disk."""
    return tmp_path_factory.mktemp("disk")
