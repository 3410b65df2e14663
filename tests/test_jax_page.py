"""docs/jax.md: what it shows runs."""

import re
from pathlib import Path
from typing import Any

import pytest

from reference import ROOT

PAGE = (ROOT / "docs" / "jax.md").read_text(encoding="utf-8")


def test_what_it_shows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("jax", "flax", "equinox", "optax"):
        pytest.importorskip(package, reason=f"needs {package}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert (names["step"], names["params"]["dense"]["kernel"].dtype.name) == (100, "bfloat16")
    assert names["net"](names["jnp"].ones(3)).shape == (2,)
    assert names["state"].tx is names["tx"]
