"""The folder is the truth: what is listed, what is read of it, and that nothing of anybody else's is ever touched."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from holdfast import save
from holdfast.checkpoint import Series
from holdfast.checkpoint.folder import Header, RunFolder, make_folder, read_header
from holdfast.checkpoint.history import History
from holdfast.checkpoint.listing import listed
from holdfast.checkpoint.names import Name
from runs import damage, names, run, state

TIME = datetime(2026, 11, 23, 2, 57, 10, 410_000, UTC)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Steps 0 to 3 of the run ``digits``, and what else people keep in a folder."""
    with Series(tmp_path, name="digits", every_steps=1, keep_last=None, background=False) as series:
        run(series, 4)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "digits-000120.bson").write_bytes(b"mine")
    (tmp_path / "digits-000002-2026-11-23T02-57-10.410.bson.bak").write_bytes(b"mine")
    (tmp_path / "digits").mkdir()
    save(tmp_path / "model.bson", weights=np.ones(3))
    return RunFolder(str(tmp_path), "digits")


STRANGERS = [
    "digits",
    "digits-000002-2026-11-23T02-57-10.410.bson.bak",
    "digits-000120.bson",
    "model.bson",
    "notes.txt",
]


def test_only_checkpoints_of_this_run_are_listed(folder: RunFolder) -> None:
    assert [name.step for name in folder.names()] == [0, 1, 2, 3]
    assert [name.step for name in RunFolder(folder.path, "letters").names()] == []
    assert [name.step for name in RunFolder(folder.path, None).names()] == [0, 1, 2, 3]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    nothing = RunFolder(str(tmp_path / "none"), "digits")
    assert nothing.names() == nothing.candidates() == nothing.abandoned() == listed(nothing) == []


def test_headers_are_read_without_arrays(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    name = folder.names()[2]
    header = folder.header(name)
    assert header is not None
    assert (header.position.step, header.metrics, header.note) == (3, {"loss": 1 / 3}, None)
    assert header.policy is not None
    assert header.policy.last is None
    monkeypatch.setattr("holdfast.checkpoint.folder.read_header", lambda path: pytest.fail("read again"))
    assert folder.header(name) is header


def test_a_header_needs_no_framework(folder: RunFolder) -> None:
    from runs import python

    done = python(
        "import sys\nfrom holdfast.checkpoint.folder import Header, RunFolder\n"
        "print([h.position.step for _, h, _ in RunFolder(sys.argv[1], 'digits').candidates()], 'torch' in sys.modules)",
        folder.path,
    )
    assert done.stdout == "[1, 2, 3, 4] False\n", done.stderr


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "another's", "gone", "unreadable"])
def test_what_has_no_header_is_no_candidate_and_stays(folder: RunFolder, harm: str) -> None:
    """Retention judges what it can read and leaves the rest alone."""
    name = folder.names()[1]
    path = Path(folder.at(name))
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif harm == "changed":
        path.write_bytes(whole.replace(b"metrics", b"metricz"))
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "another's":
        save(path, model=np.ones(3))
    elif harm == "unreadable":
        path.unlink()
        path.mkdir()
    else:
        path.unlink()
    assert [name.step for name, _, _ in folder.candidates()] == [0, 2, 3]
    assert folder.header(name) is None
    assert path.exists() == (harm != "gone")


def test_a_file_that_no_series_wrote_has_no_header(tmp_path: Path) -> None:
    save(tmp_path / "m.bson", _series={"version": 1}, x=1)
    assert Header.of(read_header(str(tmp_path / "m.bson"))) is None
    save(tmp_path / "m.bson", _series=[1], x=1)
    assert Header.of(read_header(str(tmp_path / "m.bson"))) is None
    save(tmp_path / "m.bson", x=1)
    assert read_header(str(tmp_path / "m.bson")) is None


def test_the_history_goes_with_the_file(folder: RunFolder) -> None:
    name = folder.names()[2]
    assert folder.history(name).points("loss") == [(0, 1.0), (1, 1 / 2), (2, 1 / 3)]
    Path(folder.at(name)).write_bytes(b"")
    assert folder.history(name) == History()
    assert folder.history(name.marked("pinned")) == History()


def test_expire_takes_only_what_it_is_told(folder: RunFolder) -> None:
    gone = folder.names()[:2]
    folder.expire([str(name) for name in gone])
    assert [name.step for name in folder.names()] == [2, 3]
    folder.expire(["never-was.bson"])
    assert set(STRANGERS) < set(names(Path(folder.path)))


def test_a_damaged_file_is_set_aside_with_its_reason(folder: RunFolder) -> None:
    name, other = folder.names()[:2]
    aside = folder.set_aside(name, "byte 3 is wrong")
    assert aside == folder.at(name) + ".bad"
    assert Path(aside + ".txt").read_text() == "byte 3 is wrong\n"
    assert name not in folder.names()
    Path(folder.at(other)).rename(folder.at(name))
    assert folder.set_aside(name, "again") == folder.at(name) + ".bad.2"
    assert Path(aside).exists()


def test_marks_are_names(folder: RunFolder) -> None:
    name = folder.names()[1]
    folder.header(name)
    folder.rename(name, name.marked("pinned"))
    assert [name.pinned for name in folder.names()] == [False, True, False, False]
    assert os.path.exists(folder.at(name.marked("pinned")))
    assert [one.pinned for _, _, one in folder.candidates()] == [False, True, False, False]


def test_abandoned_ones_move_and_are_let_go(folder: RunFolder) -> None:
    later = folder.names()[2:]
    folder.rename(later[1], later[1].marked("pinned"))
    later = folder.names()[2:]
    place = Path(folder.abandon(later, TIME))
    assert place == Path(folder.path, "abandoned", "2026-11-23T02-57-10.410")
    assert names(place) == sorted(map(str, later))
    assert [name.step for name in folder.names()] == [0, 1]
    assert folder.abandoned() == [(TIME, str(place))]
    (place / "mine.txt").write_text("mine")
    folder.forget(str(place))
    assert names(place) == sorted(["mine.txt", str(later[1])])
    (place / "mine.txt").unlink()
    (place / str(later[1])).unlink()
    folder.forget(str(place))
    assert not place.parent.exists()


def test_only_folders_with_a_time_are_abandoned_ones(folder: RunFolder) -> None:
    top = Path(folder.path, "abandoned")
    (top / "mine").mkdir(parents=True)
    (top / "2026-11-23T02-57-10.410").write_text("a file")
    assert folder.abandoned() == []


def test_make_folder(tmp_path: Path) -> None:
    make_folder(str(tmp_path / "a" / "b" / "c"))
    make_folder(str(tmp_path / "a" / "b" / "c"))
    assert (tmp_path / "a" / "b" / "c").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        make_folder(str(tmp_path / "file" / "c"))


def test_listed(folder: RunFolder) -> None:
    with Series(folder.path, name="letters", keep_last=1, background=False) as series:
        series.track(**state()).save(7, epoch=2, loss=0.5, accuracy=float("nan"))
    found = listed(RunFolder(folder.path, None))
    assert [(one.run, one.step) for one in found] == [("digits", step) for step in range(4)] + [("letters", 7)]
    last = found[-1]
    assert last.epoch == 2
    assert last.kept == ("last",)
    assert last.metrics["loss"] == 0.5
    assert np.isnan(last.metrics["accuracy"])
    assert last.size == last.path.stat().st_size
    assert abs(datetime.now(UTC) - last.time) < timedelta(minutes=1)
    assert Name.of(last.path.name) is not None


def test_a_damaged_frame_does_not_stop_the_list(folder: RunFolder) -> None:
    damage(Path(folder.at(folder.names()[0])))
    assert [one.step for one in listed(folder)] in ([1, 2, 3], [0, 1, 2, 3])
