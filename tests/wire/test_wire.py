"""Bytes and documents: one table of cases drives reader and planner; each case is also cut short and extended."""

import mmap
import struct
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import FormatError, HoldfastError, LimitError, UnsupportedError
from holdfast.wire import values
from holdfast.wire.checksum import checksum, frame_checksum, seal
from holdfast.wire.plan import ALIGNMENT, LARGE, PAGE, TRAILER, plan_document
from holdfast.wire.read import is_sealed, read_document, trailer_checksum
from holdfast.wire.values import Blob, Int32, Opaque, RawText, same_value


def unsealed(document: dict[str, Any]) -> bytes:
    return b"".join(plan_document(document, trailer=False).buffers())


def sealed(document: dict[str, Any]) -> bytes:
    plan = plan_document(document)
    seal(plan)
    return b"".join(plan.buffers())


def blob(data: bytes, **keys: Any) -> Blob:
    return Blob(memoryview(data), **keys)


CASES: list[tuple[dict[str, Any], bytes]] = [  # by hand, from bsonspec.org
    ({}, b"\x05\0\0\0\0"),
    ({"a": 1}, b"\x10\0\0\0\x12a\0\1\0\0\0\0\0\0\0\0"),
    ({"a": Int32(-2)}, b"\x0c\0\0\0\x10a\0\xfe\xff\xff\xff\0"),
    ({"x": 1.5}, b"\x10\0\0\0\x01x\0\0\0\0\0\0\0\xf8\x3f\0"),
    ({"t": True, "f": False, "n": None}, b"\x10\0\0\0\x08t\0\1\x08f\0\0\x0an\0\0"),
    ({"s": "hé"}, b"\x10\0\0\0\x02s\0\4\0\0\0h\xc3\xa9\0\0"),
    ({"b": blob(b"\7\1")}, b"\x0f\0\0\0\x05b\0\2\0\0\0\0\7\1\0"),
    ({"d": {"a": None}}, b"\x10\0\0\0\x03d\0\x08\0\0\0\x0aa\0\0\0"),
    ({"l": [None, True]}, b"\x14\0\0\0\x04l\0\x0c\0\0\0\x0a0\0\x081\0\1\0\0"),
    ({"o": Opaque(0x11, b"12345678")}, b"\x10\0\0\0\x11o\x0012345678\0"),
    ({"r": Opaque(0x0B, b"a+b\0i\0")}, b"\x0e\0\0\0\x0br\0a+b\0i\0\0"),
    ({"w": RawText("\udcff")}, b"\x0e\0\0\0\x02w\0\2\0\0\0\xff\0\0"),
]


@pytest.mark.parametrize(("document", "data"), CASES)
def test_read_and_plan(document: dict[str, Any], data: bytes) -> None:
    assert unsealed(document) == data
    assert same_value(read_document(data).document, document)
    for cut in range(len(data)):
        with pytest.raises(FormatError):
            read_document(data[:cut])
    with pytest.raises(FormatError, match="follow the end"):
        read_document(data + b"\0")
    whole = read_document(sealed(document))
    assert whole.sealed
    assert same_value(whole.document, document)


@pytest.mark.parametrize("before", [{}, {"_holdfast": None}, {"_holdfast": {"version": Int32(1), "xxh3": 0}}])
def test_bytes_of_a_value_that_look_like_the_trailer(before: dict[str, Any]) -> None:
    """They stand where the trailer does, but are the end of what is in a value."""
    data = unsealed({**before, "x": blob(TRAILER[:-1])})
    assert data.endswith(TRAILER)
    with pytest.raises(FormatError, match="part of another value"):
        read_document(data)


REFUSED: list[tuple[str, bytes, type[HoldfastError], str]] = [
    ("empty", b"", FormatError, "too few"),
    ("length 0", b"\0\0\0\0\0", FormatError, "document of 0"),
    ("negative length", b"\xff\xff\xff\xff\0", FormatError, "document of"),
    ("length beyond the file", b"\xff\xff\xff\x7f\0", FormatError, "document of"),
    ("length too short", b"\x06\0\0\0\x0aa\0\0", FormatError, "has 6 bytes"),
    ("inner length too long", b"\x10\0\0\0\x03d\0\x09\0\0\0\x0aa\0\0\0", FormatError, "9 bytes"),
    ("inner length too short", b"\x10\0\0\0\x03d\0\x07\0\0\0\x0aa\0\0\0", FormatError, "7 bytes"),
    ("no end", b"\x08\0\0\0\x0aa\0\x0a", FormatError, "no end"),
    ("text length 0", b"\x0d\0\0\0\x02s\0\0\0\0\0\0\0", FormatError, "text of 0"),
    ("text length negative", b"\x0d\0\0\0\x02s\0\xff\xff\xff\xff\0\0", FormatError, "text of -1"),
    ("text beyond the file", b"\x0d\0\0\0\x02s\0\x09\0\0\0\0\0", FormatError, "text of 9"),
    ("text without end", b"\x0e\0\0\0\x02s\0\2\0\0\0hx\0", FormatError, "no end"),
    ("name not UTF-8", b"\x08\0\0\0\x0a\xff\0\0", FormatError, "UTF-8"),
    ("name without end", b"\x08\0\0\0\x0aabc", FormatError, "no end"),
    ("name twice", b"\x0b\0\0\0\x0aa\0\x0aa\0\0", FormatError, "twice"),
    ("unknown type", b"\x08\0\0\0\x77a\0\0", FormatError, "0x77"),
    ("boolean 2", b"\x09\0\0\0\x08a\0\2\0", FormatError, "boolean"),
    ("negative binary", b"\x0d\0\0\0\x05b\0\xff\xff\xff\xff\0\0", FormatError, "binary of -1"),
    ("binary beyond the file", b"\x0d\0\0\0\x05b\0\x09\0\0\0\0\0", FormatError, "binary of 9"),
]


@pytest.mark.parametrize(("data", "error", "text"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(data: bytes, error: type[HoldfastError], text: str) -> None:
    with pytest.raises(error, match=text):
        read_document(data)


def test_long_name_and_depth_are_limits() -> None:
    with pytest.raises(LimitError, match="name"):
        read_document(struct.pack("<I", 200_007) + b"\x0a" + b"k" * 200_000 + b"\0\0")
    deep = b""
    for _ in range(values.MAX_DEPTH + 1):
        deep = struct.pack("<I", len(deep) + 8) + b"\x03d\0" + (deep or b"\5\0\0\0\0") + b"\0"
        deep = struct.pack("<I", len(deep)) + deep[4:]
    with pytest.raises(LimitError, match="nest"):
        read_document(deep)
    nested: dict[str, Any] = {}
    for _ in range(values.MAX_DEPTH + 1):
        nested = {"d": nested}
    with pytest.raises(LimitError, match="nest"):
        plan_document(nested)


def test_plan_refuses_what_bson_cannot_hold() -> None:
    with pytest.raises(UnsupportedError, match="NUL"):
        plan_document({"a\0b": 1})
    with pytest.raises(UnsupportedError, match="not a BSON value"):
        plan_document({"a": object()})
    with pytest.raises(LimitError):
        plan_document({"k" * (values.MAX_KEY + 1): 1})


class Huge:
    """Stands for a buffer of any size without having it."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def test_lengths_beyond_2_gib() -> None:
    """Lengths wrap modulo 2**32 and the offsets do not; a single binary beyond int32 is refused."""
    size = 2**31 - 4096
    big = [Blob(Huge(size), sealed=True) for _ in range(3)]  # type: ignore[arg-type]
    plan = plan_document({"a": {"tag": "array", "data": big[0]}, "b": [{"data": big[1]}, {"data": big[2]}]})
    assert plan.size > 3 * size
    assert struct.unpack_from("<I", plan.frame)[0] == plan.size & 0xFFFFFFFF
    with pytest.raises(LimitError):
        plan_document({"a": Blob(Huge(2**31), sealed=True)})  # type: ignore[arg-type]


def test_sealed_blobs_are_aligned_views_with_checksums() -> None:
    small, large = bytes(range(100)), bytes(LARGE + 5)
    data = sealed({"x": {"n": 1, "data": blob(small, sealed=True)}, "y": {"data": blob(large, sealed=True)}})
    reading = read_document(data)
    first, second = reading.blobs
    assert reading.document["x"] == {"n": 1, "data": first}, "checksum and padding are the wire's own business"
    assert (first.offset or 0) % ALIGNMENT == 0
    assert (second.offset or 0) % PAGE == 0
    assert bytes(first.data) == small
    assert bytes(second.data) == large
    assert first.data.obj is data, "a view, not a copy"
    assert first.checksum == checksum(memoryview(small))
    assert frame_checksum(memoryview(data), reading.blobs) == trailer_checksum(data)


def test_sealed_file_is_strict_bson_for_others() -> None:
    data = sealed({"x": {"data": blob(b"abc", sealed=True)}, "l": [1, Int32(2), "s", 2.5, None, True]})
    document = bson.decode(data)
    assert document["x"]["data"] == b"abc"
    assert document["l"] == [1, 2, "s", 2.5, None, True]
    assert document["_holdfast"]["version"] == 1


def test_every_flipped_bit_is_seen() -> None:
    original = sealed({"x": {"data": blob(b"abcdefgh", sealed=True)}, "s": "text", "d": {"n": None, "f": 0.0}, "e": {}})
    for position in range(len(original)):
        for bit in range(8):
            data = bytearray(original)
            data[position] ^= 1 << bit
            assert damaged(bytes(data)), f"bit {bit} of byte {position}"


def damaged(data: bytes) -> bool:
    try:
        reading = read_document(data)
    except FormatError:
        return True
    assert reading.sealed, "a damaged file was taken for one without checksums"
    frame = frame_checksum(memoryview(data), reading.blobs) != trailer_checksum(data)
    return frame or any(one.checksum != checksum(one.data) for one in reading.blobs)


def test_trailer_removed_is_seen() -> None:
    data = sealed({"x": {"data": blob(b"abc", sealed=True)}})
    shorn = data[: -len(TRAILER)] + b"\0"
    with pytest.raises(FormatError, match="checksum"):
        read_document(struct.pack("<I", len(shorn)) + shorn[4:])


def test_newer_version_says_so() -> None:
    data = bytearray(sealed({"a": 1}))
    data[data.rindex(b"version\0") + 8] = 9
    with pytest.raises(FormatError, match="version 9"):
        is_sealed(bytes(data))


def test_reads_from_a_map() -> None:
    data = sealed({"x": {"data": blob(b"abc" * 1000, sealed=True)}})
    with mmap.mmap(-1, len(data)) as mapped:
        mapped[:] = data
        reading = read_document(mapped)
        assert bytes(reading.blobs[0].data) == b"abc" * 1000
        for one in reading.blobs:
            one.data.release()
        del reading


scalars = (
    st.none()
    | st.booleans()
    | st.integers(values.INT64_MIN, values.INT64_MAX)
    | st.integers(-(2**31), 2**31 - 1).map(Int32)
    | st.floats()
    | st.text()
    | st.binary().map(blob)
    | st.binary(min_size=8, max_size=8).map(lambda data: Opaque(0x09, data))
)
keys = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
documents = st.dictionaries(
    keys, st.recursive(scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5))
)


@given(documents)
def test_round_trip(document: dict[str, Any]) -> None:
    data = unsealed(document)
    assert same_value(read_document(data).document, document)
    assert list(read_document(data).document) == list(document)
    assert unsealed(read_document(data).document) == data


@given(documents)
def test_agrees_with_pymongo(document: dict[str, Any]) -> None:
    options = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
    theirs = bson.decode(unsealed(document), options)
    assert list(theirs) == list(document)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_a_format_error(data: bytes) -> None:
    try:
        read_document(data)
    except FormatError:
        return


@given(documents, st.data())
def test_mutated_bytes_give_a_document_or_a_format_error(document: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(unsealed(document))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_document(bytes(raw))
    except FormatError:
        return
