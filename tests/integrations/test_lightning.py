"""Lightning's own Trainer saves our files, and resumes from them exactly."""

import argparse
import os
import sys
import textwrap
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from holdfast import ChecksumError, FormatError, MismatchError, UnsupportedError, UntrustedError, load, restore, verify
from runs import damage, python
from trainer_jobs import STEPS

pl = pytest.importorskip("lightning.pytorch", reason="needs lightning: pip install 'holdfast[lightning]'")

from lightning.pytorch import callbacks as theirs  # noqa: E402

from holdfast.checkpoint import resumable  # noqa: E402
from holdfast.integrations.lightning import (  # noqa: E402
    ExactResume,
    HoldfastIO,
    ModelCheckpoint,
    load_from_checkpoint,
)
from holdfast.integrations.lightning.package import installed  # noqa: E402

TRAINER = "lightning"

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
]

# -- exact ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", range(STEPS))
@pytest.mark.parametrize("name", ["lightning", "lightning_validation"])
def test_killed_at_any_step_it_ends_with_the_same_bits(killed: Callable[..., None], name: str, kill: int) -> None:
    killed(name, kill)


OTHERS = [
    *[("lightning_steps", kill) for kill in (2, 3)],
    *[("lightning_validation_within", kill) for kill in (2, 3, 5)],
    *[("lightning_accumulation", kill) for kill in (3, 5)],
    *[("lightning_within_accumulation", kill) for kill in (1, 3, 4)],
    *[("lightning_workers", kill) for kill in (2, 3)],
    *[("lightning_stateful", kill) for kill in (2, 3)],
    *[("lightning_limited", kill) for kill in (1, 2)],
    *[(f"lightning_epochs{kind}", 4) for kind in ("", "_plain", "_stateful", "_validation")],
]


@pytest.mark.parametrize(("name", "kill"), OTHERS)
def test_so_do_runs_of_other_kinds(killed: Callable[..., None], name: str, kill: int) -> None:
    """Steps, validation within epochs, accumulation, workers, torchdata's loader, limits, epochs with a plain loader."""
    killed(name, kill)


AT = {"place": 3, "gradients": 1}


@pytest.mark.parametrize(
    ("part", "like"),
    [
        *[(part, "lightning") for part in ("random", "loaders")],
        ("place", "lightning"),
        ("gradients", "lightning_within_accumulation"),
    ],
)
def test_every_part_is_needed(killed: Callable[..., None], part: str, like: str) -> None:
    """A run that loses one part ends otherwise: the tests above would see it."""
    with pytest.raises(AssertionError):
        killed(f"lightning_without_{part}", AT.get(part, 2), like)


# -- a Trainer in this process ----------------------------------------------------------------------------------------


class Kind(Enum):
    ONE = 1


class Net(pl.LightningModule):
    def __init__(self, width: int = 3, schedule: Any = None, **more: Any) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["schedule"])
        self.inner = nn.Linear(4, width)
        self.schedule = schedule

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.inner(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        opt = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return opt if self.schedule is None else ([opt], [self.schedule(opt)])


def batches() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.arange(24.0).reshape(6, 4)), batch_size=2)


def fit(
    folder: Path, model: Any, *callbacks: Any, io: Any = None, epochs: int = 1, data: Any = None, **more: Any
) -> Any:
    keeper = ModelCheckpoint(dirpath=folder, save_last=True)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        plugins=[io or HoldfastIO()], callbacks=[ExactResume(), keeper, *callbacks],
    )  # fmt: skip
    trainer.fit(model, data or batches(), **more)
    return trainer


def test_the_file_opens_like_any_other(tmp_path: Path) -> None:
    model = Net()
    trainer = fit(tmp_path, model)
    last = tmp_path / "last.bson"
    assert sorted(os.listdir(tmp_path)) == ["epoch=0-step=3.bson", "last.bson"]
    verify(last)
    epoch, weights = load(last, "epoch", "state_dict")
    assert epoch == 0
    assert isinstance(weights, OrderedDict)
    assert torch.equal(weights["inner.weight"], model.inner.weight)
    assert load(last).keys() >= {"global_step", "loops", "callbacks", "optimizer_states", "lr_schedulers", "holdfast"}
    again = Net()
    restore(last, state_dict=again)
    assert torch.equal(again.inner.weight, model.inner.weight)
    assert trainer.checkpoint_callback.best_model_path.endswith(".bson")


def test_the_trainers_other_ways_in(tmp_path: Path) -> None:
    """``ckpt_path="best"`` for prediction, ``"last"`` for training."""
    model, fresh = Net(), Net()
    trainer = fit(tmp_path, model)
    fresh.predict_step = lambda batch, batch_idx: fresh.inner(batch[0])
    (first, *_) = trainer.predict(fresh, batches(), ckpt_path="best")
    assert torch.equal(first, model.inner(next(iter(batches()))[0]))
    assert fit(tmp_path, Net(), epochs=2, ckpt_path="last").global_step == 6


def test_a_module_from_its_checkpoint(tmp_path: Path) -> None:
    model = Net(width=5)
    fit(tmp_path, model)
    again = load_from_checkpoint(Net, tmp_path / "last.bson", map_location="cpu")
    assert again.hparams.width == 5
    assert torch.equal(again.inner.weight, model.inner.weight)


@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_file_is_refused_before_anything_changes(tmp_path: Path, cut: bool) -> None:
    fit(tmp_path, Net())
    last = tmp_path / "last.bson"
    if cut:
        os.truncate(last, last.stat().st_size // 2)
    else:
        damage(last)
    model = Net()
    before = model.inner.weight.clone()
    with pytest.raises(FormatError if cut else ChecksumError, match=r"last\.bson"):
        fit(tmp_path, model, epochs=2, ckpt_path=last)
    assert torch.equal(model.inner.weight, before)


def test_other_loaders_than_the_checkpoints_are_refused(tmp_path: Path) -> None:
    fit(tmp_path, Net())
    with pytest.raises(MismatchError, match="0 loaders, and this Trainer has 1"):
        fit(tmp_path, Net(), epochs=2, ckpt_path="last", data=resumable(batches()))


def test_a_later_version_of_the_entry_is_refused() -> None:
    with pytest.raises(FormatError, match="version 2"):
        ExactResume().on_load_checkpoint(None, None, {"holdfast": {"version": 2}})


def test_a_checkpoint_without_the_entry_is_lightnings_own(tmp_path: Path) -> None:
    fit(tmp_path, Net())
    found = load(tmp_path / "last.bson")
    found.pop("holdfast")
    HoldfastIO().save_checkpoint(found, tmp_path / "last.bson")
    assert fit(tmp_path, Net(), epochs=2, ckpt_path="last").global_step == 6


SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "one_cycle": lambda opt: torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=50),
    "cyclic": lambda opt: torch.optim.lr_scheduler.CyclicLR(opt, 0.1, 0.2),
    "function": lambda opt: torch.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 0.9**epoch),
    "in_turn": lambda opt: torch.optim.lr_scheduler.SequentialLR(
        opt,
        [torch.optim.lr_scheduler.LinearLR(opt), torch.optim.lr_scheduler.CosineAnnealingLR(opt, 4)],
        milestones=[1],
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers(tmp_path: Path, name: str) -> None:
    whole = fit(tmp_path / "whole", Net(schedule=SCHEDULERS[name]), epochs=2)
    fit(tmp_path / "first", Net(schedule=SCHEDULERS[name]))
    then = fit(tmp_path / "first", Net(schedule=SCHEDULERS[name]), epochs=2, ckpt_path="last")
    expected, found = (one.lr_scheduler_configs[0].scheduler.get_last_lr() for one in (whole, then))
    assert found == expected


def test_what_callbacks_and_hyper_parameters_hold(tmp_path: Path) -> None:
    more = {
        "path": Path("a"), "span": timedelta(1), "names": argparse.Namespace(a=1), "sizes": [1, (2, 3)], "none": None,
        "dtype": torch.float16, "device": torch.device("cpu"), "layer": nn.ReLU, "some": {1, 2},
        "theirs": pl.utilities.parsing.AttributeDict(a=1),
    }  # fmt: skip
    stop = theirs.EarlyStopping("loss", patience=9)
    fit(tmp_path, Net(**more), stop, theirs.Timer())
    found = HoldfastIO().load_checkpoint(tmp_path / "last.bson")
    assert found["hyper_parameters"] == {"width": 3, **more}
    again = theirs.EarlyStopping("loss", patience=9)
    fit(tmp_path, Net(**more), again, theirs.Timer(), epochs=2, ckpt_path="last")
    assert again.best_score <= stop.best_score


def test_a_class_of_the_users_has_to_be_allowed(tmp_path: Path) -> None:
    fit(tmp_path, Net(kind=Kind.ONE))
    with pytest.raises(UntrustedError, match="Kind") as caught:
        fit(tmp_path, Net(kind=Kind.ONE), epochs=2, ckpt_path="last")
    assert "HoldfastIO(classes=[…])" in caught.value.__notes__[0]
    fit(tmp_path, Net(kind=Kind.ONE), epochs=2, ckpt_path="last", io=HoldfastIO(classes=[Kind]))
    assert load_from_checkpoint(Net, tmp_path / "last.bson", classes=[Kind]).hparams.kind is Kind.ONE


def test_hyper_parameters_of_omegaconf(tmp_path: Path) -> None:
    omegaconf = pytest.importorskip("omegaconf", reason="needs omegaconf: pip install omegaconf")

    class Configured(Net):
        def __init__(self, conf: Any) -> None:
            pl.LightningModule.__init__(self)
            self.save_hyperparameters(conf)
            self.inner, self.schedule = nn.Linear(4, conf.width), None

    conf = omegaconf.OmegaConf.create({"width": 3, "again": "${width}", "list": [1]})
    fit(tmp_path, Configured(conf))
    found = HoldfastIO().load_checkpoint(tmp_path / "last.bson")
    assert found["hyper_parameters"] == conf
    assert found["hparams_type"] is omegaconf.DictConfig
    assert load_from_checkpoint(Configured, tmp_path / "last.bson", conf=conf).hparams.again == 3
    fit(tmp_path / "nested", Net(inside={"conf": [conf]}))
    nested = HoldfastIO().load_checkpoint(tmp_path / "nested" / "last.bson")["hyper_parameters"]["inside"]
    assert nested == {"conf": [conf]}
    assert isinstance(nested["conf"][0], omegaconf.DictConfig)


def test_written_in_the_background_by_lightnings_own_plugin(tmp_path: Path) -> None:
    io = pl.plugins.AsyncCheckpointIO(HoldfastIO())
    model = Net()
    fit(tmp_path, model, io=io)
    assert torch.equal(load(tmp_path / "last.bson", "state_dict")["inner.weight"], model.inner.weight)


def test_fabric(tmp_path: Path) -> None:
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", plugins=[HoldfastIO()])
    model = nn.Linear(2, 1)
    opt = torch.optim.Adam(model.parameters())
    model, opt = fabric.setup(model, opt)
    fabric.save(tmp_path / "f.bson", {"model": model, "opt": opt, "step": 4})
    state = {"model": nn.Linear(2, 1), "step": 0}
    fabric.load(tmp_path / "f.bson", state, strict=False)
    assert state["step"] == 4
    assert torch.equal(state["model"].weight, model.weight)


# -- the interface ----------------------------------------------------------------------------------------------------


def test_removing(tmp_path: Path) -> None:
    io, path = HoldfastIO(), tmp_path / "new" / "a.bson"
    io.save_checkpoint({"epoch": 1}, path)
    io.remove_checkpoint(path)
    io.remove_checkpoint(path)
    assert not path.exists()
    with pytest.raises(UnsupportedError, match="a folder"):
        io.remove_checkpoint(tmp_path)


def test_what_it_does_not_take(tmp_path: Path) -> None:
    io = HoldfastIO()
    with pytest.raises(TypeError, match="storage_options"):
        io.save_checkpoint({"epoch": 1}, tmp_path / "a.bson", storage_options={})
    with pytest.raises(UnsupportedError, match="not a path on this machine"):
        io.save_checkpoint({"epoch": 1}, "s3://bucket/a.bson")
    with pytest.raises(UnsupportedError, match=r"\$\.inner\[1\]"):
        io.save_checkpoint({"inner": [1, lambda: 1]}, tmp_path / "a.bson")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["meta", torch.device("meta"), {"cpu": "meta"}, lambda storage, name: storage])
def test_map_location(tmp_path: Path, place: Any) -> None:
    HoldfastIO().save_checkpoint({"weight": torch.ones(2)}, tmp_path / "a.bson")
    weight = HoldfastIO(mmap=False).load_checkpoint(tmp_path / "a.bson", map_location=place)["weight"]
    assert weight.device.type == ("cpu" if callable(place) else "meta")


def test_without_the_package_the_error_says_what_to_install() -> None:
    code = """
        import sys, importlib
        for name in ("lightning", "pytorch_lightning", "transformers", "accelerate"):
            sys.modules[name] = None
        for name in ("lightning", "transformers", "accelerate"):
            try:
                importlib.import_module(f"holdfast.integrations.{name}")
            except Exception as error:
                print(type(error).__name__, error)
    """
    said = python(textwrap.dedent(code)).stdout.splitlines()
    assert said == [
        f"MissingError holdfast.integrations.{name} needs holdfast[{name}]: pip install 'holdfast[{name}]'"
        for name in ("lightning", "transformers", "accelerate")
    ]


def test_the_other_name_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that imports ``pytorch_lightning`` gets classes of that: the Trainer of the one refuses the other's."""
    names = ("callbacks", "utilities", "utilities.parsing")
    other = {f"pytorch_lightning.{name}": ModuleType(name) for name in names} | {"pytorch_lightning": ModuleType("pl")}
    names = ("plugins", "utilities", "utilities.data")
    other |= {f"lightning_fabric.{name}": ModuleType(name) for name in names} | {"lightning_fabric": ModuleType("lf")}
    assert installed()[0] is theirs
    for name, module in other.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "lightning.pytorch")
    assert installed()[0] is other["pytorch_lightning.callbacks"]
