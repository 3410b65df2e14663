"""Every hostile input, through every way in, in one warm process that forks for each; and the table in the README."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attacks.case import MODULES, every_case
from attacks.table import page

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "src" / "holdfast"

TOGETHER = 20
"""Cases that share a process: to make one takes longer than most cases."""

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="memory is measured by Linux's /proc"
)


@pytest.fixture(scope="module")
def attack() -> Iterator[Callable[[str], list[str]]]:
    """Tries the case of a name, with those that follow it in the table, and says what went wrong."""
    names, known = list(every_case()), dict[str, list[str]]()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, str(HERE / "child.py")]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"

        def run(name: str) -> list[str]:
            assert child.stdin is not None
            assert child.stdout is not None
            if name not in known:
                at = names.index(name)
                print(*names[at : at + TOGETHER], file=child.stdin, flush=True)
                known.update(json.loads(child.stdout.readline()))
            return known[name]

        yield run
        child.stdin.close()


@pytest.mark.parametrize("name", every_case())
def test_hostile_input(name: str, attack: Callable[[str], list[str]]) -> None:
    assert attack(name) == []


def test_the_table_is_that_of_the_cases() -> None:
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    assert readme == page(), "python tests/attacks/table.py > tests/attacks/README.md"


def test_every_check_names_a_place_that_exists() -> None:
    for case in every_case().values():
        place = case.check.partition(":")[0]
        found = (SOURCE / place).exists() or (SOURCE.parent.parent / place).exists() or place == "holdfast.flux"
        assert found or place == "the system's own error, with the path", f"{case.name}: {place}"


def test_every_module_of_cases_is_in_the_table_of_formats() -> None:
    listed = {module for modules in MODULES.values() for module in modules}
    assert listed == {case.group for case in every_case().values()}
