"""Training runs of other trainers, and a server that lives them in processes of their own: for ``integrations/``.

Strategy: as in ``exact_jobs.py``. A run is a function of a folder and a ``Life``; it goes on from the folder, is killed
before or within a step, or comes to the end and gives what it ended with. One process imports the trainer, which takes
seconds, and forks for each life.
"""

import contextlib
import json
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from exact_jobs import Life, bits, leaves
from holdfast.checkpoint import Series, resumable
from holdfast.checkpoint import random as generators

STEPS = 6
"""Of every run: two epochs of three batches."""

Run = Callable[[str, Life], dict[str, Any]]


class Noisy(Dataset):
    """Numbers, and what three generators add to them."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((4,), index / 10) + torch.rand(4) + np.random.rand() + random.random()


class Steady(Dataset):
    """Numbers that follow from the index alone."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Tensor:
        return torch.rand(4, generator=torch.Generator().manual_seed(index))


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


def loss_of(model: nn.Module, x: Tensor) -> Tensor:
    return (model(x) - x[:, :2]).square().mean()


def ended(life: Life, **states: Any) -> dict[str, Any]:
    """The bits of everything, the losses, and the next numbers."""
    found: dict[str, Any] = {
        name: {path: bits(value) for path, value in leaves(state, "")} for name, state in states.items()
    }
    found["losses"] = {str(step): bits(loss) for step, loss in life.losses.items()}
    found["next"] = [random.random(), float(np.random.rand()), float(torch.rand(()))]
    return found


# -- Lightning --------------------------------------------------------------------------------------------------------


def lightning_run(
    loader: Callable[[], Any],
    *,
    validate: bool = False,
    every_epoch: bool = False,
    forget: str = "",
    every_batch: bool = False,
    **options: Any,
) -> Run:
    """A run of Lightning's Trainer, saved after every update, every batch or every epoch; ``forget``: a part to lose."""

    def run(folder: str, life: Life) -> dict[str, Any]:
        from lightning.pytorch import LightningModule, Trainer
        from lightning.pytorch.callbacks import Checkpoint

        from holdfast.integrations.lightning import ExactResume, HoldfastIO, ModelCheckpoint

        class Net(LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.inner = net()
                self.seen = 0

            def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
                step = self.trainer.fit_loop.total_batch_idx
                life.at(step)
                loss = loss_of(self.inner, batch)
                life.losses[step] = loss.detach()
                life.in_the_middle_of(step)
                return loss

            def validation_step(self, batch: Tensor, batch_idx: int) -> None:
                self.log("val_loss", loss_of(self.inner, batch + torch.rand(4)))

            def configure_optimizers(self) -> Any:
                opt = torch.optim.Adam(self.parameters(), lr=0.05)
                schedule = torch.optim.lr_scheduler.StepLR(opt, 2, 0.5)
                return {"optimizer": opt, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

        class Forgetting(ExactResume):
            def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
                super().on_load_checkpoint(trainer, module, checkpoint)
                entry = dict(self._saved or {})
                nothing = {
                    "random": generators.capture(),
                    "gradients": {},
                    "loaders": [data.state_dict()],
                    "place": "within",
                }
                entry.update({name: value for name, value in nothing.items() if name == forget})
                self._saved = entry

        class EveryBatch(Checkpoint):
            def on_train_batch_end(self, trainer: Any, *given: Any) -> None:
                trainer.save_checkpoint(last)

        when: dict[str, Any] = {"every_n_epochs": 1} if every_epoch else {"every_n_train_steps": 1}
        keeper = ModelCheckpoint(dirpath=folder, save_last=True, save_top_k=1, **when)
        callbacks = [Forgetting() if forget else ExactResume(), EveryBatch() if every_batch else keeper]
        model, data, last = Net(), loader(), os.path.join(folder, "last.bson")
        given = {"max_epochs": 2} | options
        trainer = Trainer(
            accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            plugins=[HoldfastIO()], callbacks=callbacks, num_sanity_val_steps=0, **given,
        )  # fmt: skip
        validation = DataLoader(Noisy(), batch_size=4) if validate else None
        trainer.fit(model, data, validation, ckpt_path=last if os.path.exists(last) else None)
        states = {"model": model.state_dict(), "opt": trainer.optimizers[0].state_dict()}
        after = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        return ended(life, **states, after=after)

    return run


def shuffled(workers: int = 0) -> Any:
    return resumable(DataLoader(Noisy(), batch_size=3, shuffle=True, num_workers=workers))


def plain() -> Any:
    return DataLoader(Noisy(), batch_size=3, shuffle=True)


def stateful() -> Any:
    from torchdata.stateful_dataloader import StatefulDataLoader

    return StatefulDataLoader(Noisy(), batch_size=3, shuffle=True)


# -- Transformers -----------------------------------------------------------------------------------------------------


class Words(Dataset):
    """Sentences of four words, and whether the first one is even."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        words = np.random.default_rng(index).integers(0, 20, 4)
        return {"input_ids": torch.tensor(words), "labels": int(words[0]) % 2}


def transformers_run(forget: str = "", **options: Any) -> Run:
    """A tiny BERT, saved after every update; ``forget``: a part of the state to lose."""

    def run(folder: str, life: Life) -> dict[str, Any]:
        import transformers

        from holdfast.integrations.transformers import SeriesCallback

        transformers.utils.logging.set_verbosity_error()
        sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        model = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=20, **sizes))

        class Trainer(transformers.Trainer):
            def training_step(self, *given: Any, **more: Any) -> Tensor:
                step = self.state.global_step
                life.at(step)
                loss: Tensor = super().training_step(*given, **more)
                life.losses[step] = loss.detach() + life.losses.get(step, 0)
                life.in_the_middle_of(step)
                return loss

        class Forgetting(SeriesCallback):
            def on_step_begin(self, *given: Any, **more: Any) -> None:
                if forget == "random" and self._random is not None:
                    self._random = generators.capture()
                super().on_step_begin(*given, **more)

            def resume_from(self, trainer: Any) -> str | None:
                found = super().resume_from(trainer)
                if forget == "trainer":
                    self._counts.trainer = lambda: None
                return found

        given = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "logging_steps": 2} | options
        args = transformers.TrainingArguments(
            folder + "-trainer", learning_rate=0.01, lr_scheduler_type="cosine", save_strategy="no",
            report_to=[], use_cpu=True, disable_tqdm=True, seed=5, **given,
        )  # fmt: skip
        with Series(folder, every_steps=1, keep_last=2, background=not forget) as series:
            keeper = Forgetting(series)
            trainer = Trainer(model, args, train_dataset=Words(), eval_dataset=Words(), callbacks=[keeper])
            trainer.train(resume_from_checkpoint=keeper.resume_from(trainer))
        log = [{name: value for name, value in line.items() if "runtime" not in name and "second" not in name}
               for line in trainer.state.log_history]  # fmt: skip
        states = {"model": model.state_dict(), "opt": trainer.optimizer.state_dict()}
        after = {"step": trainer.state.global_step, "epoch": trainer.state.epoch, "log": log[:-1]}
        return ended(life, **states, schedule=trainer.lr_scheduler.state_dict(), after=after)

    return run


# -- Accelerate -------------------------------------------------------------------------------------------------------


def accelerate_run(way: str, forget: str = "") -> Run:
    """A loop with Accelerate, saved after every step by its hooks, in one file, or by a Series."""

    def run(folder: str, life: Life) -> dict[str, Any]:
        from accelerate import Accelerator

        from holdfast.integrations.accelerate import prepared, register

        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
        model = net()
        opt = torch.optim.AdamW(model.parameters(), 0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
        model, opt, schedule = accelerator.prepare(model, opt, schedule)
        data, progress = resumable(DataLoader(Noisy(), batch_size=3, shuffle=True)), {"step": 0}
        os.makedirs(folder, exist_ok=True)
        places = sorted(Path(folder).iterdir(), key=lambda path: int(path.stem))
        series = None
        if way == "series":
            series = Series(folder + "-series", every_steps=1, exact=True)
            series.track(**prepared(accelerator, data=data))
            progress["step"] = series.resume().step
        else:
            files = register(accelerator, data=data, progress=progress)
            if forget:
                files.objects.pop(forget)
            if places:
                (accelerator.load_state if way == "hooks" else files.load)(places[-1])
        for step in range(progress["step"], STEPS):
            life.at(step)
            with accelerator.accumulate(model):
                loss = loss_of(model, data.next_batch())
                accelerator.backward(loss)
                opt.step()
                schedule.step()
                life.in_the_middle_of(step)
                opt.zero_grad()
            life.losses[step], progress["step"] = loss.detach(), step + 1
            if series is not None:
                series.step(step)
            elif accelerator.sync_gradients:
                (accelerator.save_state if way == "hooks" else files.save)(Path(folder, str(step)))
        if series is not None:
            series.close()
        return ended(
            life, model=model.state_dict(), opt=opt.state_dict(), schedule=schedule.state_dict(), after=progress
        )

    return run


RUNS: dict[str, dict[str, Run]] = {
    "transformers": {
        "transformers": transformers_run(),
        "transformers_without_random": transformers_run(forget="random"),
        "transformers_without_trainer": transformers_run(forget="trainer"),
        "transformers_evaluation": transformers_run(eval_strategy="steps", eval_steps=1),
        "transformers_accumulation": transformers_run(gradient_accumulation_steps=2, num_train_epochs=3),
    },
    "accelerate": {f"accelerate_{way}": accelerate_run(way) for way in ("hooks", "one_file", "series")}
    | {"accelerate_without_data": accelerate_run("one_file", "data")},
    "lightning": {
        "lightning": lightning_run(shuffled),
        "lightning_steps": lightning_run(shuffled, max_epochs=-1, max_steps=STEPS),
        "lightning_validation": lightning_run(shuffled, validate=True),
        "lightning_validation_within": lightning_run(shuffled, validate=True, val_check_interval=2),
        "lightning_accumulation": lightning_run(shuffled, accumulate_grad_batches=2),
        "lightning_within_accumulation": lightning_run(shuffled, every_batch=True, accumulate_grad_batches=2),
        "lightning_workers": lightning_run(partial(shuffled, workers=2)),
        "lightning_stateful": lightning_run(stateful),
        "lightning_limited": lightning_run(shuffled, limit_train_batches=2, max_epochs=3),
        "lightning_epochs": lightning_run(shuffled, every_epoch=True),
        "lightning_epochs_plain": lightning_run(plain, every_epoch=True),
        "lightning_epochs_stateful": lightning_run(stateful, every_epoch=True),
        "lightning_epochs_validation": lightning_run(plain, every_epoch=True, validate=True),
        **{
            f"lightning_without_{part}": lightning_run(shuffled, forget=part) for part in ("random", "loaders", "place")
        },
        "lightning_without_gradients": lightning_run(
            shuffled, every_batch=True, accumulate_grad_batches=2, forget="gradients"
        ),
    },
}
"""Trainer -> name -> run."""


# -- the server -------------------------------------------------------------------------------------------------------


def serve() -> None:
    """Read lives from the standard input, a line of JSON each; answer each with how it ended."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    warm: set[str] = set()
    for line in sys.stdin:
        wish = json.loads(line)
        if wish["trainer"] not in warm:
            warm.add(wish["trainer"])
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
                live(next(iter(RUNS[wish["trainer"]].values())), folder)  # imports what is imported late
        process = os.fork()
        if not process:
            _one_life(**wish)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        answer = Path(wish["folder"] + ".json")
        found = json.loads(answer.read_text(encoding="utf-8")) if not status else None
        print(json.dumps({"status": status, "ended": found}), flush=True)


def live(run: Run, folder: str, kill: int | None = None) -> dict[str, Any]:
    """One process of a run, as far as it comes."""
    torch.manual_seed(11)
    np.random.seed(12)
    random.seed(13)
    return run(folder, Life(kill, within=kill is not None and kill % 2 == 1))


def _one_life(trainer: str, name: str, folder: str, kill: int | None) -> None:
    code = 1
    try:
        os.dup2(2, 1)  # trainers print
        answer = live(RUNS[trainer][name], folder, kill)
        Path(folder + ".json").write_text(json.dumps(answer), encoding="utf-8")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
