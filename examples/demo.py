"""What Holdfast does, on real data, in half a minute: ``scripts/demo``.

Trains a small network on handwritten digits, saves it, goes on with it in another process, opens a network that Julia
saved, and damages a file to see what happens. Every claim is checked; the first that does not hold ends the demo.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from holdfast import ChecksumError, load, save
from holdfast.flux import ADAM, Chain, Dense, crossentropy, onecold, onehotbatch, params, relu, softmax, throttle, train

JULIA = Path(__file__).parent.parent / "tests" / "vectors" / "julia" / "doc_model_flux_0.12.1.bson"
EPOCHS, BATCH = 30, 64


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def check(claim: str, holds: bool) -> None:
    """Print ``claim``, or leave with an error when it does not hold."""
    if not holds:
        sys.exit(f"demo: this should have held and did not: {claim}")
    print(f"   {claim}: yes", flush=True)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 handwritten digits, shuffled: images (count, 64) with numbers from 0 to 1, labels (count, 10), one-hot."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return torch.tensor(images / 16, dtype=torch.float32), onehotbatch(labels.tolist(), range(10)).float()


def batches(x: torch.Tensor, y: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


def go_on(model: Chain, opt: torch.optim.Optimizer, data: list[tuple[torch.Tensor, torch.Tensor]]) -> bytes:
    """One more round of training, and the weights after it, as bytes."""
    train(lambda x, y: crossentropy(model(x), y), params(model), data, opt, progress=False)
    return b"".join(p.detach().numpy().tobytes() for p in params(model))


def in_another_process(path: str, answer: str) -> None:
    """What the second process does: open the file, predict, train on, and write down both."""
    model, opt = load(path, "model", "opt")
    x, y = digits()
    predictions = model(x[1500:]).detach()
    save(answer, predictions=predictions, weights=go_on(model, opt, batches(x[:1500], y[:1500])))


def train_and_save(path: Path) -> tuple[Chain, torch.optim.Optimizer, float]:
    title("1. Train a network on handwritten digits, and save it with one line")
    torch.manual_seed(0)
    x, y = digits()
    data, held_out = batches(x[:1500], y[:1500]), (x[1500:], y[1500:])
    model = Chain(Dense(64, 32, relu), Dense(32, 10), softmax)
    opt = ADAM(params(model))

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return crossentropy(model(x), y)

    @throttle(1)
    def evalcb() -> None:
        print(f"   loss on digits it never saw: {loss(*held_out).item():.4f}", flush=True)

    print(f"   model = {model}")
    train(loss, params(model), data, opt, cb=evalcb, epochs=EPOCHS, progress=False)
    right = sum(a == b for a, b in zip(onecold(model(held_out[0])), onecold(held_out[1]), strict=True)) / len(
        held_out[0]
    )
    final = loss(*held_out).item()
    print(f"   loss {final:.4f}; {right:.1%} of {len(held_out[0])} digits that it never saw are read right")
    save(path, model=model, opt=opt, loss=final)
    print(f'   save("{path.name}", model=model, opt=opt, loss=loss)   # {path.stat().st_size:,} bytes')
    return model, opt, final


def open_elsewhere(path: Path, model: Chain, opt: torch.optim.Optimizer, loss: float) -> None:
    title("2. Open it in another process, and go on where it stopped")
    answer = path.with_name("answer.bson")
    subprocess.run([sys.executable, __file__, "--elsewhere", path, answer], check=True)
    predictions, weights = load(answer, "predictions", "weights")
    x, y = digits()
    check("its predictions are the same, bit for bit", bytes_of(predictions) == bytes_of(model(x[1500:])))
    check(
        "its next round of training is the same, bit for bit", weights == go_on(model, opt, batches(x[:1500], y[:1500]))
    )
    check("one value can be read alone", load(path, "loss") == loss)


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().numpy().tobytes()


def open_julias() -> float:
    title("3. Open a network that Julia saved with Flux 0.12.1; there is no Julia here")
    model = load(JULIA, "model")
    said = json.loads(JULIA.with_suffix(".json").read_text())
    (inputs, outputs) = (
        np.array(said[k][0]["data"], np.float32).reshape(said[k][0]["size"][::-1]) for k in ("inputs", "outputs")
    )
    ours = model(torch.from_numpy(inputs)).detach().numpy()
    most = float(np.abs(ours / outputs - 1).max())
    print(f"   model = {model}\n   Julia computed {outputs[0]}, here it is {ours[0]}")
    check(f"the outputs are Julia's (largest relative difference {most:.0e})", most < 1e-6)
    check("it prints as it does in Julia", repr(model) == said["repr"]["model"])
    return most


def look(path: Path) -> None:
    title("4. Look at a file without opening it: holdfast show digits.bson")
    subprocess.run([sys.executable, "-m", "holdfast", "show", path.name], check=True, cwd=path.parent)


def damage(path: Path) -> None:
    title("5. Flip one bit in a copy, as a bad disk would, and open it")
    copy = path.with_name("damaged.bson")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    try:
        load(copy)
    except ChecksumError as error:
        print(f"   ChecksumError: {str(error).replace(str(copy), copy.name)}")
        check("the error names the value that is damaged", bool(error.names))
        return
    sys.exit("demo: a damaged file was opened as if nothing had happened")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.bson"
        model, opt, loss = train_and_save(path)
        open_elsewhere(path, model, opt, loss)
        most = open_julias()
        look(path)
        damage(path)
        size = path.stat().st_size
    title("What you have seen")
    print(f"""
   A network was trained to read handwritten digits and saved with one line: layers, weights,
   optimiser and loss in one file of {size:,} bytes.
   Another process opened the file, knowing nothing of the network, and computed the same bits.
   It also trained on, and came to the same weights as the process that had never stopped.
   A network saved by Julia opened here, without Julia, and gave Julia's own numbers (to {most:.0e}).
   The file could be looked at from the command line, and nothing in it was run to do so.
   One flipped bit was noticed, and the error said which value was damaged.
   All of it works for your PyTorch models too: save("m.bson", model=model, opt=opt).
   Next: README.md, then docs/quickstart.md.""")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--elsewhere"]:
        in_another_process(*sys.argv[2:4])
    else:
        main()
