"""Damaged and hostile JLD2 files: our own error, soon, and in little memory."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from holdfast import inspect, load
from holdfast.errors import ChecksumError, FormatError, HoldfastError, LimitError
from jld2_files import (
    BASE,
    FLOAT32,
    HEAP_TEXT,
    INT64,
    NULL,
    REFERENCE,
    SCALAR,
    UNDEFINED,
    JldFile,
    attribute,
    compound,
    external_link,
    layout,
    link,
    message,
    simple,
    soft_link,
)
from reference import CORPUS, VECTORS, needs_corpus

SAMPLES = [VECTORS / "jld2" / name for name in ("values.jld2", "models.jld2", "alone.jld2")]
MEMORY = 200 << 20
"""Bytes that no small file may make us take."""


def opens(path: Path) -> None:
    """Loads all of a file, or fails with an error of ours that names it."""
    tracemalloc.start()
    raised: Exception | None = None
    try:
        inspect(path)
        load(path)
    except HoldfastError as error:
        raised = error
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < MEMORY
    assert raised is None or path.name in str(raised) or not isinstance(raised, FormatError | ChecksumError)


def test_cut_at_many_places(tmp_path: Path) -> None:
    raw = SAMPLES[2].read_bytes()
    for end in [*range(700), *range(700, len(raw), 61)]:
        path = tmp_path / "cut.jld2"
        path.write_bytes(raw[:end])
        with pytest.raises((FormatError, ChecksumError)):
            load(path)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_flipped_bit(tmp_path: Path, sample: Path) -> None:
    raw = sample.read_bytes()
    random = np.random.default_rng(7)
    path = tmp_path / "flipped.jld2"
    for _ in range(60):
        damaged = bytearray(raw)
        for _ in range(int(random.integers(1, 4))):
            damaged[int(random.integers(BASE, len(raw)))] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        opens(path)


def test_every_flipped_bit_of_a_header_is_seen(tmp_path: Path) -> None:
    file = JldFile()
    at = file.integer(5)
    path = file.save(tmp_path / "f.jld2", n=at)
    raw = path.read_bytes()
    start = BASE + at
    end = raw.index(struct.pack("<q", 5), start) + 12  # the value and the checksum
    for place in range(start, end):
        for bit in range(8):
            damaged = bytearray(raw)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises((ChecksumError, FormatError)):
                load(path, "n")


@needs_corpus
@pytest.mark.parametrize("place", range(3))
def test_public_models_with_flipped_bits(tmp_path: Path, place: int) -> None:
    sample = sorted((CORPUS / "jld2").glob("*.jld2"), key=lambda path: path.stat().st_size)[place]
    raw, random, path = sample.read_bytes(), np.random.default_rng(place), tmp_path / "flipped.jld2"
    for _ in range(40):
        damaged = bytearray(raw)
        damaged[int(random.integers(BASE, len(raw)))] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        opens(path)


# -- hand-made ----------------------------------------------------------------------------------------------------------


def outside(file: JldFile) -> int:
    return 1 << 40


def beyond_an_array(file: JldFile) -> int:
    place = message(8, struct.pack("<BBQQ", 4, 1, 1 << 40, 8))
    return file.header(message(1, simple(1)), message(3, INT64), place)


def external_storage(file: JldFile) -> int:
    files = message(7, struct.pack("<B3xHHQ", 1, 1, 1, 0) + bytes(24))
    return file.header(message(1, simple(1)), message(3, INT64), files, layout(bytes(8)))


def virtual(file: JldFile) -> int:
    return file.header(message(1, simple(1)), message(3, INT64), message(8, struct.pack("<BBQI", 4, 3, 48, 0)))


def soft(file: JldFile) -> int:
    return file.header(message(2, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED)), soft_link("a", "/b"))


def external(file: JldFile) -> int:
    return file.header(
        message(2, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED)), external_link("a", "/etc/passwd", "/")
    )


def dense_group(file: JldFile) -> int:
    return file.header(message(2, struct.pack("<BBQQ", 0, 0, 48, 48)))


def two_of_one_name(file: JldFile) -> int:
    return file.header(link("a", 48), link("a", 48))


def huge_shape(file: JldFile) -> int:
    return file.value(bytes(8), INT64, space=simple(1 << 40, 1 << 40))


def huge_and_empty(file: JldFile) -> int:
    return file.header(
        message(1, simple(1 << 40)), message(3, INT64), message(8, struct.pack("<BBQQ", 4, 1, UNDEFINED, 0))
    )


def many_axes(file: JldFile) -> int:
    return file.value(bytes(8), INT64, space=simple(*[1] * 60))


def deflate(file: JldFile, raw: bytes, size: int) -> int:
    place = file.add(raw)
    steps = struct.pack("<BBHHHI", 2, 1, 1, 0, 1, 5)
    chunk = struct.pack("<BBBBBQQBQIQ", 4, 2, 2, 2, 8, size // 4, 4, 1, len(raw), 0, place)
    return file.header(message(1, simple(size // 4)), message(3, FLOAT32), message(11, steps), message(8, chunk))


def bomb(file: JldFile) -> int:
    """A gigabyte of zeros, as it says."""
    return deflate(file, zlib.compress(bytes(1 << 20), 9), 1 << 30)


def liar(file: JldFile) -> int:
    """Eight bytes that unpack to many millions."""
    return deflate(file, zlib.compress(bytes(400 << 20), 1), 8)


def no_deflate(file: JldFile) -> int:
    return deflate(file, b"not deflate at all", 8)


def unknown_filter(file: JldFile) -> int:
    steps = struct.pack("<BBHHHH", 2, 1, 32001, 0, 0, 0)
    chunk = struct.pack("<BBBBBQQBQIQ", 4, 2, 2, 2, 8, 2, 4, 1, 8, 0, 48)
    return file.header(message(1, simple(2)), message(3, FLOAT32), message(11, steps), message(8, chunk))


def deep_datatype(file: JldFile) -> int:
    inner, size = INT64, 8
    for _ in range(200):
        inner = compound(("a", inner, size))
    return file.value(bytes(8), inner)


def type_in_itself(file: JldFile) -> int:
    """A struct whose one field is of the struct's own type."""
    at = len(file.body) + 48
    for _ in range(3):  # the heaps before it move it: the third time it knows where it will stand
        trial = JldFile()
        at = trial.struct_type("Main.Loop", compound(("a", INT64, 8)), fields=[("a", at)])
    assert file.struct_type("Main.Loop", compound(("a", INT64, 8)), fields=[("a", at)]) == at
    return file.value(bytes(8), committed=at)


def reference_to_a_reference(file: JldFile) -> int:
    return file.value(struct.pack("<Q", file.integer(1)), REFERENCE)


def heap_elsewhere(file: JldFile) -> int:
    return file.value(struct.pack("<IQI", 3, 1 << 30, 1), HEAP_TEXT)


def heap_entry_missing(file: JldFile) -> int:
    raw = bytearray(file.text_id("abc"))
    raw[12] = 9
    return file.value(bytes(raw), HEAP_TEXT)


def continued_in_itself(file: JldFile) -> int:
    at = len(file.body) + 48
    body = message(16, struct.pack("<QQ", at + 40, 28))
    first = file.header(body)
    assert first == at
    file.body = file.body.ljust(at + 40 - 48, b"\0")
    raw = b"OCHK" + message(16, struct.pack("<QQ", at + 40, 28))
    from holdfast.formats.jld2.lookup3 import lookup3

    file.add(raw + struct.pack("<I", lookup3(raw)))
    return first


def too_many_in_a_tuple(file: JldFile) -> int:
    kind = file.struct_type("NTuple", compound(("1", INT64, 8)), [file.integer(1 << 40), file.type_value("Core.Int64")])
    return file.value(bytes(8), committed=kind)


def big_endian(file: JldFile) -> int:
    return file.value(bytes(8), struct.pack("<B3BIHH", 0x30, 9, 0, 0, 8, 0, 64))


def a_type_as_type(file: JldFile) -> int:
    return file.value(bytes(8), committed=file.integer(1))


def bad_bool(file: JldFile) -> int:
    return file.value(b"\7", struct.pack("<B3xIHH", 0x34, 1, 0, 8))


REFUSED: list[Callable[[JldFile], int]] = [
    *(outside, beyond_an_array, external_storage, virtual, soft, external, dense_group, two_of_one_name, huge_shape),
    *(huge_and_empty, many_axes, bomb, liar, no_deflate, unknown_filter, deep_datatype, type_in_itself),
    *(
        reference_to_a_reference,
        heap_elsewhere,
        heap_entry_missing,
        continued_in_itself,
        too_many_in_a_tuple,
        big_endian,
    ),
    *(a_type_as_type, bad_bool),
]


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_refused(tmp_path: Path, make: Callable[[JldFile], int]) -> None:
    file = JldFile()
    path = file.save(tmp_path / "bad.jld2", value=make(file), good=file.integer(3))
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"bad\.jld2: value: "):
        load(path, "value")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MEMORY
    assert load(path, "good") == 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (external_storage, "another file"),
        (virtual, "virtual"),
        (soft, "soft link"),
        (external, "link to another file"),
        (bomb, "is said to be unpacked from"),
        (huge_and_empty, "bytes has 0 in the file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_error_says_what(tmp_path: Path, make: Callable[[JldFile], int], words: str) -> None:
    file = JldFile()
    with pytest.raises(FormatError, match=words):
        load(file.save(tmp_path / "bad.jld2", value=make(file)))


def test_a_group_in_itself_ends(tmp_path: Path) -> None:
    file = JldFile()
    at = len(file.body) + 48
    assert file.group(inner=at) == at
    value = load(file.save(tmp_path / "ring.jld2", ring=at), "ring")
    assert value["inner"] is value


def test_an_endless_list_of_structs_is_no_recursion(tmp_path: Path) -> None:
    file = JldFile()
    kind = file.struct_type("Main.Node", compound(("next", REFERENCE, 8)))
    at = file.value(struct.pack("<Q", 0), committed=kind)
    for _ in range(3000):
        at = file.value(struct.pack("<Q", at), committed=kind)
    node, length = load(file.save(tmp_path / "list.jld2", list=at), "list"), 0
    while len(node.data) and node["next"].name == "Main.Node":
        node, length = node["next"], length + 1
    assert length == 3000


def test_one_text_in_many_places_takes_the_room_of_one(tmp_path: Path) -> None:
    file = JldFile()
    raw = file.text_id("x" * 1_000_000)
    path = file.save(tmp_path / "texts.jld2", texts=file.value(raw * 4000, HEAP_TEXT, space=simple(4000)))
    tracemalloc.start()
    texts = load(path, "texts")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(texts) == 4000
    assert most < 50 << 20


def test_a_billion_nothings_take_no_room(tmp_path: Path) -> None:
    file = JldFile()
    size = attribute("dimensions", INT64, simple(1), struct.pack("<q", 1 << 40))
    nothing = file.singleton("Core.Nothing")
    value = load(file.save(tmp_path / "n.jld2", n=file.value(b"", committed=nothing, space=NULL, extra=size)), "n")
    assert len(value) == 1 << 40


def test_a_type_is_never_looked_up(tmp_path: Path) -> None:
    """A name from the file is a name: nothing is imported, called or found by it."""
    file = JldFile()
    kind = file.struct_type("os.system{rm}", compound(("a", INT64, 8)))
    value = load(file.save(tmp_path / "t.jld2", v=file.value(bytes(8), committed=kind)), "v")
    assert value.type.name == ("os", "system")
    assert value["a"] == 0


@pytest.mark.parametrize("name", ["_backrefs"])
def test_names_that_documents_need(tmp_path: Path, name: str) -> None:
    file = JldFile()
    with pytest.raises(FormatError, match="cannot be called"):
        load(file.save(tmp_path / "n.jld2", **{name: file.integer(1)}))


def test_dictionaries_that_look_like_tagged_values_are_dictionaries(tmp_path: Path) -> None:
    file = JldFile()
    group = file.group(tag=file.text("python"), type=file.text("torch.Tensor"), state=file.integer(1))
    value = load(file.save(tmp_path / "g.jld2", g=group), "g")
    assert value == {"tag": "python", "type": "torch.Tensor", "state": 1}


@pytest.mark.parametrize(("place", "words"), [(BASE + 8, "superblock"), (BASE + 44, "checksum"), (BASE, "signature")])
def test_the_superblock(tmp_path: Path, place: int, words: str) -> None:
    file = JldFile()
    path = file.save(tmp_path / "s.jld2", n=file.integer(1))
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0x40
    path.write_bytes(raw)
    with pytest.raises((FormatError, ChecksumError), match=words):
        load(path)


def test_the_text_of_a_scalar_is_not_an_array(tmp_path: Path) -> None:
    file = JldFile()
    assert (
        load(
            file.save(
                tmp_path / "t.jld2", t=file.value(b"abc", struct.pack("<B3BI", 0x33, 0x11, 0, 0, 3), space=SCALAR)
            ),
            "t",
        )
        == "abc"
    )


def test_arrays_that_grow_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them grows too far by itself; all of them do."""
    from holdfast.formats.foreign import filters

    file = JldFile()
    arrays = {f"a{number}": file.array(np.zeros(1 << 17), deflate=True) for number in range(30)}
    path = file.save(tmp_path / "many.jld2", **arrays)
    assert len(load(path)) == 30
    monkeypatch.setattr(filters, "FREE_TOGETHER", 1 << 23)
    assert path.stat().st_size * 100 < 30 << 20
    assert load(path, "a3").sum() == 0
    with pytest.raises(LimitError, match="the arrays of the file"):
        load(path)
