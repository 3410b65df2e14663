"""Files that lie, that are cut off or damaged, or that want to run something: an error of our own, and nothing else."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from format_samples import READ_HERE, npy, npz, packed_npz, pt, zipped
from holdfast import ChecksumError, FormatError, HoldfastError, LimitError, inspect, load, verify
from holdfast.formats.foreign import archive
from holdfast.formats.foreign.seals import STALE


def put(folder: Path, data: bytes, name: str = "file") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


# -- cut off and damaged ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", READ_HERE)
def test_a_file_that_is_cut_off_anywhere(ending: str, tmp_path: Path) -> None:
    data, path = READ_HERE[ending](tmp_path), tmp_path / f"cut{ending}"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError):
            load(path, mmap=size % 2 == 0)


@pytest.mark.parametrize("ending", READ_HERE)
def test_a_file_in_which_one_byte_is_another(ending: str, tmp_path: Path) -> None:
    """An error of our own, or a file that says something else now; where there are checksums, the same values or an
    error."""
    data, path = READ_HERE[ending](tmp_path), tmp_path / f"damaged{ending}"
    path.write_bytes(data)
    right = values_of(load(path))
    checked = ending not in (".npy", ".safetensors")  # these two have no checksums of their own
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x11]) + data[place + 1 :])
        try:
            found = values_of(load(path))
        except (HoldfastError, KeyError):
            continue
        assert not checked or found.keys() != right.keys() or found == right, place


def values_of(loaded: Any) -> dict[str, Any]:
    named = loaded if isinstance(loaded, dict) else {"value": loaded}
    return {name: np.asarray(value).tolist() for name, value in named.items()}


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_every_flipped_bit_of_what_holdfast_wrote_is_seen(ending: str, tmp_path: Path) -> None:
    from holdfast import save

    path = tmp_path / f"m{ending}"
    save(path, a=torch.arange(6.0).reshape(2, 3), b=torch.ones(2, dtype=torch.bfloat16))
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        try:
            found = load(path)
        except HoldfastError:
            continue
        # Only what means nothing may change unseen: a date in a zip, the padding before a member.
        assert ending == ".npz", place
        assert (found["a"].tolist(), found["b"].dtype) == ([[0, 1, 2], [3, 4, 5]], torch.bfloat16), place


def test_a_damaged_value_is_named(tmp_path: Path) -> None:
    for make in (npz, packed_npz, pt):
        data = bytearray(make(tmp_path))
        at = (
            data.index(np.arange(6, dtype=np.float32).tobytes())
            if make is not packed_npz
            else data.index(b"PK\1\2") - 3
        )
        data[at] ^= 1
        with pytest.raises(HoldfastError, match=r"a\.weight|a\.bias|data/0"):
            verify(put(tmp_path, bytes(data)))


def test_a_file_that_another_program_wrote_anew_with_our_notes(tmp_path: Path) -> None:
    """It is not ours any more: neither its checksums nor its names are taken from the notes."""
    from safetensors.torch import load_file, save_file

    from holdfast import save
    from holdfast.safetensors import safe_open

    path = tmp_path / "m.safetensors"
    save(path, a=torch.ones(3), b=torch.zeros(2))
    with safe_open(path, framework="pt") as opened:
        assert (opened.metadata() or {}).keys() == {"format"}
    from safetensors import safe_open as theirs

    with theirs(str(path), framework="pt") as opened:
        metadata = opened.metadata()
    save_file({name: value + 1 for name, value in load_file(path).items()}, path, metadata)
    with pytest.raises(ChecksumError, match="another program"):
        load(path)
    assert load(path, verify=False)["a"].tolist() == [2, 2, 2]
    assert STALE.endswith("takes it as it is")


# -- safetensors ------------------------------------------------------------------------------------------------------


def framed(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def part(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


REFUSED: dict[str, bytes] = {
    # what safetensors' own tests say must be refused, made anew
    "header larger than it may be": framed({}, length=100_000_001),
    "header longer than the file": framed({}, length=60),
    "header that is no UTF-8": framed(b"{\xff}"),
    "header that is no JSON": framed(b"{"),
    "header that is a list": framed(b"[]"),
    "buffer longer than the tensors": framed({"a": part("U8", [1], 0, 1)}, b"xyz"),
    "buffer shorter than the tensors": framed({"a": part("U8", [4], 0, 4)}, b"xyz"),
    "offsets that do not fit the shape": framed({"a": part("I32", [2, 2], 0, 4)}, bytes(4)),
    "a hole between tensors": framed({"a": part("U8", [1], 0, 1), "b": part("U8", [1], 2, 3)}, b"xyz"),
    "a hole before the first": framed({"a": part("U8", [1], 1, 2)}, b"xy"),
    "tensors on each other": framed({"a": part("U8", [2], 0, 2), "b": part("U8", [2], 1, 3)}, b"xyz"),
    "many names for one tensor": framed({f"t{i}": part("F32", [2, 2], 0, 16) for i in range(10)}, bytes(16)),
    "a shape that wraps": framed({"a": part("I32", [2**63, 2**63], 0, 0)}),
    "a size that wraps": framed({"a": part("I64", [2**62], 0, 0)}),
    "an end before the start": framed({"a": part("U8", [1], 1, 0)}, b"x"),
    "a negative length": framed({"a": part("U8", [-1], 0, 0)}),
    "an unknown dtype": framed({"a": part("Q4", [1], 0, 1)}, b"x"),
    "metadata that is no text": framed({"__metadata__": {"a": 1}}),
    "a packed dtype that ends within a byte": framed({"a": part("F4", [1, 3], 0, 2)}, b"xx"),
    # and what Holdfast cannot take over
    "a dtype that nobody has": framed({"a": part("F6_E2M3", [4], 0, 3)}, b"xyz"),
    "the name that a file needs": framed({"_backrefs": part("U8", [1], 0, 1)}, b"x"),
    "more than NumPy can have": framed({"a": part("F32", [0, 2**60, 2**3], 0, 0)}),
    "notes that are no JSON": b"",
}


def sealed(notes: Any) -> bytes:
    """A file with notes that nobody wrote, under a right seal."""
    from holdfast.formats.foreign.seals import text_of
    from holdfast.formats.safetensors import SEAL
    from holdfast.wire.checksum import checksum

    text = notes if isinstance(notes, str) else json.dumps(notes)
    header = {"__metadata__": {"holdfast": text + SEAL}, "a": part("U8", [1], 0, 1)}
    raw = json.dumps(header).encode()
    raw = raw.replace(SEAL.encode(), text_of(checksum(memoryview(raw))).encode(), 1)
    return framed(raw, b"x")


SUM = "0" * 15 + "1"
NOTES: dict[str, Any] = {
    "notes that are no JSON": "{",
    "notes that are a list": [],
    "notes of other names": {"b": {"xxh3": SUM}},
    "a checksum that is none": {"a": {"xxh3": "no"}},
    "no checksum": {"a": {}},
    "a class that is none of ours": {"a": {"xxh3": SUM, "python": "os.system"}},
    "keys that are no list": {"a": {"xxh3": SUM, "keys": "ab"}},
    "keys that are no texts": {"a": {"xxh3": SUM, "keys": [1]}},
    "no keys": {"a": {"xxh3": SUM, "keys": []}},
    "keys without an end": {"a": {"xxh3": SUM, "keys": ["a"] * 1000}},
    "the name that a file needs": {"a": {"xxh3": SUM, "keys": ["_backrefs"]}},
    "aliases that are no list": {"a": {"xxh3": SUM, "aliases": 1}},
    "an alias without keys that stand alone": {"a": {"xxh3": SUM, "aliases": [{"keys": ["a"]}]}},
    "an alias in an array": {"a": {"xxh3": SUM, "aliases": [{"keys": ["a", "b"]}]}},
    "an alias that says half": {"a": {"xxh3": SUM, "aliases": [{"keys": ["b"], "offset": 0}]}},
}


@pytest.mark.parametrize("case", [case for case in REFUSED if REFUSED[case]])
def test_what_safetensors_refuses(case: str, tmp_path: Path) -> None:
    path = put(tmp_path, REFUSED[case], "hostile.safetensors")
    for look in (load, inspect, verify):
        with pytest.raises(FormatError) as error:
            look(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize("case", NOTES)
def test_notes_that_holdfast_does_not_write(case: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        load(put(tmp_path, sealed(NOTES[case]), "hostile.safetensors"), verify=False)


def test_an_alias_outside_of_its_memory(tmp_path: Path) -> None:
    view = {"keys": ["b"], "python": "torch.Tensor", "offset": 0, "size": [10], "strides": [1], "dtype": "uint8"}
    path = put(tmp_path, sealed({"a": {"python": "torch.Tensor", "xxh3": SUM, "aliases": [view]}}))
    with pytest.raises(FormatError, match="outside"):
        load(path, verify=False)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ({}, b""),
        ({"a": part("F32", [0, 3], 0, 0)}, b""),
        ({"a": part("F64", [1], 0, 8), "b": part("BOOL", [1], 8, 9), "c": part("F32", [1], 9, 13)}, bytes(13)),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ', b"x"),
    ],
    ids=["no tensor", "no element", "not aligned", "spaces"],
)
def test_what_is_odd_and_right(header: Any, body: bytes, tmp_path: Path) -> None:
    load(put(tmp_path, framed(header, body)))


def test_a_bool_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="neither 0 nor 1"):
        load(put(tmp_path, framed({"a": part("BOOL", [1], 0, 1)}, b"\7")))


# -- NumPy ------------------------------------------------------------------------------------------------------------


class Calls:
    """A pickle of this makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def object_npy(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Calls(folder / "ran")]), allow_pickle=True)
    return stream.getvalue()


def test_arrays_of_objects_are_never_loaded(tmp_path: Path) -> None:
    data = object_npy(tmp_path)
    for path in (put(tmp_path, data, "a.npy"), put(tmp_path, zipped(("a.npy", data)), "a.npz")):
        for look in (load, inspect, verify):
            with pytest.raises(FormatError, match="pickle"):
                look(path)
    assert not (tmp_path / "ran").exists()


def header_npy(text: str, body: bytes = b"") -> bytes:
    raw = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(raw)) + raw + body


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 18446744073709551616), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 'abc', }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<nothing', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|V2000000000', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'shape': (1,), }",
        "{'descr': ((((((((((",
        "__import__('os').mkdir('ran')",
        "[" * 100,
    ],
)
def test_headers_that_lie(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = header_npy(text, bytes(8))
    for path in (put(tmp_path, data, "a.npy"), put(tmp_path, zipped(("a.npy", data)), "a.npz")):
        with pytest.raises(FormatError):
            load(path)
    assert not (tmp_path / "ran").exists()


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand times its size in zeros: refused by what the directory says, before anything is inflated."""
    monkeypatch.setattr(archive, "FREE", 1 << 24)
    total = 1 << 28
    head = header_npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({total},), }}")
    packer, crc = zlib.compressobj(9, wbits=-zlib.MAX_WBITS), zlib.crc32(head)
    packed, zeros = packer.compress(head), bytes(1 << 24)
    for _ in range(total >> 24):
        packed += packer.compress(zeros)
        crc = zlib.crc32(zeros, crc)
    packed += packer.flush()
    size = len(head) + total
    path = put(tmp_path, archive_of(b"a.npy", packed, crc, len(packed), size), "bomb.npz")
    with pytest.raises(LimitError, match="more than weights ever do"):
        load(path)
    # One that says less than it holds is inflated to what it says, and not one byte further.
    for told in (1 << 20, (1 << 20) + len(head)):
        path = put(tmp_path, archive_of(b"a.npy", packed, crc, len(packed), told), "bomb.npz")
        with pytest.raises(FormatError):
            load(path)


def archive_of(name: bytes, data: bytes, crc: int, taken: int, size: int, method: int = 8) -> bytes:
    """A zip archive of one member that says what it is told to say."""
    common = struct.pack("<5H3L2H", 20, 0, method, 0, 33, crc, taken, size, len(name), 0)
    local = b"PK\3\4" + common + name + data
    entry = b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<3H2L", 0, 0, 0, 0, 0) + name
    return local + entry + b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, len(entry), len(local), 0)


def test_sizes_that_lie(tmp_path: Path) -> None:
    data = npy(tmp_path)
    crc = zlib.crc32(data)
    right = archive_of(b"a.npy", data, crc, len(data), len(data), method=0)
    assert load(put(tmp_path, right, "a.npz"))["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    for taken, size in ((len(data) + 1, len(data) + 1), (len(data), len(data) + 1), (len(data), 1 << 31)):
        with pytest.raises(FormatError):
            load(put(tmp_path, archive_of(b"a.npy", data, crc, taken, size, method=0), "a.npz"))
    for place, what in ((right.index(b"PK\1\2") + 16, "crc"), (right.index(b"PK\1\2") + 20, "taken")):
        lie = bytearray(right)
        lie[place] ^= 1
        with pytest.raises(FormatError):
            load(put(tmp_path, bytes(lie), "a.npz"))
        assert what
    other = right.replace(b"PK\3\4" + right[4:30] + b"a.npy", b"PK\3\4" + right[4:30] + b"b.npy")
    with pytest.raises(FormatError, match="one thing in front"):
        load(put(tmp_path, other, "a.npz"))


def test_names_that_stand_twice(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("a.npy", npy(tmp_path))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.npy", npy(tmp_path))
    with pytest.raises(FormatError, match="twice"):
        load(put(tmp_path, stream.getvalue(), "a.npz"))


def test_members_on_each_other(tmp_path: Path) -> None:
    """Two entries of the directory for one place in the file: a small bomb of many names."""
    data = npy(tmp_path)
    one = archive_of(b"a.npy", data, zlib.crc32(data), len(data), len(data), method=0)
    start = one.index(b"PK\1\2")
    entry = one[start : one.index(b"PK\5\6")]
    both = entry + entry.replace(b"a.npy", b"b.npy")
    end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 2, 2, len(both), start, 0)
    with pytest.raises(FormatError, match="behind the one before"):
        load(put(tmp_path, one[:start] + both + end, "a.npz"))


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    with pytest.raises(LimitError, match="members"):
        load(put(tmp_path, zipped(*((f"{i}.npy", npy(tmp_path)) for i in range(3)))))


def test_what_is_no_array_in_an_npz(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"'readme\.txt'"):
        load(put(tmp_path, zipped(("a.npy", npy(tmp_path)), ("readme.txt", b"hello"))))
    with pytest.raises(FormatError, match="encrypted, or compressed"):
        load(put(tmp_path, zipped(("a.npy", npy(tmp_path)), method=zipfile.ZIP_BZIP2)))


def test_compressed_arrays_are_inflated_when_they_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.formats import npz as module

    inflated: list[str] = []
    real = module.inflate

    def counted(data: Any, member: Any, into: memoryview, skip: int) -> int:
        inflated.append(member.name)
        return real(data, member, into, skip)

    monkeypatch.setattr(module, "inflate", counted)
    path = put(tmp_path, packed_npz(tmp_path))
    assert inspect(path).find("a.weight").shape == (2, 3)
    assert inflated == []
    assert load(path, "a.bias").tolist() == [1, 2]
    assert inflated == ["a.bias.npy"]


# -- PyTorch ----------------------------------------------------------------------------------------------------------


def repacked(data: bytes, change: Callable[[str, bytes], bytes | None], method: int = zipfile.ZIP_STORED) -> bytes:
    """The zip ``data`` with its members changed, or left out."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [(name, change(name, file.read(name))) for name in file.namelist()]
    return zipped(*((name, content) for name, content in members if content is not None), method=method)


def test_a_pickle_that_calls_is_not_run(tmp_path: Path) -> None:
    torch.save({"a": Calls(tmp_path / "ran")}, tmp_path / "evil.pt")
    torch.save({"a": Calls(tmp_path / "ran")}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    bare = put(tmp_path, pickle.dumps(Calls(tmp_path / "ran")), "bare.pt")
    for path in (tmp_path / "evil.pt", tmp_path / "old.pt", bare):
        for look in (load, inspect, verify):
            with pytest.raises(FormatError) as error:
                look(path)
            assert "weights_only=False" not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_what_a_pickle_names_is_said(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pt")
    with pytest.raises(FormatError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        load(tmp_path / "whole.pt")


def test_there_is_no_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pt")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(FormatError):
        load(tmp_path / "whole.pt")


def test_torchscript_is_a_program(tmp_path: Path) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "script.pt")
    with pytest.raises(FormatError, match=r"torch\.jit\.load\(path\)\.state_dict\(\)"):
        load(tmp_path / "script.pt")


def test_archives_that_torch_does_not_write(tmp_path: Path) -> None:
    data = pt(tmp_path)
    with pytest.raises(FormatError, match="compressed"):
        load(put(tmp_path, repacked(data, lambda name, content: content, zipfile.ZIP_DEFLATED)))
    with pytest.raises(FormatError):
        load(put(tmp_path, repacked(data, lambda name, content: None if name.endswith("data/0") else content)))
    with pytest.raises(FormatError):
        load(put(tmp_path, repacked(data, lambda name, content: content[:-4] if "data/" in name else content)))
    with pytest.raises(FormatError, match="laid out"):
        load(put(tmp_path, zipped(("a/data.pkl", b"\x80\x02}."), ("b/version", b"3"))))


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02}",
        b".",
        b"\x80\x02cos\nsystem\nX\4\0\0\0true\x85R.",
        b"\x80\x04\x95" + bytes(8),
        b"\xff" * 20,
    ],
)
def test_pickles_that_are_none(program: bytes, tmp_path: Path) -> None:
    data = repacked(pt(tmp_path), lambda name, content: program if name.endswith("data.pkl") else content)
    with pytest.raises(FormatError):
        load(put(tmp_path, data))


def test_a_pickle_that_asks_for_memory(tmp_path: Path) -> None:
    """``bytearray(10**15)`` is among what torch itself calls."""
    program = b"\x80\x02cbuiltins\nbytearray\n\x8a\x07" + (10**15).to_bytes(7, "little") + b"\x85R."
    data = repacked(pt(tmp_path), lambda name, content: program if name.endswith("data.pkl") else content)
    with pytest.raises(FormatError):
        load(put(tmp_path, data))


def test_the_checksums_of_a_zip_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of torch.save has a CRC-32 for each storage, which is compared; it is none "without checksums"."""
    from holdfast.cli import main

    path = put(tmp_path, pt(tmp_path), "m.pt")
    for command, words in (("verify", "ok, 2 arrays"), ("show", ", with checksums")):
        with pytest.raises(SystemExit):
            main([command, str(path)])
        assert words in capsys.readouterr().out


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    """torch can be told to leave the CRC-32 out."""
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(2)}, tmp_path / "m.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert load(tmp_path / "m.pt", "a").tolist() == [1, 1]
    verify(tmp_path / "m.pt")
