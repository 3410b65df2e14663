"""Attributes of HDF5, read here: the same as h5py reads them, in every form that the library writes; and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from holdfast import ChecksumError, FormatError, HoldfastError, load

Write = Callable[[h5py.AttributeManager], Any]
FORMS: dict[str, dict[str, Any]] = {
    "oldest": {"libver": "earliest"},
    "newest": {"libver": "latest"},
    "ordered": {"libver": "earliest", "track_order": True},
}
"""The older header, the newer one, and the newer one with an order beside it."""
VALUES: dict[str, Any] = {
    "text": "héllo",
    "no text": "",
    "bytes": np.bytes_(b"abc\0d"),
    "texts": ["a", "", "ccc"],
    "square of texts": np.array([["a", "b"], ["c", "dd"]], object),
    "fixed texts": np.array([b"x", b"yy"]),
    "true": True,
    "truths": np.array([True, False]),
    "whole": -5,
    "large": np.uint64(2**64 - 1),
    "small": np.int8(-1),
    "half": np.float16(0.5),
    "wholes": np.arange(6, dtype=">i2").reshape(2, 3),
    "floats": np.linspace(0, 1, 5, dtype=">f4"),
    "complex": np.array([1 + 2j, 3 - 4j]),
    "one complex": 1j,
    "none": np.zeros((0, 3), "f4"),
    "empty": h5py.Empty("f8"),
    "record": np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
    "opaque": np.void(b"\1\2\3"),
    "ünï": 1,
}


def expected(value: Any) -> Any:
    """What h5py's value is in Python; None where it is no plain one."""
    if isinstance(value, h5py.Empty | np.void | complex | np.complexfloating) or (
        isinstance(value, np.uint64) and value > 2**63
    ):
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return [expected(one) for one in value.reshape(-1).tolist()]
    if isinstance(value, np.ndarray) and value.dtype.names:
        return None
    return value.item() if isinstance(value, np.generic) else value


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, np.ndarray):
        return isinstance(found, np.ndarray) and found.dtype == wanted.dtype and np.array_equal(found, wanted)
    return type(found) is type(wanted) and found == wanted


def compare(path: Path, others: int = 0) -> None:
    with h5py.File(path) as file:
        wanted = {name: expected(value) for name, value in file["g"].attrs.items()}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    found = load(path)["g"]["@"]
    assert found.keys() == wanted.keys()
    assert {name: value for name, value in wanted.items() if not same(found[name], value)} == {}
    assert len(found) > others


@pytest.mark.parametrize("form", FORMS)
def test_every_kind(tmp_path: Path, form: str) -> None:
    """One object for each, so that each has its own header; and all at one, which makes them many."""
    for name, value in VALUES.items():
        with h5py.File(tmp_path / "one.h5", "w", **FORMS[form]) as file:
            group = file.create_group("g", track_order="track_order" in FORMS[form])
            group.attrs[name], group.attrs["last"] = value, 1
        compare(tmp_path / "one.h5")
    with h5py.File(tmp_path / "all.h5", "w", **FORMS[form]) as file:
        group = file.create_group("g", track_order="track_order" in FORMS[form])
        for name, value in VALUES.items():
            group.attrs[name] = value
    compare(tmp_path / "all.h5", 10)


@pytest.mark.parametrize("form", ["newest", "ordered"])
@pytest.mark.parametrize("block", [0, 512])
@pytest.mark.parametrize(("count", "size"), [(9, 1), (600, 10), (3000, 3), (300, 400), (12, 9000), (20, 3000)])
def test_many(tmp_path: Path, form: str, block: int, count: int, size: int) -> None:
    """Trees of one node and of several levels; heaps of one block and of tables of tables; values too large for either."""
    with h5py.File(tmp_path / "many.h5", "w", userblock_size=block, **FORMS[form]) as file:
        group = file.create_group("g", track_order=form == "ordered")
        for number in range(count):
            group.attrs[f"a{number}"] = np.full(size, number)
    compare(tmp_path / "many.h5", count - 1)


def test_a_committed_datatype(tmp_path: Path) -> None:
    for libver in ("earliest", "latest"):
        with h5py.File(tmp_path / "t.h5", "w", libver=libver) as file:
            file["kind"] = np.dtype("<f4")
            group = file.create_group("g")
            group.attrs.create("a", np.arange(3), dtype=file["kind"])
            del file["kind"]
        compare(tmp_path / "t.h5")


def test_a_header_in_many_parts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w", libver="earliest") as file:
        group = file.create_group("g")
        for number in range(500):
            group.attrs[f"a{number}"] = "x" * number
            if number % 3 == 0:
                del group.attrs[f"a{number}"]
    compare(tmp_path / "t.h5", 300)


def test_texts_in_every_layout(tmp_path: Path) -> None:
    texts = ["a", "", "ccc", "é"]
    with h5py.File(tmp_path / "t.h5", "w") as file:
        kind = h5py.string_dtype()
        file.create_dataset("plain", data=texts, dtype=kind)
        file.create_dataset("chunks", data=texts, dtype=kind, chunks=(3,))
        file.create_dataset("packed", data=texts, dtype=kind, chunks=(3,), compression="gzip", shuffle=True)
        file.create_dataset("unwritten", (4,), kind, chunks=(2,))
        file.create_dataset("filled", (4,), kind, chunks=(2,), fillvalue="nobody")[0] = "a"
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4,))
        made = h5py.h5d.create(file.id, b"compact", h5py.h5t.py_create(kind, logical=True), space, plist)
        h5py.Dataset(made)[:] = texts
    found = load(tmp_path / "t.h5")
    assert found["unwritten"] == [""] * 4
    assert found["filled"] == ["a", "nobody", "nobody", "nobody"]
    for name in ("plain", "chunks", "packed", "compact"):
        assert found[name] == texts


def test_a_changed_block_is_seen(tmp_path: Path) -> None:
    """Every byte of the tree and the heap of many attributes: changed, it is an error, or stands nowhere in a value."""
    path = tmp_path / "t.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for number in range(12):
            file.attrs[f"a{number}"] = number
    good = path.read_bytes()
    values = load(path)
    seen = 0
    for signature in (b"BTHD", b"BTLF", b"FRHP", b"FHDB"):
        start = good.index(signature)
        for at in range(start, start + 40):
            path.write_bytes(good[:at] + bytes((good[at] ^ 0x55,)) + good[at + 1 :])
            try:
                assert load(path) == values
            except (FormatError, ChecksumError):
                seen += 1
    assert seen > 120


def test_nothing_of_it_is_asked_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.attrs["t"], file["w"], file["t"] = "text", np.ones(2), ["a", "b"]
        file["w"].attrs["t"] = "text"

    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the library was asked for an attribute, or a text")

    monkeypatch.setattr(h5py, "AttributeManager", never)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", never)
    assert load(tmp_path / "t.h5")["w@"] == {"t": "text"}


def test_no_header_is_longer_than_the_file(tmp_path: Path) -> None:
    """Many names that lead into one long header, each a little further on."""
    from holdfast.formats.hdf5.headers import Headers

    zeros = b"\0" * 8
    part = b"\1\x10\0\0\1\0\0\0" + (50_000).to_bytes(4, "little") + b"\0" * 4
    data = memoryview(part * 4000 + zeros * 50_000)
    headers = Headers(data, 0)
    with pytest.raises(HoldfastError, match="longer than the file"):
        any(None for place in range(4000) for _ in headers.messages(16 * place))
