"""Julia code in a model: closures, functions and callable structs that Python does not have.

Strategy: they stay what they are, in the place of a layer, and the rest of the model works. Calling one says which it
is, where it was written, and the line of Python that replaces it.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

from holdfast.errors import UnsupportedError
from holdfast.julia.values import AnonymousType, Struct

MAX_PARTS = 10_000
"""Values in one struct that are looked through for layers; real ones hold a few dozen."""


class JuliaCode:
    """A Julia function, or a struct that Julia calls, in the place of a layer: it can be saved, not called.

    ``struct`` is what the file holds; ``place`` is where it stands in the model, as far as that is known.
    """

    def __init__(self, struct: Struct) -> None:
        self.struct = struct
        self.place = ""

    def __call__(self, *inputs: Any) -> Any:
        raise UnsupportedError(self.advice(), self.place and f"model{self.place}")

    def advice(self) -> str:
        """What to do."""
        if isinstance(self.struct.type, AnonymousType):
            what, key = f"the {self.struct.type!r}", self.struct.type.name
        else:
            what, key = f"Julia's {self.struct.name.replace('#', '')}", self.struct.name
        arguments = "a, b" if self.place.endswith(".connection") else "x"
        line = f"model{self.place or '.layers[…]'} = lambda {arguments}: …"
        return (
            f"{what} is Julia code: a file may hold it, and Python does not run it. "
            f"Put a Python function in its place, {line}, or load with functions={{{key!r}: f}}"
        )

    def __repr__(self) -> str:
        if isinstance(self.struct.type, AnonymousType):
            return repr(self.struct.type)
        return f"Julia's {self.struct.name.replace('#', '')}"


class JuliaLayer(nn.Module):
    """JuliaCode that holds layers: a struct or closure of the user's own. Its layers are parts of the model.

    Their parameters are found, and they can be used: ``model.layers[1].struct[0](x)``.
    """

    def __init__(self, struct: Struct) -> None:
        super().__init__()
        self.code = JuliaCode(struct)
        for number, layer in enumerate(layers_in(struct)):
            self.add_module(str(number), layer)

    @property
    def struct(self) -> Struct:
        """What the file holds."""
        return self.code.struct

    def forward(self, *inputs: Any) -> Any:
        return self.code(*inputs)

    def __repr__(self) -> str:
        return repr(self.code)


def julia_code(struct: Struct) -> "JuliaCode | JuliaLayer":
    """``struct`` in the place of a layer."""
    return JuliaLayer(struct) if next(layers_in(struct), None) is not None else JuliaCode(struct)


def layers_in(struct: Struct) -> Iterator[nn.Module]:
    """The layers that a struct holds, each once."""
    seen: set[int] = set()
    stack = [struct]
    for _ in range(MAX_PARTS):
        if not stack:
            return
        value: Any = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            yield value
        elif isinstance(value, Struct) and isinstance(value.data, list):
            stack += reversed(value.data)
        elif isinstance(value, list | tuple):
            stack += reversed(value)
        elif isinstance(value, dict):
            stack += reversed(list(value.values()))


def code_in(value: Any) -> JuliaCode | None:
    """The Julia code that ``value`` is."""
    if isinstance(value, JuliaLayer):
        return value.code
    return value if isinstance(value, JuliaCode) else None
