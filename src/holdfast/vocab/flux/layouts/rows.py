"""What a table of layouts is made of: a ``Layout`` for each struct, a ``Row`` for each form that it had.

Strategy: BSON.jl writes a struct's fields by position, without names. A row names them, says which of them are the type's
parameters, and in which versions of Flux the struct was so. A file's struct is one of the rows with as many fields and
as many type parameters; where several are left, the era of the file decides (see ``eras.py``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.errors import FormatError, UnsupportedError
from holdfast.vocab.flux.eras import TODAY, Span, Version, span

Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One form of a struct.

    fields   the names of its fields, in order
    types    the type's parameters: fields whose types they are, or parts of the layout
    span     the versions of Flux in which it was so
    sets     attributes of the layer that say how these versions computed
    fits     whether fields (as they were lifted) can be of this row at all
    likely   whether fields look like this row, where the versions leave it open
    """

    fields: tuple[str, ...]
    types: tuple[str, ...]
    span: Span
    sets: Mapping[str, Any] = field(default_factory=dict)
    fits: Callable[[Mapping[str, Any]], bool] | None = None
    likely: Callable[[Mapping[str, Any]], bool] | None = None


def row(
    fields: str,
    types: str,
    since: str = "",
    until: str = "",
    *,
    fits: Callable[[Mapping[str, Any]], bool] | None = None,
    likely: Callable[[Mapping[str, Any]], bool] | None = None,
    **sets: Any,
) -> Row:
    """A row with the names as one text each.

    >>> row("weight bias activation", "activation weight bias", "0.12.0").fields
    ('weight', 'bias', 'activation')
    """
    return Row(tuple(fields.split()), tuple(types.split()), span(since, until), sets, fits, likely)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One struct of Flux's.

    name     the type's path in Julia
    layer    the Python class
    rows     its forms, oldest first
    kinds    name of a field -> what it is, a key of ``fields.KINDS``
    build    what makes the layer of its fields by name; ``layer.of`` unless given
    read     fields that are no attribute of that name -> how they are read from a layer
    parts    parameters of the type that are no field's type -> how they are read from a layer
    given    parameters of the type that only the type holds -> their place in it, counted from the end
    python   attributes that Julia has no field for; they stand beside the struct, and Julia does not see them
    inner    attributes by which the class keeps what the fields say already
    late     fields whose kind follows from the fields before them
    """

    name: str
    layer: type[Any]
    rows: tuple[Row, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)
    build: Callable[..., Any] | None = None
    read: Mapping[str, Read] = field(default_factory=dict)
    parts: Mapping[str, Read] = field(default_factory=dict)
    given: Mapping[str, int] = field(default_factory=dict)
    python: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    late: Mapping[str, Callable[[Mapping[str, Any]], str]] = field(default_factory=dict)

    def kind(self, name: str, fields: Mapping[str, Any]) -> str:
        """What the field ``name`` is, beside these others."""
        return self.late[name](fields) if name in self.late else self.kinds[name]

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))

    def forms(self, fields: int, params: int) -> list[Row]:
        """The rows with so many fields and type parameters. Raises FormatError that lists those which are known."""
        found = [each for each in self.rows if (len(each.fields), len(each.types)) == (fields, params)]
        if not found:
            known = sorted({(len(each.fields), len(each.types)) for each in self.rows})
            forms = ", ".join(f"{count} ({parameters})" for count, parameters in known)
            raise FormatError(
                f"{self.name} with {fields} fields and {params} type parameters is none of Flux's layouts from "
                f"0.5 to 0.16, which have {forms}"
            )
        return found

    def value(self, layer: Any, name: str) -> Any:
        """A field of a layer."""
        return self.read[name](layer) if name in self.read else getattr(layer, name)

    def newest(self, layer: Any, wanted: Version = TODAY) -> Row:
        """The newest row up to Flux ``wanted`` that can say all that the layer holds.

        Raises UnsupportedError where there is none.
        """
        values = {name: self.value(layer, name) for name in self.kinds}
        for form in sorted(self.rows[::-1], key=lambda form: form.span.until, reverse=True):  # noqa: C415
            left = self.kinds.keys() - set(form.fields)
            if (
                form.span.since <= wanted
                and (form.fits is None or form.fits(values))
                and all(blank(name, values[name]) for name in left)
            ):
                return form
        wrote = ".".join(map(str, wanted))
        raise UnsupportedError(f"Flux {wrote} has no {self.name} that holds what this one does: {layer!r:.200}")


BLANK: Final[dict[str, Read]] = {
    "groups": lambda groups: groups == 1,
    "dilation": lambda sizes: set(sizes) <= {1},
    "outpad": lambda sizes: not any(sizes),
    "affine": lambda affine: affine is True,
    "track_stats": lambda track_stats: track_stats is True,
    **dict.fromkeys(("channels", "size", "rng", "h0", "c0", "init"), lambda value: True),
}
"""Values of fields that a row may leave out: what it meant without them, or what others say too."""


def blank(name: str, value: Any) -> bool:
    """Whether nothing is lost when a struct has no such field."""
    return BLANK[name](value) if name in BLANK else value is None or value is False
