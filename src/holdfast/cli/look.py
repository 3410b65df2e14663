"""``holdfast ls`` and ``holdfast show``: what is in a file, as a table and as a tree."""

from collections.abc import Iterator
from typing import Any

import click

from holdfast.cli.contents import Contents, damaged, look_into
from holdfast.cli.figures import figures
from holdfast.cli.screen import Styled, on_terminal, progress, say, say_all, say_json, say_table
from holdfast.errors import ChecksumError
from holdfast.formats.look.entry import Entry, size_text

FILE = click.Path()
"""A folder is one, too: Orbax and zarr have their checkpoints in such, and ``look`` says what becomes of them."""
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command(short_help="List what FILE holds, as a table.")
@click.argument("file", type=FILE)
@click.option("-a", "--all", "every", is_flag=True, help="Every array and value, not only the names at the top.")
@as_json
def ls(file: str, every: bool, as_json: bool) -> None:
    """List what FILE holds: names, types, shapes and sizes."""
    tree = look_into(file).tree
    entries = [entry for entry in tree.walk() if entry is not tree and not _opens(entry)] if every else tree.children
    if as_json:
        say_json({"file": file, "entries": [described(entry) for entry in entries]})
    else:
        say_table(("name", "type", "shape", "dtype", "size"), [_row(entry) for entry in entries], right="size")


def _opens(entry: Entry) -> bool:
    """Whether an entry only holds others, which are listed themselves."""
    return bool(entry.children) and entry.shape is None


def _row(entry: Entry) -> tuple[str, ...]:
    type_ = f"{entry.type} = {entry.value!r}" if entry.value is not None else entry.type
    shape = str(entry.shape) if entry.shape is not None else f"of {entry.length:,}" if entry.length is not None else ""
    size = f"= {entry.shared}" if entry.shared is not None else size_text(entry.nbytes) if entry.nbytes else ""
    return entry.path, type_, shape, entry.dtype or "", size


def described(entry: Entry) -> dict[str, Any]:
    """An entry for JSON, without its children: these follow it, and their paths say where they stand."""
    names = ("path", "type", "shape", "dtype", "nbytes", "length", "shared", "value")
    return {name: getattr(entry, name) for name in names}


@click.command(short_help="Show what is in FILE as a tree.")
@click.argument("file", type=FILE)
@click.argument("path", required=False, default="")
@click.option("--values", is_flag=True, help="Read the arrays too: min, mean and max, or all values of small ones.")
@click.option("--depth", type=click.IntRange(min=0), help="Levels to go down.")
@as_json
def show(file: str, path: str, values: bool, depth: int | None, as_json: bool) -> None:
    """Show what is in FILE as a tree, from PATH down (such as model.layers[0])."""
    contents = look_into(file)
    top = found(contents, path)
    if values:
        check(contents)
    lines = _lines(top, depth, every=as_json)
    if as_json:
        entries = [described(entry) | _figures(contents, entry, values) for entry, _ in lines]
        say_json({"file": file, "written by Holdfast": contents.file.sealed, "entries": entries})
        return
    if not path:
        say((file, "bold"), (f": {_summary(contents)}", ""))
    say_all(_styled(contents, entry, before, values) for entry, before in lines)


def found(contents: Contents, path: str) -> Entry:
    """The entry at ``path``, where its contents stand."""
    try:
        entry = contents.tree.find(path)
        return contents.tree.find(entry.shared) if entry.shared is not None else entry
    except KeyError:
        raise click.ClickException(f"{contents.file.path} has no {path!r}; show it without a path to see all") from None


def check(contents: Contents) -> None:
    """Nothing is said about values that are not the ones that were written."""
    with progress("checking", sum(blob.nbytes for blob in contents.file.blobs)) as advance:
        bad = damaged(contents, advance)
    if bad:
        raise ChecksumError(f"{contents.file.path}: damaged values: {', '.join(bad)}", bad)


def _summary(contents: Contents) -> str:
    size = size_text(contents.file.size)
    return f"{size}, " + ("with checksums" if contents.file.checked else "without checksums: not written by Holdfast")


def _lines(top: Entry, depth: int | None, *, every: bool) -> Iterator[tuple[Entry, str]]:
    """Each entry with the text that goes before it: a tree's branches for people, spaces for programs.

    Without ``every`` an object's plain attributes have no lines of their own: they stand on the object's.
    """
    branch, last, bar, gap = ("├─ ", "└─ ", "│  ", "   ") if on_terminal() else ("  ", "  ", "  ", "  ")
    stack = [(root, "", "", 0) for root in reversed((top,) if top.path else top.children)]
    while stack:
        entry, before, below, level = stack.pop()
        yield entry, before
        if depth is not None and level >= depth:
            continue
        rows = entry.children if every else entry._rows()
        marks = [(branch, bar)] * (len(rows) - 1) + [(last, gap)]
        below_it = [
            (row, below + mark, below + under, level + 1) for row, (mark, under) in zip(rows, marks, strict=False)
        ]
        stack.extend(reversed(below_it))


def _styled(contents: Contents, entry: Entry, before: str, values: bool) -> Styled:
    text = ", ".join(f"{name} {_short(value)}" for name, value in _figures(contents, entry, values).items())
    return [
        (before, "dim"),
        (str(entry.name), "bold"),
        (f": {entry._what()}", ""),
        (f"; {text}" if text else "", "cyan"),
    ]


def _figures(contents: Contents, entry: Entry, values: bool) -> dict[str, Any]:
    array = contents.array(entry) if values and not contents.again(entry) else None
    return figures(array) if array is not None else {}


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
