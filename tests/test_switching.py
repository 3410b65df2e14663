"""The page for those who come from elsewhere: docs/switching.md runs, and its table is the table of formats."""

import re
from pathlib import Path

import pytest
import torch

from holdfast.formats.choose import FORMATS
from reference import ROOT

PAGE = (ROOT / "docs" / "switching.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, "docs/switching.md", "exec"), names)
    assert "Flux.Chain" in capsys.readouterr().out
    weights, tensors = names["weights"], names["tensors"]
    assert isinstance(weights, dict)
    assert isinstance(tensors, dict)
    assert weights.keys() == tensors.keys()
    assert isinstance(names["rows"], torch.Tensor)
    assert names["notes"] == {"epoch": "3"}


def test_every_format_stands_in_the_table() -> None:
    rows = {line.split("|")[1]: line.split("|")[3].strip() for line in PAGE.splitlines() if line.startswith("| `.")}
    for row in FORMATS:
        (said,) = (written for files, written in rows.items() if f"`{row.endings[0]}`" in files)
        assert said == ("yes" if row.writes else "no")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+)\)", PAGE))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


def test_the_flags_are_those_of_the_command() -> None:
    from holdfast.cli.convert import convert

    known = {option for parameter in convert.params for option in parameter.opts}
    assert set(re.findall(r"(--[a-z][a-z-]+)", PAGE)) <= known


def test_the_names_of_a_series_exist() -> None:
    from holdfast import Series

    for name in re.findall(r"series\.(\w+)\(", PAGE):
        assert hasattr(Series, name), name
