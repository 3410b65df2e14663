"""``train`` and ``throttle``: who is called, when, and what stops them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from holdfast.errors import MismatchError
from holdfast.flux import ADAM, Chain, Dense, Descent, data, mse, params, skip, softmax, stop, tanh, throttle, train
from holdfast.flux.train import SkipBatch, StopTraining, Throttled


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def pieces(count: int) -> list[tuple[Tensor, Tensor]]:
    return [(torch.full((2, 3), float(i)), torch.zeros(2, 2)) for i in range(count)]


def loss_of(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, y: mse(model(x), y)


def test_the_page() -> None:
    torch.manual_seed(0)
    model = Chain(Dense(10, 5, tanh), Dense(5, 2), softmax)
    x, y = torch.randn(40, 10), torch.eye(2)[torch.arange(40) % 2]
    shown: list[float] = []
    evalcb = throttle(lambda: shown.append(loss_of(model)(x, y).item()), 0)
    opt = ADAM(params(model), 0.05)
    train(loss_of(model), params(model), [(x, y)] * 60, opt, cb=evalcb)
    assert len(shown) == 60
    assert shown[-1] < shown[0] / 5
    assert all(parameter.grad is None for parameter in params(model))


def test_arguments_of_the_loss() -> None:
    layer, seen = Dense(3, 2), []

    def loss(*arguments: Any) -> Tensor:
        seen.append(arguments)
        return layer.weight.sum()

    x, y = torch.ones(3), torch.zeros(2)
    train(loss, layer, [(x, y), x, [x, y], (x,)], Descent())
    assert [len(arguments) for arguments in seen] == [2, 1, 1, 1]
    seen.clear()
    train(loss, layer, DataLoader(TensorDataset(torch.ones(4, 3), torch.zeros(4, 2)), batch_size=2), Descent())
    assert [len(arguments) for arguments in seen] == [2, 2]


def test_one_step_is_flux_update() -> None:
    layer = Dense(3, 2)
    x, y = pieces(2)[1]
    before = data([p.clone() for p in params(layer)])
    gradients = torch.autograd.grad(mse(layer(x), y), params(layer))
    train(loss_of(layer), params(layer), [(x, y)], Descent(0.1))
    for parameter, was, gradient in zip(params(layer), before, gradients, strict=True):
        assert torch.allclose(parameter, was - 0.1 * gradient)


def test_only_the_given_parameters_move() -> None:
    model = Chain(Dense(3, 3), Dense(3, 2))
    opt = Descent(params(model), 0.1)
    model[0].weight.grad = torch.ones(3, 3)  # left over from elsewhere
    before = model[0].weight.detach().clone()
    train(loss_of(model), params(model[1]), pieces(3), opt)
    assert torch.equal(model[0].weight, before)
    assert model[0].weight.grad is None


def test_an_unbound_optimiser_is_bound() -> None:
    model, opt = Dense(3, 2), ADAM(0.1)
    train(loss_of(model), model, pieces(2), opt)
    train(loss_of(model), model, pieces(2), opt)
    assert [id(p) for p in opt.param_groups[0]["params"]] == [id(p) for p in params(model)]
    assert opt.state[model.weight]["βp"][0] == pytest.approx(0.9**5)


def test_torchs_optimisers_serve_as_well() -> None:
    model = Dense(3, 2)
    train(loss_of(model), model, pieces(2), torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(MismatchError, match=r"does not hold all .*\n  a parameter of shape \(2,\)"):
        train(loss_of(model), model, pieces(2), torch.optim.SGD([model.weight], 0.1))


def test_callbacks_in_order_and_epochs() -> None:
    model, calls = Dense(3, 2), []
    callbacks = [lambda: calls.append("a"), lambda: calls.append("b")]
    train(loss_of(model), model, pieces(2), Descent(), cb=callbacks, epochs=2)
    assert calls == ["a", "b"] * 4


def test_stop_and_skip() -> None:
    model, seen = Dense(3, 2), []

    def loss(x: Tensor, y: Tensor) -> Tensor:
        seen.append(int(x[0, 0]))
        if seen[-1] == 1:
            skip()
        if seen[-1] == 3:
            stop()
        return mse(model(x), y)

    calls: list[int] = []
    train(loss, model, pieces(6), Descent(), cb=lambda: calls.append(seen[-1]), epochs=3)
    assert seen == [0, 1, 2, 3]
    assert calls == [0, 2]


def test_stop_and_skip_in_callbacks() -> None:
    model, calls = Dense(3, 2), []
    train(loss_of(model), model, pieces(3), Descent(), cb=[skip, lambda: calls.append(1)])
    assert calls == []
    train(loss_of(model), model, pieces(3), Descent(), cb=[lambda: calls.append(1), stop])
    assert calls == [1]
    with pytest.raises(StopTraining, match="outside train"):
        stop()
    with pytest.raises(SkipBatch, match="outside train"):
        skip()


def test_other_errors_come_through() -> None:
    model = Dense(3, 2)

    def cb() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(loss_of(model), model, pieces(1), Descent(), cb=cb)


def test_train_mode_while_the_loss_is_computed() -> None:
    class Noting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            modes.append(self.training)
            return x

    modes: list[bool] = []
    model = Chain(Dense(3, 2), Chain(Noting())).eval()
    model[1][0].train()
    for given in (model, params(model)):
        train(loss_of(model), given, pieces(1), Descent(), cb=lambda: modes.append(model.training))
        assert [layer.training for layer in model.modules()] == [False, False, False, True]
    model.eval()
    train(loss_of(model), params(model), pieces(1), Descent())
    train(loss_of(model), list(params(model)), pieces(1), Descent())
    assert modes == [True, False, True, False, True, False]


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    model = Dense(3, 2)
    train(loss_of(model), model, pieces(4), Descent(), progress=True, epochs=2)
    assert "100%" in capsys.readouterr().err
    train(loss_of(model), model, iter(pieces(4)), Descent(), progress=True)
    train(loss_of(model), model, pieces(4), Descent(), cb=stop, progress=True)
    capsys.readouterr()
    train(loss_of(model), model, pieces(4), Descent())
    assert capsys.readouterr().err == ""


LAYER = Dense(3, 2)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda: train(loss_of(LAYER), [], pieces(1), Descent()), "nothing to train"),
        (lambda: train(loss_of(LAYER), LAYER, iter(pieces(2)), Descent(), epochs=2), "can be read only once"),
        (
            lambda: train(lambda x, y: LAYER(x), LAYER, pieces(1), Descent()),
            r"one number.*got a tensor of shape \(2, 2\)",
        ),
        (lambda: train(lambda x, y: 0.5, LAYER, pieces(1), Descent()), "one number.*got 0.5"),
        (lambda: train(lambda x, y: torch.zeros(()), LAYER, pieces(1), Descent()), "computed from the parameters"),
    ],
)
def test_refusals(run: Callable[[], None], words: str) -> None:
    with pytest.raises(MismatchError, match=words):
        run()


def throttled(leading: bool, trailing: bool) -> tuple[Throttled[[int], int], list[int], Clock]:
    calls, clock = [], Clock()

    def record(value: int) -> int:
        calls.append(value)
        return value

    return Throttled(record, 10, leading, trailing, clock), calls, clock


def test_throttle_leading() -> None:
    f, calls, clock = throttled(leading=True, trailing=False)
    assert [f(1), f(2)] == [1, None]
    clock.now += 9.9
    assert f(3) is None
    clock.now += 0.1
    assert f(4) == 4
    clock.now += 100
    assert f(5) == 5
    assert calls == [1, 4, 5]


def test_throttle_trailing() -> None:
    f, calls, clock = throttled(leading=True, trailing=True)
    for value in (1, 2, 3):
        f(value)
    assert calls == [1]
    clock.now += 10
    f(4)  # the period is over: 3 is made now, and opens another, for which 4 waits
    assert calls == [1, 3]
    clock.now += 10
    f(5)
    assert calls == [1, 3, 4]
    assert f.flush() == 5
    assert f.flush() is None
    clock.now += 10
    assert f(6) == 6


def test_throttle_trailing_only() -> None:
    f, calls, clock = throttled(leading=False, trailing=True)
    assert (f(1), f(2)) == (None, None)
    clock.now += 10
    f(3)
    assert calls == [2]


def test_throttle_neither() -> None:
    f, calls, clock = throttled(leading=False, trailing=False)
    f(1)
    f(2)
    clock.now += 10
    f(3)
    assert calls == [1]


def test_throttle_as_a_decorator() -> None:
    @throttle(30)
    def shout(word: str, end: str = "!") -> str:
        """Louder."""
        return word + end

    assert (shout("a", end="?"), shout("b")) == ("a?", None)
    assert (shout.__name__, shout.__doc__) == ("shout", "Louder.")
    later = throttle(30, leading=False)(lambda: 3)
    assert later() is None
    assert throttle(lambda: 3, 30, trailing=True)() == 3


def test_train_makes_the_call_that_waits() -> None:
    model, calls = Dense(3, 2), []
    cb = throttle(lambda: calls.append(len(calls)), 1000, leading=False, trailing=True)
    train(loss_of(model), model, pieces(3), Descent(), cb=cb)
    assert calls == [0]
    train(loss_of(model), model, pieces(1), Descent(), cb=throttle(stop, 1000, leading=False, trailing=True))
