"""Tensors without torch: NumPy's arrays, and what was one memory is one memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import save
from holdfast.codec.rule import Fields
from holdfast.errors import FormatError, HoldfastError, MissingError
from holdfast.vocab.absent import lift_tensor
from reference import ROOT

CHILD = """
import json, sys
sys.modules["torch"] = None
import numpy as np
from holdfast import load
values = load(sys.argv[1])
arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
print(json.dumps({
    "others": [f"{name}: {type(value)}" for name, value in values.items() if name not in arrays],
    "values": {name: [str(a.dtype), list(a.shape), a.tolist()] for name, a in arrays.items() if a.dtype.kind in "fib"},
    "dtypes": {name: a.dtype.name for name, a in arrays.items()},
    "tied": sorted(f"{a} {b}" for a in arrays for b in arrays if a < b and np.shares_memory(arrays[a], arrays[b])),
}))
arrays["rows"][...] = 7
assert (arrays["whole"][1:] == 7).all() and (arrays["whole"][0] != 7).all()
"""


def tensors() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    whole = torch.arange(12.0).reshape(3, 4)
    apart = torch.arange(20)
    flags = torch.tensor([True, False, True, True])
    half = torch.ones(6, dtype=torch.bfloat16)
    turned = torch.arange(6.0).reshape(2, 3)
    turned.julia_axes = "reversed"
    return {
        "whole": whole,
        "rows": whole[1:],
        "weight": torch.nn.Parameter(whole[:, 1], requires_grad=False),
        "first": apart[:12],  # nobody has all of this memory
        "last": apart[8:].reshape(3, 4).T,
        "flags": flags,
        "flag": flags[1:3],
        "half": half,
        "halves": half[2:],
        "image": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "repeated": torch.arange(3.0)[:1].expand(5),
        "turned": turned,
        "nothing": whole[3:],
    }


def test_ties_and_views_without_torch(tmp_path: Path) -> None:
    values, path = tensors(), tmp_path / "m.bson"
    save(path, values)
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["others"] == []
    assert seen["tied"] == ["first last", "flag flags", "half halves", "rows weight", "rows whole", "weight whole"]
    assert (seen["dtypes"]["half"], seen["dtypes"]["halves"]) == ("bfloat16", "bfloat16")
    plain = {name: value for name, value in values.items() if not name.startswith("hal")}
    assert seen["values"] == {
        name: [str(value.dtype).removeprefix("torch."), list(value.shape), value.tolist()]
        for name, value in plain.items()
    }


def test_a_module_without_torch_says_what_to_install(tmp_path: Path) -> None:
    torch, path = pytest.importorskip("torch"), tmp_path / "m.bson"
    save(path, model=torch.nn.Linear(2, 2))
    script = "import sys; sys.modules['torch'] = None; from holdfast import load; load(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "MissingError: loading a torch.nn.Linear needs torch: pip install 'torch'" in done.stderr


def view(**changes: Any) -> Fields:
    base = np.arange(12, dtype=np.float32)
    return Fields({"base": base, "offset": 8, "size": [2, 2], "strides": [4, 1], "dtype": "float32"} | changes)


def test_a_view_is_on_the_memory_of_its_base() -> None:
    level = view()
    array = lift_tensor(level)
    assert array.tolist() == [[2, 3], [6, 7]]
    level["base"][2] = 9
    assert array[0, 0] == 9


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"offset": 9 * 4}, FormatError),
        ({"offset": -4}, FormatError),
        ({"offset": 1.0}, FormatError),
        ({"size": [2, 2, 2]}, (FormatError, ValueError)),
        ({"size": [4, 2]}, FormatError),
        ({"size": [2**62, 2**62], "strides": [0, 0]}, (FormatError, ValueError)),
        ({"strides": [-4, 1]}, FormatError),
        ({"strides": ["a", 1]}, FormatError),
        ({"dtype": "object"}, MissingError),
        ({"dtype": 3}, FormatError),
        ({"dtype": "bool", "strides": [4, 3]}, FormatError),
        ({"base": "weight"}, FormatError),
        ({"base": np.arange(24, dtype=np.float32)[::2]}, FormatError),
    ],
)
def test_a_view_that_lies(changes: dict[str, Any], error: type[HoldfastError]) -> None:
    with pytest.raises(error):
        lift_tensor(view(**changes))
