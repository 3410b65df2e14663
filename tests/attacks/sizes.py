"""Many of everything: time and memory grow with the file, never faster."""

from typing import Any

from attacks.build import array, blob, floats, module, parameter, plain, python, python_dict, ref, tuple_, type_, x
from attacks.case import READ, case

LINEAR = "codec/lift.py: each document is looked at and built once"

case("arrays_4k", "4,000 arrays of one number", READ, LINEAR)(lambda: x([floats(1) for _ in range(4_000)]))
case("arrays_of_nothing_6k", "6,000 arrays of no bytes", READ, LINEAR)(
    lambda: x([array(type_("Core.Nothing"), [2**40], blob()) for _ in range(6_000)])
)
case("names_30k", "30,000 values by name", READ, LINEAR)(lambda: plain({f"v{n}": n for n in range(30_000)}))
case("texts_shared", "a megabyte of text, referred to 30,000 times", READ, "codec/lift.py: a text is one object")(
    lambda: x([ref(1)] * 30_000, "a" * (1 << 20))
)
case("dict_referred_30k", "one dictionary, 30,000 times", READ, LINEAR)(lambda: x([ref(1)] * 30_000, {"a": [1]}))
case("modules_1k", "1,000 layers", READ, LINEAR)(
    lambda: x(
        module("Sequential", modules={str(n): module("ReLU", attributes={"inplace": False}) for n in range(1_000)})
    )
)
case("parameters_2k", "a layer with 2,000 weights", READ, LINEAR)(
    lambda: x(module("ParameterDict", parameters={f"w{n}": parameter(1) for n in range(2_000)}))
)
case("tuples_10k", "10,000 tuples in tuples, 400 at a time", READ, LINEAR)(lambda: x([tower(400) for _ in range(25)]))
case("python_dict_30k", "a dictionary of 30,000 texts", READ, LINEAR)(
    lambda: x(python_dict([f"k{n}" for n in range(30_000)], [0] * 30_000))
)
case("types_6k", "6,000 different types of structs", READ, LINEAR)(
    lambda: x([{"tag": "struct", "type": type_(f"Main.T{n}"), "data": []} for n in range(6_000)])
)
case("zones_names_1k", "a thousand dates with a thousand zones", READ, "vocab/times.py: a zone is its offset")(
    lambda: x([python("datetime.timezone", state=[n * 1_000_000, f"zone {n}"]) for n in range(1_000)])
)
case(
    "attribute_names_4k",
    "4,000 different attributes, which are remembered only up to a number",
    READ,
    "vocab/anatomy.py: so many names are remembered",
)(lambda: x([python("types.SimpleNamespace", state={f"a{n}": 1}) for n in range(4_000)]))


def tower(height: int) -> Any:
    value: Any = 1
    for _ in range(height // 2):
        value = tuple_(value)
    return value
