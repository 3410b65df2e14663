"""Accelerate's ``save_state`` and ``load_state`` use our files, and loops with Accelerate resume exactly."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from holdfast import ChecksumError, FormatError, MismatchError, UnsupportedError, load, verify
from runs import damage
from trainer_jobs import STEPS

accelerate = pytest.importorskip("accelerate", reason="needs accelerate: pip install 'holdfast[accelerate]'")

from holdfast.integrations.accelerate import FILE, prepared, register  # noqa: E402

TRAINER = "accelerate"

# -- exact ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", range(STEPS))
@pytest.mark.parametrize("way", ["hooks", "one_file", "series"])
def test_killed_at_any_step_it_ends_with_the_same_bits(killed: Callable[..., None], way: str, kill: int) -> None:
    killed(f"accelerate_{way}", kill)


def test_the_place_in_the_data_is_needed(killed: Callable[..., None]) -> None:
    """A run that loses it ends otherwise: the tests above would see it."""
    with pytest.raises(AssertionError):
        killed("accelerate_without_data", 4, "accelerate_one_file")


# -- an Accelerator in this process -----------------------------------------------------------------------------------


def made(width: int = 2, **objects: Any) -> tuple[Any, nn.Module, Any, Any]:
    accelerator = accelerate.Accelerator(cpu=True)
    accelerator.free_memory()
    model = nn.Linear(3, width)
    opt = torch.optim.Adam(model.parameters(), 0.1)
    model, opt = accelerator.prepare(model, opt)
    files = register(accelerator, **objects)
    opt.zero_grad()
    accelerator.backward(model(torch.ones(2, 3)).sum())
    opt.step()
    return accelerator, model, opt, files


def test_the_folder_holds_our_file_and_no_weights_of_another_kind(tmp_path: Path) -> None:
    progress = {"step": 7}
    accelerator, model, opt, _ = made(progress=progress)
    accelerator.save_state(tmp_path / "7")
    assert FILE in os.listdir(tmp_path / "7")
    assert not [name for name in os.listdir(tmp_path / "7") if name.startswith(("model", "pytorch_model"))]
    verify(tmp_path / "7" / FILE)
    weights, adam, kept = load(tmp_path / "7" / FILE, "model", "opt", "progress")
    assert torch.equal(weights["weight"], model.weight)
    assert type(adam) is torch.optim.Adam
    assert kept == {"step": 7}
    again, other, other_opt, _ = made(progress=(other_progress := {"step": 0}))
    torch.rand(3)
    again.load_state(tmp_path / "7")
    assert torch.equal(other.weight, model.weight)
    assert other_progress == {"step": 7}
    for mine, theirs in zip(opt.state.values(), other_opt.state.values(), strict=True):
        assert torch.equal(mine["exp_avg"], theirs["exp_avg"])


def test_registered_objects_and_numbers(tmp_path: Path) -> None:
    class Own:
        count = 1

        def state_dict(self) -> dict[str, int]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    accelerator, _, _, files = made(step=3)
    own = Own()
    accelerator.register_for_checkpointing(own)
    accelerator.step = 5
    files.save(tmp_path / "a.bson")
    assert {"model", "opt", "custom", "step", "accelerator"} <= load(tmp_path / "a.bson").keys()
    own.count, files.objects["step"], accelerator.step = 2, 4, 6
    files.load(tmp_path / "a.bson")
    assert (own.count, files.objects["step"], accelerator.step) == (1, 3, 5)


@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_file_is_refused_before_anything_changes(tmp_path: Path, cut: bool) -> None:
    accelerator, _, _, _ = made()
    accelerator.save_state(tmp_path / "1")
    path = tmp_path / "1" / FILE
    if cut:
        os.truncate(path, path.stat().st_size // 2)
    else:
        damage(path)
    again, model, _, _ = made()
    before = model.weight.clone()
    with pytest.raises(FormatError if cut else ChecksumError, match=r"state\.bson"):
        again.load_state(tmp_path / "1")
    assert torch.equal(model.weight, before)


def test_another_model_is_refused(tmp_path: Path) -> None:
    made()[3].save(tmp_path / "a.bson")
    with pytest.raises(MismatchError, match=r"model\.weight"):
        made(width=5)[3].load(tmp_path / "a.bson")


def test_folders_of_accelerates_own_still_load(tmp_path: Path) -> None:
    accelerator, model, _, files = made()
    files.remove()
    accelerator.save_state(tmp_path / "1")
    assert FILE not in os.listdir(tmp_path / "1")
    again, other, _, _ = made()
    again.load_state(tmp_path / "1")
    assert torch.equal(other.weight, model.weight)


def test_names(tmp_path: Path) -> None:
    accelerator, model, opt, _ = made()
    assert list(prepared(accelerator)) == ["model", "opt", "accelerator"]
    assert prepared(accelerator)["opt"] is opt.optimizer
    assert list(prepared(accelerator, net=model, adam=opt)) == ["accelerator", "net", "adam"]
    with pytest.raises(UnsupportedError, match="names of what is prepared"):
        prepared(accelerator, opt=3)


def test_sharded_models_are_refused() -> None:
    accelerator = made()[0]

    class Sharded:
        distributed_type = accelerate.DistributedType.FSDP

    assert accelerator.distributed_type is accelerate.DistributedType.NO
    with pytest.raises(UnsupportedError, match="no process has the whole model"):
        register(Sharded())
