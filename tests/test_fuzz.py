"""The fuzz targets: what they once found, replayed; a short run of each; and whether they would see a fault at all."""

import signal
from contextlib import suppress
from pathlib import Path

import pytest

from fuzz import flips, grammar
from fuzz.__main__ import NAMES, run
from fuzz.drive import CORPUS
from fuzz.targets import TARGETS, agree, document_of, load, look, warm, written
from holdfast.errors import FormatError
from holdfast.wire import read
from holdfast.wire.plan import plan_document

REPLAYED = [(path.parent.name, path) for path in sorted(CORPUS.glob("*/*"))]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm()


def test_the_command_names_every_target() -> None:
    assert set(NAMES) == TARGETS.keys()


@pytest.mark.parametrize(("target", "path"), REPLAYED, ids=[f"{name}-{path.name}" for name, path in REPLAYED])
def test_what_was_found_once(target: str, path: Path) -> None:
    data = path.read_bytes()
    TARGETS[target].run(data)
    load(data)
    look(data)


@pytest.mark.parametrize("target", NAMES)
def test_a_short_run(target: str) -> None:
    figures = run(target, runs=300, seed=11, plain=True)
    assert figures["broken"] == []
    assert figures["escapes"] == {}
    assert figures["executions"] >= 300


def test_every_seed_is_a_right_answer() -> None:
    for target in TARGETS.values():
        for data in target.seeds():
            target.run(data)


def test_structure_comes_to_the_rules() -> None:
    """Most documents of the grammar pass the reader; else the target would only try that."""
    readable = 0
    for number in range(300):
        file = written(number.to_bytes(4, "little"))
        with suppress(FormatError):
            readable += file is not None and bool(read.read_document(file).document)
    assert readable > 270


def test_the_same_bytes_choose_the_same_document() -> None:
    assert plan_document(document_of(b"abcd")).frame == plan_document(document_of(b"abcd")).frame


def test_the_grammar_knows_the_words_of_every_vocabulary() -> None:
    tags, structs, pythons = grammar.known()
    assert {"array", "struct", "datatype"} <= set(tags)
    assert {"Flux.Dense", "Base.Dict"} <= set(structs)
    assert {"torch.nn.Linear", "numpy.ndarray", "collections.deque"} <= set(pythons)


def test_an_escape_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that gives another document, and a rule that raises what it must not."""
    from fuzz.targets import READERS, Escape

    monkeypatch.setitem(READERS, "wrong", lambda data: {"a": 2})
    with pytest.raises(Escape):
        agree(b"\x10\0\0\0\x12a\0\1\0\0\0\0\0\0\0\0")


def test_greed_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An execution that takes half a gigabyte is an escape, whatever it gives; one that takes little is none."""
    from fuzz import drive

    monkeypatch.setattr(drive, "CORPUS", tmp_path)
    most = iter([0, 1 << 20, 1 << 29, 1 << 29])
    monkeypatch.setattr(drive, "most_memory", lambda: next(most))
    watch = drive.Watch("read", lambda data: None, None, None, None, tmp_path / "told")
    try:
        for data in (b"a", b"b", b"c"):
            watch(data)
    finally:
        watch.close()
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0), "it would go off in another test, a minute later"
    assert list(watch.escapes) == ["Greed"]
    assert [path.read_bytes() for path in tmp_path.glob("read/*")] == [b"b"]


def test_sums_are_made_right() -> None:
    from fuzz import foreign
    from fuzz.sums import mended

    for good in (*foreign.hdf5_seeds(), *foreign.jld2_seeds()):
        assert mended(good) == good
        for at in range(good.index(b"OHDR") if b"OHDR" in good else 0, len(good), 97):
            assert mended(mended(good[:at] + b"?" + good[at + 1 :])) == mended(good[:at] + b"?" + good[at + 1 :])


def test_a_file_of_64_kib_damaged_in_every_way() -> None:
    """A part of what ``python -m fuzz.flips`` does in full with 1 MiB."""
    subject = flips.Subject(flips.sample(1 << 16))
    assert 40_000 < len(subject.good) <= 1 << 16
    tried = [*flips.flips(subject, every=101), *flips.cuts(subject, every=37), *flips.bursts(subject, 200)]
    assert [missed for _, missed in tried if missed] == []
    assert sum(count for count, _ in tried) > 5_000
    assert subject.data[:] == subject.good


def test_a_miss_is_seen() -> None:
    """Without the checksums the same campaign would find what they find."""
    subject = flips.Subject(flips.sample(1 << 16))
    file = subject.is_seen(subject.data)
    assert file, "the good file gives its own values"
    offset, _ = subject.arrays[-1]
    place = offset - 1  # padding or a length just before the data
    subject.data[place] ^= 1
    assert subject.is_seen(subject.data)
    subject.document = {"other": 1}
    subject.data[place] ^= 1
    assert not subject.is_seen(subject.data), "another value than the good file's is a miss"
