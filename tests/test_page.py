"""The page "Saving and Loading Models", line by line: docs/quickstart.md runs, and keeps what it says."""

import contextlib
import io
import os
import re
from pathlib import Path

import pytest

from reference import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The names that the page's blocks leave behind, run in a folder of their own."""
    home = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("page"))
    names: dict[str, object] = {"__name__": "page"}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            for block in BLOCKS:
                exec(compile(block, "docs/quickstart.md", "exec"), names)
        names["files"] = sorted(path.name for path in Path().iterdir())
    finally:
        os.chdir(home)
    names["printed"] = printed.getvalue()
    return names


def test_the_page_runs(page: dict[str, object]) -> None:
    assert "Chain(Dense(10, 5, relu), Dense(5, 2), softmax)" in str(page["printed"])


def test_it_leaves_the_files_of_the_page(page: dict[str, object]) -> None:
    files = page["files"]
    assert isinstance(files, list)
    assert {"mymodel.bson", "model-checkpoint.bson"} <= set(files)
    assert any(re.fullmatch(r"model-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.bson", name) for name in files)
    assert not any(name.endswith(".tmp") for name in files)


def test_the_page_on_training_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block, *_ = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(encoding="utf-8"), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    first: dict[str, object] = {}
    exec(compile(block.replace("every=30", "every_steps=7"), "docs/training.md", "exec"), first)
    again: dict[str, object] = {}
    exec(
        compile(block.replace("range(start.step, 40)", "range(start.step, start.step)"), "docs/training.md", "exec"),
        again,
    )
    assert getattr(again["start"], "step", 0) > 30


def test_the_page_has_all_that_it_should() -> None:
    """Whole model, weights, loadparams, loss beside the model, model and optimiser."""
    text = "\n".join(BLOCKS)
    for line in (
        'save("mymodel.bson", model=model)',
        'model = load("mymodel.bson", "model")',
        "weights = data(params(model))",
        "loadparams(model, weights)",
        "loss=testloss())",
        'save("mymodel.bson", model=model, opt=opt)',
        "cb=evalcb",
        "@throttle(30)",
    ):
        assert line in text
