"""What a real Julia sees of torch's values. Skipped where there is no Julia."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from julia_runner import opened
from julia_values import said_array
from through_memory import saved

TENSORS = {
    "rows": torch.arange(6.0).reshape(2, 3),
    "columns": torch.arange(6.0).reshape(3, 2).t(),
    "channels_last": torch.arange(120.0).reshape(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "turned": torch.arange(24).reshape(2, 3, 4).permute(1, 2, 0),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "empty": torch.zeros(0, 3),
    "flags": torch.tensor([True, False]),
    "strided": torch.arange(10.0)[::3],
    "parameter": nn.Parameter(torch.ones(2, 2)),
}


def in_julia(value: Any, folder: Path) -> Any:
    path = folder / "values.bson"
    path.write_bytes(saved(value))
    return opened(path)["x"]


def entry(description: Any, key: str) -> Any:
    """The value of a key in the description of a dictionary."""
    return {str(said.get("value")): value for said, value in description["pairs"]}[key]


def test_tensors_are_arrays_with_the_same_elements(tmp_path: Path) -> None:
    found = in_julia(TENSORS, tmp_path)
    for name, tensor in TENSORS.items():
        got, array = said_array(entry(found, name)), tensor.detach().numpy()
        assert (got.dtype, got.shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(got, array, err_msg=name)


def test_a_sequential_is_dictionaries_of_arrays(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    found = in_julia(model, tmp_path)
    for key in ("state", "modules", "0", "state", "parameters", "weight"):
        found = entry(found, key)
    np.testing.assert_array_equal(said_array(found), model[0].weight.detach().numpy())


def test_a_view_holds_the_array_that_it_looks_at(tmp_path: Path) -> None:
    whole = torch.arange(10.0)
    found = in_julia({"a_whole": whole, "b_part": whole[3:5]}, tmp_path)
    whole_, part = entry(found, "a_whole"), entry(found, "b_part")
    assert {whole_.get("id"), whole_.get("same")} & {entry(part, "base").get("id"), entry(part, "base").get("same")}
    assert entry(part, "offset")["value"] == 12
