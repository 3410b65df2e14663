"""safetensors: every rule of its format broken, and notes of ours that lie under a right seal."""

import json
import struct
from functools import partial
from typing import Any

from attacks.case import EITHER, READ, REFUSED
from attacks.case import give as give_case
from attacks.headers import safe
from holdfast.formats.foreign.seals import text_of
from holdfast.formats.safetensors import SEAL
from holdfast.wire.checksum import checksum

SAFE = "formats/safetensors.py: the library judges the header, and the tensors fill the file"
NOTES = "formats/safetensors.py: what is noted is held against what Holdfast writes"

give: Any = partial(give_case, module=__name__)


def part(dtype: Any = "U8", shape: Any = (4,), start: Any = 0, end: Any = 4) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [start, end]}


RULES: dict[str, bytes] = {
    "hole_at_end": safe({"a": part()}, bytes(5)),
    "hole_between": safe({"a": part(), "b": part(start=5, end=9)}, bytes(9)),
    "hole_at_start": safe({"a": part(start=1, end=5)}, bytes(5)),
    "overlap_by_one": safe({"a": part(), "b": part(start=3, end=7)}, bytes(7)),
    "same_place": safe({"a": part(), "b": part()}, bytes(4)),
    "inside_another": safe({"a": part(), "b": part(shape=(2,), start=1, end=3)}, bytes(4)),
    "end_before_start": safe({"a": part(start=4, end=0)}, bytes(4)),
    "start_2_64": safe({"a": part(start=2**64 - 4, end=2**64)}, bytes(4)),
    "start_2_70": safe({"a": part(start=2**70, end=2**70 + 4)}, bytes(4)),
    "end_2_63": safe({"a": part(shape=(2**63,), end=2**63)}, bytes(4)),
    "wraps_to_4": safe({"a": part(shape=(2**32, 2**32, 4))}, bytes(4)),
    "wraps_to_0": safe({"a": part(shape=(2**32, 2**32), end=0)}, b""),
    "bits_wrap": safe({"a": part("F64", (2**61,), 0, 0)}, b""),
    "offset_negative": safe({"a": part(start=-4, end=0)}, bytes(4)),
    "offset_float": safe({"a": part(start=0.0, end=4.0)}, bytes(4)),
    "offset_text": safe({"a": part(start="0", end="4")}, bytes(4)),
    "offsets_three": safe({"a": part() | {"data_offsets": [0, 2, 4]}}, bytes(4)),
    "offsets_none": safe({"a": part() | {"data_offsets": None}}, bytes(4)),
    "shape_text": safe({"a": part(shape="4")}, bytes(4)),
    "shape_float": safe({"a": part(shape=(4.5,))}, bytes(4)),
    "shape_none": safe({"a": part(shape=None)}, bytes(4)),
    "shape_nested": safe({"a": part(shape=[[4]])}, bytes(4)),
    "dtype_lower": safe({"a": part("u8")}, bytes(4)),
    "dtype_none": safe({"a": part(None)}, bytes(4)),
    "dtype_class": safe({"a": part("os.system")}, bytes(4)),
    "dtype_object": safe({"a": part("O")}, bytes(4)),
    "field_missing": safe({"a": {"dtype": "U8", "shape": [4]}}, bytes(4)),
    "entry_text": safe({"a": "x"}, bytes(4)),
    "entry_none": safe({"a": None}, bytes(4)),
    "metadata_text": safe({"__metadata__": "x", "a": part()}, bytes(4)),
    "metadata_nested": safe({"__metadata__": {"a": {"b": "c"}}, "a": part()}, bytes(4)),
    "metadata_none": safe({"__metadata__": {"a": None}, "a": part()}, bytes(4)),
    "json_comment": safe(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}/**/}', bytes(4)),
    "json_comma": safe(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},}', bytes(4)),
    "json_nan": safe(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}', bytes(4)),
    "json_two": safe(b'{}{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    "json_cut": safe(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,', bytes(4)),
    "json_not_utf8": safe(b'{"\xff\xfe":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    "json_surrogate": safe(b'{"\\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    "json_bom": safe(b'\xef\xbb\xbf{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    "json_exponent": safe(b'{"a":{"dtype":"U8","shape":[4e0],"data_offsets":[0,4]}}', bytes(4)),
    "json_deep": safe(b'{"a":' + b'{"b":' * 100_000, b""),
    "json_key_twice_in_entry": safe(b'{"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    "name_twice": safe(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "metadata_twice": safe(
        b'{"__metadata__":{"a":"1"},"__metadata__":{"b":"2"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "space_in_front": safe(b' {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    "length_0": struct.pack("<Q", 0),
    "length_1": struct.pack("<Q", 1) + b"{",
    "length_2_63": struct.pack("<Q", 1 << 63) + b"{}",
    "length_over_by_one": safe({"a": part()}, b"", length=len(json.dumps({"a": part()})) + 1),
    "length_limit": safe({}, b"", length=100_000_001),
    "half_bytes_odd": safe({"a": part("F4", (3,), 0, 2)}, bytes(2)),
    "half_bytes_short": safe({"a": part("F4", (4,), 0, 1)}, bytes(1)),
    "scale_dtype_size": safe({"a": part("F8_E8M0", (4,), 0, 8)}, bytes(8)),
    "name_backrefs": safe({"_backrefs": part()}, bytes(4)),
}
for name, data in RULES.items():
    give(
        f"safe_{name}",
        f"a header that breaks a rule: {name.replace('_', ' ')}",
        data,
        must=REFUSED,
        check=SAFE,
    )
for name, data in {
    "zero_sized_anywhere": safe({"a": part(), "z": part(shape=(0,), start=2, end=2)}, bytes(4)),
    "zero_sized_behind": safe({"a": part(), "z": part(shape=(0,), start=9, end=9)}, bytes(4)),
    "zero_huge": safe({"a": part(), "z": part(shape=(0, 2**40), start=4, end=4)}, bytes(4)),
    "no_axes": safe({"a": part(shape=(), end=1)}, b"x"),
    "no_tensors": safe({}, b""),
    "sixty_axes": safe({"a": part(shape=(1,) * 60, end=1)}, b"x"),
    "hundred_axes": safe({"a": part(shape=(1,) * 100, end=1)}, b"x"),
    "not_aligned": safe({"a": part(shape=(1,), end=1), "b": part("F64", (1,), 1, 9)}, bytes(9)),
    "bool_values": safe({"a": part("BOOL")}, b"\0\1\2\xff"),
    "name_empty": safe({"": part()}, bytes(4)),
    "name_dots": safe({"a..b.": part()}, bytes(4)),
    "name_tree_and_leaf": safe({"a": part(), "a.b": part(start=4, end=8)}, bytes(8)),
    "name_dunder": safe({"__class__.__init__": part()}, bytes(4)),
    "name_tag": safe({"x.tag": part(), "x.type": part(start=4, end=8)}, bytes(8)),
    "name_escapes": safe({"\x1b[2J\u202e": part()}, bytes(4)),
    "name_long": safe({"a" * 1_000_000: part()}, bytes(4)),
    "name_deep": safe({".".join("a" * 5000): part()}, bytes(4)),
    "names_many": safe({f"a{n}": part(start=4 * n, end=4 * n + 4) for n in range(5000)}, bytes(20_000)),
    "metadata_code": safe(
        {"__metadata__": {"format": "os.system", "_target_": "os.system", "class": "eval"}, "a": part()}, bytes(4)
    ),
    "metadata_large": safe({"__metadata__": {f"k{n}": "x" * 100 for n in range(5000)}, "a": part()}, bytes(4)),
    "field_more": safe({"a": part() | {"device": "cuda:0"}}, bytes(4)),
}.items():
    give(f"safe_{name}", f"an odd header: {name.replace('_', ' ')}", data, must=EITHER, check=SAFE)

# -- notes of ours ----------------------------------------------------------------------------------------------------


def sealed(notes: Any, names: tuple[str, ...] = ("a",)) -> bytes:
    """Tensors of four bytes, with notes that nobody wrote under a right seal: whoever can write a file can write one."""
    text = notes if isinstance(notes, str) else json.dumps(notes)
    parts = {name: part(start=4 * n, end=4 * n + 4) for n, name in enumerate(names)}
    raw = json.dumps({"__metadata__": {"holdfast": text + SEAL}} | parts).encode()
    raw = raw.replace(SEAL.encode(), text_of(checksum(memoryview(raw))).encode(), 1)
    return struct.pack("<Q", len(raw)) + raw + bytes(4 * len(names))


SUM = text_of(checksum(memoryview(bytes(4))))


def noted(**more: Any) -> bytes:
    return sealed({"a": {"xxh3": SUM, **more}})


def alias(**more: Any) -> dict[str, Any]:
    return {"keys": ["b"], "python": "torch.Tensor", "offset": 0, "size": [4], "strides": [1], "dtype": "uint8"} | more


LYING: dict[str, Any] = {
    "alias_outside": [alias(offset=1)],
    "alias_far": [alias(offset=1 << 62)],
    "alias_negative": [alias(offset=-1)],
    "alias_size_far": [alias(size=[1 << 62])],
    "alias_size_wraps": [alias(size=[1 << 32, 1 << 32], strides=[1, 1])],
    "alias_size_negative": [alias(size=[-4])],
    "alias_stride_far": [alias(strides=[1 << 62])],
    "alias_stride_negative": [alias(strides=[-1])],
    "alias_axes_differ": [alias(strides=[1, 1])],
    "alias_wider": [alias(dtype="float64")],
    "alias_dtype_unknown": [alias(dtype="os.system")],
    "alias_dtype_list": [alias(dtype=["uint8"])],
    "alias_not_aligned": [alias(dtype="float32", offset=1, size=[1])],
    "alias_class": [alias(python="os.system")],
    "alias_class_layer": [alias(python="torch.nn.Linear")],
    "alias_keys_text": [alias(keys="b")],
    "alias_keys_none": [alias(keys=None)],
    "alias_empty": [{}],
    "alias_class_list": [alias(python=["torch.Tensor"])],
    "alias_keys_empty": [alias(keys=[])],
    "alias_keys_backrefs": [alias(keys=["_backrefs"])],
    "alias_on_itself": [alias(keys=["a"])],
    "alias_below_itself": [alias(keys=["a", "b"])],
    "alias_twice": [alias(), alias()],
    "alias_of_alias": [alias(aliases=[alias(keys=["c"])])],
    "alias_number": [5],
    "alias_text": "b",
    "alias_size_text": [alias(size="4")],
    "alias_size_true": [alias(size=[True, 4], strides=[1, 1])],
    "alias_size_float": [alias(size=[4.0])],
}
READABLE = {"alias_of_alias", "alias_size_true", "alias_size_float"}
for name, aliases in LYING.items():
    give(
        f"safe_note_{name}",
        f"a note about shared memory that lies: {name.replace('_', ' ')}",
        noted(python="torch.Tensor", aliases=aliases),
        must=EITHER if name in READABLE else REFUSED,
        check=NOTES,
    )
for name, data in {
    "class": noted(python="os.system"),
    "class_number": noted(python=5),
    "class_layer": noted(python="torch.nn.Linear"),
    "keys_deep": noted(keys=["a"] * 5000),
    "keys_numbers": noted(keys=[1, 2]),
    "sum_text": sealed({"a": {"xxh3": "x" * 16}}),
    "sum_number": sealed({"a": {"xxh3": 5}}),
    "sum_wrong": sealed({"a": {"xxh3": "0" * 16}}),
    "names_unknown": sealed({"a": {"xxh3": SUM}, "b": {"xxh3": SUM}}),
    "names_missing": sealed({"a": {"xxh3": SUM}}, ("a", "b")),
    "deep": sealed('{"a":' + "[" * 50_000),
    "list": sealed([]),
    "same_keys": sealed({"a": {"xxh3": SUM, "keys": ["x"]}, "b": {"xxh3": SUM, "keys": ["x"]}}, ("a", "b")),
    "leaf_and_tree": sealed({"a": {"xxh3": SUM, "keys": ["x"]}, "b": {"xxh3": SUM, "keys": ["x", "y"]}}, ("a", "b")),
    "alias_is_other": sealed(
        {"a": {"xxh3": SUM, "python": "torch.Tensor", "aliases": [alias()]}, "b": {"xxh3": SUM}}, ("a", "b")
    ),
    "dtype_wider": noted(dtype="float64"),
    "more": noted(code="os.system"),
}.items():
    give(
        f"safe_note_{name}",
        f"a note that lies: {name.replace('_', ' ')}",
        data,
        must=EITHER if name in ("more", "dtype_wider") else REFUSED,
        check=NOTES,
    )
give("safe_note_good", "notes as they should be, for comparison", noted(), must=READ, check=NOTES)
give(
    "safe_note_endless_view",
    "2^40 elements on four bytes",
    noted(python="torch.Tensor", aliases=[alias(size=[1 << 40], strides=[0])]),
    must=EITHER,
    check="cli/figures.py: of a view that is larger than its memory few elements are looked at",
)
