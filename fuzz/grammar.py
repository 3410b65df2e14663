"""Documents made of the vocabulary's own words: tags, types and names that the rules know, with parts that they do not
expect.

Strategy: mutation is on documents, not on bytes, so that nearly every try passes the reader and comes to the rules. A
number seeds all choices of one try: coverage guides the number, and a failure is that number and a seed. The words are read
off the vocabulary itself, so that a new rule is tried from the day it is there.
"""

import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from holdfast.codec.rule import Vocabulary
from holdfast.julia.types import BITS
from holdfast.vocab import FRAMEWORKS, vocabulary
from holdfast.vocab.dtypes import NAMED
from holdfast.wire.values import Blob, Int32, Opaque, RawText

Document = dict[str, Any]
Random = random.Random

EDGES: Final = (
    0,
    1,
    -1,
    2,
    3,
    4,
    8,
    64,
    65,
    624,
    625,
    2**15,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32,
    2**40,
    2**62,
    2**63 - 1,
    -(2**63),
)
WORDS: Final = (
    "",
    "a",
    "weight",
    "forward",
    "__class__",
    "__dict__",
    "_hooks",
    "tag",
    "../x",
    "C",
    "F",
    "reversed",
    "cpu",
    "cuda:0",
    "é",
    "0",
    "1",
)
KEYS: Final = (
    *(
        "tag",
        "type",
        "data",
        "size",
        "name",
        "params",
        "path",
        "ref",
        "var",
        "body",
        "typename",
        "python",
        "state",
        "dtype",
    ),
    *("shape", "strides", "offset", "base", "slabs", "order", "carrier", "byteorder", "requires_grad", "attributes"),
    *(
        "parameters",
        "buffers",
        "modules",
        "training",
        "non_persistent",
        "defaults",
        "param_groups",
        "seed",
        "bits",
        "func",
    ),
    *("args", "keywords", "maxlen", "default_factory", "typecode", "device", "decay", "rng", "stateless", "pos", "key"),
)
"""What the rules look for."""


@cache
def known() -> tuple[list[str], list[str], list[str]]:
    """The tags, names of structs and names of Python's classes that the vocabulary has rules for."""
    whole: Vocabulary = vocabulary()
    for root in FRAMEWORKS:
        whole.named("python", f"{root}.Warm")
        whole.named("struct", f"{root}.Warm")
    found: dict[str, list[str]] = {"tag": [], "struct": [], "python": []}
    for kind, name in sorted(whole._by_name):
        if kind in found:
            found[kind].append(name)
    return found["tag"], found["struct"], found["python"]


@cache
def layers() -> list[str]:
    """The names of torch's modules among them."""
    return [name for name in known()[2] if name.startswith("torch.nn.") and "(class)" not in name]


# -- new values -------------------------------------------------------------------------------------------------------


def scalar(choose: Random) -> Any:
    kind = choose.randrange(10)
    if kind < 4:
        return choose.choice(EDGES)
    if kind == 4:
        return Int32(choose.choice(EDGES) % 2**31)
    if kind == 5:
        return choose.choice((0.0, -0.0, 1.5, float("nan"), float("inf"), 1e300))
    if kind == 6:
        return choose.choice((None, True, False))
    if kind == 7:
        return Blob(memoryview(choose.randbytes(choose.choice((0, 1, 2, 4, 8, 16, 32, 2496)))))
    if kind == 8:
        return choose.choice((Opaque(9, bytes(8)), RawText("\udcff")))
    return choose.choice(WORDS)


def value(choose: Random, depth: int) -> Any:
    """Anything, with ``depth`` levels below it at most."""
    if depth <= 0 or choose.random() < 0.3:
        return scalar(choose)
    return choose.choice(MAKERS)(choose, depth - 1)


def a_list(choose: Random, depth: int) -> Any:
    return [value(choose, depth) for _ in range(choose.choice((0, 1, 2, 2, 3, 5)))]


def a_dict(choose: Random, depth: int) -> Any:
    return {choose.choice(KEYS + WORDS): value(choose, depth) for _ in range(choose.randrange(4))}


def a_reference(choose: Random, depth: int) -> Any:
    return {"tag": "backref", "ref": choose.choice((1, 1, 2, 3, 4, 0, -1, 99))}


def a_type(choose: Random, depth: int) -> Any:
    name = choose.choice(("Core.Any", "Core.Nothing", "Main.A", *(f"Core.{bits}" for bits in BITS), *known()[1]))
    params = [value(choose, min(depth, 1)) for _ in range(choose.choice((0, 0, 1, 2, 3, 5)))]
    return {"tag": "datatype", "name": name.split("."), "params": params}


def an_array(choose: Random, depth: int) -> Any:
    type_ = {"tag": "datatype", "name": ["Core", choose.choice((*BITS, "Any", "Nothing"))], "params": []}
    size = choose.choice(([0], [1], [2], [2, 2], [4], [1, 1], [2, 0], [8], []))
    count = 1
    for length in size:
        count *= length
    width = BITS[type_["name"][1]].itemsize if type_["name"][1] in BITS else 0
    data = (
        [value(choose, depth) for _ in range(count)]
        if not width and choose.random() < 0.7
        else Blob(memoryview(bytes(count * width)))
    )
    document = {"tag": "array", "type": type_, "size": size, "data": data}
    if choose.random() < 0.4:
        document["python"] = choose.choice(
            ("numpy.ndarray", "torch.Tensor", "torch.nn.Parameter", "bytearray", "array.array")
        )
    if choose.random() < 0.3:
        document["dtype"] = choose.choice([*sorted(NAMED), "bool", "complex32", "qint8"])
    return document


def a_struct(choose: Random, depth: int) -> Any:
    data = [value(choose, depth) for _ in range(choose.choice((0, 1, 1, 2, 2, 3, 4, 5, 7, 9)))]
    document = {"tag": "struct", "type": a_type(choose, depth), "data": data}
    if choose.random() < 0.2:
        document["python"] = choose.choice(known()[2])
    return document


def a_python(choose: Random, depth: int) -> Any:
    document = {"tag": "python", "type": choose.choice(known()[2]), "state": value(choose, depth)}
    for _ in range(choose.randrange(3)):
        document[choose.choice(KEYS)] = value(choose, depth)
    return document


def a_module(choose: Random, depth: int) -> Any:
    sections = {
        name: a_dict(choose, depth)
        for name in ("parameters", "buffers", "modules", "attributes")
        if choose.random() < 0.5
    }
    return {
        "tag": "python",
        "type": choose.choice(layers()),
        "state": {"training": choose.choice((True, True, 1)), **sections},
    }


def a_tagged(choose: Random, depth: int) -> Any:
    return {
        "tag": choose.choice(known()[0]),
        **{choose.choice(KEYS): value(choose, depth) for _ in range(choose.randrange(4))},
    }


MAKERS: Final[tuple[Callable[[Random, int], Any], ...]] = (
    *(
        a_list,
        a_dict,
        a_reference,
        a_type,
        an_array,
        an_array,
        a_struct,
        a_struct,
        a_python,
        a_python,
        a_module,
        a_tagged,
    ),
)


def document(choose: Random) -> Document:
    """A document of up to three values and up to four entries of ``_backrefs``; most are small, which are tried faster."""
    depth = choose.choice((2, 2, 3, 4))
    made = {f"x{n}": value(choose, depth) for n in range(choose.choice((1, 1, 1, 2, 3)))}
    count = choose.choice((0, 0, 1, 2, 4))
    return {**made, "_backrefs": [value(choose, depth - 1) for _ in range(count)]} if count else made


# -- mutation ---------------------------------------------------------------------------------------------------------


def copied(node: Any, *, seals: bool = True) -> Any:
    """A document that can be changed without its seed; without ``seals`` its arrays are those of a file that has none."""
    if isinstance(node, dict):
        return {key: copied(part, seals=seals) for key, part in node.items()}
    if isinstance(node, list):
        return [copied(part, seals=seals) for part in node]
    return Blob(node.data, node.sealed and seals) if type(node) is Blob else node


def places(node: Any, budget: int = 400) -> list[tuple[Any, Any]]:
    """(container, key) of all that can be changed."""
    found: list[tuple[Any, Any]] = []
    stack = [node]
    while stack and len(found) < budget:
        here = stack.pop()
        for key, part in list(here.items()) if isinstance(here, dict) else list(enumerate(here)):
            found.append((here, key))
            if isinstance(part, dict | list):
                stack.append(part)
    return found


def replace(choose: Random, at: list[tuple[Any, Any]]) -> None:
    here, key = choose.choice(at)
    here[key] = value(choose, 2)


def drop(choose: Random, at: list[tuple[Any, Any]]) -> None:
    here, key = choose.choice(at)
    if isinstance(here, dict):
        here.pop(key, None)
    elif here:
        here.pop()


def insert(choose: Random, at: list[tuple[Any, Any]]) -> None:
    here, _ = choose.choice(at)
    if isinstance(here, dict):
        here[choose.choice(KEYS + WORDS)] = value(choose, 2)
    else:
        here.insert(choose.randint(0, len(here)), value(choose, 2))


def exchange(choose: Random, at: list[tuple[Any, Any]]) -> None:
    """Put one part in the place of another: types in places of sizes, and a document inside itself by reference only."""
    (here, key), (there, other) = choose.choice(at), choose.choice(at)
    try:
        here[key] = copied(there[other])
    except (KeyError, IndexError):
        return


def retype(choose: Random, at: list[tuple[Any, Any]]) -> None:
    """Call a document something else: another tag, another class, another struct."""
    named = [here for here, key in at if key in ("tag", "type", "python", "name") and isinstance(here, dict)]
    if not named:
        return
    here = choose.choice(named)
    if isinstance(here.get("name"), list):
        here["name"] = choose.choice(known()[1]).split(".")
    elif isinstance(here.get("type"), str):
        here["type"] = choose.choice(known()[2])
    elif "python" in here:
        here["python"] = choose.choice(known()[2])
    else:
        here["tag"] = choose.choice(known()[0])


def nudge(choose: Random, at: list[tuple[Any, Any]]) -> None:
    """Change a number a little, or to an edge."""
    numbers = [(here, key) for here, key in at if key in here_keys(here) and type(here[key]) is int]
    if numbers:
        here, key = choose.choice(numbers)
        here[key] = choose.choice((here[key] + 1, here[key] - 1, -here[key], choose.choice(EDGES)))
        here[key] = max(-(2**63), min(2**63 - 1, here[key]))


def here_keys(here: Any) -> Any:
    return here if isinstance(here, dict) else range(len(here))


MUTATIONS: Final = (replace, drop, insert, exchange, exchange, retype, retype, nudge, nudge)


def mutated(choose: Random, seed: Document) -> Document:
    """``seed`` with one to four changes."""
    changed = copied(seed)
    for _ in range(choose.choice((1, 1, 1, 2, 2, 3, 4))):
        at = places(changed)
        if not at:
            return document(choose)
        choose.choice(MUTATIONS)(choose, at)
    return changed or document(choose)


def every(seeds: list[Document]) -> Iterator[Document]:
    """Documents without an end, for a property test."""
    number = 0
    while True:
        choose = Random(number)
        yield mutated(choose, choose.choice(seeds)) if number % 3 else document(choose)
        number += 1
