"""The first bytes of a file choose its reader, and nothing else does."""

import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from format_samples import SAMPLES, bson, hdf5, npy, npz, pt, safetensors, zipped
from holdfast import FormatError, MissingError, UnsupportedError, inspect, load, restore, save, verify
from holdfast.formats import choose
from holdfast.formats.choose import FORMATS, TRAILER, Look, format_for, format_of, look
from holdfast.wire.plan import plan_document
from holdfast.wire.values import Blob


def put(folder: Path, data: bytes, name: str = "file") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("name", SAMPLES)
def test_each_format_is_known_by_its_bytes(name: str, tmp_path: Path) -> None:
    assert format_of(look(put(tmp_path, SAMPLES[name](tmp_path)))).name == name


def test_every_format_has_a_sample() -> None:
    assert {row.name for row in FORMATS} == SAMPLES.keys()


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("HDF5", "JLD2")])
def test_the_ending_does_not_matter_for_reading(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, SAMPLES[name](tmp_path), "misleading.jld2")
    value = load(path)
    array = value if name == "NumPy's npy" else value["a.weight"]
    assert np.asarray(array).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("block", [512, 1024, 2048, 4096])
def test_hdf5_may_stand_behind_a_block_of_the_users(block: int, tmp_path: Path) -> None:
    assert format_of(look(put(tmp_path, hdf5(tmp_path, block)))).name == "HDF5"


# -- two at once ------------------------------------------------------------------------------------------------------


def test_a_zip_behind_a_document_is_refused(tmp_path: Path) -> None:
    for data in (bson(tmp_path) + npz(tmp_path), bson(tmp_path) + pt(tmp_path)):
        with pytest.raises(FormatError):
            load(put(tmp_path, data))


def test_anything_behind_the_end_is_refused(tmp_path: Path) -> None:
    for make in (bson, safetensors, npz, npy, pt):
        with pytest.raises(FormatError):
            load(put(tmp_path, make(tmp_path) + b"\0"))
        with pytest.raises(FormatError):
            load(put(tmp_path, make(tmp_path) + make(tmp_path)))


def test_a_zip_in_front_of_which_something_stands_is_refused(tmp_path: Path) -> None:
    for make in (npz, pt):
        with pytest.raises(FormatError):
            load(put(tmp_path, b"#!/bin/sh\n" + make(tmp_path)))


def test_a_zip_that_is_npz_and_pytorchs_is_refused(tmp_path: Path) -> None:
    data = zipped(("a/data.pkl", b"\x80\x02}."), ("a.npy", npy(tmp_path)))
    with pytest.raises(FormatError, match="npz and PyTorch at once"):
        load(put(tmp_path, data))


def test_a_zip_that_ends_like_a_file_of_ours_is_refused(tmp_path: Path) -> None:
    """The comment at a zip's end may be anything, our trailer too."""
    data = bytearray(npz(tmp_path))
    data[-2:] = len(TRAILER).to_bytes(2, "little")
    with pytest.raises(FormatError, match="at once"):
        load(put(tmp_path, bytes(data) + TRAILER))


def look_at(head: bytes, size: int, tail: bytes = b"\0" * len(TRAILER)) -> Look:
    return Look(head, tail, size)


@pytest.mark.parametrize(
    "magic",
    [b"PK\x03\x04\x0a\0", b"\x89HDF\r\n\x1a\n", b"\x80\x02\x8a\n\x03ab\0", b"\x80\x04\x95\0\x01ab\0"],
    ids=["zip", "HDF5", "torch", "pickle"],
)
def test_a_length_that_looks_like_a_magic(magic: bytes) -> None:
    """A document's length is its first bytes. One that is as long as it says is a document, whatever that spells, and
    where another format could claim it too, it is refused rather than guessed."""
    size = int.from_bytes(magic[:4], "little")
    claims = [row.name for row in FORMATS if row.claims(look_at(magic, size))]
    assert "BSON" in claims
    assert set(claims) <= {"BSON", "HDF5"}
    assert "BSON" not in [row.name for row in FORMATS if row.claims(look_at(magic, size + 1, b"x" * len(TRAILER)))]


def test_arrays_that_look_like_other_formats_are_only_arrays(tmp_path: Path) -> None:
    """Bytes of an HDF5 file in an array stand where HDF5's signature may: it is our file all the same."""
    raw = np.frombuffer(hdf5(tmp_path), np.uint8)
    for count in (0, 1, 100):
        path = tmp_path / "raw.bson"
        save(path, raw=np.concatenate([raw, np.zeros(100_000, np.uint8)]), zeros=list(range(count)))
        assert format_of(look(path)).name == "BSON"
        assert load(path, "raw")[: len(raw)].tobytes() == raw.tobytes()


def test_safetensors_and_the_empty_document_both_begin_with_zeros(tmp_path: Path) -> None:
    empty = bytes(plan_document({}, trailer=False).buffers()[0])
    assert load(put(tmp_path, empty)) == {}
    plain = b"".join(plan_document({"a": Blob(memoryview(b"xyz"))}, trailer=False).buffers())
    assert load(put(tmp_path, plain)) == {"a": b"xyz"}


# -- none ------------------------------------------------------------------------------------------------------------


def test_an_unknown_file_says_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as error:
        load(put(tmp_path, b"GIF89a and so on"))
    for row in FORMATS:
        assert row.endings[0] in str(error.value)
    assert "MessagePack of Flax" in str(error.value)
    assert "Orbax and zarr" in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(("size", "words"), [(0, "empty"), (1, "begins with"), (4, "begins with")])
def test_a_file_too_short_for_any_format(size: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=words):
        load(put(tmp_path, b"\x05\0\0\0"[:size]))


def test_a_folder_says_what_is_not_read_now(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="Orbax and zarr"):
        load(tmp_path)


def test_no_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.safetensors")


def test_what_is_known_and_never_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match=r"before PyTorch 1\.6.*torch\.save\(torch\.load"):
        load(tmp_path / "old.pt")
    with tarfile.open(tmp_path / "older.pt", "w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("sys_info", "pickle"):
            archive.add(put(tmp_path, b"\x80\x02}.", name), name)
    with pytest.raises(FormatError, match="tar archive"):
        load(tmp_path / "older.pt")
    with pytest.raises(FormatError, match="a program and not data"):
        load(put(tmp_path, pickle.dumps({"a": 1})))
    with pytest.raises(FormatError, match="save_weights"):
        load(put(tmp_path, zipped(("config.json", b"{}"), ("model.weights.h5", b"x"))))
    with pytest.raises(FormatError, match="neither arrays"):
        load(put(tmp_path, zipped(("word/document.xml", b"<x/>"))))


def test_each_way_in_goes_by_the_magic(tmp_path: Path) -> None:
    path = put(tmp_path, safetensors(tmp_path), "weights.bin")
    verify(path)
    assert [child.name for child in inspect(path).children] == ["a.weight", "a.bias"]
    weight, bias = torch.zeros(2, 3), torch.zeros(2, dtype=torch.int16)
    restore(path, **{"a.weight": weight, "a.bias": bias})
    assert weight.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, safetensors(tmp_path))
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'holdfast\[safetensors\]'"):
        load(path)


# -- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("m.bson", "BSON"),
        ("m", "BSON"),
        ("m.checkpoint", "BSON"),
        ("m.safetensors", "safetensors"),
        ("M.SafeTensors", "safetensors"),
        ("m.npz", "NumPy's npz"),
        ("m.npy", "NumPy's npy"),
    ],
)
def test_the_ending_chooses_what_is_written(path: str, name: str) -> None:
    assert format_for(path).name == name


@pytest.mark.parametrize("ending", [".pt", ".pth", ".jld2", ".h5", ".hdf5", ".weights.h5"])
def test_a_format_that_is_only_read_is_refused(ending: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"\.bson, \.safetensors, \.npz or \.npy"):
        save(tmp_path / f"m{ending}", a=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (".safetensors", "lose the optimiser"),
        (".npz", "lose the optimiser"),
        (".pt", "cannot be"),
        ("bson", "cannot be"),
    ],
)
def test_a_series_is_refused_what_it_would_lose(ending: str, words: str, tmp_path: Path) -> None:
    from holdfast import Series

    with pytest.raises(ValueError, match=rf"'{ending}' .*{words}.*holdfast convert CHECKPOINT .* --only model"):
        Series(tmp_path / "run", format=ending)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
