from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.config.schema import ModelConfig
from hydratron.job import flatten
from hydratron.reporting.curves import curves, decimate, smooth, styles
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import MICRO, MODELS, NANO, PICO, config


def run(model: ModelConfig = PICO, tp: int = 1, rows: list[dict[str, Any]] | None = None) -> Run:
    return Run(Path("job"), flatten(asdict(config(model, tp))), rows=rows or [])


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=2000),
    st.integers(min_value=4, max_value=60),
)
def test_decimation_keeps_the_ends_and_the_extremes(values: list[float], limit: int) -> None:
    array = np.array(values)
    kept = decimate(array, limit)
    assert len(kept) <= max(limit, 2)
    assert kept == sorted(set(kept))
    assert {kept[0], kept[-1]} == {0, len(values) - 1}
    assert array[kept].min() == array.min()
    assert array[kept].max() == array.max()


def test_a_short_curve_is_whole_and_a_spike_survives() -> None:
    assert decimate(np.zeros(400)) == list(range(400))
    values = np.zeros(100_000)
    values[54_321] = 1.0
    kept = decimate(values)
    assert 54_321 in kept
    assert len(kept) <= 400


def test_smoothing_keeps_a_constant_and_is_unbiased_at_the_start() -> None:
    assert smooth(np.full(50, 3.0), 10) == pytest.approx(np.full(50, 3.0))
    assert smooth(np.array([5.0, 1.0]), 10)[0] == 5.0
    noise = np.random.default_rng(0).normal(size=500)
    assert smooth(noise, 20).std() < noise.std() / 3
    assert smooth(noise, 0.5) == pytest.approx(noise)


def test_curves_have_three_axes_and_skip_what_is_not_finite() -> None:
    rows: list[dict[str, Any]] = [
        {"step": 1, "tokens": 8, "seconds": 0.5, "train/loss": 5.0, "lr": 1e-3},
        {"step": 2, "tokens": 16, "seconds": 1.0, "train/loss": math.nan, "lr": None},
        {"step": 2, "tokens": 16, "seconds": 1.5, "val/loss": 4.123456789},
        {"step": 3, "tokens": 24, "train/loss": 4.0},
    ]
    found = {curve["metric"]: curve for curve in curves([run(rows=rows)])}
    assert set(found) == {"train/loss", "lr", "val/loss"}
    assert found["train/loss"]["step"] == [1, 3]
    assert found["train/loss"]["tokens"] == [8, 24]
    assert found["train/loss"]["seconds"] == [0.5, None]
    assert found["train/loss"]["y"] == [5.0, 4.0]
    assert len(found["train/loss"]["smooth"]) == 2
    assert found["val/loss"]["y"] == [4.1234568]


def test_a_shorter_run_is_smoothed_like_a_longer_one() -> None:
    rows: list[dict[str, Any]] = [{"step": s, "train/loss": math.sin(s)} for s in range(200)]
    long, short = curves([run(rows=rows), run(tp=2, rows=rows[:60])])
    assert long["smooth"][:60] == short["smooth"]


def test_no_rows_no_curves() -> None:
    assert curves([run()]) == []
    assert curves([]) == []


def test_colours_follow_size_and_dashes_follow_ranks() -> None:
    runs = [run(model, tp) for tp in (4, 1, 2) for model in (MICRO, PICO, NANO)]
    found = styles(runs)
    assert [s.variant for s in sorted(found, key=lambda s: s.order)][::3] == [
        "gpt_pico",
        "gpt_nano",
        "gpt_micro",
    ]
    assert {(s.variant, s.colour) for s in found} == {
        ("gpt_pico", 0),
        ("gpt_nano", 1),
        ("gpt_micro", 5),
    }
    assert {(s.degree, s.dash) for s in found} == {("single", 0), ("tp2", 1), ("tp4", 2)}
    assert len({s.pattern for s in found}) == 3


def test_more_models_than_colours_start_again() -> None:
    many = [run(replace(PICO, name=f"m{i}", num_layers=i)) for i in range(1, 9)]
    assert [s.colour for s in styles(many)] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert len(MODELS) == 3
