"""Everything that Holdfast raises, in one tree.

    HoldfastError
    ├── FormatError       the bytes are wrong; ``offset`` says at which byte
    │   └── LimitError    the bytes ask for more than a file may (depth, count, size)
    ├── ChecksumError     the bytes are not the ones that were written; ``names`` says of which values
    ├── UntrustedError    the file names classes that the caller has not allowed; ``names`` lists them all
    ├── MismatchError     the file does not fit the live object; ``differences`` lists every one, by path
    ├── UnsupportedError  this value cannot be saved; ``path`` says where it stands
    ├── MissingError      an optional package is not installed; ``package`` says which
    ├── DriftError        a resumed run is not the run that was saved; ``drifted`` says what differs, ``step`` when
    └── DurabilityError   the new file is in place, but may not survive a power cut; also an OSError

Each error but the last is raised before anything changed: the old file is still there, the live model is untouched.
"""

from collections.abc import Sequence

__all__ = [
    "ChecksumError",
    "DriftError",
    "DurabilityError",
    "FormatError",
    "HoldfastError",
    "LimitError",
    "MismatchError",
    "MissingError",
    "UnsupportedError",
    "UntrustedError",
]


class HoldfastError(Exception):
    """The root of the tree: ``except HoldfastError`` catches all that this library raises on purpose."""


class FormatError(HoldfastError):
    """The bytes are not a file that Holdfast reads; ``offset`` is the byte, when one can be named."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message if offset is None else f"{message} (at byte {offset:,})")


class LimitError(FormatError):
    """The file asks for more depth, more values or longer names than any honest file needs."""


class ChecksumError(HoldfastError):
    """Bytes changed after they were written; ``names`` are the paths of the values that are bad."""

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        super().__init__(message)


class UntrustedError(HoldfastError):
    """The file holds objects of classes that nobody allowed; ``names`` are all of them, sorted."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(sorted(names))
        few = [name if len(name) <= 200 else f"{name[:199]}…" for name in self.names[:20]]
        rest = f" and {len(self.names) - len(few):,} more" if len(self.names) > len(few) else ""
        listed = ", ".join(few) + rest
        # A class that stands as a value goes by its name and "(class)".
        allow = ", ".join(dict.fromkeys(name.rpartition(".")[2].removesuffix(" (class)") for name in few))
        super().__init__(
            f"the file holds objects of classes that are not allowed: {listed}. "
            f"If you trust these classes, import them and pass classes=[{allow}] to load, "
            "or register them with @holdfast.register"
        )


class MismatchError(HoldfastError):
    """The file does not fit the live object; ``differences`` says what is in the way, a line each."""

    def __init__(self, message: str, differences: Sequence[str] = ()) -> None:
        self.differences = tuple(differences)
        lines = "".join(f"\n  {difference}" for difference in self.differences)
        super().__init__(message + lines)


class UnsupportedError(HoldfastError):
    """This value cannot be saved; ``path`` is its place in the object, such as ``$.model.layers[2]``."""

    def __init__(self, message: str, path: str = "") -> None:
        self.message = message
        self.path = path
        super().__init__(f"{message} (at {path})" if path else message)


class MissingError(HoldfastError):
    """An optional package is needed and not installed; ``package`` is what to pass to pip."""

    def __init__(self, purpose: str, package: str) -> None:
        self.package = package
        super().__init__(f"{purpose} needs {package}: pip install '{package}'")


class DriftError(HoldfastError):
    """The steps after a restore differ from the same steps before it; ``drifted`` lists what, the likely cause first.

    ``step`` is the first step after which something differed; None when it did right after the restore.
    """

    def __init__(self, message: str, drifted: Sequence[str] = (), step: int | None = None) -> None:
        self.drifted = tuple(drifted)
        self.step = step
        super().__init__(message)


class DurabilityError(HoldfastError, OSError):
    """The new file is in place and whole, but the disk did not confirm its name; ``filename`` is its path."""
