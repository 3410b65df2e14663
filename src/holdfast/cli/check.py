"""``holdfast verify`` and ``holdfast diff``: whether files are what was written, and what is different in them."""

import os
from typing import Any, Final

import click

from holdfast.cli.contents import Contents, damaged, look_into
from holdfast.cli.differences import Difference, differences
from holdfast.cli.look import FILE, as_json, check
from holdfast.cli.screen import DIFFERENT, UNREADABLE, complain, progress, say, say_json, worded
from holdfast.errors import ChecksumError, FormatError
from holdfast.formats.look.entry import size_text

STYLES: Final = {"+": "green", "-": "red", "~": "yellow"}


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@as_json
def verify(files: tuple[str, ...], as_json: bool) -> int:
    """Compare every checksum of each FILE with its bytes.

    A file of BSON.jl's has no checksums; its structure is checked.
    """
    code, reports = 0, []
    for path in files:
        try:
            report = _verified(path)
        except (OSError, FormatError) as error:
            complain(worded(error))
            code = UNREADABLE
            continue
        code = max(code, 0 if report["ok"] else DIFFERENT)
        reports.append(report)
        if not as_json:
            say((f"{path}: ", ""), (_verdict(report), "green" if report["ok"] else "bold red"))
    if as_json:
        say_json(reports)
    return code


def _verified(path: str) -> dict[str, Any]:
    """What there is to say of one file."""
    report: dict[str, Any] = {"file": path, "ok": False, "checksums": False, "arrays": 0, "nbytes": 0, "damaged": []}
    try:
        contents = look_into(path)
    except (FormatError, ChecksumError) as error:
        if not os.path.isfile(path):  # a folder is not a damaged file
            raise
        return report | {"error": str(error).removeprefix(f"{path}: ")}
    bad = _damaged(contents)
    return report | {
        "ok": not bad,
        "checksums": contents.file.checked,
        "arrays": contents.file.compared,
        "nbytes": contents.file.size,
        "damaged": bad,
    }


def _damaged(contents: Contents) -> list[str]:
    with progress(contents.file.path, sum(blob.nbytes for blob in contents.file.blobs)) as advance:
        return damaged(contents, advance)


def _verdict(report: dict[str, Any]) -> str:
    if "error" in report:
        return f"damaged: {report['error']}"
    if report["damaged"]:
        return f"damaged: {', '.join(report['damaged'])}"
    if not report["checksums"]:
        return f"whole, {size_text(report['nbytes'])}, but without checksums: it was not written by Holdfast"
    return f"ok, {report['arrays']:,} arrays, {size_text(report['nbytes'])}"


@click.command(short_help="Say what changed from file A to file B.")
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@as_json
def diff(a: str, b: str, as_json: bool) -> int:
    """Say what changed from file A to file B: + added, - removed, ~ changed.

    Arrays of one shape are compared element by element, also across dtypes. Two NaN are equal, and so are 0.0 and -0.0.
    """
    before, after = look_into(a), look_into(b)
    for contents in (before, after):
        check(contents)
    with progress("comparing", before.tree.nbytes + after.tree.nbytes) as advance:
        found = list(differences(before, after, advance))
    if as_json:
        say_json({"a": a, "b": b, "same": not found, "differences": [_described(item) for item in found]})
    for item in () if as_json else found:
        say((f"{item.sign} ", STYLES[item.sign]), (item.path, "bold"), (f": {_text(item)}", ""))
    return DIFFERENT if found else 0


def _described(item: Difference) -> dict[str, Any]:
    return {"path": item.path, "what": item.what, "before": item.before, "after": item.after} | item.figures


def _text(item: Difference) -> str:
    """A difference in words."""
    if item.what in ("added", "removed"):
        return str(item.after or item.before)
    if item.figures:
        most = f", by at most {item.figures['max']:.6g}" if "max" in item.figures else ""
        return f"{item.figures['elements']:,} of {item.figures['of']:,} elements differ{most}"
    if item.before is None and item.after is None:
        return "other contents"
    if item.what in ("value", "shared"):
        show = repr if item.what == "value" else str
        return f"{show(item.before)} -> {show(item.after)}"
    return f"{item.what} {item.before} -> {item.after}"
