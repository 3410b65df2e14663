"""Runs the scripts of tests/julia in a real Julia, and gives their answers as Python values.

Strategy: a Julia is a command line; each one is asked once what it has (BSON.jl, which Flux). Files travel: a ``Path``
among a script's arguments is copied to where that Julia can see it, and what the script wrote there is copied back.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
import pytest

from julia_values import from_document, to_document

SCRIPTS = Path(__file__).parent / "julia"
SECONDS = 300
# small work is interpreted: compiling it takes five times as long
QUICK = ("--compile=min", "-O0")

# finds packages without loading them: a start stays at a quarter of a second
_PROBE = """
function version(name, unnamed)
    where = Base.find_package(name)
    project = where === nothing ? "" : joinpath(dirname(dirname(where)), "Project.toml")
    found = isfile(project) ? match(r"^version *= *\\"(.*)\\""m, read(project, String)) : nothing
    where === nothing ? "" : found === nothing ? unnamed : found[1]
end
println(VERSION)
println(version("BSON", "0.2.3")) # the last that did not say it
println(version("Flux", "?"))
"""


@dataclass(frozen=True)
class Julia:
    """One Julia: how to start it, its version, and the versions of its Flux ("" when it has none) and its BSON.jl."""

    command: tuple[str, ...]
    version: str
    flux: str
    bson: str

    def has(self, flux: bool | str, bson: str = "") -> bool:
        """Whether this Julia will do: ``flux`` is False, True for any Flux, or the beginning of a version ("0.8")."""
        fluxed = self.flux.startswith(flux) if isinstance(flux, str) else bool(self.flux) or not flux
        return fluxed and self.bson.startswith(bson)


def _ask(command: tuple[str, ...]) -> Julia:
    """What a Julia says of itself; a RuntimeError says why it will not do."""
    try:
        done = subprocess.run([*command, *QUICK, "-e", _PROBE], capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{shlex.join(command)}: {error}") from error
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()[:500]}")
    version, bson, flux = done.stdout.split("\n")[:3]
    if not bson:
        raise RuntimeError(f"{shlex.join(command)} is Julia {version}, but BSON.jl is not on its load path")
    return Julia(command, version, flux, bson)


@functools.cache
def julias() -> tuple[Julia, ...]:
    """Every Julia there is: HOLDFAST_JULIA (command lines, ``;`` between them), or else ``julia`` on the PATH."""
    named = os.environ.get("HOLDFAST_JULIA", "")
    if named.strip():
        return tuple(_ask(tuple(shlex.split(line))) for line in named.split(";") if line.strip())
    if shutil.which("julia") is None:
        return ()
    try:
        return (_ask(("julia", "--startup-file=no")),)
    except RuntimeError:
        return ()  # someone's own Julia, without BSON.jl


def julia_or_skip(flux: bool | str = False, bson: str = "") -> Julia:
    """The first Julia that has BSON.jl (of that version, if asked) and, if asked, Flux; skips the test when there is none.

    A Julia that HOLDFAST_JULIA names and that does not start is a failure, not a skip.
    """
    try:
        known = julias()
    except RuntimeError as error:
        pytest.fail(f"HOLDFAST_JULIA: {error}")
    for julia in known:
        if julia.has(flux, bson):
            return julia
    wanted = f"BSON.jl {bson}".strip() + (f" and Flux {flux}" if isinstance(flux, str) else " and Flux" if flux else "")
    pytest.skip(f"no Julia with {wanted}: see tests/julia/README.md")


def run_julia(
    script: str, *args: str | Path, flux: bool | str = False, bson: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a script of tests/julia; a ``Path`` is a file (or the place for one), a ``str`` is passed as it is.

    Skips like ``julia_or_skip``.
    """
    julia = julia_or_skip(flux, bson)
    root = Path(os.environ.get("HOLDFAST_JULIA_ROOT", "/"))
    with tempfile.TemporaryDirectory(prefix="holdfast-julia-", dir=root / "tmp") as made:
        folder = Path(made)
        shutil.copytree(SCRIPTS, folder / "scripts")
        paths = dict.fromkeys(arg for arg in args if isinstance(arg, Path))
        places = {path: folder / f"{n}-{path.name}" for n, path in enumerate(paths, 1)}
        before = {path: _send(path, place) for path, place in places.items()}
        words = [_inside(places[arg], root) if isinstance(arg, Path) else arg for arg in args]
        line = [*julia.command, *QUICK, _inside(folder / "scripts" / script, root), *words]
        done = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS)
        for path, place in places.items():
            if _stamp(place) != before[path]:
                shutil.copyfile(place, path)
    return done


def _inside(path: Path, root: Path) -> str:
    """How the Julia whose ``/`` is ``root`` names a path."""
    return str("/" / path.relative_to(root))


def _send(path: Path, place: Path) -> int | None:
    if path.exists():
        shutil.copyfile(path, place)
    return _stamp(place)


def _stamp(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def opened_all(paths: Sequence[Path], *packages: str, flux: bool | str = False, bson: str = "") -> list[dict[str, Any]]:
    """The top-level values of each file as ``BSON.load`` gives them: name → description (tests/julia/describe.jl).

    ``packages``: what Julia loads first because the files name their types. One start for all the files, so a test of
    many files should call this once. A file that Julia refuses fails the test.
    """
    found = opened_or_refused(paths, *packages, flux=flux, bson=bson)
    refused = {path.name: each for path, each in zip(paths, found, strict=True) if isinstance(each, str)}
    assert not refused, f"Julia did not open {refused}"
    return [each for each in found if not isinstance(each, str)]


def opened_or_refused(
    paths: Sequence[Path], *packages: str, flux: bool | str = False, bson: str = ""
) -> list[dict[str, Any] | str]:
    """As ``opened_all``; of a file that Julia refuses, its error."""
    using = [word for package in packages for word in ("--using", package)]
    done = run_julia("open.jl", *using, *paths, flux=flux, bson=bson)
    assert done.returncode == 0 or '"error"' in done.stdout, f"Julia ended: {done.stderr[:2000]}"
    found: list[dict[str, Any] | str] = [{} for _ in paths]
    for line in map(json.loads, done.stdout.splitlines()):
        values = found[line["n"] - 1]
        if "error" in line or isinstance(values, str):
            found[line["n"] - 1] = line.get("error", values)
        else:
            values[line["key"]] = line["value"]
    return found


def opened(path: Path, *packages: str, flux: bool | str = False, bson: str = "") -> dict[str, Any]:
    """``opened_all`` of one file."""
    return opened_all([path], *packages, flux=flux, bson=bson)[0]


def run_models(jobs: Sequence[tuple[Path, str, Any]], folder: Path, *, flux: bool | str = True) -> list[Any]:
    """What Flux models of files give: each job is (file, name of the model, input); ``folder`` holds files in between.

    An input is an array, or a list of arrays for the steps of a recurrent model; so is an output. One start for all. A
    model that Julia does not run fails the test.
    """
    found = tried_models(jobs, folder, flux=flux)
    refused = {job[0].name: each for job, each in zip(jobs, found, strict=True) if isinstance(each, str)}
    assert not refused, f"Julia did not run {refused}"
    return found


def tried_models(jobs: Sequence[tuple[Path, str, Any]], folder: Path, *, flux: bool | str = True) -> list[Any]:
    """As ``run_models``; of a model that Julia does not run, its error."""
    words: list[str | Path] = []
    for n, (path, key, x) in enumerate(jobs):
        given = folder / f"{n}-input.bson"
        given.write_bytes(bson.encode({"x": to_document(x)}))
        words += [path, key, given, folder / f"{n}-output.bson"]
    done = run_julia("run_model.jl", *words, flux=flux)
    outputs = [word for word in words[3::4] if isinstance(word, Path)]
    assert all(path.exists() for path in outputs), f"Julia did not run the models: {done.stderr[:2000]}"
    documents = [bson.decode(path.read_bytes()) for path in outputs]
    return [each["error"] if "error" in each else from_document(each["y"]) for each in documents]
