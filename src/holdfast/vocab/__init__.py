"""The rules: what each value is in a file, the two directions side by side.

julia.py    BSON.jl's tags and the structs of Julia's Base
python.py   Python's own values
classes.py  users' classes
numpy.py    arrays and scalars; dtypes.py: their dtypes, which are values too
absent.py   tensors where torch is not installed
randoms.py  NumPy's random generators
torch.py    tensors, modules, optimisers (imported when first met)
flux.py     Flux's structs as the modules of ``holdfast.flux`` (likewise)
hosted.py   JAX's arrays without JAX
jax/        JAX's arrays and keys; Flax, Equinox, Optax (likewise)
types.py    the documents of Julia's types
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from holdfast.codec.rule import Vocabulary
from holdfast.vocab import absent, classes, dtypes, hosted, instances, julia, numpy, python, randoms


def _torch() -> Vocabulary | None:
    if find_spec("torch") is None:
        return None
    from holdfast.vocab import torch

    return torch.vocabulary()


def _flux() -> Vocabulary | None:
    if find_spec("torch") is None:
        return None
    from holdfast.vocab import flux

    return flux.vocabulary()


def _jax() -> Vocabulary:
    if find_spec("jax") is None:
        return Vocabulary([hosted.RULE, hosted.KEY])
    from holdfast.vocab import jax

    return jax.vocabulary()


def _on_jax(package: str) -> Callable[[], Vocabulary | None]:
    """What gives the vocabulary of a library that stands on JAX."""

    def load() -> Vocabulary | None:
        if find_spec("jax") is None or find_spec(package) is None:
            return None
        whole: Vocabulary = import_module(f"holdfast.vocab.jax.{package}").vocabulary()
        return whole

    return load


def _argparse() -> Vocabulary:
    """A namespace is saved like any object; its module is too slow to import for those who have none."""
    from argparse import Namespace

    rule = instances.state_rule(Namespace, "argparse.Namespace")
    return Vocabulary([rule] if rule else [])


FLUX_PACKAGES: Final = ("Flux", "Tracker", "NNlib", "Zygote", "Optimisers", "MLUtils")
"""Julia packages whose structs Flux models are made of."""

FRAMEWORKS: Final[dict[str, Callable[[], Vocabulary | None]]] = {
    "argparse": _argparse,
    "torch": _torch,
    "holdfast": _flux,
    **dict.fromkeys(("jax", "jaxlib"), _jax),
    **{package: _on_jax(package) for package in ("flax", "equinox", "optax")},
    **dict.fromkeys(FLUX_PACKAGES, _flux),
}
"""First word of a class's module or of a name in a file -> the vocabulary that knows it."""


@cache
def standing() -> Vocabulary:
    """The rules that hold for every file; frameworks join when they are first met."""
    rules = [*julia.RULES, *python.RULES, *numpy.RULES, *dtypes.RULES, *absent.RULES, *randoms.RULES]
    return Vocabulary(rules, class_rules=[classes.class_rule], frameworks=FRAMEWORKS)


def vocabulary(allowed: Any = ()) -> Vocabulary:
    """The rules in force: the standing ones, what was registered, and the classes that this caller allows."""
    whole = standing()
    rules = [*classes.registered([whole.class_rule]), *classes.rules_for(allowed, [whole.class_rule])]
    return whole.extended(rules) if rules else whole
