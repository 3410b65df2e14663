"""Whether a run is well: losses as a table, weights of every kind (complaint 19: NaN is kept as if good)."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from holdfast.checkpoint.health import Health, sick_weight

NAN, INF = math.nan, math.inf
STILL = [0.70, 0.71, 0.69, 0.70, 0.72]

VERDICTS = [
    (Health(), {}, STILL, None),
    (Health(), {"accuracy": NAN}, STILL, None),
    (Health(), {"loss": 0.7}, STILL, None),
    (Health(), {"loss": 0.7}, [], None),
    (Health(), {"loss": NAN}, [], "the loss is nan"),
    (Health(), {"loss": -INF}, [], "the loss is -inf"),
    (Health(loss="val"), {"loss": NAN, "val": 1.0}, STILL, None),
    (Health(loss="val"), {"val": INF}, STILL, "the val is inf"),
    (Health(), {"loss": 1.0}, STILL, None),
    (Health(), {"loss": 1.2}, STILL, "the loss jumped to 1.2; it was around 0.7 at the 5 checkpoints before"),
    (Health(jump=100), {"loss": 1.2}, STILL, None),
    (Health(jump=None), {"loss": 1e30}, STILL, None),
    (Health(), {"loss": 1e30}, STILL[:2], None),
    (Health(), {"loss": 1e30}, [*STILL[:2], NAN, INF], None),
    (
        Health(least=2),
        {"loss": 1e30},
        STILL[:2],
        "the loss jumped to 1e+30; it was around 0.705 at the 2 checkpoints before",
    ),
    (Health(), {"loss": -5.0}, STILL, None),
    (Health(), {"loss": -80.0}, [-100.0, -101.0, -99.0, -102.0], None),
    (
        Health(),
        {"loss": 60.0},
        [-100.0, -101.0, -99.0, -102.0],
        "the loss jumped to 60; it was around -100.5 at the 4 checkpoints before",
    ),
    (Health(window=3), {"loss": 5.0}, [0.1] * 5 + [5.0] * 3, None),
]


@pytest.mark.parametrize(("health", "metrics", "history", "expected"), VERDICTS)
def test_verdict(health: Health, metrics: dict[str, float], history: list[float], expected: str | None) -> None:
    assert health.verdict(metrics, history) == expected


def test_a_run_that_stays_where_it_jumped_to_is_well_again() -> None:
    history, verdicts = list(STILL), []
    for _ in range(12):
        verdicts.append(Health().verdict({"loss": 5.0}, history))
        history.append(5.0)
    assert verdicts[0] is not None
    assert verdicts[-1] is None


@pytest.mark.parametrize(
    ("wish", "expected"), [(None, None), (False, None), (True, Health()), (Health(jump=3), Health(jump=3))]
)
def test_wishes(wish: object, expected: Health | None) -> None:
    assert Health.of(wish) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("wish", ["yes", 3, Health(jump=0), Health(jump=-1)])
def test_what_cannot_be_meant(wish: object) -> None:
    with pytest.raises(ValueError):
        Health.of(wish)  # type: ignore[arg-type]


DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.float8_e5m2]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_bad_element_anywhere_is_found(dtype: torch.dtype, bad: float) -> None:
    for at in (0, 500, 999):
        values = torch.ones(1000)
        values[at] = bad
        assert sick_weight({"good": torch.ones(3), "w": values.to(dtype)}) == "w"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_good_elements_are_good(dtype: torch.dtype) -> None:
    assert sick_weight({"w": torch.randn(1000).to(dtype), "none": torch.empty(0, dtype=dtype)}) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_a_sum_that_overflows_is_no_bad_weight(dtype: torch.dtype) -> None:
    large = torch.full((1000,), torch.finfo(dtype).max, dtype=dtype)
    assert sick_weight({"w": large}) is None
    assert sick_weight({"w": torch.cat([large, -large])}) is None


def test_infinities_do_not_cancel() -> None:
    assert sick_weight({"w": torch.tensor([INF, -INF])}) == "w"
    assert sick_weight({"w": np.array([INF, -INF])}) == "w"


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_weights_and_buffers_of_modules_are_looked_at() -> None:
    sick = model()
    with torch.no_grad():
        sick[1].running_var[2] = NAN
    assert sick_weight({"step": 3, "model": model()}) is None
    assert sick_weight({"step": 3, "model": sick}) == "model.1.running_var"


@pytest.mark.parametrize(
    ("tracked", "expected"),
    [
        ({"a": np.array([1.0, NAN])}, "a"),
        ({"a": np.array([1, 2])}, None),
        ({"a": np.array(["x"])}, None),
        ({"a": {"b": [torch.ones(2), torch.tensor(NAN)]}}, "a['b'][1]"),
        ({"a": torch.tensor([1, 2])}, None),
        ({"a": torch.empty(3, device="meta")}, None),
        ({"a": torch.tensor([NAN]).to_sparse()}, None),
        ({"a": "text", "b": None, "c": object()}, None),
    ],
)
def test_what_is_looked_at(tracked: dict, expected: str | None) -> None:
    assert sick_weight(tracked) == expected


def test_the_gradient_is_not_touched() -> None:
    net = model()
    net(torch.randn(5, 3)).sum().backward()
    before = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    assert sick_weight({"model": net}) is None
    assert all(torch.equal(a, p.grad) for a, p in zip(before, net.parameters(), strict=True))
    assert not torch.is_inference_mode_enabled()
