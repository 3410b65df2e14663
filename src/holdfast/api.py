"""save, load, restore, inspect, verify: the few names that most users need.

Strategy: each function is a short list of steps of the layers below; nothing is decided here but their order. What a
program that only saves and loads does not need is imported when it is called.
"""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from holdfast.codec.audit import backrefs_of, resolve
from holdfast.codec.rule import Options
from holdfast.collector import held
from holdfast.formats import choose
from holdfast.formats.file import ROOT, File
from holdfast.formats.lazy import LazyValues
from holdfast.vocab import vocabulary
from holdfast.wire.values import Alike, Blob

if TYPE_CHECKING:
    from holdfast.formats.look.entry import Entry

Path = str | PathLike[str]
Model = TypeVar("Model")
Classes = Iterable[type] | Mapping[str, type]


def save(path: Path, /, *mapping: Mapping[str, Any], **values: Any) -> None:
    """Save ``values`` under their names in one file, which is whole and on the disk when this returns.

    ``save("m.bson", model=model, opt=opt)`` or ``save("m.bson", {"model": model})``. What is one object in several
    places (tied weights, an optimiser's parameters) is one object again after ``load``. An existing file is
    replaced at once: until then, and after any crash, the old one is there.

    The ending of ``path`` says the format: ``.safetensors``, ``.npz`` and ``.npy`` are written for others to read, and
    hold arrays only; everything else is BSON, which holds any value.

    Raises UnsupportedError for a value that cannot be saved, with its path (``$.model.layers[2].act``); OSError
    when the disk refuses. The old file is untouched then.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.bson")
    >>> save(path, squares=[1, 4, 9], name="squares")
    >>> load(path, "squares")
    [1, 4, 9]
    """
    if len(mapping) > 1:
        raise TypeError("save takes a path, at most one mapping, and values by name")
    named = {**mapping[0], **values} if mapping else values
    if mapping and len(named) != len(mapping[0]) + len(values):
        raise TypeError(f"named twice: {', '.join(sorted(mapping[0].keys() & values.keys()))}")
    if not named:
        raise TypeError("nothing to save: give values by name, as in save(path, model=model)")
    choose.writer_for(path).write(path, named, vocabulary())


@held()
def load(
    path: Path,
    /,
    *names: str,
    device: str = "cpu",
    classes: Classes = (),
    functions: Mapping[str, Any] | None = None,
    mmap: bool = True,
    verify: bool | Literal["lazy"] = True,
) -> Any:
    """The values of a file: all as a dict, or those of ``names`` (one: its value; several: a tuple).

    path       a file that ``save`` or Julia's BSON.jl wrote; or a .safetensors, .npz, .npy, .pt, .jld2 or .h5 file. The
               first bytes say which, not the ending
    device     where tensors go; whatever they were saved from, the CPU is the default
    classes    the classes of yours that the file may build, ``[Net]`` or ``{"old.module.Net": Net}``; see ``register``
    functions  Python functions for Julia closures in the file, by the name that the file gives: ``{"#3#4": f}``
    mmap       map the file (tensors can be changed, the file never is); False reads it into memory, for files that
               someone may truncate
    verify     compare every checksum of what is loaded; False makes opening instant; "lazy" does as well, and gives a
               mapping whose arrays are compared when their name is first taken: ``load(path, verify="lazy")["model"]``

    The file runs and imports nothing. Only what ``names`` reach is checked and built.

    Raises FormatError when it is not such a file (which byte), ChecksumError when bytes changed, UntrustedError
    with all classes that ``classes`` would have to allow, KeyError for a name that is not there.
    """
    if verify not in (True, False, "lazy"):
        raise ValueError(f'verify is True, False or "lazy", not {verify!r}')
    file = choose.open_file(path, mmap=mmap, patterns=True)
    wanted = list(dict.fromkeys(names)) or file.names
    _require(file, wanted)
    if verify:
        file.verify_frame()
    rules = vocabulary(classes)
    audited = file.audit(wanted, rules)
    lazy = verify == "lazy" and not names and not file.whole  # what is named is handed out now, so it is verified now
    if verify and not lazy:
        file.verify_blobs(audited.blobs)
    values = file.lift(audited, wanted, rules, Options(device=str(device), functions=functions or {}))
    if lazy:
        return LazyValues(values, lambda name: file.audit([name], rules).blobs, file.verify_blobs)
    if names:
        return values[names[0]] if len(names) == 1 else tuple(values[name] for name in names)
    return values[ROOT] if file.whole else values


@held()
def restore(path: Path, /, *, strict: bool = True, **targets: Any) -> None:
    """Fill live objects in place with what the file holds under their names: ``restore(path, model=model, opt=opt)``.

    targets  torch modules, optimisers, schedulers, generators, tensors, arrays, or anything with ``load_state_dict``.
             A file that is one state dictionary, with nothing but arrays, fills the one target, whatever its name
    strict   False fills what fits and warns of the rest

    No class needs to be allowed, since nothing is built: the objects are yours. All or nothing: raises
    MismatchError that lists every difference by path, and then nothing has changed. Other errors as for ``load``.
    """
    from holdfast.state.restore import restore as fill

    file = choose.open_file(path, patterns=True)
    if len(targets) == 1 and not targets.keys() & set(file.names) and (file.weights or _only_arrays(file)):
        file = file.under(*targets)  # the file is the state dictionary of the one target
    fill(file, targets, strict=strict)


def inspect(path: Path, /) -> "Entry":
    """What is in the file, as a tree of names, types, shapes, dtypes and sizes. Builds nothing and needs no torch.

    ``print(inspect(path))`` shows it; ``.children``, ``.find("model.layers[0].weight")`` and ``.walk()`` go through it.
    Raises FormatError when it is not such a file.
    """
    from holdfast.formats.look.inspect import inspect_file

    return inspect_file(choose.open_file(path))


def verify(path: Path, /) -> None:
    """Compare every checksum of the file with its bytes.

    Raises ChecksumError that says which values are bad, FormatError when the file is not whole. A file of BSON.jl's has
    no checksums; its structure is checked.
    """
    file = choose.open_file(path)
    file.verify_frame()
    reached = _reachable(file)
    known = {id(blob) for _, blob in reached}
    file.verify_blobs(reached + [("(unused)", blob) for blob in file.blobs if id(blob) not in known])


def params(*models: Any) -> list[Any]:
    """The tensors that ``models`` learn, in order and each once: weight then bias, layer after layer.

    ``save("weights.bson", weights=data(params(model)))`` saves the weights alone. See ``state.params``.
    """
    from holdfast.state import params as of

    return of.params(*models)


def loadparams(model: Any, weights: Any) -> None:
    """Copy ``weights`` (a list in the order of ``params``, or a mapping by name) into ``model``: all of them, or none.

    Raises MismatchError that lists every difference. See ``state.params``.
    """
    from holdfast.state import params as of

    of.loadparams(model, weights)


def for_flux(model: Model, flux: str = "") -> Model:
    """``model`` in the layouts of another Flux, for ``save("m.bson", model=for_flux(model, "0.14"))``; changed in
    place.

    A model that was loaded from an old file keeps that file's layouts when it is saved. ``flux`` is a version from
    "0.12" on, today's unless given. Raises UnsupportedError that names every layer which that Flux has no
    counterpart for.
    """
    from holdfast.vocab.flux import today

    chosen: Any = today.for_flux
    return chosen(model, flux)  # type: ignore[no-any-return]


def _reachable(file: File) -> list[tuple[str, Blob]]:
    """Each sealed blob with the first name that reaches it; needs no rule to be known."""
    found: list[tuple[str, Blob]] = []
    entries = file.document.get("_backrefs")
    backrefs = entries if isinstance(entries, list) else []
    seen: set[int] = set()
    for name in file.names:
        stack = [file.document[name]]
        while stack:
            node = stack.pop()
            if isinstance(node, Blob) and node.sealed and id(node) not in seen:
                seen.add(id(node))
                found.append((name, node))
            elif isinstance(node, dict | list) and id(node) not in seen:
                seen.add(id(node))
                stack.extend(node.values() if isinstance(node, dict) else node)
                reference = node.get("ref") if isinstance(node, dict) and node.get("tag") == "backref" else None
                if isinstance(reference, int) and 1 <= reference <= len(backrefs):
                    stack.append(backrefs[reference - 1])
    return found


def _only_arrays(file: File) -> bool:
    """Whether a file has names of arrays and none of anything else."""
    from holdfast.formats.document.leaves import is_array

    backrefs = backrefs_of(file.document)

    def at(node: Any) -> Any:
        node = resolve(node, backrefs)
        return node.model if isinstance(node, Alike) else node

    return all(is_array(at(file.document[name]), at) for name in file.names)


def _require(file: File, names: Iterable[str]) -> None:
    absent = [name for name in names if name not in file.document or name == "_backrefs"]
    if absent:
        raise KeyError(f"{file.path} has no {', '.join(map(repr, absent))}; it has {', '.join(map(repr, file.names))}")
