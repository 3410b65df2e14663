"""Writes the tables of docs/flux.md from the tables of the code: ``scripts/docs``.

Strategy: the page is prose with a pair of comments for each table, ``<!-- layers -->`` and ``<!-- end of layers -->``.
What stands between them is replaced; a test compares. The names of fields that ``inspect`` shows without torch are written
in the same way. ``python docs/tables.py --check`` writes nothing and fails where something is not up to date.
"""

import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from holdfast.flux import Fix2, from_torch
from holdfast.flux.convert.containers import FROM
from holdfast.vocab.flux.eras import FIRST, TODAY, Span, Version
from holdfast.vocab.flux.functions import KNOWN, home
from holdfast.vocab.flux.layouts import LAYOUTS, Layout
from holdfast.vocab.flux.optimiser_layouts import BY_NAME, PACKAGES, Rows

PAGE = Path(__file__).with_name("flux.md")
FIELDS = Path(__file__).parents[1] / "src/holdfast/formats/look/flux_fields.py"


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    names = head.split("|")
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)


def text(version: Version) -> str:
    return ".".join(map(str, version))


def years(span: Span) -> str:
    """``0.12.0 to 0.13.17``, without an end that is the first or today's."""
    since, until = text(span.since), text(span.until)
    if span.until == TODAY:
        return "all" if span.since == FIRST else f"since {since}"
    if span.since == FIRST:
        return f"until {until}"
    return since if since == until else f"{since} to {until}"


# -- layers -----------------------------------------------------------------------------------------------------------


def layers() -> str:
    """Every layer with the fields that its struct had, oldest first."""
    rows = []
    for layout in LAYOUTS:
        forms = [f"{years(span)}: {fields}" for fields, span in joined(layout)]
        rows.append((f"`{layout.name.removeprefix('Flux.')}`", "<br>".join(forms)))
    return table("Layer | Fields, by version of Flux", rows)


def joined(layout: Layout) -> list[tuple[str, Span]]:
    """The forms of a layout as a reader of a file sees them; those in a row that differ in types only are one."""
    found: list[tuple[str, Span]] = []
    for form in sorted(layout.rows, key=lambda form: form.span.since):
        meaning = ", ".join(f"{name} = {value}" for name, value in form.sets.items())
        fields = (" ".join(form.fields) or "no fields") + (f" ({meaning})" if meaning else "")
        since = found.pop()[1].since if found and found[-1][0] == fields else form.span.since
        found.append((fields, Span(since, form.span.until)))
    return found


KINDS = ("new", "other fields", "other types", "other meaning", "the last with")


def versions() -> str:
    """What changed in which version: layers that came, changed their form, or went."""
    changes: dict[Version, dict[str, list[str]]] = {}

    def note(version: Version, kind: str, name: str) -> None:
        names = changes.setdefault(version, {}).setdefault(kind, [])
        if name not in names:
            names.append(name)

    for layout in LAYOUTS:
        name = f"`{layout.name.removeprefix('Flux.')}`"
        forms = sorted(layout.rows, key=lambda form: form.span.since)
        note(forms[0].span.since, "new", name)
        for before, form in pairwise(forms):
            kind = "other fields" if before.fields != form.fields else "other meaning" if form.sets else "other types"
            note(form.span.since, kind, name)
        last = max(form.span.until for form in forms)
        if last != TODAY:
            note(last, "the last with", name)
    rows = [
        (text(version), "; ".join(f"{kind}: {', '.join(kinds[kind])}" for kind in KINDS if kind in kinds))
        for version, kinds in sorted(changes.items())
    ]
    return table("Flux | Layers", rows)


# -- optimisers and functions -----------------------------------------------------------------------------------------


def optimisers() -> str:
    """Every optimiser: its names in Julia, the class, its fields, and formulas that changed."""
    rows = [row(package, each) for package, kinds in PACKAGES.items() for each in kinds]
    return table("In Julia | In Python | Fields | Formulas by version of Flux", rows)


def row(package: str, rows: Rows) -> tuple[str, ...]:
    module = "holdfast.flux" if package == "Flux.Optimise" else "holdfast.flux.optimisers"
    forms = [" ".join(names) for names in rows.fields.values()]
    formulas = [years(choice.span) for choice in sorted(rows.choices, key=lambda choice: choice.span)]
    names = ", ".join(f"`{package}.{name}`" for name in rows.names)
    return names, f"`{module}.{rows.kind.__name__}`", "<br>".join(forms), "<br>".join(formulas)


def functions() -> str:
    """Julia's functions by the module where they live today."""
    homes: dict[str, list[str]] = {}
    for name in KNOWN:
        homes.setdefault(".".join(part for part in home(name) if part != "Main"), []).append(f"`{name}`")
    return table("Module | Functions", [(module, " ".join(sorted(names))) for module, names in sorted(homes.items())])


# -- PyTorch ----------------------------------------------------------------------------------------------------------

MODULES = """
Sequential(nn.Linear(4, 3), nn.ReLU())
Sequential(nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
Linear(4, 3)
Bilinear(4, 5, 3)
Embedding(9, 4)
EmbeddingBag(9, 4)
EmbeddingBag(9, 4, mode="sum")
Conv1d(2, 4, 3)
Conv2d(2, 4, (3, 5), padding="same")
Conv3d(2, 4, 3, stride=2, padding=1)
ConvTranspose1d(2, 4, 3)
ConvTranspose2d(2, 4, 3, stride=2, output_padding=1)
ConvTranspose3d(2, 4, 3)
MaxPool1d(3, 2, 1)
MaxPool2d(2)
MaxPool3d(2)
AvgPool1d(3, 2, 1)
AvgPool2d(2)
AvgPool3d(2)
AdaptiveMaxPool1d(1)
AdaptiveMaxPool2d(2) | 1 1 4 4
AdaptiveMaxPool3d(1)
AdaptiveAvgPool1d(1)
AdaptiveAvgPool2d(2) | 1 1 4 4
AdaptiveAvgPool3d(1)
Upsample(scale_factor=2)
Upsample(scale_factor=2, mode="bilinear", align_corners=True)
PixelShuffle(2)
BatchNorm1d(3)
BatchNorm2d(3)
BatchNorm3d(3)
InstanceNorm1d(3)
InstanceNorm2d(3)
InstanceNorm3d(3)
GroupNorm(2, 4)
LayerNorm(4)
LayerNorm((5, 4))
Dropout(0.5)
Dropout1d(0.5)
Dropout2d(0.5)
Dropout3d(0.5)
AlphaDropout(0.5)
RNN(2, 3, batch_first=True)
LSTM(2, 3, num_layers=2, dropout=0.1, batch_first=True)
GRU(2, 3, bias=False, batch_first=True)
RNNCell(2, 3)
LSTMCell(2, 3)
GRUCell(2, 3, bias=False)
MultiheadAttention(4, 2, batch_first=True)
TransformerEncoderLayer(4, 2, 8, batch_first=True)
TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=True), 1, enable_nested_tensor=False)
Flatten()
Flatten(0)
Softmax(dim=-1)
LogSoftmax(dim=-1)
Identity()
ReLU()
ReLU6()
LeakyReLU()
LeakyReLU(0.2)
ELU()
CELU()
SELU()
SiLU()
GELU()
GELU("tanh")
Mish()
Sigmoid()
LogSigmoid()
Hardsigmoid()
Hardswish()
Hardtanh()
Tanh()
Tanhshrink()
Softsign()
Softplus()
Softshrink()
Threshold(1, 0)
"""
"""A module of every class that can be converted, and after a bar the shape of an input where one is needed."""


def modules() -> str:
    """What each of torch's modules becomes, as ``from_torch`` has it."""
    rows, missing = [], set(FROM)
    for line in MODULES.split("\n")[1:-1]:
        call, _, shape = line.partition(" | ")
        module = eval(f"nn.{call}", {"nn": nn})
        layer = from_torch(module, *([torch.zeros(tuple(map(int, shape.split())))] if shape else []))
        rows.append((f"`{call}`", f"`{layer!r}`" if isinstance(layer, nn.Module | Fix2) else f"`{layer.__name__}`"))
        missing.discard(type(module))
    if missing:
        raise ValueError(f"the table has no example of {missing}")
    return table("`torch.nn` | Flux", rows)


# -- the page ---------------------------------------------------------------------------------------------------------

TABLES: dict[str, Callable[[], str]] = {
    "layers": layers,
    "versions": versions,
    "optimisers": optimisers,
    "functions": functions,
    "modules": modules,
}


def up_to_date(page: str) -> str:
    """The page with every table written anew. Raises ValueError where a table has no place."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, opened, rest = page.partition(f"{begin}\n")
        _, closed, after = rest.partition(end)
        if not opened or not closed or begin in after or end in after:
            raise ValueError(f"the page needs {begin} and {end} once each")
        page = f"{before}{opened}{make()}\n{closed}{after}"
    return page


# -- names of fields, for inspect -------------------------------------------------------------------------------------

TURNED = frozenset({"image", "bias", "buffer", "state0", "state"})
"""Kinds of fields whose arrays have Julia's axes reversed in Python."""


def fields_module(old: str) -> str:
    """The module ``formats.look.flux_fields`` with its tables written anew, below its docstring and imports."""
    head, _, _ = old.partition("\nFIELDS: ")
    known: dict[str, dict[tuple[int, int], str]] = {}
    for layout in LAYOUTS:
        forms = known.setdefault(layout.name, {})
        for form in layout.rows:
            place, names = (len(form.fields), len(form.types)), " ".join(form.fields)
            if forms.setdefault(place, names) != names:
                raise ValueError(f"{layout.name} with {place} fields and types has two rows of names")
    for name, rows in BY_NAME.items():
        known[name] = {(count, -1): " ".join(names) for count, names in rows.fields.items()}
    known["Optimisers.Leaf"] = {(2, -1): "rule state", (3, -1): "rule state frozen"}
    turned = {
        layout.name: " ".join(name for name, kind in layout.kinds.items() if kind in TURNED)
        for layout in LAYOUTS
        if TURNED & set(layout.kinds.values())
    }
    rows = [line for name, forms in known.items() for line in (f'"{name}": {{', *map(entry, forms.items()), "},")]
    axes = [f'"{name}": "{names}",' for name, names in turned.items()]
    lines = [
        *("FIELDS: Final[dict[str, dict[tuple[int, int], str]]] = {", *(f"    {row}" for row in rows), "}"),
        *("TURNED: Final[dict[str, str]] = {", *(f"    {row}" for row in axes), "}"),
    ]
    return "\n".join([head, *lines, ""])


def entry(form: tuple[tuple[int, int], str]) -> str:
    (fields, types), names = form
    return f'    ({fields}, {types}): "{names}",'


def main(arguments: list[str]) -> int:
    made = {
        PAGE: up_to_date(PAGE.read_text(encoding="utf-8")),
        FIELDS: fields_module(FIELDS.read_text(encoding="utf-8")),
    }
    stale = [path for path, new in made.items() if path.read_text(encoding="utf-8") != new]
    if "--check" in arguments:
        print("\n".join(f"{path.name} is not up to date: run scripts/docs" for path in stale) or "up to date")
        return int(bool(stale))
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
