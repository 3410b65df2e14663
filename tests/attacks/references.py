"""References in circles, keys that never end to be hashed, sizes that no array has."""

from functools import partial
from typing import Any

from attacks.build import (
    ANY,
    BOOL,
    FLOAT32,
    NOTHING,
    UINT8,
    array,
    array_blob,
    blob,
    floats,
    julia_dict,
    plain,
    python,
    python_dict,
    ref,
    sealed,
    struct_,
    tuple_,
    type_,
    x,
)
from attacks.case import EITHER, FORMAT, LIMIT, READ, REFUSED, case
from attacks.case import give as give_case
from holdfast.julia import Array

ARRAYS = "vocab/numpy.py: the size says exactly as many bytes as there are, in numbers that cannot wrap"
INERT = "vocab/julia/tags.py: what is not known is data: names and fields"
FIELDS = "codec/lift.py: a rule that does not find what it expects is a FormatError"
REFERENCE = "codec/lift.py: a reference is a whole number between 1 and the number of entries"
CYCLE = "codec/lift.py: a cycle closes only through a value that can be filled later"
KEYS = "vocab/keys.py: what is hashed is looked at first"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
read: Any = partial(give, must=READ)

# -- references -------------------------------------------------------------------------------------------------------

for what, number in (
    ("0", 0),
    ("neg", -1),
    ("oob", 9),
    ("max", 2**63 - 1),
    ("min", -(2**63)),
    ("bool", True),
    ("text", "1"),
    ("float", 1.0),
    ("null", None),
    ("list", [1]),
):
    bad(f"backref_{what}", f"a reference to entry {number!r}", x(ref(number), "entry"), check=REFERENCE)
bad("backref_no_number", "a reference to nothing", x({"tag": "backref"}, "entry"), check=REFERENCE)
read(
    "backref_cycle_list",
    "a list that holds itself, which Python has",
    x(ref(1), [ref(1)]),
    check=CYCLE,
    good=lambda v: v["x"][0] is v["x"],
)
read(
    "backref_cycle_dict",
    "a dictionary that holds itself",
    x(ref(1), {"me": ref(1)}),
    check=CYCLE,
    good=lambda v: v["x"]["me"] is v["x"],
)
bad("backref_cycle_tuple", "a tuple that holds itself, which nothing has", x(ref(1), tuple_(ref(1))), check=CYCLE)
bad(
    "backref_cycle_two_tuples",
    "two tuples that hold each other",
    x(ref(1), tuple_(ref(2)), tuple_(ref(1))),
    check=CYCLE,
)
bad("backref_cycle_array", "an array whose type is itself", x(ref(1), array(ref(1), [0], blob())), check=CYCLE)
bad(
    "backref_cycle_named_tuple",
    "a named tuple whose type holds it",
    x(ref(1), struct_(type_("Core.NamedTuple", ref(1), ANY), 1)),
    check=CYCLE,
)
read(
    "backref_to_backref",
    "an entry that is a reference is not followed, as in BSON.jl",
    x(ref(1), ref(2), "end"),
    check=REFERENCE,
)
read("backref_to_itself", "an entry that refers to itself", x(ref(1), ref(1)), check=REFERENCE)
read(
    "backrefs_not_a_list",
    "entries that are a dictionary",
    plain({"x": ref(1), "_backrefs": {"1": 2}}),
    check="codec/lift.py: without entries a reference is a plain dictionary",
)
read(
    "backrefs_50k_unused",
    "50,000 entries that nothing refers to",
    lambda: x(1, *[[] for _ in range(50_000)]),
    check="codec/lift.py: only what is reached is looked at",
)
read(
    "backref_chain_30k",
    "a chain of 30,000 lists: deep for Python, flat in the file",
    lambda: x(ref(1), *[[ref(n)] for n in range(2, 30_002)], 5),
    check="codec/lift.py: building has a stack of its own",
)
read(
    "backref_chain_30k_tuples",
    "the same of tuples",
    lambda: x(ref(1), *[tuple_(ref(n)) for n in range(2, 30_002)], 5),
    check="codec/lift.py: building has a stack of its own",
)
read(
    "laughs_lists",
    "each list holds the next one twice, sixty times: 2^60 on paper",
    x(ref(1), *[[ref(n), ref(n)] for n in range(2, 62)], 5),
    check="codec/lift.py: each document is built once",
)
read(
    "laughs_tuples",
    "the same of tuples",
    x(ref(1), *[tuple_(ref(n), ref(n)) for n in range(2, 62)], 5),
    check="codec/lift.py: each document is built once",
)
bad(
    "laughs_key",
    "the same as a key: hashing it never ends",
    x(python_dict([ref(1)], [1]), *[tuple_(ref(n), ref(n)) for n in range(2, 62)], 5),
    check=KEYS,
    must=LIMIT,
)
bad(
    "laughs_julia_key",
    "the same in Julia's dictionary",
    x(julia_dict([ref(1)], [1]), *[tuple_(ref(n), ref(n)) for n in range(2, 62)], 5),
    check=KEYS,
    must=LIMIT,
)
bad(
    "deep_key",
    "a tuple 20,000 deep as a key: hashing it overflows the stack",
    lambda: x(python_dict([ref(1)], [1]), *[tuple_(ref(n)) for n in range(2, 20_002)], 5),
    check=KEYS,
    must=LIMIT,
)
bad(
    "deep_member",
    "the same in a set",
    lambda: x(
        struct_("Main.Base.Set", python_dict([ref(1)], [None]) | {"python": "set.members"}) | {"python": "set"},
        *[tuple_(ref(n)) for n in range(2, 20_002)],
        5,
    ),
    check=KEYS,
    must=REFUSED,
)


def colliding(count: int) -> list[Any]:
    """Whole numbers that Python hashes to the same number."""
    prime = (1 << 61) - 1
    return [python("int", state=blob((n * prime).to_bytes(12, "little", signed=True))) for n in range(1, count + 1)]


FLOOD = "vocab/keys.py: at most so many keys of one hash"
case("keys_of_one_hash", "2,000 numbers with the same hash: a dictionary of many such takes minutes", LIMIT, FLOOD)(
    lambda: x(python_dict(colliding(2_000), [0] * 2_000))
)
case("keys_of_one_hash_julia", "the same in Julia's dictionary", LIMIT, FLOOD)(
    lambda: x(julia_dict(colliding(2_000), [0] * 2_000))
)
case("members_of_one_hash", "the same in a set", REFUSED, FLOOD)(
    lambda: x(
        struct_("Main.Base.Set", python_dict(colliding(2_000), [None] * 2_000) | {"python": "set.members"})
        | {"python": "set"}
    )
)
case("tuples_of_one_hash", "the same inside tuples", LIMIT, FLOOD)(
    lambda: x(python_dict([tuple_(one) for one in colliding(2_000)], [0] * 2_000))
)
bad(
    "keys_of_nothing",
    "a dictionary with as many keys as an array of nothing says, which takes no bytes: 10^12",
    x(julia_dict(array(NOTHING, [10**12], blob()), array(NOTHING, [10**12], blob()))),
    check="vocab/julia/tables.py: only keys that are in the file",
    must=REFUSED,
)
bad(
    "keys_of_a_type_without_bytes",
    "the same of a type without fields",
    x(julia_dict(array(type_("Main.A"), [10**12], blob()), array(NOTHING, [10**12], blob()))),
    check="vocab/julia/tables.py: only keys that are in the file",
    must=REFUSED,
)

# -- arrays -----------------------------------------------------------------------------------------------------------

bad("array_size_too_large", "more elements than bytes", x(array(FLOAT32, [3], blob(bytes(8)))), check=ARRAYS)
bad("array_size_too_small", "fewer elements than bytes", x(array(FLOAT32, [1], blob(bytes(8)))), check=ARRAYS)
bad("array_size_neg", "a negative size", x(array(FLOAT32, [-1], blob(bytes(4)))), check=ARRAYS)
bad(
    "array_size_neg_neg",
    "two negative sizes, whose product is right",
    x(array(FLOAT32, [-1, -1], blob(bytes(4)))),
    check=ARRAYS,
)
for what, size in (
    ("float", [1.0]),
    ("text", ["1"]),
    ("null", [None]),
    ("bool", [True]),
    ("number", 1),
    ("nested", [[1]]),
):
    bad(
        f"array_size_{what}",
        "a size that is no list of whole numbers",
        x(array(FLOAT32, size, blob(bytes(4)))),
        check=ARRAYS,
    )
bad(
    "array_size_wraps_32",
    "2^16 x 2^16 elements are none in 32 bits",
    x(array(FLOAT32, [2**16, 2**16], blob())),
    check=ARRAYS,
)
bad(
    "array_size_wraps_64",
    "2^32 x 2^32 elements are none in 64 bits",
    x(array(FLOAT32, [2**32, 2**32], blob())),
    check=ARRAYS,
)
bad(
    "array_size_wraps_to_four",
    "sizes whose product is 4 in 64 bits",
    x(array(FLOAT32, [4194305, 4194305, 211106198978564], blob(bytes(16)))),
    check=ARRAYS,
)
bad("array_bytes_wrap", "2^62 elements of four bytes are none", x(array(FLOAT32, [2**62], blob())), check=ARRAYS)
bad(
    "array_zero_times_huge",
    "no elements, along one axis 2^62",
    x(array(FLOAT32, [2**62, 2**62, 0], blob())),
    check=FIELDS,
)
bad(
    "array_65_axes",
    "more axes than NumPy has",
    x(array(FLOAT32, [1] * 65, blob(bytes(4)))),
    check="vocab/dtypes.py: at most 64 axes",
    must=LIMIT,
)
bad(
    "array_200k_axes",
    "200,000 axes",
    lambda: x(array(FLOAT32, [1] * 200_000, blob(bytes(4)))),
    check="vocab/dtypes.py: at most 64 axes",
    must=LIMIT,
)
bad("array_declared_1tb", "a terabyte in a kilobyte", x(array(FLOAT32, [2**38], blob(bytes(1000)))), check=ARRAYS)
bad(
    "array_bool_2",
    "a Bool that is neither, in an array",
    x(array(BOOL, [3], blob(b"\0\1\2"))),
    check="vocab/numpy.py: a Bool is 0 or 1",
)
bad("array_of_text", "elements that are a text", x(array(FLOAT32, [1], "abcd")), check=ARRAYS)
bad("array_list_too_short", "a list shorter than the size says", x(array(ANY, [3], [1, 2])), check=ARRAYS)
bad("array_list_wraps", "a list of none and 2^32 x 2^32", x(array(ANY, [2**32, 2**32], [])), check=ARRAYS)
read(
    "array_of_pointers",
    "elements that would be pointers in Julia",
    x(array(type_("Core.Ptr", UINT8), [1], blob(bytes(8)))),
    check=INERT,
    good=lambda v: type(v["x"]) is Array,
)
read(
    "array_of_any_as_bytes",
    "elements of type Any as raw bytes: pointers, if anybody took them so",
    x(array(ANY, [1], blob(b"\x41" * 8))),
    check=INERT,
    good=lambda v: type(v["x"]) is Array,
)
read(
    "array_of_nothing_10_12",
    "a terabyte of nothing: no bytes, no memory",
    x(array(NOTHING, [10**12], blob())),
    check="julia/arrays.py: nothing takes no memory",
    good=lambda v: type(v["x"]) is Array,
)
read(
    "array_of_no_axes",
    "one element and no axis",
    x(array(FLOAT32, [], blob(bytes(4)))),
    check=ARRAYS,
    good=lambda v: v["x"].shape == (),
)
bad(
    "array_sealed_type_swapped",
    "the checksum is right and the type is another",
    sealed({"x": array(type_("Core.Float64"), [2], array_blob(bytes(8)))}),
    check=ARRAYS,
)
read(
    "permuted_of_wrong_order",
    "an order of axes that does not exist",
    x(
        struct_(
            type_("Main.Base.PermutedDimsArrays.PermutedDimsArray", FLOAT32, 2, tuple_(1, 1), tuple_(9, 9), ANY),
            floats(2, 3),
        )
    ),
    check="vocab/numpy.py: the reverse order is an array, others stay a Struct",
)
bad(
    "permuted_of_two",
    "a PermutedDimsArray around no array",
    x(struct_("Main.Base.PermutedDimsArrays.PermutedDimsArray", 1)),
    check=FIELDS,
    must=EITHER,
)
