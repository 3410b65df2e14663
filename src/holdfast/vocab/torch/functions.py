"""torch's functions and classes that stand as values: an activation, ``norm_layer=nn.LayerNorm``, an average's rule.

Strategy: an exact table that is made when the vocabulary is imported; see ``vocab/named.py``. What reads or writes
files, compiles or changes a switch is not in it.
"""

from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch.optim import swa_utils
from torch.optim.swa_utils import SWALR

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import FormatError

INTERNAL: Final = frozenset({"assert_int_or_pair", "boolean_dispatch", "handle_torch_function"})

TENSOR_FUNCTIONS: Final = (
    "abs acos acosh add addmm alpha_dropout amax amin angle argmax argmin asin asinh atan atan2 atanh bmm cat ceil "
    "celu clamp clamp_max clamp_min complex concat conj cos cosh cosine_similarity cummax cummin cumprod cumsum "
    "deg2rad diff div dot dropout einsum erf erfc erfinv exp exp2 expm1 flatten fmax fmin floor frac heaviside hypot "
    "lerp lgamma log log10 log1p log2 log_softmax logaddexp logit logsumexp matmul max maximum mean median min minimum "
    "mm mul neg norm pairwise_distance pow prelu prod reciprocal relu relu_ remainder round rrelu rsqrt rsub selu "
    "sigmoid sign sin sinc sinh softmax sqrt square squeeze stack std sub sum tan tanh transpose true_divide trunc "
    "unsqueeze var where xlogy zeros_like ones_like"
)
"""Functions of ``torch`` itself that only compute."""


def _functions(module: Any, names: Any) -> dict[str, Any]:
    found = {name: getattr(module, name, None) for name in names}
    return {
        f"{module.__name__}.{name}": value
        for name, value in found.items()
        if isinstance(value, FunctionType | BuiltinFunctionType)
    }


def _public(module: Any) -> list[str]:
    return [n for n in vars(module) if not n.startswith(("_", "has_torch_function")) and n not in INTERNAL]


FUNCTIONS: Final = {
    **_functions(torch, TENSOR_FUNCTIONS.split()),
    **_functions(F, _public(F)),
    **_functions(torch.nn.init, [name for name in _public(torch.nn.init) if name.endswith("_")]),
    **{f"torch.optim.swa_utils.SWALR.{name}": getattr(SWALR, name) for name in ("_linear_anneal", "_cosine_anneal")},
}
"""Name in a file -> function."""


# -- functions with a number inside -----------------------------------------------------------------------------------

DECAYS: Final = {
    "get_ema_multi_avg_fn": True,
    "get_ema_avg_fn": True,
    "get_swa_multi_avg_fn": False,
    "get_swa_avg_fn": False,
}
"""The makers of averages in ``torch.optim.swa_utils``, and whether they take a decay."""

MAKERS: Final = {name: getattr(swa_utils, name) for name in DECAYS}


def _code(function: Any) -> Any:
    return getattr(getattr(function, "__wrapped__", None), "__code__", None)


CODES: Final = {_code(make()): name for name, make in MAKERS.items()}
"""The compiled body that a maker's functions have in common -> the maker."""


def lower_average(function: Any) -> Any:
    """The document of a function that one of ``MAKERS`` made; any other as it is."""
    code = _code(function)
    name = CODES.get(code) if code is not None else None
    if name is None:
        return function
    fields = Fields(tag="python", type=f"torch.optim.swa_utils.{name}")
    if DECAYS[name]:
        cells = dict(zip(code.co_freevars, function.__wrapped__.__closure__, strict=True))
        fields["decay"] = float(cells["decay"].cell_contents)
    return fields


def average_rule(name: str) -> Rule:
    make = MAKERS[name]

    def lift(level: Fields) -> Any:
        if not DECAYS[name]:
            return make()
        if type(level["decay"]) is not float:
            raise FormatError(f"the decay of an average is {level['decay']!r:.40}")
        return make(level["decay"])

    return Rule("python", f"torch.optim.swa_utils.{name}", lift=lift)


AVERAGES: Final = [average_rule(name) for name in MAKERS]
