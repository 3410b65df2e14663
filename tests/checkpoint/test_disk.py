"""A disk that is full in the middle of a run: the error is raised, what is there stays whole, the next save works."""

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.checkpoint import Series
from runs import fill, names, python, state, steps_on_disk


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("snapshot", ["copy", "overlap"])
def test_a_full_disk_in_the_middle_of_a_run(tmp_path: Path, background: bool, snapshot: str) -> None:
    tracked = state()
    options = {"every_steps": 1, "keep_last": 2, "background": background, "snapshot": snapshot}
    with Series(tmp_path, **options) as series:
        series.track(**tracked).resume()
        for step in range(3):
            fill(tracked, step)
            series.step(step)
            series.wait()
        assert steps_on_disk(tmp_path) == [1, 2]
        with no_file_above(2000):
            for step in range(3, 6):
                fill(tracked, step)
                with pytest.raises(OSError, match="no file may grow that large here"):  # noqa: PT012
                    series.step(step)
                    series.wait()
            assert steps_on_disk(tmp_path) == [1, 2]
        fill(tracked, 6)
        series.step(6)
        series.wait()
        assert steps_on_disk(tmp_path) == [2, 6]
    assert len(names(tmp_path)) == 2


TINY = """
import os, subprocess, sys
from holdfast.checkpoint import Series
from runs import fill, names, state, steps_on_disk
from pathlib import Path

folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
tracked = state(3, 10_000)          # a checkpoint is a quarter of the disk
with Series(folder, every_steps=1, keep_last=2, background=sys.argv[2] == "True") as series:
    series.track(**tracked).resume()
    failed = 0
    for step in range(12):
        if step == 4:
            (folder / "other.bin").write_bytes(bytes(400_000))
        if step == 8:
            (folder / "other.bin").unlink()
        fill(tracked, step)
        try:
            series.step(step)
            series.wait()
        except OSError as error:
            assert error.errno == 28, error
            failed += 1
            assert steps_on_disk(folder) == [2, 3], steps_on_disk(folder)
    assert failed == 4, failed
    assert steps_on_disk(folder) == [10, 11]
    assert len(names(folder)) == 2, names(folder)
"""


@pytest.mark.parametrize("background", [True, False])
def test_a_small_disk(tmp_path: Path, background: bool) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs mount namespaces")
    done = python(TINY, tmp_path, background, before=unshare)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("background", [True, False])
def test_a_folder_that_cannot_be_listed_after_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    """The error says that the checkpoint is there: it is retention that failed, and that comes again."""

    def broken(path: object) -> list[str]:
        if path == str(tmp_path):  # storage lists open folders, by their descriptors
            raise OSError(errno.EIO, "Input/output error", path)
        return listdir(path)  # type: ignore[call-overload, no-any-return]

    def save(step: int) -> None:
        fill(tracked, step)
        series.step(step)
        series.wait()

    listdir, tracked = os.listdir, state()
    with Series(tmp_path, every_steps=1, keep_last=1, background=background) as series:
        series.track(**tracked).resume()
        save(0)
        monkeypatch.setattr(os, "listdir", broken)
        with pytest.raises(OSError, match="is saved and whole, but none of the older checkpoints"):
            save(1)
        monkeypatch.undo()
        assert steps_on_disk(tmp_path) == [0, 1]
        save(2)
    assert steps_on_disk(tmp_path) == [2]
