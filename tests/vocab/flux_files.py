"""The models that Julia saved, through ``holdfast.load``, and what stands in the way of running some of them.

``REMEDIES`` is the whole list of files that do not give Julia's output just as they are loaded, each with the reason and
the line that a user would write.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from holdfast.flux import flatten
from holdfast.julia.arrays import as_array
from reference import array, described, julia_files

FLUX = ("0.8.3", "0.12.1", "0.16.9")
FILES = [path for version in FLUX for path in julia_files(f"flux-{version}")]

TOLERANCE = {"Float16": 2e-3, "Float32": 1e-5, "Float64": 1e-12}
"""The largest difference, relative to the largest number of the output."""


class Remedy(NamedTuple):
    """Why a file does not run as it is, and what makes it run: model -> what to call."""

    reason: str
    apply: Callable[[Any], Any]


def put(index: int, function: Callable[..., Any]) -> Callable[[Any], Any]:
    """``model.layers[index] = function``."""

    def apply(model: Any) -> Any:
        model.layers[index] = function
        return model

    return apply


def setting(**attributes: Any) -> Callable[[Any], Any]:
    """``model.activation = …``."""

    def apply(model: Any) -> Any:
        for name, value in attributes.items():
            setattr(model, name, value)
        return model

    return apply


CLOSURE = "an anonymous function is Julia code; the Python line that its error names replaces it"
STRUCT = "a struct of the user's own is no layer; its method is Julia code"
PADDING = (
    "Flux 0.8.3 to 0.11.1 padded with zeros that could win; a file of nothing but a pooling layer does not say its Flux"
)
COUNTED = "Julia counts words from 1"

REMEDIES: dict[str, Remedy] = {
    "anon_layer": Remedy(CLOSURE, put(1, lambda x: x * 2)),
    "anon_activation": Remedy(CLOSURE, setting(activation=lambda x: torch.maximum(0.1 * x, x))),
    "conv_net_anon": Remedy(CLOSURE, put(1, flatten)),
    "flux-0.8.3/conv_net": Remedy(CLOSURE, put(3, flatten)),
    "skipconnection_anon": Remedy(CLOSURE, setting(connection=lambda a, b: a * b)),
    "custom_struct": Remedy(STRUCT, lambda struct: lambda x: struct[1](x) * float(struct[2])),
    "flux-0.8.3/maxpool_stride_pad": Remedy(PADDING, setting(clamped=True)),
    "flux-0.8.3/meanpool_pad": Remedy(PADDING, setting(clamped=True)),
    "embedding": Remedy(COUNTED, lambda layer: lambda words: layer(words - 1)),
}
"""Name of a file, with its folder where others of that name run -> what to do."""


def remedy_for(path: Path) -> Remedy | None:
    return REMEDIES.get(f"{path.parent.name}/{path.stem}") or REMEDIES.get(path.stem)


def name_of(path: Path) -> str:
    """``0.12.1-conv_basic``."""
    return f"{path.parent.name.removeprefix('flux-')}-{path.stem}"


def facts(path: Path) -> dict[str, Any]:
    """The JSON beside a file; of a file that has none, nothing."""
    return described(path) if path.with_suffix(".json").exists() else {}


def as_input(entry: dict[str, Any]) -> Tensor:
    """An array of the JSON as a layer takes it: Julia's axes reversed."""
    return torch.from_numpy(np.ascontiguousarray(array(entry).T))


def worst(model: Any, said: dict[str, Any]) -> float:
    """The largest error of all outputs, in units of what is allowed; inputs of a recurrent model are its steps."""
    errors = [0.0]
    for given, expected in zip(said.get("inputs", ()), said.get("outputs", ()), strict=False):
        with torch.no_grad():
            found = model(as_input(given))
        found = found[0] if isinstance(found, tuple) else found
        errors.append(error(found, expected))
    return max(errors)


def error(found: Tensor, expected: dict[str, Any]) -> float:
    """The largest difference in units of what is allowed for that type."""
    wanted = array(expected).T
    assert tuple(found.shape) == wanted.shape
    if not wanted.size:
        return 0.0
    scale = max(float(np.abs(wanted).max()), 1e-12)
    difference = float(np.abs(found.numpy().astype(np.float64) - wanted.astype(np.float64)).max())
    return difference / scale / TOLERANCE[expected["eltype"]]


def same_array(value: Any, entry: dict[str, Any]) -> bool:
    """Whether a tensor or array is one of the JSON, element by element; of a large one the JSON has a part."""
    found = as_array(value)
    if list(found.shape) != list(entry["size"]):
        return False
    flat = found.reshape(-1, order="F").astype(np.float64)
    if "data" in entry:
        return bool(np.array_equal(flat, array(entry).reshape(-1, order="F").astype(np.float64), equal_nan=True))
    ends = np.array([entry["first"], entry["last"]], found.dtype)
    return bool(np.array_equal(flat[[0, -1]], ends) and np.isclose(flat.sum(), entry["sum"], rtol=1e-4))
