from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hydratron.reporting.estimate import estimate

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


def test_the_interval_by_hand() -> None:
    # Mean 2, deviation 1, error 1 / sqrt(3), quantile of t with 2 degrees of freedom 4.302653.
    found = estimate([1.0, 2.0, 3.0])
    assert found.interval is not None
    assert (found.value, found.n) == (2.0, 3)
    assert found.interval == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)


@given(VALUES)
def test_the_interval_is_scipys(values: list[float]) -> None:
    found = estimate(values)
    assert found.interval is not None
    low, high = found.interval
    assert low <= found.value <= high
    error = float(stats.sem(values))
    if error > 1e-9:
        expected = stats.t.interval(0.95, len(values) - 1, loc=found.value, scale=error)
        assert found.interval == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.inf, 2.0], [math.nan, 1.0, 2.0]])
def test_no_interval_without_two_finite_values(values: list[float]) -> None:
    assert estimate(values).interval is None
    assert estimate(values).n == len(values)
