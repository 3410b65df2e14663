"""HDF5 and the weights of Keras: arrays by path, and files that are damaged or lead elsewhere."""

import resource
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from holdfast import inspect, load, save
from holdfast.cli import main
from holdfast.errors import ChecksumError, FormatError, HoldfastError, LimitError
from reference import ROOT

h5py = pytest.importorskip("h5py")

MEMORY = 200 << 20
RANDOM = np.random.default_rng(3)
ARRAYS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "plain": (RANDOM.standard_normal((5, 7)).astype("f4"), {}),
    "deep/er/still": (RANDOM.standard_normal(9), {}),
    "chunks": (np.arange(1000.0).reshape(20, 50), {"chunks": (7, 11)}),
    "gzip": (np.arange(1000).reshape(20, 50), {"chunks": (7, 11), "compression": "gzip"}),
    "shuffle": (np.arange(1000, dtype="i2"), {"chunks": (300,), "compression": "gzip", "shuffle": True}),
    "sums": (np.arange(1001, dtype="u1"), {"chunks": (300,), "compression": "gzip", "fletcher32": True}),
    "only_sums": (np.arange(11, dtype="u2"), {"chunks": (4,), "fletcher32": True}),
    "big_endian": (np.arange(6, dtype=">i4").reshape(2, 3), {}),
    "bools": (np.array([True, False, True]), {}),
    "complex": (np.array([1 + 2j, 3]), {}),
    "half": (np.arange(5, dtype="f2"), {}),
    "letters": (np.array([b"ab", b"c"]), {}),
    "records": (np.array([(1, 2.0)], [("x", "i4"), ("y", "f8")]), {}),
    "one": (np.array(3, "f4"), {}),
    "none": (np.zeros((0, 3)), {}),
    "packed_records": (np.array([(1, 2.0)] * 50, [("x", "i4"), ("y", "f8")]), {"chunks": (20,), "compression": "gzip"}),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.h5"


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("block", [0, 512, 4096])
@pytest.mark.parametrize("mmap", [True, False])
def test_arrays(path: Path, libver: str, block: int, mmap: bool) -> None:
    with h5py.File(path, "w", libver=libver, userblock_size=block) as file:
        for name, (array, options) in ARRAYS.items():
            file.create_dataset(name, data=array, **options)
    found = load(path, mmap=mmap)
    for name, (array, _) in ARRAYS.items():
        value: Any = found
        for word in name.split("/"):
            value = value[word]
        assert (value.dtype, value.shape) == (array.dtype, array.shape), name
        assert value.tobytes() == array.tobytes(), name


def test_plain_arrays_are_mapped_and_the_file_stays(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(5000.0)
    before = path.read_bytes()
    array = load(path, "a")
    array[:] = 0
    assert path.read_bytes() == before


def test_texts_and_attributes(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["text"], file["texts"] = "héllo", [["a", "bb"], ["", "c"]]
        file["w"] = np.ones(3)
        file["w"].attrs["units"] = "m"
        file["w"].attrs["points"] = file["w"].ref  # left out: it is no plain value
        file.attrs.update(version=3, scale=0.5, on=True, names=np.array([b"x", b"y"]), grid=np.arange(4))
        file.create_group("g").attrs["n"] = np.uint64(2**64 - 1)
    found = load(path)
    assert found["text"] == "héllo"
    assert found["texts"] == [["a", "bb"], ["", "c"]]
    assert found["w@"] == {"units": "m"}
    about = found["@"]
    assert (about["version"], about["scale"], about["on"], about["names"]) == (3, 0.5, True, ["x", "y"])
    assert about["grid"].tolist() == [0, 1, 2, 3]
    assert found["g"] == {}


def test_keras(path: Path) -> None:
    """As Keras 3 lays out ``.weights.h5``: layers/NAME/vars/N, with a note where the dtype is bfloat16."""
    kernel, brain = RANDOM.standard_normal((4, 3)).astype("f4"), np.arange(4).astype(ml_dtypes.bfloat16)
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = kernel
        file["layers/dense/vars/1"] = np.zeros(3, "f4")
        file["layers/half/vars/0"] = brain
        file["layers/half/vars/0"].attrs["dtype"] = "bfloat16"
        file["optimizer/vars/0"] = np.int64(7)
        file.create_group("layers/dropout/vars")
    found = load(path)
    assert np.array_equal(found["layers"]["dense"]["vars"]["0"], kernel)
    half = found["layers"]["half"]["vars"]["0"]
    assert half.dtype == ml_dtypes.bfloat16
    assert np.array_equal(half, brain)
    assert found["optimizer"]["vars"]["0"] == 7
    assert inspect(path).find("layers['dense']['vars']['0']").shape == (4, 3)


def test_fill_values_and_parts_that_were_never_written(path: Path) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", (10,), "f8", chunks=(3,), maxshape=(None,), fillvalue=7.0)
        dataset[4] = 1
        file.create_dataset("b", (4,), "i4", fillvalue=2)
        dataset.resize((8,))
    assert load(path, "a").tolist() == [7, 7, 7, 7, 1, 7, 7, 7]
    assert load(path, "b").tolist() == [2, 2, 2, 2]


def test_links_within_the_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["g/a"] = np.arange(3)
        file["hard"], file["soft"] = file["g/a"], h5py.SoftLink("/g/a")
        file["g/near"], file["over"] = h5py.SoftLink("a"), h5py.SoftLink("/soft")
        file["g/ring"] = file["g"]
    found = load(path)
    assert all(found[name] is found["g"]["a"] for name in ("hard", "soft", "over"))
    assert found["g"]["near"] is found["g"]["a"]
    assert found["g"]["ring"] is found["g"]


def test_only_what_is_asked_for_is_unpacked(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["good"] = np.arange(4)
        file.create_dataset("bad", data=np.arange(1000.0), chunks=(1000,), compression="gzip")
        place = file["bad"].id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    raw[place.byte_offset + 40] ^= 0xFF
    path.write_bytes(raw)
    assert load(path, "good").tolist() == [0, 1, 2, 3]
    assert inspect(path).find("bad").shape == (1000,)
    with pytest.raises(HoldfastError, match=r"damaged|unpacks"):
        load(path, "bad")


def test_a_part_with_a_wrong_checksum(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(100.0), chunks=(100,), fletcher32=True)
        place = file["a"].id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ChecksumError, match="damaged"):
        load(path)


def test_saved_as_bson(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("a/b", data=np.arange(600.0).reshape(20, 30), compression="gzip")
    save(tmp_path / "w.bson", load(path))
    assert np.array_equal(load(tmp_path / "w.bson", "a")["b"], np.arange(600.0).reshape(20, 30))


def test_show(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((4, 3), "f4")
    with pytest.raises(SystemExit) as ended:
        main(["show", str(path), "--values"])
    assert ended.value.code == 0
    assert "float32" in capsys.readouterr().out


# -- what is refused ------------------------------------------------------------------------------------------------------


def external_link(file: Any) -> None:
    file["v"] = h5py.ExternalLink("/etc/passwd", "/")


def link_through_a_file(file: Any) -> None:
    file["out"], file["v"] = h5py.ExternalLink("other.h5", "/"), h5py.SoftLink("/out/a")


def link_to_nowhere(file: Any) -> None:
    file["v"] = h5py.SoftLink("/gone")


def link_in_a_ring(file: Any) -> None:
    file["v"], file["w"] = h5py.SoftLink("/w"), h5py.SoftLink("/v")


def external_storage(file: Any) -> None:
    file.create_dataset("v", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((10,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "a", (10,))
    file.create_virtual_dataset("v", layout)


def references(file: Any) -> None:
    file["v"] = np.array([file.ref, file.ref], h5py.ref_dtype)


def lists(file: Any) -> None:
    file.create_dataset("v", (2,), h5py.vlen_dtype(np.int32))


def huge(file: Any) -> None:
    file.create_dataset("v", (1 << 30, 1 << 20), "f8", chunks=(64, 64), compression="gzip")


def huge_and_plain(file: Any) -> None:
    file.create_dataset("v", (1 << 40,), "f8")


def zeros(file: Any) -> None:
    """A gigabyte that is a megabyte in the file."""
    dataset = file.create_dataset("v", (1 << 28,), "f4", chunks=(1 << 22,), compression="gzip")
    packed = zlib.compress(bytes(1 << 24), 9)
    for place in range(0, 1 << 28, 1 << 22):
        dataset.id.write_direct_chunk((place,), packed)


def liar(file: Any) -> None:
    """A small part that unpacks to hundreds of megabytes."""
    dataset = file.create_dataset("v", (16,), "f4", chunks=(16,), compression="gzip")
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(400 << 20), 1))


def other_filter(file: Any) -> None:
    dataset = file.create_dataset("v", (16,), "f4", chunks=(16,), compression="lzf")
    dataset.id.write_direct_chunk((0,), b"lzf?")


def a_type(file: Any) -> None:
    file["v"] = np.dtype("f4")


REFUSED: list[Callable[[Any], None]] = [
    *(
        external_link,
        link_through_a_file,
        link_to_nowhere,
        link_in_a_ring,
        external_storage,
        virtual,
        references,
        lists,
    ),
    *(huge, huge_and_plain, zeros, liar, other_filter, a_type),
]


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_refused(path: Path, make: Callable[[Any], None]) -> None:
    with h5py.File(path, "w") as file:
        make(file)
        file["good"] = np.arange(3)
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match=r"weights\.h5: "):
        load(path, "v")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MEMORY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY >> 10
    assert load(path, "good").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "words", "kind"),
    [
        (external_link, "link to another file", FormatError),
        (external_storage, "another file", FormatError),
        (virtual, "virtual", FormatError),
        (link_in_a_ring, "ring", FormatError),
        (huge, "said to be unpacked", LimitError),
        (zeros, "said to be unpacked", LimitError),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_error_says_what(path: Path, make: Callable[[Any], None], words: str, kind: type[FormatError]) -> None:
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(kind, match=words):
        load(path, "v")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_cut_at_many_places(path: Path, tmp_path: Path, libver: str) -> None:
    with h5py.File(path, "w", libver=libver) as file:
        file["g/a"] = np.arange(50.0)
        file.create_dataset("b", data=np.arange(50.0), chunks=(20,), compression="gzip")
    raw, cut = path.read_bytes(), tmp_path / "cut.h5"
    for end in [*range(130), *range(130, len(raw), 37)]:
        cut.write_bytes(raw[:end])
        with pytest.raises((FormatError, ChecksumError)):
            load(cut)


FLIPS = """
import sys
import numpy as np
from holdfast import inspect, load
from holdfast.errors import HoldfastError
raw, path = open(sys.argv[1], "rb").read(), sys.argv[2]
random = np.random.default_rng(int(sys.argv[3]))
for _ in range(int(sys.argv[4])):
    damaged = bytearray(raw)
    for _ in range(int(random.integers(1, 4))):
        damaged[int(random.integers(len(raw)))] ^= 1 << int(random.integers(8))
    open(path, "wb").write(damaged)
    try:
        inspect(path)
        load(path)
    except HoldfastError:
        pass
print("whole")
"""


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_flipped_bits(path: Path, tmp_path: Path, libver: str) -> None:
    """In a process of its own, with an end to its memory: the library that reads the headers is written in C."""
    with h5py.File(path, "w", libver=libver) as file:
        file["g/a"] = np.arange(5.0)
        file["g"].attrs["n"] = 3
        file["text"] = "abc"
        file.create_dataset("b", data=np.arange(20.0), chunks=(8,), compression="gzip")
    command = [sys.executable, "-c", FLIPS, str(path), str(tmp_path / "flipped.h5"), "5", "300"]
    limit = 6 << 30
    ended = subprocess.run(
        *(command,),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert ended.stdout == "whole\n", ended.stderr[-2000:]


def test_the_superblock_is_looked_at_first(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        file["a"] = np.arange(3)
    raw = path.read_bytes()
    for place, words in ((8, "version"), (9, "8"), (30, "checksum"), (44, "checksum")):
        damaged = bytearray(raw)
        damaged[place] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(HoldfastError, match=words):
            load(path)


def test_names_that_documents_need(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["g/tag"], file["g/type"], file["g/_backrefs"] = "python", "torch.Tensor", 3
    assert load(path, "g") == {"tag": "python", "type": "torch.Tensor", "_backrefs": np.array(3)}
    with h5py.File(path, "w") as file:
        file["_backrefs"] = 1
    with pytest.raises(FormatError, match="cannot be called"):
        load(path)
