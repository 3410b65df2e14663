"""What ``inspect`` says is what ``load`` builds, and nothing is built that was not audited.

Strategy: values of all vocabularies, and documents that were mutated: the tree of ``inspect`` is walked beside the loaded
value, and each entry that names a type, a shape, a dtype or a shared place must be true of what is reached by its path.
The second half watches the rules themselves: whatever ``lift`` calls was chosen by the audit, for that very document.
"""

import random
import re
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import grammar, seeds
from fuzz.targets import warm
from holdfast.codec import audit as engine
from holdfast.codec.lower import lower
from holdfast.codec.rule import Options, Rule
from holdfast.errors import HoldfastError
from holdfast.formats import bson
from holdfast.formats.look.entry import Entry
from holdfast.formats.look.inspect import inspect_file
from holdfast.formats.look.nodes import MAX_TEXT
from holdfast.vocab import vocabulary
from holdfast.wire.checksum import seal
from holdfast.wire.plan import plan_document

DOCUMENTS: list[dict[str, Any]] = []


@pytest.fixture(scope="module", autouse=True)
def _documents() -> None:
    warm()
    DOCUMENTS.extend(seeds.documents())


def file_with(document: dict[str, Any], *, sealed: bool = True) -> bson.File:
    plan = plan_document(document, trailer=sealed)
    if sealed:
        seal(plan)
    return bson.file_of("m.bson", b"".join(plan.buffers()), patterns=False)


def built(file: bson.File) -> dict[str, Any]:
    audited = file.audit(file.names, vocabulary())
    return file.lift(audited, file.names, vocabulary(), Options())


STEP = re.compile(r"\.([^.\[\]]+)|\[('(?:[^'\\]|\\.)*'|-?\d+)\]")


def reached(values: dict[str, Any], path: str) -> Any:
    """What stands at ``path`` of the loaded values."""
    name = re.match(r"[^.\[]*", path)
    assert name is not None
    value, place = values[name[0]], name.end()
    for step in STEP.finditer(path, place):
        attribute, key = step.groups()
        if attribute is not None:
            value = getattr(value, attribute)
        elif key.startswith("'"):
            value = value[key[1:-1]]
        else:
            value = value[int(key)] if not isinstance(value, torch.nn.Module) else list(value.children())[int(key)]
    return value


def claims(entry: Entry, value: Any) -> list[str]:
    """What ``entry`` says that is not true of ``value``."""
    wrong = []
    if isinstance(value, np.ndarray | torch.Tensor):
        if entry.shape != tuple(value.shape):
            wrong.append(f"{entry.path}: shape {entry.shape} is {tuple(value.shape)}")
        dtype = str(value.dtype).removeprefix("torch.")
        if entry.dtype != dtype:
            wrong.append(f"{entry.path}: dtype {entry.dtype} is {dtype}")
    elif entry.shape is not None:
        wrong.append(f"{entry.path}: an array of shape {entry.shape} is a {type(value).__name__}")
    own = type(value).__module__.partition(".")[0] in ("torch", "numpy")
    named = f"{type(value).__module__}.{type(value).__qualname__}"
    if own and "." in entry.type and entry.type.rpartition(".")[2] != named.rpartition(".")[2]:
        wrong.append(f"{entry.path}: {entry.type} is a {named}")
    plain = value[:MAX_TEXT] if isinstance(value, str) else value
    if type(value) in (bool, int, str) and entry.value is not None and entry.value != plain:
        wrong.append(f"{entry.path}: {entry.value!r} is {value!r}")
    return wrong


MODELS = [
    torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.LSTM(3, 2)),
    [np.zeros((2, 3), kind) for kind in ("bool", "int8", "float16", "complex64", "datetime64[s]", "S3")],
    {"a": {"b": [torch.arange(6.0).view(2, 3).t(), torch.ones(2, dtype=torch.bfloat16)]}, "n": 3, "s": "text"},
    [np.asfortranarray(np.ones((2, 3))), np.zeros(2, [("x", "f4"), ("n", "i8", (2,))]), np.zeros((0, 4))],
    torch.nn.ModuleDict({"head": torch.nn.Embedding(3, 4), "act": torch.nn.ReLU()}),
]


@pytest.mark.parametrize("value", MODELS, ids=lambda value: type(value).__name__)
def test_what_inspect_says_is_what_load_builds(value: Any) -> None:
    file = file_with(lower({"x": value}, vocabulary()))
    values, tree, seen = built(file), inspect_file(file), 0
    for entry in tree.walk():
        if not entry.path:
            continue
        try:
            found = reached(values, entry.path)
        except (AttributeError, KeyError, IndexError, TypeError):
            continue  # a part that only the file has, such as the mode of a module
        assert claims(entry, found) == []
        seen += 1
    assert seen >= 3


@pytest.mark.parametrize("change", [{"shape": (3, 2)}, {"dtype": "float64"}, {"type": "torch.nn.Conv1d"}])
def test_a_wrong_claim_is_seen(change: dict[str, Any]) -> None:
    right = {"name": "w", "path": "w", "type": "torch.Tensor", "shape": (2, 3), "dtype": "float32"}
    assert claims(Entry(**right), torch.zeros(2, 3)) == []
    assert len(claims(Entry(**right | change), torch.zeros(2, 3))) == 1


arrays = st.tuples(
    st.sampled_from(["bool", "int8", "uint16", "int64", "float32", "complex128"]),
    st.lists(st.integers(0, 3), max_size=4),
    st.booleans(),
).map(lambda made: np.zeros(made[1], made[0], order="F" if made[2] else "C"))
tensors = st.tuples(
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool]), st.lists(st.integers(0, 3), max_size=4)
).map(lambda made: torch.zeros(made[1], dtype=made[0]))
names = st.text("abcxyz_", min_size=1, max_size=5)
nested = st.recursive(
    arrays | tensors | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, nested, min_size=1, max_size=3), st.booleans())
def test_types_shapes_names_and_sharing(values: dict[str, Any], twice: bool) -> None:
    if twice:
        values = {**values, "twice": [values, values]}
    file = file_with(lower(values, vocabulary()))
    loaded = built(file)
    assert loaded.keys() == values.keys()
    first: dict[str, Any] = {}
    for entry in inspect_file(file).walk():
        if not entry.path:
            continue
        found = reached(loaded, entry.path)
        assert claims(entry, found) == []
        if entry.shared is not None:
            assert first[entry.shared] is found, f"{entry.path} is not {entry.shared}"
        first[entry.path] = found


class Recorded:
    """Rules that note for which document they are called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[tuple[Rule, int]] = []
        plain = Rule.lifted
        recorded = self.called

        def lifted(rule: Rule, level: Any, options: Options) -> Any:
            recorded.append((rule, id(level)))
            return plain(rule, level, options)

        monkeypatch.setattr(Rule, "lifted", lifted)


def test_nothing_is_built_that_was_not_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over mutated documents: each rule that builds is one that the audit chose, or one of a plain wire value."""
    recorded = Recorded(monkeypatch)
    scalars = {vocabulary().named("tag", name) for name in ("Int32", "Blob", "Opaque")}
    tried = 0
    for number in range(600):
        choose = random.Random(number)
        document = grammar.mutated(choose, choose.choice(DOCUMENTS)) if number % 3 else grammar.document(choose)
        try:
            file = file_with(document, sealed=False)
            audited = file.audit(file.names, vocabulary())
        except HoldfastError:
            continue
        chosen = set(audited.rules.values()) | scalars
        asked: list[str] = []
        recorded.called.clear()
        with monkeypatch.context() as patch:
            patch.setattr(engine, "rule_of", lambda *args, asked=asked: asked.append("rule_of"))
            with suppress(HoldfastError):
                file.lift(audited, file.names, vocabulary(), Options())
        assert {rule for rule, _ in recorded.called} <= chosen
        assert asked == [], "a rule was looked up while building"
        tried += 1
    assert tried > 150
