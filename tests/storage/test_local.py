"""publish: what stands at a path afterwards, who may read it, and what is refused."""

import errno
import itertools
import os
import socket
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import UnsupportedError
from holdfast.storage import write
from holdfast.storage.local import open_bytes, publish

OLD = b"the old file, whole"
NEW = b"the new file"

BUFFERS = {
    "none": ([], b""),
    "empty": ([b"", bytearray()], b""),
    "one": ([NEW], NEW),
    "kinds": ([b"ab", bytearray(b"cd"), memoryview(b"ef")], b"abcdef"),
    "empty between": ([b"", b"ab", b"", b"cd", b""], b"abcd"),
    "arrays": (
        [np.arange(6, dtype="<i4").reshape(2, 3), np.float32(1)],
        np.arange(6, dtype="<i4").tobytes() + b"\0\0\x80?",
    ),
    "no dimensions, no elements": ([np.array(7, "u1"), np.zeros((2, 0, 3))], b"\7"),
    "another byte order": ([np.array([1], ">i2")], b"\0\1"),
    "more than one writev takes": ([bytes([i % 251]) for i in range(5000)], bytes(i % 251 for i in range(5000))),
}

NAMES = {
    "plain": b"m.bson",
    "spaces and quotes": b' it\'s "mine" ',
    "new line": b"a\nb",
    "not UTF-8": b"\xff\xfe.bson",
    "as long as can be": b"n" * 255,
    "as long as can be, of wide letters": "é".encode() * 127 + b"x",
    "hidden": b".hidden",
    "percent and braces": b"%s{}",
    "a temp's name without its random part": b".m.bson.holdfast-.tmp",
}


@pytest.mark.parametrize(("buffers", "data"), BUFFERS.values(), ids=BUFFERS)
@pytest.mark.parametrize("durable", [True, False])
def test_file_holds_the_buffers(tmp_path: Path, buffers: list[bytes], data: bytes, durable: bool) -> None:
    path = tmp_path / "m.bson"
    for _ in range(2):
        publish(path, buffers, durable=durable)
        assert path.read_bytes() == data
        assert os.listdir(tmp_path) == ["m.bson"]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names(tmp_path: Path, name: bytes) -> None:
    path = os.path.join(tmp_path, os.fsdecode(name))
    for data in (OLD, NEW):
        publish(path, [data])
        assert bytes(open_bytes(path).data) == data
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in ("m.bson", "./n.bson", "runs/m.bson", "runs/../o.bson"):
        publish(path, [NEW])
        assert (tmp_path / path).read_bytes() == NEW


def test_batches_are_cut_where_they_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "BATCH", 10)
    sizes: list[int] = []
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, batch: sizes.append(sum(map(len, batch))) or writev(fd, batch))
    publish(tmp_path / "m", [b"abc", b"d" * 25, b"", b"e"])
    assert (tmp_path / "m").read_bytes() == b"abc" + b"d" * 25 + b"e"
    assert sizes == [10, 10, 9]


def test_buffers_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(OLD)
    for wrong in (np.zeros((2, 3)).T, np.zeros(6, "u1")[::2], np.zeros(2, "M8[s]"), "text", 5):
        with pytest.raises(UnsupportedError, match="buffer 1 is not plain bytes"):
            publish(path, [b"", wrong])  # type: ignore[list-item]
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["m"]


# What stands at the path


def test_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    target = tmp_path / "real" / "m.bson"
    target.write_bytes(OLD)
    link, second = tmp_path / "links" / "latest", tmp_path / "links" / "second"
    link.symlink_to("../real/m.bson")
    second.symlink_to(link)
    publish(second, [NEW])
    assert target.read_bytes() == NEW
    assert (link.readlink(), second.readlink()) == (Path("../real/m.bson"), link)
    assert sorted(os.listdir(tmp_path / "links")) == ["latest", "second"]


def test_dangling_link_creates_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("later.bson")
    publish(link, [NEW])
    assert (tmp_path / "later.bson").read_bytes() == NEW
    assert link.is_symlink()


def test_link_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        publish(tmp_path / "a", [NEW])
    assert caught.value.errno == errno.ELOOP
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_link_that_the_kernel_will_not_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fs.protected_symlinks: a stranger's link in a shared folder, played here, as not every machine sets it."""
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(OLD)
    link.symlink_to(victim)
    real = os.stat

    def guarded(path: object, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        if path == str(link) and follow_symlinks:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", guarded)
        with pytest.raises(PermissionError):
            publish(link, [NEW])
    assert victim.read_bytes() == OLD


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe")
    os.mkdir("folder")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        (tmp_path / "to pipe").symlink_to("pipe")
        before = sorted(os.listdir())
        for path, kind in {
            "pipe": "a pipe",
            "to pipe": "a pipe",
            "folder": "a folder",
            "folder/": "a folder",
            "": "a folder",
            ".": "a folder",
            "socket": "a socket",
            "/dev/null": "a device",
        }.items():
            with pytest.raises(UnsupportedError, match=kind):
                publish(path, [NEW])
        assert sorted(os.listdir()) == before
        assert stat.S_ISFIFO(os.stat("pipe").st_mode)
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "none" / "m.bson"
    with pytest.raises(FileNotFoundError, match="make it first") as caught:
        publish(path, [NEW])
    assert caught.value.filename == str(path)
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(NotADirectoryError):
        publish(tmp_path / "file" / "m.bson", [NEW])


def test_mounted_file_is_left_alone(tmp_path: Path, mounting) -> None:
    """A bind mount of the file itself, as containers have for single files, cannot be replaced."""
    script = """
import os, subprocess, sys
from holdfast.storage.local import publish
folder = sys.argv[1]
path = os.path.join(folder, "m.bson")
subprocess.run(["mount", "--bind", os.path.join(folder, "source"), path], check=True)
try:
    publish(path, [b"new"])
except OSError as error:
    print(type(error).__name__, error.errno, error)
print(open(path).read(), sorted(os.listdir(folder)))
"""
    (tmp_path / "source").write_bytes(b"old")
    (tmp_path / "m.bson").touch()
    done = mounting(script, tmp_path)
    assert f"OSError {errno.EBUSY}" in done.stdout, done.stderr
    assert "bind mount" in done.stdout
    assert done.stdout.endswith("old ['m.bson', 'source']\n")


def test_other_hard_links_keep_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(OLD)
    os.link(tmp_path / "m", tmp_path / "kept")
    publish(tmp_path / "m", [NEW])
    assert (tmp_path / "kept").read_bytes() == OLD
    assert (tmp_path / "m").read_bytes() == NEW


@pytest.mark.parametrize("mmap", [True, False])
def test_saving_over_the_file_that_the_data_is_mapped_from(tmp_path: Path, mmap: bool) -> None:
    path = tmp_path / "m"
    data = bytes(range(256)) * 4096
    path.write_bytes(data)
    opened = open_bytes(path, mmap=mmap)
    view = np.frombuffer(opened.data, "u1")
    publish(path, [view[1000:], view[:1000]])
    assert path.read_bytes() == data[1000:] + data[:1000]
    assert view.tobytes() == data
    publish(path, [b"x"])
    assert view.tobytes() == data


# Exclusive


def test_exclusive(tmp_path: Path) -> None:
    path = tmp_path / "m"
    publish(path, [NEW], exclusive=True)
    assert path.read_bytes() == NEW
    assert path.stat().st_nlink == 1
    with pytest.raises(FileExistsError, match="choose another name") as caught:
        publish(path, [OLD], exclusive=True)
    assert caught.value.filename == str(path)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        publish(tmp_path / "link", [OLD], exclusive=True)
    assert path.read_bytes() == NEW
    assert sorted(os.listdir(tmp_path)) == ["link", "m"]


def test_exclusive_when_another_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "m", os.link

    def late(*arguments: object, **options: object) -> None:
        path.write_bytes(OLD)
        link(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(FileExistsError):
        publish(path, [NEW], exclusive=True)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["m"]


def test_exclusive_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(OSError, match="no hard links"):
        publish(tmp_path / "m", [NEW], exclusive=True)
    assert os.listdir(tmp_path) == []


# Many at once


def test_threads_that_save_the_same_path(tmp_path: Path) -> None:
    path, size, number = tmp_path / "m", 200_000, itertools.count(1)
    path.write_bytes(bytes(size))
    failures: list[object] = []
    stop = threading.Event()

    def save() -> None:
        try:
            for _ in range(25):
                byte = bytes([next(number) % 251])
                publish(path, [byte * (size // 2)] * 2, durable=False)
        except BaseException as error:
            failures.append(error)

    def watch() -> None:
        while not stop.is_set():
            data = path.read_bytes()
            if data != data[:1] * size:
                failures.append("torn")

    savers = [threading.Thread(target=save) for _ in range(6)]
    watcher = threading.Thread(target=watch)
    for thread in (watcher, *savers):
        thread.start()
    for thread in savers:
        thread.join()
    stop.set()
    watcher.join()
    assert failures == []
    assert os.listdir(tmp_path) == ["m"]


def test_exclusive_has_one_winner(tmp_path: Path) -> None:
    wins: list[int] = []

    def save(index: int) -> None:
        try:
            publish(tmp_path / "m", [bytes([index]) * 1000], durable=False, exclusive=True)
            wins.append(index)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=save, args=(index,)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert (tmp_path / "m").read_bytes() == bytes(wins) * 1000
    assert os.listdir(tmp_path) == ["m"]
