"""Names pair as they should, and everything that does not is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.state.match import (
    MAX_SUGGESTIONS,
    WRAPPERS,
    Spec,
    absent,
    castable,
    compare,
    match_in_order,
    pair_names,
    plan_match,
)

W, B = Spec((2, 3), "float32"), Spec((2,), "float32")

PAIRS = [
    ("equal", ["w", "b"], ["b", "w"], {"w": "w", "b": "b"}),
    ("prefix in the file", ["module.w"], ["w"], {"module.w": "w"}),
    ("prefix in the object", ["w"], ["_orig_mod.w"], {"w": "_orig_mod.w"}),
    ("both, different", ["module.w"], ["_orig_mod.w"], {"module.w": "_orig_mod.w"}),
    ("two at once", ["module._orig_mod.w"], ["w"], {"module._orig_mod.w": "w"}),
    ("in the middle", ["a._checkpoint_wrapped_module.w"], ["a.w"], {"a._checkpoint_wrapped_module.w": "a.w"}),
    (
        "FSDP",
        ["a.w"],
        ["_fsdp_wrapped_module.a._fsdp_wrapped_module.w"],
        {"a.w": "_fsdp_wrapped_module.a._fsdp_wrapped_module.w"},
    ),
    ("one's own name is module", ["module.w", "w"], ["module.w", "w"], {"module.w": "module.w", "w": "w"}),
    ("ambiguous", ["module.w"], ["_orig_mod.w", "w"], {}),
    ("ambiguous in the file", ["module.w", "_orig_mod.w"], ["w"], {}),
    ("equal goes first", ["w", "module.w"], ["w"], {"w": "w"}),
    ("part of a word", ["modules.w"], ["w"], {}),
]


@pytest.mark.parametrize(("saved", "live", "pairs"), [case[1:] for case in PAIRS], ids=[case[0] for case in PAIRS])
def test_names_pair(saved, live, pairs):
    assert pair_names(saved, live) == pairs


DIFFERENCES = [
    ({"w": W}, {"w": W}, []),
    ({"w": W}, {"w": B}, ["m.w: shape (2, 3) in the file, (2,) in the live object"]),
    (
        {"w": W},
        {"w": Spec((3, 2), "float32")},
        ["m.w: shape (2, 3) in the file, (3, 2) in the live object (its transpose would fit)"],
    ),
    ({"w": W}, {"w": Spec((2, 3), "float16")}, ["m.w: dtype float32 in the file, float16 in the live object"]),
    ({}, {"w": W}, ["m.w: not in the file"]),
    ({"w": W}, {}, ["m.w: in the file, not in the live object"]),
    (
        {"head.wieght": W},
        {"head.weight": W},
        [
            "m.head.weight: not in the file; did you mean 'head.wieght', which is there?",
            "m.head.wieght: in the file, not in the live object",
        ],
    ),
    (
        {"head.wieght": B},
        {"head.weight": W},
        ["m.head.weight: not in the file", "m.head.wieght: in the file, not in the live object"],
    ),
]


@pytest.mark.parametrize(("saved", "live", "differences"), DIFFERENCES)
def test_differences(saved, live, differences):
    assert plan_match(saved, live, at="m").differences == differences


def test_plain_tuples_do():
    assert plan_match({"w": ((2, 3), "float32")}, {"w": ((2, 3), "float32")}).pairs == [("w", "w")]


def test_a_tied_name_need_not_be_in_the_file():
    live = {"emb.weight": W._replace(identity=1), "head.weight": W._replace(identity=1), "bias": B._replace(identity=2)}
    assert plan_match({"emb.weight": W, "bias": B}, live).differences == []
    assert plan_match({"emb.weight": W}, live).differences == ["bias: not in the file"]


def test_optional_names_may_be_missing():
    match = plan_match({"w": W}, {"w": W, "mean": B}, optional=["mean"])
    assert (match.pairs, match.differences) == ([("w", "w")], [])


def test_many_names_get_no_suggestions():
    names = [f"layer{index}" for index in range(MAX_SUGGESTIONS + 1)]
    assert absent(names, ["layer"], "", "gone") == [f"{name}: gone" for name in names]


CASTS = [
    ("float64", "float32", True),
    ("bfloat16", "float32", True),
    ("float32", "bfloat16", True),
    ("float8_e4m3fn", "float32", True),
    ("int64", "float32", True),
    ("uint8", "int64", True),
    ("bool", "float32", True),
    ("float32", "complex64", True),
    ("float32", "int64", False),
    ("complex64", "float32", False),
    ("int64", "bool", False),
    ("object", "float32", False),
    ("<U3", "float32", False),
]


@pytest.mark.parametrize(("saved", "live", "fits"), CASTS)
def test_castable(saved, live, fits):
    assert castable(Spec((), saved), Spec((), live)) is fits
    assert (compare(Spec((), saved), Spec((), live), cast=True) == "") is fits


def test_in_order():
    live = {"0.weight": W, "0.bias": B}
    assert match_in_order([W, B], live).pairs == [("0", "0.weight"), ("1", "0.bias")]
    assert match_in_order([W], live, at="m").differences == ["m.0.bias: no weight left for it"]
    assert match_in_order([W, B, W], live).differences == ["weights[2]: shape (2, 3), nothing left to put it in"]
    assert match_in_order([B, B], live).differences == [
        "weights[0] for 0.weight: shape (2,) in the file, (2, 3) in the live object"
    ]


SEGMENTS = st.sampled_from(["a", "b", "layers", "0", "1", "weight", "module", "bias"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join)
SPECS = st.builds(Spec, st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from(["float32", "int64"]))
TABLES = st.dictionaries(NAMES, SPECS, max_size=8)


@given(TABLES)
def test_a_table_fits_itself(table):
    match = plan_match(table, table)
    assert match.pairs == [(name, name) for name in table]
    assert match.differences == []


@given(
    TABLES.map(lambda table: {k: v for k, v in table.items() if "module" not in k}), st.sampled_from(sorted(WRAPPERS))
)
def test_a_wrapped_table_fits(table, wrapper):
    wrapped = {f"{wrapper}.{name}": spec for name, spec in table.items()}
    for saved, live in ((wrapped, table), (table, wrapped)):
        match = plan_match(saved, live)
        assert match.differences == []
        assert len(match.pairs) == len(table)


@given(TABLES, TABLES)
def test_every_name_is_accounted_for(saved, live):
    match = plan_match(saved, live)
    theirs, ours = {pair[0] for pair in match.pairs}, {pair[1] for pair in match.pairs}
    assert len(theirs) == len(ours) == len(match.pairs)
    assert all(compare(saved[a], live[b]) == "" for a, b in match.pairs)
    said = {line.split(":")[0] for line in match.differences}
    paired = pair_names(saved, live)
    assert {name for name in live if name not in ours} <= said
    assert {name for name in saved if name not in paired} <= said
