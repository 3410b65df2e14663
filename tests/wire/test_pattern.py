"""Both ways of reading agree: documents known by their bytes are what the full reading gives, whatever the bytes."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import HoldfastError, LimitError
from holdfast.vocab import vocabulary
from holdfast.wire.checksum import seal
from holdfast.wire.pattern import MAX_HEAD
from holdfast.wire.plan import ALIGNMENT, LARGE, SUM_HEAD, plan_document
from holdfast.wire.read import read_document
from holdfast.wire.values import MAX_DEPTH, Alike, Blob, Reading, same_value


def full(value: Any) -> Any:
    """``value`` with every ``Alike`` written out."""
    if type(value) is Alike:
        return full(value.document())
    if isinstance(value, dict):
        return dict(zip(value, map(full, value.values()), strict=True))
    return list(map(full, value)) if isinstance(value, list) else value


def file_of(document: dict[str, Any]) -> bytes:
    plan = plan_document(document)
    seal(plan)
    return b"".join(plan.buffers())


def array(data: bytes, size: int | None = None, **keys: Any) -> dict[str, Any]:
    type_ = {"tag": "datatype", "params": [], "name": ["Core", "UInt8"]}
    size = len(data) if size is None else size
    return {**keys, "tag": "array", "type": type_, "size": [size], "data": Blob(memoryview(data), True)}


def places(reading: Reading) -> list[tuple[int | None, int | None, bytes]]:
    return [(blob.offset, blob.checksum, bytes(blob.data)) for blob in reading.blobs]


def outcome(data: bytes, *, patterns: bool) -> Any:
    try:
        reading = read_document(data, patterns=patterns)
    except HoldfastError as error:
        return type(error), str(error)
    return full(reading.document), places(reading)


def agree(data: bytes) -> None:
    one, other = outcome(data, patterns=True), outcome(data, patterns=False)
    assert one == other if isinstance(one[0], type) else same_value(one[0], other[0]) and one[1] == other[1]


def alikes(value: Any) -> int:
    if type(value) is Alike:
        return 1
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return sum(map(alikes, children))


def test_most_arrays_of_a_kind_are_known() -> None:
    data = file_of({f"layer {i}": array(bytes([i % 256]) * 40) for i in range(1000)})
    reading = read_document(data, patterns=True)
    assert alikes(reading.document) > 1000 - 2 * ALIGNMENT
    agree(data)


def test_large_arrays_stand_on_pages() -> None:
    data = file_of({f"{i:02}": array(bytes(LARGE + 8 * (i % 3))) for i in range(30)})
    assert alikes(read_document(data, patterns=True).document) > 10
    agree(data)


def test_what_is_not_sealed_has_no_patterns() -> None:
    data = b"".join(plan_document({str(i): array(b"12345678") for i in range(200)}, trailer=False).buffers())
    agree(data)  # an array with a checksum in a file without one is damaged


kinds = st.sampled_from([b"", b"1", b"12345678", b"x" * 100])
keys = st.dictionaries(st.sampled_from(["python", "dtype", "note"]), st.sampled_from(["a", "b", SUM_HEAD.decode()]))
arrays = st.builds(lambda data, extra: array(data, **extra), kinds, keys)
structs = st.builds(lambda inner: {"tag": "struct", "type": {"tag": "backref", "ref": 1}, "data": [inner]}, arrays)
values = st.recursive(
    arrays | structs | st.integers(0, 9) | st.just("text"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=5),
    max_leaves=30,
)


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=30))
def test_documents_of_every_form(items: list[Any]) -> None:
    agree(file_of({"again": items, "and again": items}))


def test_a_text_that_looks_like_a_checksum() -> None:
    lie = (SUM_HEAD + bytes(8) + b"\x05pad\0" + bytes(5)).decode()
    agree(file_of({str(i): array(b"12345678", note=lie) for i in range(300)}))


def test_a_head_that_is_too_long() -> None:
    agree(file_of({str(i): array(b"12345678", note="n" * MAX_HEAD) for i in range(300)}))


def test_limits_hold_for_what_is_known() -> None:
    model = array(b"12345678")
    first = {str(i): model for i in range(100)}
    for depth in (MAX_DEPTH - 4, MAX_DEPTH - 3, MAX_DEPTH - 2):
        nested: Any = Alike(model, model["data"])  # which the writer does not look into
        for _ in range(depth):
            nested = [nested]
        agree(file_of(first | {"deep": nested}))
    assert outcome(file_of(first | {"deep": nested}), patterns=True)[0] is LimitError


DAMAGED = file_of({f"{i:03}": array(bytes([i]) * 8, python="torch.Tensor") for i in range(150)})


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bytes(seed: int) -> None:
    random = Random(seed)
    for _ in range(100):
        data = bytearray(DAMAGED)
        for _ in range(random.choice([1, 1, 1, 4])):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        agree(bytes(data))
    agree(DAMAGED[: random.randrange(len(DAMAGED))])


@pytest.mark.parametrize("length", [8, LARGE, LARGE + 8])
def test_the_writer_copies_what_it_would_write(length: int) -> None:
    model = array(bytes(length), note="one")
    others = [array(bytes([i]) * length, note="one") for i in range(200)]
    copied = {
        "model": model,
        **{"n" * (i % 70) + str(i): Alike(model, other["data"]) for i, other in enumerate(others)},
    }
    assert file_of(copied) == file_of({key: full(value) for key, value in copied.items()})


@settings(deadline=None)
@given(st.integers(2, 40), st.sampled_from(["float32", "int8", "complex64"]), st.sampled_from([(), (3,), (2, 3)]))
def test_tensors_of_a_kind(count: int, dtype: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    from through_memory import again

    state = {str(i): torch.full(shape, i, dtype=getattr(torch, dtype)) for i in range(count)}
    state["tied"] = state["0"]
    state["parameter"] = torch.nn.Parameter(torch.ones(3))
    back = again(state)
    assert back["tied"] is back["0"]
    for name, tensor in state.items():
        assert type(back[name]) is type(tensor)
        assert torch.equal(back[name], tensor)
        assert back[name].stride() == tensor.stride()
    back["1"][...] = 7  # each has memory of its own
    assert torch.equal(back["0"], state["0"])


def test_arrays_of_a_kind() -> None:
    from through_memory import again

    assert vocabulary()
    state = [np.full((2, 3), i, np.float32, order="CF"[i % 2]) for i in range(50)]
    for array_, back in zip(state, again(state), strict=True):
        np.testing.assert_array_equal(array_, back)
        assert array_.flags.f_contiguous == back.flags.f_contiguous
