"""``inspect`` names the fields of Flux's structs as the loaded layers have them: each path that it gives leads there."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from holdfast import inspect, load, save
from holdfast.flux import ADAM, BatchNorm, Chain, Conv, Dense, Recur, RNNCell, flatten, relu
from holdfast.formats.look.entry import Entry
from reference import JULIA, julia_files, needs_julia_files

FILES = [path for folder in ("flux-0.8.3", "flux-0.12.1", "flux-0.16.9") for path in julia_files(folder)]
STEP = re.compile(r"\.(\w+)|\[(-?\d+|'[^']*')\]")


def reached(model: Any, path: str) -> Any:
    """What stands at a path such as ``.layers['encoder'].weight``."""
    for name, key in STEP.findall(path):
        model = getattr(model, name) if name else model[int(key) if key[0] != "'" else key[1:-1]]
    return model


def arrays(entry: Entry) -> list[Entry]:
    """Arrays below layers; what is inside an array, or in Julia code, is none of the layers'."""
    if entry.shape is not None:
        return [entry]
    ours = not entry.type.startswith(("Main.", "closure", "Base.", "LinearAlgebra.", "Random.", "Tracker."))
    return [found for child in entry.children for found in arrays(child)] if ours else []


@needs_julia_files
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_paths_lead_to_the_arrays(path: Path) -> None:
    tree = inspect(path)
    entry = next((child for child in tree.children if child.name == "model"), None)
    found = arrays(entry) if entry is not None else []
    model = load(path, "model") if found else None
    for each in found:
        if ".init" in each.path:  # until 0.11 the cell's own first state once more
            continue
        value = reached(model, each.path.removeprefix("model"))
        assert isinstance(value, Tensor), each.path
        assert tuple(value.shape) == each.shape, each.path


def test_there_are_files() -> None:
    assert len(FILES) > 300 or not JULIA.is_dir()


def test_what_python_saved(tmp_path: Path) -> None:
    """The README's ``holdfast show mymodel.bson model.layers[0]``, with a kernel's axes as torch has them."""
    torch.manual_seed(0)
    net = Chain(Conv((3, 2), (1, 4), relu), BatchNorm(4), flatten, Dense(8, 2))
    save(tmp_path / "m.bson", model=net, opt=ADAM(), cell=Recur(RNNCell(2, 3)))
    tree = inspect(tmp_path / "m.bson")
    kernel = tree.find("model.layers[0].weight")
    assert kernel.shape == tuple(net.layers[0].weight.shape) == (4, 1, 2, 3)
    assert tree.find("model.layers[0].stride").value == (1, 1)
    assert tree.find("model.layers[1].mean").shape == (4,)
    assert tree.find("model.layers[3].bias").shape == (2,)
    assert tree.find("opt.beta").value == (0.9, 0.999)
    assert tree.find("cell.cell.Wi").shape == (3, 2)
    assert "Flux.Dense(activation=Base.identity)" in str(tree)


def test_named_layers(tmp_path: Path) -> None:
    save(tmp_path / "m.bson", model=Chain(encoder=Dense(3, 2), decoder=Dense(2, 3)))
    assert inspect(tmp_path / "m.bson").find("model.layers['decoder'].weight").shape == (3, 2)


def test_a_layout_that_nobody_knows_has_numbers() -> None:
    from holdfast.formats.look.flux_fields import FIELDS

    assert all(len(names.split()) == count for forms in FIELDS.values() for (count, _), names in forms.items())
