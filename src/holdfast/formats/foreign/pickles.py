"""Which storages a pickle of ``torch.save`` names, and how large it says they are: read, never run.

Strategy: the standard library lists the pickle's instructions and what each takes from the stack and puts there, so a
stack of tokens can follow them: texts, numbers and names are known, everything else is unknown. Each storage is named by
a tuple of known tokens; a pickle that makes one in any other way is not torch's.

Source: ``pickletools`` of the standard library, and ``torch.serialization._save``.
"""

import pickletools
from collections.abc import Iterator
from typing import Any, Final

from holdfast.errors import FormatError

WIDTHS: Final = {
    **dict.fromkeys(("UntypedStorage", "ByteStorage", "CharStorage", "BoolStorage"), 1),
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage", "QUInt4x2Storage", "QUInt2x4Storage"), 1),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    "ComplexDoubleStorage": 16,
}
"""Bytes of one element of a storage, by the name of its class."""

UNKNOWN: Final = object()
MARK: Final = object()
PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
GETS: Final = frozenset({"GET", "BINGET", "LONG_BINGET"})
TEXTS: Final = frozenset({"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
NUMBERS: Final = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})


def storages(program: bytes) -> Iterator[tuple[str, int]]:
    """The key of each storage that ``program`` names, and its bytes.

    Raises FormatError when ``program`` is no pickle as torch.save writes it.

    >>> import pickle
    >>> list(storages(pickle.dumps({"a": 1}, protocol=2)))
    []
    """
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(program):
            name = opcode.name
            if name in PUTS:
                memo[argument] = stack[-1]
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in GETS:
                stack.append(memo[argument])
            elif name in TEXTS or name in NUMBERS:
                stack.append(argument)
            elif name == "GLOBAL":
                stack.append((argument,))
            elif name == "MARK":
                stack.append(MARK)
            elif name == "TUPLE":
                stack.append(tuple(_above_mark(stack)))
            elif name == "BINPERSID":
                yield _storage(stack.pop())
                stack.append(UNKNOWN)
            else:
                _follow(opcode, stack)
    except (ValueError, IndexError, KeyError, UnicodeError, OverflowError) as error:
        raise FormatError(f"the pickle of the file is not one of torch.save's: {error}") from None


def _above_mark(stack: list[Any]) -> list[Any]:
    at = len(stack) - 1 - stack[::-1].index(MARK)
    found = stack[at + 1 :]
    del stack[at:]
    return found


def _follow(opcode: Any, stack: list[Any]) -> None:
    """Take and put what an instruction takes and puts, without knowing what it is."""
    before = list(opcode.stack_before)
    if pickletools.markobject in before:
        _above_mark(stack)
        before = before[: before.index(pickletools.markobject)]
    if len(before) > len(stack):
        raise IndexError("it takes more than there is")
    if before:
        del stack[-len(before) :]
    stack.extend([UNKNOWN] * len(opcode.stack_after))


def _storage(named: Any) -> tuple[str, int]:
    match named:
        case ("storage", (str(cls),), str(key), str(), int(count)):
            module, _, name = cls.partition(" ")
            if module.partition(".")[0] == "torch" and name in WIDTHS and 0 <= count < 1 << 60:
                return key, count * WIDTHS[name]
    raise ValueError("it names a storage as torch does not")
