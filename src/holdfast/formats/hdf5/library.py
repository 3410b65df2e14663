"""HDF5's library behind a door: it opens one file, and whatever goes wrong in it is an error of ours.

Strategy: h5py raises many kinds of errors for a damaged file; all of them mean that the file is not what it should be.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from holdfast.errors import FormatError, HoldfastError, LimitError

ODD: Final = (
    *(OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    *(ArithmeticError, AssertionError, SystemError, NotImplementedError),
)
"""What h5py raises for a file that HDF5 did not write so."""
MAX_REASON: Final = 200


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of h5py's as FormatError that says ``what`` was being read."""
    try:
        yield
    except HoldfastError:
        raise
    except MemoryError:
        raise LimitError(f"{what} asks for more memory than there is") from None
    except ODD as error:
        reason = str(error).strip().partition("\n")[0][:MAX_REASON] or type(error).__name__
        raise FormatError(f"HDF5 cannot read {what}: {reason}") from None


def opened(path: str) -> Any:
    """The file at ``path``, to be read only; nobody else is kept from it."""
    import h5py

    with translated("the file"):
        return h5py.File(path, "r", locking=False)
