"""Which name in the file goes to which name in the live object, and what is in the way.

Strategy: pure functions on tables of name -> (shape, dtype). Equal names pair first; what is left pairs by the name
without the segments that wrappers add. A pair that agrees in shape and dtype fits; everything else is a difference, and
every difference is listed.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

WRAPPERS: Final = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Segments that DataParallel, torch.compile, FSDP and activation checkpointing put into the names of tensors."""

MAX_SUGGESTIONS: Final = 200
"""Names on either side up to which the nearest one is looked for: comparing texts is slow, and a longer list means that
the models are different ones."""
CLOSE: Final = 0.75
"""How alike (0 to 1, difflib's ratio) two names are before one is suggested for the other."""


class Sides(NamedTuple):
    """What the two sides are called in a difference."""

    saved: str = "in the file"
    live: str = "in the live object"

    @property
    def missing(self) -> str:
        """What is said of a name that only the live object has."""
        return f"not {self.saved}"

    @property
    def unexpected(self) -> str:
        """What is said of a name that only the file has."""
        return f"{self.saved}, not {self.live}"


FILE: Final = Sides()


class Spec(NamedTuple):
    """What a tensor is without its values; tensors of the same ``identity`` are one object under several names.

    ``axes`` is ``"turned"`` of a tensor whose axes Julia has in the opposite order, ``"array"`` of an array that may be
    Julia's.
    """

    shape: tuple[int, ...]
    dtype: str
    identity: int | None = None
    axes: str = ""


@dataclass(slots=True)
class Match:
    """``pairs`` of (name in the file, name in the live object) that fit, and ``differences``, a line each."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def plan_match(
    saved: Mapping[str, Spec],
    live: Mapping[str, Spec],
    *,
    at: str = "",
    bare: Callable[[str], str] | None = None,
    cast: bool = False,
    optional: Collection[str] = (),
    sides: Sides = FILE,
) -> Match:
    """Pair the tensors of a file with those of a live object.

    saved, live   name -> Spec (or a tuple of shape and dtype)
    at            the path of the live object, which the differences start with
    bare          what two names that are not the same are compared by; without wrappers' segments unless given
    cast          another dtype fits too, if it is of the same kind (float64 into float32)
    optional      names of the live object that need not be in the file
    sides         what the differences call the two

    >>> plan_match({"module.w": Spec((2, 3), "float32")}, {"w": Spec((2, 3), "float32")})
    Match(pairs=[('module.w', 'w')], differences=[])
    >>> plan_match({"w": Spec((2,), "float32")}, {"w": Spec((3,), "float32")}, at="model").differences
    ['model.w: shape (2,) in the file, (3,) in the live object']
    """
    match = Match()
    paired = pair_names(saved, live, bare)
    for theirs, ours in paired.items():
        difference = compare(Spec(*saved[theirs]), Spec(*live[ours]), cast=cast, sides=sides)
        if difference:
            match.differences.append(f"{join(at, ours)}: {difference}")
        else:
            match.pairs.append((theirs, ours))
    matched = {Spec(*live[ours]).identity for ours in paired.values()} - {None}
    taken = {*paired.values(), *optional}
    missing = [name for name in live if name not in taken and Spec(*live[name]).identity not in matched]
    unexpected = [name for name in saved if name not in paired]
    match.differences += absent(missing, unexpected, at, sides.missing, _same_shape(live, saved))
    match.differences += absent(unexpected, [], at, sides.unexpected)
    return match


def _same_shape(live: Mapping[str, Spec], saved: Mapping[str, Spec]) -> Callable[[str, str], bool]:
    return lambda ours, theirs: tuple(live[ours][0]) == tuple(saved[theirs][0])


def compare(saved: Spec, live: Spec, *, cast: bool = False, sides: Sides = FILE) -> str:
    """What keeps a saved tensor from being copied into a live one; nothing when it fits.

    >>> compare(Spec((2,), "float16"), Spec((2,), "float32"))
    'dtype float16 in the file, float32 in the live object'
    """
    from_julia = (saved.axes, live.axes) == ("array", "turned") and tuple(saved.shape[::-1]) == tuple(live.shape)
    if tuple(saved.shape) != tuple(live.shape) and not from_julia:
        turned = " (its transpose would fit)" if len(saved.shape) == 2 and saved.shape[::-1] == live.shape else ""
        return f"shape {tuple(saved.shape)} {sides.saved}, {tuple(live.shape)} {sides.live}{turned}"
    if saved.dtype != live.dtype and not (cast and castable(saved, live)):
        return f"dtype {saved.dtype} {sides.saved}, {live.dtype} {sides.live}"
    return ""


def pair_names(saved: Iterable[str], live: Iterable[str], bare: Callable[[str], str] | None = None) -> dict[str, str]:
    """Names in the file -> names in the live object: the same name, or the same one without wrappers' segments.

    A name that could go to several stays alone: a guess would be silently wrong.

    >>> pair_names(["a.w", "_orig_mod.b"], ["module.a.w", "b"])
    {'a.w': 'module.a.w', '_orig_mod.b': 'b'}
    """
    saved, live = list(saved), list(live)
    known, same = set(live), set(saved) & set(live)
    ours = _only((name for name in live if name not in same), bare or unwrapped)
    theirs = _only((name for name in saved if name not in known), bare or unwrapped)
    both = {name: name for name in same} | {name: ours[short] for short, name in theirs.items() if short in ours}
    return {name: both[name] for name in saved if name in both}


def _only(names: Iterable[str], bare: Callable[[str], str]) -> dict[str, str]:
    """Bare name -> name, for the bare names that only one name has."""
    names = {name: bare(name) for name in names}
    counts = Counter(names.values())
    return {short: name for name, short in names.items() if counts[short] == 1}


def unwrapped(name: str, segments: frozenset[str] = WRAPPERS) -> str:
    """A tensor's name without the segments of wrappers.

    >>> unwrapped("module.layers.0._checkpoint_wrapped_module.weight")
    'layers.0.weight'
    """
    return ".".join(segment for segment in name.split(".") if segment not in segments)


def match_in_order(
    saved: Sequence[Spec], live: Mapping[str, Spec], *, at: str = "", cast: bool = False, sides: Sides = FILE
) -> Match:
    """Pair arrays that only have an order with the tensors of a live object: the names in the file are positions.

    >>> match_in_order([Spec((5, 10), "float32")], {"0.weight": Spec((5, 9), "float32")}).differences
    ['weights[0] for 0.weight: shape (5, 10) in the file, (5, 9) in the live object']
    """
    match = Match()
    for index, (theirs, (name, ours)) in enumerate(zip(saved, live.items(), strict=False)):
        difference = compare(theirs, ours, cast=cast, sides=sides)
        if difference:
            match.differences.append(f"weights[{index}] for {join(at, name)}: {difference}")
        else:
            match.pairs.append((str(index), name))
    match.differences += [f"{join(at, name)}: no weight left for it" for name in list(live)[len(saved) :]]
    left = enumerate(saved[len(live) :], start=len(live))
    match.differences += [f"weights[{index}]: shape {spec.shape}, nothing left to put it in" for index, spec in left]
    return match


KINDS: Final = {"bool": 0, "uint": 1, "int": 2, "float": 3, "bfloat": 3, "complex": 4}
"""The kinds of numbers, each of which the later ones can hold; the start of a dtype's name gives it."""


def castable(saved: Spec, live: Spec) -> bool:
    """Whether numbers of one dtype may be written into the other: within a kind, or into a wider kind.

    >>> castable(Spec((), "float64"), Spec((), "float32")), castable(Spec((), "float64"), Spec((), "int64"))
    (True, False)
    """
    theirs, ours = (KINDS.get(spec.dtype.split("_")[0].rstrip("0123456789")) for spec in (saved, live))
    return theirs is not None and ours is not None and theirs <= ours


def absent(
    names: Sequence[str], others: Sequence[str], at: str, what: str, alike: Callable[[str, str], bool] | None = None
) -> list[str]:
    """A line for each name that stands on one side only, with the nearest one of ``others`` where one is close.

    >>> absent(["wieght"], ["weight", "bias"], "model", FILE.missing)
    ["model.wieght: not in the file; did you mean 'weight', which is there?"]
    """
    if max(len(names), len(others)) > MAX_SUGGESTIONS:
        others = []
    from difflib import get_close_matches

    lines = []
    for name in names:
        nearest = get_close_matches(name, [other for other in others if not alike or alike(name, other)], 1, CLOSE)
        lines.append(
            f"{join(at, name)}: {what}" + (f"; did you mean {nearest[0]!r}, which is there?" if nearest else "")
        )
    return lines


def join(at: str, name: str) -> str:
    """The path of ``name`` below ``at``."""
    return f"{at}.{name}" if at and name else at or name
