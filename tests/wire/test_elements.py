"""What is written many at a time has the bytes of BSON's grammar, spelled out here one element at a time."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import LimitError, UnsupportedError
from holdfast.wire.elements import INDICES, MANY, indices, names
from holdfast.wire.plan import AT_ONCE, plan_document
from holdfast.wire.read import read_document
from holdfast.wire.values import MAX_DEPTH, MAX_KEY, Int32, RawText

PLAIN = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "str": st.text(max_size=5),
    "bool": st.booleans(),
    "None": st.none(),
    "Int32": st.integers(-(2**31), 2**31 - 1).map(Int32),
    "RawText": st.binary(max_size=5).map(lambda raw: RawText(raw.decode("utf-8", "surrogateescape"))),
}
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)


def containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=MANY + 4) | st.dictionaries(NAMES, values, max_size=MANY + 4)


VALUES = st.recursive(
    st.one_of(*PLAIN.values(), *map(containers, PLAIN.values()), containers(st.one_of(*PLAIN.values()))),
    containers,
    max_leaves=8,
)


def spelled(value: Any) -> tuple[int, bytes]:
    """The type and the bytes of ``value``, as bsonspec.org has them."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else ((str(i), each) for i, each in enumerate(value))
        parts = [(name.encode(), *spelled(each)) for name, each in entries]
        body = b"".join(bytes([code]) + name + b"\0" + data for name, code, data in parts)
        return 3 if isinstance(value, dict) else 4, struct.pack("<i", len(body) + 5) + body + b"\0"
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogateescape" if isinstance(value, RawText) else "strict")
        return 2, struct.pack("<i", len(raw) + 1) + raw + b"\0"
    if value is None:
        return 10, b""
    if isinstance(value, bool):
        return 8, bytes([value])
    if isinstance(value, float):
        return 1, struct.pack("<d", value)
    return (16, struct.pack("<i", value)) if isinstance(value, Int32) else (18, struct.pack("<q", value))


@given(st.dictionaries(NAMES, VALUES, max_size=MANY + 4))
def test_every_document_is_spelled_as_bson_spells_it(document: dict[str, Any]) -> None:
    assert bytes(plan_document(document, trailer=False).frame) == spelled(document)[1]


@pytest.mark.parametrize("value", [7, 0.5, "x", True, None, Int32(3), RawText("\udcff")], ids=list(PLAIN))
@pytest.mark.parametrize("count", [MANY - 1, MANY, len(INDICES) + 1, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE + 1])
def test_many_of_one_kind(value: Any, count: int) -> None:
    document = {"list": [value] * count, "dict": {f"n{i}": value for i in range(count)}, "last": 1}
    data = bytes(plan_document(document, trailer=False).frame)
    assert data == spelled(document)[1]
    assert read_document(data).document == document


def test_names_of_an_array_never_end_too_soon() -> None:
    for count in (0, 1, len(INDICES), len(INDICES) + 1, 3 * len(INDICES)):
        assert [b"%d\0" % i for i in range(count)] == list(indices(count))[:count]


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("a\0b", UnsupportedError, "NUL"),
        ("n" * (MAX_KEY + 1), LimitError, "longer than"),
        ("\0", UnsupportedError, "NUL"),
    ],
)
def test_a_name_that_bson_cannot_have_is_refused(count: int, name: str, error: type[Exception], words: str) -> None:
    document = {f"n{i}": i for i in range(count - 1)} | {name: 1}
    with pytest.raises(error, match=words):
        list(names(document))
    with pytest.raises(error, match=words):
        plan_document(document)


@pytest.mark.parametrize("inner", [[1, 2], [1, "a"], [1] * MANY, {}], ids=str)
def test_how_deep_a_document_goes_does_not_depend_on_what_is_in_it(inner: Any) -> None:
    def nested(depth: int) -> dict[str, Any]:
        document: Any = inner
        for _ in range(depth - 1):
            document = {"a": document}
        return {"a": document}

    plan_document(nested(MAX_DEPTH - 1))
    with pytest.raises(LimitError, match="deeper"):
        plan_document(nested(MAX_DEPTH))
