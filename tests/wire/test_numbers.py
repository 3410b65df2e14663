"""Short lists of numbers are written and read in one step, and the full way is the oracle: the same bytes, the same values,
the same errors."""

import mmap
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import HoldfastError, LimitError
from holdfast.wire import numbers, read
from holdfast.wire.elements import MANY
from holdfast.wire.numbers import KINDS, LAYOUTS, match, pack
from holdfast.wire.read import read_document
from holdfast.wire.values import MAX_DEPTH

LISTS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=MANY + 1) | st.lists(
    st.floats(allow_nan=False), max_size=MANY + 1
)


def alone(values: list[Any]) -> bytes:
    kinds = {int: (0x12, "<q"), float: (0x01, "<d")}
    body = b"".join(
        bytes([kinds[type(value)][0]]) + b"%d\0" % index + struct.pack(kinds[type(value)][1], value)
        for index, value in enumerate(values)
    )
    return struct.pack("<I", len(body) + 5) + body + b"\0"


def both_ways(data: bytes) -> list[Any]:
    """What the reader says of a document whose one value ``a`` is the array ``data``, in one step and in full."""
    raw = struct.pack("<I", len(data) + 8) + b"\4a\0" + data + b"\0"
    found: list[Any] = []
    for patterns in (True, False):
        try:
            found.append(repr(read_document(raw, patterns=patterns).document))
        except HoldfastError as error:
            found.append((type(error), str(error)))
    return found


@given(LISTS)
def test_a_list_comes_back(values: list[Any]) -> None:
    data = alone(values)
    one, full = both_ways(data)
    assert one == full == repr({"a": values})
    assert pack(values) == (data if 1 <= len(values) < MANY else None)
    with mmap.mmap(-1, len(data) + 7) as memory:
        memory[7:] = data
        found = match(memory, 7, 1000)
    if 1 <= len(values) < MANY:
        assert found is not None
        assert repr(found) == repr((values, 7 + len(data), 1000 - len(values)))
    else:
        assert found is None


@given(st.lists(st.integers(-3, 3) | st.floats(0, 1), min_size=1, max_size=MANY - 1), st.data())
def test_what_is_changed_is_read_or_refused_alike(values: list[Any], data: st.DataObject) -> None:
    raw = bytearray(alone(values))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from([0, 1, 0x10, 0x12, 0x30, 0x31, 0xFF]))
    one, full = both_ways(bytes(raw))
    assert one == full


def test_every_bit_and_every_cut() -> None:
    for values in ([1], [1, -2, 3], [0.5, -0.0], list(range(12))):
        raw = alone(values)
        for bit in range(8 * len(raw)):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            one, full = both_ways(bytes(changed))
            assert one == full
        for length in range(len(raw)):
            one, full = both_ways(raw[:length])
            assert one == full
            assert match(raw[:length], 0, 1000) is None


def test_every_layout_is_met() -> None:
    draw = random.Random(1)
    for length in range(1, MANY):
        for values in ([draw.getrandbits(63) for _ in range(length)], [draw.random() for _ in range(length)]):
            found = match(alone(values), 0, 1000)
            assert found is not None
            assert found[0] == values
    assert len(LAYOUTS) == (MANY - 1) * len(KINDS)


def test_the_limits_are_those_of_the_full_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    data = alone([1, 2, 3])
    for most in range(1, 8):
        monkeypatch.setattr(read, "MAX_VALUES", most)
        one, full = both_ways(data)
        assert one == full
        assert (full[0] is LimitError) == (most <= 4)
    monkeypatch.undo()
    for depth in (MAX_DEPTH - 3, MAX_DEPTH - 2, MAX_DEPTH - 1, MAX_DEPTH):
        deep = data
        for _ in range(depth):
            deep = struct.pack("<I", len(deep) + 8) + b"\x040\0" + deep + b"\0"
        one, full = both_ways(deep)
        assert one == full


def test_the_quick_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(read, "match_numbers", lambda *given: taken.append(found := numbers.match(*given)) or found)
    both_ways(alone([4, 5]))
    assert [found[0] for found in taken] == [[4, 5]]
