"""The README's table, made of the cases: ``python tests/attacks/table.py`` prints the whole page."""

import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from attacks.case import MODULES, WORDS, Case, every_case  # noqa: E402

HEAD: Final = """# Hostile inputs

Every file here was made to do harm: to run something, to write or open something, to take memory or time without an end, to
end the process, or to give a wrong value. Each goes through `load`, `load(mmap=False)`, `inspect`, `verify`, every tensor of
`holdfast.safetensors.safe_open`, `holdfast show` and `holdfast show --values`, and each time:

- nothing is imported, compiled, run, written, connected to, and no other path is opened (an audit hook looks on);
- the folder, `sys.modules`, the environment, every random generator and every switch of torch and NumPy are as before;
- memory grows by at most 64 MiB over what the file itself has, and it takes at most 2 seconds of processor time;
- no thread and no open file is left;
- what comes is an error of Holdfast's own tree with a message of bounded length, or the value that the table says.

The cases are in `framing.py`, `tags.py` and so on; `case.py` says what a case is, `oracles.py` what is looked at, `child.py`
how they are run: in one warm process that forks for each. To add one, write it where it belongs, then
`python tests/attacks/table.py > tests/attacks/README.md`. A case is never marked as failing: what gets through is mended.
"""


def row(case: Case) -> str:
    """One line of the table."""
    cells = (f"`{case.name}`", case.idea, WORDS[case.must], case.check)
    return "| " + " | ".join(printable(cell) for cell in cells) + " |"


def printable(text: str) -> str:
    """``text`` as a cell: odd characters escaped, no line ends, no bars."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown.replace("|", "\\|")


def page() -> str:
    """The whole README."""
    cases = list(every_case().values())
    parts = [HEAD, f"\n{len(cases)} inputs.\n"]
    for title, modules in MODULES.items():
        parts.append(f"\n## {title[0].upper()}{title[1:]}\n")
        for module in modules:
            rows = [row(case) for case in cases if case.group == module]
            heading = (sys.modules[f"attacks.{module}"].__doc__ or "").strip()
            parts += [
                f"\n### {module}.py\n\n{heading}\n\n| name | idea | must happen | the check that stops it |\n|---|---|---|---|\n"
            ]
            parts += [line + "\n" for line in rows]
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
