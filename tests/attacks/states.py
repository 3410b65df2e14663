"""State that is not state: positions outside of a buffer, numbers, times and containers that lie."""

from functools import partial
from typing import Any

from attacks.build import (
    array,
    blob,
    python,
    python_dict,
    ref,
    tuple_,
    type_,
    x,
)
from attacks.case import EITHER, FORMAT, READ, REFUSED, case
from attacks.case import give as give_case

CHECKED = "codec/lift.py: a rule that does not find what it expects is a FormatError"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
read: Any = partial(give, must=READ)

# -- random generators ------------------------------------------------------------------------------------------------


def bits(kind: str, **state: Any) -> bytes:
    return x(python(f"numpy.random.{kind}", state={"bit_generator": kind, **state}, seed=None))


WORDS = array(type_("Core.UInt32"), [624], blob(bytes(2496)))
for label, position in (("oob", 10**6), ("neg", -5), ("just", 625)):
    bad(
        f"mt19937_position_{label}",
        "a position outside of the state: the next number is other memory",
        bits("MT19937", state={"key": WORDS, "pos": position}),
        check="vocab/randoms.py: positions are inside the buffer",
    )
    give(
        f"random_state_position_{label}",
        "the same in the legacy generator",
        x(
            python(
                "numpy.random.RandomState",
                state={
                    "bit_generator": "MT19937",
                    "state": {"key": WORDS, "pos": position},
                    "has_gauss": 0,
                    "gauss": 0.0,
                },
            )
        ),
        must=FORMAT,
        check="vocab/randoms.py: positions are inside the buffer",
    )
LONGS = array(type_("Core.UInt64"), [4], blob(bytes(32)))
for label, position in (("oob", 10**6), ("neg", -5), ("just", 5)):
    bad(
        f"philox_position_{label}",
        "a position outside of Philox's buffer",
        bits(
            "Philox",
            state={"counter": LONGS, "key": array(type_("Core.UInt64"), [2], blob(bytes(16)))},
            buffer=LONGS,
            buffer_pos=position,
            has_uint32=0,
            uinteger=0,
        ),
        check="vocab/randoms.py: positions are inside the buffer",
    )
bad(
    "mt19937_short_key",
    "a state of five words",
    bits("MT19937", state={"key": [1, 2, 3, 4, 5], "pos": 1}),
    check=CHECKED,
)
bad("mt19937_key_texts", "a state of texts", bits("MT19937", state={"key": ["a"] * 624, "pos": 1}), check=CHECKED)
bad(
    "bits_of_other_kind",
    "the state of another generator",
    x(python("numpy.random.PCG64", state={"bit_generator": "MT19937", "state": {}}, seed=None)),
    check=CHECKED,
)
bad(
    "pcg64_negative",
    "numbers that do not fit",
    bits("PCG64", state={"state": -1, "inc": -1}, has_uint32=5, uinteger=-1),
    check=CHECKED,
)
bad(
    "sfc64_short",
    "a state of one number",
    bits("SFC64", state={"state": [1]}, has_uint32=0, uinteger=0),
    check=CHECKED,
    must=EITHER,
)
bad(
    "generator_of_number",
    "a Generator around a number",
    x(python("numpy.random.Generator", bits=5)),
    check="vocab/randoms.py: a Generator holds a bit generator",
)
bad(
    "seed_pool_1e9",
    "a pool of a billion words",
    x(python("numpy.random.SeedSequence", state=[1, tuple_(), 10**9, 0])),
    check="vocab/randoms.py: a pool has a limit",
)
bad(
    "seed_entropy_text",
    "entropy that is a text",
    x(python("numpy.random.SeedSequence", state=["abc", tuple_(), 4, 0])),
    check="vocab/randoms.py: entropy is numbers",
)
bad(
    "seed_spawn_key_text",
    "a spawn key that is a text",
    x(python("numpy.random.SeedSequence", state=[1, "abc", 4, 0])),
    check=CHECKED,
)
case("seed_entropy_4mb", "a seed of 32 million bits", REFUSED, "vocab/randoms.py: entropy has a limit")(
    lambda: x(
        python("numpy.random.SeedSequence", state=[python("int", state=blob(b"\x7f" * (1 << 22))), tuple_(), 4, 0])
    )
)
bad(
    "random_state_short",
    "Python's generator with a state of two words",
    x(python("random.Random", state=tuple_(3, tuple_(1, 2), None))),
    check=CHECKED,
)
bad(
    "random_state_position",
    "a position outside of the state",
    x(python("random.Random", state=tuple_(3, tuple_(*[1] * 624, 10**6), None))),
    check=CHECKED,
)
bad(
    "torch_generator_short",
    "torch's generator with a state of 8 bytes",
    x(python("torch.Generator", device="cpu", state=blob(bytes(8)))),
    check="vocab/torch/values.py: torch says no",
)
bad(
    "torch_generator_zeros",
    "torch's generator with a state of zeros",
    x(python("torch.Generator", device="cpu", state=blob(bytes(5056)))),
    check="vocab/torch/values.py: torch says no",
)
bad(
    "torch_generator_ones",
    "torch's generator with a state of all ones: its position would be outside",
    x(python("torch.Generator", device="cpu", state=blob(b"\xff" * 5056))),
    check="vocab/torch/values.py: torch says no",
)
give(
    "torch_generator_elsewhere",
    "a generator of a device that is not here",
    x(python("torch.Generator", device="hpu:99", state=blob(bytes(16)))),
    must=REFUSED,
    check="vocab/torch/values.py: torch says no",
)
bad(
    "device_text",
    "a device called /dev/mem",
    x(python("torch.device", state="/dev/mem")),
    check="vocab/torch/values.py: a device is a kind and a number",
)
bad(
    "device_number",
    "device 10^9",
    x(python("torch.device", state="cuda:1000000000")),
    check="vocab/torch/values.py: a device is a kind and a number",
)

# -- small values of Python's -----------------------------------------------------------------------------------------

case(
    "int_4mb",
    "a number of 32 million bits: it is read, and never written out in decimals",
    READ,
    "vocab/keys.py: long numbers are not shown",
    good=lambda v: v["x"].bit_length() > 30_000_000,
)(lambda: x(python("int", state=blob(b"\x7f" * (1 << 22)))))
bad("int_of_text", "a number that is a text", x(python("int", state="5")), check="vocab/python.py: bytes")
bad("str_bad_bytes", "a text of bytes that are none", x(python("str", state=blob(b"\xff\xfe"))), check=CHECKED)
read(
    "decimal_exponent",
    "a Decimal of 10^18 digits, which is never written out",
    x(python("decimal.Decimal", state="1E+999999999999999999")),
    check="vocab/python.py: a Decimal is its text",
)
bad(
    "decimal_text",
    "a Decimal that is no number",
    x(python("decimal.Decimal", state="evil")),
    check="vocab/python.py: a Decimal is its text",
)
case("decimal_2m_digits", "a Decimal of two million digits", READ, "vocab/python.py: a Decimal is its text")(
    lambda: x(python("decimal.Decimal", state="9" * 2_000_000))
)
bad(
    "fraction_zero",
    "a Fraction over nought",
    x(python("fractions.Fraction", state=[1, 0])),
    check="vocab/julia/numbers.py: two whole numbers",
)
bad("range_step_0", "a range of no step", x(python("range", state=[0, 9, 0])), check=CHECKED)
bad(
    "datetime_year_0",
    "the year nought",
    x(python("datetime.datetime", state=[0, 1, 1, 0, 0, 0, 0, 0, None])),
    check=CHECKED,
)
bad(
    "datetime_short",
    "a date of three numbers",
    x(python("datetime.datetime", state=[2020, 1, 1])),
    check="vocab/times.py: so many whole numbers",
)
bad("timezone_year", "a zone a year off", x(python("datetime.timezone", state=[10**15, None])), check=CHECKED)
bad("timedelta_huge", "more days than there are", x(python("datetime.timedelta", state=[10**18, 0, 0])), check=CHECKED)
for label, key in (
    ("parent", "../../../etc/passwd"),
    ("absolute", "/etc/passwd"),
    ("dot", "./Europe/Berlin"),
    ("nul", "Europe/Berlin\0"),
    ("url", "http://x/y"),
    ("long", "A" * 200),
):
    bad(
        f"zone_{label}",
        f"a time zone called {key[:30]!r}",
        x(python("zoneinfo.ZoneInfo", state=key)),
        check="vocab/times.py: a key is words and slashes",
    )
read(
    "path_outside",
    "a path is a value: nothing is opened",
    x([python("pathlib.PosixPath", state="/etc/shadow"), python("pathlib.PurePosixPath", state="../../x")]),
    check="vocab/python.py: a path is its text",
)
bad(
    "path_nul_list",
    "a path that is a list",
    x(python("pathlib.PosixPath", state=["/", "etc"])),
    check="vocab/python.py: a path is its text",
)
bad("deque_maxlen_neg", "a deque of at most -1", x(python("collections.deque", state=[], maxlen=-1)), check=CHECKED)
bad(
    "deque_maxlen_text",
    "a deque of at most 'two'",
    x(python("collections.deque", state=[], maxlen="two")),
    check="vocab/containers.py: a number",
)
bad(
    "deque_too_many",
    "a deque of one that holds three",
    x(python("collections.deque", state=[1, 2, 3], maxlen=1)),
    check="vocab/containers.py: not more than it may hold",
)
read(
    "deque_maxlen_huge",
    "a deque of at most 2^63 - 1 takes no memory for that",
    x(python("collections.deque", state=[], maxlen=2**63 - 1)),
    check="vocab/containers.py: a number",
)
bad(
    "proxy_of_object",
    "a mapping proxy of an object",
    x(python("types.MappingProxyType", state=[5])),
    check="vocab/containers.py: it shows a dictionary",
)
bad(
    "memoryview",
    "a memory view of the file's own",
    x(python("memoryview", state=blob(b"a"))),
    check="vocab/python.py: none is ever made",
    must=REFUSED,
)
bad(
    "array_array_unicode",
    "an array.array of a type that is gone",
    x(array(type_("Core.UInt8"), [1], blob(b"a"), python="array.array", typecode="u")),
    check="vocab/python.py: a type code of the table",
)
bad(
    "array_array_width",
    "an array.array of eight-byte numbers with three bytes",
    x(array(type_("Core.UInt8"), [3], blob(b"abc"), python="array.array", typecode="d")),
    check="vocab/python.py: as many bytes as elements",
)
bad(
    "bytearray_size_lies",
    "a bytearray of a million in three bytes",
    x(array(type_("Core.UInt8"), [10**6], blob(b"abc"), python="bytearray")),
    check="vocab/python.py: as many bytes as elements",
)
bad("counter_of_list", "a Counter of a list", x(python("collections.Counter", data=[1])), check=CHECKED)
bad(
    "chainmap_of_text",
    "a ChainMap whose maps are a text",
    x(python("collections.ChainMap", state={"maps": "abc"})),
    check=CHECKED,
    must=EITHER,
)
bad("slice_of_two", "a slice of two numbers", x(python("slice", state=[1, 2])), check=CHECKED)
bad(
    "instance_attributes_alone",
    "the attributes of an instance, without it",
    x(python("instance.attributes", state=1)),
    check=CHECKED,
    must=EITHER,
)
case("key_100kb_text", "a text of 8 MB as a key", READ, "vocab/keys.py: a text is hashed once")(
    lambda: x(python_dict(["k" * (1 << 23)], [1]))
)
bad("key_unhashable", "a list as a key", x(python_dict([[1]], [1])), check=CHECKED)
bad(
    "key_is_nan_twice",
    "two keys that are no number",
    x(python_dict([float("nan"), float("nan")], [1, 2])),
    check="vocab/containers.py: no key twice",
    must=EITHER,
)
case("key_slices", "a slice deep in slices as a key", REFUSED, "vocab/keys.py: what is hashed is looked at first")(
    lambda: x(python_dict([ref(1)], [1]), *[python("slice", state=[ref(n), ref(n), None]) for n in range(2, 42)], 5)
)
