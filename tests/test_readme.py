"""What the README shows runs as it stands, and the files that it names are there."""

import re

import pytest

import holdfast
from holdfast import Series
from reference import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_code_runs_from_top_to_bottom(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    names = {name: getattr(holdfast, name) for name in holdfast.__all__}
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        exec(block, names)
    assert (tmp_path / "mymodel.bson").is_file()
    assert names["loss"] == 0.31
    assert Series(tmp_path / "runs" / "digits", readonly=True).checkpoints[-1].step == 199


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("script", sorted(set(re.findall(r"^ +(scripts/\w+)", README, re.MULTILINE))))
def test_scripts_can_be_started(script):
    assert (ROOT / script).stat().st_mode & 0o111


def test_the_commands_are_those_that_there_are():
    from holdfast.cli import main

    assert set(re.findall(r"^ +holdfast (\w+) ", README, re.MULTILINE)) == set(main.commands)
