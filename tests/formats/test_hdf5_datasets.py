"""Datasets of HDF5, read here: the same as h5py reads them, in every way in which the library keeps them."""

from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from holdfast import FormatError, load

RECORD = np.dtype({"names": ["a", "b"], "formats": ["<i2", ("<f8", (2, 3))], "offsets": [4, 8], "itemsize": 64})
ARRAYS: dict[str, Any] = {
    "floats": np.linspace(0, 1, 60).reshape(5, 12),
    "big end first": np.arange(60, dtype=">i4").reshape(3, 20),
    "halves": np.arange(7, dtype="f2"),
    "bytes": np.arange(255, dtype="u1"),
    "truths": np.array([[True, False, True]]),
    "complex": np.array([1 + 2j, 3]),
    "records": np.zeros(4, RECORD),
    "padded": np.array([(1, 2.0), (3, 4.0)], np.dtype("i1,f8", align=True)),
    "letters": np.array([b"ab", b"c", b""]),
    "raw": np.array([b"\1\2", b"\3\0"], "V2"),
    "one": np.float32(1.5),
    "none": np.zeros((0, 3)),
    "three axes": np.arange(24).reshape(2, 3, 4),
}


def same(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, np.ndarray):
        wanted = np.asarray(wanted)
    found = np.asarray(found)
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return False
    if wanted.dtype.names:  # between fields anything may stand
        return bool(np.array_equal(found, wanted))
    return found.tobytes() == wanted.tobytes()


def compare(path: Path) -> int:
    """How many datasets were the same."""
    values = load(path)
    with h5py.File(path) as file:
        wanted = {name: file[name][()] for name in file}
    assert values.keys() == wanted.keys()
    assert [name for name, value in wanted.items() if not same(values[name], value)] == []
    return len(wanted)


@pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "latest"])
@pytest.mark.parametrize("block", [0, 1024])
def test_every_dtype(tmp_path: Path, libver: str, block: int) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=libver, userblock_size=block) as file:
        for name, array in ARRAYS.items():
            file[name] = array
            if np.ndim(array) and np.size(array):
                file.create_dataset(f"{name}, in parts", data=array, chunks=tuple(min(2, n) for n in np.shape(array)))
                file.create_dataset(
                    f"{name}, packed", data=array, chunks=True, compression="gzip", shuffle=True, fletcher32=True
                )
    assert compare(path) > 30


KEEPING: dict[str, dict[str, Any]] = {
    "single": {"shape": (6, 5), "chunks": (6, 5)},
    "fixed": {"shape": (7, 9), "chunks": (2, 4)},
    "fixed, smaller than it may be": {"shape": (7, 9), "chunks": (2, 4), "maxshape": (20, 30)},
    "fixed, in pages": {"shape": (50, 60), "chunks": (1, 2)},
    "growing": {"shape": (7, 9), "chunks": (2, 4), "maxshape": (None, 30)},
    "growing along the last": {"shape": (7, 9, 3), "chunks": (2, 4, 1), "maxshape": (7, 11, None)},
    "growing far": {"shape": (3000, 2), "chunks": (1, 1), "maxshape": (None, 3)},
    "tree": {"shape": (7, 9), "chunks": (2, 4), "maxshape": (None, None)},
    "large tree": {"shape": (90, 60), "chunks": (1, 2), "maxshape": (None, None)},
    "tree of five axes": {"shape": (2, 3, 2, 3, 2), "chunks": (1, 2, 1, 2, 2), "maxshape": (None,) * 5},
}


@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("keeping", KEEPING)
def test_every_way_to_keep_account_of_parts(tmp_path: Path, libver: str, packed: bool, keeping: str) -> None:
    how, path = KEEPING[keeping], tmp_path / "a.h5"
    values = np.arange(np.prod(how["shape"]), dtype="<i4").reshape(how["shape"]) + 1
    more = {"compression": "gzip", "shuffle": True} if packed else {}
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("all", data=values, **how, **more)
        some = file.create_dataset("some", dtype="<i4", fillvalue=-7, **how, **more)
        some[how["shape"][0] // 2] = values[0]
        file.create_dataset("never", dtype="<i4", fillvalue=-7, **how, **more)
        file.create_dataset("zeros", dtype="<i4", **how, **more)
        if "maxshape" in how and how["maxshape"][0] is None:
            file["all"].resize(how["shape"][0] - 1, 0)
            file["some"].resize(how["shape"][0] + 1, 0)
    assert compare(path) == 4


def test_pages_of_an_array_that_grows(tmp_path: Path) -> None:
    """So many parts that the index itself is in pages, some of which were never written."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        array = file.create_dataset("a", (200_000,), "u1", chunks=(1,), maxshape=(None,), fillvalue=3)
        for place in (0, 1, 20, 500, 5000, 140_000, 199_999):
            array[place] = place % 200
    assert compare(path) == 1


def test_parts_that_were_made_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((2, 4))
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((7, 9))
        h5py.Dataset(h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_INT32, space, plist))[:] = np.arange(63).reshape(
            7, 9
        )
    assert compare(path) == 1


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_data_within_the_header(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=libver) as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3, 5))
        h5py.Dataset(h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F64BE, space, plist))[:] = np.arange(15.0).reshape(
            3, 5
        )
    assert compare(path) == 1


@pytest.mark.parametrize("filled", [h5py.h5t.STR_NULLTERM, h5py.h5t.STR_NULLPAD, h5py.h5t.STR_SPACEPAD])
@pytest.mark.parametrize("chunks", [None, (2,)])
def test_what_fills_texts_up(tmp_path: Path, filled: int, chunks: Any) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(6)
        kind.set_strpad(filled)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if chunks:
            plist.set_chunk(chunks)
        made = h5py.h5d.create(file.id, b"a", kind, h5py.h5s.create_simple((3,)), plist)
        raw = np.array([b"ab\0cd ", b"a b   ", b"sixsix"], "S6")
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, raw, mtype=kind)
    assert compare(path) == 1


def test_bfloat16(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    values = np.arange(5).astype(ml_dtypes.bfloat16)
    with h5py.File(path, "w") as file:
        kind = h5py.h5t.IEEE_F16LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_ebias(127)
        made = h5py.h5d.create(file.id, b"a", kind, h5py.h5s.create_simple((5,)))
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, values.view("u2"), mtype=kind)
    found = load(path)["a"]
    assert found.dtype == ml_dtypes.bfloat16
    assert found.tolist() == values.tolist()


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("count", [1, 7, 9, 40, 3000])
@pytest.mark.parametrize("track_order", [False, True])
def test_many_names(tmp_path: Path, libver: str, count: int, track_order: bool) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=libver, track_order=track_order) as file:
        for number in range(count):
            file[f"é{number}" * (1 + number % 3)] = number
        file["g"] = h5py.SoftLink("/é0")
        if count > 10:
            del file["é3"], file["é7é7"]
    values = load(path)
    with h5py.File(path) as file:
        assert list(values) == sorted(file, key=str.encode)
        assert all(values[name] == file[name][()] for name in file)


def test_old_fill_and_shared_datatype(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["kind"] = np.dtype("<f4")
        file.create_dataset("a", data=np.arange(3, dtype="f4"), dtype=file["kind"])
        del file["kind"]
    assert compare(path) == 1


def test_a_kind_of_number_that_numpy_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        kind = h5py.h5t.NATIVE_INT32.copy()
        kind.set_precision(20)
        h5py.h5d.create(file.id, b"a", kind, h5py.h5s.create_simple((5,)))
    with pytest.raises(FormatError, match="'a' holds"):
        load(path)


def test_zstandard(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path, values = tmp_path / "a.h5", np.arange(40_000, dtype="<i4")
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((20_000,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        made = h5py.h5d.create(file.id, b"a", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((40_000,)), plist)
        for start in (0, 20_000):
            raw = zstandard.ZstdCompressor().compress(values[start : start + 20_000].tobytes())
            made.write_direct_chunk((start,), raw, 0)
    assert np.array_equal(load(path)["a"], values)


def test_a_large_datatype_that_many_share(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["kind"] = np.dtype([(f"a field with a long name, {number}", "f4") for number in range(300)])
        for number in range(1500):
            file.create_dataset(f"a{number}", (0,), file["kind"])
        del file["kind"]
    assert len(load(path)) == 1500
