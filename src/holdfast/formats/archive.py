"""The directory of a zip archive, read with care before anything else looks into the file.

Strategy: a zip says everything twice, in front of each member and in its directory, and readers that believe different
halves can be told different things. Here both must agree, members must lie side by side from the first byte on and
have names of their own, and what a member says that it holds must be in reach of what it takes in the file.
"""

from collections.abc import Iterator
from os import fspath

from holdfast.formats.file import Path


def names(path: Path) -> Iterator[str]:
    """The names in the directory."""
    from zipfile import BadZipFile, ZipFile

    from holdfast.errors import FormatError

    try:
        with ZipFile(fspath(path)) as archive:
            yield from archive.namelist()
    except (BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise FormatError(f"the zip archive is damaged: {error}") from None
