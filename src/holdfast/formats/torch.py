"""PyTorch's own files, as data: what ``torch.load(weights_only=True)`` gives, and never anything more.

Strategy: the zip is looked through before torch sees it, then torch maps it and builds tensors and plain values with
its own unpickler that calls nothing; there is no switch for the other one. The objects become a document by the rules
that save them, on their own memory, so that names, devices and checks are those of every other file. Files from before
PyTorch 1.6 and TorchScript are refused with the line that converts them.
"""

import re
import warnings
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pickle import UnpicklingError
from typing import Any, Final

from holdfast.codec.lower import lower
from holdfast.errors import FormatError, LimitError, UnsupportedError
from holdfast.formats.bson import RESERVED
from holdfast.formats.document.arrays import plain
from holdfast.formats.file import ROOT, File, Path, steady, unchecked
from holdfast.formats.foreign.archive import Bytes, Member, directory
from holdfast.formats.foreign.pickles import storages
from holdfast.storage import local
from holdfast.vocab import vocabulary
from holdfast.wire.checksum import THREADS

PICKLE: Final = "data.pkl"
MAX_PICKLE: Final = 256 << 20
"""Bytes of the part that says where each tensor goes: what a million tensors take."""
SCRIPTS: Final = ("constants.pkl", "code/")
"""What only TorchScript's files hold."""
SCRIPT_ADVICE: Final = (
    "the file is a TorchScript program, not data. Where you trust it, PyTorch converts it: "
    'torch.save(torch.jit.load(path).state_dict(), "new.pt")'
)
ODD: Final = (
    *(RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError),
    *(ArithmeticError, RecursionError, AssertionError, ImportError),
)
"""What torch raises for a pickle that says something else than torch.save does."""
UNKNOWN: Final = re.compile(r"(?:GLOBAL|class|function) ([A-Za-z_][\w.]*)")


def open_file(path: Path, *, mmap: bool = True) -> File:
    """Map or read ``path`` as ``torch.save`` wrote it.

    Raises FormatError for a file that holds more than tensors and plain values, for TorchScript, and for a zip that is
    not what it says.
    """
    return steady(path, lambda name: _opened(name, mmap))


def _opened(path: str, mmap: bool) -> File:
    source = local.open_bytes(path, mmap=mmap)
    members = directory(source.data)
    _check(members)
    damage = _damage(source.data, [member for member in members if not _is_storage(member)])
    if damage:
        raise FormatError(damage)
    _check_storages(source.data, members)
    value = _loaded(path, mmap)
    names = isinstance(value, Mapping) and all(isinstance(k, str) and k not in RESERVED for k in value)
    values = dict(value) if names and value else {ROOT: value}
    try:
        document = plain(lower(values, vocabulary()))
    except UnsupportedError as error:
        raise FormatError(f"what the file holds cannot be taken over: {error}") from None
    return File(
        *(path, source.data, document, False, not (names and value), [], ".pt", bool(names)),
        digest=unchecked,
        frame=lambda: _damage(source.data, members),
        framed=sum(map(_is_storage, members)) if _has_sums(members) else 0,
    )


def _check(members: list[Member]) -> None:
    """Raises FormatError unless the archive is laid out as torch.save does it."""
    tops = {member.name.partition("/")[0] for member in members}
    inside = [member.name.partition("/")[2] for member in members]
    if any(name.startswith(SCRIPTS) for name in inside):
        raise FormatError(SCRIPT_ADVICE)
    if len(tops) != 1 or PICKLE not in inside:
        raise FormatError("the zip archive is not laid out as torch.save does it")
    packed = next((member.name for member in members if member.compressed), None)
    if packed is not None:
        raise FormatError(f"{packed!r} is compressed, which torch.save does not do: unpack it, and save it again")
    if members[inside.index(PICKLE)].size > MAX_PICKLE:
        raise LimitError(f"the pickle of the file has more than {MAX_PICKLE:,} bytes")


def _check_storages(data: Bytes, members: list[Member]) -> None:
    """Raises FormatError unless each storage is as long as the pickle says. torch believes the pickle, and would read
    what follows as numbers."""
    sizes = {member.name.partition("/")[2]: member.size for member in members}
    (program,) = (member for member in members if member.name.partition("/")[2] == PICKLE)
    for key, nbytes in storages(data[program.start : program.start + program.taken]):
        if sizes.get(f"data/{key}") != nbytes:
            raise FormatError(f"the pickle of the file says that storage {key!r:.40} has {nbytes:,} bytes; it has not")


def _is_storage(member: Member) -> bool:
    """Whether a member is the memory of tensors, and not what says what they are."""
    return member.name.partition("/")[2].startswith("data/")


def _loaded(path: str, mmap: bool) -> Any:
    """What torch makes of the file, on the CPU."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except UnpicklingError as error:
        found = UNKNOWN.search(str(error))
        what = f"it names {found[1]}" if found else "its pickle is not one of tensors and plain values"
        raise FormatError(
            f"the file holds more than tensors and plain values ({what}), which only running its pickle could build, and "
            "that is never done. Where its code is known, save what matters again: torch.save(model.state_dict(), path)"
        ) from None
    except MemoryError:
        raise LimitError("the file asks for more memory than there is") from None
    except ODD as error:
        raise FormatError(f"torch cannot read the file: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _damage(data: Bytes, members: list[Member]) -> str:
    """The members whose CRC-32 is another."""
    if not _has_sums(members):
        return ""
    view = memoryview(data)
    with ThreadPoolExecutor(THREADS) as pool:
        sums = pool.map(lambda m: zlib.crc32(view[m.start : m.start + m.taken]), members)
        bad = [member.name for member, sum_ in zip(members, sums, strict=True) if sum_ != member.crc]
    return f"damaged parts: {', '.join(bad)}" if bad else ""


def _has_sums(members: list[Member]) -> bool:
    """Whether the members have a CRC-32: torch can be told to write none, and then all of them are 0."""
    return any(member.crc for member in members)
