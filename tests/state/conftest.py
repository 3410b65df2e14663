"""A file to restore from, for every test of this folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.formats import bson
from holdfast.vocab import vocabulary


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., bson.File]:
    """Saves values by name and opens the file."""

    def write(**values: Any) -> bson.File:
        path = tmp_path / "saved.bson"
        bson.write(path, values, vocabulary())
        return bson.open_file(path)

    return write
