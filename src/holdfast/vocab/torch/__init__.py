"""PyTorch's values: tensors, modules, optimisers, schedulers. Imported when a value or a name of torch is first met.

layouts.py     sizes, strides and dense memory as Julia's arrays
tensors.py     tensors and parameters; what cannot be saved, and why
sharing.py     tensors that share memory
values.py      dtype, device, Size, Generator
functions.py   functions that stand as values
documents.py   documents of named parts
attributes.py  attributes of modules, optimisers and schedulers
refusals.py    wrappers, generated code and hooks: what to do instead
modules.py     ``torch.nn`` and users' modules
optimisers.py  ``torch.optim``, users' optimisers, GradScaler
schedulers.py  ``torch.optim.lr_scheduler`` and users' schedulers
"""

from functools import cache

import torch

from holdfast.codec.rule import Rule, Vocabulary
from holdfast.vocab.named import value_rules
from holdfast.vocab.torch import functions, modules, optimisers, schedulers, values
from holdfast.vocab.torch.sharing import settle
from holdfast.vocab.torch.tensors import CLASSES, alike, lift_parameter, lift_tensor, refuse_tensor, tensor_rule

__all__ = ["vocabulary"]

TENSORS = [
    Rule(
        "python",
        "torch.Tensor",
        tuple(CLASSES),
        lift_with=lift_tensor,
        settle=settle,
        refuse=refuse_tensor,
        alike=alike,
        blobs=True,
    ),
    Rule("python", "torch.nn.Parameter", lift_with=lift_parameter, alike=alike, blobs=True),
]

NAMED = {
    **functions.FUNCTIONS,
    **modules.CLASSES,
    **optimisers.CLASSES,
    **schedulers.CLASSES,
    **{f"torch.{name}": getattr(torch, name) for name in ("Tensor", "Size", "Generator", "dtype", "device")},
    "torch.nn.Parameter": torch.nn.Parameter,
}
"""The functions and classes of torch that may stand as values."""


@cache
def vocabulary() -> Vocabulary:
    """The rules of torch's values, and of users' modules, optimisers and schedulers; made once."""
    rules = [
        *TENSORS,
        *values.RULES,
        *functions.AVERAGES,
        *modules.known_rules(),
        *modules.option_rules(),
        *optimisers.known_rules(),
        optimisers.REQUIRED,
        *optimisers.scaler_rules(),
        *schedulers.known_rules(),
        *value_rules(NAMED),
    ]
    makers = [tensor_rule, modules.module_rule, optimisers.optimiser_rule, schedulers.scheduler_rule]
    return Vocabulary(rules, class_rules=makers)
