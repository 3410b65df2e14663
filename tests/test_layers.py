"""The house stands: imports point down, siblings know nothing of each other, and ``import holdfast`` is light."""

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator

import pytest

from reference import ROOT

SOURCE = ROOT / "src" / "holdfast"

LEVELS = [
    {"errors", "clock", "collector"},
    {"wire", "storage", "julia"},
    {"codec", "flux"},
    {"vocab"},
    {"formats"},
    {"state"},
    {"api"},
    {"checkpoint", "safetensors"},
    {"integrations"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. What stands in one set does not import its neighbours."""

ALLOWED = {
    "codec": {"errors", "wire", "julia"},
    "flux": {"errors"},
    "__init__": {"errors", "clock", "vocab", "api", "checkpoint"},
}
"""Where less is allowed than the levels below."""

PACKAGES = {
    "wire": {"xxhash"},
    "storage": {"typing_extensions", "numpy"},
    "julia": {"numpy", "ml_dtypes"},
    "flux": {"torch", "numpy", "rich"},
    "vocab": {"numpy", "ml_dtypes", "torch", "jax", "flax", "equinox", "optax"},
    "formats": {"numpy", "ml_dtypes", "torch", "safetensors", "h5py"},
    "state": {"numpy", "torch"},
    "checkpoint": {"numpy", "torch"},
    "safetensors": {"numpy", "torch", "jax"},
    "integrations": {"torch", "transformers", "accelerate"},
    "cli": {"click", "rich", "numpy", "matplotlib"},
}
"""The third parties that each room may know; a room that is not listed knows the standard library only."""

MODULES = sorted(SOURCE.rglob("*.py"))


def room_of(module: str) -> str:
    """``holdfast.wire.read`` stands in ``wire``; the package itself is ``__init__``."""
    room = module.split(".")[1:2]
    return room[0] if room and level_of(room[0]) < len(LEVELS) else "__init__"


def imports(source: str, module: str) -> Iterator[str]:
    """Every module that the code of ``module`` names in an import, at the top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*module.split(".")[: -node.level], *filter(None, [node.module])] if node.level else [node.module]
            name = ".".join(base)
            yield from ([f"{name}.{alias.name}" for alias in node.names] if name == "holdfast" else [name])


def level_of(room: str) -> int:
    return next((i for i, rooms in enumerate(LEVELS) if room in rooms), len(LEVELS))


def complaints(source: str, module: str) -> list[str]:
    """What is wrong with the imports of ``module``, a line each."""
    here, found = room_of(module), []
    below = {room for rooms in LEVELS[: level_of(here)] for room in rooms}
    for name in imports(source, module):
        root = name.partition(".")[0]
        if root == "holdfast":
            there = room_of(name)
            if there != here and there not in ALLOWED.get(here, below):
                found.append(f"{module} imports {name}, which does not stand below it")
        elif root not in sys.stdlib_module_names and root not in PACKAGES.get(here, set()):
            found.append(f"{module} imports {root}, which {here} does not know")
    return found


def module_name(path):
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_down(path):
    package = module_name(path) + (".__init__" if path.name == "__init__.py" else "")
    assert complaints(path.read_text(encoding="utf-8"), package) == []


def test_every_room_has_a_level():
    rooms = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms <= set().union(*LEVELS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("holdfast.wire.read", "from holdfast.codec import lift"),
        ("holdfast.wire.read", "import numpy"),
        ("holdfast.wire.read", "from holdfast.storage.local import publish"),
        ("holdfast.wire.read", "from ..storage import local"),
        ("holdfast.wire.read", "def read():\n    import holdfast.api"),
        ("holdfast.flux.basic", "from holdfast.julia import Struct"),
        ("holdfast.api", "import click"),
        ("holdfast.vocab.torch", "from holdfast import load"),
        ("holdfast.vocab.torch", "import holdfast"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert len(complaints(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "holdfast.wire.read",
            "from holdfast.wire.plan import PAGE\nfrom holdfast import errors\nimport os.path, mmap",
        ),
        ("holdfast.wire.read", "from . import values\nfrom ..errors import FormatError"),
        ("holdfast.cli.__init__", "import click\nfrom holdfast.formats import bson\nfrom .look import ls"),
    ],
)
def test_a_right_import_is_not(module, source):
    assert complaints(source, module) == []


# -- What `import holdfast` costs -------------------------------------------------------------------------------------


def python(code: str) -> str:
    """What ``code`` prints in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_import_loads_no_framework():
    loaded = set(python("import sys, holdfast; print(*sys.modules)").split())
    assert "holdfast" in loaded
    assert not loaded & {"numpy", "torch", "jax", "jaxlib", "click", "rich", "safetensors", "h5py", "holdfast.flux"}
    assert not loaded & {"lightning", "transformers", "accelerate", "holdfast.integrations"}


def test_saving_and_loading_loads_no_framework_that_the_values_do_not_need(tmp_path):
    use = (
        f"from holdfast import load, save; save({str(tmp_path / 'm.bson')!r}, a=1); load({str(tmp_path / 'm.bson')!r})"
    )
    loaded = set(python(f"import sys; {use}; print(*sys.modules)").split())
    assert "numpy" in loaded
    assert not loaded & {"torch", "jax", "jaxlib", "click", "rich", "safetensors", "h5py", "holdfast.flux"}


def import_seconds(module: str) -> float:
    return float(python(f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"))


def test_import_takes_less_than_twice_numpy():
    """A ratio of medians, taken in turn; machines are noisy, so a bad one is measured again, a few times."""
    ratios = []
    for _ in range(5):
        pairs = [(import_seconds("holdfast"), import_seconds("numpy")) for _ in range(5)]
        ours, numpys = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratios.append(ours / numpys)
        if ratios[-1] < 2:
            return
    pytest.fail(f"import holdfast takes {min(ratios):.2f} times as long as import numpy")
