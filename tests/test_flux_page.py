"""docs/flux.md: its tables are those of the code, and what it shows runs."""

import importlib.util
import re
from types import ModuleType

import pytest

from reference import ROOT

PAGE = (ROOT / "docs" / "flux.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_up_to_date(tables):
    new = tables.up_to_date(PAGE)
    differs = [f"-{old}\n+{line}" for old, line in zip(PAGE.split("\n"), new.split("\n"), strict=False) if old != line]
    assert new == PAGE, f"run scripts/docs; from here on:\n{differs[:1]}"


def test_the_names_of_fields_are_up_to_date(tables):
    old = tables.FIELDS.read_text(encoding="utf-8")
    assert tables.fields_module(old) == old, "run scripts/docs"
    assert tables.fields_module(old.replace("padding_idx", "padding")) == old


@pytest.mark.parametrize(("old", "new"), [("`Dense`", "`Sparse`"), ("<!-- layers -->\n", "<!-- layers -->\nmore\n")])
def test_another_table_is_seen(tables, old, new):
    assert tables.up_to_date(PAGE.replace(old, new)) == PAGE


@pytest.mark.parametrize("mark", ["<!-- layers -->", "<!-- end of modules -->"])
def test_a_table_without_a_place_is_said(tables, mark):
    for page in (PAGE.replace(mark, ""), PAGE + mark):
        with pytest.raises(ValueError, match=f"needs .*{mark}|once each"):
            tables.up_to_date(page)


def test_every_layer_and_optimiser_stands_in_it():
    from holdfast.vocab.flux.layouts import BY_NAME
    from holdfast.vocab.flux.optimiser_layouts import BY_NAME as OPTIMISERS

    for name in BY_NAME:
        assert f"| `{name.removeprefix('Flux.')}` |" in PAGE
    for name in OPTIMISERS:
        assert f"`{name}`" in PAGE


def test_what_it_shows_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert [type(part).__name__ for part in names["net"]] == ["Linear", "ReLU", "Linear", "Softmax"]
    assert repr(names["opt"]) == "Adam(0.001, (0.9, 0.999))"
    assert names["opt"].param_groups[0]["params"][0] is names["model"][0].weight


def test_the_script_can_be_started():
    assert (ROOT / "scripts" / "docs").stat().st_mode & 0o111
