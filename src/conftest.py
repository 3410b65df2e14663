"""The examples of an integration are tried where its package is installed."""

from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("lightning", "transformers", "accelerate")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """None leaves the decision to pytest."""
    missing = collection_path.stem in PACKAGES and find_spec(collection_path.stem) is None
    return True if missing and collection_path.parent.name == "integrations" else None
