"""``holdfast convert``: a file in another format, with other names, another dtype, or a part of it alone.

Strategy: the file's document is changed and written, so no class has to be allowed and mostly no framework is needed.
Arrays go from one file to the other one by one: what can stay as it is stays mapped, what is made anew goes to the disk
beside the target. Of a model a format for weights gets its state dictionary. What has to be built is in ``models``.
"""

import os
from collections.abc import Callable
from typing import Any, Final

import click
import numpy as np

from holdfast.cli import models
from holdfast.cli.contents import Contents, damaged, look_into
from holdfast.cli.look import FILE, found
from holdfast.cli.screen import complain, progress, say
from holdfast.errors import ChecksumError, UnsupportedError
from holdfast.formats.choose import Format, format_for, module_of
from holdfast.formats.document.arrays import NdArray, blobs_in
from holdfast.formats.document.change import Change, part_of
from holdfast.formats.document.for_bson import is_whole
from holdfast.formats.document.scratch import Scratch
from holdfast.formats.file import ROOT
from holdfast.formats.look.entry import size_text
from holdfast.wire.values import Blob, Document

WITH_METADATA: Final = (".safetensors",)
"""Endings of formats that have a place for the texts which stand beside the tensors."""
HDF5: Final = ".h5"
WHOLE: Final = (".bson",)
"""Endings of formats that have a place for anything, models too."""


@click.command(short_help="Write FILE A anew as FILE B, in the format of B's ending.")
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--only", metavar="PATH", help="Only this value; of a dictionary or a model, what is in it.")
@click.option(
    "--rename", "renames", metavar="OLD=NEW", multiple=True, help="A name, and all that begin with OLD and a dot."
)
@click.option("--prefix-strip", "prefix", metavar="PREFIX", help="Take PREFIX off the names that begin with it.")
@click.option("--dtype", metavar="DTYPE", help="Change floating-point arrays to DTYPE, such as bfloat16.")
@click.option("--to-flux", is_flag=True, help="Models of torch.nn become Flux's.")
@click.option("--to-torch", is_flag=True, help="Flux's models become models of torch.nn.")
@click.option("--force", is_flag=True, help="Replace B when it is there.")
def convert(
    a: str,
    b: str,
    only: str | None,
    renames: tuple[str, ...],
    prefix: str | None,
    dtype: str | None,
    to_flux: bool,
    to_torch: bool,
    force: bool,
) -> None:
    """Write file A anew as file B, in the format that B's ending names: .bson, .safetensors, .npz or .npy.

    Of a model a format for weights gets its state dictionary. All checksums of A are compared first. Names are changed in
    the order --prefix-strip, --rename.
    """
    row = format_for(b)  # raises before anything is read
    if not force and os.path.lexists(b):
        raise click.UsageError(f"{b} is there already: --force replaces it")
    if to_flux or to_torch:
        if (to_flux and to_torch) or any((only, renames, prefix, dtype)):
            raise click.UsageError("--to-flux and --to-torch stand alone; convert the result for the rest")
        models.save_models(a, b, models.to_flux if to_flux else models.to_torch)
    else:
        contents = look_into(a)
        with Scratch(b) as scratch:
            _check(contents, scratch)
            change = Change(_part(contents, only, row))
            _name(change, prefix, dict(map(_pair, renames)))
            if dtype is not None:
                _cast(change, dtype, contents, scratch)
            if contents.file.format == HDF5 and row.endings[0] not in WHOLE:
                _drop_attributes(change, row)
            _write(b, row, change, scratch)
    say((b, "bold"), (f": {size_text(os.path.getsize(b))}, {row.name}", ""))


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals or not old or not new:
        raise click.UsageError(f"--rename {text}: give it as OLD=NEW")
    return old, new


def _check(contents: Contents, scratch: Scratch) -> None:
    """Compare all checksums. What the file only has compressed goes to the disk, array by array."""
    file, places = contents.file, {id(blob): place for place, blob in contents.sealed_arrays()}
    if not file.packed:
        with progress("checking", sum(blob.nbytes for blob in file.blobs)) as advance:
            bad = damaged(contents, advance)
    else:
        blobs, bad = list(blobs_in(file.document)), []
        with progress("checking", sum(blob.nbytes for blob in blobs)) as advance:
            for blob in blobs:
                file.ready([blob])
                bad += _damaged(contents, places[id(blob)], blob) if id(blob) in places else []
                _spill(blob, file.data, scratch)
                advance(blob.nbytes)
    if bad:
        raise ChecksumError(f"{file.path}: damaged values: {', '.join(bad)}", bad)


def _damaged(contents: Contents, place: str, blob: Blob) -> list[str]:
    """``place``, if its bytes are not the ones that were written."""
    try:
        contents.file.verify_blobs([(place, blob)])
    except ChecksumError as error:
        return list(error.names)
    return []


def _spill(blob: Blob, data: Any, scratch: Scratch) -> None:
    """Put the bytes of ``blob`` on the disk, unless they stand in the file's own map."""
    raw = np.frombuffer(blob.data, np.uint8)
    if blob.nbytes and not np.shares_memory(raw, np.frombuffer(data, np.uint8)):
        blob.data = scratch.keep(raw).data


def _part(contents: Contents, only: str | None, row: Format) -> Document:
    """The document of A, or the part that is wanted, as B's format can have it."""
    file, document, alone = contents.file, contents.file.document, ""
    if only is not None:
        entry = found(contents, only)
        alone = str(entry.name)
        document = part_of(document, contents.document(entry), alone)
    elif file.whole:
        alone = ROOT
        document = part_of(document, document[ROOT], ROOT)
    elif row.endings[0] not in WITH_METADATA:
        document = {name: node for name, node in document.items() if name not in file.hidden}
    if row.endings[0] in WHOLE:
        return document if is_whole(document) else models.built(file, document)
    document, names = models.as_weights(file, document)
    if names:
        complain(f"of {', '.join(names)} only the weights go along")
    return part_of(document, document[alone], alone) if names == [alone] else document


def _name(change: Change, prefix: str | None, renames: dict[str, str]) -> None:
    if prefix is not None:
        change.strip(prefix)
    change.rename(renames)


def _drop_attributes(change: Change, row: Format) -> None:
    """The texts and numbers that HDF5 has beside its arrays, as Keras does beside each, are no reason to refuse them."""
    from holdfast.formats.hdf5.tree import MARK

    if dropped := change.drop_attributes(MARK):
        complain(f"{row.name} has no place for attributes, which are left out: {few(dropped)}")


def _write(b: str, row: Format, change: Change, scratch: Scratch) -> None:
    """Write B. What its format has no place for is an error."""
    try:
        module_of(row, f"writing {row.name} files").write_document(b, change.finished(), keep=_keeping(scratch))
    except UnsupportedError as error:
        if not error.path:  # it is not a value that is in the way
            raise
        raise UnsupportedError(f"{error.message}; or take a part with --only", error.path) from None


def few(names: list[str], most: int = 5) -> str:
    """Some of ``names``, and how many more there are.

    >>> few(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _cast(change: Change, dtype: str, contents: Contents, scratch: Scratch) -> None:
    with progress(f"to {dtype}", contents.tree.nbytes) as advance:
        lost = change.cast(dtype, scratch.empty, advance)
    if lost:
        complain(f"{lost:,} numbers are too large for {dtype} and are infinite or NaN now")


def _keeping(scratch: Scratch) -> Callable[[NdArray], NdArray]:
    """Arrays that only exist in memory go to the disk; those that stand on a file stay where they are."""

    def keep(array: NdArray) -> NdArray:
        base: Any = array
        while isinstance(base, np.ndarray):
            if base.base is None:
                return scratch.keep(array)
            base = base.base
        return array

    return keep
