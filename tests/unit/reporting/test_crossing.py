from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.config.model import ModelConfig
from hydratron.job import flatten
from hydratron.reporting.crossing import default_target, first_crossing, tokens_to_loss
from hydratron.reporting.records import Run
from hydratron.reporting.tables import tokens_reached
from tests.unit.reporting.synthetic import MICRO, NANO, PICO, config


def run(model: ModelConfig, losses: list[float], status: str = "completed") -> Run:
    rows = [{"step": i, "tokens": 100 * i, "val/loss": v} for i, v in enumerate(losses)]
    return Run(Path(model.name), flatten(asdict(config(model))), rows, {"status": status})


def test_between_two_rows_the_curve_is_straight() -> None:
    assert first_crossing([0, 100, 200], [8.0, 6.0, 5.0], 5.5) == 150
    assert first_crossing([0, 100, 200], [8.0, 6.0, 5.0], 6.0) == 100
    assert first_crossing([0, 100, 200], [8.0, 6.0, 5.0], 4.9) is None
    assert first_crossing([10, 20], [3.0, 2.0], 4.0) == 10
    assert first_crossing([], [], 4.0) is None


def test_the_first_crossing_counts_and_gaps_are_bridged() -> None:
    assert first_crossing([0, 10, 20, 30], [4.0, 2.0, 4.0, 2.0], 3.0) == 5
    assert first_crossing([0, 10, 20], [4.0, math.nan, 2.0], 3.0) == 10
    assert first_crossing([0, 10], [math.inf, 2.0], 3.0) == 10


@given(
    st.lists(st.floats(0, 10, allow_subnormal=False), min_size=2, max_size=40),
    st.floats(0, 10),
)
def test_the_crossing_lies_on_the_curve_and_nothing_before_is_lower(
    values: list[float], target: float
) -> None:
    found = first_crossing(range(len(values)), values, target)
    if found is None:
        assert min(values) > target
        return
    assert all(v > target for v in values[: math.ceil(found)])
    low = values[math.ceil(found)]
    assert low <= target


def test_the_target_is_the_best_completed_run_of_the_smallest_model() -> None:
    small = [run(PICO, [6, 4.6]), run(PICO, [6, 4.5]), run(PICO, [6, 4.0], "diverged")]
    large = run(NANO, [6, 4.0])
    assert default_target([large, *small]) == 4.5
    assert default_target([run(PICO, [6, 5], "failed"), large, run(MICRO, [3.0])]) == 4.0
    assert default_target([run(PICO, [math.nan])]) is None
    assert tokens_to_loss(large, 4.5) == pytest.approx(75)


def test_not_reached_is_told_from_nothing_logged() -> None:
    assert tokens_reached(run(NANO, [6, 4.0]), 4.5) == 75
    assert tokens_reached(run(NANO, [6, 5.0]), 4.5) == "not reached"
    assert tokens_reached(run(NANO, []), 4.5) is None


def test_the_target_is_rounded_up_so_that_a_degree_reaches_what_another_did() -> None:
    one, other = run(PICO, [6.0, 5.7083174]), run(PICO, [6.0, 5.7083175])
    target = default_target([one, other])
    assert target == 5.7084
    assert tokens_to_loss(other, target) is not None
    assert default_target([run(PICO, [6.0, 4.0703])]) == 4.0703
