"""What of JAX's cannot be in a file, and what to do instead.

Strategy: tracers by their class, the rest by a table of names; any other class of JAX's own is refused too, since what
it holds is JAX's affair and may change with every release.
"""

from collections.abc import Callable
from typing import Any, Final

import jax

from holdfast.codec.rule import Fields, Rule
from holdfast.errors import UnsupportedError
from holdfast.vocab.named import class_name

ROOTS: Final = frozenset({"jax", "jaxlib"})

TRACER: Final = (
    "the value is traced: inside jit, grad, vmap or scan an array has no numbers yet. Save what the function returns, "
    "or call save by way of jax.experimental.io_callback"
)

PLACE: Final = "belongs to the devices of this process: make it again after loading"

ADVICE: Final = {
    "Mesh": PLACE,
    "AbstractMesh": PLACE,
    "Device": PLACE,
    "Sharding": PLACE,
    "Layout": PLACE,
    "Format": PLACE,
    "Ref": "is memory that changes: save what is in it, x[...]",
    "ShapedArray": "has no values: save a jax.ShapeDtypeStruct",
    "Jaxpr": "is a program: save the function that it was made from",
    "ClosedJaxpr": "is a program: save the function that it was made from",
    "Compiled": "is a compiled program: compile it again after loading",
    "Lowered": "is a program on its way to be compiled: make it again after loading",
    "Wrapped": "is a compiled function: save the plain function, and compile it again after loading",
    "PyTreeDef": "is the shape of a tree: save the tree itself",
    "JAXSparse": "is sparse: save x.todense(), or its parts",
}
"""Name of a class or of a base of it -> what is the matter."""


def refused(cls: type, reason: str) -> Rule:
    """A rule that refuses objects of ``cls``; no file holds one."""
    return Rule("python", class_name(cls), (cls,), _refuse(reason))


def _refuse(reason: str) -> Callable[[Any], Fields]:
    def lower(value: Any) -> Fields:
        raise UnsupportedError(reason)

    return lower


def tracer_rule(cls: type) -> Rule | None:
    return refused(cls, TRACER) if issubclass(cls, jax.core.Tracer) else None


def jax_rule(cls: type) -> Rule | None:
    """The rule of a class of JAX's that no table lists."""
    if cls.__module__.partition(".")[0] not in ROOTS or issubclass(cls, type):
        return None
    known = [ADVICE[base.__name__] for base in cls.__mro__ if base.__name__ in ADVICE]
    reason = known[0] if known else "is not in the table of JAX's values: save what it was made from"
    return refused(cls, f"a {cls.__qualname__} {reason}")
