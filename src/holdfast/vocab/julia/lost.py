"""What Julia wrote without its values: memory addresses. Loading it says so, instead of giving rubbish."""

from collections.abc import Callable
from typing import Any, Final

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import FormatError
from holdfast.julia.types import type_name


def _lost(what: str, advice: str) -> Callable[[Fields], Any]:
    def lift(level: Fields) -> Any:
        raise FormatError(
            f"a {type_name(level['type'])} was saved as {what}: its values are not in the file. {advice}",
        )

    return lift


_CUDA: Final = _lost("the address of memory on a GPU", "In Julia, save cpu(model) instead of model")
_BIG: Final = _lost("the address of memory in the process that wrote it", "In Julia, save string(x) instead of x")

LOST: Final = [
    Rule("struct", "CuArrays.CuArray", lift=_CUDA),
    Rule("struct", "CUDA.CuArray", lift=_CUDA),
    Rule("struct", "CuArray", lift=_CUDA),
    Rule("struct", "Base.GMP.BigInt", lift=_BIG),
]
