from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.config.model import ModelConfig
from hydratron.job import flatten
from hydratron.reporting.curves import curves, decimate, rounded, smooth
from hydratron.reporting.estimate import estimate
from hydratron.reporting.metrics import ROWS
from hydratron.reporting.records import Run
from hydratron.reporting.seeds import seed_groups
from tests.unit.reporting.synthetic import PICO, config


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
    # Eight tokens a step all along: the number stands for the list.
    assert found["train/loss"]["tokens"] == 8
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


def test_tokens_that_do_not_follow_from_the_step_are_listed() -> None:
    rows: list[dict[str, Any]] = [
        {"step": 1, "tokens": 8, "lr": 1e-3},
        {"step": 2, "tokens": 24, "lr": 1e-3},
    ]
    assert curves([run(rows=rows)])[0]["tokens"] == [8, 24]


@given(st.lists(st.floats(-1e300, 1e300), max_size=50))
def test_rounding_keeps_eight_digits(values: list[float]) -> None:
    for value, short in zip(values, rounded(np.array(values)), strict=True):
        assert short == pytest.approx(value, rel=1e-7, abs=1e-290)


def seeded(seed: int, values: list[float], status: str = "completed") -> Run:
    rows = [{"step": s, "tokens": 4 * s, "val/loss": v} for s, v in enumerate(values, start=1)]
    settings = flatten(asdict(config(PICO, seed=seed)))
    return Run(Path(f"s{seed}"), settings, rows=rows, result={"status": status})


def test_a_mean_has_the_interval_of_the_tables_as_its_band() -> None:
    runs = [seeded(1, [5.0, 4.0, 3.0]), seeded(2, [7.0, 4.0, 2.0, 1.0]), seeded(3, [9.0], "failed")]
    mean = curves(runs, seed_groups(runs))[-1]
    assert mean["group"] == 0
    # The step that one run has not reached is left out, and so is the run that failed.
    assert mean["step"] == [1, 2, 3]
    assert mean["y"] == [6, 4, 2.5]
    for values, low, high in zip(([5, 7], [4, 4], [3, 2]), mean["low"], mean["high"], strict=True):
        assert (low, high) == pytest.approx(estimate(values).interval)


def test_a_long_mean_keeps_the_extremes_of_its_band() -> None:
    first, second = [1.0] * 5000, [2.0] * 5000
    first[1234], second[4321] = -3.0, 9.0
    runs = [seeded(1, first), seeded(2, second)]
    mean = curves(runs, seed_groups(runs))[-1]
    assert len(mean["y"]) <= 400
    assert {1235, 4322} <= set(mean["step"])


def test_speed_and_memory_have_no_band_and_memory_is_in_gib() -> None:
    runs = [seeded(1, [5.0]), seeded(2, [6.0])]
    for run in runs:
        run.rows[0]["perf/memory_bytes"] = 3 * 2**29
    memory = curves(runs, seed_groups(runs))[-1]
    assert (memory["metric"], memory["y"]) == ("perf/memory_bytes", [1.5])
    assert "low" not in memory
    assert ROWS["perf/memory_bytes"].format.text(3 * 2**29) == "1.5 GiB"


def test_many_curves_share_the_points() -> None:
    rows: list[dict[str, Any]] = [{"step": s, "lr": math.sin(s)} for s in range(1, 1000)]
    assert len(curves([run(rows=rows)])[0]["y"]) > 300
    assert len(curves([run(rows=rows)] * 100)[0]["y"]) <= 200
