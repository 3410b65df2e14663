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


_GPU: Final = _lost(
    "the address of memory on a GPU",
    'In Julia, bring it to the CPU before saving: model = cpu(model); @save "model.bson" model. '
    "Other values of this file load by their names",
)
_BIG: Final = _lost("the address of memory in the process that wrote it", "In Julia, save string(x) instead of x")

GPU_ARRAYS: Final = (
    *("CuArrays.CuArray", "CUDA.CuArray", "CuArray"),
    *("AMDGPU.ROCArray", "Metal.MtlArray", "oneAPI.oneArray"),
)
"""Arrays whose structs hold a pointer into a GPU's memory, and no number."""

LOST: Final = [
    *(Rule("struct", name, lift=_GPU) for name in GPU_ARRAYS),
    Rule("struct", "Base.GMP.BigInt", lift=_BIG),
]
