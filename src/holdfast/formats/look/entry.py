"""What stands in a file, as a tree: ``inspect`` gives an Entry for the file, with one below it for each value.

Strategy: an Entry is plain data that was gathered without building anything. Its path is written as Python would reach
the value (``model.layers[0].weight``), and its text is a tree that fits on a screen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

MAX_LINES: Final = 50
"""Lines of the text of an Entry."""
MAX_TEXT: Final = 60
"""Characters of one value in that text."""
MODE: Final = "training"
"""An attribute that every module has: it stands in the tree and is left out of the text, like those with a ``_``."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One value of a file.

    name      its key, attribute or index in the value above
    path      its place in the file, ``model.layers[0].weight``; "" for the file itself
    type      what it is: ``torch.nn.Linear``, ``Flux.Dense``, ``numpy.ndarray``, ``Array{Float32,2}``, ``dict`` …
    shape     of an array, in Python's order; None for anything else
    dtype     of an array, NumPy's or torch's name for it; None where neither has one
    nbytes    bytes of all arrays and binaries in it; what is shared counts at its first place only
    children  the values in it: attributes, items, elements
    shared    the path of the first place of the same object, where this is not the first
    value     a number, a short text or the like; None for what is no such value
    length    how many values it holds; there are fewer ``children`` than that where they would only be a long list of
              plain numbers or texts, or lie too deep to be listed

    >>> weight = Entry("weight", "model.weight", "torch.nn.Parameter", (5, 10), "float32", 200)
    >>> model = Entry("model", "model", "torch.nn.Linear", nbytes=200, children=(weight,))
    >>> model
    model: torch.nn.Linear, 200 B
      weight: torch.nn.Parameter float32 (5, 10), 200 B
    >>> model.find("model.weight").shape
    (5, 10)
    """

    name: str | int
    path: str
    type: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    nbytes: int = 0
    children: tuple["Entry", ...] = ()
    shared: str | None = None
    value: Any = None
    length: int | None = None

    def walk(self) -> Iterator["Entry"]:
        """This entry and all below it, each before its children, in the order of the file."""
        stack = [self]
        while stack:
            entry = stack.pop()
            yield entry
            stack.extend(reversed(entry.children))

    def find(self, path: str) -> "Entry":
        """The entry at ``path``. Raises KeyError when the file has none there, or only an unlisted plain value."""
        stack = [self]
        while stack:
            entry = stack.pop()
            if entry.path == path:
                return entry
            if not entry.path or path.startswith((f"{entry.path}.", f"{entry.path}[")):
                stack.extend(entry.children)
        raise KeyError(f"there is no {path!r} below {self.path or 'the top of the file'}")

    def __repr__(self) -> str:
        lines: list[str] = []
        stack = [(self, 0)]
        while stack and len(lines) < MAX_LINES:
            entry, depth = stack.pop()
            lines.append("  " * depth + entry._line())
            stack.extend((child, depth + 1) for child in reversed(entry._rows()))
        if stack:
            lines.append("… and more: str() shows the first lines only, .children has all")
        return "\n".join(lines)

    __str__ = __repr__

    def _rows(self) -> tuple["Entry", ...]:
        return tuple(child for child in self.children if not self._argument(child))

    def _argument(self, child: "Entry") -> bool:
        """Whether a child is a plain attribute, which goes on the object's own line."""
        plain = not child.children and child.shape is None and child.shared is None and child.length is None
        return plain and bool(self.path) and child.path == f"{self.path}.{child.name}" and not child.nbytes

    def _line(self) -> str:
        return f"{self.name}: {self._what()}" if self.name != "" else self._what()

    def _what(self) -> str:
        words = [self.type + self._arguments()]
        if self.dtype is not None:
            words.append(self.dtype)
        if self.shape is not None:
            words.append(str(self.shape))
        if self.value is not None or self.type == "NoneType":
            words.append(f"= {_text(self.value)}")
        if self.length is not None and self.length > len(self.children):
            words.append(f"of {self.length:,}")
        notes = (
            [f"the same as {self.shared}"]
            if self.shared is not None
            else [size_text(self.nbytes)]
            if self.nbytes
            else []
        )
        return ", ".join([" ".join(words), *notes])

    def _arguments(self) -> str:
        """The plain attributes of an object, as a constructor would take them."""
        plain = [child for child in self.children if self._argument(child)]
        shown = [child for child in plain if child.name != MODE and not str(child.name).startswith("_")]
        return f"({', '.join(f'{child.name}={child._plain()}' for child in shown)})" if shown else ""

    def _plain(self) -> str:
        return self.type if self.value is None and self.type != "NoneType" else _text(self.value)


def _text(value: Any) -> str:
    text = str(value) if type(value).__module__ == "numpy" else repr(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def size_text(nbytes: int) -> str:
    """A number of bytes as people read it.

    >>> size_text(200), size_text(2_500_000)
    ('200 B', '2.5 MB')
    """
    size, units = float(nbytes), iter(("kB", "MB", "GB", "TB"))
    if nbytes < 10_000:
        return f"{nbytes:,} B"
    unit = "B"
    while size >= 1000:
        size, unit = size / 1000, next(units, "PB")
    return f"{size:.1f} {unit}"
