"""What Holdfast does, on real data, in half a minute: ``scripts/demo``.

Trains a small network on handwritten digits, kills the run with SIGKILL twice, goes on each time, and compares the end with
a run that nobody killed. Then opens what was saved in another process, opens a network that Julia saved, and damages a
file to see what happens. Every claim is checked; the first that does not hold ends the demo.
"""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.text import Text
from sklearn.datasets import load_digits

from holdfast import ChecksumError, Series, load, save
from holdfast.checkpoint import resumable
from holdfast.flux import ADAM, Chain, Dense, Dropout, crossentropy, onecold, onehotbatch, params, relu, softmax, train

JULIA = Path(__file__).parent.parent / "tests" / "vectors" / "julia" / "doc_model_flux_0.12.1.bson"
EPOCHS, BATCH = 20, 64
KILLS = 2
STEP = struct.Struct("<q")
screen = Console(highlight=False)


def title(text: str) -> None:
    screen.print(f"\n[bold]{text}[/bold]", soft_wrap=True)


def say(text: str) -> None:
    screen.print(f"  {text}", markup=False, soft_wrap=True)


def check(claim: str, holds: bool) -> None:
    """Print ``claim``, or leave with an error when it does not hold."""
    if not holds:
        sys.exit(f"demo: this should have held and did not: {claim}")
    screen.print(Text.assemble("  ", ("✓ ", "bold green"), claim), soft_wrap=True)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 handwritten digits, shuffled: images (count, 64) with numbers from 0 to 1, labels (count, 10), one-hot."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return torch.tensor(images / 16, dtype=torch.float32), onehotbatch(labels.tolist(), range(10)).float()


def batches(x: torch.Tensor, y: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


# -- a run that is killed ---------------------------------------------------------------------------------------------


def live(folder: Path, pipe: int) -> None:
    """Train from wherever the run is to its end, and say each step that is done. Whoever kills this may."""
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    x, y = digits()
    model = Chain(Dense(64, 32, relu), Dropout(0.2), Dense(32, 10), softmax)
    opt = ADAM(params(model))
    data = torch.utils.data.TensorDataset(x[:1500], y[:1500])
    loader = resumable(torch.utils.data.DataLoader(data, BATCH, shuffle=True))
    losses: list[float] = []
    with Series(folder, every_steps=10, keep_best=1, best="loss") as series:
        series.track(model=model, opt=opt, data=loader, losses=losses)
        for step, _, (images, labels) in series.walk(loader, epochs=EPOCHS):
            opt.zero_grad()
            loss = crossentropy(model(images), labels)
            loss.backward()
            opt.step()
            losses.append(loss.item())
            series.step(step, loss=loss)
            os.write(pipe, STEP.pack(step))
        series.finish()
    end = [params(model), opt.state_dict()["state"], losses, torch.rand(4), random.random(), np.random.rand()]
    save(end_of(folder), model=model, opt=opt)
    save(f"{folder}-bits.bson", end=bits(end))


def end_of(folder: Path) -> Path:
    """Where a run saves what it ended with."""
    return folder.with_name(f"{folder.name}.bson")


def bits(value: object) -> object:
    """A value with every tensor as its bytes."""
    if isinstance(value, torch.Tensor):
        return bytes_of(value)
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return [bits(item) for item in value] if isinstance(value, list | tuple) else value


def one_life(folder: Path, end: int | None) -> tuple[int, int, int]:
    """Run in a process of its own, which is killed when it has done step ``end``; gives its first step, its last one,
    and its exit code."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        code = 1
        try:
            os.close(read)
            live(folder, write)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    steps = []
    while told := os.read(read, STEP.size):
        steps.append(STEP.unpack(told)[0])
        if steps[-1] == end:
            os.kill(process, signal.SIGKILL)
    os.close(read)
    return steps[0], steps[-1], os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_and_go_on(home: Path) -> Path:
    title(f"1. A training run is killed {KILLS} times, and ends as if nothing had happened")
    say("model = Chain(Dense(64, 32, relu), Dropout(0.2), Dense(32, 10), softmax)")
    say('series = Series("digits", every_steps=10); series.track(model=model, opt=opt, data=loader)\n')
    total = EPOCHS * -(-1500 // BATCH)
    first, last, _ = one_life(home / "straight", None)
    draw(first, last, total, "never stopped")
    moments = sorted(random.SystemRandom().sample(range(total // 8, total - total // 8), KILLS))
    for number, moment in enumerate([*moments, None], 1):
        first, last, code = one_life(home / "digits", moment)
        start = f"from step {first}, " if number > 1 else ""
        draw(first, last, total, f"{start}{'SIGKILL at step ' + str(last) if code else 'to the end'}")
        if code != (0 if moment is None else -signal.SIGKILL):
            sys.exit(f"demo: a run that should have been killed, or come to its end, ended with {code}")
    one, other = (load(f"{home / name}-bits.bson", "end") for name in ("straight", "digits"))
    screen.print()
    check(
        "the same bits in every weight, the optimiser, every loss and the next random numbers",
        one == other,
    )
    return end_of(home / "digits")


def draw(first: int, last: int, total: int, text: str, width: int = 40) -> None:
    """One life as a bar on the line of the whole run."""
    start, end = first * width // total, max(first * width // total + 1, -(-(last + 1) * width // total))
    colour = "green" if last == total - 1 else "red"
    bar = Text.assemble("  ", ("·" * start, "dim"), ("━" * (end - start), colour), ("·" * (width - end), "dim"))
    screen.print(bar.append(f"  {text}"), soft_wrap=True)


def holdfast(*words: str, folder: Path) -> None:
    """Show what the command line says."""
    title_ = " ".join(("holdfast", *words))
    screen.print(Text.assemble("  ", ("$ ", "dim"), (title_, "bold")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path[1:]))}
    subprocess.run([sys.executable, "-m", "holdfast", *words], check=True, cwd=folder, env=environment)


# -- a file -----------------------------------------------------------------------------------------------------------


def go_on(model: Chain, opt: torch.optim.Optimizer, data: list[tuple[torch.Tensor, torch.Tensor]]) -> bytes:
    """One more round of training, and the weights after it, as bytes."""
    torch.manual_seed(1)  # for the Dropout
    train(lambda x, y: crossentropy(model(x), y), params(model), data, opt, progress=False)
    return b"".join(p.detach().numpy().tobytes() for p in params(model))


def in_another_process(path: str, answer: str) -> None:
    """What the second process does: open the file, predict, train on, and write down both."""
    model, opt = load(path, "model", "opt")
    x, y = digits()
    predictions = model.eval()(x[1500:]).detach()
    model.train()
    save(answer, predictions=predictions, weights=go_on(model, opt, batches(x[:1500], y[:1500])))


def open_elsewhere(path: Path) -> None:
    title("3. Another process opens the file, which knows nothing of the network, and trains on")
    say(f'model, opt = load("{path.name}", "model", "opt")    # {path.stat().st_size:,} bytes, all in one file')
    model, opt = load(path, "model", "opt")
    x, y = digits()
    answer = path.with_name("answer.bson")
    subprocess.run([sys.executable, __file__, "--elsewhere", path, answer], check=True)
    predictions, weights = load(answer, "predictions", "weights")
    model.eval()
    guesses = model(x[1500:]).detach()
    right = sum(a == b for a, b in zip(onecold(guesses), onecold(y[1500:]), strict=True)) / len(guesses)
    say(f"it reads {right:.1%} of {len(guesses)} digits right that it never saw")
    check("its predictions are the same, bit for bit", bytes_of(predictions) == bytes_of(guesses))
    model.train()
    same = weights == go_on(model, opt, batches(x[:1500], y[:1500]))
    check("its next round of training is the same, bit for bit", same)


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().numpy().tobytes()


def open_julias() -> None:
    title("4. A network that Julia saved with Flux 0.12.1 opens here, without Julia")
    model = load(JULIA, "model")
    said = json.loads(JULIA.with_suffix(".json").read_text())
    (inputs, outputs) = (
        np.array(said[k][0]["data"], np.float32).reshape(said[k][0]["size"][::-1]) for k in ("inputs", "outputs")
    )
    ours = model(torch.from_numpy(inputs)).detach().numpy()
    most = float(np.abs(ours / outputs - 1).max())
    say(f"{model}\n  Julia computed {outputs[0]}, here it is {ours[0]}")
    check(f"the outputs are Julia's (largest relative difference {most:.0e})", most < 1e-6)
    check("it prints as it does in Julia", repr(model) == said["repr"]["model"])


def damage(path: Path) -> None:
    title("5. One bit is flipped in a copy, as by a bad disk")
    copy = path.with_name("damaged.bson")
    data = bytearray(path.read_bytes())
    data[data.index(bytes_of(params(load(path, "model"))[1]))] ^= 1
    copy.write_bytes(data)
    try:
        load(copy)
    except ChecksumError as error:
        say(f"ChecksumError: {str(error).replace(str(copy), copy.name)}")
        check("the error names the value that is damaged", bool(error.names))
        return
    sys.exit("demo: a damaged file was opened as if nothing had happened")


def main() -> None:
    started = time.monotonic()
    torch.set_num_threads(1)  # a process that has threads of OpenMP cannot be forked
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path = kill_and_go_on(home)
        title("2. What is left in the folder of the run, and why")
        holdfast("log", "digits", folder=home)
        open_elsewhere(path)
        open_julias()
        damage(path)
    title(f"All of it held, in {time.monotonic() - started:.0f} seconds")
    say("It works for your PyTorch models too: docs/training.md, then README.md.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--elsewhere"]:
        in_another_process(*sys.argv[2:4])
    else:
        main()
