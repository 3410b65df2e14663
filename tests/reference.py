"""Finds the files that real Julia wrote: those in the repository, and the large collections beside a checkout.

``VECTORS`` is in the repository and always there. ``JULIA`` (BSON.jl's and Flux's values with their outputs, a JSON
beside each) and ``CORPUS`` (models from public repositories, with a manifest) stand in a folder beside the checkout and
may be missing; tests that need them are marked ``needs_julia_files`` or ``needs_corpus`` and say so when skipped.

    @needs_julia_files
    @pytest.mark.parametrize("path", julia_files("generic"), ids=stem)
    def test_value(path):
        expected = described(path)
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
BESIDE = ROOT.parent / "shared"
JULIA = BESIDE / "julia"
CORPUS = BESIDE / "corpus"

needs_julia_files = pytest.mark.skipif(
    not JULIA.is_dir(), reason="the collection of files written by Julia does not stand beside this checkout"
)
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the collection of models from public repositories does not stand beside this checkout"
)


def julia_files(folder: str) -> list[Path]:
    """The BSON files of one folder of ``JULIA`` (``generic``, ``flux-0.12.1`` …); none where they are missing."""
    return sorted((JULIA / folder).glob("*.bson"))


def stem(path: Path) -> str:
    """A file's name without its ending, for a test's name."""
    return path.stem


def described(path: Path) -> dict[str, Any]:
    """The JSON beside a file: what Julia said of it."""
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def array(description: dict[str, Any]) -> np.ndarray:
    """An array of such a JSON, ``{eltype, size, data}``, with Julia's axes in Julia's order."""
    data = [float(number) if isinstance(number, str) else number for number in description["data"]]
    return np.array(data, np.dtype(description["eltype"].lower())).reshape(description["size"], order="F")


def corpus_files() -> list[dict[str, Any]]:
    """The manifest's entries, each with its ``path`` made absolute under ``at``; none where the corpus is missing."""
    manifest = CORPUS / "manifest.jsonl"
    lines = manifest.read_text(encoding="utf-8").splitlines() if manifest.is_file() else []
    return [{**entry, "at": CORPUS / entry["file"]} for entry in map(json.loads, lines)]
