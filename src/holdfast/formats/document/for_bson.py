"""A document of any reader as one that BSON.jl can load.

Strategy: a document is changed where BSON asks for more than other formats do: what stands in several places is named
once, arrays have checksums and fit in a binary, and structs have all their fields, which Julia takes by their places.
"""

from collections.abc import Callable
from typing import Any, Final

from holdfast.codec.audit import backrefs_of, resolve, type_name
from holdfast.errors import UnsupportedError
from holdfast.formats.document.arrays import array_of, blobs_of, containers, plain
from holdfast.formats.look.flux_fields import FIELDS
from holdfast.vocab.numpy import array_fields
from holdfast.wire.values import MAX_BLOB, Blob, Document

UNSHARED: Final = frozenset({"backref", "datatype", "unionall", "symbol", "svec"})
"""Tags of what has no identity of its own: it may stand in many places as it is."""


def as_bson(document: Document) -> Document:
    """A document of any reader as one that a BSON file can hold: each array with a checksum to be, and none too large.

    Changes ``document``, and copies no array. Raises UnsupportedError for a layer of Flux's that is not whole in JLD2.
    """
    backrefs = backrefs_of(document)

    def at(node: Any) -> Any:
        return resolve(node, backrefs)

    for node in containers(document):
        if any(blob.nbytes > MAX_BLOB for blob in blobs_of(node, at)):
            _in_slabs(node, at, backrefs)
        elif isinstance(node, dict) and node.get("tag") == "array" and type(node.get("data")) is Blob:
            node["data"] = Blob(node["data"].data, sealed=True)
        else:
            _check_whole(node, at)
    _refer(document, backrefs)
    return document


def _refer(document: Document, backrefs: list[Any]) -> None:
    """What stands in several places, or in itself, goes to ``_backrefs``, and its places refer to it. Readers of other
    formats give one document in all of them."""
    numbers = {id(entry): number for number, entry in enumerate(backrefs, 1)}
    all_of, met = list(containers(document)), set[int]()
    for container in all_of:
        for child in container.values() if isinstance(container, dict) else container:
            if id(child) in met and id(child) not in numbers:
                backrefs.append(child)
                numbers[id(child)] = len(backrefs)
            if isinstance(child, dict) and child.get("tag") not in UNSHARED:
                met.add(id(child))
    for container in all_of:
        if container is not backrefs:
            for key, child in list(container.items() if isinstance(container, dict) else enumerate(container)):
                if id(child) in numbers:
                    container[key] = {"tag": "backref", "ref": numbers[id(child)]}
    if backrefs:
        document["_backrefs"] = backrefs


def is_whole(document: Document) -> bool:
    """Whether all layers of Flux's have their fields, so that Julia could build them from BSON."""
    backrefs = backrefs_of(document)
    return not any(_lacks(node, lambda part: resolve(part, backrefs)) for node in containers(document))


def _check_whole(node: Document, at: Callable[[Any], Any]) -> None:
    if _lacks(node, at):
        raise UnsupportedError(
            f"a {type_name(at(node['type']))} of which the file has the fields {', '.join(map(str, node['names']))} alone: "
            "JLD2 left out what has no data, and Julia could not build it from BSON"
        )


def _lacks(node: Any, at: Callable[[Any], Any]) -> bool:
    """BSON.jl takes a struct's fields by their places; JLD2 names them, and until 0.4.54 left out those without data."""
    if not isinstance(node, dict) or node.get("tag") != "struct" or type(node.get("names")) is not list:
        return False
    type_, names = at(node["type"]), [str(name) for name in node["names"]]
    name = type_name(type_)
    params = at(type_.get("params", [])) if name in FIELDS else []
    counts = (len(names), len(params)), (len(names), -1)
    forms = [form.split() for count, form in FIELDS.get(name, {}).items() if count in counts]
    return name in FIELDS and not any(map(_same_places, forms, [names] * len(forms)))


def _same_places(form: list[str], names: list[str]) -> bool:
    """Whether the names that Python and Julia have in common stand in the same places."""
    return all(form.index(name) == place for place, name in enumerate(names) if name in form)


def _in_slabs(node: Document, at: Callable[[Any], Any], backrefs: list[Any]) -> None:
    """An array that is too large for one binary, in pieces."""
    array = array_of({key: node[key] for key in node if key in ("tag", "type", "size", "data")}, None, at, backrefs)
    if array is None:
        raise UnsupportedError("an array of 2 GiB or more that NumPy does not have cannot be written to BSON")
    extra = {key: node[key] for key in ("python", "dtype", "requires_grad", "attributes") if key in node}
    made = plain(array_fields(array, **extra))
    node.clear()
    node.update(made)
