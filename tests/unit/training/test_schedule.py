"""The paper's schedules against the golden values of GPT-2 and BERT."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from hydratron.config.decays import DECAYS
from hydratron.training.schedule import learning_rate

GPT = {
    "peak": 1.5e-4, "floor": 1e-5, "warmup_steps": 3000, "decay_steps": 300_000, "decay": "cosine",
}  # fmt: skip
BERT = {
    "peak": 1e-4, "floor": 0.0, "warmup_steps": 10_000, "decay_steps": 2_000_000, "decay": "linear",
}  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "step", "rate"),
    [
        (GPT, 1500, 7.5e-5),
        (GPT, 3000, 1.5e-4),
        (GPT, 151_500, 8.0e-5),
        (GPT, 300_000, 1e-5),
        (GPT, 400_000, 1e-5),
        (BERT, 1_005_000, 5.0e-5),
        (BERT, 2_000_000, 0.0),
        (GPT | {"decay": "constant"}, 400_000, 1.5e-4),
        (GPT | {"warmup_steps": 0, "decay_steps": 10}, 10, 1e-5),
    ],
)
def test_golden_rates(recipe: dict[str, float], step: int, rate: float) -> None:
    assert learning_rate(step, **recipe) == pytest.approx(rate, rel=1e-9)  # type: ignore[arg-type]


def rate(step: int, recipe: dict[str, Any]) -> float:
    return learning_rate(step, **recipe)


def test_decays_are_the_formulas_bit_by_bit() -> None:
    peak, floor, warmup, end = 1.5e-4, 1.3e-5, 7, 93
    span: dict[str, Any] = {
        "peak": peak,
        "floor": floor,
        "warmup_steps": warmup,
        "decay_steps": end,
    }
    for step in range(warmup + 1, end + 3):
        part = (step - warmup) / (end - warmup)
        cosine = floor + (peak - floor) * ((math.cos(math.pi * part) + 1) / 2)
        linear = floor + (peak - floor) * (1 - part)
        over = step >= end
        found = {name: rate(step, span | {"decay": name}) for name in DECAYS}
        assert found["cosine"] == (floor if over else cosine)
        assert found["linear"] == (floor if over else linear)
        assert found["constant"] == peak
        root = max(floor, peak * math.sqrt(warmup / step))
        assert found["inverse_sqrt"] == (root if step <= end else floor)


def test_the_last_update_has_no_rate_where_the_floor_is_0() -> None:
    span: dict[str, Any] = {"peak": 1.0, "floor": 0.0, "warmup_steps": 0, "decay_steps": 5}
    assert [rate(5, span | {"decay": decay}) for decay in ("cosine", "linear")] == [0.0, 0.0]


def test_it_rises_then_falls_and_no_update_is_wasted() -> None:
    rates = [learning_rate(n, **GPT) for n in range(1, 300_001, 500)]  # type: ignore[arg-type]
    top = rates.index(max(rates))
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert min(rates) > 0
