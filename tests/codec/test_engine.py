"""The engine on its own: identity, cycles, depth, paths; with rules of a few lines."""

from typing import Any

import pytest

from holdfast.codec.audit import audit
from holdfast.codec.lift import lift
from holdfast.codec.lower import HOIST_DEPTH, lower
from holdfast.codec.rule import Fields, Items, Options, Rule, Shared, Vocabulary
from holdfast.errors import FormatError, UnsupportedError, UntrustedError
from holdfast.vocab import vocabulary
from holdfast.wire.plan import plan_document
from holdfast.wire.read import read_document
from holdfast.wire.values import MAX_DEPTH
from through_memory import again, loaded, saved, written


def test_shared_objects_are_one_again() -> None:
    inner = [1, 2]
    back = again({"a": inner, "b": [inner, (inner,)], "equal": [1, 2]})
    assert back["a"] is back["b"][0] is back["b"][1][0]
    assert back["equal"] == back["a"]
    assert back["equal"] is not back["a"]


def test_a_shared_object_is_written_once() -> None:
    inner = list(range(10_000))
    assert len(saved([inner] * 50)) < len(saved([inner])) + 50 * 64


def test_cycles_close() -> None:
    cycle: list[Any] = [1]
    cycle.append({"self": cycle})
    back = again(cycle)
    assert back[1]["self"] is back
    tied: tuple[Any, ...] = ([],)
    tied[0].append(tied)
    back = again(tied)
    assert back[0][0] is back


def test_a_doubling_structure_stays_small() -> None:
    value: Any = ()
    for _ in range(200):
        value = (value, value)
    assert len(saved(value)) < 40_000
    back = again(value)
    assert back[0] is back[1]


@pytest.mark.parametrize("depth", [HOIST_DEPTH - 1, HOIST_DEPTH, HOIST_DEPTH + 1, HOIST_DEPTH + 2, MAX_DEPTH, 20_000])
def test_depth_has_no_limit_for_the_writer(depth: int) -> None:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    back = again(value)
    for _ in range(depth):
        (back,) = back
    assert back == "bottom"


def test_the_path_of_a_refused_value() -> None:
    value = {"layers": [{"act": 1}, {"act": ({"deep": object},)}]}
    value["layers"][1]["act"][0]["deep"] = lambda x: x
    with pytest.raises(UnsupportedError) as caught:
        lower({"model": value}, vocabulary())
    assert caught.value.path == "$.model['layers'][1]['act'][0]['deep']"


def test_the_path_below_the_hoist() -> None:
    value: Any = lambda x: x  # noqa: E731
    for _ in range(HOIST_DEPTH + 3):
        value = [value]
    with pytest.raises(UnsupportedError) as caught:
        lower({"x": value}, vocabulary())
    assert caught.value.path == "$.x" + "[0]" * (HOIST_DEPTH + 3)


def test_all_untrusted_names_are_listed_at_once_and_nothing_is_built() -> None:
    built: list[str] = []

    def lift_spy(level: Any) -> None:
        built.append("built")

    rules = vocabulary().extended([Rule("python", "spy", lift=lift_spy)])
    document: dict[str, Any] = {
        "x": [
            {"tag": "python", "type": "spy"},
            {"tag": "python", "type": "b.B"},
            {"a": {"tag": "python", "type": "a.A"}},
        ]
    }
    with pytest.raises(UntrustedError) as caught:
        audit(document, ["x"], rules)
    assert caught.value.names == ("a.A", "b.B")
    assert "classes=[A, B]" in str(caught.value)
    assert not built


BAD_REFERENCES = [0, -1, 2, 1.0, "1", None, True]


@pytest.mark.parametrize("number", BAD_REFERENCES)
def test_bad_references_are_refused(number: Any) -> None:
    document = written({"x": {"tag": "backref", "ref": number}, "_backrefs": [[1]]})
    rules = vocabulary()
    with pytest.raises(FormatError, match="back-reference"):
        lift(audit(document, ["x"], rules), ["x"], rules, Options())


def test_references_forward_and_between_entries() -> None:
    def reference(number: int) -> dict[str, Any]:
        return {"tag": "backref", "ref": number}

    document = written({"x": [reference(1), reference(2)], "_backrefs": [[reference(2)], ["end"]]})
    rules = vocabulary()
    first, second = lift(audit(document, ["x"], rules), ["x"], rules, Options())["x"]
    assert first == [["end"]]
    assert first[0] is second


def test_a_reference_without_entries_is_a_dictionary() -> None:
    document = read_document(bytes(plan_document({"x": {"tag": "backref", "ref": 1}}, trailer=False).frame)).document
    rules = vocabulary()
    assert lift(audit(document, ["x"], rules), ["x"], rules, Options())["x"] == {"tag": "backref", "ref": 1}


def test_a_value_that_cannot_contain_itself_is_refused() -> None:
    document = written(
        {"x": {"tag": "backref", "ref": 1}, "_backrefs": [{"tag": "tuple", "data": [{"tag": "backref", "ref": 1}]}]}
    )
    rules = vocabulary()
    with pytest.raises(FormatError, match="contains itself"):
        lift(audit(document, ["x"], rules), ["x"], rules, Options())


def test_settle_sees_all_values_of_its_rule_once() -> None:
    class Part:
        pass

    calls: list[int] = []

    def settle(parts: list[Part]) -> list[Fields]:
        calls.append(len(parts))
        return [Fields(tag="python", type="Part", index=Items([index])) for index, _ in enumerate(parts)]

    rule = Rule("python", "Part", (Part,), settle=settle)
    low = lower({"x": [Part(), Part(), Part()]}, vocabulary().extended([rule]))
    assert calls == [3]
    assert [part["index"] for part in low["x"]] == [[0], [1], [2]]


def test_a_shared_constant_stands_once() -> None:
    constant = Shared(tag="datatype", params=[], name=["Core", "Any"])
    rule = Rule("python", "C", (frozenset,), lambda value: Fields(tag="python", type="C", of=constant), identity=False)
    rules = Vocabulary([rule], parent=vocabulary())
    assert "_backrefs" not in lower({"x": frozenset("a")}, rules)
    low = lower({"x": [frozenset("a"), frozenset("b"), frozenset("c")]}, rules)
    assert low["_backrefs"] == [constant]


def test_only_the_wanted_name_is_built() -> None:
    data = saved({"a": 1})
    document = read_document(data).document
    document["other"] = {"tag": "python", "type": "not.Allowed"}
    rules = vocabulary()
    assert lift(audit(document, ["x"], rules), ["x"], rules, Options()) == {"x": {"a": 1}}
    assert loaded(data) == {"a": 1}
