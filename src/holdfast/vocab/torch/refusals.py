"""Modules that are not saved, and what to do instead.

Strategy: two tables of names, so that nothing of torch is imported only to refuse it: wrappers and generated code by
a class they stand on, and hooks by what registered them. A hook is code: it cannot be in a file, and a model that
silently lost one would be another model.
"""

from typing import Any, Final

from torch import nn

from holdfast.errors import UnsupportedError

WRAPPERS: Final = {
    "torch.nn.parallel.data_parallel.DataParallel": "wraps the model for several GPUs: save model.module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "wraps the model for several processes: save model.module",
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": (
        "holds one part of the model: save the model that it wraps, gathered"
    ),
    "torch.distributed.fsdp._fully_shard._fully_shard.FSDPModule": "holds one part of the model: gather it first",
    "torch._dynamo.eval_frame.OptimizedModule": "is a compiled model: save model._orig_mod",
    "torch.jit._script.ScriptModule": "is a compiled program: save the Python module that it was made from",
    "torch.jit._trace.TopLevelTracedModule": "is a compiled program: save the Python module that it was made from",
    "torch.fx.graph_module.GraphModule": "is generated code: save the module that it was traced from",
    "torch.nn.modules.lazy.LazyModuleMixin": "has no weights yet: run one batch through the model before saving it",
}
"""Base class -> why such a module is not saved. Lazy modules become ordinary ones with their first batch."""

PARAMETRISED: Final = (
    "is parametrised, which is code: call torch.nn.utils.parametrize.remove_parametrizations(module, name) before "
    "saving, and parametrise it again after loading"
)

HOOK_ADVICE: Final = {
    "WeightNorm": "call torch.nn.utils.remove_weight_norm(module) before saving, and weight_norm again after loading",
    "SpectralNorm": (
        "call torch.nn.utils.remove_spectral_norm(module) before saving, and spectral_norm again after loading"
    ),
    "BasePruningMethod": "call torch.nn.utils.prune.remove(module, name) before saving: what is pruned stays zero",
}
"""Class of a hook -> how to take it off."""

HOOKS: Final = tuple(name for name in vars(nn.Module()) if name.endswith("_hooks"))
"""Where a module keeps its hooks."""


def names_of(cls: type) -> list[str]:
    """The full names of a class and its bases."""
    return [f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__]


def obstacle(cls: type) -> str | None:
    """Why modules of ``cls`` are not saved, or None."""
    if cls.__module__ == "torch.nn.utils.parametrize":
        return f"a {cls.__qualname__} {PARAMETRISED}"
    known = [WRAPPERS[name] for name in names_of(cls) if name in WRAPPERS]
    return f"a {cls.__qualname__} {known[0]}" if known else None


def refuse_hooks(module: nn.Module) -> None:
    """Raises UnsupportedError when ``module`` has a hook of any kind, or is parametrised."""
    held = vars(module)
    if "parametrizations" in held["_modules"]:
        raise UnsupportedError(f"a {type(module).__qualname__} {PARAMETRISED}")
    for kind in HOOKS:
        for hook in held[kind].values():
            raise UnsupportedError(_about(module, kind, hook))


def _about(module: nn.Module, kind: str, hook: Any) -> str:
    what = f"a {type(module).__qualname__} has a {kind.strip('_').removesuffix('s').replace('_', ' ')}"
    known = [HOOK_ADVICE[base.__name__] for base in type(hook).__mro__ if base.__name__ in HOOK_ADVICE]
    name = getattr(hook, "__qualname__", type(hook).__qualname__)
    advice = known[0] if known else "remove it before saving, and register it again after loading"
    return f"{what} ({name}), which is code: {advice}"
