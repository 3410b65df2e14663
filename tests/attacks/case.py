"""What a hostile input is: bytes (or a place in the file system), and what must become of it.

Strategy: one table, ``CASES``, filled by a decorator in the modules of ``MODULES``; the README and the tests are made of
it. A case says what ``load`` must do. The other ways in (``inspect``, ``verify``, the command) may say more of a file than
``load`` builds, but never leave our own tree of errors; a case that is bad for all of them says ``every=True``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from holdfast.errors import ChecksumError, FormatError, HoldfastError, LimitError, UntrustedError

FORMAT, LIMIT, UNTRUSTED, CHECKSUM = FormatError, LimitError, UntrustedError, ChecksumError
REFUSED = HoldfastError
"""Any error of our own."""
OS = OSError
"""The operating system's own error, as ``open`` gives it."""

READ: Final = "read"
"""The file is good: ``load`` gives a value, of which ``good`` must hold."""
EITHER: Final = "either"
"""A value or an error of ours: what matters is that nothing else happens."""

WORDS: Final[dict[Any, str]] = {
    FORMAT: "FormatError",
    LIMIT: "LimitError",
    UNTRUSTED: "UntrustedError",
    CHECKSUM: "ChecksumError",
    REFUSED: "an error of ours",
    OS: "OSError",
    READ: "is read",
    EITHER: "is read, or an error of ours",
}

MODULES: Final[dict[str, tuple[str, ...]]] = {
    "BSON": (
        *("framing", "tags", "references", "names", "attributes", "states"),
        *("tensors", "flux_files", "sizes", "integrity"),
    ),
    "other formats": (
        "foreign",
        "headers",
        "pickles",
        "hdf5_files",
        "hdf5_headers",
        "hdf5_indexes",
        "jld2_objects",
        "overlaps",
        "arrays",
        "safetensors_files",
        "two_formats",
    ),
    "the file system": ("disk",),
}
"""Format -> the modules with its cases. A new format is a new line."""


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile input.

    make    the bytes of the file; or, for what is no file, a function that makes it at a path
    must    the error that ``load`` must raise; READ when it must give a value; EITHER
    check   where the check stands that stops it, and what it asks
    every   whether each way in must fail, and not only ``load``
    good    for READ: what must hold of the value
    script  instead of opening what was made: what is tried, which fails with an AssertionError
    lower   a limit that is set lower meanwhile, so that the file need not be as large: (module, name, value)
    """

    name: str
    idea: str
    must: type[Exception] | str
    check: str
    make: Callable[..., Any]
    group: str
    every: bool = False
    good: Callable[[Any], bool] | None = None
    script: Callable[[Path], None] | None = None
    lower: tuple[str, str, int] | None = None

    def place(self, path: Path) -> None:
        """Make what is hostile at ``path``."""
        made = self.make(path) if self.make.__code__.co_argcount else self.make()
        if isinstance(made, bytes | bytearray):
            path.write_bytes(made)


CASES: dict[str, Case] = {}


def case(
    name: str, idea: str, must: type[Exception] | str, check: str, **more: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put what the function makes into the table."""

    def enter(make: Callable[..., Any]) -> Callable[..., Any]:
        made = Case(name, idea, must, check, make, make.__module__.rpartition(".")[2], **more)
        # pytest imports a module with doctests under another name as well: the same case again is no second one.
        if (there := CASES.setdefault(name, made)).group != made.group or there.idea != idea:
            raise ValueError(f"two cases are called {name}")
        return make

    return enter


def give(name: str, idea: str, data: Any, must: type[Exception] | str, check: str, **more: Any) -> None:
    """As ``case``, for bytes that are at hand, or a function that makes them (where they are many)."""

    def make() -> bytes:
        return data() if callable(data) else data  # type: ignore[no-any-return]

    make.__module__ = more.pop("module")
    case(name, idea, must, check, **more)(make)


def every_case() -> dict[str, Case]:
    """All cases, in the order of the modules."""
    for modules in MODULES.values():
        for module in modules:
            import_module(f"attacks.{module}")
    return CASES
