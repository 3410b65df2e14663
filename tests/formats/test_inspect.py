"""What ``inspect`` says of a file is what ``load`` builds from it, and it builds nothing, whatever the file says."""

import collections
import datetime
import decimal
import math
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from holdfast.codec.rule import Options
from holdfast.errors import FormatError
from holdfast.formats import bson
from holdfast.formats.look.entry import MAX_LINES, Entry
from holdfast.formats.look.inspect import MAX_PATHS, inspect_file
from holdfast.vocab import vocabulary
from holdfast.wire.plan import plan_document
from holdfast.wire.read import read_document
from holdfast.wire.values import Blob, Int32
from reference import JULIA, ROOT, described, julia_files, needs_julia_files, stem
from through_memory import saved


def opened(data: bytes) -> bson.File:
    reading = read_document(data)
    return bson.File("memory", data, reading.document, reading.sealed, False, reading.blobs)


def entry_of(value: Any) -> Entry:
    """The entry of ``value``, saved as ``x``."""
    return inspect_file(opened(saved(value))).find("x")


def of_document(document: dict[str, Any]) -> Entry:
    """The tree of a document as BSON.jl would write it."""
    return inspect_file(opened(b"".join(plan_document(document, trailer=False).buffers())))


class Words(list):
    pass


class Pair(collections.namedtuple("Pair", "a b")):
    pass


class Plain:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)

SCALARS = [
    (None, "NoneType"),
    (True, "bool"),
    (3, "int"),
    (10**30, "int"),
    (2.5, "float"),
    (1j, "complex"),
    ("text", "str"),
    ((1, 2), "tuple"),
    (range(3), "range"),
    (range(0, 9, 4), "range"),
    (slice(1, 2), "slice"),
    (np.float32(1.5), "numpy.float32"),
    (np.int32(7), "numpy.int32"),
    (np.uint8(7), "numpy.uint8"),
    (decimal.Decimal("1.5"), "decimal.Decimal"),
    (datetime.date(2020, 1, 2), "datetime.date"),
    (datetime.datetime(2020, 1, 2, 3), "datetime.datetime"),
    (datetime.timedelta(1, 2), "datetime.timedelta"),
    (pathlib.PurePosixPath("/a"), "pathlib.PurePosixPath"),
]


@pytest.mark.parametrize(("value", "type_"), SCALARS, ids=lambda value: repr(value)[:30])
def test_one_value(value, type_):
    entry = entry_of(value)
    assert (entry.type, entry.value, entry.children, entry.nbytes) == (type_, value, (), 0)


ARRAYS = [
    (MATRIX, "float32"),
    (np.asfortranarray(MATRIX), "float32"),
    (MATRIX.T, "float32"),
    (MATRIX[:, ::2], "float32"),
    (MATRIX[0], "float32"),
    (np.array(1.5), "float64"),
    (np.zeros((0, 3)), "float64"),
    (np.zeros((2, 3, 4), np.complex64), "complex64"),
    (np.array([True, False]), "bool"),
    (np.zeros(3, "M8[s]"), "datetime64[s]"),
    (np.array(["ab", "c"]), "<U2"),
]


@pytest.mark.parametrize(("array", "dtype"), ARRAYS, ids=lambda value: str(getattr(value, "shape", value)))
def test_one_array(array, dtype):
    entry = entry_of(array)
    found = (entry.type, entry.shape, entry.dtype, entry.nbytes, entry.children)
    assert found == ("numpy.ndarray", array.shape, dtype, array.nbytes, ())


OBJECTS = [
    ([1, "a"], "list", ["[0]", "[1]"]),
    ((MATRIX, 1), "tuple", ["[0]", "[1]"]),
    ({"a": 1, "b c": 2}, "dict", ["['a']", "['b c']"]),
    ({1: "x", "tag": "y", (1, 2): "z"}, "dict", ["[1]", "['tag']", "['(1, 2)']"]),
    (collections.OrderedDict(a=1), "collections.OrderedDict", ["['a']"]),
    ({3}, "set", ["[0]"]),
    (collections.deque([5], 2), "collections.deque", ["[0]", ".maxlen"]),
    (Plain(rate=1.5, layer=[1]), "Plain", [".rate", ".layer"]),
    (Words(["a"]), "Words", ["[0]"]),
    (Pair(1, 2), "Pair", ["[0]", "[1]"]),
    ([], "list", []),
]


@pytest.mark.parametrize(("value", "type_", "segments"), OBJECTS, ids=lambda value: str(value)[:20])
def test_what_holds_others(value, type_, segments):
    entry = entry_of(value)
    assert entry.type.removeprefix(f"{__name__}.") == type_
    if type(value) is not Pair:
        assert [child.path for child in entry.children] == [f"x{segment}" for segment in segments]


def test_attributes_beside_contents_are_children_too():
    value = Words(["a"])
    value.note = MATRIX
    assert [(child.path, child.type) for child in entry_of(value).children] == [
        ("x[0]", "str"),
        ("x.note", "numpy.ndarray"),
    ]


def test_bytes_are_counted_and_not_kept():
    entry = entry_of({"raw": b"12345", "buffer": bytearray(b"123")})
    assert [(child.type, child.nbytes, child.value) for child in entry.children] == [
        ("bytes", 5, None),
        ("bytearray", 3, None),
    ]


def test_a_long_plain_list_is_not_spread_out():
    entry = entry_of(list(range(100_000)))
    assert (entry.type, entry.length, entry.children) == ("list", 100_000, ())
    assert entry_of([1, 2]).length == 2


# -- sharing and depth ------------------------------------------------------------------------------------------------


def test_shared_arrays_count_once():
    entry = entry_of({"a": MATRIX, "b": [MATRIX, MATRIX]})
    assert entry.nbytes == MATRIX.nbytes
    first, second = entry.find("x['a']"), entry.find("x['b'][1]")
    assert (first.shared, first.nbytes) == (None, MATRIX.nbytes)
    assert (second.shared, second.nbytes, second.shape) == ("x['a']", 0, (2, 3))


def test_a_cycle_ends():
    value: list[Any] = [1]
    value.append({"again": value})
    again = entry_of(value).find("x[1]['again']")
    assert (again.type, again.shared, again.children) == ("list", "x", ())


def test_depth_costs_no_recursion():
    value: list[Any] = []
    for _ in range(2_000):
        value = [value]
    entry = entry_of(value)
    assert sum(1 for _ in entry.walk()) == 2_001
    assert len(str(entry).splitlines()) <= MAX_LINES + 1


def test_what_lies_very_deep_is_counted_and_not_listed():
    value: list[Any] = []
    for _ in range(20_000):
        value = [value]
    entries = list(entry_of(value).walk())
    assert sum(len(entry.path) for entry in entries) <= MAX_PATHS
    assert (entries[-1].length, entries[-1].children) == (1, ())


def test_what_is_shared_by_ever_more_places_is_described_once():
    """Thirty lists, each holding the next one twice: two to the thirtieth places."""
    value: Any = [MATRIX]
    for _ in range(30):
        value = [value, value]
    assert sum(1 for _ in entry_of(value).walk()) < 100


# -- what inspect says is what load builds ----------------------------------------------------------------------------

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=9)
)
DTYPES = hnp.boolean_dtypes() | hnp.integer_dtypes(endianness="=") | hnp.floating_dtypes(endianness="=")
MEMBERS = LEAVES | hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
VALUES = st.recursive(
    MEMBERS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def check(entry: Entry, value: Any) -> None:
    """Compare an entry, and those below it, with what was loaded."""
    assert entry.shared is None
    assert entry.type == ("numpy.ndarray" if isinstance(value, np.ndarray) else type(value).__name__)
    if isinstance(value, np.ndarray):
        assert (entry.shape, entry.dtype, entry.nbytes) == (value.shape, value.dtype.name, value.nbytes)
    elif isinstance(value, bytes):
        assert entry.nbytes == len(value)
    elif isinstance(value, dict | list) or (isinstance(value, tuple) and entry.children):
        members = list(value.values() if isinstance(value, dict) else value)
        assert entry.length == len(members) == len(entry.children)
        assert [child.name for child in entry.children] == (
            list(value) if type(value) is dict else [*range(len(value))]
        )
        for child, member in zip(entry.children, members, strict=True):
            check(child, member)
        assert entry.nbytes == sum(child.nbytes for child in entry.children)
    else:
        assert entry.value == value


@given(VALUES)
def test_it_says_what_load_builds(value):
    file = opened(saved(value))
    rules = vocabulary()
    loaded = file.lift(file.audit(["x"], rules), ["x"], rules, Options())["x"]
    check(inspect_file(file).find("x"), loaded)


@needs_julia_files
@pytest.mark.parametrize("path", julia_files("generic"), ids=stem)
def test_arrays_of_julia_have_their_size(path):
    sizes = {
        name: tuple(value["size"])
        for name, value in described(path).get("values", {}).items()
        if isinstance(value, dict) and "size" in value and "eltype" in value
    }
    tree = inspect_file(bson.open_file(path))
    found = {entry.name: entry.shape for entry in tree.children if entry.type.startswith("Array{")}
    assert {name: found[name] for name in found if name in sizes} == {n: sizes[n] for n in found if n in sizes}


@needs_julia_files
@pytest.mark.parametrize("version", ["0.8.3", "0.12.1", "0.16.9"])
def test_a_flux_model(version):
    tree = inspect_file(bson.open_file(JULIA / f"flux-{version}" / "doc_model.bson"))
    shapes = [
        entry.shape for entry in tree.walk() if entry.shape and not entry.shared and entry.name not in ("data", "grad")
    ]
    assert shapes == [(5, 10), (5,), (2, 5), (2,)]
    dense = tree.find("model.layers[0]")
    assert (tree.find("model").type, dense.type, dense.find("model.layers[0].activation").type) == (
        "Flux.Chain",
        "Flux.Dense",
        "NNlib.relu",
    )


# -- torch, without torch ---------------------------------------------------------------------------------------------


def torch_model() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.BatchNorm1d(3))
    whole = torch.arange(10.0)
    model.register_buffer("whole", whole)
    opt = torch.optim.SGD(model.parameters(), 0.1)
    half = torch.zeros(2, 3, dtype=torch.bfloat16)
    image = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    return {"model": model, "opt": opt, "part": whole[2:5], "half": half, "image": image}


def test_a_torch_model_is_its_layers():
    value = torch_model()
    entry = entry_of(value)
    weight = entry.find("x['model'][0].weight")
    assert (weight.type, weight.shape, weight.dtype) == ("torch.nn.Parameter", (3, 4), "float32")
    assert [child.name for child in entry.find("x['model']").children] == ["whole", "0", "1", "2", "training"]
    assert entry.find("x['model'][2]").type == "torch.nn.BatchNorm1d"
    assert entry.find("x['model'][0].in_features").value == 4
    tensors = [*value["model"].state_dict().values(), value["half"], value["image"]]
    assert entry.nbytes == sum(tensor.numel() * tensor.itemsize for tensor in tensors)


def test_torch_tensors_as_python_sees_them():
    entry = entry_of(torch_model())
    image, half, part = (entry.find(f"x['{name}']") for name in ("image", "half", "part"))
    assert (image.shape, image.dtype, image.nbytes) == ((2, 3, 4, 5), "float32", 480)
    assert (half.shape, half.dtype, half.nbytes) == ((2, 3), "bfloat16", 12)
    assert (part.shape, part.shared, part.nbytes) == ((3,), "x['model'].whole", 0)
    held = entry.find("x['opt'].param_groups[0]['params'][0]")
    assert held.shared == "x['model'][0].weight"


def test_torch_is_not_imported(tmp_path):
    path = tmp_path / "m.bson"
    bson.write(path, {"x": torch_model()}, vocabulary())
    code = (
        "import sys; from holdfast.formats import bson; from holdfast.formats.look.inspect import inspect_file;"
        f"tree = inspect_file(bson.open_file({str(path)!r}));"
        "print(tree.find(\"x['model'][0]\").type, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert done.stdout.split() == ["torch.nn.Linear", "False"]


# -- the text ---------------------------------------------------------------------------------------------------------


def test_the_text_is_a_tree():
    torch = pytest.importorskip("torch")
    assert str(entry_of([torch.nn.Linear(4, 3), 1])).splitlines() == [
        "x: list, 60 B",
        "  0: torch.nn.Linear(in_features=4, out_features=3), 60 B",
        "    weight: torch.nn.Parameter float32 (3, 4), 48 B",
        "    bias: torch.nn.Parameter float32 (3,), 12 B",
        "  1: int = 1",
    ]


def test_the_text_fits_on_a_screen():
    lines = repr(entry_of([[number] for number in range(1000)])).splitlines()
    assert len(lines) == MAX_LINES + 1
    assert "more" in lines[-1]


def test_find_says_what_is_not_there():
    with pytest.raises(KeyError, match=r"no 'x\.y'"):
        entry_of([1]).find("x.y")


# -- documents that are not what they say -----------------------------------------------------------------------------

ARRAY = {"tag": "array", "type": {"tag": "datatype", "name": ["Core", "Float32"], "params": []}, "size": [2]}

BROKEN = [
    {"tag": "array", "type": 3, "size": [2], "data": [1, 2]},
    ARRAY | {"data": 4},
    ARRAY | {"size": {"tag": "backref", "ref": 1}, "data": Blob(memoryview(b""))},
    {"tag": "struct", "type": {"tag": "datatype", "name": ["Base", "Dict"], "params": []}, "data": [1]},
    {"tag": "struct", "type": None, "data": None},
    {"tag": "python", "type": 3},
    {"tag": "tuple", "data": {}},
    {"tag": "tuple", "data": [{}], "python": 3},
    {"tag": "datatype", "name": 3, "params": []},
    {"tag": "unionall", "body": {"tag": "backref", "ref": 2}, "var": 1},
    {"tag": "symbol", "name": []},
    {"tag": 3, "data": 1},
]


@pytest.mark.parametrize("node", BROKEN, ids=map(str, range(len(BROKEN))))
def test_a_broken_document_is_shown_all_the_same(node):
    loop = {"tag": "unionall", "var": 1, "body": {"tag": "backref", "ref": 2}}
    size = {**ARRAY, "size": {"tag": "backref", "ref": 1}, "data": Blob(memoryview(b""))}
    tree = of_document({"x": node, "_backrefs": [size, loop]})
    assert tree.children[0].name == "x"
    assert str(tree)


def test_a_reference_to_nowhere():
    with pytest.raises(FormatError, match="entry 7 of 1"):
        of_document({"x": {"tag": "backref", "ref": 7}, "_backrefs": [1]})


KEYS = st.sampled_from(
    ["tag", "type", "data", "size", "name", "params", "state", "python", "ref", "slabs", "base", "body"]
)
TAGS = st.sampled_from(
    ["array", "struct", "python", "tuple", "datatype", "unionall", "backref", "svec", "ref", "symbol"]
)
NAMES = st.sampled_from(
    ["Core", "Base", "Dict", "Set", "Float32", "Complex", "PermutedDimsArray", "torch.Tensor", "int"]
)
ANYTHING = st.recursive(
    st.none()
    | st.integers(-2, 5)
    | st.floats()
    | TAGS
    | NAMES
    | st.just(Int32(1))
    | st.just(Blob(memoryview(b"12345678"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@given(ANYTHING, st.lists(ANYTHING, max_size=4))
def test_any_document_has_a_tree_or_is_refused(node, backrefs):
    try:
        tree = of_document({"x": node, "_backrefs": backrefs})
    except FormatError:
        return
    assert not math.isnan(tree.nbytes)
    assert str(tree)
