"""Losses against the numbers of Flux's own documentation and tests, and against torch's."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from holdfast.errors import MismatchError
from holdfast.flux import losses, onehotbatch, softmax
from holdfast.flux.losses import (
    binary_focal_loss,
    binarycrossentropy,
    crossentropy,
    ctc_loss,
    dice_coeff_loss,
    focal_loss,
    hinge_loss,
    huber_loss,
    kldivergence,
    label_smoothing,
    logitbinarycrossentropy,
    logitcrossentropy,
    mae,
    mse,
    msle,
    poisson_loss,
    siamese_contrastive_loss,
    squared_hinge_loss,
    tversky_loss,
)

THREE = torch.tensor([1.1, 1.9, 3.1])
PROBABILITIES = softmax(torch.arange(-7.0, 8.0).reshape(5, 3))
LABELS = onehotbatch([0, 1, 2, 1, 0], range(3))
LOGITS = torch.tensor([*range(-9, 1), *range(10), 7.5]).reshape(7, 3)
LETTERS = onehotbatch("abcabaa", "abc")
SIGNS = torch.tensor([1.0, -1, 1, 1])
GUESSES = torch.tensor([0.1, 0.3, 1.0, 1.5])
HALVES = softmax(torch.tensor([[1.0, 2], [3, 3], [4, 5]]))
AMOUNTS, OTHERS = torch.tensor([0, 1.4, 0.5, 1.2]), torch.tensor([1.0, 0.5, 0.3, 2.4])

CASES: list[tuple[Any, float]] = [
    (mae(THREE, torch.tensor([1, 2, 3])), 0.1),
    (mse(THREE, torch.tensor([1, 2, 3])), 0.01),
    (msle(torch.tensor([1.1, 2.2, 3.3]), torch.tensor([1, 2, 3])), 0.009084041),
    (msle(torch.tensor([0.9, 1.8, 2.7]), torch.tensor([1, 2, 3])), 0.011100831),
    (huber_loss(THREE, torch.tensor([1, 2, 3])), 0.005),
    (huber_loss(THREE, torch.tensor([1, 2, 3]), delta=0.05), 0.00375),
    (crossentropy(PROBABILITIES, LABELS), 1.6076053),
    (crossentropy(PROBABILITIES, LABELS, agg=torch.sum), 5 * 1.6076053),
    (crossentropy(PROBABILITIES, LABELS, agg=sum), 5 * 1.6076053),
    (crossentropy(PROBABILITIES, label_smoothing(LABELS, 0.15)), 1.5776052),
    (logitcrossentropy(LOGITS, LETTERS), 1.5791205),
    (crossentropy(softmax(LOGITS), LETTERS), 1.5791197),
    (binarycrossentropy(torch.tensor([0.731059, 0.5, 0.731059]), torch.tensor([True, False, True])), 0.43989),
    (logitbinarycrossentropy(torch.tensor([2.0, -1, math.pi]), torch.tensor([True, False, True])), 0.160832),
    (binarycrossentropy(torch.sigmoid(torch.tensor([2.0, -1, math.pi])), torch.tensor([1, 0, 1])), 0.16083185),
    (kldivergence(torch.full((2, 2), 0.5), torch.eye(2)), math.log(2)),
    (kldivergence(torch.full((2, 2), 0.5), torch.eye(2), agg=torch.sum), 2 * math.log(2)),
    (kldivergence(torch.full((2, 2), 0.5), torch.full((2, 2), 0.5), eps=0), 0.0),
    (kldivergence(torch.eye(2), torch.full((2, 2), 0.5), eps=0), math.inf),
    (poisson_loss(torch.tensor([1.0, 3, 3]), torch.tensor([1, 2, 3])), 0.5023128522198171),
    (hinge_loss(GUESSES, SIGNS), 0.55),
    (squared_hinge_loss(GUESSES, SIGNS), 0.625),
    (dice_coeff_loss(torch.tensor([1.1, 2.1, 3.1]), torch.tensor([1, 2, 3])), 0.000992391663909964),
    (1 - dice_coeff_loss(torch.tensor([1.1, 2.1, 3.1]), torch.tensor([1, 2, 3])), 0.99900760833609),
    (dice_coeff_loss(AMOUNTS, OTHERS), 0.28),
    (tversky_loss(AMOUNTS, OTHERS), -0.06772009029345383),
    (tversky_loss(AMOUNTS, OTHERS, beta=0.8), -0.09490740740740744),
    (poisson_loss(torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.1, 0.2, 0.3])), 0.6278353988097339),
    (focal_loss(torch.tensor([[0.4, 0.5, 0.1], [0.2, 0.5, 0.3]]), torch.eye(3)[[0, 2]]), 0.45990566879720157),
    (siamese_contrastive_loss(PROBABILITIES, LABELS, margin=1.5), 0.6532292),
    (binary_focal_loss(HALVES, torch.tensor([[0, 1], [1, 0], [0, 1]])), 0.0728675615927385),
    (focal_loss(PROBABILITIES, LABELS), 1.1277571935622628),
    (siamese_contrastive_loss(torch.tensor([0.5, 1.5]), torch.tensor([1, 0])), (0.25 + 2.25) / 2),
    (siamese_contrastive_loss(torch.tensor([0.5, 3.0]), torch.tensor([1, 1]), margin=2), 2.25 / 2),
]


@pytest.mark.parametrize(("ours", "flux"), CASES)
def test_fluxs_numbers(ours: Any, flux: float) -> None:
    assert ours.shape == ()
    assert ours.item() == pytest.approx(flux, rel=2e-6, abs=1e-6)


def test_against_torch() -> None:
    logits, classes = torch.randn(7, 5, requires_grad=True), torch.arange(7) % 5
    hot = F.one_hot(classes, 5)
    assert torch.allclose(logitcrossentropy(logits, hot), F.cross_entropy(logits, classes))
    assert torch.allclose(logitbinarycrossentropy(logits, hot), F.binary_cross_entropy_with_logits(logits, hot.float()))
    assert torch.allclose(mse(logits, hot.float()), F.mse_loss(logits, hot.float()))
    assert torch.allclose(huber_loss(logits, hot, delta=0.7), F.huber_loss(logits, hot.float(), delta=0.7))
    assert torch.allclose(focal_loss(softmax(logits), hot, gamma=0, eps=0), F.cross_entropy(logits, classes), atol=1e-6)
    assert torch.allclose(
        crossentropy(softmax(logits.T, dim=0), hot.T, dim=0), F.cross_entropy(logits, classes), atol=1e-5
    )


def test_ctc_sums_over_alignments() -> None:
    """Two steps, the label "0", blank last: the alignments are 00, 0-, -0."""
    logits = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    p = softmax(logits)
    paths = p[0, 0] * p[1, 0] + p[0, 0] * p[1, 2] + p[0, 2] * p[1, 0]
    loss = ctc_loss(logits, torch.tensor([0]))
    assert torch.allclose(loss, -paths.log())
    loss.backward()
    assert logits.grad is not None


def test_label_smoothing() -> None:
    smooth = label_smoothing(onehotbatch([1, 1, 1, 0, 1, 0], [0, 1]), 0.2)
    assert torch.allclose(smooth[0], torch.tensor([0.1, 0.9]))
    assert label_smoothing(torch.tensor(1.0), 0.2, dim=None).item() == pytest.approx(0.9)
    with pytest.raises(MismatchError, match="between 0 and 1"):
        label_smoothing(torch.ones(2), 1.5)


@pytest.mark.parametrize("name", losses.__all__)
def test_gradients_are_finite(name: str) -> None:
    if name in ("ctc_loss", "label_smoothing"):
        pytest.skip("has a test of its own")
    ŷ = softmax(torch.randn(4, 3, dtype=torch.float64)).requires_grad_()
    y = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.float64)
    getattr(losses, name)(ŷ, y).backward()
    assert ŷ.grad is not None
    assert ŷ.grad.isfinite().all()


@pytest.mark.parametrize("agg", [torch.sum, lambda values: values, torch.mean])
def test_any_aggregate(agg: Any) -> None:
    ŷ, y = torch.randn(4, 3), torch.randn(4, 3)
    assert torch.equal(mae(ŷ, y, agg=agg), agg((ŷ - y).abs()))


def test_broadcasting_is_refused() -> None:
    with pytest.raises(MismatchError, match=r"the prediction has shape \(5, 1\) and the truth \(5,\)"):
        mse(torch.zeros(5, 1), torch.zeros(5))
    assert mse(torch.zeros(1, 5), torch.zeros(5)).item() == 0
    assert mse(torch.ones(5), 0).item() == 1
    with pytest.raises(MismatchError, match="margin"):
        siamese_contrastive_loss(torch.zeros(2), torch.zeros(2), margin=-1)
