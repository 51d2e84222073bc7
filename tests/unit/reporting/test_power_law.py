from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.reporting.power_law import power_law

SIZES = [4e5, 1.8e6, 4.7e6]
FIVE = [4e5, 1.8e6, 4.7e6, 1.4e7, 3.1e7]


def runs(
    sizes: list[float], scale: float, exponent: float, floor: float, noise: float = 0.0
) -> tuple[list[float], list[float]]:
    """Three runs of each size, `noise` apart."""
    x = [size for size in sizes for _ in range(3)]
    shift = [noise, 0.0, -noise] * len(sizes)
    return x, [scale * at**-exponent + floor + s for at, s in zip(x, shift, strict=True)]


@given(st.floats(1, 50), st.floats(0.01, 0.5))
def test_an_exact_law_is_found(scale: float, exponent: float) -> None:
    law = power_law(SIZES, [scale * x**-exponent for x in SIZES])
    assert law.exponent == pytest.approx(exponent, rel=1e-6)
    assert law.scale == pytest.approx(scale, rel=1e-5)
    assert law.floor == 0
    assert law.residual < 1e-9 * scale + 1e-9
    assert law(1e6) == pytest.approx(scale * 1e6**-exponent)
    assert law.fits


def test_two_sizes_by_hand() -> None:
    # 4 -> 3 over a factor of 16: b = ln(4/3) / ln(16).
    law = power_law([1.0, 16.0], [4.0, 3.0])
    assert law.exponent == pytest.approx(math.log(4 / 3) / math.log(16))
    assert law.scale == pytest.approx(4.0)
    assert law.spread.interval is None
    assert math.isnan(law.floor_p)
    assert math.isnan(law.lack_p)


def test_the_interval_is_that_of_the_regression() -> None:
    x, y = runs(SIZES, 5, 0.1, 0, noise=0.01)
    spread = power_law(x, y).spread
    logs = np.log(x) - np.mean(np.log(x))
    slope = (logs * np.log(y)).sum() / (logs**2).sum()
    left = np.log(y) - np.mean(np.log(y)) - slope * logs
    error = math.sqrt((left**2).sum() / 7 / (logs**2).sum())
    assert spread.n == 9
    assert spread.value == pytest.approx(-slope)
    assert spread.half == pytest.approx(2.364624 * error, rel=1e-5)  # t of 7 degrees, 97.5 %


def test_a_floor_is_kept_only_when_the_sizes_tell_it() -> None:
    law = power_law(*runs(FIVE, 30, 0.3, 2.0, noise=0.001))
    assert law.floor == pytest.approx(2.0, rel=1e-2)
    assert law.exponent == pytest.approx(0.3, rel=1e-2)
    assert law.floor_p < 1e-6
    assert law.fits
    assert power_law(*runs(FIVE[:3], 30, 0.3, 2.0, noise=0.001)).floor == 0
    plain = power_law(*runs(FIVE, 5, 0.05, 0.0, noise=0.02))
    assert plain.floor == 0
    assert plain.floor_p > 0.05


def test_sizes_that_curve_are_no_power_law() -> None:
    curved = power_law(*runs(FIVE[:3], 30, 0.3, 2.0, noise=0.001))
    assert not curved.fits
    assert curved.lack_p < 1e-6
    # The same curve cannot be told from a law by runs that differ more than it bends.
    assert power_law(*runs(FIVE[:3], 30, 0.3, 2.0, noise=0.2)).fits


@pytest.mark.parametrize(("x", "y"), [([1.0, 1.0], [2.0, 2.1]), ([], [])])
def test_too_little_to_fit(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="two sizes"):
        power_law(x, y)
